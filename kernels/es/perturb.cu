// Parameters plus a sum of noises: to = from + sum a_j e_j.
#include "es/sums.cuh"

extern "C" __device__ const uint32_t perturb_layout[3] = {CHUNK, THREADS, FEW};

#define PERTURB(name, Draws)                                                                                                  \
    SUM_AS(perturb_##name##_f64_f64, (THREADS), Sum::ADDED, Draws, f64, f64, ToNearest)                                       \
    SUM_AS(perturb_##name##_f32_f32, (THREADS), Sum::ADDED, Draws, f32, f32, ToNearest)                                       \
    SUM_AS(perturb_##name##_f32_bf16, (THREADS), Sum::ADDED, Draws, f32, bf16, ToNearest)                                     \
    SUM_AS(perturb_##name##_f32_f16, (THREADS), Sum::ADDED, Draws, f32, f16, ToNearest)                                       \
    SUM_AS(perturb_##name##_bf16_bf16, (THREADS), Sum::ADDED, Draws, bf16, bf16, ToNearest)                                   \
    SUM_AS(perturb_##name##_f16_f16, (THREADS), Sum::ADDED, Draws, f16, f16, ToNearest)                                       \
    SUM_AS(perturb_##name##_stochastic_f32_bf16, (THREADS), Sum::ADDED, Draws, f32, bf16, Stochastic)                         \
    SUM_AS(perturb_##name##_stochastic_bf16_bf16, (THREADS), Sum::ADDED, Draws, bf16, bf16, Stochastic)

PERTURB(normal, Normals)
PERTURB(rademacher, Signs)
PERTURB(uniform, Uniforms)
