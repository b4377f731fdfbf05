// Aida(p, q) (Zhang, Niwa & Kleijn 2021, "Extending AdamW by leveraging its second moment and magnitude", after its
// abstract).     twin: src/rules/aida.rs
//
//   m ← m + (1-β₁)(g - m)        r ← r + (1-β₂)(|g|ᵖ - r)        m̂ = m / (1-β₁ᵗ)        r̂ = r / (1-β₂ᵗ)
//   θ ← (1 - lr·λ) θ - lr · sign(m̂) |m̂|^q / (r̂^(q/p) + ε)
//                                        / (r̂ + ε)^(q/p)           (with eps_inside)
#pragma once
#include "rules/common.cuh"

struct Aida {
    struct Hyper { double lr, beta1, beta2, p, q, eps, eps_inside, weight_decay; };
    struct Carry {};
    template <class T> struct Scalars {
        T keep, one_minus_beta1, one_minus_beta2, p, q, q_over_p, eps_inside, eps_outside, step_size;
    };
    template <class T> struct State { T m, r; };
    static constexpr int MOMENTUM = 0;
    static constexpr bool IS_HEAVY = true;  // three powers an element

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        // The corrections, taken out of the powers.
        double bias1 = 1.0 - powi(h.beta1, t);
        double bias2 = 1.0 - powi(h.beta2, t);
        double q_over_p = h.q / h.p;
        double bias2_power = fmath::pow(bias2, q_over_p);
        return {
            .keep = keep(DECAY_DECOUPLED, h.lr, h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .p = h.p,
            .q = h.q,
            .q_over_p = q_over_p,
            .eps_inside = select(h.eps_inside != 0.0, h.eps * bias2, 0.0),
            .eps_outside = select(h.eps_inside != 0.0, 0.0, h.eps * bias2_power),
            .step_size = h.lr * bias2_power / fmath::pow(bias1, h.q),
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        state.m = fma(s.one_minus_beta1, g - state.m, state.m);
        state.r = fma(s.one_minus_beta2, fmath::pow(abs(g), s.p) - state.r, state.r);
        T denominator = fmath::pow(state.r + s.eps_inside, s.q_over_p) + s.eps_outside;
        T magnitude = fmath::pow(abs(state.m), s.q) / denominator;
        return fma(-s.step_size, select(state.m < real<T>(0.0), -magnitude, magnitude), p * s.keep);
    }
};
