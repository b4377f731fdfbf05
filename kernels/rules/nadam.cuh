// NAdam (Dozat 2016, "Incorporating Nesterov momentum into Adam"; the form of torch.optim.NAdam).
// twin: src/rules/nadam.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)
//   μₜ = β₁ (1 - ½ · 0.96^(tψ))        Πₜ = μ₁ μ₂ … μₜ        ψ = momentum_decay
//   n = (1-μₜ)/(1-Πₜ) · g + μₜ₊₁/(1-Πₜ₊₁) · m
//   p ← (1 - lr·λ) p - lr · n / (√v / √(1-β₂ᵗ) + ε)        (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct NAdam {
    struct Hyper { double lr, beta1, beta2, eps, momentum_decay, weight_decay, decay; };
    struct Carry { double mu_product; };
    template <class T> struct Scalars {
        T l2, keep, one_minus_beta1, one_minus_beta2, gradient_weight, mean_weight, inverse_root_bias2, eps, lr;
    };
    template <class T> struct State { T m, v; };
    static constexpr int MOMENTUM = 0;

    // The momentum of a step. The factor is ln 0.96.
    static __device__ double scheduled(const Hyper& h, double step) {
        return h.beta1 * (1.0 - 0.5 * fmath::exp(-0.04082199452025513 * (step * h.momentum_decay)));
    }

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry& carry) {
        double bias2 = 1.0 - powi(h.beta2, t);
        double step = double(t);
        double mu = scheduled(h, step);
        double next = scheduled(h, step + 1.0);
        carry.mu_product = select(t == 1, mu, carry.mu_product * mu);
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .gradient_weight = (1.0 - mu) / (1.0 - carry.mu_product),
            .mean_weight = next / (1.0 - carry.mu_product * next),
            .inverse_root_bias2 = 1.0 / sqrt(bias2),
            .eps = h.eps,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        T ahead = fma(s.mean_weight, state.m, s.gradient_weight * d);
        T denominator = fma(sqrt(state.v), s.inverse_root_bias2, s.eps);
        return fma(-s.lr, ahead / denominator, p * s.keep);
    }
};
