// AdaMax (Kingma & Ba 2015, Algorithm 2; the form of torch.optim.Adamax).     twin: src/rules/adamax.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-β₁)(g - m)        u ← max(β₂ u, |g| + ε)
//   p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m / u        (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct AdaMax {
    struct Hyper { double lr, beta1, beta2, eps, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, one_minus_beta1, beta2, eps, step_size; };
    template <class T> struct State { T m, u; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .beta2 = h.beta2,
            .eps = h.eps,
            .step_size = h.lr / (1.0 - powi(h.beta1, t)),
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        T decayed = s.beta2 * state.u;
        T size = abs(d) + s.eps;
        state.u = select(decayed > size, decayed, size);
        return fma(-s.step_size, quotient(state.m, state.u), p * s.keep);
    }
};
