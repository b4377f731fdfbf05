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

__device__ inline Words philox4x32(Words counter, uint64_t seed) {
    Words words = counter;
    uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        if (round > 0) {
            key0 += WEYL0;
            key1 += WEYL1;
        }
        const uint64_t first = uint64_t(MULTIPLIER0) * words.word[0];
        const uint64_t second = uint64_t(MULTIPLIER1) * words.word[2];
        words.word[0] = uint32_t(second >> 32) ^ words.word[1] ^ key0;
        words.word[1] = uint32_t(second);
        words.word[2] = uint32_t(first >> 32) ^ words.word[3] ^ key1;
        words.word[3] = uint32_t(first);
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

    // The word of an element alone.
    __device__ uint32_t word(uint64_t element) const {
        const Words four = words(element / 4);
        const uint32_t low = element & 1 ? four.word[1] : four.word[0];
        const uint32_t high = element & 1 ? four.word[3] : four.word[2];
        return element & 2 ? high : low;
    }
};
