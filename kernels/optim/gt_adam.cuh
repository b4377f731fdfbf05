// GTAdam (Carnevale et al. 2020).
// twin: src/ensemble/gt_adam.rs
//
//   sᵢ ← Σⱼ Wᵢⱼ sⱼ + gᵢ - g'ᵢ
//   mᵢ ← β₁ mᵢ + (1-β₁) sᵢ        vᵢ ← min(β₂ vᵢ + (1-β₂) sᵢ², G)
//   xᵢ ← Σⱼ Wᵢⱼ xⱼ - lr mᵢ / √(vᵢ + ε)
#pragma once
#include "rules/common.cuh"

constexpr double START_GRADIENT = 1.0;

struct GtAdam {
    struct Hyper { double lr, beta1, beta2, eps, bound, start; };
    template <class T> struct Scalars { T tracks, one_minus_beta1, one_minus_beta2, eps, bound, lr; };
    template <class T> struct State { T tracker, gradient, m, v; };

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t) {
        bool tracks = t > 1 || h.start == START_GRADIENT;
        return {
            .tracks = select(tracks, 1.0, 0.0),
            .one_minus_beta1 = 1.0 - h.beta1,
            .one_minus_beta2 = 1.0 - h.beta2,
            .eps = h.eps,
            .bound = h.bound,
            .lr = h.lr,
        };
    }

    // A sum with another agent's value in it; a weight of 0 keeps what is not finite there away.
    template <class T> static __device__ T mixed(T sum, T weight, T value) {
        return select(weight != real<T>(0.0), fma(weight, value, sum), sum);
    }

    // The new value of an agent's parameter; x and tracker are the mixtures of all agents', g is the gradient if one is given.
    template <class T>
    static __device__ T update(const Scalars<T>& s, T x, T tracker, T g, bool given, State<T>& state) {
        bool tracks = given && s.tracks != real<T>(0.0);
        state.tracker = select(tracks, tracker + (g - state.gradient), tracker);
        state.gradient = select(tracks, g, state.gradient);
        state.m = fma(s.one_minus_beta1, state.tracker - state.m, state.m);
        T v = fma(s.one_minus_beta2, state.tracker * state.tracker - state.v, state.v);
        state.v = select(v > s.bound, s.bound, v);
        return fma(-s.lr, state.m / sqrt(state.v + s.eps), x);
    }
};
