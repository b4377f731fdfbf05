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
    template <class T> struct Scalars { T storm, weight_decay, one_minus_beta, kept, eps, step_size; };
    template <class T> struct State { T m, v; };
    template <class T> using Gradient = WithSecond<T>;
    static constexpr int MOMENTUM = 0;

    // The falling rate of a step.
    static __device__ double falling(const Hyper& h, double step) {
        return h.scale * fmath::exp(-select(h.storm != 0.0, 1.0 / 3.0, 0.5) * fmath::ln(h.offset + step));
    }

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double root_bias = select(h.bias_correction != 0.0, sqrt(1.0 - powi(h.beta, t)), 1.0);
        bool storms = h.storm != 0.0;
        double rate = falling(h, double(t));
        double before = falling(h, double(t) - 1.0);
        double weight = select(storms, min(h.gain * before * before, 0.99), h.gain * rate);
        return {
            .storm = h.storm,
            .weight_decay = h.weight_decay,
            .one_minus_beta = 1.0 - h.beta,
            .kept = select(storms && t == 1, 0.0, 1.0 - weight),
            .eps = h.eps * root_bias,
            .step_size = h.lr * rate * root_bias,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, WithSecond<T> g, State<T>& state) {
        bool storms = s.storm != real<T>(0.0);
        bool begins = storms && !g.given || s.kept == real<T>(0.0);
        T penalty = s.weight_decay * p;
        T penalised = g.gradient + penalty;
        T d = select(storms, g.gradient, penalised);
        T anchor = select(storms, g.second, d);
        state.m = select(begins, d, fma(s.kept, state.m - anchor, d));
        state.v = fma(s.one_minus_beta, penalised * penalised - state.v, state.v);
        T direction = state.m + select(storms, penalty, real<T>(0.0));
        return fma(-s.step_size, direction / (sqrt(state.v) + s.eps), p);
    }
};
