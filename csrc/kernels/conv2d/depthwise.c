/* Depthwise: vectors run over channels, and a tile of 2 x 7 or 2 x 4 outputs shares each input vector it loads.
 *
 * A table of pixels makes borders, padding modes and dilation one case. Away from the borders the 3x3 tiles step from
 * pixel to pixel without it. Where pixels' channels cannot be read as they lie, some channels at a time are
 * copied: each repeated where there is a channel multiplier, or closer together where their addresses would collide.
 */
#include "depthwise.h"

#include "common/cost.h"

#if CNNFAST_REAL
#include "depthwise_tile.h"

static const int64_t ROW_BYTES = 256 * 1024;
/* A block of channels, in vectors: of 3x3 tiles, and at most of lines. */
enum { TILE_VECTORS = 1024 / VEC_BYTES };
/* What a line of outputs reads, and all its weights, may take of L1. */
static const int64_t LINE_BYTES = 20 * 1024;
/* Of x and y, that wait in L2 together; and of an image of x that is not worth asking for, for it is there. */
#ifndef BAND
#define BAND 256
#endif
static const int64_t BAND_BYTES = BAND * 1024, AHEAD_BYTES = 512 * 1024;
/* Skipping so many columns of padding pays for the additions that stand for them. */
enum { LEAST_SKIP = 4 };

static int64_t padded_K(const conv2d_problem *p) { return ceil_div(p->g.K, LANES) * LANES; }
static int64_t multiplier(const conv2d_problem *p) { return p->g.K / p->g.C; }
/* Where one channel has several outputs, its pixels are copied with each channel repeated. */
static bool is_copied(const conv2d_problem *p) { return multiplier(p) > 1; }

/* Rows of the window as the tiles see it: those of a single column lie along a line. */
static int64_t window_rows(const conv2d_problem *p) { return p->g.S > 1 || p->g.R == 1 ? p->g.R : 1; }

/* Packed, a vector of channels after the other, in vectors: the bias, a sum of padding for each row of the window, R*S
 * weights. */
static int64_t vector_size(const conv2d_problem *p) { return (1 + window_rows(p) + p->g.R * p->g.S) * LANES; }

size_t SYMBOL(depthwise_packed_size)(const conv2d_problem *p) {
    return size_mul(size_mul((size_t)(padded_K(p) / LANES), (size_t)vector_size(p)), sizeof(real));
}

void SYMBOL(depthwise_pack)(const conv2d_problem *p, const real *weight, const real *bias, real *packed) {
    const int64_t rows = window_rows(p), taps = p->g.R * p->g.S / rows;
    memset(packed, 0, SYMBOL(depthwise_packed_size)(p));
    for (int64_t k = 0; k < p->g.K; k += LANES, packed += vector_size(p)) {
        const int64_t lanes = min64(LANES, p->g.K - k);
        real *w = packed + (1 + rows) * LANES;
        if (bias) memcpy(packed, bias + k, (size_t)lanes * sizeof *packed);
        for (int64_t r = 0; r < p->g.R; r++)
            for (int64_t s = 0; s < p->g.S; s++, w += LANES)
                for (int64_t i = 0; i < lanes; i++) w[i] = weight[r * p->step_r + s * p->step_s + (k + i) * p->step_k];
        w = packed + (1 + rows) * LANES;
        for (int64_t r = 0; r < rows; r++) v_store(packed + (1 + r) * LANES, padding_sum(w + r * taps * LANES, taps));
    }
}

/* Channels [k, k + lanes) of what is packed, which begin inside one vector and may end in the next. */
static void slice_packed(const conv2d_problem *p, const real *packed, int64_t k, int lanes, real *to) {
    const int skip = (int)(k % LANES), first = lanes < LANES - skip ? lanes : LANES - skip;
    packed += k / LANES * vector_size(p);
    for (int64_t i = 0; i < vector_size(p); i += LANES) {
        for (int j = 0; j < first; j++) to[i + j] = packed[i + skip + j];
        for (int j = first; j < lanes; j++) to[i + j] = packed[vector_size(p) + i + j - first];
        for (int j = lanes; j < LANES; j++) to[i + j] = 0;
    }
}

/* The table's rows by phases of the dilation, so that a tile's columns are neighbours. */
static int64_t table_columns(const conv2d_problem *p) { return ceil_div(pixels_width(p), p->g.dilation[1]); }
static int64_t table_width(const conv2d_problem *p) { return table_columns(p) * p->g.dilation[1]; }
static int64_t table_column(const conv2d_problem *p, int64_t w) {
    const int64_t d = p->g.dilation[1];
    return d == 1 ? w : w % d * table_columns(p) + w / d;
}
static size_t table_bytes(const conv2d_problem *p, int64_t rows) {
    return size_align(size_mul(size_mul((size_t)pixels_rows(p, rows), (size_t)table_width(p)), sizeof(pixel)));
}

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

/* Outputs of one phase of a dilation lie `step` apart, and their inputs `stride` times the dilation. */
typedef struct {
    int64_t stride, step;
} phases;

static phases phases_of(const window *g, int axis) {
    const int64_t common = common_divisor(g->stride[axis], g->dilation[axis]);
    return (phases){g->stride[axis] / common, g->dilation[axis] / common};
}

static bool is_fixed3x3(const window *g) {
    const int64_t stride = phases_of(g, 0).stride;
    return g->R == 3 && g->S == 3 && stride == phases_of(g, 1).stride && stride <= 2;
}

/* The axis that lines of outputs run along: the one that has taps to share. */
static int line_axis(const window *g) { return g->S > 1 || g->R == 1; }

/* Vectors at a time, so that inputs which neighbouring tiles share, and a line's weights, are still in L1 for the second. */
static int64_t block_vectors(const conv2d_problem *p) {
    const window *g = &p->g;
    const int axis = line_axis(g);
    const int64_t R = axis ? g->R : 1, S = axis ? g->S : g->R;
    const int64_t loads = R * ((LINE_Q - 1) * phases_of(g, axis).stride + 2 * S);
    return is_fixed3x3(g) ? TILE_VECTORS : max64(1, min64(TILE_VECTORS, LINE_BYTES / (loads * VEC_BYTES)));
}

static size_t zeros_bytes(const conv2d_problem *p) { return size_align(size_mul((size_t)padded_K(p), sizeof(real))); }
/* Vectors of a block and one more, where the first is not whole. */
static size_t slices_bytes(const conv2d_problem *p) {
    return size_mul(size_mul((size_t)(block_vectors(p) + 1), (size_t)vector_size(p)), sizeof(real));
}

size_t SYMBOL(depthwise_workspace)(const conv2d_problem *p, int64_t rows) {
    size_t copy = 0;
    if (is_copied(p)) copy = size_mul(size_mul((size_t)pixels_rows(p, rows), (size_t)p->g.W), (size_t)((block_vectors(p) + 1) * VEC_BYTES));
    return size_add(size_add(size_add(zeros_bytes(p), slices_bytes(p)), table_bytes(p, rows)), copy);
}

/* Constant arguments make each its own code. */
static void fixed3x3(int64_t tp, int64_t tq, const shared *d, const pixel *at, const real *residual, real *y) {
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

static void any_line(int64_t tq, const shared *d, const inside *in, const pixel *at, const real *residual, real *y) {
    if (tq == 1) line(0, 1, d, in, at, residual, y);
    else if (d->stride == 1) line(1, LINE_Q, d, in, at, residual, y);
    else if (d->stride == 2) line(2, LINE_Q, d, in, at, residual, y);
    else line(0, LINE_Q, d, in, at, residual, y);
}

/* Channels [k0, k1) of rows of x from padded row h0, closely packed; rows outside the image are left alone. */
static void copy_rows(const conv2d_problem *p, const real *image, int64_t h0, int64_t rows, int64_t k0, int64_t k1, real *to) {
    const window *g = &p->g;
    const int64_t m = multiplier(p), width = k1 - k0;
    for (int64_t i = 0; i < rows; i++, to += g->W * width) {
        const int64_t h = pad_index(h0 + i, g->H, p->padding_mode);
        for (int64_t w = 0; h >= 0 && w < g->W; w++) {
            const real *from = image + (h * g->W + w) * g->C;
            for (int64_t k = k0; k < k1; k++) to[w * width + k - k0] = from[k / m];
        }
    }
}

/* table[i][j]: where pixel (h0 + i, j - pad_left) of the padded image lies; `copy` holds the image's channels [k0, k1), or
 * is NULL. */
static void fill_table(const conv2d_problem *p, const depthwise_rows *at, int64_t k0, int64_t k1, const real *zeros, pixel *table,
                       real *copy) {
    const window *g = &p->g;
    const int64_t h0 = at->p0 * g->stride[0] - g->pad[0], rows = pixels_rows(p, at->p1 - at->p0), width = table_width(p);
    const int64_t step = copy ? k1 - k0 : g->C;
    if (copy) copy_rows(p, at->image, h0, rows, k0, k1, copy);
    for (int64_t i = 0; i < rows; i++, table += width) {
        int64_t h = pad_index(h0 + i, g->H, p->padding_mode);
        const real *row = copy ? copy + i * g->W * step - k0 : at->image + h * g->W * step;
        pixels_fill_row(p, h < 0 ? NULL : row, step, zeros, g->dilation[1], table);
    }
}

/* Where one phase's next tile of a row begins, and how many outputs it has. A last tile that steps back computes some
 * outputs twice; where y is its own residual it must not. */
static int64_t next_tile(int64_t i, int64_t outputs, int64_t wide, bool twice, int64_t *count) {
    *count = i + wide <= outputs ? wide : 1;
    if (*count == wide || !twice || outputs < wide || outputs - i < wide / 2) return i;
    *count = wide;
    return outputs - wide;
}

/* The long activations of `count` outputs. */
static void activate(const conv2d_problem *p, const shared *d, int64_t count, int64_t step, real *y) {
    for (int64_t i = 0; i < count; i++) epilogue_run(&p->epilogue, y + i * step + d->k0, d->k1 - d->k0);
}

/* Outputs of one phase of a row, 3x3, channels [d->k0, d->k1): a tile after the one above it, which reads half of the same inputs. */
static void run_columns(const conv2d_problem *p, const depthwise_rows *at, shared *d, const pixel *table, int64_t phase) {
    const window *g = &p->g;
    const phases down = phases_of(g, 0), along = phases_of(g, 1);
    const int64_t wide = along.stride == 2 ? STRIDED_Q : TILE_Q, outputs = ceil_div(g->Q - phase, along.step);
    for (int64_t i = 0, tq; i < outputs; i += tq) {
        fetch_ahead(d);
        i = next_tile(i, outputs, wide, at->residual != at->y, &tq);
        const int64_t q = phase + i * along.step;
        for (int64_t first = at->p0; first < min64(at->p0 + down.step, at->p1); first++)
            for (int64_t row = first; row < at->p1; row += TILE_P * down.step) {
                const int64_t tp = row + down.step < at->p1 ? TILE_P : 1;
                const int64_t to = (row - at->p0) * g->Q * at->y_step + q * at->y_step;
                const pixel *from = table + (row - at->p0) * g->stride[0] * table_width(p) + table_column(p, q * g->stride[1]);
                fixed3x3(tp, tq, d, from, at->residual ? at->residual + to : NULL, at->y + to);
                if (p->epilogue.activation > CNNFAST_RELU6)
                    for (int64_t a = 0; a < tp; a++) activate(p, d, tq, d->y_step, at->y + to + a * d->y_row);
            }
    }
}

/* Which of `taps` taps, `dilation` apart from pixel `from` on, are inside an axis of n pixels. `last`: of the last output. */
static void taps_inside(const conv2d_problem *p, int axis, int64_t from, int64_t last, int64_t *t0, int64_t *t1) {
    const window *g = &p->g;
    const int64_t taps = axis ? g->S : g->R, n = axis ? g->W : g->H, dilation = g->dilation[axis];
    *t0 = 0, *t1 = taps;
    if (p->padding_mode != CNNFAST_ZEROS) return;
    if (last < 0) *t0 = min64(taps, ceil_div(-last, dilation));
    if (from + (taps - 1) * dilation >= n) *t1 = max64(*t0, from >= n ? 0 : ceil_div(n - from, dilation));
}

/* Outputs of the phase from `first` on, channels [d->k0, d->k1). `axis`: lines run along rows (1) or down columns (0). */
static void run_phase(const conv2d_problem *p, const depthwise_rows *at, shared *d, const pixel *table, int axis,
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
            for (int64_t o = from; o < from + beside; o++) {
                const int64_t h0 = (begin[across] + o) * g->stride[across] - pad[across];
                const int64_t row = axis ? o : q, column = axis ? q : o, to = o * y_of[across] + q * y_of[axis];
                taps_inside(p, across, h0, h0, &in.r0, &in.r1);
                any_line(tq, d, &in, table + row * g->stride[0] * table_width(p) + table_column(p, column * g->stride[1]),
                         at->residual ? at->residual + to : NULL, at->y + to);
                if (p->epilogue.activation > CNNFAST_RELU6) activate(p, d, tq, d->y_step, at->y + to);
            }
        }
}

/* One block of channels. */
static void run_block(const conv2d_problem *p, const depthwise_rows *at, shared *d, const pixel *table) {
    const bool is3x3 = is_fixed3x3(&p->g);
    const int axis = is3x3 ? 1 : line_axis(&p->g);
    const int64_t step = phases_of(&p->g, axis).step, outputs = axis ? p->g.Q : at->p1 - at->p0;
    for (int64_t first = 0; first < min64(step, outputs); first++)
        if (is3x3) run_columns(p, at, d, table, first);
        else run_phase(p, at, d, table, axis, first);
}

/* Lanes of a pixel's first vector: up to where x's vectors stop lying across two cache lines, which doubles their loads. */
static int lanes_to_line(const conv2d_problem *p, const real *x, int64_t channels) {
    const int past = (int)((uintptr_t)x % VEC_BYTES / sizeof(real));
    return p->g.K % LANES == 0 && channels >= 4 * LANES ? LANES - past : (int)min64(LANES, channels);
}

/* Taps and steps along the rows of tiles. */
static shared describe(const conv2d_problem *p, int64_t y_step) {
    const window *g = &p->g;
    const int axis = is_fixed3x3(g) ? 1 : line_axis(g), across = 1 - axis;
    const int64_t pixel_of[2] = {g->dilation[0] * table_width(p), 1}, y_of[2] = {g->Q * y_step, y_step};
    return (shared){.packed_step = vector_size(p), .unit = pixel_of[axis], .row = pixel_of[across],
                    .y_step = y_of[axis] * phases_of(g, axis).step, .y_row = y_of[across] * phases_of(g, across).step,
                    .R = axis ? g->R : 1, .S = axis ? g->S : g->R, .stride = phases_of(g, axis).stride, .epilogue = &p->epilogue};
}

/* Where the block of channels from k0 on ends: whole vectors after the first, and no part of one left alone. */
static int64_t block_end(const conv2d_problem *p, int64_t k0, int head, int64_t k1) {
    const int64_t end = k0 + head + (block_vectors(p) - 1) * LANES;
    return end + LANES > k1 ? k1 : end;
}

/* The weights of a block of channels, again where its vectors are not those that were packed. */
static const real *block_weights(const conv2d_problem *p, const shared *d, const real *packed, real *slices) {
    if (d->k0 % LANES == 0 && (d->head == LANES || d->k0 + d->head == d->k1)) return packed + d->k0 / LANES * vector_size(p);
    real *to = slices;
    int n = d->head;
    for (int64_t k = d->k0; k < d->k1; k += n, n = (int)min64(LANES, d->k1 - k), to += vector_size(p))
        slice_packed(p, packed, k, n, to);
    return slices;
}

/* Rows of outputs whose inputs wait in L2 for the columns of tiles: whole tiles of all phases. */
static int64_t band_rows(const conv2d_problem *p) {
    const window *g = &p->g;
    const int64_t row = (g->stride[0] * g->W * g->C + g->Q * g->K) * (int64_t)sizeof(real);
    const int64_t tile = (line_axis(g) ? TILE_P : LINE_Q) * phases_of(g, 0).step;
    return is_copied(p) ? INT64_MAX : max64(1, BAND_BYTES / row / tile) * tile;
}

/* What the band after outputs [at->p0, at->p1) reads and they do not. */
static void plan_ahead(const conv2d_problem *p, const depthwise_rows *at, int64_t rows, shared *d) {
    const window *g = &p->g;
    const int64_t h0 = at->p1 * g->stride[0] + (g->R - 1) * g->dilation[0] - g->pad[0], size = g->W * g->C * (int64_t)sizeof(real);
    const int64_t first = max64(0, min64(g->H, h0)), end = min64(g->H, first + rows * g->stride[0]);
    d->next = (const char *)at->image + first * size, d->next_end = (const char *)at->image + end * size;
    if (g->H * size < AHEAD_BYTES) d->next_end = d->next;
    const int64_t wide = line_axis(g) ? ceil_div(g->Q, LINE_Q) : g->Q, blocks = ceil_div(at->k1 - at->k0, block_vectors(p) * LANES);
    d->ahead = ceil_div(d->next_end - d->next, wide * blocks);
}

/* Rows [at->p0, at->p1), few enough to wait in L2 between columns of tiles; `table` begins at the first one's inputs. */
static void run_band(const conv2d_problem *p, const real *packed, const depthwise_rows *at, shared *d, const pixel *table,
                     real *slices) {
    for (d->k0 = at->k0; d->k0 < at->k1; d->k0 = d->k1) {
        d->head = (int)min64(LANES, at->k1 - d->k0);
        if (!is_copied(p) && d->k0 == at->k0) d->head = lanes_to_line(p, at->image + d->k0, at->k1 - d->k0);
        d->k1 = block_end(p, d->k0, d->head, at->k1);
        d->packed = block_weights(p, d, packed, slices);
        run_block(p, at, d, table);
    }
}

void SYMBOL(depthwise_run)(const conv2d_problem *p, const real *packed, const depthwise_rows *at, void *workspace) {
    real *zeros = workspace, *slices = (real *)((char *)zeros + zeros_bytes(p));
    pixel *table = (pixel *)((char *)slices + slices_bytes(p));
    real *copy = is_copied(p) ? (real *)((char *)table + table_bytes(p, at->p1 - at->p0)) : NULL;
    const int64_t rows = min64(band_rows(p), at->p1 - at->p0), row = p->g.Q * at->y_step;
    shared d = describe(p, at->y_step);
    memset(zeros, 0, zeros_bytes(p));
    depthwise_rows part = *at;
    for (part.k0 = at->k0; part.k0 < at->k1; part.k0 = part.k1) {
        if (copy) part.k1 = min64(at->k1, part.k0 + block_vectors(p) * LANES);
        fill_table(p, at, part.k0, part.k1, zeros, table, copy);
        for (part.p0 = at->p0; part.p0 < at->p1; part.p0 = part.p1) {
            const int64_t done = part.p0 - at->p0;
            part.p1 = min64(at->p1, part.p0 + rows);
            part.y = at->y + done * row;
            if (at->residual) part.residual = at->residual + done * row;
            plan_ahead(p, &part, rows, &d);
            run_band(p, packed, &part, &d, table + done * p->g.stride[0] * table_width(p), slices);
        }
    }
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    return p->groups == p->g.C;
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K + (double)g->R * g->S * g->K);
    const double rate = multiplier(p) > 1 ? 0.1 : is_fixed3x3(g) ? 0.6 : 0.3;
    return cost_max(2 * conv2d_macs(p, N) / (NOMINAL_FLOPS * rate * lane_efficiency(g->K)), bytes / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    /* Below 100 ms, and with a table and a copy of the rows below them that stay in L2. */
    const int64_t by_time = (int64_t)(1e8 * (double)p->g.P / conv2d_macs(p, 1));
    const int64_t row_bytes = table_width(p) * (int64_t)sizeof(pixel) + (is_copied(p) ? p->g.W * (block_vectors(p) + 1) * VEC_BYTES : 0);
    const int64_t by_size = (ROW_BYTES / row_bytes - pixels_rows(p, 1)) / p->g.stride[0] + 1;
    const int64_t rows = max64(1, min64(64, min64(by_time, by_size)));
    bool is3x3 = is_fixed3x3(&p->g);
    return (grain){.columns = ceil_div(p->g.K, LANES), .block_rows = rows, .tile_pixels = is3x3 ? TILE_P * TILE_Q : LINE_Q,
                   .tile_channels = LANES, .workspace = SYMBOL(depthwise_workspace)(p, rows)};
}

static size_t packed_size(const void *problem) { return SYMBOL(depthwise_packed_size)(problem); }

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    SYMBOL(depthwise_pack)(problem, weight, bias, packed);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    for (int64_t row = at.row0; row < at.row1;) {
        int64_t n = row / g->P, to = row * g->Q * g->K;
        depthwise_rows rows = {.p0 = row % g->P, .k0 = at.col0 * LANES, .k1 = min64(g->K, at.col1 * LANES), .y_step = g->K,
                               .image = (const real *)t->x + n * g->H * g->W * g->C,
                               .residual = t->residual ? (const real *)t->residual + to : NULL,
                               .y = (real *)t->y + to};
        rows.p1 = min64(g->P, rows.p0 + (at.row1 - row));
        SYMBOL(depthwise_run)(p, packed, &rows, workspace);
        row += rows.p1 - rows.p0;
    }
}

const kernel SYMBOL(conv2d_depthwise) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
