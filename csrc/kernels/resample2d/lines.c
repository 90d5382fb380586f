/* A row of y: where few rows of x meet few columns, each pixel of it at once; else the rows that it sums, mixed into a line that
 * stays in L1, and then the line's pixels.
 *
 * Parts are added in ascending order, and how depends on the pixel alone: |y - exact| <= gamma(R + S + 3) * sum |weight||x| where
 * R rows and S columns meet. */
#include "resample2d/problem.h"

#include "common/cost.h"
#include "simd.h"

#if CNNFAST_REAL

/* What a row of y takes of a row of x. */
typedef struct {
    int64_t from;
    real weight;
} part;

/* y's line i has parts begin[i] to begin[i + 1]. */
typedef struct {
    int64_t *begin;
    part *parts;
    int64_t most; /* of one line */
} sources;

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const window *g = &((const resample2d_problem *)problem)->g;
    const double pixels = (double)g->H * (double)g->W + (double)g->P * (double)g->Q;
    return (double)N * pixels * (double)g->C * sizeof(real) / NOMINAL_DRAM;
}

static grain grain_of(const void *problem) {
    const window *g = &((const resample2d_problem *)problem)->g;
    const size_t line = size_mul(size_mul((size_t)g->W, (size_t)g->C), sizeof(real));
    return (grain){.columns = 1, .block_rows = max64(1, (1 << 22) / max64(g->W, g->Q) / g->C), .workspace = size_add(line, VEC_BYTES)};
}

static size_t begins(int64_t lines) { return size_align(size_mul(size_add((size_t)lines, 1), sizeof(int64_t))); }
static size_t parts_size(int64_t parts) { return size_align(size_mul((size_t)parts, sizeof(part))); }

static size_t packed_size(const void *problem) {
    const resample2d_problem *p = problem;
    return size_add(size_add(begins(p->g.P), parts_size(p->row_parts)), size_add(begins(p->g.Q), parts_size(p->col_parts)));
}

INLINE sources rows_of(const resample2d_problem *p, const void *packed) {
    char *at = (char *)packed;
    return (sources){.begin = (int64_t *)at, .parts = (part *)(at + begins(p->g.P))};
}

INLINE sources cols_of(const resample2d_problem *p, const void *packed) {
    char *at = (char *)packed + begins(p->g.P) + parts_size(p->row_parts);
    return (sources){.begin = (int64_t *)at, .parts = (part *)(at + begins(p->g.Q))};
}

/* From which lines each of the op's outputs is made to which outputs each line is in. */
static void turn_round(const footprint *of, int64_t outputs, int64_t lines, sources to) {
    memset(to.begin, 0, (size_t)(lines + 1) * sizeof *to.begin);
    for (int64_t i = 0; i < outputs; i++)
        for (int64_t t = 0; t < of[i].taps; t++) to.begin[of[i].first + t * of[i].step]++;
    for (int64_t i = 0, sum = 0; i <= lines; i++) {
        const int64_t count = to.begin[i];
        to.begin[i] = sum;
        sum += count;
    }
    for (int64_t i = 0; i < outputs; i++)
        for (int64_t t = 0; t < of[i].taps; t++)
            to.parts[to.begin[of[i].first + t * of[i].step]++] = (part){i, (real)(t ? of[i].rest : of[i].weight)};
    memmove(to.begin + 1, to.begin, (size_t)lines * sizeof *to.begin);
    to.begin[0] = 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)bias;
    const resample2d_problem *p = problem;
    const resample2d_weights *of = weight;
    turn_round(of->rows, p->g.H, p->g.P, rows_of(p, packed));
    turn_round(of->cols, p->g.W, p->g.Q, cols_of(p, packed));
}

/* to[i] = sum of x[from * step + i] * weight over K parts, added to what is there if `more`. */
INLINE void mix(const real *x, int64_t step, const part *of, const int K, bool more, real *to, int64_t n) {
    const real *from[4];
    vec weight[4];
    for (int k = 0; k < K; k++) from[k] = x + of[k].from * step, weight[k] = v_splat(of[k].weight);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec sum = more ? v_fma(v_load(from[0] + i), weight[0], v_load(to + i)) : v_load(from[0] + i) * weight[0];
        for (int k = 1; k < K; k++) sum = v_fma(v_load(from[k] + i), weight[k], sum);
        v_store(to + i, sum);
    }
    if (i < n) {
        const int last = (int)(n - i);
        vec sum = more ? v_fma(v_load_n(from[0] + i, last), weight[0], v_load_n(to + i, last)) : v_load_n(from[0] + i, last) * weight[0];
        for (int k = 1; k < K; k++) sum = v_fma(v_load_n(from[k] + i, last), weight[k], sum);
        v_store_n(to + i, sum, last);
    }
}

/* The same over any number of parts. */
INLINE void mix_all(const real *x, int64_t step, const part *of, int64_t parts, real *to, int64_t n) {
    switch (parts) {
    case 0: memset(to, 0, (size_t)n * sizeof *to); return;
    case 1: mix(x, step, of, 1, false, to, n); return;
    case 2: mix(x, step, of, 2, false, to, n); return;
    case 3: mix(x, step, of, 3, false, to, n); return;
    default: mix(x, step, of, 4, false, to, n);
    }
    int64_t k = 4;
    for (; k + 4 <= parts; k += 4) mix(x, step, of + k, 4, true, to, n);
    for (; k < parts; k++) mix(x, step, of + k, 1, true, to, n);
}

static bool same_parts(const sources *of, int64_t a, int64_t b) {
    const int64_t n = of->begin[a + 1] - of->begin[a];
    if (of->begin[b + 1] - of->begin[b] != n) return false;
    const part *x = of->parts + of->begin[a], *y = of->parts + of->begin[b];
    for (int64_t i = 0; i < n; i++)
        if (x[i].from != y[i].from || x[i].weight != y[i].weight) return false;
    return true;
}

enum { AT_ONCE = 4 }; /* rows times columns */

/* Pixels of one part each, narrower than a vector: stored as whole ones, of which the next pixels write over what is too much.
 * How many of the row's pixels there were, from the first. */
static int64_t run_narrow(const window *g, const sources *cols, const real *image, part of_row, real *y) {
    const int64_t C = g->C, whole = g->Q - ceil_div(LANES, C), end = g->H * g->W * C - LANES;
    int64_t q = 0;
    for (; q < whole && cols->begin[q + 1] == q + 1; q++) {
        const part of = cols->parts[q];
        const int64_t at = (of_row.from * g->W + of.from) * C;
        if (at > end) break;
        v_store(y + q * C, v_load(image + at) * v_splat(of_row.weight * of.weight));
    }
    return q;
}

/* A row of y straight from an image of x. False: too much meets there. */
static bool run_at_once(const window *g, const sources *cols, const real *image, const part *rows, int64_t count, real *y, int64_t y_step) {
    if (count == 0 || count * cols->most > AT_ONCE) return false;
    int64_t q = 0;
    if (count == 1 && g->C < LANES && y_step == g->C) q = run_narrow(g, cols, image, rows[0], y);
    for (; q < g->Q; q++) {
        part meet[AT_ONCE];
        int64_t n = 0;
        for (int64_t r = 0; r < count; r++)
            for (int64_t s = cols->begin[q]; s < cols->begin[q + 1]; s++)
                meet[n++] = (part){rows[r].from * g->W + cols->parts[s].from, rows[r].weight * cols->parts[s].weight};
        mix_all(image, g->C, meet, n, y + q * y_step, g->C);
    }
    return true;
}

/* One row of y from its line. */
static void run_line(const window *g, const sources *cols, const real *line, real *y, int64_t y_step) {
    for (int64_t q = 0; q < g->Q; q++, y += y_step)
        mix_all(line, g->C, cols->parts + cols->begin[q], cols->begin[q + 1] - cols->begin[q], y, g->C);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const resample2d_problem *p = problem;
    const window *g = &p->g;
    const sources rows = rows_of(p, packed);
    sources cols = cols_of(p, packed);
    for (int64_t q = 0; q < g->Q; q++) cols.most = max64(cols.most, cols.begin[q + 1] - cols.begin[q]);
    const int64_t in = g->W * g->C;
    for (int64_t row = at.row0; row < at.row1; row++) {
        const int64_t h = row % g->P, count = rows.begin[h + 1] - rows.begin[h];
        const real *image = (const real *)t->x + row / g->P * g->H * in;
        const part *of = rows.parts + rows.begin[h];
        real *y = (real *)t->y + row * g->Q * t->y_step;
        if (run_at_once(g, &cols, image, of, count, y, t->y_step)) continue;
        if (row == at.row0 || h == 0 || !same_parts(&rows, h - 1, h)) mix_all(image, in, of, count, workspace, in);
        run_line(g, &cols, workspace, y, t->y_step);
    }
}

const kernel SYMBOL(resample2d_lines) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
