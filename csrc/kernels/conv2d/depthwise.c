/* Depthwise: vectors run over channels, and outputs share each input vector they load (depthwise_tile.h).
 *
 * A table of pixels makes borders and padding modes one case, and its columns by phases make dilation none. Where one channel
 * has several outputs, some channels at a time are copied, each repeated. Tiles run within a band of rows that stays in L2,
 * down columns where pixels are wide (depthwise_walk.h).
 */
#include "depthwise.h"

#include "common/cost.h"
#include "common/head.h"

#if CNNFAST_REAL
#include "depthwise_walk.h"

static const int64_t ROW_BYTES = 256 * 1024;
/* A block of channels, in vectors: of 3x3 tiles, and at most of lines. */
enum { TILE_VECTORS = 1024 / VEC_BYTES };
/* What a line of outputs reads, and all its weights, may take of L1. */
static const int64_t LINE_BYTES = 20 * 1024;
/* Of x and y, that wait in L2 together. */
static const int64_t BAND_BYTES = 256 * 1024;

size_t SYMBOL(depthwise_packed_size)(const conv2d_problem *p) {
    return size_mul(size_mul((size_t)numbers(p), (size_t)(padded_K(p) + LANES)), sizeof(real));
}

void SYMBOL(depthwise_pack)(const conv2d_problem *p, const real *weight, const real *bias, real *packed) {
    const int64_t sums = padding_sums(p), taps = sums ? p->g.R * p->g.S / sums : 0;
    memset(packed, 0, SYMBOL(depthwise_packed_size)(p));
    for (int64_t k = 0; k < p->g.K; k++) {
        if (bias) packed[packed_at(p, 0, k)] = bias[k];
        for (int64_t r = 0; r < p->g.R; r++)
            for (int64_t s = 0; s < p->g.S; s++)
                packed[packed_at(p, 1 + sums + r * p->g.S + s, k)] = weight[r * p->step_r + s * p->step_s + k * p->step_k];
    }
    for (int64_t k = 0; k < p->g.K && sums; k += LANES)
        for (int64_t r = 0; r < sums; r++)
            v_store(packed + packed_at(p, 1 + r, k), padding_sum(packed + packed_at(p, 1 + sums + r * taps, k), taps));
}

/* Vectors at a time, so that inputs which neighbouring tiles share, and a line's weights, are still in L1 for the second. */
static int64_t block_vectors(const conv2d_problem *p) {
    const window *g = &p->g;
    const int axis = line_axis(g);
    const int64_t R = axis ? g->R : 1, S = axis ? g->S : g->R;
    const int64_t loads = R * ((LINE_Q - 1) * phases_of(g, axis).stride + 2 * S);
    return is_fixed3x3(g) ? TILE_VECTORS : max64(1, min64(TILE_VECTORS, LINE_BYTES / (loads * VEC_BYTES)));
}

static size_t zeros_bytes(const conv2d_problem *p) { return size_align(size_mul((size_t)padded_K(p), sizeof(real))); }
size_t SYMBOL(depthwise_workspace)(const conv2d_problem *p, int64_t rows) {
    size_t copy = 0;
    if (is_copied(p)) copy = size_mul(size_mul((size_t)pixels_rows(p, rows), (size_t)p->g.W), (size_t)((block_vectors(p) + 1) * VEC_BYTES));
    return size_add(size_add(zeros_bytes(p), table_bytes(p, rows)), copy);
}

/* Taps and steps along the rows of tiles. */
static shared describe(const conv2d_problem *p, int64_t y_step) {
    const window *g = &p->g;
    const int axis = is_fixed3x3(g) ? 1 : line_axis(g), across = 1 - axis;
    const int64_t pixel_of[2] = {g->dilation[0] * table_width(p), 1}, y_of[2] = {g->Q * y_step, y_step};
    return (shared){.number_step = number_step(p), .packed_step = numbers(p) * LANES, .unit = pixel_of[axis], .row = pixel_of[across],
                    .y_step = y_of[axis] * phases_of(g, axis).step, .y_row = y_of[across] * phases_of(g, across).step,
                    .R = axis ? g->R : 1, .S = axis ? g->S : g->R, .stride = phases_of(g, axis).stride, .epilogue = &p->epilogue};
}

/* Where the block of channels from k0 on ends: whole vectors after the first, and no part of one left alone. */
static int64_t block_end(const conv2d_problem *p, int64_t k0, int head, int64_t k1) {
    const int64_t end = k0 + head + (block_vectors(p) - 1) * LANES;
    return end + LANES > k1 ? k1 : end;
}

/* Rows of outputs whose inputs wait in L2 for the columns of tiles: whole tiles of all phases. */
static int64_t band_rows(const conv2d_problem *p) {
    const window *g = &p->g;
    const int64_t row = (g->stride[0] * g->W * g->C + g->Q * g->K) * (int64_t)sizeof(real);
    const int64_t tile = (line_axis(g) ? TILE_P : LINE_Q) * phases_of(g, 0).step;
    return is_copied(p) ? INT64_MAX : max64(1, BAND_BYTES / row / tile) * tile;
}

/* Lines: what the band after outputs [at->p0, at->p1) reads and they do not. */
static void plan_ahead(const conv2d_problem *p, const depthwise_rows *at, int64_t rows, shared *d) {
    const window *g = &p->g;
    const int64_t h0 = at->p1 * g->stride[0] + (g->R - 1) * g->dilation[0] - g->pad[0], size = g->W * g->C;
    const int64_t first = max64(0, min64(g->H, h0)), end = min64(g->H, first + rows * g->stride[0]);
    const bool asks = at->far && !is_fixed3x3(g) && !is_copied(p); /* a copy reads in a straight line */
    d->next = at->image + first * size, d->next_end = asks ? at->image + end * size : d->next;
    const bool single = (line_axis(g) ? g->R : g->S) == 1;
    const int64_t wide = line_axis(g) ? ceil_div(g->Q, LINE_Q) : g->Q, high = single && line_axis(g) ? rows : 1;
    const int64_t blocks = ceil_div(max64(1, at->k1 - at->k0 - LANES + 1), block_vectors(p) * LANES); /* as block_end joins them */
    d->ahead = ceil_div(d->next_end - d->next, wide * high * blocks);
}

/* Rows [at->p0, at->p1), few enough to wait in L2 between columns of tiles; `table` begins at the first one's inputs. */
static void run_band(const conv2d_problem *p, const real *packed, const depthwise_rows *at, shared *d, const pixel *table) {
    for (d->k0 = at->k0; d->k0 < at->k1; d->k0 = d->k1) {
        const int64_t channels = at->k1 - d->k0;
        const bool first = d->k0 == at->k0 && is_fixed3x3(&p->g) && !is_copied(p); /* only such weights can be read from any channel on */
        d->head = (int)(first ? head_to_line(at->y + d->k0, at->y_step, channels) : min64(LANES, channels));
        d->k1 = block_end(p, d->k0, d->head, at->k1);
        d->packed = packed + packed_at(p, 0, d->k0);
        /* A vector smaller than a cache line would fill it in parts, far from each other in time. */
        d->stream = at->stream && VEC_BYTES == CACHE_LINE && p->epilogue.activation <= CNNFAST_RELU6 &&
                    at->y_step * (int64_t)sizeof(real) % VEC_BYTES == 0 && (uintptr_t)(at->y + d->k0 + d->head) % VEC_BYTES == 0;
        run_block(p, at, d, table);
    }
}

void SYMBOL(depthwise_run)(const conv2d_problem *p, const real *packed, const depthwise_rows *at, void *workspace) {
    real *zeros = workspace;
    pixel *table = (pixel *)((char *)zeros + zeros_bytes(p));
    real *copy = is_copied(p) ? (real *)((char *)table + table_bytes(p, at->p1 - at->p0)) : NULL;
    const int64_t rows = min64(band_rows(p), at->p1 - at->p0), row = p->g.Q * at->y_step;
    shared d = describe(p, at->y_step);
    d.asks = at->far && !copy;
    d.x_below = TILE_P * phases_of(&p->g, 0).step * p->g.stride[0] * p->g.W * p->g.C;
    d.y_below = TILE_P * d.y_row;
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
            run_band(p, packed, &part, &d, table + done * p->g.stride[0] * table_width(p));
        }
    }
    if (at->stream) v_stream_end();
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    return p->groups == p->g.C;
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K + (double)g->R * g->S * g->K);
    const double rate = multiplier(p) > 1 ? 0.1 : 0.75;
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
                   .tile_channels = LANES, .streams = epilogue_streams(&p->epilogue, p->g.K) && VEC_BYTES == CACHE_LINE, .workspace = SYMBOL(depthwise_workspace)(p, rows)};
}

static size_t packed_size(const void *problem) { return SYMBOL(depthwise_packed_size)(problem); }

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    SYMBOL(depthwise_pack)(problem, weight, bias, packed);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    for (int64_t row = at.row0; row < at.row1;) {
        int64_t n = row / g->P, to = row * g->Q * t->y_step;
        depthwise_rows rows = {.p0 = row % g->P, .k0 = at.col0 * LANES, .k1 = min64(g->K, at.col1 * LANES), .y_step = t->y_step,
                               .image = (const real *)t->x + n * g->H * g->W * g->C,
                               .residual = t->residual ? (const real *)t->residual + to : NULL,
                               .y = (real *)t->y + to, .far = t->far, .stream = t->stream};
        rows.p1 = min64(g->P, rows.p0 + (at.row1 - row));
        SYMBOL(depthwise_run)(p, packed, &rows, workspace);
        row += rows.p1 - rows.p0;
    }
}

const kernel SYMBOL(conv2d_depthwise) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
