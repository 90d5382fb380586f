/* Depthwise: the order in which tiles run over a block of channels of some rows. */
#ifndef CNNFAST_CONV2D_DEPTHWISE_WALK_H
#define CNNFAST_CONV2D_DEPTHWISE_WALK_H

#include "depthwise_layout.h"
#include "depthwise_tile.h"

/* Skipping so many columns of padding pays for the additions that stand for them. */
enum { LEAST_SKIP = 4 };

/* Constant arguments make each tile its own code. */
static __attribute__((noinline)) void fixed3x3(int64_t tp, int64_t tq, const shared *d, const pixel *at, const real *residual, real *y) {
    if (d->stride == 1) {
        if (tp == TILE_P && tq > 1) fixed(1, TILE_P, TILE_Q, d, at, residual, y);
        else if (tp == TILE_P) fixed(1, TILE_P, 1, d, at, residual, y);
        else if (tq > 1) fixed(1, 1, TILE_Q, d, at, residual, y);
        else fixed(1, 1, 1, d, at, residual, y);
    } else {
        if (tp == TILE_P && tq > 1) fixed(2, TILE_P, STRIDED_Q, d, at, residual, y);
        else if (tp == TILE_P) fixed(2, TILE_P, 1, d, at, residual, y);
        else if (tq > 1) fixed(2, 1, STRIDED_Q, d, at, residual, y);
        else fixed(2, 1, 1, d, at, residual, y);
    }
}

static __attribute__((noinline)) void any_line(int64_t tq, const shared *d, const inside *in, const pixel *at, const real *residual, real *y) {
    if (tq == 1) line(0, 0, 1, d, in, at, residual, y);
    else if (d->stride == 1 && d->unit == 1) line(1, 1, LINE_Q, d, in, at, residual, y);
    else if (d->stride == 1) line(1, 0, LINE_Q, d, in, at, residual, y);
    else if (d->stride == 2 && d->unit == 1) line(2, 1, LINE_Q, d, in, at, residual, y);
    else line(0, 0, LINE_Q, d, in, at, residual, y);
}

/* Whether lines of windows whose columns [s0, s1) are inside go two at a time. */
static bool goes_by_two(const window *g, const shared *d, int64_t tq, const inside *in) {
    const phases down = phases_of(g, 0);
    return LINE_TAPS_OF_TWO && tq == LINE_Q && (d->S == 5 || d->S == 7) && in->s0 == 0 && in->s1 == d->S && d->unit == 1 &&
           d->stride <= 2 && d->stride == down.stride && d->stride < d->R && down.step == 1;
}

static __attribute__((noinline)) void both_lines(const shared *d, const inside *in, const pixel *at, const real *residual, real *y) {
#if LINE_TAPS_OF_TWO
    if (d->S == 5 && d->stride == 1) two_lines(5, 1, d, in, at, residual, y);
    else if (d->S == 5) two_lines(5, 2, d, in, at, residual, y);
    else if (d->stride == 1) two_lines(7, 1, d, in, at, residual, y);
    else two_lines(7, 2, d, in, at, residual, y);
#else
    (void)d, (void)in, (void)at, (void)residual, (void)y;
#endif
}

/* Where one phase's next tile of a row begins, and how many outputs it has. A last tile that steps back computes some
 * outputs twice; where y is its own residual it must not. */
INLINE int64_t next_tile(int64_t i, int64_t outputs, int64_t wide, bool twice, int64_t *count) {
    *count = i + wide <= outputs ? wide : 1;
    if (*count == wide || !twice || outputs < wide || outputs - i < wide / 2) return i;
    *count = wide;
    return outputs - wide;
}

/* The long activations of `count` outputs: too long to stand in every kind of tile. */
static __attribute__((noinline)) void activate(const conv2d_problem *p, const shared *d, int64_t count, int64_t step, real *y) {
    for (int64_t i = 0; i < count; i++) SYMBOL(epilogue_run)(&p->epilogue, y + i * step + d->k0, d->k1 - d->k0);
}

/* Pixels narrower than this come faster one after the other along a row, as prefetchers expect, than down columns. */
static const int64_t WIDE_BYTES = 1024;

/* A 3x3 tile of tp x tq outputs. */
INLINE void run_tile(const conv2d_problem *p, const depthwise_rows *at, shared *d, const pixel *table, int64_t row, int64_t tp,
                     int64_t q, int64_t tq) {
    const window *g = &p->g;
    const int64_t to = ((row - at->p0) * g->Q + q) * at->y_step;
    const pixel *from = table + (row - at->p0) * g->stride[0] * table_width(p) + table_column(p, q * g->stride[1]);
    fixed3x3(tp, tq, d, from, at->residual ? at->residual + to : NULL, at->y + to);
    if (p->epilogue.activation > CNNFAST_RELU6)
        for (int64_t a = 0; a < tp; a++) activate(p, d, tq, d->y_step, at->y + to + a * d->y_row);
}

/* Outputs of one phase of a row, 3x3, channels [d->k0, d->k1): a tile after its neighbour where pixels are narrow, or else
 * after the one above it, which reads half of the same inputs. */
static inline void run_3x3(const conv2d_problem *p, const depthwise_rows *at, shared *d, const pixel *table, int64_t phase) {
    const window *g = &p->g;
    const phases down = phases_of(g, 0), along = phases_of(g, 1);
    const int64_t wide = along.stride == 2 ? STRIDED_Q : TILE_Q, outputs = ceil_div(g->Q - phase, along.step);
    const bool twice = at->residual != at->y;
    int64_t tq;
#define ROWS(first) for (int64_t row = first, tp; tp = row + down.step < at->p1 ? TILE_P : 1, row < at->p1; row += TILE_P * down.step)
#define COLUMNS for (int64_t i = 0; i < outputs; i += tq)
    for (int64_t first = at->p0; first < min64(at->p0 + down.step, at->p1); first++)
        if (g->C * (int64_t)sizeof(real) < WIDE_BYTES) {
            ROWS(first) COLUMNS {
                i = next_tile(i, outputs, wide, twice, &tq);
                run_tile(p, at, d, table, row, tp, phase + i * along.step, tq);
            }
        } else {
            COLUMNS {
                i = next_tile(i, outputs, wide, twice, &tq);
                ROWS(first) run_tile(p, at, d, table, row, tp, phase + i * along.step, tq);
            }
        }
#undef ROWS
#undef COLUMNS
}

/* Which of `taps` taps, `dilation` apart from pixel `from` on, are inside an axis of n pixels. `last`: of the last output. */
INLINE void taps_inside(const conv2d_problem *p, int axis, int64_t from, int64_t last, int64_t *t0, int64_t *t1) {
    const window *g = &p->g;
    const int64_t taps = axis ? g->S : g->R, n = axis ? g->W : g->H, dilation = g->dilation[axis];
    *t0 = 0, *t1 = taps;
    if (p->padding_mode != CNNFAST_ZEROS) return;
    if (last < 0) *t0 = min64(taps, ceil_div(-last, dilation));
    if (from + (taps - 1) * dilation >= n) *t1 = max64(*t0, from >= n ? 0 : ceil_div(n - from, dilation));
}

/* Which rows under the windows of `lines` outputs of an axis, from `o` on, are inside the image. */
INLINE void rows_inside(const conv2d_problem *p, int axis, int64_t o, int64_t lines, inside *in) {
    const int64_t stride = p->g.stride[axis], from = o * stride - (axis ? p->g.pad[2] : p->g.pad[0]), last = from + (lines - 1) * stride;
    int64_t end;
    taps_inside(p, axis, from, from, &in->r0, &end);
    if (lines > 1) taps_inside(p, axis, last, last, &(int64_t){0}, &end);
    in->r1 = end + (last - from) / p->g.dilation[axis];
}

/* Outputs of the phase from `first` on, channels [d->k0, d->k1). `axis`: lines run along rows (1) or down columns (0). */
static inline void run_phase(const conv2d_problem *p, const depthwise_rows *at, shared *d, const pixel *table, int axis,
                      int64_t first) {
    const window *g = &p->g;
    const int across = 1 - axis;
    const int64_t begin[2] = {at->p0, 0}, size[2] = {at->p1 - at->p0, g->Q}, pad[2] = {g->pad[0], g->pad[2]};
    const int64_t y_of[2] = {g->Q * at->y_step, at->y_step}, step = phases_of(g, axis).step;
    const int64_t outputs = ceil_div(size[axis] - first, step);
    /* One line beside the other, where they read the same rows, so that those are still in L1; or one after the other. */
    const int64_t beside = d->R > 1 ? size[across] : 1;
    for (int64_t from = 0; from < size[across]; from += beside)
        for (int64_t i = 0, tq; i < outputs; i += tq) {
            fetch_ahead(d);
            i = next_tile(i, outputs, LINE_Q, at->residual != at->y, &tq);
            const int64_t q = first + i * step, w0 = (begin[axis] + q) * g->stride[axis] - pad[axis];
            inside in;
            taps_inside(p, axis, w0, w0 + (tq - 1) * step * g->stride[axis], &in.s0, &in.s1);
            if (in.s0 < LEAST_SKIP) in.s0 = 0;
            if (d->S - in.s1 < LEAST_SKIP) in.s1 = d->S;
            const bool by_two = goes_by_two(g, d, tq, &in);
            for (int64_t o = from, lines; o < from + beside; o += lines) {
                const int64_t row = axis ? o : q, column = axis ? q : o, to = o * y_of[across] + q * y_of[axis];
                const pixel *under = table + row * g->stride[0] * table_width(p) + table_column(p, column * g->stride[1]);
                const real *residual = at->residual ? at->residual + to : NULL;
                lines = by_two && o + 1 < from + beside ? 2 : 1;
                rows_inside(p, across, begin[across] + o, lines, &in);
                if (lines == 2) both_lines(d, &in, under, residual, at->y + to);
                else any_line(tq, d, &in, under, residual, at->y + to);
                for (int64_t i = 0; p->epilogue.activation > CNNFAST_RELU6 && i < lines; i++)
                    activate(p, d, tq, d->y_step, at->y + to + i * d->y_row);
            }
        }
}

/* One block of channels. */
static inline void run_block(const conv2d_problem *p, const depthwise_rows *at, shared *d, const pixel *table) {
    const bool is3x3 = is_fixed3x3(&p->g);
    const int axis = is3x3 ? 1 : line_axis(&p->g);
    const int64_t step = phases_of(&p->g, axis).step, outputs = axis ? p->g.Q : at->p1 - at->p0;
    for (int64_t first = 0; first < min64(step, outputs); first++)
        if (is3x3) run_3x3(p, at, d, table, first);
        else run_phase(p, at, d, table, axis, first);
}

#endif
