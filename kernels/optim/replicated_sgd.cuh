// Replicated SGD (Pittorino et al. 2021).
// twin: src/ensemble/replicated_sgd.rs
//
//   x̄ = (x₁ + ... + x_R) / R
//   xₐ ← xₐ - lr (gₐ + γₜ (xₐ - x̄))        for every replica a, all from the same x̄
//   γₜ = γ (1 + growth)ᵗ⁻¹
#pragma once
#include "rules/common.cuh"

struct ReplicatedSgd {
    struct Hyper { double lr, gamma, gamma_growth; };
    template <class T> struct Scalars { T lr, gamma; };

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t) {
        return { .lr = h.lr, .gamma = h.gamma * powi(1.0 + h.gamma_growth, t - 1) };
    }

    // The mean of `count` replicas, of their sum.
    template <class T> static __device__ T mean(T sum, T count) {
        return sum / count;
    }

    // The new value of a parameter x with gradient g; mean is that of all replicas.
    template <class T> static __device__ T update(const Scalars<T>& s, T x, T mean, T g) {
        return fma(-s.lr, fma(s.gamma, x - mean, g), x);
    }
};
