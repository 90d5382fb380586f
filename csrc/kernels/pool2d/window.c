/* Maximum, minimum and average: several vectors of channels of an output at once, and where windows of three columns
 * overlap, several outputs, which share them.
 *
 * Taps join down each column of the window, then along the columns: everywhere the same, since the order decides an
 * average's rounding and which of +0 and -0 is kept.
 */
#include "pool2d/view.h"

/* Vectors of channels of one output at once; outputs side by side that share a vector, and the columns under them. */
enum { VECTORS = TILE_M == 14 ? 8 : 4, TILE_Q = TILE_M == 14 || TILE_V == 4 ? 4 : 2, COLUMNS = (TILE_Q - 1) * 2 + 3 };

static bool accepts(const void *problem) {
    const pool2d_problem *p = problem;
    return p->kind != CNNFAST_LP && !p->with_indices;
}

static double cost(const void *problem, int64_t N) {
    const pool2d_problem *p = problem;
    double bytes = 4.0 * N * p->g.C * ((double)p->g.H * p->g.W + (double)p->g.P * p->g.Q);
    return cost_max(pool2d_taps(p, N) / (NOMINAL_FLOPS * 0.2), bytes / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const pool2d_problem *p = problem;
    return (grain){.columns = ceil_div(p->g.C, CHANNELS), .block_rows = pool2d_block_rows(p), .tile_pixels = TILE_Q,
                   .tile_channels = LANES};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

/* Maxima and minima as the ISA has them lose a NaN. */
INLINE vec join(cnnfast_pool_kind kind, vec known, vec v) {
    if (kind == CNNFAST_AVERAGE) return known + v;
    return kind == CNNFAST_MAX ? v_greater(v, known) : v_lesser(v, known);
}

/* So a sum is kept beside them: it is NaN if a tap was, or if infinities met; then the outputs are done again. */
INLINE bool watched(cnnfast_pool_kind kind) { return CNNFAST_REAL && kind != CNNFAST_AVERAGE; }

INLINE vec finish(cnnfast_pool_kind kind, vec v, real divisor) { return kind == CNNFAST_AVERAGE ? v / v_splat(divisor) : v; }

/* Channels [c, past) of one output, NaN and all. */
static __attribute__((noinline)) void again(cnnfast_pool_kind kind, const view *w, int64_t c, int64_t past, real *y) {
    for (; c < past; c += LANES) {
        const int n = (int)min64(LANES, past - c);
        vec best = load(w->x + c, n);
        for (int64_t s = 0; s < w->cols; s++)
            for (int64_t r = 0; r < w->rows; r++) {
                vec v = load(w->x + r * w->row_step + s * w->col_step + c, n);
                best = v_select(beats(kind, v, best), v, best);
            }
        store(y + c, best, n);
    }
}

/* `vectors` vectors of channels of one output; n is the last one's lanes. */
INLINE void one_output(cnnfast_pool_kind kind, int vectors, const view *w, int64_t c, int n, real *y) {
    vec all[VECTORS], sum[VECTORS];
    for (int64_t s = 0; s < w->cols; s++) {
        const real *x = w->x + s * w->col_step + c;
        vec col[VECTORS];
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++) {
            col[i] = load(x + i * LANES, n);
            if (watched(kind)) sum[i] = s ? sum[i] + col[i] : col[i];
        }
        for (int64_t r = 1; r < w->rows; r++) {
            x += w->row_step;
#pragma GCC unroll 8
            for (int i = 0; i < vectors; i++) {
                vec v = load(x + i * LANES, n);
                col[i] = join(kind, col[i], v);
                if (watched(kind)) sum[i] += v;
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++) all[i] = s ? join(kind, all[i], col[i]) : col[i];
    }
    mask suspect = {0};
#pragma GCC unroll 8
    for (int i = 0; i < vectors; i++) {
        if (watched(kind)) suspect |= sum[i] != sum[i];
        store(y + c + i * LANES, finish(kind, all[i], w->divisor), n);
    }
    if (watched(kind) && v_any(suspect)) again(kind, w, c, c + (vectors - 1) * LANES + n, y);
}

/* One vector of `tall` rows of TILE_Q outputs, whose windows of 3 columns overlap; of `taps` rows, 3 where tall is 2. All
 * but w, c, n and taps is constant. y_row and y_step are elements from an output to the next row's and to its neighbour. */
INLINE void several_outputs(cnnfast_pool_kind kind, int64_t taps, int stride, int tall, const view *w, int64_t c, int n, real *y,
                            int64_t y_row, int64_t y_step) {
    vec col[2][COLUMNS], sum = {0};
#pragma GCC unroll 15
    for (int j = 0; j < (TILE_Q - 1) * stride + 3; j++) {
        const real *x = w->x + j * w->col_step + c;
        vec seen = {0}; /* a column's own: one chain over all taps would be all latency */
#pragma GCC unroll 5
        for (int64_t r = 0; r < (tall - 1) * stride + taps; r++) {
            vec v = load(x + r * w->row_step, n);
            if (watched(kind)) seen += v;
#pragma GCC unroll 2
            for (int a = 0; a < tall; a++)
                if (r == a * stride) col[a][j] = v;
                else if (r > a * stride && r < a * stride + taps) col[a][j] = join(kind, col[a][j], v);
        }
        if (watched(kind)) sum += seen;
    }
#pragma GCC unroll 2
    for (int a = 0; a < tall; a++)
#pragma GCC unroll 7
        for (int b = 0; b < TILE_Q; b++) {
            vec all = join(kind, join(kind, col[a][b * stride], col[a][b * stride + 1]), col[a][b * stride + 2]);
            store(y + a * y_row + b * y_step + c, finish(kind, all, w->divisor), n);
        }
    if (!watched(kind) || !v_any(sum != sum)) return;
    for (int a = 0; a < tall; a++)
        for (int b = 0; b < TILE_Q; b++) {
            view of = *w;
            of.x += a * stride * w->row_step + b * stride * w->col_step;
            of.rows = taps;
            again(kind, &of, c, c + n, y + a * y_row + b * y_step);
        }
}

/* All channels [c0, c1): of one output, and of TILE_Q. Constant arguments make each its own code. */
INLINE void output(cnnfast_pool_kind kind, const view *w, int64_t c0, int64_t c1, real *y) {
    int64_t c = c0;
    for (; c + VECTORS * LANES <= c1; c += VECTORS * LANES) one_output(kind, VECTORS, w, c, LANES, y);
    for (; c + LANES <= c1; c += LANES) one_output(kind, 1, w, c, LANES, y);
    if (c < c1) one_output(kind, 1, w, c, (int)(c1 - c), y);
}

INLINE void outputs(cnnfast_pool_kind kind, int64_t taps, int stride, int tall, const view *w, int64_t c0, int64_t c1, real *y,
                    int64_t y_row, int64_t y_step) {
    int64_t c = c0;
    for (; c + LANES <= c1; c += LANES) several_outputs(kind, taps, stride, tall, w, c, LANES, y, y_row, y_step);
    if (c < c1) several_outputs(kind, taps, stride, tall, w, c, (int)(c1 - c), y, y_row, y_step);
}

INLINE void tile_of(cnnfast_pool_kind kind, int64_t stride, int64_t tall, const view *w, int64_t c0, int64_t c1, real *y,
                    int64_t y_row, int64_t y_step) {
    if (stride == 1 && tall == 2) outputs(kind, 3, 1, 2, w, c0, c1, y, y_row, y_step);
    else if (stride == 1) outputs(kind, w->rows, 1, 1, w, c0, c1, y, y_row, y_step);
    else if (tall == 2) outputs(kind, 3, 2, 2, w, c0, c1, y, y_row, y_step);
    else outputs(kind, w->rows, 2, 1, w, c0, c1, y, y_row, y_step);
}

/* `tall` rows of outputs, channels [c0, c1). */
INLINE void output_rows(cnnfast_pool_kind kind, const pool2d_problem *p, const real *image, const span *rows, int64_t tall,
                        int64_t c0, int64_t c1, real *y) {
    const window *g = &p->g;
    const int64_t y_row = g->Q * g->C, y_step = g->C;
    const bool tiled = g->dilation[0] == 1 && g->dilation[1] == 1 && g->S == 3 && g->stride[0] == g->stride[1] && g->stride[1] <= 2 &&
                       p->whole_end - p->whole_begin >= TILE_Q;
    for (int64_t q = 0; q < g->Q;) {
        const bool tile = tiled && q >= p->whole_begin && q < p->whole_end;
        const int64_t first = tile ? min64(q, p->whole_end - TILE_Q) : q; /* the last tile steps back */
        const view w = view_of(p, image, rows[0], p->cols[first]);
        if (tile) tile_of(kind, g->stride[1], tall, &w, c0, c1, y + first * y_step, y_row, y_step);
        else output(kind, &w, c0, c1, y + q * y_step);
        if (!tile && tall == 2) {
            const view below = view_of(p, image, rows[1], p->cols[q]);
            output(kind, &below, c0, c1, y + y_row + q * y_step);
        }
        q = tile ? first + TILE_Q : q + 1;
    }
}

#define DEFINE_ROWS(name, kind)                                                                                          \
    static void name(const pool2d_problem *p, const real *image, const span *rows, int64_t tall, int64_t c0, int64_t c1, \
                     real *y) {                                                                                          \
        output_rows(kind, p, image, rows, tall, c0, c1, y);                                                              \
    }
DEFINE_ROWS(max_rows, CNNFAST_MAX)
DEFINE_ROWS(min_rows, CNNFAST_MIN)
#if CNNFAST_REAL
DEFINE_ROWS(average_rows, CNNFAST_AVERAGE)
#else
#define average_rows NULL /* integers have none: the plan refuses it */
#endif

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed, (void)workspace;
    const pool2d_problem *p = problem;
    const window *g = &p->g;
    const int64_t c0 = at.col0 * CHANNELS, c1 = min64(g->C, at.col1 * CHANNELS);
    void (*rows_of)(const pool2d_problem *, const real *, const span *, int64_t, int64_t, int64_t, real *) =
        p->kind == CNNFAST_MAX ? max_rows : p->kind == CNNFAST_MIN ? min_rows : average_rows;
    for (int64_t row = at.row0, tall; row < at.row1; row += tall) {
        const span *rows = p->rows + row % g->P;
        /* Two rows of outputs share their input: of one image, and a stride apart. */
        tall = row + 1 < at.row1 && row % g->P + 1 < g->P && rows[0].taps == 3 && rows[1].taps == 3 &&
               rows[1].first - rows[0].first == g->stride[0] ? 2 : 1;
        rows_of(p, (const real *)t->x + row / g->P * g->H * g->W * g->C, rows, tall, c0, c1, (real *)t->y + row * g->Q * g->C);
    }
}

const kernel SYMBOL(pool2d_window) = {accepts, cost, grain_of, packed_size, pack, run};
