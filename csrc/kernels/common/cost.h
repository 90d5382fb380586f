/* The nominal core that costs are told in: ratios between rows of a table decide, so only they need to be right.
 * A pure function of the problem (no LANES, no TILE_M): `auto` picks the same row on every machine. */
#ifndef CNNFAST_COST_H
#define CNNFAST_COST_H

#include "size.h"

#define NOMINAL_FLOPS 100e3      /* per microsecond, float32 FMA */
#define NOMINAL_DRAM 20e3        /* bytes per microsecond */
#define NOMINAL_L2 60e3          /* bytes per microsecond */
#define NOMINAL_TILE_PIXELS 14
#define NOMINAL_LANES 16

/* Packed weights of this many bytes stay in a cache from run to run of a network; the products wait for the rest. */
#define NEAR_WEIGHTS 24e6
#define NOMINAL_FAR 15e3         /* bytes per microsecond */

static inline double far_weights(double bytes) { return bytes > NEAR_WEIGHTS ? (bytes - NEAR_WEIGHTS) / NOMINAL_FAR : 0; }

static inline double cost_max(double compute, double memory) { return compute > memory ? compute : memory; }

/* Share of a tile row's FMAs that are not waiting for its loads: m pixels need m + 2 loads for 2m FMAs. */
static inline double tile_efficiency(int64_t pixels) {
    double tiles = (double)ceil_div(pixels, NOMINAL_TILE_PIXELS), m = (double)pixels / tiles;
    return m / (m + 1);
}

/* Share of the vector lanes over `channels` outputs that are used. */
static inline double lane_efficiency(int64_t channels) {
    return (double)channels / (double)(ceil_div(channels, NOMINAL_LANES) * NOMINAL_LANES);
}

#endif
