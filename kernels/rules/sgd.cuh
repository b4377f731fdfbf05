// SGD with momentum, dampening and Nesterov's form (Sutskever et al. 2013; the form of torch.optim.SGD).
// twin: src/rules/sgd.rs
//
//   d ← g + λp  (L2; else d = g)
//   b ← d at t = 1,  μ b + (1 - dampening) d after it
//   p ← (1 - lr·λ) p - lr·(d + μ b)  (Nesterov; else lr·b)        (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct Sgd {
    struct Hyper { double lr, momentum, dampening, nesterov, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, momentum, gradient_weight, nesterov, lr; };
    template <class T> struct State { T momentum; };
    static constexpr int MOMENTUM = 0;
    static constexpr bool MAY_BE_STATELESS = true;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = keep(h.decay, h.lr, h.weight_decay),
            .momentum = h.momentum,
            .gradient_weight = select(t == 1 || h.momentum == 0.0, 1.0, 1.0 - h.dampening),
            .nesterov = h.nesterov,
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        state.momentum = fma(s.momentum, state.momentum, s.gradient_weight * d);
        T ahead = fma(s.momentum, state.momentum, d);
        T direction = select(s.nesterov != real<T>(0.0), ahead, state.momentum);
        return fma(-s.lr, direction, p * s.keep);
    }
};
