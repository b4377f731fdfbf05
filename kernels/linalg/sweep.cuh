// The inverse of a positive-definite matrix that lies in the registers of a thread block.
//
// A = L·Lᵀ, with V = L⁻¹ and A⁻¹ = Vᵀ·V, M rows a step. Step k has three parts:
//
//   1. W = L_kk⁻¹ from what is left of A_kk, by the thread that holds it;
//   2. a panel of M rows, in shared memory: L_jkᵀ = W·A_jkᵀ for j > k, W itself, and V_kj = W·R_kj for j < k;
//   3. every element takes the product of two columns of the panel.
//
// Where row i is below k, the product brings A_ij (j > k) a step nearer to its Schur complement, or the right-hand side R_ij
// (j ≤ k) of L·V = 1 a step forward, and is subtracted; elsewhere it is a term of A⁻¹ and is added. What stands in row or
// column k has been taken into the panel and begins at zero. So one triangle of registers holds the rest of A, then R, then
// A⁻¹, and each step is one rank-M update of all of it: n³/2 multiplications in all, as many as the three phases of
// Cholesky's algorithm take one after the other, and in the same order for each element. What is subtracted from is held
// negated, so that all is added.
#pragma once
#include "linalg/block.cuh"

constexpr uint32_t NONE = ~0u;

// Rows of TILES·M columns, and behind each PAD accesses of 16 bytes that nobody reads. The accesses that neighbouring threads
// make to their columns are contiguous.
template <class T, int M, int TILES, int ROWS = M, int PAD = 0> struct Panel {
    static constexpr int PARTS = M / VECTOR<T>, PACKS = PARTS * TILES;
    Pack<T, VECTOR<T>> at[ROWS][PACKS + PAD];

    __device__ void read(int row, uint32_t tile, T (&to)[M]) const {
        #pragma unroll
        for (int part = 0; part < PARTS; part++) {
            const auto pack = at[row][part * TILES + tile];
            #pragma unroll
            for (int k = 0; k < VECTOR<T>; k++) {
                to[part * VECTOR<T> + k] = pack.element[k];
            }
        }
    }

    __device__ void write(int row, uint32_t tile, const T (&from)[M]) {
        #pragma unroll
        for (int part = 0; part < PARTS; part++) {
            Pack<T, VECTOR<T>> pack;
            #pragma unroll
            for (int k = 0; k < VECTOR<T>; k++) {
                pack.element[k] = from[part * VECTOR<T> + k];
            }
            at[row][part * TILES + tile] = pack;
        }
    }
};

template <class T, int M, int TILES> struct SweepMemory {
    Panel<T, M, TILES> panels[2];
    T diagonal[M][M];  // W of a step
    T pivots[TILES * M];
    uint32_t tiles;    // a side: set by the caller
    uint32_t failed;   // the first row whose pivot is not positive, NONE where there is none
    T failed_pivot;
};

// W of the positive-definite -d, into shared memory, and its pivots. False where a pivot is not positive: then it and its row
// are noted. The registers then hold nothing.
template <class T, int M, class Memory> __device__ bool invert_diagonal(Micro<T, M>& d, uint32_t k, Memory& memory) {
    auto& w = memory.diagonal;
    #pragma unroll
    for (int r = 0; r < M; r++) {
        #pragma unroll
        for (int c = 0; c <= r; c++) {
            d.at[r][c] = -d.at[r][c];
        }
    }
    #pragma unroll
    for (int p = 0; p < M; p++) {
        const T pivot = d.at[p][p];
        if (!(pivot > T(0)) || !is_finite(pivot)) {
            memory.failed = k * M + p;
            memory.failed_pivot = pivot;
            return false;
        }
        memory.pivots[k * M + p] = pivot;
        const T scale = T(1) / sqrt(pivot);
        #pragma unroll
        for (int r = p + 1; r < M; r++) {
            d.at[r][p] *= scale;
        }
        #pragma unroll
        for (int r = p + 1; r < M; r++) {
            #pragma unroll
            for (int c = p + 1; c <= r; c++) {
                d.at[r][c] = fma(-d.at[r][p], d.at[c][p], d.at[r][c]);
            }
        }
        #pragma unroll
        for (int c = 0; c < p; c++) {
            T sum = T(0);
            #pragma unroll
            for (int m = c; m < p; m++) {
                sum = fma(d.at[p][m], w[m][c], sum);
            }
            w[p][c] = -sum * scale;
        }
        w[p][p] = scale;
        #pragma unroll
        for (int c = p + 1; c < M; c++) {
            w[p][c] = T(0);
        }
        load_no_earlier();
    }
    return true;
}

// What a sweep leaves in the registers.
enum class Leaves { INVERSE, INVERSE_FACTOR };

// Sweeps the matrix whose negative the threads hold, M×M elements at tile (ti, tj) each. Threads beyond the tiles, or above
// the diagonal, hold none. All threads of the block call. False where a pivot is not positive; the registers then hold nothing.
template <Leaves LEAVES, class T, int M, int TILES>
__device__ bool sweep(Micro<T, M>& d, uint32_t ti, uint32_t tj, SweepMemory<T, M, TILES>& memory) {
    const bool active = ti < memory.tiles && tj <= ti;
    if (threadIdx.x == 0) {
        memory.failed = NONE;
    }
    // Unrolled, it would need two sets of registers.
    #pragma unroll 1
    for (uint32_t k = 0; k < memory.tiles; k++) {
        auto& panel = memory.panels[k % 2];
        __syncthreads();
        if (active && ti == k && tj == k && invert_diagonal(d, k, memory)) {
            #pragma unroll
            for (int r = 0; r < M; r++) {
                panel.write(r, k, memory.diagonal[r]);
                #pragma unroll
                for (int c = 0; c < M; c++) {
                    d.at[r][c] = LEAVES == Leaves::INVERSE ? T(0) : memory.diagonal[r][c];
                }
            }
        }
        __syncthreads();
        if (memory.failed != NONE) {
            return false;
        }
        if (active && tj == k && ti > k) {
            // L_ik = A_ik·Wᵀ, the last column first: each needs those before it.
            #pragma unroll
            for (int c = M - 1; c >= 0; c--) {
                T column[M];
                #pragma unroll
                for (int r = 0; r < M; r++) {
                    T sum = T(0);
                    #pragma unroll
                    for (int m = 0; m <= c; m++) {
                        sum = fma(d.at[r][m], memory.diagonal[c][m], sum);
                    }
                    column[r] = -sum;
                    d.at[r][c] = T(0);
                }
                panel.write(c, ti, column);
                load_no_earlier();
            }
        } else if (active && ti == k && tj < k) {
            #pragma unroll
            for (int r = M - 1; r >= 0; r--) {
                T row[M];
                #pragma unroll
                for (int c = 0; c < M; c++) {
                    T sum = T(0);
                    #pragma unroll
                    for (int m = 0; m <= r; m++) {
                        sum = fma(memory.diagonal[r][m], d.at[m][c], sum);
                    }
                    row[c] = -sum;
                }
                panel.write(r, tj, row);
                load_no_earlier();
                #pragma unroll
                for (int c = 0; c < M; c++) {
                    d.at[r][c] = LEAVES == Leaves::INVERSE ? T(0) : row[c];
                }
            }
        }
        __syncthreads();
        if (active && (LEAVES == Leaves::INVERSE || ti > k)) {
            // Further unrolled, the loads of later rows would take the registers of sums.
            #pragma unroll 2
            for (int m = 0; m < M; m++) {
                T a[M], b[M];
                panel.read(m, ti, a);
                panel.read(m, tj, b);
                load_no_earlier();
                #pragma unroll
                for (int r = 0; r < M; r++) {
                    #pragma unroll
                    for (int c = 0; c < M; c++) {
                        d.at[r][c] = fma(a[r], b[c], d.at[r][c]);
                    }
                }
            }
        }
    }
    return true;
}
