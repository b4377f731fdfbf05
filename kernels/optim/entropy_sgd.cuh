// Entropy-SGD (Chaudhari et al. 2017, Algorithm 1; the form of ucla-vision/entropy-sgd).
// twin: src/ensemble/entropy_sgd.rs
//
//   x ← w, x̄ ← w                                                      where a loop begins
//   w ← w - lr' (g + λ w + γ (w - x) + ε / √(lr'/2) ξ)                each step of the walker w
//   x̄ ← α x̄ + (1-α) w
//   w ← x - lr (x - x̄ + λ x)                                          behind the last of a loop
#pragma once
#include "rules/common.cuh"

struct EntropySgd {
    struct Hyper {
        double lr, momentum, dampening, weight_decay, nesterov, inner_steps, inner_lr, averaging, noise, gamma,
            gamma_growth, outer_gamma, anchor_gradient, seed;
    };
    template <class T> struct Scalars {
        T begins, seeds, walks, ends, loops, weight_decay, momentum, undamped, nesterov, gamma, noise, inner_lr,
            one_minus_averaging, outer_gamma, lr;
    };
    template <class T> struct State { T anchor, mean, inner, outer; };

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t) {
        double calls = max(h.inner_steps + h.anchor_gradient, 1.0);
        uint64_t position = (t - 1) % uint64_t(calls);
        double gamma = h.gamma * powi(1.0 + h.gamma_growth, (t - 1) / uint64_t(calls));
        bool loops = h.inner_steps > 0.0;
        bool walks = loops && double(position) >= h.anchor_gradient;
        return {
            .begins = select(position == 0, 1.0, 0.0),
            .seeds = select(t == 1, 1.0, 0.0),
            .walks = select(walks, 1.0, 0.0),
            .ends = select(position + 1 == uint64_t(calls), 1.0, 0.0),
            .loops = select(loops, 1.0, 0.0),
            .weight_decay = h.weight_decay,
            .momentum = h.momentum,
            .undamped = 1.0 - h.dampening,
            .nesterov = h.nesterov,
            .gamma = gamma,
            .noise = h.noise / sqrt(0.5 * h.inner_lr),
            .inner_lr = h.inner_lr,
            .one_minus_averaging = 1.0 - h.averaging,
            .outer_gamma = select(h.outer_gamma != 0.0, gamma, 1.0),
            .lr = h.lr,
        };
    }

    // The momentum after a direction d has come to it.
    template <class T> static __device__ T gathered(const Scalars<T>& s, T momentum, T d) {
        return fma(s.momentum, momentum, s.undamped * d);
    }

    // What the momentum makes of a direction that has come to it.
    template <class T> static __device__ T pushed(const Scalars<T>& s, T momentum, T d) {
        T heavy = select(s.nesterov != real<T>(0.0), fma(s.momentum, momentum, d), momentum);
        return select(s.momentum != real<T>(0.0), heavy, d);
    }

    // The new value of a parameter p; g is its gradient if one is given, noise a standard normal number.
    template <class T>
    static __device__ T update(const Scalars<T>& s, T p, T g, bool given, T noise, State<T>& state) {
        bool begins = s.begins != real<T>(0.0);
        state.anchor = select(begins, p, state.anchor);
        state.mean = select(begins, p, state.mean);
        state.inner = select(begins, real<T>(0.0), state.inner);
        state.outer = select(given && s.seeds != real<T>(0.0), g, state.outer);

        bool walks = s.walks != real<T>(0.0);
        T decayed = fma(s.weight_decay, p, g);
        T inner = gathered(s, state.inner, decayed);
        T pulled = fma(s.gamma, p - state.anchor, pushed(s, inner, decayed));
        T shaken = fma(s.noise, noise, pulled);
        T w = select(given && walks, fma(-s.inner_lr, shaken, p), p);
        T collected = select(s.nesterov != real<T>(0.0), inner, shaken);
        state.inner = select(given && walks, collected, state.inner);
        state.mean = select(walks, fma(s.one_minus_averaging, w - state.mean, state.mean), state.mean);

        bool loops = s.loops != real<T>(0.0);
        T away = select(loops, s.outer_gamma * (state.anchor - state.mean), g);
        T down = fma(s.weight_decay, state.anchor, away);
        T outer = gathered(s, state.outer, down);
        bool leaves = s.ends != real<T>(0.0) && (given || loops);
        state.outer = select(leaves, outer, state.outer);
        return select(leaves, fma(-s.lr, pushed(s, outer, down), state.anchor), w);
    }
};
