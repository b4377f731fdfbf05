// Stochastic diagonal Levenberg-Marquardt (LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
// recognition", Appendix C).     twin: src/rules/sdlm.rs
//
//   h ← |c| where h = 0,  β h + (1-β) |c| elsewhere        (c the curvature; h stays in a step without it)
//   p ← p - lr / (h + μ) · g
#pragma once
#include "core/gradient.cuh"
#include "rules/common.cuh"

struct Sdlm {
    struct Hyper { double lr, beta, damping; };
    struct Carry {};
    template <class T> struct Scalars { T one_minus_beta, damping, lr; };
    template <class T> struct State { T h; };
    template <class T> using Gradient = WithSecond<T>;

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t, Carry&) {
        return {.one_minus_beta = 1.0 - h.beta, .damping = h.damping, .lr = h.lr};
    }

    template <class T> static __device__ T update(const Scalars<T>& s, T p, WithSecond<T> g, State<T>& state) {
        T curvature = abs(g.second);
        T mean = fma(s.one_minus_beta, curvature - state.h, state.h);
        T h = select(state.h == real<T>(0.0), curvature, mean);
        state.h = select(g.given, h, state.h);
        return fma(-s.lr, g.gradient / (state.h + s.damping), p);
    }
};
