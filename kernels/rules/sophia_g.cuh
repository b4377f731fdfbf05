// Sophia-G (Liu et al. 2023, "Sophia: a scalable stochastic second-order optimizer for language model pre-training",
// Algorithms 2 and 3).     twin: src/rules/sophia_g.rs
//
//   h ← β₂ h + (1-β₂) q²                                   (in steps that are given q)
//   m ← β₁ m + (1-β₁) g
//   p ← (1 - lr·λ) p - lr · sign(m) · min(|m| / (ρ B h + 1e-15), 1)
#pragma once
#include "core/gradient.cuh"
#include "rules/common.cuh"

struct SophiaG {
    struct Hyper { double lr, beta1, beta2, rho, weight_decay, batch_size; };
    struct Carry {};
    template <class T> struct Scalars { T keep, one_minus_beta1, one_minus_beta2, curvature_scale, lr; };
    template <class T> struct State { T m, h; };
    template <class T> using Gradient = WithSecond<T>;
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t, Carry&) {
        return {
            .keep = keep(DECAY_DECOUPLED, h.lr, h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .curvature_scale = h.rho * h.batch_size,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, WithSecond<T> g, State<T>& state) {
        T h = fma(s.one_minus_beta2, g.second * g.second - state.h, state.h);
        state.h = select(g.given, h, state.h);
        state.m = fma(s.one_minus_beta1, g.gradient - state.m, state.m);
        T ratio = abs(state.m) / fma(s.curvature_scale, state.h, real<T>(1e-15));
        T clipped = select(ratio > real<T>(1.0), real<T>(1.0), ratio);
        return fma(-s.lr, sign(state.m) * clipped, p * s.keep);
    }
};
