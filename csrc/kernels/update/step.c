#include "update/step.h"

#include "simd.h"

#if CNNFAST_REAL

/* The settings, each in every lane. */
typedef struct {
    vec rate, decay, keep, rho, fresh, epsilon; /* keep is the momentum, fresh 1 - rho */
} settings;

/* The numbers of a vector's lanes: whole ones, or the first n alone. */
typedef struct {
    vec weight, grad, state[3];
} numbers;

/* weight's new value; a product that is used twice is kept rounded, so that the bits are every ISA's. */
INLINE vec sgd(const settings *s, numbers *at, bool velocity, bool nesterov) {
    if (!velocity) return v_fma(-s->rate, at->grad, at->weight);
    const vec step = v_keep(s->rate * at->grad);
    at->state[0] = v_fma(s->keep, at->state[0], -step);
    return at->weight + (nesterov ? v_fma(s->keep, at->state[0], -step) : at->state[0]);
}

INLINE vec rmsprop(const settings *s, numbers *at, bool buffer, bool centered) {
    const vec part = v_keep(s->fresh * at->grad);
    at->state[0] = v_fma(part, at->grad, v_keep(s->rho * at->state[0]));
    vec under = at->state[0] + s->epsilon;
    if (centered) {
        at->state[2] = v_fma(s->rho, at->state[2], part);
        under = v_fma(-at->state[2], at->state[2], under);
    }
    const vec step = s->rate * at->grad / v_sqrt(under);
    if (!buffer) return at->weight - step;
    at->state[1] = v_fma(s->keep, at->state[1], step);
    return at->weight - at->state[1];
}

INLINE vec adam(const settings *s, numbers *at, bool largest) {
    at->state[0] = v_fma(at->grad - at->state[0], s->keep, at->state[0]);
    at->state[1] = v_fma(v_fma(at->grad, at->grad, -at->state[1]), s->fresh, at->state[1]);
    if (largest) at->state[2] = v_at_least(at->state[2], at->state[1]);
    return at->weight - s->rate * at->state[0] / (v_sqrt(at->state[largest ? 2 : 1]) + s->epsilon);
}

INLINE void steps(const cnnfast_update *u, const settings *s, real *weight, const real *grad, real *const state[3], bool first, bool second,
                  bool third, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
        const int n = (int)min64(LANES, end - i);
        const bool whole = n == LANES;
#define LOAD(p) (whole ? v_load((p) + i) : v_load_n((p) + i, n))
#define STORE(p, v) (whole ? v_store((p) + i, v) : v_store_n((p) + i, v, n))
        numbers at = {.weight = LOAD(weight), .grad = LOAD(grad)};
        if (first) at.state[0] = LOAD(state[0]);
        if (second) at.state[1] = LOAD(state[1]);
        if (third) at.state[2] = LOAD(state[2]);
        at.weight = v_fma(-s->decay, at.weight, at.weight);
        const vec v = u->kind == CNNFAST_SGD       ? sgd(s, &at, first, u->nesterov != 0)
                      : u->kind == CNNFAST_RMSPROP ? rmsprop(s, &at, second, third)
                                                   : adam(s, &at, third);
        STORE(weight, v);
        if (first) STORE(state[0], at.state[0]);
        if (second) STORE(state[1], at.state[1]);
        if (third) STORE(state[2], at.state[2]);
    }
}

void SYMBOL(update_step)(const cnnfast_update *given, void *weight, const void *grad, void *const state[3], int64_t begin, int64_t end) {
    const bool is_adam = given->kind == CNNFAST_ADAM;
    const settings s = {v_splat((real)given->rate), v_splat((real)given->decay),
                        v_splat((real)(is_adam ? 1 - given->momentum : given->momentum)), v_splat((real)given->rho),
                        v_splat((real)(1 - given->rho)), v_splat((real)given->epsilon)};
    real *const of[3] = {state[0], state[1], state[2]};
    cnnfast_update u = *given;
#define STEPS(kind_, nesterov_, first, second, third)                            \
    do {                                                                         \
        u.kind = kind_, u.nesterov = nesterov_;                                  \
        steps(&u, &s, weight, grad, of, first, second, third, begin, end);       \
    } while (0)
    if (u.kind == CNNFAST_SGD) {
        if (!of[0]) STEPS(CNNFAST_SGD, 0, false, false, false);
        else if (u.nesterov) STEPS(CNNFAST_SGD, 1, true, false, false);
        else STEPS(CNNFAST_SGD, 0, true, false, false);
    } else if (u.kind == CNNFAST_RMSPROP) {
        if (of[1] && of[2]) STEPS(CNNFAST_RMSPROP, 0, true, true, true);
        else if (of[1]) STEPS(CNNFAST_RMSPROP, 0, true, true, false);
        else if (of[2]) STEPS(CNNFAST_RMSPROP, 0, true, false, true);
        else STEPS(CNNFAST_RMSPROP, 0, true, false, false);
    } else {
        if (of[2]) STEPS(CNNFAST_ADAM, 0, true, true, true);
        else STEPS(CNNFAST_ADAM, 0, true, true, false);
    }
}

#endif
