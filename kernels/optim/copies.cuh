// Steps of several copies of a tensor: the tables of a launch, its counter, and the way through a chunk.
#pragma once
#include "core/chunk.cuh"
#include "core/pack.cuh"
#include "rules/common.cuh"

// The words before the addresses in a row of the tensor table: length, first, id, flags.
constexpr uint32_t ROW_HEAD = 4;

// The arrays of a tensor in every copy, from a chunk's first element on. Addresses in its row: the parameter in each copy, the
// gradient and another array in each (0 where there is none), then STATES arrays of copy 0, STATES of copy 1, ...
template <class P, class G, int STATES> struct Copies {
    const uint64_t* row;
    uint64_t start;
    uint32_t count;

    __device__ Copies(const uint64_t* tensors, const Chunk& chunk, uint32_t copies)
        : row(tensors + uint64_t(chunk.tensor) * (ROW_HEAD + uint64_t(copies) * (3 + STATES))),
          start(chunk.start), count(copies) {}

    __device__ bool in_phase() const { return (row[3] & IN_PHASE) != 0; }

    __device__ P* parameter(uint32_t copy) const { return reinterpret_cast<P*>(row[ROW_HEAD + copy]) + start; }

    // Null where the copy has none.
    __device__ const G* gradient(uint32_t copy) const { return array(row[ROW_HEAD + count + copy]); }

    // What a method reads beside the gradient; null where the step is given none.
    __device__ const G* extra(uint32_t copy) const { return array(row[ROW_HEAD + 2 * count + copy]); }

    __device__ RealOf<P>* state(uint32_t copy, uint32_t array) const {
        return reinterpret_cast<RealOf<P>*>(row[ROW_HEAD + 3 * count + copy * STATES + array]) + start;
    }

  private:
    __device__ const G* array(uint64_t address) const {
        return address == 0 ? nullptr : reinterpret_cast<const G*>(address) + start;
    }
};

// What a step computes its elements with.
template <class Method, class Real> struct Step {
    uint64_t t;  // counted from 1
    typename Method::template Scalars<Real> scalars;
};

// Counts a step and computes its scalars; all threads of every block call it together, once. counters: the steps taken, and
// how many blocks of the launch have read them. The last block to read advances them.
template <class Method, class Real>
__device__ Step<Method, Real> begin_step(const double* hyper, uint64_t* counters) {
    __shared__ Step<Method, Real> shared;
    if (threadIdx.x == 0) {
        const uint64_t t = counters[0] + 1;
        __threadfence();
        if (atomicAdd(reinterpret_cast<unsigned long long*>(counters + 1), 1) == gridDim.x - 1) {
            counters[0] = t;
            counters[1] = 0;
        }
        const auto scalars = Method::tick(read_record<typename Method::Hyper>(hyper), t);
        write_record<double>(scalars, reinterpret_cast<Real*>(&shared.scalars));
        shared.t = t;
    }
    __syncthreads();
    return shared;
}

// Calls body.run<N>(i) for runs of N elements from i on, which together are the chunk: runs of 16 bytes of the arithmetic type
// where all arrays share the phase of `parameter`, the first array at the chunk's first element; single ones at the ends and
// elsewhere.
template <class P, class Body>
__device__ void each_run(const P* parameter, uint32_t length, bool in_phase, const Body& body) {
    constexpr uint32_t N = RUN<RealOf<P>>;
    const uint32_t phase = reinterpret_cast<uint64_t>(parameter) / sizeof(P) % CHUNK_PHASE;
    const uint32_t head = in_phase ? min(length, (CHUNK_PHASE - phase) % CHUNK_PHASE) : length;
    const uint32_t whole = (length - head) / CHUNK_PHASE * CHUNK_PHASE;
    for (uint32_t at = head + threadIdx.x * N; at < head + whole; at += N * THREADS) {
        body.template run<N>(at);
    }
    for (uint32_t i = threadIdx.x; i < length - whole; i += THREADS) {
        body.template run<1>(i < head ? i : i + whole);
    }
}

// What the host compares with its own tables.
#define COPIES_LAYOUT(name, Method, STATES)                                                           \
    extern "C" __device__ const uint32_t name##_layout[6] = {                                         \
        CHUNK, THREADS, sizeof(Chunk), ROW_HEAD, FIELDS<Method::Hyper, double>, STATES,               \
    };
