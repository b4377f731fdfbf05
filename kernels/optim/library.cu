// The functions that kernels of rules call.
#include "optim/library.cuh"

#include "core/pack.cuh"
#include "es/draws.cuh"

template <class Draws, class Real>
__device__ void draw_as(Real* tile, uint64_t first, uint32_t id, const Term<Real>* terms, uint32_t count, bool is_new) {
    constexpr int N = 4, PACKS = TILE / (N * THREADS);
    static_assert(Draws::ROOM <= ROOM);
    Draws draws;
    draws.begin_in(tile + TILE, is_new);
    const auto address_of = [&](uint32_t j) { return Address{{terms[j].field, id, terms[j].step}, terms[j].seed}; };
    Real x[PACKS][N] = {};
    #pragma unroll 1
    for (uint32_t j = 0; j < count; j += Draws::TERMS) {
        const uint32_t here = Draws::TERMS == 1 ? 1 : min(count - j, Draws::TERMS);
        draws.prepare(here, first, TILE, [&](uint32_t i) { return address_of(j + i); });
        #pragma unroll 1
        for (uint32_t i = 0; i < here; i++) {
            const Address address = address_of(j + i);
            #pragma unroll
            for (int k = 0; k < PACKS; k++) {
                draws.add(terms[j + i].coefficient, address, i, first + threadIdx.x * N, k * THREADS * N, x[k]);
            }
        }
    }
    #pragma unroll
    for (int k = 0; k < PACKS; k++) {
        Pack<Real, N>& pack = reinterpret_cast<Pack<Real, N>*>(tile)[threadIdx.x + k * THREADS];
        #pragma unroll
        for (int i = 0; i < N; i++) {
            pack.element[i] = x[k][i];
        }
    }
}

template <class Real>
__device__ void draw_by(Real* tile, uint64_t first, uint32_t id, const Estimate<Real>& estimate, bool is_new) {
    __builtin_assume(__isShared(tile));
    const Term<Real>* const terms = estimate.terms != nullptr ? estimate.terms : estimate.few.term;
    // Until then another thread may read the tile before.
    __syncthreads();
    if (estimate.distribution == NORMAL) {
        draw_as<Normals>(tile, first, id, terms, estimate.count, is_new);
    } else if (estimate.distribution == RADEMACHER) {
        draw_as<Signs>(tile, first, id, terms, estimate.count, is_new);
    } else {
        draw_as<Uniforms>(tile, first, id, terms, estimate.count, is_new);
    }
    __syncthreads();
}

#define LIBRARY(Real)                                                                                                         \
    extern "C" __device__ double tick_around_##Real(                                                                          \
        const double* group, uint64_t t, uint64_t step, double* carry_row, Real* to                                           \
    ) {                                                                                                                       \
        return tick_around_as(group, t, step, carry_row, to);                                                                 \
    }                                                                                                                         \
    extern "C" __device__ void draw_##Real(                                                                                   \
        Real* tile, uint64_t first, uint32_t id, const Estimate<Real>* estimate, bool is_new                                  \
    ) {                                                                                                                       \
        draw_by(tile, first, id, *estimate, is_new);                                                                          \
    }

LIBRARY(f32)
LIBRARY(f64)
