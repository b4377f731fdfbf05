// Agents, each of which mixes trackers and parameters with its neighbours. Twin of src/cpu/optim/ensemble/gt_adam.rs.
#include "optim/copies.cuh"
#include "optim/gt_adam.cuh"

constexpr int STATE_ARRAYS = FIELDS<GtAdam::State<double>, double>;

COPIES_LAYOUT(gt_adam, GtAdam, STATE_ARRAYS)

// A thread takes one element of all agents. Their parameters and trackers before the step stand in shared memory, which no
// other thread reads: two columns of blockDim.x numbers an agent.
template <class P, class G>
__device__ void mix(const Chunk* chunks, const uint64_t* tensors, uint32_t agents, const double* hyper,
                    uint64_t* counters, const RealOf<P>* weights) {
    using Real = RealOf<P>;
    extern __shared__ uint64_t shared[];
    const auto step = begin_step<GtAdam, Real>(hyper, counters);
    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    const Copies<P, G, STATE_ARRAYS> all(tensors, chunk, agents);
    Real* const before = reinterpret_cast<Real*>(shared) + threadIdx.x;
    for (uint32_t i = threadIdx.x; i < chunk.length; i += blockDim.x) {
        for (uint32_t j = 0; j < agents; j++) {
            before[2 * j * blockDim.x] = widen(load<1>(all.parameter(j) + i).element[0]);
            before[(2 * j + 1) * blockDim.x] = load<1>(all.state(j, 0) + i).element[0];
        }
        for (uint32_t agent = 0; agent < agents; agent++) {
            Real x = real<Real>(0.0);
            Real tracker = real<Real>(0.0);
            for (uint32_t j = 0; j < agents; j++) {
                const Real weight = weights[agent * agents + j];
                x = GtAdam::mixed(x, weight, before[2 * j * blockDim.x]);
                tracker = GtAdam::mixed(tracker, weight, before[(2 * j + 1) * blockDim.x]);
            }
            GtAdam::State<Real> state;
            for (int k = 0; k < STATE_ARRAYS; k++) {
                reinterpret_cast<Real*>(&state)[k] = load<1>(all.state(agent, k) + i).element[0];
            }
            const G* gradient = all.gradient(agent);
            const bool given = gradient != nullptr;
            const Real g = given ? widen(load<1>(gradient + i).element[0]) : real<Real>(0.0);
            store<1>(all.parameter(agent) + i, {narrow<P>(GtAdam::update(step.scalars, x, tracker, g, given, state))});
            for (int k = 0; k < STATE_ARRAYS; k++) {
                store<1>(all.state(agent, k) + i, {reinterpret_cast<Real*>(&state)[k]});
            }
        }
    }
}

#define KERNEL(P, G)                                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                \
    gt_adam_##P##_##G(const Chunk* chunks, const uint64_t* tensors, uint32_t agents, const double* hyper, \
                      uint64_t* counters, const RealOf<P>* weights) {                                    \
        mix<P, G>(chunks, tensors, agents, hyper, counters, weights);                                    \
    }
FOR_EACH_PAIR(KERNEL)
