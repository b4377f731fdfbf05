// CUDA C++ for a host compiler: what the kernels use of the language, one thread after another. Threads that wait
// for each other are fibers.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <type_traits>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(threads)
#define __shared__ static thread_local
#define __isGlobal(pointer) true
#define __builtin_assume(condition)

struct uint3 { uint32_t x, y, z; };
inline thread_local uint3 gridDim, blockDim, blockIdx, threadIdx;

using std::abs;
using std::fma;
using std::min;
using std::sqrt;

// As a GPU has it: the number where the other is NaN, and -0 below +0.
template <class T> requires std::is_floating_point_v<T> T max(T a, T b) {
    return std::isnan(a) ? b : std::isnan(b) ? a : a > b || (a == b && !std::signbit(a)) ? a : b;
}

inline int __clz(uint32_t x) { return std::countl_zero(x); }
inline void __syncthreads();
inline float __uint_as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t __float_as_uint(float x) { return std::bit_cast<uint32_t>(x); }
inline double __longlong_as_double(int64_t bits) { return std::bit_cast<double>(bits); }
inline int64_t __double_as_longlong(double x) { return std::bit_cast<int64_t>(x); }

namespace host {

// Exact: every f16 is an f32.
inline float widen_f16(uint16_t bits) {
    const int exponent = bits >> 10 & 31;
    const float mantissa = bits & 1023;
    const float magnitude = exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                          : exponent == 0  ? std::ldexp(mantissa, -24)
                                           : std::ldexp(mantissa + 1024, exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
}

// In units of the last place, the nearest even whole number is the mantissa, and one past the largest of an exponent
// carries into the next, up to infinity.
inline uint16_t narrow_f16(float x) {
    if (std::isnan(x)) {
        return 0x7fff;
    }
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    const float magnitude = std::fabs(x);
    if (magnitude >= 65520) {
        return sign | 0x7c00;
    }
    const int exponent = magnitude < 0x1p-14f ? -14 : std::ilogb(magnitude);
    const int units = int(std::nearbyint(std::ldexp(double(magnitude), 10 - exponent)));
    return sign | uint16_t((exponent + 14) * 1024 + units);
}

// A bf16 is the upper half of an f32; infinity comes after the largest.
inline uint16_t narrow_bf16(float x) {
    if (std::isnan(x)) {
        return 0x7fff;
    }
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t upper = bits >> 16, lower = bits & 0xffff;
    return upper + (lower > 0x8000 || (lower == 0x8000 && upper % 2 == 1));
}

// The instructions of core/element.cuh, whose operands are called x and y; what else the text says ends the program.
template <class X, class Y> void assemble(std::string_view text, X x, Y& y) {
    if constexpr (std::is_same_v<Y, float>) {
        if (text == R"("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits))") {
            y = widen_f16(x.bits);
            return;
        }
    } else {
        if (text == R"("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x))") {
            y.bits = narrow_f16(x);
            return;
        }
        if (text == R"("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x))") {
            y.bits = narrow_bf16(x);
            return;
        }
    }
    std::abort();
}

// A word of a parameter block.
struct Argument {
    uint64_t value;
    template <class T> operator T*() const { return reinterpret_cast<T*>(value); }
    operator uint64_t() const { return value; }
};

// Every thread of every block, in order.
template <class Kernel> void launch(uint32_t grid, uint32_t block, Kernel kernel) {
    gridDim = {grid, 1, 1};
    blockDim = {block, 1, 1};
    for (uint32_t b = 0; b < grid; b++) {
        for (uint32_t t = 0; t < block; t++) {
            blockIdx = {b, 0, 0};
            threadIdx = {t, 0, 0};
            kernel();
        }
    }
}

constexpr uint32_t WARP = 32;

struct Barrier {
    uint32_t arrived, generation;
};

// The threads of a block, each on its own stack. None may end before a barrier that others wait at.
struct Block {
    ucontext_t scheduler;
    std::vector<ucontext_t> fibers;
    std::vector<std::vector<char>> stacks;
    std::vector<bool> ended;
    std::vector<uint32_t> slots;  // what a lane gives in a shuffle
    Barrier all, warps[32];
    void (*kernel)(const Argument*);
    const Argument* arguments;
};
inline thread_local Block block;

inline void pause() { swapcontext(&block.fibers[threadIdx.x], &block.scheduler); }

inline void wait(Barrier& barrier, uint32_t expected) {
    const uint32_t generation = barrier.generation;
    if (++barrier.arrived == expected) {
        barrier = {0, generation + 1};
        return;
    }
    while (barrier.generation == generation) {
        pause();
    }
}

inline void wait_warp(uint32_t mask) {
    if (mask != ~0u) {
        std::abort();  // only whole warps are known here
    }
    wait(block.warps[threadIdx.x / WARP], WARP);
}

inline void fiber() {
    block.kernel(block.arguments);
    block.ended[threadIdx.x] = true;
}

// Blocks one after another, of whole warps; in a block every thread in turn, as far as it comes.
inline void launch_fibers(uint32_t grid, uint32_t threads, void (*kernel)(const Argument*), const Argument* arguments) {
    gridDim = {grid, 1, 1};
    blockDim = {threads, 1, 1};
    block.kernel = kernel;
    block.arguments = arguments;
    block.fibers.resize(threads);
    block.slots.resize(threads);
    block.stacks.assign(threads, std::vector<char>(64 << 10));
    for (uint32_t b = 0; b < grid; b++) {
        blockIdx = {b, 0, 0};
        block.ended.assign(threads, false);
        for (uint32_t t = 0; t < threads; t++) {
            ucontext_t& context = block.fibers[t];
            getcontext(&context);
            context.uc_stack.ss_sp = block.stacks[t].data();
            context.uc_stack.ss_size = block.stacks[t].size();
            context.uc_link = &block.scheduler;
            makecontext(&context, fiber, 0);
        }
        while (std::count(block.ended.begin(), block.ended.end(), false) > 0) {
            for (uint32_t t = 0; t < threads; t++) {
                if (!block.ended[t]) {
                    threadIdx = {t, 0, 0};
                    swapcontext(&block.scheduler, &block.fibers[t]);
                }
            }
        }
    }
}

// What the lane that `from` names by the own one gives.
template <class T, class From> T shuffle(uint32_t mask, T value, From from) {
    static_assert(sizeof(T) == 4);
    const uint32_t lane = threadIdx.x % WARP, first = threadIdx.x - lane;
    block.slots[threadIdx.x] = std::bit_cast<uint32_t>(value);
    wait_warp(mask);
    const uint32_t source = from(lane);
    const T result = std::bit_cast<T>(block.slots[first + (source < WARP ? source : lane)]);
    wait_warp(mask);
    return result;
}

}  // namespace host

inline void __syncthreads() { host::wait(host::block.all, blockDim.x); }
inline void __syncwarp(uint32_t mask = ~0u) { host::wait_warp(mask); }
template <class T> T __shfl_xor_sync(uint32_t mask, T value, uint32_t bits) {
    return host::shuffle(mask, value, [=](uint32_t lane) { return lane ^ bits; });
}
template <class T> T __shfl_down_sync(uint32_t mask, T value, uint32_t delta) {
    return host::shuffle(mask, value, [=](uint32_t lane) { return lane + delta; });
}
// Lanes below the first are not below WARP either: they wrap around.
template <class T> T __shfl_up_sync(uint32_t mask, T value, uint32_t delta) {
    return host::shuffle(mask, value, [=](uint32_t lane) { return lane - delta; });
}
inline uint32_t __ballot_sync(uint32_t mask, bool vote) {
    uint32_t votes = 0;
    for (uint32_t lane = 0; lane < host::WARP; lane++) {
        votes |= host::shuffle(mask, uint32_t(vote), [=](uint32_t) { return lane; }) << lane;
    }
    return votes;
}
inline int __popc(uint32_t bits) { return std::popcount(bits); }

#define asm(...) host::assemble(#__VA_ARGS__, x, y)
