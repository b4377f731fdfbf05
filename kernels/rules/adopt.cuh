// ADOPT (Taniguchi et al. 2024, Algorithm 2; the form of iShohei220/adopt).     twin: src/rules/adopt.rs
//
//   g ← g + λp  (L2 only)
//   t = 1:  v ← g²                                     (p, its decay included, and m stay as they are)
//   t > 1:  n ← clip(g / max(√v, ε), ±(t-1)^¼)         m ← m + (1-β₁)(n - m)         v ← v + (1-β₂)(g² - v)
//           p ← (1 - lr·λ) p - lr·m                    (with L2 the first factor is 1)
#pragma once
#include "rules/common.cuh"

struct Adopt {
    struct Hyper { double lr, beta1, beta2, eps, clip, weight_decay, decay; };
    struct Carry {};
    template <class T> struct Scalars { T l2, keep, first, eps, limit, one_minus_beta1, square_weight, lr; };
    template <class T> struct State { T m, v; };
    static constexpr int MOMENTUM = 0;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry&) {
        bool first = t == 1;
        double earlier = double(t - 1);
        return {
            .l2 = l2(h.decay, h.weight_decay),
            .keep = select(first, 1.0, keep(h.decay, h.lr, h.weight_decay)),
            .first = select(first, 1.0, 0.0),
            .eps = h.eps,
            .limit = select(h.clip != 0.0, sqrt(sqrt(earlier)), UNLIMITED),
            .one_minus_beta1 = 1.0 - h.beta1,
            .square_weight = select(first, 1.0, 1.0 - h.beta2),
            .lr = h.lr,
        };
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, T g, State<T>& state) {
        T d = fma(s.l2, p, g);
        T root = sqrt(state.v);
        T denominator = select(root < s.eps, s.eps, root);
        T normed = select(s.first != real<T>(0.0), real<T>(0.0), clamp(d / denominator, s.limit));
        state.m = fma(s.one_minus_beta1, normed - state.m, state.m);
        state.v = fma(s.square_weight, d * d - state.v, state.v);
        return fma(-s.lr, state.m, p * s.keep);
    }
};
