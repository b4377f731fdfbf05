// Before a step's updates, one thread a tensor: advances its counter and carry, and leaves the scalars its chunks read.
#pragma once
#include "core/chunk.cuh"
#include "optim/around.cuh"

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
    const auto around = read_record<Around::Hyper>(group);
    auto hyper = read_record<typename Rule::Hyper>(group + FIELDS<Around::Hyper, double>);
    hyper.lr *= Around::lr_factor(around, steps[0] + 1);

    double* row = carries + i * CARRY_ROW<Rule>;
    double* own_row = row + FIELDS<Around::Carry, double>;
    auto around_carry = read_record<Around::Carry>(row);
    auto carry = read_record<typename Rule::Carry>(own_row);
    const uint64_t t = steps[1 + i] + 1;
    const auto around_scalars = Around::tick(around, t, around_carry);
    const auto rule_scalars = Rule::tick(hyper, t, carry);

    steps[1 + i] = t;
    write_record<double>(around_carry, row);
    write_record<double>(carry, own_row);
    Real* to = scalars + i * SCALARS_ROW<Rule>;
    write_record<double>(around_scalars, to);
    write_record<double>(rule_scalars, to + FIELDS<Around::Scalars<double>, double>);
}
