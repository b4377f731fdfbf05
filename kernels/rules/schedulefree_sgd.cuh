// Schedule-free SGD (Defazio et al. 2024, "The road less scheduled", equations 1 to 3; SGDScheduleFreeReference of
// facebookresearch/schedule_free).     twin: src/rules/schedulefree_sgd.rs
//
//   d ← g + λy        (g is taken at y, the parameter; λz with decay_at_z)
//   z ← z - lr_t d                                            lr_t = lr · min(t/warmup, 1)
//   x ← (1-c) x + c z                                         c = w_t / Σ w        w_t = t^r · (max lr)^power
//   y ← β x + (1-β) z                                         z₀ = x₀ = y₀
#pragma once
#include "rules/common.cuh"

struct ScheduleFreeSgd {
    struct Hyper { double lr, momentum, weight_decay, decay_at_z, warmup_steps, r, weight_lr_power; };
    struct Carry { double greatest_lr, weight_sum; };
    template <class T> struct Scalars { T begins, weight_decay, decay_at_z, share, lr, y_lr; };
    template <class T> struct State { T z; };

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry& carry) {
        double lr = warmed_up(h.lr, h.warmup_steps, t);
        carry.greatest_lr = max(carry.greatest_lr, lr);
        double weight = average_weight(t, h.r, carry.greatest_lr, h.weight_lr_power);
        carry.weight_sum += weight;
        double share = select(carry.weight_sum == 0.0, 0.0, weight / carry.weight_sum);
        return {
            .begins = select(t == 1, 1.0, 0.0),
            .weight_decay = h.weight_decay,
            .decay_at_z = h.decay_at_z,
            .share = share,
            .lr = lr,
            .y_lr = lr * (1.0 - h.momentum * (1.0 - share)),
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T z = select(s.begins != real<T>(0.0), p, state.z);
        T decayed = select(s.decay_at_z != real<T>(0.0), z, p);
        T d = fma(s.weight_decay, decayed, g);
        state.z = fma(-s.lr, d, z);
        return fma(-s.y_lr, d, fma(s.share, z - p, p));
    }
};
