#include "isa.h"

#include <stdatomic.h>
#include <string.h>

#include "cnnfast.h"

#define ISA_NAME(name) #name,
static const char *const names[ISA_COUNT + 1] = {FOR_EACH_ISA(ISA_NAME) NULL};
static _Atomic int forced = -1;

#if defined(__x86_64__)
static int cpu_has(int isa) {
    __builtin_cpu_init();
    switch (isa) {
    case ISA_baseline: return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    case ISA_avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    case ISA_avx512:
        return cpu_has(ISA_avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    }
    return 0;
}
#else
static int cpu_has(int isa) { return isa == ISA_neon; } /* every aarch64 has it */
#endif

static int best(void) {
    for (int isa = ISA_COUNT - 1; isa > 0; isa--)
        if (cpu_has(isa)) return isa;
    return 0;
}

int isa_current(void) {
    int isa = forced;
    if (isa < 0) forced = isa = best();
    return isa;
}

const char *cnnfast_isa_name(int index) { return index >= 0 && index < ISA_COUNT ? names[index] : NULL; }

const char *cnnfast_isa(void) { return names[isa_current()]; }

int cnnfast_isa_available(const char *name) {
    for (int isa = 0; isa < ISA_COUNT; isa++)
        if (!strcmp(name, names[isa])) return cpu_has(isa);
    return 0;
}

cnnfast_status cnnfast_set_isa(const char *name) {
    if (!name) {
        forced = best();
        return CNNFAST_OK;
    }
    for (int isa = 0; isa < ISA_COUNT; isa++)
        if (!strcmp(name, names[isa])) {
            if (!cpu_has(isa)) return CNNFAST_UNSUPPORTED;
            forced = isa;
            return CNNFAST_OK;
        }
    return CNNFAST_INVALID_PARAM;
}
