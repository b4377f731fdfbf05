// The default normal: one from each word. Twin of src/rng/normal.rs.
//
// The table lies in shared memory. The lanes of a warp look up rows of their own: constant memory would serve them one
// after another, and the first cache would take a pass for each line they touch, while what streams through it competes for
// its place. A block copies 8 KiB once and then meets no miss.
#pragma once
#include "core/philox.cuh"

constexpr uint32_t SEGMENTS = 16;
constexpr uint32_t ROWS = 32 * SEGMENTS;
constexpr int32_t FIRST_ROW = 127 * SEGMENTS;  // of the exponent of 1
constexpr float SEGMENT_END = 1.0f + 1.0f / SEGMENTS;

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
    static constexpr uint32_t ROOM = ROWS * sizeof(Cubic);

    // Brings the table into shared memory. All threads of a block call this together, once, before any draws.
    __device__ void begin() {
        __shared__ Cubic shared[ROWS];
        begin_in(shared, true);
    }

    // The same with memory for the table, which is there already if it is not new.
    __device__ void begin_in(void* room, bool is_new) {
        Cubic* const shared = static_cast<Cubic*>(room);
        if (is_new) {
            for (uint32_t i = threadIdx.x; i < ROWS; i += blockDim.x) {
                shared[i] = reinterpret_cast<const Cubic*>(NORMAL_TABLE)[i];
            }
            __syncthreads();
        }
        table = shared;
    }

    // The standard normal of a word.
    __device__ float operator()(uint32_t word) const {
        // Twice the distance from the nearer end, odd, with a sign. In f32 its exponent and the four bits behind say which
        // row, the other bits say where in its segment.
        const uint32_t bits = __float_as_uint(float(int32_t(word | 1)));
        const Cubic row = table[int32_t(bits >> 19 & 0xfff) - FIRST_ROW];
        const float t = __uint_as_float((bits & 0x7ffff) | 0x3f800000) - SEGMENT_END;
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

    // The normals of N elements from `first` on.
    template <int N> __device__ void run(const Address& address, uint64_t first, float (&out)[N]) const {
        if constexpr (N == 1) {
            out[0] = element(address, first);
            return;
        }
        const Words words = address.run<N>(first);
        #pragma unroll
        for (int i = 0; i < N; i++) {
            out[i] = (*this)(words.word[i]);
        }
    }
};
