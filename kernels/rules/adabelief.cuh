// AdaBelief (Zhuang et al. 2020, "AdaBelief optimizer: adapting stepsizes by the belief in observed gradients", Algorithm 2;
// the form of adabelief_pytorch 0.2.1).     twin: src/rules/adabelief.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-β₁)(g - m)        s ← s + (1-β₂)((g - m)² - s) + ε        w ← max(w, s)        (w is s without amsgrad)
//   p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m / (√w / √(1-β₂ᵗ) + ε)                (with L2 the first factor is 1)
//
//   rectified, ρₜ ≥ 5:   p ← (1 - lr·λ) p - lr rₜ √(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√s + ε)
//   rectified, ρₜ < 5:   p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m
//
//   ρₜ and rₜ are rectification_length and rectification of common.cuh; fixed_decay: 1 - λ in place of 1 - lr·λ
#pragma once
#include "rules/common.cuh"

struct AdaBelief {
    struct Hyper { double lr, beta1, beta2, eps, rectify, amsgrad, weight_decay, decay, fixed_decay; };
    struct Carry {};
    template <class T> struct Scalars {
        T l2, keep, one_minus_beta1, one_minus_beta2, eps, amsgrad, root_scale, step_size;
    };
    template <class T> struct State { T m, s, greatest; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double bias1 = 1.0 - powi(h.beta1, t);
        double root_bias2 = sqrt(1.0 - powi(h.beta2, t));
        double length = rectification_length(h.beta2, t);
        bool rectifies = h.rectify != 0.0 && length >= 5.0;
        double factor = select(rectifies, rectification(h.beta2, length) * root_bias2, 1.0);
        // 0 where nothing divides.
        double root_scale = select(rectifies, 1.0, select(h.rectify != 0.0, 0.0, 1.0 / root_bias2));
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, select(h.fixed_decay != 0.0, 1.0, h.lr), h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .eps = h.eps,
            .amsgrad = h.amsgrad,
            .root_scale = root_scale,
            .step_size = h.lr * factor / bias1,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        T residual = d - state.m;
        state.s = fma(s.one_minus_beta2, residual * residual - state.s, state.s) + s.eps;
        bool stays = (s.amsgrad != real<T>(0.0)) & (state.greatest > state.s);
        state.greatest = select(stays, state.greatest, state.s);
        T divisor = fma(sqrt(state.greatest), s.root_scale, s.eps);
        T denominator = select(s.root_scale == real<T>(0.0), real<T>(1.0), divisor);
        return fma(-s.step_size, state.m / denominator, p * s.keep);
    }
};
