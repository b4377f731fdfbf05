// A few vectors over the tensors of a model, added to it in one launch: to += sum c_j v_j. Twin of src/cpu/es/directions.rs.
#include "core/chunk.cuh"
#include "core/pack.cuh"

constexpr uint32_t MOST = 8;

extern "C" __device__ const uint32_t directions_layout[3] = {CHUNK, THREADS, MOST};

// Flag: packs of 4 elements begin together in all arrays, with the first.
constexpr uint32_t PACKED = 1;

struct Directed {
    uint64_t direction[MOST], to;  // device addresses; 0 where there is no direction
    uint64_t first;
    uint32_t id, flags;
};

static_assert(sizeof(Directed) == 88);

template <class Real> struct Coefficients {
    Real of[MOST];
};

template <int N, class Q>
__device__ void add(const Directed& tensor, uint64_t at, uint32_t count, const Coefficients<RealOf<Q>>& coefficients) {
    using Real = RealOf<Q>;
    Q* const to = reinterpret_cast<Q*>(tensor.to) + at;
    Pack<Q, N> pack = load<N>(to);
    Real x[N];
    #pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] = widen(pack.element[i]);
    }
    #pragma unroll 1
    for (uint32_t j = 0; j < count; j++) {
        const Pack<Real, N> direction = load<N>(reinterpret_cast<const Real*>(tensor.direction[j]) + at);
        const Real coefficient = coefficients.of[j];
        #pragma unroll
        for (int i = 0; i < N; i++) {
            x[i] = fma(coefficient, direction.element[i], x[i]);
        }
    }
    #pragma unroll
    for (int i = 0; i < N; i++) {
        pack.element[i] = narrow<Q>(x[i]);
    }
    store<N>(to, pack);
}

template <class Q>
__device__ void directions(
    const Chunk* chunks, const Directed* tensors, uint32_t count, const Coefficients<RealOf<Q>>& coefficients
) {
    constexpr uint32_t N = 4;
    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    const Directed& tensor = tensors[chunk.tensor];
    const uint32_t packed = tensor.flags & PACKED ? chunk.length / N * N : 0;
    #pragma unroll 1
    for (uint32_t i = threadIdx.x * N; i < packed; i += THREADS * N) {
        add<N, Q>(tensor, chunk.start + i, count, coefficients);
    }
    #pragma unroll 1
    for (uint32_t i = packed + threadIdx.x; i < chunk.length; i += THREADS) {
        add<1, Q>(tensor, chunk.start + i, count, coefficients);
    }
}

#define DIRECTIONS(Q)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS) directions_##Q(                                                     \
        const Chunk* chunks, const Directed* tensors, uint32_t count,                                                         \
        const __grid_constant__ Coefficients<RealOf<Q>> coefficients                                                          \
    ) {                                                                                                                       \
        directions<Q>(chunks, tensors, count, coefficients);                                                                  \
    }

DIRECTIONS(f64)
DIRECTIONS(f32)
DIRECTIONS(bf16)
DIRECTIONS(f16)
