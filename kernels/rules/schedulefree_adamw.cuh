// Schedule-free AdamW (Defazio et al. 2024, "The road less scheduled", Algorithm 1; AdamWScheduleFreeReference of
// facebookresearch/schedule_free).     twin: src/rules/schedulefree_adamw.rs
//
//   v ← β₂ v + (1-β₂) g²        (g is taken at y, the parameter)
//   d ← g / (√(v / (1-β₂ᵗ)) + ε) + λy                         (λz with decay_at_z)
//   z ← z - lr_t d                                            lr_t = lr · min(t/warmup, 1)
//   x ← (1-c) x + c z                                         c = w_t / Σ w        w_t = t^r · (max lr)^power
//   y ← β₁ x + (1-β₁) z                                       z₀ = x₀ = y₀
#pragma once
#include "rules/common.cuh"

struct ScheduleFreeAdamW {
    struct Hyper { double lr, beta1, beta2, eps, weight_decay, decay_at_z, warmup_steps, r, weight_lr_power; };
    struct Carry { double greatest_lr, weight_sum; };
    template <class T> struct Scalars {
        T begins, one_minus_beta2, inverse_root_bias2, eps, weight_decay, decay_at_z, share, lr, y_lr;
    };
    template <class T> struct State { T z, v; };

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry& carry) {
        double bias2 = 1.0 - powi(h.beta2, t);
        double lr = warmed_up(h.lr, h.warmup_steps, t);
        carry.greatest_lr = max(carry.greatest_lr, lr);
        double weight = average_weight(t, h.r, carry.greatest_lr, h.weight_lr_power);
        carry.weight_sum += weight;
        double share = select(carry.weight_sum == 0.0, 0.0, weight / carry.weight_sum);
        return {
            .begins = select(t == 1, 1.0, 0.0),
            .one_minus_beta2 = 1.0 - h.beta2,
            .inverse_root_bias2 = 1.0 / sqrt(bias2),
            .eps = h.eps,
            .weight_decay = h.weight_decay,
            .decay_at_z = h.decay_at_z,
            .share = share,
            .lr = lr,
            .y_lr = lr * (1.0 - h.beta1 * (1.0 - share)),
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T z = select(s.begins != real<T>(0.0), p, state.z);
        state.v = fma(s.one_minus_beta2, g * g - state.v, state.v);
        T denominator = fma(sqrt(state.v), s.inverse_root_bias2, s.eps);
        T decayed = select(s.decay_at_z != real<T>(0.0), z, p);
        T d = fma(s.weight_decay, decayed, g / denominator);
        state.z = fma(-s.lr, d, z);
        return fma(-s.y_lr, d, fma(s.share, z - p, p));
    }
};
