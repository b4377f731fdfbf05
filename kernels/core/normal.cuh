// The default normal: one from each word. Twin of src/rng/normal.rs.
//
// The table lies in shared memory. The lanes of a warp look up rows of their own: constant memory would serve them one
// after another, and the first cache would take a pass for each line they touch, while what streams through it competes for
// its place. A block copies 8 KiB once and then meets no miss.
#pragma once
#include "core/philox.cuh"

constexpr uint32_t SEGMENTS = 16;
constexpr uint32_t ROWS = 32 * SEGMENTS;

// A cubic's coefficients, lowest first.
struct alignas(16) Cubic {
    float c0, c1, c2, c3;
};

// Bits of cubics; kernels/normal_table.py says of what.
alignas(16) static __device__ const uint32_t NORMAL_TABLE[4 * ROWS] = {
#include "core/normal_table.inc"
};

class Normal {
    const Cubic* table;

  public:
    // Brings the table into shared memory. All threads of a block call this together, once, before any draws.
    __device__ void begin() {
        __shared__ Cubic shared[ROWS];
        for (uint32_t i = threadIdx.x; i < ROWS; i += blockDim.x) {
            shared[i] = reinterpret_cast<const Cubic*>(NORMAL_TABLE)[i];
        }
        __syncthreads();
        table = shared;
    }

    // The standard normal of a word.
    __device__ float operator()(uint32_t word) const {
        // The distance from the nearer end in units of 2^-33, odd; its octave and its segment there; the place in that.
        const uint32_t nearer = word ^ uint32_t(int32_t(word) >> 31);
        const uint32_t v = nearer << 1 | 1;
        const uint32_t octave = __clz(v);
        const uint32_t m = v << octave;
        const Cubic row = table[octave * SEGMENTS + (m >> 27 & (SEGMENTS - 1))];
        const float t = float(int32_t(m | 0xf8000000));
        const float magnitude = fma(t, fma(t, fma(t, row.c3, row.c2), row.c1), row.c0);
        return __uint_as_float(__float_as_uint(magnitude) | (~word & 0x80000000));
    }

    // The normals of elements 4 * block to 4 * block + 3, `out[0]` to `out[3]`.
    __device__ void block(const Address& address, uint64_t block, float (&out)[4]) const {
        const Words words = address.words(block);
        for (int i = 0; i < 4; i++) {
            out[i] = (*this)(words.word[i]);
        }
    }

    // The normal of an element alone.
    __device__ float element(const Address& address, uint64_t element) const {
        return (*this)(address.word(element));
    }

    // The normals of N elements from `first` on; of one counter where they are of one.
    template <int N> __device__ void run(const Address& address, uint64_t first, float (&out)[N]) const {
        static_assert(N <= 4);
        if constexpr (N == 1) {
            out[0] = element(address, first);
            return;
        }
        const uint32_t skip = first % 4;
        const Words words = address.words(first / 4);
        Words behind = {};
        if (skip + N > 4) {
            behind = address.words(first / 4 + 1);
        }
        const uint32_t word[] = {words.word[0],  words.word[1],  words.word[2],  words.word[3],
                                 behind.word[0], behind.word[1], behind.word[2], behind.word[3]};
        #pragma unroll
        for (int i = 0; i < N; i++) {
            const uint32_t even = skip & 2 ? word[i + 2] : word[i];
            const uint32_t odd = skip & 2 ? word[i + 3] : word[i + 1];
            out[i] = (*this)(skip & 1 ? odd : even);
        }
    }
};
