// Packs of elements as they lie in memory, taken apart behind the load.
#pragma once
#include <type_traits>

#include "core/element.cuh"

// N neighbouring elements of whole vectors of 16 bytes, as they lie in memory: two elements of 16 bits are taken apart by
// one instruction each.
template <class T, int N> struct Raw {
    static constexpr int VECTORS = N * sizeof(T) / 16;
    static_assert(16 * VECTORS == N * sizeof(T));
    uint4 vector[VECTORS];

    // Zeros where there is nothing to load.
    __device__ void load(const T* from, bool has) {
        __builtin_assume(__isGlobal(from));
        #pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            vector[v] = make_uint4(0, 0, 0, 0);
            if (has) {
                vector[v] = reinterpret_cast<const uint4*>(from)[v];
            }
        }
    }

    __device__ void widen_to(RealOf<T> (&x)[N]) const {
        constexpr int EACH = 16 / sizeof(T);
        #pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            const uint32_t word[4] = {vector[v].x, vector[v].y, vector[v].z, vector[v].w};
            #pragma unroll
            for (int i = 0; i < EACH; i++) {
                RealOf<T>& to = x[v * EACH + i];
                if constexpr (sizeof(T) == 8) {
                    to = __hiloint2double(word[2 * i + 1], word[2 * i]);
                } else if constexpr (sizeof(T) == 4) {
                    to = __uint_as_float(word[i]);
                } else if constexpr (std::is_same_v<T, bf16>) {
                    to = __uint_as_float(i % 2 == 0 ? word[i / 2] << 16 : word[i / 2] & 0xffff0000);
                } else {
                    to = widen(T{uint16_t(word[i / 2] >> 16 * (i % 2))});
                }
            }
        }
    }
};
