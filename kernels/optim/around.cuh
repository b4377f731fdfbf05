// What surrounds a rule in a step: the schedule of its learning rate, averages of the parameters, Lookahead.
// twin: src/step/mod.rs, src/step/schedule.rs
#pragma once
#include "rules/common.cuh"

constexpr double AVERAGE_NONE = 0.0;
constexpr double AVERAGE_EXPONENTIAL = 1.0;

constexpr double MOMENTUM_KEEP = 0.0;
constexpr double MOMENTUM_PULLBACK = 2.0;

constexpr double RISE_COSINE = 1.0;

constexpr double FALL_LINEAR = 1.0;
constexpr double FALL_COSINE = 2.0;
constexpr double FALL_POLYNOMIAL = 3.0;
constexpr double FALL_EXPONENTIAL = 4.0;
constexpr double FALL_INVERSE_ROOT = 5.0;

struct Around {
    struct Hyper {
        double gradient_scale, seed, warmup, warmup_start, rise, hold, total, floor, fall, shape, average, average_decay,
            average_start, average_every, lookahead_every, lookahead_share, lookahead_momentum;
    };
    struct Carry { double averaged, slow_begun; };
    template <class T> struct Scalars {
        T gradient_scale, average, slow_begins, slow_share, momentum_kept, momentum_returned;
    };

    // Whether `every` divides `n`.
    static __device__ bool is_multiple(double n, double every) {
        return uint64_t(n) % uint64_t(every) == 0;
    }

    static __device__ Scalars<double> tick(const Hyper& h, uint64_t t, Carry& carry) {
        double since = double(t) - h.average_start;
        bool collects = h.average != AVERAGE_NONE && since >= 0.0 && is_multiple(since, h.average_every);
        carry.averaged += select(collects, 1.0, 0.0);
        double later = select(h.average == AVERAGE_EXPONENTIAL, 1.0 - h.average_decay, 1.0 / carry.averaged);
        double weight = select(carry.averaged == 1.0, 1.0, later);

        bool looks = h.lookahead_every != 0.0;
        bool begins = looks && carry.slow_begun == 0.0;
        carry.slow_begun = select(looks, 1.0, 0.0);
        bool synchronises = looks && is_multiple(double(t), h.lookahead_every);
        bool pulls = h.lookahead_momentum == MOMENTUM_PULLBACK;
        double kept = select(h.lookahead_momentum == MOMENTUM_KEEP, 1.0, select(pulls, h.lookahead_share, 0.0));
        return {
            .gradient_scale = h.gradient_scale,
            .average = select(collects, weight, 0.0),
            .slow_begins = select(begins, 1.0, 0.0),
            .slow_share = select(synchronises, h.lookahead_share, 0.0),
            .momentum_kept = kept,
            .momentum_returned = select(pulls, 1.0 - h.lookahead_share, 0.0),
        };
    }

    // The factor of the learning rate in the optimizer's step `step`, counted from 1.
    static __device__ double lr_factor(const Hyper& h, uint64_t step) {
        double t = double(step);
        double begin = h.warmup + h.hold;
        if (t <= h.warmup) {
            double x = t / h.warmup;
            double risen = select(h.rise == RISE_COSINE, fma(-0.5, fmath::sincospi(x).cos, 0.5), x);
            return fma(1.0 - h.warmup_start, risen, h.warmup_start);
        }
        if (t <= begin) {
            return 1.0;
        }
        double left = max(1.0 - (t - begin) / (h.total - begin), 0.0);
        if (h.fall == FALL_LINEAR) {
            return fma(1.0 - h.floor, left, h.floor);
        }
        if (h.fall == FALL_COSINE) {
            return fma(1.0 - h.floor, fma(-0.5, fmath::sincospi(left).cos, 0.5), h.floor);
        }
        if (h.fall == FALL_POLYNOMIAL) {
            return fma(1.0 - h.floor, fmath::pow(left, h.shape), h.floor);
        }
        if (h.fall == FALL_EXPONENTIAL) {
            return max(fmath::pow(h.shape, t - begin), h.floor);
        }
        if (h.fall == FALL_INVERSE_ROOT) {
            return max(sqrt(max(begin, 1.0) / t), h.floor);
        }
        return 1.0;
    }

    // The average after a parameter has come to it.
    template <class T> static __device__ T averaged(const Scalars<T>& s, T average, T p) {
        return select(s.average == real<T>(1.0), p, fma(s.average, p - average, average));
    }

    // The weights that both fast and slow ones become at a synchronisation.
    template <class T> static __device__ T synchronised(const Scalars<T>& s, T slow, T p) {
        return fma(s.slow_share, p - slow, slow);
    }

    // The momentum behind a synchronisation; `before` is the one behind the synchronisation before it.
    template <class T> static __device__ T pulled_back(const Scalars<T>& s, T before, T momentum) {
        return fma(s.momentum_kept, momentum, s.momentum_returned * before);
    }
};
