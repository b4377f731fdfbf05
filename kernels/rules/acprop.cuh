// ACProp (Zhuang et al. 2021, "Momentum centering and asynchronous update for adaptive gradient methods"; the form of
// juntang-zhuang/ACProp-Optimizer).     twin: src/rules/acprop.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-β₁)(g - m)        s ← s + ε  (t > 1)        w ← max(w, s)        (w is s without amsgrad)
//   t = 1:  p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m
//   t > 1:  p ← (1 - lr·λ) p - lr · g / (√w / √(1-β₂ᵗ⁻¹) + ε)               (with L2 the first factor is 1)
//   s ← s + (1-β₂)((g - m)² - s)
//
//   rectified, ρₜ ≥ 5:   p ← (1 - lr·λ) p - lr rₜ √(1-β₂ᵗ) · g / (√s + ε)
//   rectified, ρₜ < 5:   p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m
//
//   ρₜ and rₜ are rectification_length and rectification of common.cuh; momentum_update: m / (1-β₁ᵗ) in place of g;
//   fixed_decay: 1 - λ in place of 1 - lr·λ
#pragma once
#include "rules/common.cuh"

struct ACProp {
    struct Hyper { double lr, beta1, beta2, eps, rectify, momentum_update, amsgrad, weight_decay, decay, fixed_decay; };
    struct Carry {};
    template <class T> struct Scalars {
        T l2, keep, one_minus_beta1, one_minus_beta2, eps, amsgrad, momentum, root_scale,
            step_size;
    };
    template <class T> struct State { T m, s, greatest; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double bias1 = 1.0 - powi(h.beta1, t);
        double length = rectification_length(h.beta2, t);
        bool rectifies = h.rectify != 0.0 && length >= 5.0;
        bool adaptive = t > 1 && (h.rectify == 0.0 || rectifies);
        bool along_mean = !adaptive || h.momentum_update != 0.0;
        double factor = select(rectifies, rectification(h.beta2, length) * sqrt(1.0 - powi(h.beta2, t)), 1.0);
        // 0 where nothing divides, as in the first step: it has no use for eps behind the root.
        double inverse_root_bias2 = 1.0 / sqrt(1.0 - powi(h.beta2, t - 1));
        double root_scale = select(adaptive, select(rectifies, 1.0, inverse_root_bias2), 0.0);
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, select(h.fixed_decay != 0.0, 1.0, h.lr), h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .eps = select(t > 1 || h.amsgrad != 0.0, h.eps, 0.0),
            .amsgrad = h.amsgrad,
            .momentum = select(along_mean, 1.0, 0.0),
            .root_scale = root_scale,
            .step_size = h.lr * factor / select(along_mean, bias1, 1.0),
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        T earlier = state.s + s.eps;
        bool stays = (s.amsgrad != real<T>(0.0)) & (state.greatest > earlier);
        state.greatest = select(stays, state.greatest, earlier);
        T divisor = fma(sqrt(state.greatest), s.root_scale, s.eps);
        T denominator = select(s.root_scale == real<T>(0.0), real<T>(1.0), divisor);
        T direction = select(s.momentum != real<T>(0.0), state.m, d);
        T residual = d - state.m;
        state.s = fma(s.one_minus_beta2, residual * residual - earlier, earlier);
        return fma(-s.step_size, direction / denominator, p * s.keep);
    }
};
