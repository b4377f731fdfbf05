// RMSprop (Tieleman & Hinton 2012, lecture 6.5; Graves 2013, equations 38 to 41, for the centered form; the form of
// torch.optim.RMSprop).     twin: src/rules/rmsprop.rs
//
//   g ← g + λp  (L2 only)
//   v ← v + (1-α)(g² - v)                                  v₀ = initial_scale
//   a ← a + (1-α)(g - a)                                   (a is the state mean)
//   D = √max(v - a², 0) + ε  (centered; else √v + ε)       (√(… + ε) with ε inside)
//   b ← μ b + g / D                                        (b is the state buffer)
//   p ← (1 - lr·λ) p - lr·b                                (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct RmsProp {
    struct Hyper {
        double lr, alpha, eps, eps_placement, centered, momentum, initial_scale, weight_decay, decay;
    };
    struct Carry {};
    template <class T> struct Scalars {
        T l2, keep, start, one_minus_alpha, centered, eps_inside, eps_outside, momentum, lr;
    };
    template <class T> struct State { T v, mean, buffer; };
    static constexpr int MOMENTUM = 2;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .start = select(t == 1, h.initial_scale, 0.0),
            .one_minus_alpha = 1.0 - h.alpha,
            .centered = h.centered,
            .eps_inside = eps_inside(h.eps_placement, h.eps),
            .eps_outside = eps_outside(h.eps_placement, h.eps),
            .momentum = h.momentum,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        T v = state.v + s.start;
        state.v = fma(s.one_minus_alpha, d * d - v, v);
        state.mean = fma(s.one_minus_alpha, d - state.mean, state.mean);
        T variance = fma(-state.mean, state.mean, state.v);
        T positive = select(variance < real<T>(0.0), real<T>(0.0), variance);
        T root = sqrt(select(s.centered != real<T>(0.0), positive, state.v) + s.eps_inside);
        state.buffer = fma(s.momentum, state.buffer, quotient(d, root + s.eps_outside));
        return fma(-s.lr, state.buffer, p * s.keep);
    }
};
