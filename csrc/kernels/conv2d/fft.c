/* Large kernels: overlap-save. Tiles of the padded image are transformed, multiplied with the kernels' spectra, which is a
 * matrix product over the channels for each frequency, and transformed back; the first Mh x Mw outputs of a tile are what no
 * wrapping round has reached. Lanes are channels throughout.
 *
 * The micro-kernel multiplies real numbers: rows of real and rows of imaginary parts of the pixels' spectra, with
 * [re | im] of the weights', whose four products the way back then adds up. Tiles start at the output's origin, so an
 * output's bits depend neither on threads nor on the batch. A NaN or an infinity may spread over its tile.
 *
 * |y - exact| <= gamma(2*C + 104) * (sqrt(2) * sum over c of |x of the tile|_2 * |w|_1 + |b| + |residual|): each way is up to six
 * passes of at most 8 roundings in a row and one that joins real lines; between them are two chains of C products and
 * their sum (cnnfast/verification/expected_fft.py; Higham, Accuracy and Stability of Numerical Algorithms, section 24.1). */
#include "activation.h"
#include "common/band.h"
#include "conv2d/fft_weights.h"

#if CNNFAST_REAL

static const int64_t LINE = CACHE_LINE / (int64_t)sizeof(real);

/* Fewer taps than that are other rows' business: spectra of a 3x3 kernel are too large for what they save. */
static const int64_t LEAST_TAPS = 10;

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    if (p->precision == CNNFAST_STRICT) return false;
    return p->groups == 1 && g->stride[0] == 1 && g->stride[1] == 1 && g->R * g->S >= LEAST_TAPS && fft_exists(p);
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const fft_tiles t = fft_choose(p);
    return fft_price(&p->g, &t, N) + (p->once ? fft_packed_bytes(&p->g, &t) / NOMINAL_PACKING : 0);
}

static int64_t channel_vectors(const conv2d_problem *p) { return ceil_div(p->g.C, LANES); }
/* Elements of a frequency: rows of C for each tile, re and im. An odd number of cache lines, so that frequencies spread
 * over the sets of a cache. */
static int64_t spectrum_step(const conv2d_problem *p, int64_t tiles) {
    return (ceil_div(2 * tiles * channel_vectors(p) * LANES, LINE) | 1) * LINE;
}
static int64_t products_step(int64_t tiles) { return 2 * tiles * TILE_N + LINE; }
static int64_t kept_rows(const fft_tiles *t) { return (t->Mh + 1) / 2 * 2; }

/* Where things lie in the workspace. */
typedef struct {
    real *spectra;  /* [half][Th] of spectrum_step: the tiles' */
    real *rows;     /* on the way there: [Th][half] complex vectors */
    real *products; /* on the way back: [Th] of products_step */
    real *kept;     /* [tile][vector of a panel][kept_rows][half] complex vectors */
    real *line, *scratch; /* one line of complex vectors, and three */
    size_t size;
} buffers;

static buffers lay_out(const conv2d_problem *p, const fft_tiles *t, void *workspace) {
    const int64_t tiles = fft_at_once(t, p->g.C), longest = max64(t->Th, t->Tw);
    buffers b = {.size = 0};
    b.spectra = fft_take(workspace, &b.size, sizeof(real), t->half * t->Th * spectrum_step(p, tiles));
    b.line = fft_take(workspace, &b.size, sizeof(real), 2 * longest * LANES);
    b.scratch = fft_take(workspace, &b.size, sizeof(real), 6 * longest * LANES);
    size_t rows = b.size;
    b.rows = fft_take(workspace, &rows, sizeof(real), t->Th * t->half * 2 * LANES);
    b.products = fft_take(workspace, &b.size, sizeof(real), t->Th * products_step(tiles));
    b.kept = fft_take(workspace, &b.size, sizeof(real), tiles * TILE_V * kept_rows(t) * t->half * LANES);
    b.size = b.size > rows ? b.size : rows;
    return b;
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    const fft_tiles t = fft_choose(p);
    return (grain){.rows_per_image = t.rows, .columns = fft_panels(p), .block_rows = max64(1, fft_at_once(&t, p->g.C) / t.cols),
                   .tile_pixels = TILE_M, .tile_channels = TILE_N, .workspace = lay_out(p, &t, NULL).size,
                   .flops = 8.0 * (double)(t.Th * t.half) * (double)(p->g.C * p->g.K) * (double)(t.rows * t.cols)};
}

static size_t packed_size(const void *problem) {
    const conv2d_problem *p = problem;
    const fft_tiles t = fft_choose(p);
    return pack_parts(&t, NULL, packed_parts(p, &t, NULL).size).size;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const fft_tiles t = fft_choose(p);
    const parts to = packed_parts(p, &t, packed);
    const pack_buffers b = pack_parts(&t, packed, to.size);
    SYMBOL(fft_table)(t.Th, to.table_h);
    SYMBOL(fft_table)(t.Tw, to.table_w);
    FFT_DOUBLE(fft_table)(t.Th, b.table_h);
    FFT_DOUBLE(fft_table)(t.Tw, b.table_w);
    memset(to.zeros, 0, TILE_N * sizeof(real));
    memset(to.bias, 0, (size_t)(fft_panels(p) * PANEL) * sizeof(real));
    if (bias) memcpy(to.bias, bias, (size_t)g->K * sizeof(real));
    memset(to.weight, 0, (size_t)(fft_panels(p) * t.half * t.Th * g->C * TILE_N) * sizeof(real));
    for (int64_t k = 0; k < g->K; k += DOUBLE_LANES)
        for (int64_t c = 0; c < g->C; c++) {
            real *at = to.weight + ((k / PANEL * t.half * t.Th) * g->C + c) * TILE_N + k % PANEL;
            pack_kernels(p, &t, (const real *)weight + c * p->step_c + k * p->step_k, &b, at, (int)min64(DOUBLE_LANES, g->K - k));
        }
}

/* Pixels [w0, w0 + needed) of a row of the padded image as a line of n; row NULL: zeros. */
static void load_line(const conv2d_problem *p, const real *row, int64_t w0, int64_t needed, int64_t n, int lanes, real *to) {
    const window *g = &p->g;
    for (int64_t i = 0; i < n; i++, to += 2 * LANES) {
        const int64_t w = row && i < needed ? pad_index(w0 + i, g->W, p->padding_mode) : -1;
        v_store(to, w < 0 ? v_splat(0) : lanes == LANES ? v_load(row + w * g->C) : v_load_n(row + w * g->C, lanes));
    }
}

/* One tile of the output: its image and first output. */
typedef struct {
    int64_t image, p0, q0, rows, cols;
} place;

static place place_of(const conv2d_problem *p, const fft_tiles *t, int64_t tile) {
    const int64_t row = tile / t->cols;
    place at = {.image = row / t->rows, .p0 = row % t->rows * t->Mh, .q0 = tile % t->cols * t->Mw};
    at.rows = min64(t->Mh, p->g.P - at.p0), at.cols = min64(t->Mw, p->g.Q - at.q0);
    return at;
}

/* One vector of channels of a tile, transformed; `to` is where its first frequency goes, re and im. */
static void forward(const conv2d_problem *p, const fft_tiles *t, const parts *w, const buffers *b, const real *x, int lanes,
                    place at, line to) {
    const window *g = &p->g;
    const ptrdiff_t row = t->half * 2 * LANES;
    const int64_t needed = at.rows + t->tall - 1;
    for (int64_t h = 0; h < t->Th; h += 2) {
        real *a = b->rows + h * row;
        const real *from[2];
        for (int i = 0; i < 2; i++) {
            const int64_t v = h + i < needed ? pad_index(at.p0 - g->pad[0] + h + i, g->H, p->padding_mode) : -1;
            from[i] = v < 0 ? NULL : x + (at.image * g->H + v) * g->W * g->C;
        }
        if (!from[0] && !from[1]) {
            memset(a, 0, (size_t)(2 * row) * sizeof(real));
            continue;
        }
        for (int i = 0; i < 2; i++)
            load_line(p, from[i], at.q0 - g->pad[2], at.cols + t->wide - 1, t->Tw, lanes, b->line + i * LANES);
        SYMBOL(fft_real)(t->Tw, w->table_w, (line){b->line, b->line + LANES, 2 * LANES}, a, a + row, b->scratch);
    }
    const ptrdiff_t step = to.step * t->Th;
    for (int64_t v = 0; v < t->half; v++, to.re += step, to.im += step) {
        real *from = b->rows + v * 2 * LANES;
        SYMBOL(fft_line)(t->Th, w->table_h, (line){from, from + LANES, row}, to, t->Th, b->scratch);
    }
}

/* A panel's products of column v of all tiles' spectra, back to rows of the tiles. */
static void multiply(const conv2d_problem *p, const fft_tiles *t, const parts *w, const buffers *b, int64_t tiles, int64_t panel,
                     int64_t v) {
    const ptrdiff_t start = 0, step = spectrum_step(p, tiles), product = products_step(tiles), Cp = channel_vectors(p) * LANES;
    const gemm m = {.tap = &start, .taps = 1, .len = p->g.C, .x_step = Cp, .y_step = TILE_N, .activation = CNNFAST_NONE};
    const real *weight = w->weight + (panel * t->half + v) * t->Th * p->g.C * TILE_N;
    for (int64_t u = 0; u < t->Th; u++)
        gemm_row(&m, 2 * tiles, TILE_N, b->spectra + (v * t->Th + u) * step, weight + u * p->g.C * TILE_N, w->zeros, NULL,
                 b->products + u * product);
    for (int64_t i = 0; i < tiles; i++)
        for (int64_t j = 0; j < PANEL / LANES; j++) {
            for (int64_t u = 0; u < t->Th; u++) {
                const real *re = b->products + u * product + i * TILE_N + j * LANES, *im = re + tiles * TILE_N;
                v_store(b->line + 2 * u * LANES, v_load(re) - v_load(im + PANEL));
                v_store(b->line + (2 * u + 1) * LANES, v_load(re + PANEL) + v_load(im));
            }
            real *to = b->kept + ((i * (PANEL / LANES) + j) * kept_rows(t) * t->half + v) * 2 * LANES;
            const line from = {b->line + LANES, b->line, 2 * LANES}; /* exchanged: the inverse */
            SYMBOL(fft_line)(t->Th, w->table_h, from, (line){to + LANES, to, t->half * 2 * LANES}, kept_rows(t), b->scratch);
        }
}

/* The rest of the way back of one vector of one tile, channels from k. */
static void finish(const conv2d_problem *p, const fft_tiles *t, const parts *w, const buffers *b, const tensors *x,
                   const real *kept, place at, int64_t k) {
    const window *g = &p->g;
    const ptrdiff_t row = t->half * 2 * LANES;
    const int lanes = (int)min64(LANES, g->K - k);
    const vec bias = v_load(w->bias + k);
    const line sums = {b->line, b->line + LANES, 2 * LANES};
    for (int64_t h = 0; h < at.rows; h += 2, kept += 2 * row) {
        SYMBOL(fft_real_inverse)(t->Tw, w->table_w, kept, kept + row, at.cols, sums, b->scratch);
        for (int64_t i = 0; i < min64(2, at.rows - h); i++) {
            const int64_t to = (((at.image * g->P + at.p0 + h + i) * g->Q + at.q0) * x->y_step) + k;
            const real *from = b->line + i * LANES, *residual = x->residual ? (const real *)x->residual + to : NULL;
            real *y = (real *)x->y + to;
            for (int64_t q = 0; q < at.cols; q++, from += 2 * LANES, y += x->y_step) {
                vec sum = v_load(from) + bias;
                if (residual) sum += v_load_n(residual + q * x->y_step, lanes);
                sum = v_activation(sum, p->epilogue.activation, (real)p->epilogue.alpha);
                if (lanes == LANES) v_store(y, sum);
                else v_store_n(y, sum, lanes);
            }
        }
    }
}

static void run(const void *problem, const void *packed, const tensors *x, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const fft_tiles t = fft_choose(p);
    const parts w = packed_parts(p, &t, (void *)packed);
    const buffers b = lay_out(p, &t, workspace);
    const int64_t first = at.row0 * t.cols, all = at.row1 * t.cols - first, blocks = ceil_div(all, fft_at_once(&t, g->C));
    const int64_t Cp = channel_vectors(p) * LANES;
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t from = first + all * block / blocks, tiles = first + all * (block + 1) / blocks - from;
        for (int64_t i = 0; i < tiles; i++)
            for (int64_t c = 0; c < g->C; c += LANES) {
                real *to = b.spectra + i * Cp + c;
                forward(p, &t, &w, &b, (const real *)x->x + c, (int)min64(LANES, g->C - c), place_of(p, &t, from + i),
                        (line){to, to + tiles * Cp, spectrum_step(p, tiles)});
            }
        for (int64_t panel = at.col0; panel < at.col1; panel++) {
            for (int64_t v = 0; v < t.half; v++) multiply(p, &t, &w, &b, tiles, panel, v);
            for (int64_t i = 0; i < tiles; i++)
                for (int64_t j = 0; j < PANEL / LANES; j++) {
                    const int64_t k = panel * PANEL + j * LANES;
                    if (k >= g->K) break;
                    const real *kept = b.kept + (i * (PANEL / LANES) + j) * kept_rows(&t) * t.half * 2 * LANES;
                    finish(p, &t, &w, &b, x, kept, place_of(p, &t, from + i), k);
                }
        }
    }
}

const kernel SYMBOL(conv2d_fft) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
