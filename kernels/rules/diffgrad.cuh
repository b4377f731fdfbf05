// diffGrad (Dubey et al. 2019, "diffGrad: an optimization method for convolutional neural networks"; the form of
// diffGrad_v2.py of shivram1987/diffGrad).     twin: src/rules/diffgrad.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)        ξ = 1 / (1 + exp(-|b - g|))        b ← g
//   p ← (1 - lr·λ) p - lr √(1-β₂ᵗ)/(1-β₁ᵗ) · ξ m / (√v + ε)        (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct DiffGrad {
    struct Hyper { double lr, beta1, beta2, eps, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, one_minus_beta1, one_minus_beta2, eps, step_size; };
    template <class T> struct State { T m, v, before; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double bias1 = 1.0 - powi(h.beta1, t);
        double bias2 = 1.0 - powi(h.beta2, t);
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .eps = h.eps,
            .step_size = h.lr * sqrt(bias2) / bias1,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        // The friction's divisor is multiplied into the other one.
        T friction = real<T>(1.0) + fmath::exp(-abs(state.before - d));
        state.before = d;
        T denominator = friction * (sqrt(state.v) + s.eps);
        return fma(-s.step_size, state.m / denominator, p * s.keep);
    }
};
