// What sums of noises are made of, as launches take it.
#pragma once
#include <cstdint>

#include "core/element.cuh"

// One noise of the sum, and one square of it.
template <class Real> struct alignas(8) Term {
    uint64_t seed;
    uint32_t field, step;  // counter words 1, of element 0 and where the noise is a row with IS_ROW, and 3
    Real coefficient, of_square;
};

constexpr uint32_t FEW = 8;

// Terms that travel with the launch.
template <class Real> struct Few {
    Term<Real> term[FEW];
};

static_assert(sizeof(Term<f32>) == 24 && sizeof(Term<f64>) == 32);

// A sum that is drawn where it is used.
template <class Real> struct Estimate {
    const Term<Real>* terms;  // null where they are `few`
    uint32_t count, distribution;
    Few<Real> few;
};

constexpr uint32_t NORMAL = 0, RADEMACHER = 1, UNIFORM = 2, HADAMARD = 3;

static_assert(sizeof(Estimate<f32>) == 208 && sizeof(Estimate<f64>) == 272);
