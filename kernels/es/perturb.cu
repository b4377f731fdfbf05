// Parameters plus a sum of noises that are drawn where they are added: to = from + sum a_j e_j. Twin of src/cpu/es/perturb.rs.
#include "core/pack.cuh"
#include "core/raw.cuh"
#include "es/draws.cuh"

// One noise of the sum.
template <class Real> struct alignas(8) Term {
    uint64_t seed;
    uint32_t field, step;  // counter words 1, of element 0, and 3
    Real coefficient;
};

constexpr uint32_t FEW = 8;

extern "C" __device__ const uint32_t perturb_layout[3] = {CHUNK, THREADS, FEW};

// Terms that travel with the launch.
template <class Real> struct Few {
    Term<Real> term[FEW];
};

static_assert(sizeof(Term<f32>) == 24 && sizeof(Term<f64>) == 24);

// Flags: packs of N elements begin together in both arrays and in the noise.
template <int N> constexpr uint32_t PACKED = N == 4 ? 1 : 2;

struct Perturbed {
    uint64_t from, to;  // device addresses
    uint64_t first;     // the place of element 0 in the tensor `id` that this is a shard of
    uint32_t id, flags;
};

struct ToNearest {
    template <class Q> __device__ static Q round(RealOf<Q> x, uint32_t) { return narrow<Q>(x); }
};

// Up or down by chance, so that the expected value is x: 16 random bits decide.
struct Stochastic {
    template <class Q> __device__ static Q round(f32 x, uint32_t random) {
        static_assert(sizeof(Q) == 2 && std::is_same_v<Q, bf16>);
        const uint32_t bits = __float_as_uint(x);
        const bool is_finite = (bits & 0x7f800000) != 0x7f800000;
        return is_finite ? bf16{uint16_t(bits + (random & 0xffff) >> 16)} : narrow<bf16>(x);
    }
};

// The random bits by which elements are rounded: half a word each, eight elements a counter.
template <class Rounding> struct Dice {
    Address address;

    // Those of eight neighbours, which begin with a counter.
    __device__ Words pack(uint64_t first) const {
        if constexpr (std::is_same_v<Rounding, Stochastic>) {
            return address.words(first / 8);
        }
        return {};
    }

    static __device__ uint32_t of(const Words& words, uint32_t element) {
        const uint32_t low = element & 2 ? words.word[1] : words.word[0];
        const uint32_t high = element & 2 ? words.word[3] : words.word[2];
        return (element & 4 ? high : low) >> 16 * (element % 2);
    }
};

// Elements of a pack: 16 bytes of the wider type, and at least those of a counter.
template <class P, class Q, class Rounding>
constexpr int PACK = std::is_same_v<Rounding, Stochastic> || sizeof(P) == 2 && sizeof(Q) == 2 ? 8 : 4;

template <class Draws, class P, class Q, class Rounding>
__device__ void perturb(
    const Chunk* chunks, const Perturbed* tensors, const Term<RealOf<P>>* terms, uint32_t count,
    uint64_t rounding_seed, uint32_t rounding_step
) {
    using Real = RealOf<P>;
    constexpr int N = PACK<P, Q, Rounding>;
    // What is rounded by chance takes registers for the words of each pack.
    constexpr int MOST = Draws::template PER_THREAD<Real> / N;
    constexpr int PACKS = std::is_same_v<Rounding, Stochastic> && MOST > 1 ? MOST / 2 : MOST;
    constexpr uint32_t SPAN = PACKS * N * THREADS;

    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    Draws draws;
    draws.begin();
    const Perturbed tensor = tensors[chunk.tensor];
    const P* const from = reinterpret_cast<const P*>(tensor.from) + chunk.start;
    Q* const to = reinterpret_cast<Q*>(tensor.to) + chunk.start;
    const uint64_t element = tensor.first + chunk.start;
    const Dice<Rounding> dice = {{{0, tensor.id, rounding_step}, rounding_seed}};
    const auto address_of = [&](uint32_t j) {
        return Address{{terms[j].field, tensor.id, terms[j].step}, terms[j].seed};
    };

    // Elements before the first whole pack, and those of whole packs.
    uint32_t before = chunk.length, packed = 0;
    if (tensor.flags & PACKED<N>) {
        before = min(chunk.length, uint32_t(-(reinterpret_cast<uint64_t>(to) / sizeof(Q))) % N);
        packed = (chunk.length - before) / N * N;
    }

    #pragma unroll 1
    for (uint32_t begin = before; begin < before + packed; begin += SPAN) {
        const uint32_t mine = begin + threadIdx.x * N;
        Raw<P, N> raw[PACKS];
        Real x[PACKS][N];
        bool has[PACKS];
        #pragma unroll
        for (int k = 0; k < PACKS; k++) {
            has[k] = mine + k * THREADS * N < before + packed;
            raw[k].load(from + mine + k * THREADS * N, has[k]);
        }
        #pragma unroll
        for (int k = 0; k < PACKS; k++) {
            raw[k].widen_to(x[k]);
        }
        #pragma unroll 1
        for (uint32_t j = 0; j < count; j += Draws::TERMS) {
            const uint32_t here = Draws::TERMS == 1 ? 1 : min(count - j, Draws::TERMS);
            draws.prepare(here, element + begin, SPAN, [&](uint32_t i) { return address_of(j + i); });
            #pragma unroll 1
            for (uint32_t i = 0; i < here; i++) {
                const Address address = address_of(j + i);
                const Real a = terms[j + i].coefficient;
                #pragma unroll
                for (int k = 0; k < PACKS; k++) {
                    draws.add(a, address, i, element + mine, k * THREADS * N, x[k]);
                }
            }
        }
        Q* const stored = to + mine;
        #pragma unroll
        for (int k = 0; k < PACKS; k++) {
            const Words words = dice.pack(element + mine + k * THREADS * N);
            Pack<Q, N> rounded;
            #pragma unroll
            for (int i = 0; i < N; i++) {
                rounded.element[i] = Rounding::template round<Q>(x[k][i], Dice<Rounding>::of(words, i));
            }
            if (has[k]) {
                store<N>(stored + k * THREADS * N, rounded);
            }
        }
    }

    for (uint32_t i = threadIdx.x; i < chunk.length - packed; i += THREADS) {
        const uint32_t at = i < before ? i : i + packed;
        Real x = widen(from[at]);
        #pragma unroll 1
        for (uint32_t j = 0; j < count; j++) {
            x = fma(terms[j].coefficient, Real(draws.element(address_of(j), element + at)), x);
        }
        to[at] = Rounding::template round<Q>(x, dice.of(dice.pack(element + at), (element + at) % 8));
    }
}

#define PERTURB_AS(NAME, Draws, P, Q, Rounding)                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(                                                               \
        const Chunk* chunks, const Perturbed* tensors, const Term<RealOf<P>>* terms, uint32_t count,                          \
        const __grid_constant__ Few<RealOf<P>> few, uint64_t rounding_seed, uint32_t rounding_step                            \
    ) {                                                                                                                       \
        perturb<Draws, P, Q, Rounding>(                                                                                       \
            chunks, tensors, terms != nullptr ? terms : few.term, count, rounding_seed, rounding_step);                       \
    }

#define PERTURB(name, Draws)                                                                                                  \
    PERTURB_AS(perturb_##name##_f64_f64, Draws, f64, f64, ToNearest)                                                          \
    PERTURB_AS(perturb_##name##_f32_f32, Draws, f32, f32, ToNearest)                                                          \
    PERTURB_AS(perturb_##name##_f32_bf16, Draws, f32, bf16, ToNearest)                                                        \
    PERTURB_AS(perturb_##name##_f32_f16, Draws, f32, f16, ToNearest)                                                          \
    PERTURB_AS(perturb_##name##_bf16_bf16, Draws, bf16, bf16, ToNearest)                                                      \
    PERTURB_AS(perturb_##name##_f16_f16, Draws, f16, f16, ToNearest)                                                          \
    PERTURB_AS(perturb_##name##_stochastic_f32_bf16, Draws, f32, bf16, Stochastic)                                            \
    PERTURB_AS(perturb_##name##_stochastic_bf16_bf16, Draws, bf16, bf16, Stochastic)

PERTURB(normal, Normals)
PERTURB(rademacher, Signs)
PERTURB(uniform, Uniforms)
