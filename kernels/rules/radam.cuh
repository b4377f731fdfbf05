// RAdam (Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", Algorithm 2; the form of
// torch.optim.RAdam).     twin: src/rules/radam.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)
//   ρ∞ = 2/(1-β₂) - 1            ρₜ = ρ∞ - 2t β₂ᵗ/(1-β₂ᵗ)
//   rₜ = √((ρₜ-4)(ρₜ-2) ρ∞ / ((ρ∞-4)(ρ∞-2) ρₜ))
//   n = rₜ √(1-β₂ᵗ) · m / (√v + ε)        where ρₜ > threshold
//   n = m                                 below it; 0 without plain_steps
//   p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · n     (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct RAdam {
    struct Hyper { double lr, beta1, beta2, eps, threshold, plain_steps, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, one_minus_beta1, one_minus_beta2, adapts, eps, step_size; };
    template <class T> struct State { T m, v; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double bias1 = 1.0 - powi(h.beta1, t);
        double bias2 = 1.0 - powi(h.beta2, t);
        double length = rectification_length(h.beta2, t);
        bool adapts = length > h.threshold;
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .adapts = select(adapts, 1.0, 0.0),
            .eps = h.eps,
            .step_size = h.lr / bias1 * select(adapts, sqrt(bias2) * rectification(h.beta2, length), h.plain_steps),
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        T denominator = select(s.adapts != real<T>(0.0), sqrt(state.v) + s.eps, real<T>(1.0));
        return fma(-s.step_size, state.m / denominator, p * s.keep);
    }
};
