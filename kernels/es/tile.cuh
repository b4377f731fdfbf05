// Tiles of the matrices of a model, which blocks take where noises of low rank are summed.
#pragma once
#include "es/low_rank.cuh"

constexpr uint32_t TILE_ROWS = 64, TILE_COLUMNS = 128;
constexpr uint32_t INNER = 16;  // columns of factors in shared memory

// Flags: packs of four elements of a row begin at packs of memory.
constexpr uint32_t PACKED_FROM = 1, PACKED_TO = 2;

struct Factored {
    uint64_t from, to;                 // device addresses, row-major; `from` is 0 where the sum is written alone
    uint64_t first_row, first_column;  // the place of element 0 in the matrix `id` that this is a shard of
    uint64_t rows, columns;
    uint32_t id, flags;
};

// Of the whole matrix, so that counters begin where tiles do.
struct Tile {
    uint32_t matrix, row, column, unused;
};

static_assert(sizeof(Factored) == 56 && sizeof(Tile) == 16);

// What is the same for all elements of a tile.
struct Place {
    Factored matrix;
    uint64_t row, column;  // of the first one

    // Gives each part of a row of the tile that this thread holds, and its place in memory, to `then`.
    template <class Then> __device__ void each(Then then) const {
        #pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint64_t at_row = row + threadIdx.x / 16 * 4 + i - matrix.first_row;
            #pragma unroll
            for (uint32_t h = 0; h < 2; h++) {
                const uint64_t at_column = column + h * 64 + threadIdx.x % 16 * 4 - matrix.first_column;
                // What is before the shard wraps around to beyond its end.
                then(i, h, at_row < matrix.rows, at_row * matrix.columns, at_column);
            }
        }
    }
};
