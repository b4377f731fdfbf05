// The entry points that build.rs writes for nvcc, for a host compiler.
#include "cuda.h"

#include "optim/library.cuh"
#include "optim/one_pass.cuh"
#include "optim/tick.cuh"
#include "rules/adamw.cuh"
#include "rules/lion.cuh"
#include "rules/sgd.cuh"

#include "barriers.cuh"

// Those of optim/library.cu that are called here.
#define LIBRARY(Real)                                                                              \
    extern "C" double tick_around_##Real(                                                          \
        const double* group, uint64_t t, uint64_t step, double* carry_row, Real* to                \
    ) {                                                                                            \
        return tick_around_as(group, t, step, carry_row, to);                                      \
    }

LIBRARY(f32)
LIBRARY(f64)

#define TICK(name, Rule, Real)                                                                     \
    extern "C" void name##_tick_##Real(uint32_t blocks, const host::Argument* a) {                 \
        host::launch(blocks, THREADS, [&] { tick<Rule, Real>(a[0], a[1], a[2], a[3], a[4], a[5]); }); \
    }

#define UPDATE(name, Rule, P, G)                                                                   \
    extern "C" void name##_##P##_##G(uint32_t blocks, const host::Argument* a) {                   \
        host::launch(blocks, THREADS, [&] { one_pass<Rule, P, G>(a[0], a[1], a[2], a[3], a[4]); }); \
    }

#define LAYOUT(name, Rule)                                                                         \
    extern "C" void name##_layout(uint32_t (&words)[12]) {                                         \
        const uint32_t layout[12] = {                                                              \
            CHUNK, THREADS, sizeof(Chunk), sizeof(TensorOf<Rule>), GROUP_ROW<Rule>, CARRY_ROW<Rule>, \
            SCALARS_ROW<Rule>, STATES<Rule>, uint32_t(momentum_of<Rule>() + 1), uint32_t(EXTRA<Rule>), TILE, ROOM, \
        };                                                                                         \
        std::copy_n(layout, 12, words);                                                            \
    }

#define RULE(name, Rule)            \
    LAYOUT(name, Rule)              \
    TICK(name, Rule, f32)           \
    TICK(name, Rule, f64)           \
    UPDATE(name, Rule, f32, f32)    \
    UPDATE(name, Rule, f32, bf16)   \
    UPDATE(name, Rule, f32, f16)    \
    UPDATE(name, Rule, bf16, bf16)  \
    UPDATE(name, Rule, bf16, f32)   \
    UPDATE(name, Rule, f16, f16)    \
    UPDATE(name, Rule, f64, f64)

RULE(adamw, AdamW)
RULE(lion, Lion)
RULE(sgd, Sgd)

// The conversions alone.
extern "C" uint32_t narrow_bf16(float x) { return narrow<bf16>(x).bits; }
extern "C" uint32_t narrow_f16(float x) { return narrow<f16>(x).bits; }
extern "C" float widen_f16(uint32_t bits) { return widen(f16{uint16_t(bits)}); }

#define BARRIERS(name)                                                                             \
    extern "C" void run_##name(uint32_t blocks, const host::Argument* a) {                         \
        auto kernel = [](const host::Argument* a) { name(a[0], a[1]); };                           \
        host::launch_fibers(blocks, THREADS, kernel, a);                                           \
    }

BARRIERS(reduce)
BARRIERS(scan)
BARRIERS(smooth)
