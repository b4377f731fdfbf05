// The arithmetic words of the rules and elementary functions, as in src/fmath.
//
// fma, sqrt and abs are CUDA's own, each exact or rounded once to nearest even. CUDA has its own functions of the other names,
// too, with other bits: the elementary functions stand in a namespace, and rules write fmath::exp(x).
#pragma once
#include "core/element.cuh"

template <class T> __device__ T real(double value) { return T(value); }

template <class T> __device__ T select(bool condition, T a, T b) { return condition ? a : b; }

__device__ inline uint32_t to_bits(f32 x) { return __float_as_uint(x); }
__device__ inline uint64_t to_bits(f64 x) { return __double_as_longlong(x); }
__device__ inline f32 from_bits(uint32_t word) { return __uint_as_float(word); }
__device__ inline f64 from_bits(uint64_t word) { return __longlong_as_double(word); }

// 1 above zero, -1 below it; a zero and a NaN stay what they are.
template <class T> __device__ T sign(T x) {
    return select(x > real<T>(0.0), real<T>(1.0), select(x < real<T>(0.0), real<T>(-1.0), x));
}

// base^exponent by squaring, from the lowest bit of the exponent up.
__device__ inline double powi(double base, uint64_t exponent) {
    double result = 1.0;
    double square = base;
    uint64_t n = exponent;
    while (n > 0) {
        if (n % 2 == 1) {
            result *= square;
        }
        square *= square;
        n >>= 1;
    }
    return result;
}

namespace fmath {

// A sum that is not carried out.
template <class T> struct Sum { T high, low; };

template <class T> struct SinCos { T sin, cos; };

// `p · 2ⁿ` for whole |n| ≤ 250, rounded once where `p` is near 1.
__device__ inline f32 scale_f32(f32 p, f32 n) {
    // Added to a whole number k, it leaves k + 127, the exponent of 2ᵏ, in the low bits.
    f32 exponent = 12583039.0f;
    f32 half = fma(n, 0.5f, exponent);
    f32 rest = n - (half - exponent) + exponent;
    return p * from_bits(to_bits(half) << 23) * from_bits(to_bits(rest) << 23);
}

// `p · 2ⁿ` for whole |n| ≤ 2040, rounded once where `p` is near 1.
__device__ inline f64 scale_f64(f64 p, f64 n) {
    f64 exponent = 6755399441056767.0;
    f64 half = fma(n, 0.5, exponent);
    f64 rest = n - (half - exponent) + exponent;
    return p * from_bits(to_bits(half) << 52) * from_bits(to_bits(rest) << 52);
}

__device__ inline f32 exp_f32(f32 x) {
    // Beyond these the result is an infinity or a zero all the same.
    f32 a = select(x > 89.0f, 89.0f, select(x < -104.0f, -104.0f, x));
    // Adding 1.5·2²³ rounds to a whole number.
    f32 n = fma(a, 1.442695f, 12582912.0f) - 12582912.0f;
    f32 r = fma(n, 1.9046542e-9f, fma(n, -0.6931472f, a));
    f32 p = fma(r, 0.0013782497f, 0.008368674f);
    p = fma(p, r, 0.041668963f);
    p = fma(p, r, 0.16666521f);
    p = fma(p, r, 0.4999999f);
    p = fma(r * r, p, r) + 1.0f;
    return scale_f32(p, n);
}

__device__ inline f64 exp_f64(f64 x) {
    f64 a = select(x > 710.0, 710.0, select(x < -746.0, -746.0, x));
    f64 n = fma(a, 1.4426950408889634, 6755399441055744.0) - 6755399441055744.0;
    f64 r = fma(n, -2.3190468138462996e-17, fma(n, -0.6931471805599453, a));
    f64 p = fma(r, 2.500459156375514e-8, 2.7630467658087526e-7);
    p = fma(p, r, 2.7557572090123875e-6);
    p = fma(p, r, 2.480149242846194e-5);
    p = fma(p, r, 0.00019841269522577787);
    p = fma(p, r, 0.0013888888944353609);
    p = fma(p, r, 0.008333333333487038);
    p = fma(p, r, 0.041666666666526957);
    p = fma(p, r, 0.16666666666666424);
    p = fma(p, r, 0.5000000000000011);
    p = fma(r * r, p, r) + 1.0;
    return scale_f64(p, n);
}

// `log₂ a` for `a` without a sign, within 2⁻³² of itself. For zero, infinity and NaN `high` alone is the result.
__device__ inline Sum<f32> log2_sum_f32(f32 a) {
    bool subnormal = a < 1.1754944e-38f;
    // 1 and root ½ differ by the constant, so that the exponent changes at √½.
    uint32_t w = to_bits(select(subnormal, a * 16777216.0f, a)) + 0x004afb0du;
    f32 m = from_bits((w & 0x007fffffu) + 0x3f3504f3u);
    f32 k = from_bits((w >> 23) | 0x4b000000u) - select(subnormal, 8388759.0f, 8388735.0f);

    // What m + 1 loses is m - (d - 1). The quotient s + s_low needs but a rough 1/d.
    f32 f = m - 1.0f;
    f32 d = m + 1.0f;
    f32 d_low = m - (d - 1.0f);
    f32 r = fma(fma(d, 0.11685679f, -0.7224202f), d, 1.4777328f);
    r = fma(fma(-d, r, 1.0f), r, r);
    f32 s = f * r;
    f32 s_low = fma(-s, d_low, fma(-s, d, f)) * r;

    f32 z = s * s;
    f32 z_low = fma(s + s, s_low, fma(s, s, -z));
    f32 q = fma(fma(z, 0.3324945f, 0.41206697f), z, 0.5770782f);
    f32 u = fma(z, 0.9617967f, 2.88539f);
    f32 u_low = fma(z * z, q, fma(z_low, 0.9617967f, fma(z, 0.9617967f, 2.88539f - u) + 3.851926e-8f));
    f32 h = s * u;
    f32 h_low = fma(s, u, -h) + fma(s, u_low, s_low * u);
    f32 t = k + h;
    f32 t_low = (k - t) + h + h_low;

    f32 infinity = from_bits(0x7f800000u);
    return { .high = select(a == 0.0f, -infinity, select(a < infinity, t, a)), .low = t_low };
}

// `log₂ a` for `a` without a sign, within 2⁻⁶⁵ of itself. For zero, infinity and NaN `high` alone is the result.
__device__ inline Sum<f64> log2_sum_f64(f64 a) {
    bool subnormal = a < 2.2250738585072014e-308;
    uint64_t w = to_bits(select(subnormal, a * 18014398509481984.0, a)) + 0x00095f619980c433u;
    f64 m = from_bits((w & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
    f64 k = from_bits((w >> 52) | 0x4330000000000000u)
        - select(subnormal, 4503599627371573.0, 4503599627371519.0);

    f64 f = m - 1.0;
    f64 d = m + 1.0;
    f64 d_low = m - (d - 1.0);
    f64 r = fma(fma(d, 0.11685679, -0.7224202), d, 1.4777328);
    r = fma(fma(-d, r, 1.0), r, r);
    r = fma(fma(-d, r, 1.0), r, r);
    r = fma(fma(-d, r, 1.0), r, r);
    f64 s = f * r;
    f64 s_low = fma(-s, d_low, fma(-s, d, f)) * r;

    f64 z = s * s;
    f64 z_low = fma(s + s, s_low, fma(s, s, -z));
    f64 q = fma(z, 0.17198410793261157, 0.16857025187880142);
    q = fma(q, z, 0.19239447370154444);
    q = fma(q, z, 0.22195247593678885);
    q = fma(q, z, 0.2623081952318348);
    q = fma(q, z, 0.32059889794389923);
    q = fma(q, z, 0.4121985831112072);
    q = fma(q, z, 0.5770780163555853);
    f64 v = fma(z, q, 0.9617966939259756);
    f64 v_low = fma(z_low, q, fma(z, q, 0.9617966939259756 - v) + 5.0577616648125907e-17);
    f64 u = fma(z, v, 2.8853900817779268);
    f64 u_low = fma(z, v, 2.8853900817779268 - u) + fma(z, v_low, fma(z_low, v, 4.0710547481862066e-17));
    f64 h = s * u;
    f64 h_low = fma(s, u, -h) + fma(s, u_low, s_low * u);
    f64 t = k + h;
    f64 t_low = (k - t) + h + h_low;

    f64 infinity = from_bits(0x7ff0000000000000u);
    return { .high = select(a == 0.0, -infinity, select(a < infinity, t, a)), .low = t_low };
}

__device__ inline f32 log2_f32(f32 x) {
    Sum<f32> l = log2_sum_f32(abs(x));
    return select(x < 0.0f, from_bits(0x7fc00000u), l.high + l.low);
}

__device__ inline f64 log2_f64(f64 x) {
    Sum<f64> l = log2_sum_f64(abs(x));
    return select(x < 0.0, from_bits(0x7ff8000000000000u), l.high + l.low);
}

__device__ inline f32 ln_f32(f32 x) {
    Sum<f32> l = log2_sum_f32(abs(x));
    f32 h = l.high * 0.6931472f;
    f32 sum = h + (fma(l.high, 0.6931472f, -h) + fma(l.high, -1.9046542e-9f, l.low * 0.6931472f));
    f32 finite = select(abs(h) < from_bits(0x7f800000u), sum, h);
    return select(x < 0.0f, from_bits(0x7fc00000u), finite);
}

__device__ inline f64 ln_f64(f64 x) {
    Sum<f64> l = log2_sum_f64(abs(x));
    f64 h = l.high * 0.6931471805599453;
    f64 sum = h
        + (fma(l.high, 0.6931471805599453, -h) + fma(l.high, 2.3190468138462996e-17, l.low * 0.6931471805599453));
    f64 finite = select(abs(h) < from_bits(0x7ff0000000000000u), sum, h);
    return select(x < 0.0, from_bits(0x7ff8000000000000u), finite);
}

__device__ inline f32 pow_f32(f32 x, f32 y) {
    f32 a = abs(x);
    Sum<f32> l = log2_sum_f32(a);
    // The exponent t + t_low. Beyond the bounds the result is an infinity or a zero all the same.
    f32 product = y * l.high;
    f32 t = select(product > 160.0f, 160.0f, select(product < -160.0f, -160.0f, product));
    f32 t_low = select(t == product, fma(y, l.low, fma(y, l.high, -product)), 0.0f);

    f32 n = t + 12582912.0f - 12582912.0f;
    f32 r = t - n + t_low;
    f32 p = fma(r, 0.00015243398f, 0.0013391473f);
    p = fma(p, r, 0.009618829f);
    p = fma(p, r, 0.055503584f);
    p = fma(p, r, 0.24022645f);
    p = fma(p, r, 0.6931472f);
    p = fma(p, r, 1.0f);
    f32 power = scale_f32(p, n);

    // |y| less its nearest multiple of 2: ±1 where y is odd, of a size between 0 and 1 where it is not whole.
    f32 b = abs(y);
    f32 rest = abs(fma(fma(b, 0.5f, 8388608.0f) - 8388608.0f, -2.0f, b));
    f32 infinity = from_bits(0x7f800000u);
    bool one = (y == 0.0f) | (x == 1.0f) | ((a == 1.0f) & (b == infinity));
    bool none = (x < 0.0f) & (a < infinity) & (rest > 0.0f) & (rest < 1.0f);
    f32 with_sign = from_bits(to_bits(power) | (to_bits(x) & 0x80000000u));
    return select(one, 1.0f, select(none, from_bits(0x7fc00000u), select(rest == 1.0f, with_sign, power)));
}

__device__ inline f64 pow_f64(f64 x, f64 y) {
    f64 a = abs(x);
    Sum<f64> l = log2_sum_f64(a);
    f64 product = y * l.high;
    f64 t = select(product > 1100.0, 1100.0, select(product < -1100.0, -1100.0, product));
    f64 t_low = select(t == product, fma(y, l.low, fma(y, l.high, -product)), 0.0);

    f64 n = t + 6755399441055744.0 - 6755399441055744.0;
    f64 r = t - n + t_low;
    f64 p = fma(r, 4.433773163007854e-10, 7.073769557246276e-9);
    p = fma(p, r, 1.0178206779894193e-7);
    p = fma(p, r, 1.3215435378758052e-6);
    p = fma(p, r, 1.5252733473527936e-5);
    p = fma(p, r, 0.00015403530456874293);
    p = fma(p, r, 0.0013333558146797519);
    p = fma(p, r, 0.009618129107594358);
    p = fma(p, r, 0.055504108664819966);
    p = fma(p, r, 0.2402265069591013);
    p = fma(p, r, 0.6931471805599453);
    p = fma(p, r, 1.0);
    f64 power = scale_f64(p, n);

    f64 b = abs(y);
    f64 rest = abs(fma(fma(b, 0.5, 4503599627370496.0) - 4503599627370496.0, -2.0, b));
    f64 infinity = from_bits(0x7ff0000000000000u);
    bool one = (y == 0.0) | (x == 1.0) | ((a == 1.0) & (b == infinity));
    bool none = (x < 0.0) & (a < infinity) & (rest > 0.0) & (rest < 1.0);
    f64 with_sign = from_bits(to_bits(power) | (to_bits(x) & 0x8000000000000000u));
    return select(one, 1.0, select(none, from_bits(0x7ff8000000000000u), select(rest == 1.0, with_sign, power)));
}

__device__ inline f32 tanh_f32(f32 x) {
    f32 a = abs(x);
    f32 z = a * a;
    f32 p = fma(z, 0.00015773623f, -0.000978972f);
    p = fma(p, z, 0.0032890064f);
    p = fma(p, z, -0.00875972f);
    p = fma(p, z, 0.021854399f);
    p = fma(p, z, -0.05396851f);
    p = fma(p, z, 0.13333356f);
    p = fma(p, z, -0.33333334f);
    f32 below = fma(a * z, p, a);
    f32 above = 1.0f - 2.0f / (exp_f32(a + a) + 1.0f);
    return from_bits(to_bits(select(a < 1.0f, below, above)) | (to_bits(x) & 0x80000000u));
}

__device__ inline f64 tanh_f64(f64 x) {
    f64 a = abs(x);
    f64 z = a * a;
    f64 p = fma(z, 2.5004239623599854e-8, -2.6205612863494487e-7);
    p = fma(p, z, 1.3744879799657173e-6);
    p = fma(p, z, -4.977248495204847e-6);
    p = fma(p, z, 1.4590470763754482e-5);
    p = fma(p, z, -3.8373247281215754e-5);
    p = fma(p, z, 9.645046987919622e-5);
    p = fma(p, z, -0.0002389503128268022);
    p = fma(p, z, 0.0005899766109768928);
    p = fma(p, z, -0.0014558239241259693);
    p = fma(p, z, 0.0035921265251471033);
    p = fma(p, z, -0.00886323538368804);
    p = fma(p, z, 0.021869488527337444);
    p = fma(p, z, -0.05396825396795878);
    p = fma(p, z, 0.13333333333332889);
    p = fma(p, z, -0.3333333333333333);
    f64 below = fma(a * z, p, a);
    f64 above = 1.0 - 2.0 / (exp_f64(a + a) + 1.0);
    return from_bits(to_bits(select(a < 0.55, below, above)) | (to_bits(x) & 0x8000000000000000u));
}

__device__ inline SinCos<f32> sincospi_f32(f32 x) {
    f32 infinity = from_bits(0x7f800000u);
    // From 2²⁴ on every number is even.
    f32 a = select(abs(x) < 16777216.0f, abs(x), select(abs(x) < infinity, 0.0f, from_bits(0x7fc00000u)));
    f32 b = fma(fma(a, 0.5f, 8388608.0f) - 8388608.0f, -2.0f, a);
    f32 quarter = fma(b, 2.0f, 12582912.0f);
    f32 r = fma(quarter - 12582912.0f, -0.5f, b);
    uint32_t q = to_bits(quarter);

    f32 z = r * r;
    f32 p = fma(z, 0.07787251f, -0.598861f);
    p = fma(p, z, 2.550152f);
    p = fma(p, z, -5.1677127f);
    f32 s = fma(r, 3.1415927f, fma(r * z, p, r * -8.742278e-8f));
    p = fma(z, 0.22684339f, -1.3345594f);
    p = fma(p, z, 4.0586925f);
    p = fma(p, z, -4.934802f);
    f32 c = fma(p, z, 1.0f);

    // q = 0: s, c; 1: c, -s; 2: -s, -c; 3: -c, s.
    bool odd = (q & 1) == 1;
    f32 sine = from_bits(to_bits(select(odd, c, s)) ^ ((q & 2) << 30) ^ (to_bits(x) & 0x80000000u));
    f32 cosine = from_bits(to_bits(select(odd, s, c)) ^ (((q + 1) & 2) << 30));
    // Zeros: those of the sine have the sign of x, those of the cosine none.
    return {
        .sin = select(sine == 0.0f, from_bits(to_bits(x) & 0x80000000u), sine),
        .cos = cosine + 0.0f,
    };
}

__device__ inline SinCos<f64> sincospi_f64(f64 x) {
    f64 infinity = from_bits(0x7ff0000000000000u);
    f64 a = select(abs(x) < 9007199254740992.0, abs(x), select(abs(x) < infinity, 0.0, from_bits(0x7ff8000000000000u)));
    f64 b = fma(fma(a, 0.5, 4503599627370496.0) - 4503599627370496.0, -2.0, a);
    f64 quarter = fma(b, 2.0, 6755399441055744.0);
    f64 r = fma(quarter - 6755399441055744.0, -0.5, b);
    uint64_t q = to_bits(quarter);

    f64 z = r * r;
    f64 p = fma(z, -2.2946662039941955e-5, 0.00046653257948195767);
    p = fma(p, z, -0.007370449421467489);
    p = fma(p, z, 0.0821458873136625);
    p = fma(p, z, -0.599264529333701);
    p = fma(p, z, 2.5501640398774468);
    p = fma(p, z, -5.16771278004997);
    f64 s = fma(r, 3.141592653589793, fma(r * z, p, r * 1.2246467991473532e-16));
    p = fma(z, -0.00010369678901218643, 0.0019294930725603828);
    p = fma(p, z, -0.025806887903998006);
    p = fma(p, z, 0.2353306302818239);
    p = fma(p, z, -1.335262768853769);
    p = fma(p, z, 4.058712126416765);
    p = fma(p, z, -4.934802200544679);
    f64 c = fma(p, z, 1.0);

    bool odd = (q & 1) == 1;
    f64 sine = from_bits(to_bits(select(odd, c, s)) ^ ((q & 2) << 62) ^ (to_bits(x) & 0x8000000000000000u));
    f64 cosine = from_bits(to_bits(select(odd, s, c)) ^ (((q + 1) & 2) << 62));
    return {
        .sin = select(sine == 0.0, from_bits(to_bits(x) & 0x8000000000000000u), sine),
        .cos = cosine + 0.0,
    };
}

__device__ inline f32 exp(f32 x) { return exp_f32(x); }
__device__ inline f64 exp(f64 x) { return exp_f64(x); }
__device__ inline f32 ln(f32 x) { return ln_f32(x); }
__device__ inline f64 ln(f64 x) { return ln_f64(x); }
__device__ inline f32 log2(f32 x) { return log2_f32(x); }
__device__ inline f64 log2(f64 x) { return log2_f64(x); }
__device__ inline f32 pow(f32 x, f32 y) { return pow_f32(x, y); }
__device__ inline f64 pow(f64 x, f64 y) { return pow_f64(x, y); }
__device__ inline f32 tanh(f32 x) { return tanh_f32(x); }
__device__ inline f64 tanh(f64 x) { return tanh_f64(x); }
__device__ inline SinCos<f32> sincospi(f32 x) { return sincospi_f32(x); }
__device__ inline SinCos<f64> sincospi(f64 x) { return sincospi_f64(x); }

}  // namespace fmath
