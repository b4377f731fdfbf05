// Nesterov's accelerated gradient with Sutskever's schedule (Sutskever et al. 2013, equations 3 to 5).
// twin: src/rules/nesterov.rs
//
//   g ← g + λp
//   μₜ = min(1 - ½ / (⌊(t-1)/period⌋ + 1), mu_max)
//   v ← μₜ v - lr·g
//   p ← p - lr·g + μₜ₊₁ v
#pragma once
#include "rules/common.cuh"

struct Nesterov {
    struct Hyper { double lr, mu_max, period, weight_decay; };
    struct Carry {};
    template <class T> struct Scalars { T weight_decay, momentum, next_momentum, lr; };
    template <class T> struct State { T velocity; };
    static constexpr int MOMENTUM = 0;

    // The momentum of the step that `earlier` steps precede.
    static __device__ double momentum(const Hyper& h, uint64_t earlier) {
        uint64_t stage = earlier / uint64_t(h.period);
        return min(1.0 - 0.5 / double(stage + 1), h.mu_max);
    }

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        return {
            .weight_decay = h.weight_decay,
            .momentum = momentum(h, t - 1),
            .next_momentum = momentum(h, t),
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.weight_decay, p, g);
        state.velocity = fma(s.momentum, state.velocity, -s.lr * d);
        return fma(s.next_momentum, state.velocity, fma(-s.lr, d, p));
    }
};
