// Integer weights plus sums of integer noises of low rank, votes of these, and rows multiplied by them. Twin of
// src/cpu/es/lattice_low_rank.rs.
//
//   to = from + sum m_j e_j modulo 2^bits, e = round(A B' / 2^shift), halves up, or
//   to = from + sign(z) where |z| is at least a threshold, z = sum m_j e_j, unless it is at a limit
//   y = y + m round((x A) B' / 2^shift) modulo 2^32, or with A and B exchanged
//
// A and B are of integers from -127 to 127. Sums are exact: of A B' in 32 bits, of products with rows in 64.
#include "es/quantised.cuh"
#include "es/tile.cuh"

constexpr uint32_t MOST_RANK = 64;
constexpr int32_t MOST_NUMBER = 127;      // of a factor
constexpr uint32_t EACH = 2;              // rows of a warp
constexpr uint32_t ROWS_OF_BLOCK = EACH * THREADS / 32;
constexpr uint32_t SPAN = 4 * THREADS;    // elements of a factor that are drawn together

extern "C" __device__ const uint32_t lattice_low_rank_layout[8] = {
    TILE_ROWS, TILE_COLUMNS, THREADS, FEW, SIDE_SHIFT, ROWS_OF_BLOCK, MOST_RANK, MOST_NUMBER,
};

struct alignas(8) IntegerTerm {
    uint64_t seed;
    uint32_t field, step;  // as of FactoredTerm
    uint32_t right_step;
    float scale;           // a number of a factor is the integer nearest to so many times the drawn one
    int32_t multiplier;
    uint32_t unused;
};

struct FewIntegers {
    IntegerTerm term[FEW];
};

static_assert(sizeof(IntegerTerm) == 32);

// Four neighbouring rows of column k of a factor.
__device__ void draw(
    uint32_t distribution, const Normal& normal, const IntegerTerm& term, uint32_t id, bool is_right, uint32_t k, uint64_t row,
    int32_t (&number)[4]
) {
    float drawn[4];
    const Address address = {{term.field, id, is_right ? term.right_step : term.step}, term.seed};
    draw(distribution, normal, address, uint64_t(2 * k + is_right) << SIDE_SHIFT | row, drawn);
    #pragma unroll
    for (int i = 0; i < 4; i++) {
        number[i] = quantised(term.scale, drawn[i], MOST_NUMBER);
    }
}

// x / 2^shift, rounded to nearest, halves up.
template <class Integer> __device__ Integer shifted(Integer x, uint32_t shift) {
    return x + (Integer(1) << shift >> 1) >> shift;
}

// What becomes of a weight.
template <class I> __device__ void move(uint64_t from, uint64_t to, uint32_t z, int32_t threshold, int32_t limit) {
    const int32_t x = load<1>(reinterpret_cast<const I*>(from)).element[0];
    store<1>(reinterpret_cast<I*>(to), {I(threshold == 0 ? x + z : voted(x, z, threshold, limit))});
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) lattice_low_rank(
    const Tile* tiles, const Factored* matrices, const IntegerTerm* terms, uint32_t count, const __grid_constant__ FewIntegers few,
    uint32_t rank, uint32_t distribution, uint32_t shift, uint32_t bytes_shift, int32_t threshold, int32_t limit
) {
    __shared__ alignas(16) int32_t left[INNER][TILE_ROWS];
    __shared__ alignas(16) int32_t right[INNER][TILE_COLUMNS];
    Normal normal;
    normal.begin();
    terms = terms != nullptr ? terms : few.term;
    const Tile tile = tiles[blockIdx.x];
    const Place place = {matrices[tile.matrix], uint64_t(tile.row) * TILE_ROWS, uint64_t(tile.column) * TILE_COLUMNS};
    const Factored& matrix = place.matrix;

    // The sum, and the product of the term that is being added up.
    uint32_t z[4][8] = {};
    int32_t product[4][8] = {};
    #pragma unroll 1
    for (uint32_t begin = 0; begin < count * rank; begin += INNER) {
        constexpr uint32_t FOURS = (TILE_ROWS + TILE_COLUMNS) / 4;
        const uint32_t inner = min(INNER, count * rank - begin);
        __syncthreads();
        #pragma unroll 1
        for (uint32_t i = threadIdx.x; i < inner * FOURS; i += THREADS) {
            const uint32_t q = i / FOURS;
            const bool is_right = i % FOURS >= TILE_ROWS / 4;
            const uint32_t behind = i % FOURS * 4 - (is_right ? TILE_ROWS : 0);
            int32_t number[4];
            draw(distribution, normal, terms[(begin + q) / rank], matrix.id, is_right, (begin + q) % rank,
                 (is_right ? place.column : place.row) + behind, number);
            int32_t* const to = (is_right ? right[q] : left[q]) + behind;
            #pragma unroll
            for (int e = 0; e < 4; e++) {
                to[e] = number[e];
            }
        }
        __syncthreads();
        #pragma unroll 1
        for (uint32_t q = 0; q < inner; q++) {
            int32_t a[4], b[8];
            #pragma unroll
            for (int k = 0; k < 4; k++) {
                a[k] = left[q][threadIdx.x / 16 * 4 + k];
                b[k] = right[q][threadIdx.x % 16 * 4 + k];
                b[k + 4] = right[q][threadIdx.x % 16 * 4 + k + 64];
            }
            // The last column of a term.
            const bool is_last = (begin + q) % rank == rank - 1;
            const uint32_t multiplier = is_last ? terms[(begin + q) / rank].multiplier : 0;
            #pragma unroll
            for (int i = 0; i < 4; i++) {
                #pragma unroll
                for (int k = 0; k < 8; k++) {
                    product[i][k] = a[i] * b[k] + product[i][k];
                    if (is_last) {
                        z[i][k] += multiplier * uint32_t(shifted(product[i][k], shift));
                        product[i][k] = 0;
                    }
                }
            }
        }
    }

    // The sums go to the threads that move the weights, which are neighbours in a row, INNER rows of the tile at a time.
    auto* const sums = reinterpret_cast<uint32_t(*)[TILE_COLUMNS]>(right);
    #pragma unroll 1
    for (uint32_t begin = 0; begin < TILE_ROWS; begin += INNER) {
        __syncthreads();
        const uint32_t own = threadIdx.x / 16 * 4 - begin;
        if (own < INNER) {
            #pragma unroll
            for (int i = 0; i < 4; i++) {
                #pragma unroll
                for (int k = 0; k < 8; k++) {
                    sums[own + i][k / 4 * 64 + threadIdx.x % 16 * 4 + k % 4] = z[i][k];
                }
            }
        }
        __syncthreads();
        #pragma unroll 1
        for (uint32_t i = threadIdx.x; i < INNER * TILE_COLUMNS; i += THREADS) {
            // What is before the shard wraps around to beyond its end.
            const uint64_t row = place.row + begin + i / TILE_COLUMNS - matrix.first_row;
            const uint64_t column = place.column + i % TILE_COLUMNS - matrix.first_column;
            if (row >= matrix.rows || column >= matrix.columns) {
                continue;
            }
            const uint64_t behind = row * matrix.columns + column << bytes_shift;
            const uint32_t sum = sums[i / TILE_COLUMNS][i % TILE_COLUMNS];
            if (bytes_shift == 0) {
                move<int8_t>(matrix.from + behind, matrix.to + behind, sum, threshold, limit);
            } else if (bytes_shift == 1) {
                move<int16_t>(matrix.from + behind, matrix.to + behind, sum, threshold, limit);
            } else {
                move<int32_t>(matrix.from + behind, matrix.to + behind, sum, threshold, limit);
            }
        }
    }
}

struct IntegerProduct {
    uint64_t x, y;                      // device addresses: i8 [members * rows, inner] and i32 [members * rows, outer]
    uint64_t rows, inner, outer;        // rows of a member
    uint64_t first_inner, first_outer;  // the first rows of the factors
    uint32_t id, inner_is_right;
};

static_assert(sizeof(IntegerProduct) == 64);

__device__ uint32_t packed(const int32_t (&number)[4]) {
    return __byte_perm(__byte_perm(number[0], number[1], 0x0040), __byte_perm(number[2], number[3], 0x0040), 0x5410);
}

// A block takes ROWS_OF_BLOCK rows of one term, as in es/low_rank_multiply.cu.
extern "C" __global__ void __launch_bounds__(THREADS) lattice_low_rank_multiply(
    const __grid_constant__ IntegerProduct of, const IntegerTerm* terms, const __grid_constant__ FewIntegers few, uint32_t rank,
    uint32_t distribution, uint32_t shift
) {
    __shared__ uint32_t factor[SPAN / 4];
    __shared__ int64_t sums[ROWS_OF_BLOCK][MOST_RANK];
    Normal normal;
    normal.begin();
    terms = terms != nullptr ? terms : few.term;
    const uint64_t groups = (of.rows + ROWS_OF_BLOCK - 1) / ROWS_OF_BLOCK;
    const uint64_t member = blockIdx.x / groups, first_row = blockIdx.x % groups * ROWS_OF_BLOCK;
    const IntegerTerm& term = terms[member];
    const uint32_t rows = min(of.rows - first_row, uint64_t(ROWS_OF_BLOCK));
    const int8_t* const x = reinterpret_cast<const int8_t*>(of.x) + (member * of.rows + first_row) * of.inner;
    int32_t* const y = reinterpret_cast<int32_t*>(of.y) + (member * of.rows + first_row) * of.outer;
    __builtin_assume(__isGlobal(x));
    __builtin_assume(__isGlobal(y));
    const bool is_packed = ((of.x | of.inner | of.first_inner) & 3) == 0;

    const uint32_t own_row = threadIdx.x / 32 * EACH;
    #pragma unroll 1
    for (uint32_t k = 0; k < rank; k++) {
        int64_t sum[EACH] = {};
        #pragma unroll 1
        for (uint64_t begin = of.first_inner / SPAN * SPAN; begin < of.first_inner + of.inner; begin += SPAN) {
            int32_t number[4];
            draw(distribution, normal, term, of.id, of.inner_is_right, k, begin + 4 * threadIdx.x, number);
            __syncthreads();
            factor[threadIdx.x] = packed(number);
            __syncthreads();
            #pragma unroll
            for (uint32_t i = 0; i < EACH; i++) {
                // Of at most 32 products of bytes.
                int32_t part = 0;
                #pragma unroll 1
                for (uint32_t word = threadIdx.x % 32; own_row + i < rows && word < SPAN / 4; word += 32) {
                    // What is before the first one wraps around to beyond the last.
                    const uint64_t at = begin + 4 * word - of.first_inner;
                    const int8_t* const row = x + (own_row + i) * of.inner;
                    uint32_t four = 0;
                    if (is_packed) {
                        four = at < of.inner ? *reinterpret_cast<const uint32_t*>(row + at) : 0;
                    } else {
                        #pragma unroll
                        for (int c = 0; c < 4; c++) {
                            if (at + c < of.inner) {
                                four |= uint32_t(uint8_t(row[at + c])) << 8 * c;
                            }
                        }
                    }
                    part = __dp4a(int32_t(four), int32_t(factor[word]), part);
                }
                sum[i] += part;
            }
        }
        #pragma unroll
        for (uint32_t i = 0; i < EACH; i++) {
            #pragma unroll
            for (uint32_t apart = 16; apart > 0; apart /= 2) {
                sum[i] += __shfl_down_sync(0xffffffff, sum[i], apart);
            }
            if (threadIdx.x % 32 == 0) {
                sums[own_row + i][k] = sum[i];
            }
        }
    }
    __syncthreads();

    #pragma unroll 1
    for (uint64_t begin = of.first_outer / 4 * 4 + 4 * threadIdx.x; begin < of.first_outer + of.outer; begin += SPAN) {
        const uint64_t at = begin - of.first_outer;
        #pragma unroll 1
        for (uint32_t row = 0; row < rows; row++) {
            int64_t to[4] = {};
            #pragma unroll 1
            for (uint32_t k = 0; k < rank; k++) {
                int32_t number[4];
                draw(distribution, normal, term, of.id, !of.inner_is_right, k, begin, number);
                #pragma unroll
                for (int c = 0; c < 4; c++) {
                    to[c] += number[c] * sums[row][k];
                }
            }
            #pragma unroll
            for (int c = 0; c < 4; c++) {
                if (at + c < of.outer) {
                    y[row * of.outer + (at + c)] += term.multiplier * uint32_t(shifted(to[c], shift));
                }
            }
        }
    }
}
