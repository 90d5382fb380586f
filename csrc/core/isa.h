/* The ISAs this library was compiled for, weakest first. X-macros expand to one entry an ISA. */
#ifndef CNNFAST_ISA_H
#define CNNFAST_ISA_H

#if defined(__x86_64__)
#define FOR_EACH_ISA(X) X(baseline) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define FOR_EACH_ISA(X) X(neon)
#else
#error "cnnfast is written for x86-64 and aarch64"
#endif

#define ISA_INDEX(name) ISA_##name,
enum { FOR_EACH_ISA(ISA_INDEX) ISA_COUNT };

/* The ISA of plans made from now on. */
int isa_current(void);

#endif
