/* Maximum, minimum and average: 2x2 windows side by side and overlapping 3x3 ones in strips of outputs; other windows
 * several vectors of channels of one output at a time.
 *
 * Taps join down each column of the window, then along the columns: everywhere the same, since the order decides an
 * average's rounding and which of +0 and -0 is kept.
 */
#include "common/ahead.h"
#include "common/head.h"
#include "pool2d/strip.h"

/* Vectors of channels of one output at once. */
enum { VECTORS = TILE_M == 14 ? 8 : 4 };
static const int64_t L1_BYTES = 24 * 1024; /* of 32 */

static bool accepts(const void *problem) {
    const pool2d_problem *p = problem;
    return p->kind != CNNFAST_LP && !p->with_indices;
}

static double cost(const void *problem, int64_t N) {
    const pool2d_problem *p = problem;
    return cost_max(pool2d_taps(p, N) / (NOMINAL_FLOPS * 0.2), pool2d_bytes(p, N) / NOMINAL_DRAM);
}

/* Columns of the padded image under a row of outputs. */
static int64_t cols_in_table(const pool2d_problem *p) { return (p->g.Q - 1) * p->g.stride[1] + p->g.S; }

static grain grain_of(const void *problem) {
    const pool2d_problem *p = problem;
    return (grain){.columns = ceil_div(p->g.C, CHANNELS), .block_rows = pool2d_block_rows(p), .tile_pixels = 4,
                   .tile_channels = LANES, .workspace = size_align((size_t)cols_in_table(p) * sizeof(ptrdiff_t))};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

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
    vec all[VECTORS] = {0};
    nan_watch seen = v_unwatched();
    for (int64_t s = 0; s < w->cols; s++) {
        const real *x = w->x + s * w->col_step + c;
        vec col[VECTORS];
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++) {
            col[i] = load(x + i * LANES, n);
            if (watched(kind)) seen = v_watch(seen, col[i], col[i]);
        }
        for (int64_t r = 1; r < w->rows; r++) {
            x += w->row_step;
#pragma GCC unroll 8
            for (int i = 0; i < vectors; i++) {
                vec v = load(x + i * LANES, n);
                col[i] = join(kind, col[i], v);
                if (watched(kind)) seen = v_watch(seen, v, v);
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++) all[i] = s ? join(kind, all[i], col[i]) : col[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < vectors; i++) store(y + c + i * LANES, finish(kind, all[i], w->divisor), n);
    if (watched(kind) && v_saw_nan(seen)) again(kind, w, c, c + (vectors - 1) * LANES + n, y);
}

/* All channels [c0, c1) of one output, the first vector's `head`. Constant arguments make each its own code. */
INLINE void output(cnnfast_pool_kind kind, const view *w, int64_t c0, int64_t c1, int64_t head, real *y) {
    int64_t c = c0;
    if (head < LANES) one_output(kind, 1, w, c, (int)head, y), c += head;
    for (; c + VECTORS * LANES <= c1; c += VECTORS * LANES) one_output(kind, VECTORS, w, c, LANES, y);
    for (; c + LANES <= c1; c += LANES) one_output(kind, 1, w, c, LANES, y);
    if (c < c1) one_output(kind, 1, w, c, (int)(c1 - c), y);
}

/* What the rows of one call share. */
typedef struct {
    const pool2d_problem *p;
    const real *image;
    const span *rows;
    const ptrdiff_t *cols; /* elements from a row's start to its column i - pad_left, or to the nearest there is */
    int64_t c0, c1, head; /* channels of the first vector */
    int64_t y_step;       /* elements from an output to the next */
    bool far;             /* as of tensors */
    mask left;            /* where the left pixels' lanes lie in a vector of pixels: narrow_row's */
    real *y;
} work;

INLINE void any_row(cnnfast_pool_kind kind, const work *k, int64_t q0, int64_t q1) {
    for (int64_t q = q0; q < q1; q++) {
        const view w = view_of(k->p, k->image, k->rows[0], k->p->cols[q]);
        output(kind, &w, k->c0, k->c1, k->head, k->y + q * k->y_step);
    }
}

static __attribute__((noinline)) void rows_again(cnnfast_pool_kind kind, const work *k, int rows, int64_t q0, int64_t q1) {
    for (int row = 0; row < rows; row++)
        for (int64_t q = q0; q < q1; q++) {
            const view w = view_of(k->p, k->image, k->rows[row], k->p->cols[q]);
            again(kind, &w, k->c0, k->c1, k->y + (row * k->p->g.Q + q) * k->y_step);
        }
}

/* What a strip below `count` outputs of t.tp rows, from (row, q) on, reads and writes. */
static __attribute__((noinline)) void ask_below(shape t, const work *k, int64_t row, int64_t q, int64_t count) {
    const window *g = &k->p->g;
    const int64_t down = t.tp * t.stride, below = row * t.stride - g->pad[0] + rows_under(t), channels = k->c1 - k->c0;
    const int64_t w = max64(0, q * t.stride - g->pad[2]);
    for (int64_t h = below; h < min64(g->H, below + down); h++)
        ask_pixels(k->image + (h * g->W + w) * g->C + k->c0, count * t.stride, g->C, channels);
    for (int a = t.tp; a < 2 * t.tp; a++) ask_pixels(k->y + (a * g->Q + q) * k->y_step + k->c0, count, k->y_step, channels);
}

/* Outputs [q0, q1), at least t.tq, of t.tp rows from `row` on; the last step goes back. A maximum's or minimum's pixels
 * beyond the border are the nearest ones inside: these are in the window too. */
INLINE void strip_rows(cnnfast_pool_kind kind, shape t, const work *k, int64_t row, int64_t q0, int64_t q1) {
    const window *g = &k->p->g;
    const int64_t y_row = g->Q * k->y_step, h0 = row * t.stride - g->pad[0];
    const real *rows[MOST_PIXELS];
    nan_watch seen = v_unwatched();
    for (int i = 0; i < rows_under(t); i++)
        rows[i] = k->image + max64(0, min64(h0 + i, g->H - 1)) * g->W * g->C + k->c0;
    for (int64_t q = q0, steps; q < q1; q += steps * t.tq) {
        steps = max64(1, min64(2 * cols_kept(t), (q1 - q) / t.tq)); /* longer ones leave and return to more lines of y */
        const int64_t first = min64(q, q1 - t.tq);
        if (t.R == 2 && k->far) ask_below(t, k, row, first, steps * t.tq); /* overlapping windows gain nothing */
        const nan_watch of = strip_of(kind, t, rows, k->cols + first * t.stride, steps, k->c1 - k->c0, k->head, (real)(t.R * t.S),
                                      (target){k->y + first * k->y_step + k->c0, y_row, k->y_step});
        if (watched(kind)) seen = v_watch_both(seen, of);
    }
    if (watched(kind) && v_saw_nan(seen)) rows_again(kind, k, t.tp, q0, q1);
}

/* Outputs [q0, q1) of a row, whole 2x2 windows of so few channels that a vector holds both columns of a window, or of some:
 * rows join first, then each left pixel with its right one. */
INLINE void narrow_row(cnnfast_pool_kind kind, const work *k, int64_t row, int64_t q0, int64_t q1) {
    const window *g = &k->p->g;
    const int64_t C = g->C, at_once = LANES / (2 * C), below = g->W * C;
    const real *x = k->image + (row * 2 - g->pad[0]) * below + k->cols[q0 * 2];
    const mask left = k->left, right = left + (lane_int)C;
    nan_watch seen = v_unwatched();
    for (int64_t q = q0; q < q1; q += at_once, x += at_once * 2 * C) {
        const int n = (int)(min64(at_once, q1 - q) * C);
        const vec above = load(x, 2 * n), under = load(x + below, 2 * n);
        if (watched(kind)) seen = v_watch(seen, above, under);
        const vec both = join(kind, above, under);
        store(k->y + q * C, finish(kind, join(kind, v_permute(both, left), v_permute(both, right)), 4), n);
    }
    if (watched(kind) && v_saw_nan(seen)) rows_again(kind, k, 1, q0, q1);
}

static mask left_lanes(int64_t C) {
    mask left = {0};
    for (int64_t i = 0, pixel = 0, c = 0; i < LANES; i++) {
        left[i] = (lane_int)((pixel + c) % LANES);
        if (++c == C) c = 0, pixel += 2 * C;
    }
    return left;
}

/* Windows that have strips of their own: of R x R pixels, a stride apart. */
typedef enum { OTHER_WINDOW, NARROW_2_BY_2, WINDOW_2_BY_2, WINDOW_3_BY_1, WINDOW_3_BY_2 } form;

static form form_of(const pool2d_problem *p, int64_t y_step) {
    const window *g = &p->g;
    const int64_t stride = g->stride[0];
    if (g->dilation[0] != 1 || g->dilation[1] != 1 || g->R != g->S || stride != g->stride[1]) return OTHER_WINDOW;
    if (p->whole_end - p->whole_begin < 2) return OTHER_WINDOW; /* outputs of a step; none are whole where adaptive */
    if (g->R == 2 && stride == 2) return 2 * g->C <= LANES && y_step == g->C ? NARROW_2_BY_2 : WINDOW_2_BY_2;
    if (g->R == 3 && stride <= 2) return stride == 1 ? WINDOW_3_BY_1 : WINDOW_3_BY_2;
    return OTHER_WINDOW;
}

static bool whole(const span *rows, const window *g) { return rows->taps == g->R && rows->extent == g->R; }

/* Strips of one kind for one row of outputs and for two at once. Each is a function of its own: in one all of them have to share
 * what registers there are for addresses. */
typedef void strip(const work *k, int64_t row, int64_t q0, int64_t q1);
typedef struct {
    strip *of[WINDOW_3_BY_2 + 1][2];
} strips;

/* The rows of outputs done: two at once where `pair`, which share their input. */
INLINE int64_t some_rows(cnnfast_pool_kind kind, const strips *by, const work *k, int64_t row, bool pair) {
    const pool2d_problem *p = k->p;
    const window *g = &p->g;
    const form which = form_of(p, k->y_step);
    const bool borders = kind != CNNFAST_AVERAGE && which != NARROW_2_BY_2; /* a strip may lie on them */
    const int64_t q0 = borders ? 0 : p->whole_begin, q1 = borders ? g->Q : p->whole_end;
    if (which == OTHER_WINDOW || !(borders || whole(&k->rows[0], g))) {
        any_row(kind, k, 0, g->Q);
        return 1;
    }
    const int64_t done = pair && by->of[which][1] && (borders || whole(&k->rows[1], g)) ? 2 : 1;
    if (which == NARROW_2_BY_2) narrow_row(kind, k, row, q0, q1);
    else by->of[which][done - 1](k, row, q0, q1);
    for (int64_t i = 0; i < done; i++) {
        work of = *k;
        of.rows += i, of.y += i * g->Q * k->y_step;
        any_row(kind, &of, 0, q0);
        any_row(kind, &of, q1, g->Q);
    }
    return done;
}

#define DEFINE_STRIP(name, kind, ...)                                                                               \
    static __attribute__((noinline)) void name(const work *k, int64_t row, int64_t q0, int64_t q1) {                \
        strip_rows(kind, (shape){__VA_ARGS__}, k, row, q0, q1);                                                     \
    }
#define DEFINE_ROWS(name, kind)                                                                                     \
    DEFINE_STRIP(name##_2_by_2, kind, 2, 2, 2, 1, 2)                                                                \
    DEFINE_STRIP(name##_3_by_1, kind, 3, 3, 1, 1, 2)                                                                \
    DEFINE_STRIP(name##_3_by_1_pair, kind, 3, 3, 1, 2, 2)                                                           \
    DEFINE_STRIP(name##_3_by_2, kind, 3, 3, 2, 1, 1)                                                                \
    DEFINE_STRIP(name##_3_by_2_pair, kind, 3, 3, 2, 2, 1)                                                           \
    static int64_t name##_rows(const work *k, int64_t row, bool pair) {                                             \
        static const strips by = {{[WINDOW_2_BY_2] = {name##_2_by_2},                                               \
                                   [WINDOW_3_BY_1] = {name##_3_by_1, name##_3_by_1_pair},                           \
                                   [WINDOW_3_BY_2] = {name##_3_by_2, name##_3_by_2_pair}}};                         \
        return some_rows(kind, &by, k, row, pair);                                                                  \
    }
DEFINE_ROWS(max, CNNFAST_MAX)
DEFINE_ROWS(min, CNNFAST_MIN)
#if CNNFAST_REAL
DEFINE_ROWS(average, CNNFAST_AVERAGE)
#else
#define average_rows NULL /* integers have none: the plan refuses it */
#endif

/* Channels at a time: where rows of outputs share rows of pixels, so few that these are still in L1 for the next, unless
 * that leaves short runs, which memory is slow at. */
static int64_t chunk_of(const window *g) {
    const int64_t fits = L1_BYTES / (int64_t)sizeof(real) / ((g->R + 1) * g->W) / CHANNELS * CHANNELS;
    return g->P > 1 && g->stride[0] < g->R - 1 && fits >= 4 * CHANNELS ? fits : g->C;
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const pool2d_problem *p = problem;
    const window *g = &p->g;
    ptrdiff_t *cols = workspace;
    for (int64_t i = 0, n = cols_in_table(p); i < n; i++) cols[i] = max64(0, min64(i - g->pad[2], g->W - 1)) * g->C;
    int64_t (*rows_of)(const work *, int64_t, bool) =
        p->kind == CNNFAST_MAX ? max_rows : p->kind == CNNFAST_MIN ? min_rows : average_rows;
    const int64_t first = at.col0 * CHANNELS, past = min64(g->C, at.col1 * CHANNELS), chunk = chunk_of(g);
    const mask left = left_lanes(g->C);
    for (int64_t c0 = first, c1; c0 < past; c0 = c1) {
        /* Later chunks start at a line then. */
        const int64_t head = c0 == first ? head_to_line((real *)t->y + c0, t->y_step, past - c0) : LANES;
        c1 = c0 + chunk < past ? c0 + chunk + head - LANES : past;
        for (int64_t row = at.row0; row < at.row1;) {
            const int64_t h = row % g->P;
            const work k = {.p = p, .image = (const real *)t->x + row / g->P * g->H * g->W * g->C, .rows = p->rows + h, .cols = cols,
                            .c0 = c0, .c1 = c1, .head = min64(head, c1 - c0), .y_step = t->y_step, .far = t->far, .left = left,
                            .y = (real *)t->y + row * g->Q * t->y_step};
            row += rows_of(&k, h, row + 1 < at.row1 && h + 1 < g->P);
        }
    }
}

const kernel SYMBOL(pool2d_window) = {accepts, cost, grain_of, packed_size, pack, run};
