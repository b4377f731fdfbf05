// Words that several rules share, as in src/rules/common.rs.
#pragma once
#include "core/fmath.cuh"

// Where weight decay acts.
constexpr double DECAY_L2 = 0.0;
constexpr double DECAY_DECOUPLED = 1.0;

// What an L2 penalty adds to the gradient, as a factor of the parameter; 0 for other decays.
__device__ inline double l2(double decay, double weight_decay) {
    return select(decay == DECAY_L2, weight_decay, 0.0);
}

// What decoupled decay leaves of the parameter, as a factor; 1 for other decays.
__device__ inline double keep(double decay, double lr, double weight_decay) {
    return 1.0 - lr * select(decay == DECAY_DECOUPLED, weight_decay, 0.0);
}

// Where the ε of a denominator stands: behind the root, or under it.
constexpr double EPS_OUTSIDE = 0.0;
constexpr double EPS_INSIDE = 1.0;

// What is added under the root.
__device__ inline double eps_inside(double placement, double eps) {
    return select(placement == EPS_INSIDE, eps, 0.0);
}

// What is added to the root.
__device__ inline double eps_outside(double placement, double eps) {
    return select(placement == EPS_OUTSIDE, eps, 0.0);
}

// `x / y`, and 0 where `y` is 0.
template <class T> __device__ T quotient(T x, T y) {
    return select(y == real<T>(0.0), real<T>(0.0), x / y);
}

// A bound that nothing reaches.
constexpr double UNLIMITED = INFINITY;

// `x` between `-bound` and `bound`; a NaN stays one.
template <class T> __device__ T clamp(T x, T bound) {
    return select(x > bound, bound, select(x < -bound, -bound, x));
}

// The rate of step t while it rises in a straight line to lr over the first steps.
__device__ inline double warmed_up(double lr, double warmup_steps, uint64_t t) {
    return lr * select(warmup_steps > double(t), double(t) / warmup_steps, 1.0);
}

// The weight of step t in a schedule-free average; greatest_lr is that of the steps up to it.
__device__ inline double average_weight(uint64_t t, double r, double greatest_lr, double weight_lr_power) {
    return fmath::pow(double(t), r) * fmath::pow(greatest_lr, weight_lr_power);
}

// How many gradients the second moment of step t averages, as RAdam approximates it; it rises to 2/(1-β₂) - 1.
__device__ inline double rectification_length(double beta2, uint64_t t) {
    double decayed = powi(beta2, t);
    return 2.0 / (1.0 - beta2) - 1.0 - 2.0 * double(t) * decayed / (1.0 - decayed);
}

// RAdam's factor of a step whose second moment averages so many gradients; for a length above 4 only.
__device__ inline double rectification(double beta2, double length) {
    double limit = 2.0 / (1.0 - beta2) - 1.0;
    return sqrt((length - 4.0) * (length - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * length));
}
