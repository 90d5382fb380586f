/* Every op's table.inc, expanded to the kernels the build compiled. */
#include <string.h>

#include "plan.h"

/* Declarations: one a kernel, ISA and type that its row has. */
#define DECLARE(op, name, type, isa) extern const kernel cnnfast_##op##_##name##_##type##_##isa;
#define DECLARE_REAL(op, name, isa) DECLARE(op, name, f32, isa) DECLARE(op, name, f64, isa)
#define DECLARE_ANY(op, name, isa) DECLARE_REAL(op, name, isa) DECLARE(op, name, i32, isa) DECLARE(op, name, i64, isa)

#define ENTRY(op, name, type, isa) [ISA_##isa][TYPE_##type] = &cnnfast_##op##_##name##_##type##_##isa,
#define ENTRY_REAL(op, name, isa) ENTRY(op, name, f32, isa) ENTRY(op, name, f64, isa)
#define ENTRY_ANY(op, name, isa) ENTRY_REAL(op, name, isa) ENTRY(op, name, i32, isa) ENTRY(op, name, i64, isa)

#if defined(__x86_64__)
#define EVERY_ISA(what, op, name) what(op, name, baseline) what(op, name, avx2) what(op, name, avx512)
#else
#define EVERY_ISA(what, op, name) what(op, name, neon)
#endif

#define KERNEL(name, types) EVERY_ISA(DECLARE_##types, OP, name)
#define OP conv2d
#include "conv2d/table.inc"
#undef OP
#define OP conv_transpose2d
#include "conv_transpose2d/table.inc"
#undef OP
#define OP conv2d_grad_input
#include "conv2d_grad_input/table.inc"
#undef OP
#define OP separable_conv2d
#include "separable_conv2d/table.inc"
#undef OP
#define OP pool2d
#include "pool2d/table.inc"
#undef OP
#define OP max_unpool2d
#include "max_unpool2d/table.inc"
#undef OP
#define OP linear
#include "linear/table.inc"
#undef OP
#define OP elementwise
#include "elementwise/table.inc"
#undef OP
#define OP batch_norm
#include "batch_norm/table.inc"
#undef OP
#define OP local_response_norm
#include "local_response_norm/table.inc"
#undef OP
#define OP softmax
#include "softmax/table.inc"
#undef OP
#define OP upsample2d
#include "upsample2d/table.inc"
#undef OP
#define OP max_pool2d_grad
#include "max_pool2d_grad/table.inc"
#undef OP
#define OP resample2d
#include "resample2d/table.inc"
#undef OP
#define OP conv2d_grad_weight
#include "conv2d_grad_weight/table.inc"
#undef OP
#undef KERNEL

#define KERNEL(name, types) {#name, {EVERY_ISA(ENTRY_##types, OP, name)}},
#define OP conv2d
static const table_row conv2d_rows[] = {
#include "conv2d/table.inc"
    {0}};
#undef OP
#define OP conv_transpose2d
static const table_row conv_transpose2d_rows[] = {
#include "conv_transpose2d/table.inc"
    {0}};
#undef OP
#define OP conv2d_grad_input
static const table_row conv2d_grad_input_rows[] = {
#include "conv2d_grad_input/table.inc"
    {0}};
#undef OP
#define OP separable_conv2d
static const table_row separable_conv2d_rows[] = {
#include "separable_conv2d/table.inc"
    {0}};
#undef OP
#define OP pool2d
static const table_row pool2d_rows[] = {
#include "pool2d/table.inc"
    {0}};
#undef OP
#define OP max_unpool2d
static const table_row max_unpool2d_rows[] = {
#include "max_unpool2d/table.inc"
    {0}};
#undef OP

#define OP linear
static const table_row linear_rows[] = {
#include "linear/table.inc"
    {0}};
#undef OP
#define OP elementwise
static const table_row elementwise_rows[] = {
#include "elementwise/table.inc"
    {0}};
#undef OP
#define OP batch_norm
static const table_row batch_norm_rows[] = {
#include "batch_norm/table.inc"
    {0}};
#undef OP
#define OP local_response_norm
static const table_row local_response_norm_rows[] = {
#include "local_response_norm/table.inc"
    {0}};
#undef OP
#define OP softmax
static const table_row softmax_rows[] = {
#include "softmax/table.inc"
    {0}};
#undef OP
#define OP upsample2d
static const table_row upsample2d_rows[] = {
#include "upsample2d/table.inc"
    {0}};
#undef OP
#define OP max_pool2d_grad
static const table_row max_pool2d_grad_rows[] = {
#include "max_pool2d_grad/table.inc"
    {0}};
#undef OP
#define OP resample2d
static const table_row resample2d_rows[] = {
#include "resample2d/table.inc"
    {0}};
#undef OP
#define OP conv2d_grad_weight
static const table_row conv2d_grad_weight_rows[] = {
#include "conv2d_grad_weight/table.inc"
    {0}};
#undef OP

const table conv2d_table = {"conv2d", conv2d_rows};
const table conv_transpose2d_table = {"conv_transpose2d", conv_transpose2d_rows};
const table conv2d_grad_input_table = {"conv2d_grad_input", conv2d_grad_input_rows};
const table separable_conv2d_table = {"separable_conv2d", separable_conv2d_rows};
const table pool2d_table = {"pool2d", pool2d_rows};
const table max_unpool2d_table = {"max_unpool2d", max_unpool2d_rows};
const table linear_table = {"linear", linear_rows};
const table elementwise_table = {"elementwise", elementwise_rows};
const table batch_norm_table = {"batch_norm", batch_norm_rows};
const table local_response_norm_table = {"local_response_norm", local_response_norm_rows};
const table softmax_table = {"softmax", softmax_rows};
const table upsample2d_table = {"upsample2d", upsample2d_rows};
const table resample2d_table = {"resample2d", resample2d_rows};
const table max_pool2d_grad_table = {"max_pool2d_grad", max_pool2d_grad_rows};
const table conv2d_grad_weight_table = {"conv2d_grad_weight", conv2d_grad_weight_rows};

const char *cnnfast_algorithm(const char *op, int row) {
    const table *const tables[] = {&conv2d_table, &conv_transpose2d_table, &separable_conv2d_table, &pool2d_table, &conv2d_grad_input_table,
                                   &max_unpool2d_table, &linear_table, &elementwise_table, &batch_norm_table,
                                   &local_response_norm_table, &softmax_table, &upsample2d_table, &fused_table,
                                   &conv2d_grad_weight_table, &max_pool2d_grad_table, &resample2d_table};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (strcmp(op, tables[i]->op)) continue;
        for (int at = 0; tables[i]->rows[at].name; at++)
            if (at == row) return tables[i]->rows[at].name;
    }
    return NULL;
}
