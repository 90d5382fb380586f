/* Plans fused into one. In bands: for some rows of the last stage's output, each stage computes just the rows that the next
 * one reads, into a buffer that stays in L2; rows that two bands share are kept. In turn: one whole stage after another.
 *
 * A kernel finds row h of its input and output at the image's address plus h rows. So a buffer of rows [begin, end) passes
 * for the image where its address is told as if it began at row 0: no kernel knows of bands, and every bit is the same. */
#include <math.h>
#include <string.h>

#include "plan.h"

/* Of 1 MB; weights and the stages' own buffers want the rest. */
static const size_t BAND_BYTES = 384 * 1024;
/* A call on one core stays well under 100 ms on any ISA: nominal microseconds. */
static const double CALL_COST = 5000;

typedef struct {
    int64_t begin, end;
} range;

static cnnfast_padding_mode mode_of(const cnnfast_plan *s) {
    if (s->table == &conv2d_table) return s->problem.conv.padding_mode;
    return s->table == &separable_conv2d_table ? s->problem.separable.depthwise.padding_mode : CNNFAST_ZEROS;
}

/* Whole strips of them. The last may end below the image, for its kernel reads as if it did. */
static range whole_strips(const cnnfast_plan *s, range y) {
    const int64_t strip = strip_of(s);
    return (range){y.begin / strip * strip, ceil_div(y.end, strip) * strip};
}

/* The rows of its input that rows y of a stage's output read, or some more. */
static range reads(const cnnfast_plan *s, range y) {
    const window *g = &s->g;
    const int64_t above = y.begin * g->stride[0] - g->pad[0], under = (y.end - 1) * g->stride[0] - g->pad[0] + (g->R - 1) * g->dilation[0];
    const int64_t last = min64(under, g->H - 1 + g->pad[1]), lowest = g->H - 1;
    range x = {min64(max64(above, 0), lowest), max64(min64(last, lowest), 0) + 1};
    if (mode_of(s) == CNNFAST_REFLECT) {
        if (above < 0) x.end = max64(x.end, 1 - above);
        if (last > lowest) x.begin = min64(x.begin, 2 * lowest - last);
    }
    if (mode_of(s) == CNNFAST_CIRCULAR && (above < 0 || last > lowest)) x = (range){0, g->H};
    return x;
}

/* At most so many, of any `rows` rows of output. */
static int64_t most_read(const cnnfast_plan *s, int64_t rows) {
    const window *g = &s->g;
    const int64_t under = (rows - 1) * g->stride[0] + (g->R - 1) * g->dilation[0] + 1, pads = g->pad[0] + g->pad[1];
    if (mode_of(s) == CNNFAST_CIRCULAR && pads) return g->H;
    return min64(g->H, mode_of(s) == CNNFAST_REFLECT ? under + pads : under);
}

/* Sets the bytes of each stage's buffer for bands of so many of the last stage's strips; gives their sum. */
static size_t size_buffers(fused_problem *p, int64_t band) {
    size_t sum = 0;
    int64_t rows = min64(band, strips_of(p->stages[p->count - 1])) * strip_of(p->stages[p->count - 1]);
    for (int i = p->count - 1; i > 0; i--) {
        const cnnfast_plan *from = p->stages[i - 1];
        const int64_t strip = strip_of(from), read = most_read(p->stages[i], rows);
        rows = min64((read + strip - 2) / strip + 1, strips_of(from)) * strip; /* at worst it begins at a strip's last row */
        p->buffers[i - 1] = size_align(size_mul((size_t)min64(rows, from->g.P), row_bytes(from)));
        sum = size_add(sum, p->buffers[i - 1]);
    }
    return sum;
}

/* An adaptive pool's windows are no stride apart. */
static bool by_rows(const cnnfast_plan *s) {
    if (!strip_of(s)) return false;
    const window *g = &s->g;
    if (s->table != &pool2d_table) return true;
    for (int64_t i = 0; i < g->P; i++) {
        const span *of = &s->problem.pool.rows[i];
        const int64_t above = i * g->stride[0] - g->pad[0];
        if (of->first < above || of->first + (of->taps - 1) * g->dilation[0] > above + (g->R - 1) * g->dilation[0]) return false;
    }
    return true;
}

static void cut_bands(fused_problem *p) {
    for (int i = 0; i < p->count; i++)
        if (!by_rows(p->stages[i])) return;
    const int64_t all = strips_of(p->stages[p->count - 1]);
    p->band = 1;
    while (p->band < all && size_buffers(p, p->band + 1) <= BAND_BYTES) p->band++;
    size_buffers(p, p->band);
}

static size_t most_workspace(const fused_problem *p) {
    size_t most = 0;
    for (int i = 0; i < p->count; i++)
        if (p->stages[i]->grain.workspace > most) most = p->stages[i]->grain.workspace;
    return size_align(most);
}

static double stage_costs(const fused_problem *p, int64_t N) {
    double sum = 0;
    for (int i = 0; i < p->count; i++) sum += p->stages[i]->kernel->cost(&p->stages[i]->problem, N);
    return sum;
}

static size_t packed_size(const void *problem) {
    const fused_problem *p = problem;
    size_t sum = 0;
    for (int i = 0; i < p->count; i++) {
        const cnnfast_plan *s = p->stages[i];
        sum = size_add(sum, size_align(s->kernel->packed_size(&s->problem)));
    }
    return sum;
}

/* What the two rows' prices weigh, in nominal microseconds, for two threads; measured, see docs/performance.md. */
static const double BETWEEN = 120e3; /* bytes a microsecond of what waits for the next stage: to L3 and back */
static const double WEIGHTS = 60e3;  /* of weights too large for L2, which every call of a kernel reads again */
static const double START = 1;       /* a stage's start, on all threads */
static const size_t RESIDENT = 640 * 1024;

/* Calls of a stage's kernel more than it would have alone, for an image. */
static double more_calls(const fused_problem *p, const cnnfast_plan *s) {
    const int64_t bands = ceil_div(strips_of(p->stages[p->count - 1]), p->band), units = image_units(s);
    const int64_t parts = min64(bands, strips_of(s)); /* bands that find all their rows held call nothing */
    return (double)(parts * ceil_div(ceil_div(units, parts), s->grain.block_rows) - ceil_div(units, s->grain.block_rows));
}

/* The stages, the rows that both threads compute where they meet inside an image, and weights read more often. */
static double bands_cost(const void *problem, int64_t N) {
    const fused_problem *p = problem;
    const cnnfast_plan *last = p->stages[p->count - 1];
    const int64_t all = strips_of(last), half = all / 2 * strip_of(last);
    const double rows = (double)(N * all), uneven = 2 * ceil(rows / 2) / rows;
    range above = {0, half}, below = {half, last->g.P};
    double sum = 0;
    for (int i = p->count - 1; i >= 0; i--) {
        const cnnfast_plan *s = p->stages[i];
        above = whole_strips(s, above), below = whole_strips(s, below);
        const double twice = N % 2 && half ? (double)(above.end - below.begin) / ((double)N * (double)s->g.P) : 0;
        const size_t packed = s->kernel->packed_size(&s->problem);
        sum += s->kernel->cost(&s->problem, N) * (1 + twice) * uneven;
        if (packed > RESIDENT) sum += (double)N * more_calls(p, s) * (double)packed / WEIGHTS;
        if (half) above = reads(s, above), below = reads(s, below);
    }
    return sum;
}

static bool bands_accepts(const void *problem) { return ((const fused_problem *)problem)->band > 0; }

static grain bands_grain(const void *problem) {
    const fused_problem *p = problem;
    const cnnfast_plan *last = p->stages[p->count - 1];
    const int64_t units = strips_of(last);
    grain g = {.rows_per_image = units, .columns = 1, .workspace = most_workspace(p)};
    g.block_rows = max64(1, (int64_t)(CALL_COST / stage_costs(p, 1) * (double)units));
    for (int i = 0; i + 1 < p->count; i++) g.workspace = size_add(g.workspace, p->buffers[i]);
    return g;
}

/* A buffer of some rows of a stage's output. */
typedef struct {
    char *memory;
    size_t row;
    range rows;
} held;

/* Where the image would lie. */
static char *image_of(const held *h) { return (char *)((uintptr_t)h->memory - (uintptr_t)h->rows.begin * h->row); }

/* Keeps those of the rows wanted that are held; gives the others. */
static range make_room(held *h, range want) {
    range missing = want;
    if (want.begin >= h->rows.begin && want.begin < h->rows.end) {
        const size_t kept = (size_t)(h->rows.end - want.begin) * h->row;
        if (want.begin > h->rows.begin) memmove(h->memory, h->memory + (size_t)(want.begin - h->rows.begin) * h->row, kept);
        missing.begin = h->rows.end;
    }
    h->rows = (range){want.begin, max64(want.end, missing.begin)};
    return missing;
}

/* Rows y of a stage, in whole strips; the tensors are those of one image. */
static void run_rows(const cnnfast_plan *s, const tensors *image, range y, void *workspace) {
    const int64_t per_strip = image_units(s) / strips_of(s), strip = strip_of(s);
    const int64_t first = y.begin / strip * per_strip, units = ceil_div(min64(y.end, s->g.P), strip) * per_strip - first;
    const int64_t blocks = ceil_div(units, s->grain.block_rows);
    for (int64_t i = 0; i < blocks; i++) {
        const tile at = {first + units * i / blocks, first + units * (i + 1) / blocks, 0, s->grain.columns};
        s->kernel->run(&s->problem, s->packed, image, at, workspace);
    }
}

/* Rows y of the last stage's output, and what they need of the others. */
static void run_band(const fused_problem *p, const tensors *image, range y, held *between, void *workspace) {
    range todo[MOST_STAGES];
    int i = p->count - 1;
    todo[i] = y;
    for (; i > 0 && todo[i].begin < todo[i].end; i--) {
        range want = whole_strips(p->stages[i - 1], reads(p->stages[i], whole_strips(p->stages[i], todo[i])));
        want.end = min64(want.end, p->stages[i - 1]->g.P);
        todo[i - 1] = make_room(&between[i - 1], want);
    }
    for (; i < p->count; i++) {
        if (todo[i].begin >= todo[i].end) continue;
        const bool last = i + 1 == p->count;
        const tensors t = {.x = i ? image_of(&between[i - 1]) : image->x, .y = last ? image->y : image_of(&between[i]),
                           .y_step = last ? image->y_step : p->stages[i]->g.K, .residual = last ? image->residual : NULL,
                           .far = image->far && (!i || last)};
        run_rows(p->stages[i], &t, todo[i], workspace);
    }
}

static void bands_run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const fused_problem *p = problem;
    const cnnfast_plan *first = p->stages[0], *last = p->stages[p->count - 1];
    const size_t x_image = (size_t)(first->g.H * first->g.W * first->g.C) * type_size(first->type);
    const size_t y_image = (size_t)(last->g.P * last->g.Q * t->y_step) * type_size(last->type);
    const int64_t units = strips_of(last), strip = strip_of(last);
    for (int64_t unit = at.row0, end; unit < at.row1; unit = end) {
        const int64_t n = unit / units, begin = unit % units;
        end = min64(at.row1, (n + 1) * units);
        const tensors image = {.x = (const char *)t->x + (size_t)n * x_image, .y = (char *)t->y + (size_t)n * y_image, .y_step = t->y_step, .far = t->far,
                               .residual = t->residual ? (const char *)t->residual + (size_t)n * y_image : NULL};
        held between[MOST_STAGES];
        char *memory = workspace;
        for (int i = 0; i + 1 < p->count; memory += p->buffers[i++]) between[i] = (held){memory, row_bytes(p->stages[i]), {0, 0}};
        const int64_t bands = ceil_div(end - unit, p->band);
        for (int64_t i = 0; i < bands; i++) {
            const range y = {(begin + (end - unit) * i / bands) * strip, (begin + (end - unit) * (i + 1) / bands) * strip};
            run_band(p, &image, y, between, memory);
        }
    }
}

static bool in_turn_accepts(const void *problem) {
    (void)problem;
    return true;
}

static double in_turn_cost(const void *problem, int64_t N) {
    const fused_problem *p = problem;
    double bytes = 0;
    for (int i = 0; i + 1 < p->count; i++) bytes += 2 * (double)N * (double)p->stages[i]->g.P * (double)row_bytes(p->stages[i]);
    return stage_costs(p, N) + bytes / BETWEEN + START * (p->count - 1);
}

static grain in_turn_grain(const void *problem) {
    const fused_problem *p = problem;
    grain g = {.columns = 1, .block_rows = 1, .workspace = most_workspace(p)};
    for (int i = 0; i < p->count; i++) g.rows_per_image = max64(g.rows_per_image, image_units(p->stages[i]) * p->stages[i]->grain.columns);
    return g;
}

const kernel fused_in_turn = {in_turn_accepts, in_turn_cost, in_turn_grain, packed_size, NULL, NULL};
static const kernel bands = {bands_accepts, bands_cost, bands_grain, packed_size, NULL, bands_run};

size_t fused_between(const cnnfast_plan *plan, const kernel *k) {
    if (k != &fused_in_turn) return 0;
    const fused_problem *p = &plan->problem.fused;
    size_t most = 0;
    for (int i = 0; i + 1 < p->count; i++) {
        const size_t size = size_align(size_mul((size_t)p->stages[i]->g.P, row_bytes(p->stages[i])));
        if (size > most) most = size;
    }
    return size_mul(most, p->count > 2 ? 2 : 1);
}

#define EVERY_REAL(kernel) {[0 ... ISA_COUNT - 1] = {[TYPE_f32] = &kernel, [TYPE_f64] = &kernel}}
static const table_row rows[] = {{"bands", EVERY_REAL(bands)}, {"in_turn", EVERY_REAL(fused_in_turn)}, {0}};
const table fused_table = {"fused", rows};

static cnnfast_status check_stage(const cnnfast_plan *s, const cnnfast_plan *before) {
    if (!s) return CNNFAST_INVALID_PARAM;
    const bool pool = s->table == &pool2d_table;
    if (s->table != &conv2d_table && s->table != &separable_conv2d_table && !pool) return CNNFAST_UNSUPPORTED;
    if (s->integer || (pool && s->problem.pool.with_indices)) return CNNFAST_UNSUPPORTED;
    if (!before) return CNNFAST_OK;
    if (s->type != before->type || s->x_layout != before->y_layout || s->isa != before->isa) return CNNFAST_INVALID_PARAM;
    const bool fits = s->g.H == before->g.P && s->g.W == before->g.Q && s->g.C == before->g.K;
    return fits ? CNNFAST_OK : CNNFAST_INVALID_SHAPE;
}

cnnfast_status cnnfast_fused_plan(cnnfast_plan **to, const cnnfast_fused *d) {
    *to = NULL;
    if (d->count < 2 || d->count > MOST_STAGES) return CNNFAST_INVALID_PARAM;
    for (int i = 0; i < d->count; i++) {
        cnnfast_status status = check_stage(d->stages[i], i ? d->stages[i - 1] : NULL);
        if (status) return status;
    }
    const cnnfast_plan *first = d->stages[0], *last = d->stages[d->count - 1];
    cnnfast_plan *plan = plan_new(&fused_table, first->in, last->out, first->x_layout, 0, d->N, d->max_workspace);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    plan->y_layout = last->y_layout;
    fused_problem *p = &plan->problem.fused;
    p->count = d->count;
    plan->isa = first->isa;
    plan->g = first->g;
    plan->g.P = last->g.P, plan->g.Q = last->g.Q, plan->g.K = last->g.K;
    for (int i = 0; i < d->count; i++) {
        p->stages[i] = d->stages[i];
        plan->flops += d->stages[i]->flops / (double)max64(1, d->stages[i]->N) * (double)d->N;
        plan->weight_elements += d->stages[i]->weight_elements;
    }
    cut_bands(p);
    cnnfast_status status = check_tensors(&plan->g, d->N, plan->in, plan->out, 0);
    return plan_finish(to, plan, status ? status : plan_choose(plan, d->algorithm));
}
