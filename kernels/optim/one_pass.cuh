// One block a chunk: load, update, store. For rules that need no total.
#pragma once
#include "core/chunk.cuh"
#include "core/pack.cuh"

template <class Rule, class P, class G> struct OnePass {
    using Real = RealOf<P>;
    using Scalars = typename Rule::template Scalars<Real>;
    using State = typename Rule::template State<Real>;

    // The arrays, from the chunk's first element on.
    P* parameter;
    const G* gradient;
    Real* state[STATES<Rule>];

    Real gradient_scale;
    Scalars scalars;

    // RUNS runs of N elements, the first at element `at`, each THREADS runs after the one before: every load comes
    // before the arithmetic, every store after it.
    template <int N, int RUNS> __device__ void update(uint32_t at) const {
        constexpr uint32_t STRIDE = N * THREADS;
        Pack<P, N> p[RUNS];
        Pack<G, N> g[RUNS];
        Pack<Real, N> x[RUNS][STATES<Rule> + (STATES<Rule> == 0)];  // an array has at least one element
        for (int r = 0; r < RUNS; r++) {
            p[r] = load<N>(parameter + at + r * STRIDE);
            g[r] = load<N>(gradient + at + r * STRIDE);
            for (int k = 0; k < STATES<Rule>; k++) {
                x[r][k] = load<N>(state[k] + at + r * STRIDE);
            }
        }
        for (int r = 0; r < RUNS; r++) {
            for (int i = 0; i < N; i++) {
                State values;
                for (int k = 0; k < STATES<Rule>; k++) {
                    reinterpret_cast<Real*>(&values)[k] = x[r][k].element[i];
                }
                Real scaled = gradient_scale * widen(g[r].element[i]);
                p[r].element[i] = narrow<P>(Rule::update(scalars, widen(p[r].element[i]), scaled, values));
                for (int k = 0; k < STATES<Rule>; k++) {
                    x[r][k].element[i] = reinterpret_cast<Real*>(&values)[k];
                }
            }
        }
        for (int r = 0; r < RUNS; r++) {
            store<N>(parameter + at + r * STRIDE, p[r]);
            for (int k = 0; k < STATES<Rule>; k++) {
                store<N>(state[k] + at + r * STRIDE, x[r][k]);
            }
        }
    }
};

template <class Rule, class P, class G>
__device__ void one_pass(const Chunk* chunks, const TensorOf<Rule>* tensors, const RealOf<P>* scalars) {
    using Real = RealOf<P>;
    constexpr uint32_t N = RUN<Real>;
    constexpr uint32_t RUNS = 2;
    constexpr uint32_t BATCH = RUNS * N * THREADS;

    const Chunk chunk = chunks[blockIdx.x];
    const TensorOf<Rule>& tensor = tensors[chunk.tensor];
    if ((tensor.flags & HAS_GRADIENT) == 0) {
        return;
    }
    OnePass<Rule, P, G> pass;
    pass.parameter = reinterpret_cast<P*>(tensor.parameter) + chunk.start;
    pass.gradient = reinterpret_cast<const G*>(tensor.gradient) + chunk.start;
    for (int k = 0; k < STATES<Rule>; k++) {
        pass.state[k] = reinterpret_cast<Real*>(tensor.state[k]) + chunk.start;
    }
    const Real* row = scalars + uint64_t(chunk.tensor) * (1 + SCALARS<Rule>);
    pass.gradient_scale = row[0];
    for (int k = 0; k < SCALARS<Rule>; k++) {
        reinterpret_cast<Real*>(&pass.scalars)[k] = row[1 + k];
    }

    // The head ends at the parameter's first aligned run; a chunk whose arrays are out of phase is all head.
    const uint32_t phase = reinterpret_cast<uint64_t>(pass.parameter) / sizeof(P) % N;
    const uint32_t head = (tensor.flags & IN_PHASE) ? min(chunk.length, (N - phase) % N) : chunk.length;
    const uint32_t body = (chunk.length - head) / N * N;

    uint32_t at = head + threadIdx.x * N;
    for (uint32_t left = body; left >= BATCH; left -= BATCH) {
        pass.template update<N, RUNS>(at);
        at += BATCH;
    }
    for (; at < head + body; at += N * THREADS) {
        pass.template update<N, 1>(at);
    }
    for (uint32_t i = threadIdx.x; i < chunk.length - body; i += THREADS) {
        pass.template update<1, 1>(i < head ? i : i + body);
    }
}
