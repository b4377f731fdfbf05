// Random words that are functions of an address: philox4x32-10 of its counter, under a seed's key. Twins of
// src/rng/philox.rs and src/rng/address.rs.
#pragma once
#include <cstdint>

constexpr uint32_t MULTIPLIER0 = 0xd2511f53, MULTIPLIER1 = 0xcd9e8d57;
constexpr uint32_t WEYL0 = 0x9e3779b9, WEYL1 = 0xbb67ae85;
constexpr int ROUNDS = 10;

struct Words {
    uint32_t word[4];
};

struct Product { uint32_t low, high; };

// Taken apart as a product of 64 bits, its high word would be carried through additions of nothing.
__device__ inline Product multiply(uint32_t a, uint32_t b) {
    Product product;
    asm("{\n\t.reg .b64 whole;\n\tmul.wide.u32 whole, %2, %3;\n\tmov.b64 {%0, %1}, whole;\n\t}"
        : "=r"(product.low), "=r"(product.high) : "r"(a), "r"(b));
    return product;
}

__device__ inline Words philox4x32(Words counter, uint64_t seed) {
    Words words = counter;
    uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        if (round > 0) {
            key0 += WEYL0;
            key1 += WEYL1;
        }
        const Product first = multiply(MULTIPLIER0, words.word[0]), second = multiply(MULTIPLIER1, words.word[2]);
        words = {{second.high ^ words.word[1] ^ key0, second.low, first.high ^ words.word[3] ^ key1, first.low}};
    }
    return words;
}

// What numbers are drawn for.
constexpr uint32_t PURPOSE_SHIFT = 6;
constexpr uint32_t GRADIENT_NOISE = 2;

// Where a tensor's random numbers stand: counter words 1 to 3 of its block 0, and the seed.
struct Address {
    uint32_t field[3];
    uint64_t seed;

    // The words of elements 4 * block to 4 * block + 3.
    __device__ Words words(uint64_t block) const {
        return philox4x32({{uint32_t(block), uint32_t(block >> 32) | field[0], field[1], field[2]}}, seed);
    }

    // The words of N elements from `first` on, N at most 4; of one counter, unless they begin in the middle of it.
    template <int N> __device__ Words run(uint64_t first) const {
        static_assert(N <= 4);
        const uint32_t skip = first % 4;
        Words own = words(first / 4);
        if (skip != 0) {
            auto& word = own.word;
            Words behind = {};
            if (skip + N > 4) {
                behind = words(first / 4 + 1);
            }
            if (skip & 1) {
                own = {{word[1], word[2], word[3], behind.word[0]}};
                behind = {{behind.word[1], behind.word[2]}};
            }
            if (skip & 2) {
                own = {{word[2], word[3], behind.word[0], behind.word[1]}};
            }
        }
        return own;
    }

    // The word of an element alone.
    __device__ uint32_t word(uint64_t element) const {
        const Words four = words(element / 4);
        const uint32_t low = element & 1 ? four.word[1] : four.word[0];
        const uint32_t high = element & 1 ? four.word[3] : four.word[2];
        return element & 2 ? high : low;
    }
};
