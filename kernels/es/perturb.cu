// Parameters plus a sum of noises: to = from + sum a_j e_j.
#include "es/sums.cuh"

extern "C" __device__ const uint32_t perturb_layout[3] = {CHUNK, THREADS, FEW};

// Those of signs take 128 registers, or stop at 80 or 64 and keep one in memory for some target, if they are not told how many
// blocks a multiprocessor shall hold: 80 registers do, but 128 in f64 and where elements are rounded by chance.
#define PERTURB(name, Draws, BOUNDS, BOUNDS_OF_WIDE)                                                                          \
    SUM_AS(perturb_##name##_f64_f64, BOUNDS_OF_WIDE, Sum::ADDED, Draws, f64, f64, ToNearest)                                  \
    SUM_AS(perturb_##name##_f32_f32, BOUNDS, Sum::ADDED, Draws, f32, f32, ToNearest)                                          \
    SUM_AS(perturb_##name##_f32_bf16, BOUNDS, Sum::ADDED, Draws, f32, bf16, ToNearest)                                        \
    SUM_AS(perturb_##name##_f32_f16, BOUNDS, Sum::ADDED, Draws, f32, f16, ToNearest)                                          \
    SUM_AS(perturb_##name##_bf16_bf16, BOUNDS, Sum::ADDED, Draws, bf16, bf16, ToNearest)                                      \
    SUM_AS(perturb_##name##_f16_f16, BOUNDS, Sum::ADDED, Draws, f16, f16, ToNearest)                                          \
    SUM_AS(perturb_##name##_stochastic_f32_bf16, BOUNDS_OF_WIDE, Sum::ADDED, Draws, f32, bf16, Stochastic)                    \
    SUM_AS(perturb_##name##_stochastic_bf16_bf16, BOUNDS_OF_WIDE, Sum::ADDED, Draws, bf16, bf16, Stochastic)

PERTURB(normal, Normals, (THREADS), (THREADS))
PERTURB(rademacher, Signs, (THREADS, 3), (THREADS, 2))
PERTURB(uniform, Uniforms, (THREADS), (THREADS))
