// Before a step's updates, one thread a tensor: advances its counter and carry, and leaves the scalars its chunks read.
#pragma once
#include "core/chunk.cuh"
#include "optim/library.cuh"

// A row of numbers: those of what surrounds the rule, then the rule's.
template <class Rule> constexpr int GROUP_ROW = FIELDS<Around::Hyper, double> + FIELDS<typename Rule::Hyper, double>;
template <class Rule> constexpr int CARRY_ROW = FIELDS<Around::Carry, double> + FIELDS<typename Rule::Carry, double>;
template <class Rule>
constexpr int SCALARS_ROW =
    FIELDS<Around::Scalars<double>, double> + FIELDS<typename Rule::template Scalars<double>, double>;

// groups: a GROUP_ROW of settings a group.
// steps: the optimizer's own counter, which the update advances, then one a tensor; a tensor without a gradient keeps its own.
// carries: a CARRY_ROW a tensor.
// scalars: a SCALARS_ROW a tensor, each rounded once.
template <class Rule, class Real>
__device__ void tick(const TensorOf<Rule>* tensors, uint64_t tensor_count, const double* groups, uint64_t* steps,
                     double* carries, Real* scalars) {
    const uint64_t i = uint64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= tensor_count || (tensors[i].flags & HAS_GRADIENT) == 0) {
        return;
    }
    const double* group = groups + uint64_t(tensors[i].group) * GROUP_ROW<Rule>;
    double* carry_row = carries + i * CARRY_ROW<Rule>;
    Real* to = scalars + i * SCALARS_ROW<Rule>;
    const uint64_t t = steps[1 + i] + 1;
    const double lr_factor = tick_around(group, t, steps[0] + 1, carry_row, to);
    steps[1 + i] = t;

    // Read only now, so that the settings of both are never held in registers at once.
    auto hyper = read_record<typename Rule::Hyper>(group + FIELDS<Around::Hyper, double>);
    hyper.lr *= lr_factor;
    double* own_row = carry_row + FIELDS<Around::Carry, double>;
    auto carry = read_record<typename Rule::Carry>(own_row);
    const auto own = Rule::tick(hyper, t, carry);
    write_record<double>(carry, own_row);
    write_record<double>(own, to + FIELDS<Around::Scalars<double>, double>);
}
