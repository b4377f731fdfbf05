// Before a step's updates, one thread a tensor: advances its counter and carry, and leaves the scalars its chunks read.
#pragma once
#include "core/chunk.cuh"

// groups: rows of 1 + HYPER doubles, the gradient's scale and then the settings.
// steps: the optimizer's own counter, then one counter a tensor; a tensor without a gradient keeps its own.
// carries: rows of CARRY doubles, one a tensor.
// scalars: rows of 1 + SCALARS, one a tensor: the gradient's scale and then the rule's scalars, each rounded once.
template <class Rule, class Real>
__device__ void tick(const TensorOf<Rule>* tensors, uint64_t tensor_count, const double* groups, uint64_t* steps,
                     double* carries, Real* scalars) {
    const uint64_t i = uint64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i == 0) {
        steps[0] += 1;
    }
    if (i >= tensor_count || (tensors[i].flags & HAS_GRADIENT) == 0) {
        return;
    }
    const double* group = groups + uint64_t(tensors[i].group) * (1 + HYPER<Rule>);
    typename Rule::Hyper hyper;
    for (int k = 0; k < HYPER<Rule>; k++) {
        reinterpret_cast<double*>(&hyper)[k] = group[1 + k];
    }
    typename Rule::Carry carry;
    for (int k = 0; k < CARRY<Rule>; k++) {
        reinterpret_cast<double*>(&carry)[k] = carries[i * CARRY<Rule> + k];
    }
    steps[1 + i] += 1;
    const auto result = Rule::tick(hyper, steps[1 + i], carry);
    for (int k = 0; k < CARRY<Rule>; k++) {
        carries[i * CARRY<Rule> + k] = reinterpret_cast<const double*>(&carry)[k];
    }
    Real* row = scalars + i * (1 + SCALARS<Rule>);
    row[0] = Real(group[0]);
    for (int k = 0; k < SCALARS<Rule>; k++) {
        row[1 + k] = Real(reinterpret_cast<const double*>(&result)[k]);
    }
}
