// Integer weights plus sums of quantised noises, and votes of these. Twin of src/cpu/es/lattice.rs.
//
//   to = from + sum m_j q_j modulo 2^bits, or
//   to = from + sign(z) where |z| is at least a threshold, z = sum m_j q_j, unless it is at a limit,
//
// where q_j = scale_j e_j is rounded to the nearest integer, ties to even, and bounded by `most`, the greatest weight. The type of
// the weights matters where they are loaded and stored: a kernel serves all.
#pragma once
#include "es/quantised.cuh"
#include "es/sums.cuh"

struct alignas(8) LatticeTerm {
    uint64_t seed;
    uint32_t field, step;  // as of Term
    float scale;
    int32_t multiplier;
};

struct FewOfLattice {
    LatticeTerm term[FEW];
};

static_assert(sizeof(LatticeTerm) == 24);

constexpr int N = 8;  // weights of a pack

// A pack of weights of 1 << shift bytes each, as it lies in memory.
struct Weights {
    uint32_t word[N];

    __device__ void load(const uint32_t* from, uint32_t shift) {
        if (shift == 0) {
            set<0>(::load<2>(from));
        } else {
            set<0>(::load<4>(from));
            if (shift == 2) {
                set<4>(::load<4>(from + 4));
            }
        }
    }

    template <int FIRST, int WORDS> __device__ void set(const Pack<uint32_t, WORDS>& pack) {
        #pragma unroll
        for (int i = 0; i < WORDS; i++) {
            word[FIRST + i] = pack.element[i];
        }
    }

    __device__ void store(uint32_t* to, uint32_t shift) const {
        if (shift == 0) {
            ::store<2>(to, {word[0], word[1]});
        } else {
            ::store<4>(to, {word[0], word[1], word[2], word[3]});
            if (shift == 2) {
                ::store<4>(to + 4, {word[4], word[5], word[6], word[7]});
            }
        }
    }

    __device__ void widen_to(int32_t (&x)[N], uint32_t shift) const {
        #pragma unroll
        for (int i = 0; i < N; i++) {
            const int32_t byte = int32_t(word[i / 4] << (24 - 8 * (i % 4))) >> 24;
            const int32_t half = int32_t(word[i / 2] << (16 - 16 * (i % 2))) >> 16;
            x[i] = shift == 0 ? byte : shift == 1 ? half : int32_t(word[i]);
        }
    }

    __device__ void narrow(const uint32_t (&x)[N], uint32_t shift) {
        #pragma unroll
        for (int i = 0; i < N; i++) {
            word[i] = x[i];
        }
        if (shift < 2) {
            #pragma unroll
            for (int i = 0; i < N / 2; i++) {
                word[i] = __byte_perm(x[2 * i], x[2 * i + 1], 0x5410);
            }
        }
        if (shift == 0) {
            #pragma unroll
            for (int i = 0; i < N / 4; i++) {
                word[i] = __byte_perm(word[2 * i], word[2 * i + 1], 0x6420);
            }
        }
    }
};

// The sums of two packs, weight by weight and modulo 2^bits: no carry leaves a weight, whose top bit is added without one.
__device__ void add(Weights& weights, const Weights& other, uint32_t shift) {
    const uint32_t tops = shift == 0 ? 0x80808080 : shift == 1 ? 0x80008000 : 0x80000000;
    const auto add_words = [&](int begin, int end) {
        #pragma unroll
        for (int i = begin; i < end; i++) {
            const uint32_t a = weights.word[i], b = other.word[i];
            weights.word[i] = (a & ~tops) + (b & ~tops) ^ (a ^ b) & tops;
        }
    };
    add_words(0, 2);
    if (shift > 0) {
        add_words(2, 4);
    }
    if (shift > 1) {
        add_words(4, 8);
    }
}

// Adds a term's multiples modulo 2^32.
template <class Of, int MANY>
__device__ void add(const OfWords<Of, MANY>& draws, const LatticeTerm& term, const Address& address, uint32_t, uint64_t first,
                    int32_t most, uint32_t (&z)[N]) {
    draws.template each<float, N>(address, first, 0, [&](int i, float number) {
        z[i] += term.multiplier * uint32_t(quantised(term.scale, number, most));
    });
}

__device__ void add(const Signs& draws, const LatticeTerm& term, const Address&, uint32_t place, uint64_t, int32_t most,
                    uint32_t (&z)[N]) {
    const uint32_t bits = draws.bits<N>(place, 0);
    const uint32_t a = term.multiplier * uint32_t(quantised(term.scale, 1.0f, most));
    #pragma unroll
    for (int i = 0; i < N; i++) {
        z[i] += bits >> i & 1 ? -a : a;
    }
}

template <class I> __device__ void move_one(uint64_t from, uint64_t to, uint32_t z, int32_t threshold, int32_t limit) {
    const int32_t x = load<1>(reinterpret_cast<const I*>(from)).element[0];
    store<1>(reinterpret_cast<I*>(to), {I(threshold == 0 ? x + z : voted(x, z, threshold, limit))});
}

template <class Draws>
__device__ void lattice(
    const Chunk* chunks, const Summed* tensors, const LatticeTerm* terms, uint32_t count, uint32_t shift, int32_t threshold,
    int32_t limit
) {
    constexpr uint32_t SPAN = N * THREADS;

    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    Draws draws;
    draws.begin();
    const Summed tensor = tensors[chunk.tensor];
    const uint64_t from = tensor.other + (chunk.start << shift), to = tensor.to + (chunk.start << shift);
    const uint64_t element = tensor.first + chunk.start;
    const int32_t most = int32_t((1u << ((8u << shift) - 1)) - 1);
    const auto address_of = [&](uint32_t j) {
        return Address{{terms[j].field, tensor.id, terms[j].step}, terms[j].seed};
    };

    // Weights before the first whole pack, and those of whole packs.
    uint32_t before = chunk.length, packed = 0;
    if (tensor.flags & PACKED<N>) {
        before = min(chunk.length, uint32_t(-(to >> shift)) % N);
        packed = (chunk.length - before) / N * N;
    }

    #pragma unroll 1
    for (uint32_t begin = before; begin < before + packed; begin += SPAN) {
        const uint32_t mine = begin + threadIdx.x * N;
        const bool has = mine < before + packed;
        const uint64_t behind = uint64_t(mine) << shift;
        Weights weights = {};
        uint32_t z[N] = {};
        if (has) {
            weights.load(reinterpret_cast<const uint32_t*>(from + behind), shift);
        }
        #pragma unroll 1
        for (uint32_t j = 0; j < count; j += Draws::TERMS) {
            const uint32_t here = Draws::TERMS == 1 ? 1 : min(count - j, Draws::TERMS);
            draws.prepare(here, element + begin, SPAN, [&](uint32_t i) { return address_of(j + i); });
            #pragma unroll 1
            for (uint32_t i = 0; i < here; i++) {
                add(draws, terms[j + i], address_of(j + i), i, element + mine, most, z);
            }
        }
        if (threshold == 0) {
            Weights sums;
            sums.narrow(z, shift);
            add(weights, sums, shift);
        } else {
            int32_t x[N];
            weights.widen_to(x, shift);
            #pragma unroll
            for (int i = 0; i < N; i++) {
                z[i] = voted(x[i], z[i], threshold, limit);
            }
            weights.narrow(z, shift);
        }
        if (has) {
            weights.store(reinterpret_cast<uint32_t*>(to + behind), shift);
        }
    }

    #pragma unroll 1
    for (uint32_t i = threadIdx.x; i < chunk.length - packed; i += THREADS) {
        const uint64_t at = i < before ? i : i + packed;
        uint32_t z = 0;
        #pragma unroll 1
        for (uint32_t j = 0; j < count; j++) {
            const float number = draws.element(address_of(j), element + at);
            z += terms[j].multiplier * uint32_t(quantised(terms[j].scale, number, most));
        }
        const uint64_t read = from + (at << shift), written = to + (at << shift);
        if (shift == 0) {
            move_one<int8_t>(read, written, z, threshold, limit);
        } else if (shift == 1) {
            move_one<int16_t>(read, written, z, threshold, limit);
        } else {
            move_one<int32_t>(read, written, z, threshold, limit);
        }
    }
}
