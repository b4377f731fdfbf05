// Losing momentum, after the model of Jin, Latz, Liu & Scagliotti 2022 ("Losing momentum in continuous-time stochastic
// optimisation"); the discretisation is gradus's own.     twin: src/rules/losing_momentum.rs
//
//   mₜ = mass · decayᵗ⁻¹ / t^power
//   g ← g + λp
//   V ← (mₜ V - h g) / (mₜ + α h)
//   p ← p + h V
#pragma once
#include "rules/common.cuh"

struct LosingMomentum {
    struct Hyper { double lr, damping, mass, decay, power, weight_decay; };
    struct Carry {};
    template <class T> struct Scalars { T weight_decay, kept, gained, lr; };
    template <class T> struct State { T velocity; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double mass = h.mass * powi(h.decay, t - 1) * fmath::exp(-h.power * fmath::ln(double(t)));
        double resistance = mass + h.damping * h.lr;
        double mobility = select(resistance > 0.0, 1.0 / resistance, 0.0);
        return {
            .weight_decay = h.weight_decay,
            .kept = mass * mobility,
            .gained = h.lr * mobility,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.weight_decay, p, g);
        state.velocity = fma(s.kept, state.velocity, -s.gained * d);
        return fma(s.lr, state.velocity, p);
    }
};
