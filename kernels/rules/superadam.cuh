// SUPER-ADAM (Huang, Li & Huang 2021, "SUPER-ADAM: faster and universal framework of adaptive gradients", Algorithm 1) with the
// diagonal of second moments.     twin: src/rules/superadam.rs
//
//   v ← v + (1-β)(g² - v)
//   μₜ = k / (M + t)^⅓     a = min(c μ²ₜ₋₁, 0.99)     m ← g + (1-a)(m - q), m = g in the first step        (storm)
//   μₜ = k / (M + t)^½     a = c μₜ                   m ← m + a (g - m)                                    (else)
//   p ← p - lr · μₜ · m / (√v / √(1-βᵗ) + ε)
#pragma once
#include "core/gradient.cuh"
#include "rules/common.cuh"

struct SuperAdam {
    struct Hyper { double lr, scale, offset, gain, beta, eps, weight_decay, storm, bias_correction; };
    struct Carry {};
    template <class T> struct Scalars { T storm, l2, penalty, one_minus_beta, kept, inverse_root_bias, eps, step_size; };
    template <class T> struct State { T m, v; };
    template <class T> using Gradient = WithSecond<T>;
    static constexpr int MOMENTUM = 0;

    // The falling rate of a step.
    static __device__ double falling(const Hyper& h, double step) {
        return h.scale / fmath::pow(h.offset + step, select(h.storm != 0.0, 1.0 / 3.0, 0.5));
    }

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        bool storms = h.storm != 0.0;
        double rate = falling(h, double(t));
        double before = falling(h, double(t) - 1.0);
        double weight = select(storms, min(h.gain * before * before, 0.99), h.gain * rate);
        double bias = 1.0 - powi(h.beta, t);
        return {
            .storm = h.storm,
            .l2 = select(storms, 0.0, h.weight_decay),
            .penalty = select(storms, h.weight_decay, 0.0),
            .one_minus_beta = 1.0 - h.beta,
            .kept = select(storms && t == 1, 0.0, 1.0 - weight),
            .inverse_root_bias = select(h.bias_correction != 0.0, 1.0 / sqrt(bias), 1.0),
            .eps = h.eps,
            .step_size = h.lr * rate,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, WithSecond<T> g, State<T>& state) {
        bool storms = s.storm != real<T>(0.0);
        T d = fma(s.l2, p, g.gradient);
        T penalised = fma(s.penalty, p, d);
        state.v = fma(s.one_minus_beta, penalised * penalised - state.v, state.v);
        T kept = select(storms && !g.given, real<T>(0.0), s.kept);
        T reduced = fma(kept, state.m - select(storms, g.second, d), d);
        state.m = select(kept == real<T>(0.0), d, reduced);
        T denominator = fma(sqrt(state.v), s.inverse_root_bias, s.eps);
        return fma(-s.step_size, fma(s.penalty, p, state.m) / denominator, p);
    }
};
