// Sums of noises that are drawn where they are added, for every tensor of a model in one launch. Twin of src/cpu/es/sums.rs.
//
//   perturb: to = from + sum a_j e_j, rounded to the type of `to`; of a population, another sum in every row of `to`
//   estimate: to = sum a_j e_j, and, in a launch of its own kind, squares = sum b_j e_j^2
//   search: neither sum is written, but what is made of both
#pragma once
#include "core/pack.cuh"
#include "core/raw.cuh"
#include "es/draws.cuh"
#include "es/term.cuh"

// Flags: packs of N elements begin together in both arrays and in the noise.
template <int N> constexpr uint32_t PACKED = N == 4 ? 1 : 2;

struct Summed {
    uint64_t other, to;  // device addresses, the first of what is perturbed or of the sum of squares
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

// What becomes of the sum.
enum class Sum {
    ADDED,    // to `other`, the parameters: `to` may be the same memory
    ALONE,    // there is no `other`
    SQUARES,  // `other` is written, as the sum of the squares
    FINISHED, // neither sum is written: `finish` makes new elements of `to` and `other` of both
};

// What finishes sums that are written.
struct Nothing {};

// Elements of a pack: 16 bytes of the wider type, and at least those of a counter.
template <class P, class Q, class Rounding>
constexpr int PACK = std::is_same_v<Rounding, Stochastic> || sizeof(P) == 2 && sizeof(Q) == 2 ? 8 : 4;

template <Sum SUM, class Draws, class P, class Q, class Rounding, class Finish = Nothing>
__device__ void sum(
    const Chunk* chunks, const Summed* tensors, const Term<RealOf<P>>* terms, uint32_t count,
    uint64_t rounding_seed, uint32_t rounding_step, const uint32_t* members, const Finish& finish = {}
) {
    using Real = RealOf<P>;
    constexpr int N = PACK<P, Q, Rounding>;
    // What is rounded by chance takes registers for the words of each pack, squares for their sums.
    constexpr bool HAS_SQUARES = SUM == Sum::SQUARES || SUM == Sum::FINISHED;
    constexpr bool IS_WIDE = std::is_same_v<Rounding, Stochastic> || HAS_SQUARES;
    constexpr int MOST = Draws::template PER_THREAD<Real> / N;
    constexpr int PACKS = SUM == Sum::FINISHED ? 1 : IS_WIDE && MOST > 1 ? MOST / 2 : MOST;
    constexpr uint32_t SPAN = PACKS * N * THREADS;

    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    Draws draws;
    draws.begin();
    const Summed tensor = tensors[chunk.tensor];
    P* const other = reinterpret_cast<P*>(tensor.other) + chunk.start;
    Q* const to = reinterpret_cast<Q*>(tensor.to) + chunk.start;
    if constexpr (SUM == Sum::ADDED) {
        if (members != nullptr) {
            // Every member has `count` tensors, and terms of its own.
            const uint32_t member = chunk.tensor / count;
            terms += members[member];
            count = members[member + 1] - members[member];
        }
    }
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
        Pack<Real, N> squares[PACKS];
        bool has[PACKS];
        #pragma unroll
        for (int k = 0; k < PACKS; k++) {
            has[k] = mine + k * THREADS * N < before + packed;
            if constexpr (SUM == Sum::ADDED) {
                raw[k].load(other + mine + k * THREADS * N, has[k]);
            }
        }
        #pragma unroll
        for (int k = 0; k < PACKS; k++) {
            if constexpr (SUM == Sum::ADDED) {
                raw[k].widen_to(x[k]);
            } else {
                #pragma unroll
                for (int i = 0; i < N; i++) {
                    x[k][i] = squares[k].element[i] = Real(0);
                }
            }
        }
        #pragma unroll 1
        for (uint32_t j = 0; j < count; j += Draws::TERMS) {
            const uint32_t here = Draws::TERMS == 1 ? 1 : min(count - j, Draws::TERMS);
            draws.prepare(here, element + begin, SPAN, [&](uint32_t i) { return address_of(j + i); });
            #pragma unroll 1
            for (uint32_t i = 0; i < here; i++) {
                const Address address = address_of(j + i);
                const Real a = terms[j + i].coefficient, b = terms[j + i].of_square;
                #pragma unroll
                for (int k = 0; k < PACKS; k++) {
                    if constexpr (HAS_SQUARES) {
                        draws.add_squares(a, b, address, i, element + mine, k * THREADS * N, x[k], squares[k].element);
                    } else {
                        draws.add(a, address, i, element + mine, k * THREADS * N, x[k]);
                    }
                }
            }
        }
        Q* const stored = to + mine;
        P* const beside = other + mine;
        #pragma unroll
        for (int k = 0; k < PACKS; k++) {
            if constexpr (SUM == Sum::FINISHED) {
                if (has[k]) {
                    Pack<Q, N> old = load<N>(stored + k * THREADS * N);
                    Pack<P, N> old_beside = load<N>(beside + k * THREADS * N);
                    #pragma unroll
                    for (int i = 0; i < N; i++) {
                        finish(x[k][i], squares[k].element[i], old.element[i], old_beside.element[i]);
                    }
                    store<N>(stored + k * THREADS * N, old);
                    store<N>(beside + k * THREADS * N, old_beside);
                }
                continue;
            }
            const Words words = dice.pack(element + mine + k * THREADS * N);
            Pack<Q, N> rounded;
            #pragma unroll
            for (int i = 0; i < N; i++) {
                rounded.element[i] = Rounding::template round<Q>(x[k][i], Dice<Rounding>::of(words, i));
            }
            if (has[k]) {
                store<N>(stored + k * THREADS * N, rounded);
                if constexpr (SUM == Sum::SQUARES) {
                    store<N>(beside + k * THREADS * N, squares[k]);
                }
            }
        }
    }

    for (uint32_t i = threadIdx.x; i < chunk.length - packed; i += THREADS) {
        const uint32_t at = i < before ? i : i + packed;
        Real x = Real(0), squares = x;
        if constexpr (SUM == Sum::ADDED) {
            x = widen(other[at]);
        }
        #pragma unroll 1
        for (uint32_t j = 0; j < count; j++) {
            const Real number = draws.element(address_of(j), element + at);
            x = fma(terms[j].coefficient, number, x);
            squares = fma(terms[j].of_square, number * number, squares);
        }
        if constexpr (SUM == Sum::FINISHED) {
            finish(x, squares, to[at], other[at]);
            continue;
        }
        if constexpr (SUM == Sum::SQUARES) {
            other[at] = squares;
        }
        to[at] = Rounding::template round<Q>(x, dice.of(dice.pack(element + at), (element + at) % 8));
    }
}

// A kernel of this name with these bounds of a launch: the threads of a block, and the blocks that a multiprocessor holds at
// least, where ptxas would otherwise stop at too few registers.
#define SUM_AS(NAME, BOUNDS, SUM, Draws, P, Q, Rounding)                                                                      \
    extern "C" __global__ void __launch_bounds__ BOUNDS NAME(                                                                 \
        const Chunk* chunks, const Summed* tensors, const Term<RealOf<P>>* terms, uint32_t count,                             \
        const __grid_constant__ Few<RealOf<P>> few, uint64_t rounding_seed, uint32_t rounding_step, const uint32_t* members   \
    ) {                                                                                                                       \
        sum<SUM, Draws, P, Q, Rounding>(                                                                                      \
            chunks, tensors, terms != nullptr ? terms : few.term, count, rounding_seed, rounding_step, members);              \
    }
