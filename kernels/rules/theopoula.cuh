// THEO POULA without its regulariser (Lim & Sabanis 2021, "Polygonal unadjusted Langevin algorithms").
// twin: src/rules/theopoula.rs
//
//   g ← g + λp
//   p ← p - lr · g (1 + s / (ε + |g|)) / (1 + s |g|) + √(2 lr / β) ξ            s = √lr,  ξ ~ N(0, 1)
#pragma once
#include "core/gradient.cuh"
#include "optim/noise.cuh"
#include "rules/common.cuh"

struct TheoPoula {
    struct Hyper { double lr, beta, eps, weight_decay; };
    struct Carry {};
    template <class T> struct Scalars { T weight_decay, root_lr, eps, lr, noise; };
    template <class T> struct State {};
    template <class T> using Gradient = WithNoise<T>;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t, Carry&) {
        return {
            .weight_decay = h.weight_decay,
            .root_lr = sqrt(h.lr),
            .eps = h.eps,
            .lr = h.lr,
            .noise = sqrt(2.0 * h.lr / h.beta),
        };
    }

    template <class T> static __device__ bool takes_noise(const Scalars<T>& s) {
        return s.noise != real<T>(0.0);
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, WithNoise<T> g, State<T>&) {
        T d = fma(s.weight_decay, p, g.gradient);
        T size = abs(d);
        T boosted = fma(s.root_lr, d / (size + s.eps), d);
        T moved = fma(-s.lr, boosted / fma(s.root_lr, size, real<T>(1.0)), p);
        return select(s.noise != real<T>(0.0), fma(s.noise, g.noise, moved), moved);
    }
};
