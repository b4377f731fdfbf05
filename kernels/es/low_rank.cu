// Parameters plus sums of noises of low rank, for every matrix of a model in one launch: to = from + sum a_j A_j B_j'. Twin of
// src/cpu/es/low_rank.rs.
//
// A block takes a tile of a matrix. It draws the columns of the factors that the tile needs, INNER of them at a time, into
// shared memory, and adds their products to what each thread holds of the tile: a number that is drawn serves a whole row or
// column of the tile.
#include "es/tile.cuh"

extern "C" __device__ const uint32_t low_rank_layout[5] = {TILE_ROWS, TILE_COLUMNS, THREADS, FEW, SIDE_SHIFT};

// nvcc merges the store of a Pack with those of single elements and takes it apart, but not this one.
template <class Q> __device__ void store_whole(Q* to, const Pack<Q, 4>& pack) {
    if constexpr (sizeof(Q) == 2) {
        __stwb(reinterpret_cast<uint2*>(to), reinterpret_cast<const uint2&>(pack));
    } else {
        #pragma unroll
        for (int k = 0; k < int(sizeof(Q) / 4); k++) {
            __stwb(reinterpret_cast<uint4*>(to) + k, reinterpret_cast<const uint4*>(&pack)[k]);
        }
    }
}

template <class P, class Q>
__device__ void low_rank(
    const Tile* tiles, const Factored* matrices, const FactoredTerm<RealOf<P>>* terms, uint32_t count, uint32_t rank,
    uint32_t distribution
) {
    using Real = RealOf<P>;
    __shared__ alignas(16) Real left[INNER][TILE_ROWS];
    __shared__ alignas(16) Real right[INNER][TILE_COLUMNS];
    Normal normal;
    normal.begin();
    const Tile tile = tiles[blockIdx.x];
    const Place place = {matrices[tile.matrix], uint64_t(tile.row) * TILE_ROWS, uint64_t(tile.column) * TILE_COLUMNS};
    const Factored& matrix = place.matrix;

    Real x[4][2][4];
    place.each([&](uint32_t i, uint32_t h, bool has, uint64_t at_row, uint64_t at_column) {
        const P* const from = reinterpret_cast<const P*>(matrix.from) + at_row;
        if (matrix.flags & PACKED_FROM) {
            Pack<P, 4> pack = {};
            if (has && at_column < matrix.columns) {
                pack = load<4>(from + at_column);
            }
            #pragma unroll
            for (int k = 0; k < 4; k++) {
                x[i][h][k] = widen(pack.element[k]);
            }
            return;
        }
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            x[i][h][k] = Real(0);
            if (has && at_column + k < matrix.columns && matrix.from != 0) {
                x[i][h][k] = widen(load<1>(from + (at_column + k)).element[0]);
            }
        }
    });

    #pragma unroll 1
    for (uint32_t begin = 0; begin < count * rank; begin += INNER) {
        constexpr uint32_t FOURS = (TILE_ROWS + TILE_COLUMNS) / 4;
        const uint32_t inner = min(INNER, count * rank - begin);
        __syncthreads();
        #pragma unroll 1
        for (uint32_t i = threadIdx.x; i < inner * FOURS; i += THREADS) {
            const uint32_t q = i / FOURS, k = (begin + q) % rank;
            const FactoredTerm<Real>& term = terms[(begin + q) / rank];
            const bool is_right = i % FOURS >= TILE_ROWS / 4;
            const uint32_t behind = i % FOURS * 4 - (is_right ? TILE_ROWS : 0);
            const uint64_t row = (is_right ? place.column : place.row) + behind;
            float number[4];
            draw(distribution, normal, term, matrix.id, is_right, k, row, number);
            const Real a = is_right ? Real(1) : term.coefficient;
            Real* const to = (is_right ? right[q] : left[q]) + behind;
            #pragma unroll
            for (int e = 0; e < 4; e++) {
                to[e] = a * Real(number[e]);
            }
        }
        __syncthreads();
        #pragma unroll 1
        for (uint32_t q = 0; q < inner; q++) {
            Real a[4], b[2][4];
            #pragma unroll
            for (int k = 0; k < 4; k++) {
                a[k] = left[q][threadIdx.x / 16 * 4 + k];
                b[0][k] = right[q][threadIdx.x % 16 * 4 + k];
                b[1][k] = right[q][threadIdx.x % 16 * 4 + k + 64];
            }
            #pragma unroll
            for (int i = 0; i < 4; i++) {
                #pragma unroll
                for (int k = 0; k < 8; k++) {
                    x[i][k / 4][k % 4] = fma(a[i], b[k / 4][k % 4], x[i][k / 4][k % 4]);
                }
            }
        }
    }

    place.each([&](uint32_t i, uint32_t h, bool has, uint64_t at_row, uint64_t at_column) {
        Q* const to = reinterpret_cast<Q*>(matrix.to) + at_row;
        Pack<Q, 4> pack;
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            pack.element[k] = narrow<Q>(x[i][h][k]);
        }
        if (matrix.flags & PACKED_TO) {
            if (has && at_column < matrix.columns) {
                store_whole(to + at_column, pack);
            }
            return;
        }
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            if (has && at_column + k < matrix.columns) {
                store<1>(to + (at_column + k), {pack.element[k]});
            }
        }
    });
}

#define LOW_RANK(P, Q)                                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS) low_rank_##P##_##Q(                                                 \
        const Tile* tiles, const Factored* matrices, const FactoredTerm<RealOf<P>>* terms, uint32_t count,                    \
        const __grid_constant__ FewFactored<RealOf<P>> few, uint32_t rank, uint32_t distribution                              \
    ) {                                                                                                                       \
        low_rank<P, Q>(tiles, matrices, terms != nullptr ? terms : few.term, count, rank, distribution);                      \
    }

LOW_RANK(f64, f64)
LOW_RANK(f32, f32)
LOW_RANK(f32, bf16)
LOW_RANK(f32, f16)
LOW_RANK(bf16, bf16)
LOW_RANK(f16, f16)
