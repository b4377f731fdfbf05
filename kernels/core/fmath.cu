// The elementary functions over arrays, one element a thread: for the tests that compare them with their twins.
#include "core/chunk.cuh"
#include "core/fmath.cuh"

extern "C" __device__ const uint32_t fmath_layout[2] = {CHUNK, THREADS};

template <class T, class Function>
__device__ void apply(const T* x, const T* y, T* out, uint64_t count, Function function) {
    const uint64_t i = uint64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i < count) {
        out[i] = function(x[i], y[i]);
    }
}

#define KERNEL(name, T, value)                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS)                                             \
    fmath_##name##_##T(const T* xs, const T* ys, T* out, uint64_t count) {                            \
        apply(xs, ys, out, count, [](T x, [[maybe_unused]] T y) { return value; });                   \
    }
#define KERNELS(name, value) KERNEL(name, f32, value) KERNEL(name, f64, value)

KERNELS(exp, fmath::exp(x))
KERNELS(ln, fmath::ln(x))
KERNELS(log2, fmath::log2(x))
KERNELS(pow, fmath::pow(x, y))
KERNELS(tanh, fmath::tanh(x))
KERNELS(sinpi, fmath::sincospi(x).sin)
KERNELS(cospi, fmath::sincospi(x).cos)
KERNELS(max, max(x, y))
KERNELS(min, min(x, y))
KERNELS(sign, sign(x))
