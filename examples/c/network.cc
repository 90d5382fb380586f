// Two layers from C++: a convolution with its ReLU and a pool, planned once and run for many batches.
#include <cnnfast.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

static void check(cnnfast_status status) {
    if (status != CNNFAST_OK) throw std::runtime_error(cnnfast_status_string(status));
}

class Plan {
public:
    Plan(const cnnfast_conv2d &conv, const std::vector<float> &weight, const std::vector<float> &bias) {
        cnnfast_plan *made;
        check(cnnfast_conv2d_plan(&made, &conv, weight.data(), bias.data()));
        plan.reset(made);
    }
    explicit Plan(const cnnfast_pool2d &pool) {
        cnnfast_plan *made;
        check(cnnfast_pool2d_plan(&made, &pool));
        plan.reset(made);
    }
    std::vector<float> operator()(int64_t N, const std::vector<float> &x) const {
        int64_t shape[4];
        cnnfast_plan_output_shape(plan.get(), N, shape);
        std::vector<float> y(static_cast<size_t>(shape[0] * shape[1] * shape[2] * shape[3]));
        cnnfast_args args{};
        args.N = N, args.x = x.data(), args.y = y.data();
        check(cnnfast_plan_run_allocating(plan.get(), &args));
        return y;
    }

private:
    struct Free {
        void operator()(cnnfast_plan *p) const { cnnfast_plan_free(&p); }
    };
    std::unique_ptr<cnnfast_plan, Free> plan;
};

int main() try {
    cnnfast_conv2d conv{};
    conv.dtype = CNNFAST_FLOAT32;
    conv.N = 1, conv.H = conv.W = 8, conv.C = 3, conv.K = 4, conv.R = conv.S = 3, conv.groups = 1;
    conv.stride[0] = conv.stride[1] = conv.dilation[0] = conv.dilation[1] = 1;
    for (auto &side : conv.pad) side = 1;
    conv.activation = CNNFAST_RELU;
    cnnfast_pool2d pool{};
    pool.dtype = CNNFAST_FLOAT32, pool.kind = CNNFAST_MAX;
    pool.N = 1, pool.H = pool.W = 8, pool.C = 4, pool.R = pool.S = 2;
    pool.stride[0] = pool.stride[1] = 2, pool.dilation[0] = pool.dilation[1] = 1;

    const Plan convolve(conv, std::vector<float>(9 * 3 * 4, 1.0f), {0, 1, 2, -100}), shrink(pool);
    bool right = true;
    for (int64_t N : {1, 2, 5}) {
        const std::vector<float> y = shrink(N, convolve(N, std::vector<float>(static_cast<size_t>(N) * 8 * 8 * 3, 1.0f)));
        // Within the picture a filter of ones over ones is 27; at a corner 12, but a window's largest is what the pool keeps.
        for (size_t i = 0; i < y.size(); i += 4) right = right && y[i] == 27 && y[i + 1] == 28 && y[i + 2] == 29 && y[i + 3] == 0;
    }
    bool refused = false;
    conv.stride[0] = 0;
    try {
        Plan(conv, std::vector<float>(9 * 3 * 4), {0, 0, 0, 0});
    } catch (const std::runtime_error &error) {
        std::printf("stride 0: %s\n", error.what());
        refused = true;
    }
    std::printf("cnnfast %s on %s: %s\n", cnnfast_version(), cnnfast_isa(), right && refused ? "right" : "wrong");
    return right && refused ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
}
