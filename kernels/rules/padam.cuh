// Padam (Chen et al. 2018, "Closing the generalization gap of adaptive gradient methods in training deep neural networks",
// Algorithm 1; the form of uclaml/Padam).     twin: src/rules/padam.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)        w ← max(w, v)        (w is v without amsgrad)
//   p ← (1 - lr·λ) p - lr √(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√w + ε)^(2·partial)        (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct Padam {
    struct Hyper { double lr, beta1, beta2, eps, partial, amsgrad, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, one_minus_beta1, one_minus_beta2, amsgrad, eps, exponent, step_size; };
    template <class T> struct State { T m, v, greatest; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double bias1 = 1.0 - powi(h.beta1, t);
        double bias2 = 1.0 - powi(h.beta2, t);
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .amsgrad = h.amsgrad,
            .eps = h.eps,
            .exponent = 2.0 * h.partial,
            .step_size = h.lr * sqrt(bias2) / bias1,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        bool stays = (s.amsgrad != real<T>(0.0)) & (state.greatest > state.v);
        state.greatest = select(stays, state.greatest, state.v);
        T root = sqrt(state.greatest) + s.eps;
        // A first power that is not computed is exact.
        T denominator = select(s.exponent == real<T>(1.0), root, fmath::pow(root, s.exponent));
        return fma(-s.step_size, state.m / denominator, p * s.keep);
    }
};
