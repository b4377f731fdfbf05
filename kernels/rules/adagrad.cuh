// Adagrad (Duchi, Hazan & Singer 2011, with diagonal matrices; the form of torch.optim.Adagrad).
// twin: src/rules/adagrad.rs
//
//   g ← g + λp  (L2 only)
//   s ← s + g²                                             s₀ = initial_accumulator_value
//   p ← (1 - lrₜ·λ) p - lrₜ · g / (√s + ε)                 lrₜ = lr / (1 + (t-1) lr_decay)
//                                                          (with L2 the first factor is 1; or √(s + ε))
#pragma once
#include "rules/common.cuh"

struct Adagrad {
    struct Hyper { double lr, lr_decay, initial_accumulator_value, eps, eps_placement, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, start, eps_inside, eps_outside, lr; };
    template <class T> struct State { T sum; };

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        double earlier = double(t - 1);
        double lr = h.lr / (1.0 + earlier * h.lr_decay);
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, lr, h.weight_decay),
            .start = select(t == 1, h.initial_accumulator_value, 0.0),
            .eps_inside = eps_inside(h.eps_placement, h.eps),
            .eps_outside = eps_outside(h.eps_placement, h.eps),
            .lr = lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.sum = fma(d, d, state.sum + s.start);
        T root = sqrt(state.sum + s.eps_inside);
        return fma(-s.lr, quotient(d, root + s.eps_outside), p * s.keep);
    }
};
