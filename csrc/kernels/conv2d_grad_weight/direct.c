/* Outer products: a tile of up to TILE_M rows of the weight (channels of one tap) by TILE_N filters waits in registers while a
 * block of pixels goes by, each with TILE_M numbers of x, spread, times TILE_N of grad_output.
 *
 * A block's grad_output is copied into panels of TILE_N filters, and a table says for each tap where its pixels lie, without
 * those in the padding. Few channels: a tile's rows are channels of all taps of a row of the kernel, which lie in one piece in a
 * band of x with its padding.
 */
#include "common/band.h"
#include "common/cost.h"
#include "common/gemm.h"
#include "conv2d_grad_weight/outer.h"
#include "conv2d_grad_weight/problem.h"

#if CNNFAST_REAL

enum {
    BLOCK = 256,    /* pixels at a time */
    PANELS = 2048,  /* pixels of all panels at a time: in f32 256 KB of L2 */
    TAPS = 16,      /* tables at a time */
    FEW_CHANNELS = 8,
    STEPS = 2,      /* pixels between two moves of the addresses */
    LARGEST_BAND = 1 << 20, /* elements; a stride or dilation far beyond the kernel would copy padding alone */
    LINE = CACHE_LINE / (int)sizeof(real)
};

typedef struct {
    ptrdiff_t x, gradient; /* elements from the block's to the pixel's */
} place;

/* The weight's rows: `taps` runs of `length`, each cut into `tiles` of about equal size. */
typedef struct {
    bool band;
    int64_t taps, length, tiles;
    int64_t panels; /* of a group */
} shape;

static int64_t band_width(const window *g, int64_t columns) { return (columns - 1) * g->stride[1] + g->S; }
static int64_t band_height(const window *g, int64_t rows) { return (rows - 1) * g->stride[0] + (g->R - 1) * g->dilation[0] + 1; }

/* Elements of a band: some whole rows of pixels, or a part of one. */
static size_t band_size(const window *g) {
    const int64_t rows = g->Q < BLOCK ? BLOCK / g->Q : 1;
    const size_t lines = (size_t)band_height(g, min64(rows, g->P));
    return size_mul(size_mul(lines, (size_t)band_width(g, min64(g->Q, BLOCK))), (size_t)g->C);
}

static shape shape_of(const conv2d_problem *p) {
    const window *g = &p->g;
    const bool band = p->groups == 1 && g->C < FEW_CHANNELS && g->S > 1 && g->dilation[1] == 1 && band_size(g) <= LARGEST_BAND;
    shape s = {.band = band, .taps = band ? g->R : g->R * g->S, .length = band ? g->S * g->C : g->C / p->groups};
    s.tiles = ceil_div(s.length, TILE_M);
    s.panels = ceil_div(g->K / p->groups, TILE_N);
    return s;
}

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const double macs = conv2d_macs(&p->conv, N), pixels = (double)N * (double)g->P * (double)g->Q;
    const shape s = shape_of(&p->conv);
    /* A few rows wait for loads: measured of bands with 3 and 5 rows and 8 to 32 filters, and of groups of 1 to 8 channels. */
    const double waiting = s.band ? 1 + 10 / ((double)s.length * (g->K > NOMINAL_LANES ? 2 : 1))
                                  : p->conv.groups > 1 ? 1 + 6 / (double)s.length : 1;
    const double compute = 2 * macs * waiting / lane_efficiency(g->K / p->conv.groups) / NOMINAL_FLOPS;
    return cost_max(compute, sizeof(real) * pixels * (double)(g->C + g->K) / NOMINAL_DRAM);
}

static size_t panels_bytes(void) { return size_align((size_t)PANELS * TILE_N * sizeof(real)); }
static size_t table_bytes(void) { return size_align((size_t)TAPS * BLOCK * sizeof(place)); }

static grain grain_of(const void *problem) {
    const grad_weight_problem *p = problem;
    const shape s = shape_of(&p->conv);
    size_t workspace = panels_bytes() + table_bytes();
    if (s.band) workspace = size_add(workspace, size_align(size_mul(band_size(&p->conv.g), sizeof(real))));
    return (grain){.columns = p->conv.groups * s.panels * s.taps * s.tiles, .block_rows = INT64_MAX, .tile_pixels = TILE_M,
                   .tile_channels = TILE_N, .workspace = workspace};
}

INLINE void tile_step(int m, int v, const place *at, const real *x, const real *ahead, const real *panel, vec (*acc)[TILE_V]) {
    const real *const pixel = x + at->x;
    __builtin_prefetch(pixel + m, 0, 2); /* for the next tile: pixels lie too far apart for the machine to guess */
    __builtin_prefetch(ahead, 0, 2);
    add_outer(m, v, pixel, panel + at->gradient, acc);
}

/* m rows x v vectors of weights, over n pixels; meanwhile asks for n cache lines from `ahead` on. With m and v constant every accumulator is a register. */
INLINE void tile_of(int m, int v, bool first, const place *at, int64_t n, int filters, const real *x, const real *ahead, const real *panel,
                    real *y, ptrdiff_t y_step) {
    vec acc[TILE_M][TILE_V];
    const int last = filters - (v - 1) * LANES;
    real *to = y;
#pragma GCC unroll 14
    for (int i = 0; i < m; i++, to += y_step) {
        __asm__("" : "+r"(to));
#pragma GCC unroll 4
        for (int j = 0; j < v; j++)
            acc[i][j] = first ? (vec){0} : j < v - 1 || last == LANES ? v_load(to + j * LANES) : v_load_n(to + j * LANES, last);
    }
    for (int64_t a = 0; a + STEPS <= n; a += STEPS, at += STEPS, ahead += STEPS * LINE)
#pragma GCC unroll 2
        for (int s = 0; s < STEPS; s++) tile_step(m, v, at + s, x, ahead + s * LINE, panel, acc);
    for (int64_t a = n % STEPS; a > 0; a--, at++, ahead += LINE) tile_step(m, v, at, x, ahead, panel, acc);
#pragma GCC unroll 14
    for (int i = 0; i < m; i++, y += y_step) {
        __asm__("" : "+r"(y));
#pragma GCC unroll 4
        for (int j = 0; j < v; j++)
            if (j < v - 1 || last == LANES) v_store(y + j * LANES, acc[i][j]);
            else v_store_n(y + j * LANES, acc[i][j], last);
    }
}

#define ROWS(m, v) case m: tile_of(m, v, first, at, n, filters, x, ahead, panel, y, y_step); break;
#if TILE_M == 14
#define EVERY(X, v) X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v) X(7, v) X(8, v) X(9, v) X(10, v) X(11, v) X(12, v) X(13, v) X(14, v)
#elif TILE_M == 6
#define EVERY(X, v) X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v)
#elif TILE_M == 4
#define EVERY(X, v) X(1, v) X(2, v) X(3, v) X(4, v)
#endif
#define VECTORS(v) case v: switch (m) { EVERY(ROWS, v) } break;

static __attribute__((noinline)) void tile_run(int m, bool first, const place *at, int64_t n, int filters, const real *x, const real *ahead,
                                               const real *panel, real *y, ptrdiff_t y_step) {
    switch ((filters + LANES - 1) / LANES) {
        VECTORS(1)
        VECTORS(2)
#if TILE_V == 4
        VECTORS(3)
        VECTORS(4)
#endif
    }
}

typedef struct {
    const real *begin, *end;
} span;

/* A block of pixels, [begin, end), and what the tiles read of it. */
typedef struct {
    const grad_weight_problem *p;
    shape s;
    const grad_weight_tensors *t;
    int64_t begin, end;
    bool first; /* the sums start here */
    const real *x; /* where the table's pixels are counted from: the batch, or the band */
    real *panels;
    place *table;
    int64_t count[TAPS]; /* of each tap's table */
    span ahead[2]; /* of the next block, that has not been asked for: grad_output, x */
} block;

/* Where tap `tap` of each of the block's pixels lies. */
static int64_t fill_table(const block *b, int64_t tap, place *to) {
    const window *g = &b->p->conv.g;
    place_of i = place_at(g, b->begin);
    int64_t count = 0;
    if (b->s.band) {
        const int64_t width = band_width(g, b->end - b->begin < g->Q ? b->end - b->begin : g->Q), p0 = i.p, q0 = i.q;
        for (int64_t a = 0; a < b->end - b->begin; a++, place_next(g, &i)) {
            const int64_t h = (i.p - p0) * g->stride[0] + tap * g->dilation[0], w = (i.q - q0) * g->stride[1];
            to[count++] = (place){(h * width + w) * g->C, a * TILE_N};
        }
        return count;
    }
    const int64_t down = tap / g->S * g->dilation[0] - g->pad[0], along = tap % g->S * g->dilation[1] - g->pad[2];
    const int64_t step = g->stride[1] * g->C;
    for (int64_t a = 0; a < b->end - b->begin;) { /* a row, or what there is of it */
        const int64_t q1 = min64(g->Q, i.q + b->end - b->begin - a), h = i.p * g->stride[0] + down;
        if (h >= 0 && h < g->H) {
            int64_t q = i.q, w = q * g->stride[1] + along;
            ptrdiff_t x = ((i.n * g->H + h) * g->W + w) * g->C, gradient = a * TILE_N;
            for (; q < q1; q++, w += g->stride[1], x += step, gradient += TILE_N) {
                to[count] = (place){x, gradient};
                count += w >= 0 && w < g->W;
            }
        }
        a += q1 - i.q;
        i.q = q1 - 1;
        place_next(g, &i);
    }
    return count;
}

/* Filters of a panel: [k0, k0 + filters) of group `panel / panels`. */
static int panel_filters(const block *b, int64_t panel, int64_t *k0) {
    const int64_t Kg = b->p->conv.g.K / b->p->conv.groups, from = panel % b->s.panels * TILE_N;
    *k0 = panel / b->s.panels * Kg + from;
    return (int)min64(TILE_N, Kg - from);
}

/* Copies of panels [panel0, panel1), of one group or of whole ones: pixel after pixel, as memory has them. */
static void fill_panels(const block *b, int64_t panel0, int64_t panel1) {
    const int64_t K = b->p->conv.g.K, n = b->end - b->begin;
    const real *from = (const real *)b->t->of.residual + b->begin * K;
    real *to = b->panels;
    for (int64_t a = 0; a < n; a++, from += K, to += TILE_N)
        for (int64_t panel = panel0; panel < panel1; panel++) {
            int64_t k0;
            const int filters = panel_filters(b, panel, &k0);
            real *const copy = to + (panel - panel0) * n * TILE_N;
#pragma GCC unroll 4
            for (int j = 0; j < TILE_V; j++) {
                const int rest = filters - j * LANES;
                if (rest > 0) v_store(copy + j * LANES, rest >= LANES ? v_load(from + k0 + j * LANES) : v_load_n(from + k0 + j * LANES, rest));
            }
        }
}

static void add_bias(const block *b, int64_t panel, const real *copy) {
    int64_t k0;
    const int filters = panel_filters(b, panel, &k0);
    for (int j = 0; j < filters; j += LANES) {
        real *const sum = (real *)b->t->bias + k0 + j;
        const int n = (int)min64(LANES, filters - j);
        vec total = b->first ? (vec){0} : v_load_n(sum, n);
        for (int64_t a = 0; a < b->end - b->begin; a++) total += v_load(copy + a * TILE_N + j);
        v_store_n(sum, total, n);
    }
}

/* What a tile of so many pixels asks for: its share, or, when all has been asked for, what is there already. */
static const real *next_ahead(block *b, int64_t pixels, const real *there) {
    for (int i = 0; i < 2; i++) {
        span *const ahead = &b->ahead[i];
        if (ahead->end - ahead->begin < pixels * LINE) continue;
        ahead->begin += pixels * LINE;
        return ahead->begin - pixels * LINE;
    }
    return there;
}

/* Tiles [t0, t1) of panels [panel0, panel1): as many panels at a time as there is room for, and taps. */
static void run_rectangle(block *b, int64_t panel0, int64_t panel1, int64_t t0, int64_t t1) {
    const conv2d_problem *p = &b->p->conv;
    const int64_t n = b->end - b->begin, at_once = max64(1, PANELS / n), tiles = b->s.tiles, K = p->g.K, Cg = p->g.C / p->groups;
    for (int64_t q = panel0; q < panel1; q += at_once) {
        const int64_t past = min64(panel1, q + at_once);
        fill_panels(b, q, past);
        for (int64_t panel = q; panel < past && b->t->bias && t0 == 0; panel++) add_bias(b, panel, b->panels + (panel - q) * n * TILE_N);
        for (int64_t t = t0, tap0 = -TAPS; t < t1; t++) {
            const int64_t tap = t / tiles, i = t % tiles, c = b->s.length * i / tiles, c1 = b->s.length * (i + 1) / tiles;
            if (tap >= tap0 + TAPS || t == t0) {
                tap0 = tap;
                for (int64_t a = 0; a < TAPS && tap0 + a <= (t1 - 1) / tiles; a++) b->count[a] = fill_table(b, tap0 + a, b->table + a * BLOCK);
            }
            for (int64_t panel = q; panel < past; panel++) {
                int64_t k0;
                const int filters = panel_filters(b, panel, &k0);
                const real *const copy = b->panels + (panel - q) * n * TILE_N;
                tile_run((int)(c1 - c), b->first, b->table + (tap - tap0) * BLOCK, b->count[tap - tap0], filters,
                         b->x + panel / b->s.panels * Cg + c, next_ahead(b, b->count[tap - tap0], copy), copy,
                         (real *)b->t->of.y + (tap * b->s.length + c) * K + k0, K);
            }
        }
    }
}

/* Columns are tiles, panel after panel. */
static void run_columns(block *b, int64_t col0, int64_t col1) {
    const int64_t tiles = b->s.taps * b->s.tiles;
    while (col0 < col1) {
        const int64_t panel = col0 / tiles, t = col0 % tiles;
        if (t || col1 - col0 < tiles) {
            const int64_t past = min64(tiles, t + col1 - col0);
            run_rectangle(b, panel, panel + 1, t, past);
            col0 += past - t;
        } else {
            const int64_t panels = (col1 - col0) / tiles;
            run_rectangle(b, panel, panel + panels, 0, tiles);
            col0 += panels * tiles;
        }
    }
}

/* The pixels from `begin` on whose band is one piece: some of a row, or whole rows of an image. */
static int64_t band_end(const window *g, int64_t begin, int64_t end) {
    const place_of i = place_at(g, begin);
    const int64_t rest = min64(end - begin, g->Q - i.q);
    if (i.q || g->Q >= BLOCK || rest < g->Q) {
        const int64_t pieces = ceil_div(rest, BLOCK);
        return begin + ceil_div(rest, pieces);
    }
    return begin + g->Q * max64(1, min64(min64(BLOCK / g->Q, g->P - i.p), (end - begin) / g->Q));
}

static void fill_band(const block *b, real *to) {
    const window *g = &b->p->conv.g;
    const place_of i = place_at(g, b->begin);
    const int64_t n = b->end - b->begin, rows = n < g->Q ? 1 : n / g->Q, columns = min64(n, g->Q);
    const int64_t h = i.p * g->stride[0] - g->pad[0], w = i.q * g->stride[1] - g->pad[2];
    const band piece = {h, h + band_height(g, rows), w, w + band_width(g, columns), 0, g->C};
    band_copy(g, CNNFAST_ZEROS, (const real *)b->t->of.x + i.n * g->H * g->W * g->C, piece, to, g->C);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const grad_weight_problem *p = problem;
    const int64_t begin = unit_pixel(p, at.row0), end = unit_pixel(p, at.row1), blocks = ceil_div(end - begin, BLOCK);
    char *const room = workspace;
    real *const band = (real *)(room + panels_bytes() + table_bytes());
    block b = {.p = p, .s = shape_of(&p->conv), .t = (const grad_weight_tensors *)t, .panels = workspace,
               .table = (place *)(room + panels_bytes()), .end = begin};
    b.x = b.s.band ? band : t->x;
    const bool whole = at.col1 - at.col0 == p->conv.groups * b.s.panels * b.s.taps * b.s.tiles; /* all of grad_output and x is read */
    const bool in_order = conv2d_pointwise(&p->conv) && p->conv.g.stride[0] == 1 && p->conv.g.stride[1] == 1;
    for (int64_t i = 0; b.end < end; i++) {
        b.begin = b.end, b.first = b.begin == begin;
        b.end = b.s.band ? band_end(&p->conv.g, b.begin, end) : begin + (end - begin) * (i + 1) / blocks;
        if (b.s.band) fill_band(&b, band);
        const int64_t next = whole ? min64(b.end - b.begin, end - b.end) : 0;
        const real *const gradient = (const real *)t->residual + b.end * p->conv.g.K;
        b.ahead[0] = (span){gradient, gradient + next * p->conv.g.K};
        b.ahead[1] = in_order ? (span){b.x + b.end * p->conv.g.C, b.x + (b.end + next) * p->conv.g.C} : (span){0};
        run_columns(&b, at.col0, at.col1);
    }
}

const kernel SYMBOL(conv2d_grad_weight_direct) = {accepts, cost, grain_of, nothing_packed, pack_nothing, run};
#endif
