/* The machine's own limits, measured in the words the kernels are written in: what `cnnfast bench` holds them against.
 *
 * One of each an ISA, for float32 alone:
 *   probe_fma    `iterations` rounds of independent multiply-adds in registers; returns the FLOPs it did, two an FMA
 *   probe_read   reads `bytes` from src
 *   probe_copy   reads `bytes` from src and writes them to dst, which do not overlap, with ordinary stores
 * `bytes` is a multiple of PROBE_BYTES. `sink` takes PROBE_SINK floats: a result nobody reads would not be computed.
 * All are single-threaded; the caller runs one a thread, each on memory of its own that it has touched before.
 */
#ifndef CNNFAST_PROBE_H
#define CNNFAST_PROBE_H

#include <stddef.h>
#include <stdint.h>

#define PROBE_BYTES 512
#define PROBE_SINK 16

#define DECLARE_PROBE(isa)                                                         \
    int64_t cnnfast_probe_fma_f32_##isa(int64_t iterations, float *sink);          \
    void cnnfast_probe_read_f32_##isa(const float *src, size_t bytes, float *sink); \
    void cnnfast_probe_copy_f32_##isa(float *dst, const float *src, size_t bytes);

#endif
