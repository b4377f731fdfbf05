// Signum and signSGD (Bernstein et al. 2018, "signSGD: compressed optimisation for non-convex problems", Algorithms 2 and 1).
// twin: src/rules/signum.rs
//
//   g ← g + λp  (L2 only)
//   m ← m + (1-μ)(g - m)
//   p ← (1 - lr·λ) p - lr·sign(m)        (with L2 the first factor is 1)        sign(0) = 0
#pragma once
#include "rules/common.cuh"

struct Signum {
    struct Hyper { double lr, momentum, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, one_minus_momentum, lr; };
    template <class T> struct State { T m; };
    static constexpr int MOMENTUM = 0;
    static constexpr bool MAY_BE_STATELESS = true;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t, Carry&) {
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .one_minus_momentum = 1.0 - h.momentum,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_momentum, d - state.m, state.m);
        return fma(-s.lr, sign(state.m), p * s.keep);
    }
};
