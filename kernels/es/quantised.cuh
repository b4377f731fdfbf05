// Noise as integers, and what integer weights become.
#pragma once
#include <cstdint>

// The integer nearest to scale * number, ties to even, from -most to most.
__device__ inline int32_t quantised(float scale, float number, int32_t most) {
    return max(-most, min(most, __float2int_rn(scale * number)));
}

// One step to where a sum votes for, unless that is behind a limit.
__device__ inline uint32_t voted(int32_t x, uint32_t z, int32_t threshold, int32_t limit) {
    const int32_t votes = int32_t(z);
    return x + int32_t(votes >= threshold && x < limit) - int32_t(votes <= -threshold && x > -limit);
}
