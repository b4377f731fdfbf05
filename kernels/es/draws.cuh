// The distributions of noise, as kernels that go through packs of neighbouring elements add them up. Twin of
// src/rng/distribution.rs and src/rng/batch.rs.
//
// A block goes through spans of THREADS * PER_THREAD<Real> elements, each thread through packs of N neighbours, the packs of all
// threads side by side. A distribution has
//   `begin`, which all threads call once, together, or `begin_in` with shared memory of ROOM bytes;
//   `prepare`, which they call together before they add noises of `count` addresses, at most TERMS, to a span of `elements`
//   elements, the first of them `first`;
//   `add`, which adds `a` times the noise of the `term`th of these to a pack that begins `behind` elements behind the thread's
//   first element of the span, `first`, which N divides;
//   `add_squares`, which does that and adds `b` times the noise's squares to another pack;
//   `element`, the number of an element alone, for which nothing is prepared.
#pragma once
#include "core/chunk.cuh"
#include "core/normal.cuh"

// Numbers that are functions of a word each: four elements a counter.
template <class OfWord, int MANY> class OfWords {
    OfWord of;

  public:
    static constexpr uint32_t TERMS = 1, ROOM = OfWord::ROOM;
    template <class Real> static constexpr int PER_THREAD = MANY;

    __device__ void begin() { of.begin(); }
    __device__ void begin_in(void* room, bool is_new) { of.begin_in(room, is_new); }

    template <class AddressOf> __device__ void prepare(uint32_t, uint64_t, uint32_t, AddressOf) {}

    // Gives each element of the pack and its number to `then`.
    template <class Real, int N, class Then>
    __device__ void each(const Address& address, uint64_t first, uint32_t behind, Then then) const {
        const uint64_t block = first / 4 + behind / 4;
        #pragma unroll
        for (int i = 0; i < N; i += 4) {
            // Added, it could carry into the high word.
            const Words words = address.words(block | i / 4);
            #pragma unroll
            for (int k = 0; k < 4; k++) {
                then(i + k, Real(of(words.word[k])));
            }
        }
    }

    template <class Real, int N>
    __device__ void add(Real a, const Address& address, uint32_t, uint64_t first, uint32_t behind, Real (&x)[N]) const {
        each<Real, N>(address, first, behind, [&](int i, Real number) { x[i] = fma(a, number, x[i]); });
    }

    template <class Real, int N>
    __device__ void add_squares(Real a, Real b, const Address& address, uint32_t, uint64_t first, uint32_t behind,
                                Real (&x)[N], Real (&squares)[N]) const {
        each<Real, N>(address, first, behind, [&](int i, Real number) {
            x[i] = fma(a, number, x[i]);
            squares[i] = fma(b, number * number, squares[i]);
        });
    }

    __device__ float element(const Address& address, uint64_t element) const { return of(address.word(element)); }
};

// Uniform with variance 1: between -sqrt(3) and sqrt(3).
struct Uniform {
    static constexpr uint32_t ROOM = 0;

    __device__ void begin() {}
    __device__ void begin_in(void*, bool) {}

    __device__ float operator()(uint32_t word) const {
        constexpr float SCALE = 0x1.bb67aep-31f;  // sqrt(3) / 2^31
        return float(int32_t(word | 1)) * SCALE;
    }
};

using Normals = OfWords<Normal, 16>;
using Uniforms = OfWords<Uniform, 8>;

// In counter word 1 of a term whose noise is a row of signs, where no counter of signs has a bit: twin of ROW in
// src/rng/distribution.rs.
constexpr uint32_t IS_ROW = 32;
constexpr uint32_t PAIR_SHIFT = 12;

// Takes the row out of an address: what is left is that of the first pair of its group. Row 0 turns no sign; row r turns that of
// column c where the number of bits that r and c share is odd.
__device__ inline uint32_t take_row(Address& address) {
    const uint32_t row = address.field[0] & IS_ROW ? address.field[0] >> PAIR_SHIFT & 127 : 0;
    address.field[0] -= address.field[0] & IS_ROW | row << PAIR_SHIFT;
    return row;
}

// 1 or -1: a bit an element, 128 elements a counter, of Rademacher noise or of rows. Its words serve many threads, so that a warp
// draws what the block needs of an address and leaves it in shared memory.
class Signs {
    static constexpr uint32_t ELEMENTS = 128;                      // of a counter
    static constexpr uint32_t ROW = 32 * THREADS / ELEMENTS + 1;  // a span may begin inside a counter

    uint4* drawn;   // [TERMS][ROW]
    uint32_t skip;  // elements of the first counter that are before the span

    // `a` with its sign changed where bit `at` is set.
    static __device__ float turned(float a, uint32_t bits, uint32_t at) {
        return __uint_as_float(__float_as_uint(a) ^ (bits << (31 - at) & 0x80000000));
    }

    static __device__ double turned(double a, uint32_t bits, uint32_t at) {
        return __hiloint2double(__double2hiint(a) ^ (bits << (31 - at) & 0x80000000), __double2loint(a));
    }

  public:
    static constexpr uint32_t TERMS = THREADS / 32, ROOM = sizeof(uint4) * TERMS * ROW;
    template <class Real> static constexpr int PER_THREAD = 128 / sizeof(Real);

    __device__ void begin() {
        __shared__ uint4 room[TERMS][ROW];
        drawn = room[0];
    }

    __device__ void begin_in(void* room, bool) { drawn = static_cast<uint4*>(room); }

    template <class AddressOf>
    __device__ void prepare(uint32_t count, uint64_t first, uint32_t elements, AddressOf address_of) {
        const uint32_t term = threadIdx.x / 32;
        skip = first % ELEMENTS;
        const uint32_t counters = (skip + elements + ELEMENTS - 1) / ELEMENTS;
        __syncthreads();
        if (term < count) {
            Address address = address_of(term);
            const uint32_t row = take_row(address);
            #pragma unroll 1
            for (uint32_t i = threadIdx.x % 32; i < counters; i += 32) {
                const Words words = address.words(first / ELEMENTS + i);
                // Columns 0 to 31, a term for each bit of their numbers; the next 32 have bit 5, those behind them bit 6.
                uint32_t turned = row & 1 ? 0xaaaaaaaa : 0;
                turned ^= row & 2 ? 0xcccccccc : 0;
                turned ^= row & 4 ? 0xf0f0f0f0 : 0;
                turned ^= row & 8 ? 0xff00ff00 : 0;
                turned ^= row & 16 ? 0xffff0000 : 0;
                const uint32_t high = row & 64 ? ~turned : turned;
                drawn[term * ROW + i] = {
                    words.word[0] ^ turned, words.word[1] ^ (row & 32 ? ~turned : turned),
                    words.word[2] ^ high, words.word[3] ^ (row & 32 ? ~high : high),
                };
            }
        }
        __syncthreads();
    }

    // Those of a pack, the first one lowest, a set bit for -1.
    template <int N> __device__ uint32_t bits(uint32_t term, uint32_t behind) const {
        static_assert(N == 4 || N == 8);
        // All are in one byte: N divides its place.
        const uint32_t bit = skip + threadIdx.x * N;
        const uint32_t byte = reinterpret_cast<const uint8_t*>(drawn + term * ROW)[bit / 8 + behind / 8];
        return N == 8 ? byte : byte >> (bit & 4);
    }

    template <class Real, int N>
    __device__ void add(Real a, const Address&, uint32_t term, uint64_t, uint32_t behind, Real (&x)[N]) const {
        const uint32_t bits = this->bits<N>(term, behind);
        #pragma unroll
        for (int i = 0; i < N; i++) {
            x[i] = x[i] + turned(a, bits, i);
        }
    }

    template <class Real, int N>
    __device__ void add_squares(Real a, Real b, const Address& address, uint32_t term, uint64_t first, uint32_t behind,
                                Real (&x)[N], Real (&squares)[N]) const {
        add(a, address, term, first, behind, x);
        #pragma unroll
        for (int i = 0; i < N; i++) {
            squares[i] = squares[i] + b;
        }
    }

    __device__ float element(Address address, uint64_t element) const {
        const uint32_t row = take_row(address);
        const Words words = address.words(element / ELEMENTS);
        const uint32_t low = element & 32 ? words.word[1] : words.word[0];
        const uint32_t high = element & 32 ? words.word[3] : words.word[2];
        const float sign = __popc(row & uint32_t(element)) & 1 ? -1.0f : 1.0f;
        return turned(sign, element & 64 ? high : low, element % 32);
    }
};
