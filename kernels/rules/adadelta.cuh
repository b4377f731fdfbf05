// Adadelta (Zeiler 2012, Algorithm 1; the form of torch.optim.Adadelta).     twin: src/rules/adadelta.rs
//
//   g ← g + λp  (L2 only)
//   v ← v + (1-ρ)(g² - v)
//   δ = √(u + ε) / √(v + ε) · g        u ← u + (1-ρ)(δ² - u)        (u is the state delta)
//   p ← (1 - lr·λ) p - lr·δ            (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct Adadelta {
    struct Hyper { double lr, rho, eps, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, one_minus_rho, eps, lr; };
    template <class T> struct State { T v, delta; };

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t, Carry&) {
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .one_minus_rho = 1.0 - h.rho,
            .eps = h.eps,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.v = fma(s.one_minus_rho, d * d - state.v, state.v);
        T step = sqrt((state.delta + s.eps) / (state.v + s.eps)) * d;
        state.delta = fma(s.one_minus_rho, step * step - state.delta, state.delta);
        return fma(-s.lr, step, p * s.keep);
    }
};
