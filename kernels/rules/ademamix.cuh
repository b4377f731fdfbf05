// AdEMAMix (Pagliardini, Ablin & Grangier 2024, Algorithm 1; the form of apple/ml-ademamix).
// twin: src/rules/ademamix.rs
//
//   m ← m + (1-β₁)(g - m)        s ← s + (1-β₃ₜ)(g - s)        v ← v + (1-β₂)(g² - v)
//   p ← (1 - lr·λ) p - lr (m / (1-β₁ᵗ) + αₜ s) / (√v / √(1-β₂ᵗ) + ε)
//
//   αₜ = α · min(t / A, 1)                                                         A = alpha_warmup steps
//   1 / ln β₃ₜ = (1 - t/B) / ln(β₁ + 1e-8) + t/B / ln(β₃ + 1e-8) for t < B         B = beta3_warmup steps
//   β₃ₜ = β₃ from it on
#pragma once
#include "rules/common.cuh"

struct AdEMAMix {
    struct Hyper { double lr, beta1, beta2, beta3, alpha, eps, weight_decay, alpha_warmup, beta3_warmup; };
    struct Carry {};
    template <class T> struct Scalars {
        T keep, one_minus_beta1, one_minus_beta2, one_minus_beta3, alpha, inverse_bias1, inverse_root_bias2, eps, lr;
    };
    template <class T> struct State { T m, slow, v; };
    static constexpr int MOMENTUM = 0;

    // The decay of the slow mean in a step.
    static __device__ double slow_decay(const Hyper& h, double step) {
        double share = step / h.beta3_warmup;
        double life = (1.0 - share) / fmath::ln(h.beta1 + 1e-8) + share / fmath::ln(h.beta3 + 1e-8);
        return select(step < h.beta3_warmup, fmath::exp(1.0 / life), h.beta3);
    }

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double bias1 = 1.0 - powi(h.beta1, t);
        double bias2 = 1.0 - powi(h.beta2, t);
        double step = double(t);
        return {
            .keep = 1.0 - h.lr * h.weight_decay,
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .one_minus_beta3 = 1.0 - slow_decay(h, step),
            .alpha = select(step < h.alpha_warmup, step / h.alpha_warmup * h.alpha, h.alpha),
            .inverse_bias1 = 1.0 / bias1,
            .inverse_root_bias2 = 1.0 / sqrt(bias2),
            .eps = h.eps,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        state.m = fma(s.one_minus_beta1, g - state.m, state.m);
        state.slow = fma(s.one_minus_beta3, g - state.slow, state.slow);
        state.v = fma(s.one_minus_beta2, g * g - state.v, state.v);
        T mixed = fma(s.alpha, state.slow, s.inverse_bias1 * state.m);
        T denominator = fma(sqrt(state.v), s.inverse_root_bias2, s.eps);
        return fma(-s.lr, mixed / denominator, p * s.keep);
    }
};
