#include "cache.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* What is believed, for each of the machine's cores: a virtual one of few may be told of its host's whole cache, which it shares
 * with others. */
static const size_t MOST_OF_A_CORE = 16 << 20;

static size_t last_level = 32 << 20; /* where the system does not say */

/* From sysfs: sysconf(_SC_LEVEL3_CACHE_SIZE) multiplies by the threads that CPUID tells of, which in a virtual machine
 * may be the host's. */
__attribute__((constructor)) static void at_load(void) {
    for (int index = 4; index >= 0; index--) {
        char path[64];
        long size;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        const int found = fscanf(f, "%ldK", &size);
        fclose(f);
        if (found != 1 || size <= 0) continue;
        const long cores = sysconf(_SC_NPROCESSORS_ONLN);
        const size_t most = MOST_OF_A_CORE * (size_t)(cores > 0 ? cores : 1);
        last_level = (size_t)size << 10 < most ? (size_t)size << 10 : most;
        return;
    }
}

size_t cache_last_level(void) { return last_level; }

size_t cache_share(void) { return last_level / 2; }

/* Intel's cores guess well enough by themselves. What is asked for takes the places where what the loop reads would wait, and costs
 * a loop over one operation's arrays a twentieth to a third (docs/performance.md, "What comes from memory"). */
static bool guesses(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_is("intel");
#else
    return false;
#endif
}

size_t cache_near(void) { return guesses() ? SIZE_MAX : cache_share(); }
