/* One 3x3 convolution from C: plan it, run it, check one output by hand.
 *
 *   export PKG_CONFIG_PATH="$(python -c 'import cnnfast; print(cnnfast.get_pkgconfig_dir())')"
 *   cc conv2d.c $(pkg-config --cflags --libs cnnfast) -lm -o conv2d
 *
 * or with the CMakeLists.txt beside it:
 *
 *   cmake -B build -DCMAKE_PREFIX_PATH="$(python -c 'import cnnfast; print(cnnfast.get_cmake_dir())')" && cmake --build build
 */
#include <cnnfast.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { H = 8, W = 8, C = 3, K = 4 };

static float x[H * W * C], weight[3 * 3 * C * K], bias[K] = {1, 2, 3, 4}, y[H * W * K];

int main(void) {
    for (int i = 0; i < H * W * C; i++) x[i] = (float)(i % 7) - 3;
    for (int i = 0; i < 9 * C * K; i++) weight[i] = (float)(i % 5) - 2;

    const cnnfast_conv2d conv = {.dtype = CNNFAST_FLOAT32, .N = 1, .H = H, .W = W, .C = C, .K = K, .R = 3, .S = 3, .groups = 1,
                                 .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .activation = CNNFAST_RELU};
    cnnfast_plan *plan;
    cnnfast_status status = cnnfast_conv2d_plan(&plan, &conv, weight, bias);
    if (status) return fprintf(stderr, "plan: %s\n", cnnfast_status_string(status)), 1;

    const size_t size = cnnfast_plan_workspace_size(plan, 1);
    void *workspace = size ? aligned_alloc(64, size) : NULL;
    status = cnnfast_plan_run(plan, &(cnnfast_args){.N = 1, .x = x, .y = y}, workspace, size);
    if (status) return fprintf(stderr, "run: %s\n", cnnfast_status_string(status)), 1;

    float by_hand = bias[2]; /* output (4, 5), channel 2 */
    for (int r = 0; r < 3; r++)
        for (int s = 0; s < 3; s++)
            for (int c = 0; c < C; c++) by_hand += x[((4 + r - 1) * W + 5 + s - 1) * C + c] * weight[((r * 3 + s) * C + c) * K + 2];
    if (by_hand < 0) by_hand = 0;
    printf("%s on %s: y[4][5][2] = %g, by hand %g\n", cnnfast_plan_info(plan).algorithm, cnnfast_isa(), y[(4 * W + 5) * K + 2], by_hand);
    free(workspace);
    cnnfast_plan_free(&plan);
    return y[(4 * W + 5) * K + 2] != by_hand;
}
