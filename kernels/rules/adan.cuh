// Adan (Xie et al. 2022, Algorithm 1; the form of sail-sg/Adan).     twin: src/rules/adan.rs
//
//   d ← g - g'                       g' the gradient of the step before; d = 0 at t = 1
//   m ← m + (1-β₁)(g - m)            v ← v + (1-β₂)(d - v)            n ← n + (1-β₃)((g + β₂ d)² - n)
//   u ← (lr/(1-β₁ᵗ) · m + lr β₂/(1-β₂ᵗ) · v) / (√n / √(1-β₃ᵗ) + ε)
//   p ← (p - u) / (1 + lr·λ)         (proximal; else (1 - lr·λ) p - u)
#pragma once
#include "rules/common.cuh"

struct Adan {
    struct Hyper { double lr, beta1, beta2, beta3, eps, weight_decay, proximal; };
    struct Carry {};
    template <class T> struct Scalars {
        T first, beta2, one_minus_beta1, one_minus_beta2, one_minus_beta3, mean_rate, difference_rate, inverse_root_bias3,
            eps, keep, shrink;
    };
    template <class T> struct State { T m, v, n, previous; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double bias1 = 1.0 - powi(h.beta1, t);
        double bias2 = 1.0 - powi(h.beta2, t);
        double bias3 = 1.0 - powi(h.beta3, t);
        double decay = h.lr * h.weight_decay;
        bool proximal = h.proximal != 0.0;
        return {
            .first = select(t == 1, 1.0, 0.0),
            .beta2 = h.beta2,
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .one_minus_beta3 = 1.0 - h.beta3,
            .mean_rate = h.lr / bias1,
            .difference_rate = h.lr * h.beta2 / bias2,
            .inverse_root_bias3 = 1.0 / sqrt(bias3),
            .eps = h.eps,
            .keep = select(proximal, 1.0, 1.0 - decay),
            .shrink = select(proximal, 1.0 / (1.0 + decay), 1.0),
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T difference = select(s.first != real<T>(0.0), real<T>(0.0), g - state.previous);
        T ahead = fma(s.beta2, difference, g);
        state.m = fma(s.one_minus_beta1, g - state.m, state.m);
        state.v = fma(s.one_minus_beta2, difference - state.v, state.v);
        state.n = fma(s.one_minus_beta3, ahead * ahead - state.n, state.n);
        state.previous = g;
        T denominator = fma(sqrt(state.n), s.inverse_root_bias3, s.eps);
        T step = fma(s.difference_rate, state.v, s.mean_rate * state.m) / denominator;
        return (p * s.keep - step) * s.shrink;
    }
};
