// One block a chunk: load, update, store. For rules that need no total.
#pragma once
#include "core/chunk.cuh"
#include "core/gradient.cuh"
#include "core/pack.cuh"
#include "optim/tick.cuh"

struct Noise;  // in optim/noise.cuh, which rules include that draw: its table is in no module of another rule
struct NoNoise {};

template <class Rule, class P, class G> struct OnePass {
    using Real = RealOf<P>;
    using Scalars = typename Rule::template Scalars<Real>;
    using State = typename Rule::template State<Real>;
    using Gradient = GradientTraits<GradientOf<Rule, Real>>;
    static constexpr int ARRAYS = STATES<Rule> > 0 ? STATES<Rule> : 1;  // an array has at least one element
    static constexpr int MOMENTUM = momentum_of<Rule>();
    static constexpr bool MAY_BE_STATELESS = may_be_stateless<Rule>();

    // The arrays, from the chunk's first element on.
    P* parameter;
    const G* gradient;
    const G* extra;
    Real* state[ARRAYS];

    const TensorOf<Rule>* tensor;
    uint64_t start;
    const Real* row;
    bool has_no_state;
    Real gradient_scale;
    Scalars scalars;
    std::conditional_t<EXTRA<Rule> == Extra::NOISE, Noise, NoNoise> noise;

    // The part of a tensor that a block goes through.
    __device__ void begin(const Chunk& chunk, uint32_t flags, const TensorOf<Rule>* tensors, const double* groups, const uint64_t* steps,
                          const Real* scalars_of_tensors) {
        tensor = tensors + chunk.tensor;
        start = chunk.start;
        has_no_state = (flags & IS_STATELESS) != 0;
        parameter = reinterpret_cast<P*>(tensor->parameter) + start;
        gradient = reinterpret_cast<const G*>(tensor->gradient) + start;
        extra = tensor->extra == 0 ? nullptr : reinterpret_cast<const G*>(tensor->extra) + start;
        for (int k = 0; k < STATES<Rule>; k++) {
            state[k] = reinterpret_cast<Real*>(tensor->state[k]) + start;
        }
        row = scalars_of_tensors + uint64_t(chunk.tensor) * SCALARS_ROW<Rule>;
        gradient_scale = read_record<Around::Scalars<Real>>(row).gradient_scale;
        scalars = read_scalars();
        if constexpr (EXTRA<Rule> == Extra::NOISE) {
            noise.is_drawn = extra == nullptr && takes_noise<Rule>(scalars);
            if (noise.is_drawn) {
                noise.begin(groups + uint64_t(tensor->group) * GROUP_ROW<Rule>, tensor->id, steps[1 + chunk.tensor]);
                noise.first = tensor->first + start;
            }
        }
    }

    // Whether an average or Lookahead has to do with this step.
    __device__ bool is_surrounded() const {
        const auto around = read_record<Around::Scalars<Real>>(row);
        const Real nothing = real<Real>(0.0);
        return around.average != nothing || around.slow_begins != nothing || around.slow_share != nothing;
    }

    __device__ bool is_stateless() const { return MAY_BE_STATELESS && has_no_state; }

    // An array that only few steps touch: its address is read where it is used, and takes no register elsewhere.
    __device__ Real* beside(uint64_t address) const { return reinterpret_cast<Real*>(address) + start; }

    // The slow weights of Lookahead begin as the parameters before the first step.
    template <int N> __device__ void before(uint32_t at, const Pack<P, N>& p) const {
        const auto s = read_record<Around::Scalars<Real>>(row);
        if (s.slow_begins != real<Real>(0.0)) {
            Pack<Real, N> slow;
            for (int i = 0; i < N; i++) {
                slow.element[i] = widen(p.element[i]);
            }
            store<N>(beside(tensor->slow) + at, slow);
        }
    }

    // What follows the rule: Lookahead, then the average.
    template <int N> __device__ void after(uint32_t at, Pack<P, N>& p, Pack<Real, N>* states) const {
        const auto s = read_record<Around::Scalars<Real>>(row);
        if (s.slow_share != real<Real>(0.0)) {
            auto slow = load<N>(beside(tensor->slow) + at);
            for (int i = 0; i < N; i++) {
                slow.element[i] = Around::synchronised(s, slow.element[i], widen(p.element[i]));
                p.element[i] = narrow<P>(slow.element[i]);
            }
            store<N>(beside(tensor->slow) + at, slow);
            if constexpr (MOMENTUM >= 0) {
                if (s.momentum_kept != real<Real>(1.0) && !is_stateless()) {
                    restart(at, s, states[MOMENTUM]);
                }
            }
        }
        if (s.average != real<Real>(0.0)) {
            auto average = load<N>(beside(tensor->average) + at);
            for (int i = 0; i < N; i++) {
                average.element[i] = Around::averaged(s, average.element[i], widen(p.element[i]));
            }
            store<N>(beside(tensor->average) + at, average);
        }
    }

    template <int N>
    __device__ void restart(uint32_t at, const Around::Scalars<Real>& s, Pack<Real, N>& momentum) const {
        if (tensor->momentum == 0) {
            for (int i = 0; i < N; i++) {
                momentum.element[i] = real<Real>(0.0);
            }
            return;
        }
        auto behind = load<N>(beside(tensor->momentum) + at);
        for (int i = 0; i < N; i++) {
            momentum.element[i] = Around::pulled_back(s, behind.element[i], momentum.element[i]);
        }
        store<N>(beside(tensor->momentum) + at, momentum);
    }

    // The rule's scalars. A heavy rule reads them anew for every run, and so has their registers for its arithmetic.
    __device__ auto read_scalars() const {
        return read_record<typename Rule::template Scalars<Real>>(row + FIELDS<Around::Scalars<Real>, Real>);
    }

    // RUNS runs of N elements, the first at element `at`, each THREADS runs after the one before: every load comes
    // before the arithmetic, every store after it. Where the gradient is DRAWN, it is `sum`.
    template <bool SURROUNDED, int N, int RUNS, bool DRAWN = false>
    __device__ void update(uint32_t at, Pack<G, N> sum = {}) const {
        constexpr uint32_t STRIDE = N * THREADS;
        // Drawn first: then its registers are free before what is loaded takes any.
        float drawn[RUNS][N] = {};
        if constexpr (EXTRA<Rule> == Extra::NOISE) {
            #pragma unroll
            for (int r = 0; r < RUNS; r++) {
                if (noise.is_drawn) {
                    noise.normal.template run<N>(noise.address, noise.first + at + r * STRIDE, drawn[r]);
                }
            }
        }
        Pack<P, N> p[RUNS];
        Pack<G, N> g[RUNS];
        Pack<G, N> more[RUNS];
        Pack<Real, N> x[RUNS][ARRAYS];
        #pragma unroll
        for (int r = 0; r < RUNS; r++) {
            p[r] = load<N>(parameter + at + r * STRIDE);
            g[r] = DRAWN ? sum : load<N>(gradient + at + r * STRIDE);
            #pragma unroll
            for (int k = 0; k < STATES<Rule>; k++) {
                x[r][k] = is_stateless() ? Pack<Real, N>() : load<N>(state[k] + at + r * STRIDE);
            }
            if constexpr (EXTRA<Rule> != Extra::NONE && !DRAWN) {
                if (extra != nullptr) {
                    more[r] = load<N>(extra + at + r * STRIDE);
                }
            }
            if constexpr (SURROUNDED) {
                before<N>(at + r * STRIDE, p[r]);
            }
        }
        const auto own = IS_HEAVY<Rule> ? read_scalars() : scalars;
        #pragma unroll
        for (int r = 0; r < RUNS; r++) {
            #pragma unroll
            for (int i = 0; i < N; i++) {
                State values;
                #pragma unroll
                for (int k = 0; k < STATES<Rule>; k++) {
                    reinterpret_cast<Real*>(&values)[k] = x[r][k].element[i];
                }
                Real other = real<Real>(0.0);
                if constexpr (EXTRA<Rule> != Extra::NONE) {
                    if (!DRAWN && extra != nullptr) {
                        other = widen(more[r].element[i]);
                        if constexpr (EXTRA<Rule> == Extra::SECOND) {
                            other = gradient_scale * other;
                        }
                    } else if constexpr (EXTRA<Rule> == Extra::NOISE) {
                        other = noise.is_drawn ? Real(drawn[r][i]) : other;
                    }
                }
                const auto given = Gradient::make(gradient_scale * widen(g[r].element[i]), other, !DRAWN && extra != nullptr);
                p[r].element[i] = narrow<P>(Rule::update(own, widen(p[r].element[i]), given, values));
                #pragma unroll
                for (int k = 0; k < STATES<Rule>; k++) {
                    x[r][k].element[i] = reinterpret_cast<Real*>(&values)[k];
                }
            }
        }
        #pragma unroll
        for (int r = 0; r < RUNS; r++) {
            if constexpr (SURROUNDED) {
                after<N>(at + r * STRIDE, p[r], x[r]);
            }
            store<N>(parameter + at + r * STRIDE, p[r]);
            if (!is_stateless()) {
                #pragma unroll
                for (int k = 0; k < STATES<Rule>; k++) {
                    store<N>(state[k] + at + r * STRIDE, x[r][k]);
                }
            }
        }
    }
};

// The block's chunk, empty where it is not stepped, and the flags of its tensor. The first block counts the optimizer's step.
template <class Rule>
__device__ Chunk chunk_of_block(const Chunk* chunks, const TensorOf<Rule>* tensors, uint64_t* steps, uint32_t& flags) {
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        steps[0] += 1;
    }
    Chunk chunk = chunks[blockIdx.x];
    flags = chunk.length > 0 ? tensors[chunk.tensor].flags : 0;
    if ((flags & HAS_GRADIENT) == 0) {
        chunk.length = 0;
    }
    return chunk;
}

template <class Rule, class P, class G>
__device__ void one_pass(const Chunk* chunks, const TensorOf<Rule>* tensors, const double* groups, uint64_t* steps,
                         const RealOf<P>* scalars) {
    using Real = RealOf<P>;
    constexpr uint32_t N = IS_HEAVY<Rule> && sizeof(Real) == 8 ? 1 : RUN<Real>;
    constexpr uint32_t RUNS = IS_HEAVY<Rule> ? 1 : 2;
    constexpr uint32_t BATCH = RUNS * N * THREADS;

    uint32_t flags;
    const Chunk chunk = chunk_of_block<Rule>(chunks, tensors, steps, flags);
    if (chunk.length == 0) {
        return;
    }
    OnePass<Rule, P, G> pass;
    pass.begin(chunk, flags, tensors, groups, steps, scalars);
    // A step that surrounds the rule has a loop of its own, so that the usual one pays nothing for it.
    if (pass.is_surrounded()) {
        for (uint32_t i = threadIdx.x; i < chunk.length; i += THREADS) {
            pass.template update<true, 1, 1>(i);
        }
        return;
    }

    // What draws leaves no register for the flags until now.
    const bool in_phase = ((EXTRA<Rule> == Extra::NOISE ? pass.tensor->flags : flags) & IN_PHASE) != 0;
    // The body is whole blocks of CHUNK_PHASE elements of the parameter's memory, so that in a shared phase no two
    // requests share a sector; head and tail make one request. A chunk whose arrays are out of phase is all head.
    const uint32_t phase = reinterpret_cast<uint64_t>(pass.parameter) / sizeof(P) % CHUNK_PHASE;
    const uint32_t head = in_phase ? min(chunk.length, (CHUNK_PHASE - phase) % CHUNK_PHASE) : chunk.length;
    const uint32_t body = (chunk.length - head) / CHUNK_PHASE * CHUNK_PHASE;

    if constexpr (RUNS == 1) {
        for (uint32_t i = threadIdx.x * N; i < body; i += BATCH) {
            pass.template update<false, N, 1>(head + i);
        }
    } else {
        uint32_t at = head + threadIdx.x * N;
        for (uint32_t left = body; left >= BATCH; left -= BATCH) {
            pass.template update<false, N, RUNS>(at);
            at += BATCH;
        }
        for (; at < head + body; at += N * THREADS) {
            pass.template update<false, N, 1>(at);
        }
    }
    for (uint32_t i = threadIdx.x; i < chunk.length - body; i += THREADS) {
        pass.template update<false, 1, 1>(i < head ? i : i + body);
    }
}
