/* A dense layer. Weights lie in panels of one vector of outputs, [K/LANES][1 + C][LANES] with the biases first, so that
 * each is one stream; a tile is some rows of x by some panels. Few rows take many panels, to hide the FMA's latency and
 * keep many streams in flight; many rows take few.
 *
 * Each output is one chain: its bias, then one FMA per c, ascending. Where C is blocked, the chain waits in y. */
#include "linear/problem.h"

#include "common/cost.h"
#include "common/epilogue.h"

#if CNNFAST_REAL

/* Accumulators, beside a weight and a broadcast for each panel or so; MOST_ROWS of them by one panel is the largest tile. */
#if defined(CNNFAST_ISA_avx512)
#define ACCUMULATORS 28
#define MOST_ROWS 16
#elif defined(CNNFAST_ISA_neon)
#define ACCUMULATORS 24
#define MOST_ROWS 16
#elif defined(CNNFAST_ISA_avx2)
#define ACCUMULATORS 12
#define MOST_ROWS 12
#else
#define ACCUMULATORS 8
#define MOST_ROWS 8
#endif
#define MOST_PANELS 8
#define PANELS_OF(m) ((m) >= ACCUMULATORS ? 1 : ACCUMULATORS / (m) > MOST_PANELS ? MOST_PANELS : ACCUMULATORS / (m))

/* Of the rows' block of x, interleaved: a share of L2, beside as much of the weights. */
static const int64_t BLOCK_BYTES = 256 * 1024;
static const double CALL_MACS = 1e9;
/* How many vectors ahead a stream is asked for: fewer where many streams share what memory has under way. */
#define AHEAD_OF(v) ((v) >= 4 ? 24 : 64)

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const linear_problem *p = problem;
    const double weights = (double)p->C * (double)p->K;
    return cost_max(2 * (double)N * weights / NOMINAL_FLOPS, weights * sizeof(real) / NOMINAL_DRAM);
}

/* Rows of a call: enough to use the weights well, few enough to be seen to end. */
static int64_t block_rows(const linear_problem *p) {
    const double rows = CALL_MACS / ((double)p->C * (double)p->K);
    return rows > 448 ? 448 : rows < 56 ? 56 : (int64_t)rows;
}

/* Elements of C that a block of rows takes at a time. */
static int64_t block_depth(const linear_problem *p, int64_t rows) {
    const int64_t most = max64(256, BLOCK_BYTES / (rows * (int64_t)sizeof(real)));
    return ceil_div(p->C, ceil_div(p->C, most)); /* of about equal depth */
}

static grain grain_of(const void *problem) {
    const linear_problem *p = problem;
    const int64_t rows = block_rows(p);
    const int64_t most = max64(BLOCK_BYTES / (int64_t)sizeof(real), 256 * rows);
    return (grain){.columns = ceil_div(p->K, LANES), .block_rows = rows, .tile_pixels = ACCUMULATORS / 2, .tile_channels = 2 * LANES,
                   .workspace = size_mul((size_t)min64(most, size_mul((size_t)rows, (size_t)p->C)), sizeof(real))};
}

static size_t panel_size(const linear_problem *p) { return size_mul(size_add((size_t)p->C, 1), LANES); }

static size_t packed_size(const void *problem) {
    const linear_problem *p = problem;
    return size_mul(size_mul((size_t)ceil_div(p->K, LANES), panel_size(p)), sizeof(real));
}

static void pack_columns(const void *problem, const void *weight, const void *bias, void *packed, int64_t col0, int64_t col1) {
    const linear_problem *p = problem;
    for (int64_t col = col0; col < col1; col++) {
        real *to = (real *)packed + col * (int64_t)panel_size(p);
        const int64_t k0 = col * LANES;
        const real *from = (const real *)weight + k0 * p->C;
        const int channels = (int)min64(LANES, p->K - k0);
        for (int k = 0; k < LANES; k++) *to++ = bias && k < channels ? ((const real *)bias)[k0 + k] : 0;
        for (int64_t c = 0; c < p->C; c++, to += LANES)
            if (channels == LANES)
                for (int k = 0; k < LANES; k++) to[k] = from[k * p->C + c];
            else
                for (int k = 0; k < LANES; k++) to[k] = k < channels ? from[k * p->C + c] : 0;
    }
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    pack_columns(problem, weight, bias, packed, 0, grain_of(problem).columns);
}

/* A tile's place: weights of its first panel from c0 on, and what lies between panels, elements. */
typedef struct {
    const real *x, *weight, *bias;
    int64_t depth, panel_step;
    ptrdiff_t next; /* elements from this tile's weights to those that come after */
    real *y;
    int64_t y_step;
    int last;    /* lanes of the last panel that exist */
    bool first;  /* starts at the bias; else the chain resumes what y holds */
    bool ends;   /* the activation is due */
} place;

/* Over what a tile just stored, still in L1; the activations are too long to stand in every kind of tile. */
static __attribute__((noinline)) void activate(int rows, int64_t y_step, int64_t count, real *y, const epilogue *e) {
    for (int i = 0; i < rows; i++) SYMBOL(epilogue_run)(e, y + i * y_step, count);
}

INLINE void tile_run(int m, int v, const place *t, const epilogue *e) {
    vec acc[MOST_ROWS][MOST_PANELS];
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 8
        for (int j = 0; j < v; j++) {
            const real *from = t->y + i * t->y_step + j * LANES;
            acc[i][j] = t->first ? v_load(t->bias + j * t->panel_step)
                                 : j < v - 1 || t->last == LANES ? v_load(from) : v_load_n(from, t->last);
        }
    const real *x = t->x;
    const real *w[MOST_PANELS];
#pragma GCC unroll 8
    for (int j = 0; j < v; j++) w[j] = t->weight + j * t->panel_step;
    /* The last steps ask for the first vectors of the next tile. */
    const int64_t turn = t->depth > AHEAD_OF(v) ? t->depth - AHEAD_OF(v) : 0;
    ptrdiff_t ahead = AHEAD_OF(v) * LANES;
    for (int64_t c = 0, end = turn; c < t->depth; end = t->depth, ahead = t->next - turn * LANES)
        for (; c < end; c++, x += m) {
            vec weight[MOST_PANELS];
#pragma GCC unroll 8
            for (int j = 0; j < v; j++) {
                __builtin_prefetch(w[j] + c * LANES + ahead, 0, 2);
                weight[j] = v_load(w[j] + c * LANES);
            }
#pragma GCC unroll 16
            for (int i = 0; i < m; i++) {
                const vec of = v_splat(x[i]);
#pragma GCC unroll 8
                for (int j = 0; j < v; j++) acc[i][j] = v_fma(of, weight[j], acc[i][j]);
            }
        }
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 8
        for (int j = 0; j < v; j++) {
            real *to = t->y + i * t->y_step + j * LANES;
            if (j < v - 1 || t->last == LANES) v_store(to, acc[i][j]);
            else v_store_n(to, acc[i][j], t->last);
        }
    if (t->ends && e->activation != CNNFAST_NONE) activate(m, t->y_step, v * LANES - LANES + t->last, t->y, e);
}

#define PANELS(m, n)                                                              \
    case n:                                                                       \
        if (n <= PANELS_OF(m)) tile_run(m, n <= PANELS_OF(m) ? n : 1, t, e);      \
        break;
#define ROWS(m)                                                                   \
    case m:                                                                       \
        switch (v) {                                                              \
            PANELS(m, 1) PANELS(m, 2) PANELS(m, 3) PANELS(m, 4)                   \
            PANELS(m, 5) PANELS(m, 6) PANELS(m, 7) PANELS(m, 8)                   \
        }                                                                         \
        break;
/* v is at most PANELS_OF(m). */
static void tile_any(int m, int v, const place *t, const epilogue *e) {
    switch (m) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8)
#if MOST_ROWS >= 12
        ROWS(9) ROWS(10) ROWS(11) ROWS(12)
#endif
#if MOST_ROWS >= 16
        ROWS(13) ROWS(14) ROWS(15) ROWS(16)
#endif
    }
}

/* Rows [first, first + m) of x, elements [c0, c0 + depth) of each: [depth][m]. */
static void interleave(const real *x, int64_t C, int64_t m, int64_t depth, real *to) {
    enum { STEP = 16 }; /* a cache line of each row at a time */
    for (int64_t c = 0; c < depth; c += STEP)
        for (int64_t i = 0; i < m; i++)
            for (int64_t s = c; s < min64(depth, c + STEP); s++) to[s * m + i] = x[i * C + s];
}

/* Tiles of about equal height: all rows in one where they fit it, else the height whose tile has two panels. */
static int64_t tile_count(int64_t rows) { return rows <= MOST_ROWS ? 1 : ceil_div(rows, ACCUMULATORS / 2); }

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const linear_problem *p = problem;
    const int64_t rows = at.row1 - at.row0, tiles = tile_count(rows), depth = block_depth(p, rows), panel = (int64_t)panel_size(p);
    const int64_t together = PANELS_OF((int)ceil_div(rows, tiles));
    const real *x = (const real *)t->x + at.row0 * p->C;
    for (int64_t c0 = 0; c0 < p->C; c0 += depth) {
        const int64_t deep = min64(depth, p->C - c0);
        real *lined = workspace;
        if (rows > 1)
            for (int64_t i = 0; i < tiles; i++) {
                const int64_t begin = rows * i / tiles, m = rows * (i + 1) / tiles - begin;
                interleave(x + begin * p->C + c0, p->C, m, deep, lined + begin * deep);
            }
        for (int64_t col = at.col0, v; col < at.col1; col += v) {
            const int64_t left = at.col1 - col;
            v = ceil_div(left, ceil_div(left, together)); /* of about equal width: a lone panel would wait for its chain */
            const real *of = (const real *)packed + col * panel;
            for (int64_t i = 0; i < tiles; i++) {
                const int64_t begin = rows * i / tiles, m = rows * (i + 1) / tiles - begin;
                const ptrdiff_t next = i + 1 < tiles ? 0 : col + v < at.col1 ? v * panel : (at.col0 - col) * panel + deep * LANES;
                const place to = {.x = rows > 1 ? lined + begin * deep : x + c0, .weight = of + (1 + c0) * LANES, .bias = of,
                                  .depth = deep, .panel_step = panel, .next = next,
                                  .y = (real *)t->y + (at.row0 + begin) * p->K + col * LANES, .y_step = p->K,
                                  .last = (int)min64(LANES, p->K - (col + v - 1) * LANES), .first = c0 == 0, .ends = c0 + deep == p->C};
                if (v <= PANELS_OF((int)m)) tile_any((int)m, (int)v, &to, &p->epilogue);
                else /* a tile of another height takes its panels one by one */
                    for (int64_t j = 0; j < v; j++) {
                        place one = to;
                        one.weight += j * panel, one.bias += j * panel, one.y += j * LANES;
                        one.last = (int)min64(LANES, p->K - (col + j) * LANES);
                        tile_any((int)m, 1, &one, &p->epilogue);
                    }
            }
        }
    }
}

const kernel SYMBOL(linear_panels) = {accepts, cost, grain_of, packed_size, pack, run, pack_columns};
#endif
