// Replicas, each pulled to the mean of all, and their mean. Twin of src/cpu/optim/ensemble/replicated_sgd.rs.
#include "optim/copies.cuh"
#include "optim/replicated_sgd.cuh"

COPIES_LAYOUT(replicated_sgd, ReplicatedSgd, 0)

template <class P, class G> struct Replicas {
    using Real = RealOf<P>;
    Copies<P, G, 0> copies;

    // The means of N elements; sums are taken in the order of the replicas.
    template <int N> __device__ Pack<Real, N> mean(uint32_t at) const {
        Pack<Real, N> mean;
        for (int i = 0; i < N; i++) {
            mean.element[i] = real<Real>(0.0);
        }
        for (uint32_t copy = 0; copy < copies.count; copy++) {
            const auto x = load<N>(copies.parameter(copy) + at);
            for (int i = 0; i < N; i++) {
                mean.element[i] = mean.element[i] + widen(x.element[i]);
            }
        }
        for (int i = 0; i < N; i++) {
            mean.element[i] = ReplicatedSgd::mean(mean.element[i], Real(copies.count));
        }
        return mean;
    }
};

template <class P, class G> struct Pulled {
    using Real = RealOf<P>;
    Replicas<P, G> replicas;
    ReplicatedSgd::Scalars<Real> scalars;

    template <int N> __device__ void run(uint32_t at) const {
        const auto mean = replicas.template mean<N>(at);
        // Unrolled, it spills on sm_120.
        #pragma unroll 1
        for (uint32_t copy = 0; copy < replicas.copies.count; copy++) {
            const G* gradient = replicas.copies.gradient(copy);
            if (gradient == nullptr) {
                continue;
            }
            P* parameter = replicas.copies.parameter(copy);
            auto x = load<N>(parameter + at);
            const auto g = load<N>(gradient + at);
            for (int i = 0; i < N; i++) {
                const Real moved =
                    ReplicatedSgd::update(scalars, widen(x.element[i]), mean.element[i], widen(g.element[i]));
                x.element[i] = narrow<P>(moved);
            }
            store<N>(parameter + at, x);
        }
    }
};

template <class P, class G>
__device__ void pull(const Chunk* chunks, const uint64_t* tensors, uint32_t copies, const double* hyper,
                     uint64_t* counters) {
    const auto step = begin_step<ReplicatedSgd, RealOf<P>>(hyper, counters);
    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    const Copies<P, G, 0> all(tensors, chunk, copies);
    each_run(all.parameter(0), chunk.length, all.in_phase(), Pulled<P, G>{{all}, step.scalars});
}

// The mean goes where a step has the gradient of replica 0.
template <class P> struct Mean {
    Replicas<P, P> replicas;
    P* out;

    template <int N> __device__ void run(uint32_t at) const {
        const auto mean = replicas.template mean<N>(at);
        Pack<P, N> stored;
        for (int i = 0; i < N; i++) {
            stored.element[i] = narrow<P>(mean.element[i]);
        }
        store<N>(out + at, stored);
    }
};

template <class P> __device__ void mean(const Chunk* chunks, const uint64_t* tensors, uint32_t copies) {
    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    const Copies<P, P, 0> all(tensors, chunk, copies);
    each_run(all.parameter(0), chunk.length, all.in_phase(), Mean<P>{{all}, const_cast<P*>(all.gradient(0))});
}

#define KERNEL(P, G)                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                       \
    replicated_sgd_##P##_##G(const Chunk* chunks, const uint64_t* tensors, uint32_t copies, const double* hyper, \
                             uint64_t* counters, const RealOf<P>*) {                                            \
        pull<P, G>(chunks, tensors, copies, hyper, counters);                                                   \
    }
FOR_EACH_PAIR(KERNEL)

#define MEAN(P)                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS)                                      \
    replicated_sgd_mean_##P(const Chunk* chunks, const uint64_t* tensors, uint32_t copies) {   \
        mean<P>(chunks, tensors, copies);                                                      \
    }
MEAN(f32) MEAN(bf16) MEAN(f16) MEAN(f64)
