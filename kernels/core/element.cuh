// Storage types and the arithmetic type of each: the two part at `widen` and meet again at `narrow`.
#pragma once
#include <cstdint>

using f32 = float;
using f64 = double;
struct bf16 { uint16_t bits; };
struct f16 { uint16_t bits; };

template <class T> struct Arithmetic { using Real = f32; };
template <> struct Arithmetic<f64> { using Real = f64; };
template <class T> using RealOf = typename Arithmetic<T>::Real;

__device__ inline f32 widen(f32 x) { return x; }
__device__ inline f64 widen(f64 x) { return x; }
__device__ inline f32 widen(bf16 x) { return __uint_as_float(uint32_t(x.bits) << 16); }
__device__ inline f32 widen(f16 x) {
    f32 y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}

// Rounds to nearest even.
template <class T> __device__ T narrow(RealOf<T> x) { return x; }
template <> __device__ inline bf16 narrow<bf16>(f32 x) {
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}
template <> __device__ inline f16 narrow<f16>(f32 x) {
    f16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}
