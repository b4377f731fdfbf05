// One block a chunk, as in optim/one_pass.cuh, by a gradient that is drawn.
#pragma once
#include "optim/library.cuh"
#include "optim/one_pass.cuh"

// Blocks that a multiprocessor holds at least: ptxas is told how many registers it may take, or it takes more of them for what
// draws than it needs.
template <class Rule, class P>
constexpr int BLOCKS_OF_DRAWN = 4 - (sizeof(RealOf<P>) == 8 ? 1 : 0) - (STATES<Rule> > 2 ? 1 : 0);

// The gradient is a sum of noises, which nothing stores: a tile of it at a time is in shared memory.
template <class Rule, class P>
__device__ void one_pass_drawn(const Chunk* chunks, const TensorOf<Rule>* tensors, const double* groups, uint64_t* steps,
                               const RealOf<P>* scalars, const Estimate<RealOf<P>>& estimate) {
    using Real = RealOf<P>;
    constexpr uint32_t N = IS_HEAVY<Rule> ? 1 : RUN<Real>;
    extern __shared__ uint4 room[];
    Real* const tile = reinterpret_cast<Real*>(room);

    uint32_t flags;
    const Chunk chunk = chunk_of_block<Rule>(chunks, tensors, steps, flags);
    if (chunk.length == 0) {
        return;
    }
    // Tiles begin with a counter of the noise, the first perhaps before the chunk.
    const uint64_t first = tensors[chunk.tensor].first + chunk.start;
    const uint32_t before = first % 4;
    #pragma unroll 1
    for (uint32_t begin = 0; begin < before + chunk.length; begin += TILE) {
        draw(tile, first - before + begin, tensors[chunk.tensor].id, &estimate, begin == 0);
        // Read for every tile anew: so nothing of it takes a register while another is drawn.
        OnePass<Rule, P, Real> pass;
        pass.begin(chunk, flags, tensors, groups, steps, scalars);
        const auto sums = [&](uint32_t at) { return tile + (at + before - begin); };

        // Elements of the chunk that the tile has; those before the first whole run, and those of whole runs.
        const uint32_t low = max(begin, before) - before, high = min(begin + TILE - before, chunk.length);
        uint32_t head = high - low, body = 0;
        if (N > 1 && !pass.is_surrounded() && (flags & IN_PHASE) != 0) {
            head = min(head, uint32_t(-(reinterpret_cast<uint64_t>(pass.parameter + low) / sizeof(P))) % N);
            body = (high - low - head) / N * N;
            #pragma unroll 1
            for (uint32_t i = threadIdx.x * N; i < body; i += THREADS * N) {
                Pack<Real, N> sum;
                for (int k = 0; k < N; k++) {
                    sum.element[k] = sums(low + head + i)[k];
                }
                pass.template update<false, N, 1, true>(low + head + i, sum);
            }
        }
        #pragma unroll 1
        for (uint32_t i = threadIdx.x; i < high - low - body; i += THREADS) {
            const uint32_t at = low + (i < head ? i : i + body);
            pass.template update<true, 1, 1, true>(at, {{*sums(at)}});
        }
    }
}
