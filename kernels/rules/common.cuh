// The words of the rules, as in src/fmath.rs, and the codes of their settings, as in src/rules/common.rs.
//
// fma and sqrt are CUDA's own, each rounded once to nearest even.
#pragma once
#include <cstdint>

// Where weight decay acts.
constexpr double DECAY_L2 = 0.0;
constexpr double DECAY_DECOUPLED = 1.0;

template <class T> __device__ T real(double value) { return T(value); }

template <class T> __device__ T select(bool condition, T a, T b) { return condition ? a : b; }

// 1 above zero, -1 below it; a zero and a NaN stay what they are.
template <class T> __device__ T sign(T x) {
    return select(x > real<T>(0.0), real<T>(1.0), select(x < real<T>(0.0), real<T>(-1.0), x));
}

// What an L2 penalty adds to the gradient, as a factor of the parameter; 0 for other decays.
__device__ inline double l2(double decay, double weight_decay) {
    return select(decay == DECAY_L2, weight_decay, 0.0);
}

// What decoupled decay leaves of the parameter, as a factor; 1 for other decays.
__device__ inline double keep(double decay, double lr, double weight_decay) {
    return 1.0 - lr * select(decay == DECAY_DECOUPLED, weight_decay, 0.0);
}

__device__ inline double standin_pow(double a, double b) { return a * b; }
__device__ inline double standin_cospi(double a) { return a; }
// base^exponent by squaring, from the lowest bit of the exponent up.
__device__ inline double powi(double base, uint64_t exponent) {
    double result = 1.0;
    double square = base;
    uint64_t n = exponent;
    while (n > 0) {
        if (n % 2 == 1) {
            result *= square;
        }
        square *= square;
        n >>= 1;
    }
    return result;
}
