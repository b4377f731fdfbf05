// Search distributions with a mean and a deviation of every element: their members, and how they adapt. Twins of
// src/cpu/es/sample.rs and src/es/adapt.rs.
//
//   sample: to = m + s (a e), rounded to the type of `to`
//   adapt: m += s sum a_j e_j, and s grows by what sum b_j e_j^2 is beside sum b_j
#pragma once
#include "core/fmath.cuh"
#include "es/sums.cuh"

struct Sampled {
    uint64_t mean, deviation, to;  // device addresses
    uint64_t first;               // the place of element 0 in the tensor `id` that this is a shard of
    uint32_t id, flags;
};

static_assert(sizeof(Sampled) == 40);

// A thread takes the four elements of a counter, of which a chunk's ends and a shard's may lack some. A coefficient of 0 gives
// the mean alone.
template <class Q>
__device__ void sample(
    const Chunk* chunks, const Sampled* tensors, uint64_t seed, uint32_t field, uint32_t step, RealOf<Q> coefficient
) {
    using Real = RealOf<Q>;
    constexpr uint32_t N = 4;

    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    Normal normal;
    normal.begin();
    const Sampled tensor = tensors[chunk.tensor];
    const Real* const mean = reinterpret_cast<const Real*>(tensor.mean) + chunk.start;
    const Real* const deviation = reinterpret_cast<const Real*>(tensor.deviation) + chunk.start;
    Q* const to = reinterpret_cast<Q*>(tensor.to) + chunk.start;
    const Address address = {{field, tensor.id, step}, seed};

    const uint64_t element = tensor.first + chunk.start;
    const uint32_t skip = element % N;  // elements of the first counter that are before the chunk
    const uint32_t packed = skip == 0 && tensor.flags & PACKED<N> ? chunk.length : 0;
    #pragma unroll 1
    for (uint32_t block = threadIdx.x; block * N < skip + chunk.length; block += THREADS) {
        const uint32_t mine = block * N - skip;  // before the chunk it wraps
        float number[N];
        normal.block(address, element / N + block, number);
        const auto drawn = [&](uint32_t i, Real m, Real s) {
            return narrow<Q>(select(coefficient == Real(0), m, fma(s, coefficient * Real(number[i]), m)));
        };
        if (mine + N <= packed) {
            const Pack<Real, N> m = load<N>(mean + mine), s = load<N>(deviation + mine);
            Pack<Q, N> rounded;
            #pragma unroll
            for (uint32_t i = 0; i < N; i++) {
                rounded.element[i] = drawn(i, m.element[i], s.element[i]);
            }
            store<N>(to + mine, rounded);
            continue;
        }
        #pragma unroll
        for (uint32_t i = 0; i < N; i++) {
            const uint32_t at = mine + i;
            if (at < chunk.length) {
                store<1>(to + at, {drawn(i, load<1>(mean + at).element[0], load<1>(deviation + at).element[0])});
            }
        }
    }
}

template <class Real> struct Adapted {
    Real total;           // of the factors of the squares
    Real most;            // of what a deviation changes by, as a share of it
    uint32_t is_bounded;  // else it changes by the exponential

    __device__ void operator()(Real sum, Real squares, Real& mean, Real& deviation) const {
        const Real change = squares - total;
        const Real bounded = select(change > most, most, select(change < -most, -most, change));
        mean = fma(deviation, sum, mean);
        deviation = is_bounded ? fma(deviation, bounded, deviation) : deviation * fmath::exp(change);
    }
};
