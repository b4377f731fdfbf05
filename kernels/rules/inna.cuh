// INNA (Castera et al. 2021, "An inertial Newton algorithm for deep learning", Algorithm 1), with the velocity
// u = (α - 1/β) p + ψ/β as its state.     twin: src/rules/inna.rs
//
//   d = β g + λp        (u, p) ← (u - lrₜ α u + lrₜ (1-αβ)/β · d,  p - lrₜ (u + d))        both from the old u and p
//   lrₜ = lr / t^decaypower        u = 0 at first, or (1-β) g₁ (gradient_start)
#pragma once
#include "rules/common.cuh"

struct Inna {
    struct Hyper { double lr, alpha, beta, decaypower, weight_decay, gradient_start; };
    struct Carry {};
    template <class T> struct Scalars { T first, start, beta, weight_decay, kept, gained, lr; };
    template <class T> struct State { T velocity; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double lr = h.lr / fmath::pow(double(t), h.decaypower);
        return {
            .first = select(t == 1, 1.0, 0.0),
            .start = select(h.gradient_start != 0.0, 1.0 - h.beta, 0.0),
            .beta = h.beta,
            .weight_decay = h.weight_decay,
            .kept = 1.0 - lr * h.alpha,
            .gained = lr * (1.0 - h.alpha * h.beta) / h.beta,
            .lr = lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T velocity = select(s.first != real<T>(0.0), s.start * g, state.velocity);
        T d = fma(s.weight_decay, p, s.beta * g);
        state.velocity = fma(s.kept, velocity, s.gained * d);
        return fma(-s.lr, velocity + d, p);
    }
};
