// Noises of low rank, A B': terms of sums of them, and the numbers of their factors.
#pragma once
#include "core/pack.cuh"
#include "es/draws.cuh"
#include "es/term.cuh"

constexpr uint32_t SIDE_SHIFT = 33;  // rows of a factor are below 2^33

// One noise of the sum, A B'.
template <class Real> struct alignas(8) FactoredTerm {
    uint64_t seed;
    uint32_t field, step;  // counter words 1, of element 0, and 3, those of A
    uint32_t right_step;   // counter word 3 of B
    Real coefficient;      // that of A B', the root of the rank in it
};

template <class Real> struct FewFactored {
    FactoredTerm<Real> term[FEW];
};

static_assert(sizeof(FactoredTerm<f32>) == 24 && sizeof(FactoredTerm<f64>) == 32);

// The numbers of four neighbouring elements from `element` on, which 4 divides.
__device__ inline void draw(
    uint32_t distribution, const Normal& normal, const Address& address, uint64_t element, float (&number)[4]
) {
    const bool is_sign = distribution == RADEMACHER || distribution == HADAMARD;
    const uint32_t row = distribution == HADAMARD ? address.field[0] >> PAIR_SHIFT & 127 : 0;
    Address first = address;  // of its group
    first.field[0] -= row << PAIR_SHIFT;
    const Words words = first.words(is_sign ? element / 128 : element / 4);
    const uint32_t low = element & 32 ? words.word[1] : words.word[0];
    const uint32_t high = element & 32 ? words.word[3] : words.word[2];
    const uint32_t signs = (element & 64 ? high : low) >> element % 32;
    #pragma unroll
    for (int i = 0; i < 4; i++) {
        const float sign = __uint_as_float(0x3f800000 | (signs >> i ^ __popc(row & uint32_t(element + i))) << 31);
        const float spread = distribution == NORMAL ? normal(words.word[i]) : Uniform()(words.word[i]);
        number[i] = is_sign ? sign : spread;
    }
}

// The numbers of four neighbouring rows of column k of a factor, from `row` on, which 4 divides.
template <class Real>
__device__ void draw(
    uint32_t distribution, const Normal& normal, const FactoredTerm<Real>& term, uint32_t id, bool is_right, uint32_t k, uint64_t row,
    float (&number)[4]
) {
    const Address address = {{term.field, id, is_right ? term.right_step : term.step}, term.seed};
    draw(distribution, normal, address, uint64_t(2 * k + is_right) << SIDE_SHIFT | row, number);
}
