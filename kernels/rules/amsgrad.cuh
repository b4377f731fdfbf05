// AMSGrad (Reddi, Kale & Kumar 2018, Algorithm 2; the order of torch.optim.Adam and AdamW with amsgrad=True).
// twin: src/rules/amsgrad.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)        w ← max(w, v)
//   p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m / (√w / √(1-β₂ᵗ) + ε)        (with L2 the first factor is 1)
//
//   settings: without the corrections, or w ← max(w, v / (1-β₂ᵗ))
#pragma once
#include "rules/common.cuh"

// Where the second moment is corrected for its start at 0.
constexpr double CORRECTION_NONE = 0.0;
constexpr double CORRECTION_AFTER_MAX = 1.0;
constexpr double CORRECTION_BEFORE_MAX = 2.0;

struct AmsGrad {
    struct Hyper { double lr, beta1, beta2, eps, mean_correction, variance_correction, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars {
        T l2, keep, one_minus_beta1, one_minus_beta2, before_max, after_max, eps, step_size;
    };
    template <class T> struct State { T m, v, greatest; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double bias1 = select(h.mean_correction != 0.0, 1.0 - powi(h.beta1, t), 1.0);
        double bias2 = 1.0 - powi(h.beta2, t);
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .before_max = select(h.variance_correction == CORRECTION_BEFORE_MAX, 1.0 / bias2, 1.0),
            .after_max = select(h.variance_correction == CORRECTION_AFTER_MAX, 1.0 / sqrt(bias2), 1.0),
            .eps = h.eps,
            .step_size = h.lr / bias1,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        T v = state.v * s.before_max;
        state.greatest = select(state.greatest > v, state.greatest, v);
        T denominator = fma(sqrt(state.greatest), s.after_max, s.eps);
        return fma(-s.step_size, state.m / denominator, p * s.keep);
    }
};
