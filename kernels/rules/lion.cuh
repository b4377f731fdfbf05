// Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms", Program 1).     twin: src/rules/lion.rs
//
//   g ← g + λp  (L2 only)
//   u ← sign(β₁ m + (1-β₁) g)        m ← β₂ m + (1-β₂) g        sign(0) = 0
//   p ← (1 - lr·λ) p - lr·u          (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct Lion {
    struct Hyper { double lr, beta1, beta2, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, beta1, one_minus_beta1, beta2, one_minus_beta2, lr; };
    template <class T> struct State { T m; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t, Carry&) {
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .beta1 = h.beta1,
            .one_minus_beta1 = 1.0 - h.beta1,
            .beta2 = h.beta2,
            .one_minus_beta2 = 1.0 - h.beta2,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        T direction = sign(fma(s.beta1, state.m, s.one_minus_beta1 * d));
        state.m = fma(s.beta2, state.m, s.one_minus_beta2 * d);
        return fma(-s.lr, direction, p * s.keep);
    }
};
