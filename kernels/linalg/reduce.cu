// Numbers of matrices: traces, inner products, norms, and the greatest eigenvalue by power iteration.
//
// A first launch, one block a tile, leaves a partial sum of every tile; the greatest eigenvalues have a launch a step, one block
// for 64 rows. A last launch, one block a matrix, adds them up. Sums are of f64, so that squares of no f32 overflow, and have
// the shape that the matrix' size gives them.
#include "core/pack.cuh"
#include "linalg/item.cuh"
#include "linalg/sums.cuh"

constexpr uint32_t TRACE = 0, INNER = 1, NORM = 2, LARGEST_EIGENVALUE = 3;

struct Reduction {
    uint64_t left, right;        // device addresses, row after row; right is that of another matrix for INNER alone
    uint64_t vectors;            // LARGEST_EIGENVALUE: element of the workspace where two vectors begin
    uint32_t rows, columns, left_stride, right_stride;
    uint32_t kind, steps;        // steps of the power iteration
    uint32_t first, count;       // partial sums; LARGEST_EIGENVALUE has another `count` behind them, for every other step
};
static_assert(sizeof(Reduction) == 56);

constexpr uint32_t SIDE_OF_TILE = 64, TILE_THREADS = 64, SUM_THREADS = 256, POWER_WARPS = 8;
constexpr uint32_t ROWS_OF_WARP = SIDE_OF_TILE / POWER_WARPS;

extern "C" __device__ const uint32_t reduce_layout[6] = {
    sizeof(Reduction), sizeof(Item), TILE_THREADS, SIDE_OF_TILE, SUM_THREADS, 32 * POWER_WARPS,
};

// An item is a tile of a matrix, a trace's on the diagonal; its sum goes where the item's place among those of its matrix says.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
reduce_tiles_f32(const Item* items, const Reduction* reductions, double* partials) {
    __shared__ double lanes[TILE_THREADS];
    __shared__ Assigned<Reduction> assigned;
    begin(items, reductions, assigned);
    const auto& [item, of] = assigned;
    const f32* const left = reinterpret_cast<const f32*>(of.left);
    const uint32_t top = item.i * SIDE_OF_TILE, column = item.j * SIDE_OF_TILE + threadIdx.x;
    double sum = 0.0;
    if (column < of.columns) {
        if (of.kind == TRACE) {
            sum = double(left[uint64_t(column) * of.left_stride + column]);
        } else {
            const f32* const right = reinterpret_cast<const f32*>(of.right);
            const uint32_t bottom = min(top + SIDE_OF_TILE, of.rows), stride = of.left_stride;
            const bool is_inner = of.kind == INNER;
            #pragma unroll 8
            for (uint32_t row = top; row < bottom; row++) {
                const double x = double(left[uint64_t(row) * stride + column]);
                const double y = is_inner ? double(right[uint64_t(row) * of.right_stride + column]) : x;
                sum = fma(x, y, sum);
            }
        }
    }
    sum = sum_of_block(sum, lanes);
    if (threadIdx.x == 0) {
        const uint32_t across = (of.columns + SIDE_OF_TILE - 1) / SIDE_OF_TILE;
        partials[of.first + (of.kind == TRACE ? item.i : item.i * across + item.j)] = sum;
    }
}

// Element j of the first vector: 1 or -1, by the top bit of the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
__device__ inline f32 first_vector(uint64_t j) {
    uint64_t z = (j + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z >> 63 ? -1.0f : 1.0f;
}

// w = A·v/‖v‖ for 64 rows of a matrix, and the partial sum of ‖w‖².
extern "C" __global__ void __launch_bounds__(32 * POWER_WARPS)
reduce_power_f32(const Item* items, const Reduction* reductions, uint32_t step, f32* workspace, double* partials) {
    __shared__ double lanes[32 * POWER_WARPS];
    __shared__ Assigned<Reduction> assigned;
    begin(items, reductions, assigned);
    const Item& item = assigned.item;
    const Reduction of = assigned.row;
    if (step >= of.steps) {
        return;
    }
    double square = double(of.columns);
    if (step > 0) {
        const double* const before = partials + of.first + (step + 1) % 2 * of.count;
        double sum = 0.0;
        for (uint32_t k = threadIdx.x; k < of.count; k += 32 * POWER_WARPS) {
            sum += before[k];
        }
        square = sum_of_block(sum, lanes);
    }
    const f32 scale = square > 0.0 ? f32(1.0 / sqrt(square)) : 0.0f;
    const f32* const matrix = reinterpret_cast<const f32*>(of.left);
    const f32* const v = workspace + of.vectors + uint64_t(step % 2) * of.columns;
    f32* const w = workspace + of.vectors + uint64_t((step + 1) % 2) * of.columns;
    const uint32_t lane = threadIdx.x % 32, top = item.i * SIDE_OF_TILE + threadIdx.x / 32 * ROWS_OF_WARP;
    f32 sums[ROWS_OF_WARP] = {};
    for (uint32_t j = lane; j < of.columns; j += 32) {
        const f32 x = (step == 0 ? first_vector(j) : v[j]) * scale;
        #pragma unroll
        for (uint32_t r = 0; r < ROWS_OF_WARP; r++) {
            if (top + r < of.rows) {
                sums[r] = fma(matrix[uint64_t(top + r) * of.left_stride + j], x, sums[r]);
            }
        }
    }
    double own = 0.0;
    #pragma unroll
    for (uint32_t r = 0; r < ROWS_OF_WARP; r++) {
        #pragma unroll
        for (int apart = 16; apart > 0; apart /= 2) {
            sums[r] += __shfl_xor_sync(~0u, sums[r], apart);
        }
        if (lane == 0 && top + r < of.rows) {
            w[top + r] = sums[r];
            own = fma(double(sums[r]), double(sums[r]), own);
        }
    }
    own = sum_of_block(own, lanes);
    if (threadIdx.x == 0) {
        partials[of.first + step % 2 * of.count + item.i] = own;
    }
}

extern "C" __global__ void __launch_bounds__(SUM_THREADS)
reduce_sums(const Reduction* reductions, const double* partials, double* results) {
    __shared__ double lanes[SUM_THREADS];
    const Reduction of = reductions[blockIdx.x];
    const bool is_second = of.kind == LARGEST_EIGENVALUE && of.steps % 2 == 0;
    const double* const own = partials + of.first + (is_second ? of.count : 0);
    double sum = 0.0;
    for (uint32_t k = threadIdx.x; k < of.count; k += SUM_THREADS) {
        sum += own[k];
    }
    sum = sum_of_block(sum, lanes);
    if (threadIdx.x == 0) {
        results[blockIdx.x] = of.kind >= NORM ? sqrt(sum) : sum;
    }
}
