#include "shares.h"

#include <limits.h>
#include <math.h>

#include "cache.h"
#include "stream.h"

/* Of a 1 MB L2, for rows of output on their way past the caches: as many as fit, or one strip. */
static const size_t LANDING_BYTES = 256 * 1024, STRIP_BYTES = 640 * 1024;
/* Weights that calls of fewer rows may read again. */
static const size_t READ_AGAIN = 512 * 1024;
/* Of a share, where its blocks are fewer; and what a piece is worth cutting for, nominal microseconds. */
enum { PIECES = 8 };
static const double WORTH_A_PIECE = 40;

int64_t image_units(const cnnfast_plan *plan) {
    return plan->grain.rows_per_image ? plan->grain.rows_per_image : plan->rows_per_image;
}

int64_t strip_of(const cnnfast_plan *plan) { return plan->grain.rows_per_image ? plan->grain.strip_rows : 1; }
int64_t strips_of(const cnnfast_plan *plan) { return ceil_div(plan->g.P, strip_of(plan)); }
size_t row_bytes(const cnnfast_plan *plan) { return (size_t)(plan->g.Q * plan->g.K) * type_size(plan->type); }

int64_t landing_strips(const cnnfast_plan *plan, int64_t images) {
    const bool sums = plan->table == &conv_transpose2d_table ||
                      (plan->table == &conv2d_table && plan->problem.conv.groups < max64(2, plan->g.C)); /* a depthwise one loses */
    const int64_t strip = sums && stream_exists() ? strip_of(plan) : 0;
    if (!strip || size_mul((size_t)images, size_mul((size_t)plan->g.P, row_bytes(plan))) <= cache_last_level()) return 0;
    const size_t bytes = (size_t)strip * row_bytes(plan);
    const int64_t strips = min64(strips_of(plan), max64(1, (int64_t)(LANDING_BYTES / bytes)));
    const bool in_parts = strips * (image_units(plan) / strips_of(plan)) < plan->grain.block_rows;
    return bytes > STRIP_BYTES || (in_parts && plan->kernel->packed_size(&plan->problem) > READ_AGAIN) ? 0 : strips;
}

size_t landing_bytes(const cnnfast_plan *plan, int64_t strips) {
    return strips ? size_align((size_t)(strips * strip_of(plan)) * row_bytes(plan)) : 0;
}

/* Units [row0, row1), in blocks of about equal size. False: stopped. */
static bool run_blocks(const cnnfast_plan *plan, const tensors *t, tile at, void *workspace, parallel_watch *watch) {
    const int64_t row0 = at.row0, row1 = at.row1, blocks = ceil_div(row1 - row0, plan->grain.block_rows);
    for (int64_t i = 0; i < blocks; i++) {
        if (parallel_stopped(watch)) return false;
        at.row0 = row0 + (row1 - row0) * i / blocks;
        at.row1 = row0 + (row1 - row0) * (i + 1) / blocks;
        plan->kernel->run(&plan->problem, plan->packed, t, at, workspace);
    }
    return true;
}

/* Row of the batch's output at which a strip begins. */
static int64_t first_row(const cnnfast_plan *plan, int64_t strip) {
    const int64_t each = strips_of(plan);
    return strip / each * plan->g.P + strip % each * strip_of(plan);
}

/* Strips [strip, past): some rows at a time into `landing`, that is told as if it began at the batch's first row. */
static void run_landing(const job *j, int64_t strip, int64_t past, char *landing, parallel_watch *watch) {
    const cnnfast_plan *plan = j->plan;
    const int64_t units = image_units(plan) / strips_of(plan);
    const size_t row = row_bytes(plan);
    char *workspace = landing + landing_bytes(plan, j->landing);
    tensors t = *j->t;
    t.stream = false;
    for (int64_t end; strip < past; strip = end) {
        end = min64(past, strip + j->landing);
        const size_t begin = (size_t)first_row(plan, strip) * row, bytes = (size_t)first_row(plan, end) * row - begin;
        t.y = (void *)((uintptr_t)landing - begin);
        const tile at = {strip * units, end * units, 0, plan->grain.columns};
        if (!run_blocks(plan, &t, at, workspace, watch)) break;
        stream_copy((char *)j->t->y + begin, landing, bytes);
    }
    stream_end();
}

/* [begin, end) becomes its piece i of n. Pieces of four units and more that stay below a block are of an even number of them, for
 * kernels that do two rows at once. */
static void cut(int64_t *begin, int64_t *end, int i, int n, int64_t block) {
    const int64_t from = *begin, length = *end - from, each = length / n;
    const int64_t whole = each >= 4 && each + 2 <= block ? ~INT64_C(1) : ~INT64_C(0);
    *begin = from + (length * i / n & whole);
    *end = from + (i + 1 < n ? length * (i + 1) / n & whole : length);
}

/* Piece i of a share, in the thread's own workspace. */
static void run_piece(const job *j, int share, int i, int thread, parallel_watch *watch) {
    const cnnfast_plan *plan = j->plan;
    const int64_t r = share / j->col_shares, c = share % j->col_shares, columns = plan->grain.columns;
    char *own = j->workspace + (size_t)thread * (size_align(plan->grain.workspace) + landing_bytes(plan, j->landing));
    if (j->landing && j->col_shares == 1) {
        const int64_t strips = j->rows / image_units(plan) * strips_of(plan);
        int64_t begin = strips * r / j->row_shares, end = strips * (r + 1) / j->row_shares;
        cut(&begin, &end, i, j->pieces->pieces, 0);
        run_landing(j, begin, end, own, watch);
        return;
    }
    tile at = {j->rows * r / j->row_shares, j->rows * (r + 1) / j->row_shares, columns * c / j->col_shares,
               columns * (c + 1) / j->col_shares};
    cut(&at.row0, &at.row1, i, j->pieces->pieces, plan->grain.block_rows);
    run_blocks(plan, j->t, at, own, watch);
}

static void run_pieces(void *context, int thread, parallel_watch *watch) {
    const job *j = context;
    for (pieces_walk w = {0}; !watch->stop && pieces_next(j->pieces, thread, &w);) run_piece(j, w.share, w.piece, thread, watch);
}

/* What a grid's largest share waits for, bytes a nominal microsecond: weights, which threads side by side in rows all read, mostly
 * while they compute; and x and y, half of which two threads side by side in columns have from each other's cores, or leave to the
 * next step to fetch. Between cores without a cache in common that takes four times as long as between those with one. */
static const double WEIGHTS = 40e3, BETWEEN_CORES = 20e3;

/* The grid whose largest share costs least. */
static void choose_grid(job *j, int64_t N, int threads) {
    const cnnfast_plan *plan = j->plan;
    const int64_t columns = plan->grain.columns;
    const double unit = plan->kernel->cost(&plan->problem, N) / ((double)j->rows * (double)columns);
    const double weights = (double)plan->kernel->packed_size(&plan->problem) / WEIGHTS;
    const double tensors = (double)plan_bytes(&plan->g, N, dtype_size(plan->in), dtype_size(plan->out)) / BETWEEN_CORES;
    double least = INFINITY;
    for (int rows = 1; rows <= threads; rows++) {
        int cols = threads / rows;
        if (rows > j->rows || cols > columns) continue;
        const double share = unit * (double)ceil_div(j->rows, rows) * (double)ceil_div(columns, cols);
        const double cost = share + weights * (1 - 1.0 / rows) + tensors * (1 - 1.0 / cols);
        if (cost >= least) continue;
        least = cost;
        j->row_shares = rows, j->col_shares = cols;
    }
}

/* Pieces of a share: its blocks; where those are few and the kernel does nothing anew for each call but read a few weights,
 * smaller ones. */
static int pieces_of(const job *j, int64_t N) {
    const cnnfast_plan *plan = j->plan;
    const int64_t rows = j->rows / j->row_shares, blocks = ceil_div(rows, plan->grain.block_rows);
    const bool anew = plan->table == &fused_table || plan->table == &separable_conv2d_table || plan->table == &pool2d_table;
    if (blocks >= PIECES || anew || plan->kernel->packed_size(&plan->problem) / (size_t)j->col_shares > READ_AGAIN)
        return (int)min64(blocks, INT_MAX / 2);
    const double worth = plan->kernel->cost(&plan->problem, N) / (j->row_shares * j->col_shares) / WORTH_A_PIECE;
    return (int)max64(blocks, min64(worth < PIECES ? (int64_t)worth : PIECES, rows / 4));
}

bool run_kernels(job j, int64_t N, int threads, parallel_watch *watch) {
    pieces all;
    j.rows = N * image_units(j.plan), j.row_shares = j.col_shares = 1;
    if (threads > 1) choose_grid(&j, N, threads);
    const int shares = j.row_shares * j.col_shares;
    pieces_begin(&all, shares, shares > 1 ? pieces_of(&j, N) : 1);
    j.pieces = &all;
    return parallel_run(shares, run_pieces, &j, watch);
}
