// Rows multiplied by noises of low rank, as evaluations at perturbed matrices need beside their products with the matrix itself:
// y += a (x A) B', or with A and B exchanged. Twin of src/cpu/es/multiply.rs.
//
// A block takes ROWS rows of one term. It sums up their products with the columns of the inner factor, which it draws into shared
// memory for all of them, then adds the outer factor's multiples, which each thread draws for its own elements.
#include "es/low_rank.cuh"

constexpr uint32_t MOST_RANK = 64;
constexpr uint32_t WARPS = THREADS / 32;
constexpr uint32_t EACH = 2;               // rows of a warp
constexpr uint32_t ROWS_OF_BLOCK = EACH * WARPS;
constexpr uint32_t SPAN = 4 * THREADS;     // elements of a factor that are drawn together
constexpr uint32_t LANES = 128;            // of a sum
constexpr uint32_t TOGETHER = 4;           // rows that what a thread draws serves

extern "C" __device__ const uint32_t low_rank_multiply_layout[6] = {ROWS_OF_BLOCK, MOST_RANK, LANES, THREADS, FEW, SIDE_SHIFT};

struct Multiplication {
    uint64_t x, y;                      // device addresses: [members * rows, inner] and [members * rows, outer]
    uint64_t rows, inner, outer;        // rows of a member
    uint64_t first_inner, first_outer;  // the first rows of the factors
    uint32_t id, inner_is_right;
};

static_assert(sizeof(Multiplication) == 64);

// The sum of what the lanes hold, lane l of the sum being number l % 4 of thread l / 4, in the first thread: always that of
// l + 64, l + 32, ... 1 added to that of l.
template <class Real> __device__ Real sum_of_lanes(Real (&sum)[4]) {
    #pragma unroll
    for (uint32_t apart = 16; apart > 0; apart /= 2) {
        #pragma unroll
        for (int c = 0; c < 4; c++) {
            sum[c] = sum[c] + __shfl_down_sync(0xffffffff, sum[c], apart);
        }
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

template <class P>
__device__ void multiply(const Multiplication& product, const FactoredTerm<RealOf<P>>* terms, uint32_t rank, uint32_t distribution) {
    using Real = RealOf<P>;
    __shared__ alignas(16) Real factor[SPAN];
    __shared__ Real sums[ROWS_OF_BLOCK][MOST_RANK];
    Normal normal;
    normal.begin();
    const uint64_t groups = (product.rows + ROWS_OF_BLOCK - 1) / ROWS_OF_BLOCK;
    const uint64_t member = blockIdx.x / groups, first_row = blockIdx.x % groups * ROWS_OF_BLOCK;
    const FactoredTerm<Real>& term = terms[member];
    const uint32_t rows = min(product.rows - first_row, uint64_t(ROWS_OF_BLOCK));
    const P* const x = reinterpret_cast<const P*>(product.x) + (member * product.rows + first_row) * product.inner;
    P* const y = reinterpret_cast<P*>(product.y) + (member * product.rows + first_row) * product.outer;
    __builtin_assume(__isGlobal(x));
    __builtin_assume(__isGlobal(y));

    const uint32_t own_row = threadIdx.x / 32 * EACH;
    #pragma unroll 1
    for (uint32_t k = 0; k < rank; k++) {
        Real sum[EACH][4];
        #pragma unroll
        for (int i = 0; i < EACH * 4; i++) {
            sum[i / 4][i % 4] = Real(0);
        }
        #pragma unroll 1
        for (uint64_t begin = product.first_inner / SPAN * SPAN; begin < product.first_inner + product.inner; begin += SPAN) {
            float number[4];
            draw(distribution, normal, term, product.id, product.inner_is_right, k, begin + 4 * threadIdx.x, number);
            __syncthreads();
            #pragma unroll
            for (int c = 0; c < 4; c++) {
                factor[4 * threadIdx.x + c] = Real(number[c]);
            }
            __syncthreads();
            #pragma unroll 1
            for (uint32_t lanes = 0; lanes < SPAN; lanes += LANES) {
                const uint32_t behind = lanes + threadIdx.x % 32 * 4;
                // What is before the first one wraps around to beyond the last.
                const uint64_t at = begin + behind - product.first_inner;
                #pragma unroll
                for (uint32_t i = 0; i < EACH; i++) {
                    #pragma unroll
                    for (int c = 0; c < 4; c++) {
                        if (own_row + i < rows && at + c < product.inner) {
                            sum[i][c] = fma(widen(x[(own_row + i) * product.inner + (at + c)]), factor[behind + c], sum[i][c]);
                        }
                    }
                }
            }
        }
        #pragma unroll
        for (uint32_t i = 0; i < EACH; i++) {
            const Real whole = sum_of_lanes(sum[i]);
            if (threadIdx.x % 32 == 0) {
                sums[own_row + i][k] = whole;
            }
        }
    }
    __syncthreads();

    #pragma unroll 1
    for (uint64_t begin = product.first_outer / 4 * 4 + 4 * threadIdx.x; begin < product.first_outer + product.outer; begin += SPAN) {
        const uint64_t at = begin - product.first_outer;
        #pragma unroll 1
        for (uint32_t row = 0; row < rows; row += TOGETHER) {
            Real to[TOGETHER][4];
            #pragma unroll
            for (uint32_t i = 0; i < TOGETHER; i++) {
                #pragma unroll
                for (int c = 0; c < 4; c++) {
                    to[i][c] = Real(0);
                    if (row + i < rows && at + c < product.outer) {
                        to[i][c] = widen(y[(row + i) * product.outer + (at + c)]);
                    }
                }
            }
            #pragma unroll 1
            for (uint32_t k = 0; k < rank; k++) {
                float number[4];
                draw(distribution, normal, term, product.id, !product.inner_is_right, k, begin, number);
                #pragma unroll
                for (int c = 0; c < 4; c++) {
                    const Real a = term.coefficient * Real(number[c]);
                    #pragma unroll
                    for (uint32_t i = 0; i < TOGETHER; i++) {
                        // Rows that are not there have sums of 0.
                        to[i][c] = fma(a, sums[row + i][k], to[i][c]);
                    }
                }
            }
            #pragma unroll
            for (uint32_t i = 0; i < TOGETHER; i++) {
                #pragma unroll
                for (int c = 0; c < 4; c++) {
                    if (row + i < rows && at + c < product.outer) {
                        y[(row + i) * product.outer + (at + c)] = narrow<P>(to[i][c]);
                    }
                }
            }
        }
    }
}

#define MULTIPLY(P)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS) low_rank_multiply_##P(                                              \
        const __grid_constant__ Multiplication product, const FactoredTerm<RealOf<P>>* terms,                                        \
        const __grid_constant__ FewFactored<RealOf<P>> few, uint32_t rank, uint32_t distribution                              \
    ) {                                                                                                                       \
        multiply<P>(product, terms != nullptr ? terms : few.term, rank, distribution);                                        \
    }

MULTIPLY(f64)
MULTIPLY(f32)
MULTIPLY(bf16)
MULTIPLY(f16)
