// Products of matrices that lie in memory as users have them: any stride, any alignment, any storage type.
//
// As in linalg/tile.cuh both factors are read by rows, and a product is the sum of outer products of rows. A factor is a functor
// that gives VECTOR neighbouring elements of a row, zeros where there are none.
#pragma once
#include "linalg/item.cuh"
#include "linalg/tile.cuh"

template <class T> struct ProductMemory {
    Panel<T, MICRO<T>, SIDE, SLAB> slabs[2][2];  // two stages of two factors
};

// Stores 16 bytes to shared memory at once. The compiler, which has seen where each element comes from, would store them one by
// one, and neighbouring threads would meet in a bank.
__device__ inline void store_shared(Pack<f32, 4>& to, const Pack<f32, 4>& from) {
    const auto address = uint32_t(__cvta_generic_to_shared(&to));
    asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};"
                 :: "r"(address), "f"(from.element[0]), "f"(from.element[1]), "f"(from.element[2]), "f"(from.element[3])
                 : "memory");
}

// What a thread brings of a slab.
template <class T> struct Brought {
    static constexpr int PACKS_A_ROW = TILE<T> / VECTOR<T>;
    static constexpr int ROWS_AT_ONCE = TILE_THREADS / PACKS_A_ROW;
    static constexpr int COUNT = SLAB / ROWS_AT_ONCE;
    Pack<T, VECTOR<T>> packs[COUNT];

    // Row `first` of a factor and those behind it, from column `left` on.
    template <class Factor> __device__ void fetch(const Factor& factor, uint32_t first, uint32_t left) {
        const uint32_t x = thread();
        const uint32_t part = x % PACKS_A_ROW / SIDE, column = x % SIDE, row = x / PACKS_A_ROW;
        #pragma unroll
        for (int k = 0; k < COUNT; k++) {
            packs[k] = factor.read(first + row + k * ROWS_AT_ONCE, left + column * MICRO<T> + part * VECTOR<T>);
        }
    }

    template <class Slab> __device__ void put(Slab& slab) const {
        const uint32_t x = thread();
        #pragma unroll
        for (int k = 0; k < COUNT; k++) {
            store_shared(slab.at[x / PACKS_A_ROW + k * ROWS_AT_ONCE][x % PACKS_A_ROW], packs[k]);
        }
    }
};

// d += Σ aᵀ_m·b_m over the rows m below `rows`: columns from `top` on of a, from `left` on of b. Threads that do not take part
// bring what others need. All threads of the block call.
template <class T, class A, class B>
__device__ void multiply(TileMicro<T>& d, const A& a, uint32_t top, const B& b, uint32_t left, uint32_t rows, bool takes,
                         ProductMemory<T>& memory) {
    constexpr int M = MICRO<T>;
    Brought<T> of_a, of_b;
    const uint32_t slab_count = (rows + SLAB - 1) / SLAB;
    __syncthreads();
    // A slab is brought while the one before is multiplied.
    #pragma unroll 1
    for (uint32_t slab = 0; slab <= slab_count; slab++) {
        if (slab < slab_count) {
            of_a.fetch(a, slab * SLAB, top);
            of_b.fetch(b, slab * SLAB, left);
        }
        if (takes && slab > 0) {
            const auto& slabs = memory.slabs[(slab - 1) % 2];
            const uint32_t ti = thread() % SIDE, tj = thread() / SIDE;
            #pragma unroll 1
            for (int group = 0; group < SLAB; group += 4) {
                #pragma unroll
                for (int m = 0; m < 4; m++) {
                    T x[M], y[M];
                    slabs[0].read(group + m, ti, x);
                    slabs[1].read(group + m, tj, y);
                    #pragma unroll
                    for (int r = 0; r < M; r++) {
                        #pragma unroll
                        for (int c = 0; c < M; c++) {
                            d.at[r][c] = fma(x[r], y[c], d.at[r][c]);
                        }
                    }
                }
            }
        }
        if (slab < slab_count) {
            auto& slabs = memory.slabs[slab % 2];
            of_a.put(slabs[0]);
            of_b.put(slabs[1]);
        }
        __syncthreads();
    }
}

// Neighbouring elements of a matrix that do not lie in one access, or are not all there. Not inlined: what reads matrices does so
// at many places, and nearly never like this. `step` is the distance of neighbours, `before` how many elements there are from the
// first on, and `last` what stands behind them where it is not null.
template <class T> __device__ __noinline__ Pack<T, VECTOR<T>> read_singly(const T* first, uint64_t step, uint32_t before,
                                                                          const T* last) {
    Pack<T, VECTOR<T>> pack;
    #pragma unroll
    for (uint32_t k = 0; k < VECTOR<T>; k++) {
        pack.element[k] = k < before ? first[k * step] : k == before && last != nullptr ? *last : T(0);
    }
    return pack;
}

// A matrix row after row, with one column more where `last` is not null.
template <class T> struct MatrixRows {
    const T* core;
    const T* last;
    uint32_t rows, columns, stride;  // columns without the last

    __device__ Pack<T, VECTOR<T>> read(uint32_t row, uint32_t column) const {
        if (row < rows && column + VECTOR<T> <= columns && takes_vectors(core, stride)) {
            return load<VECTOR<T>>(core + uint64_t(row) * stride + column);
        }
        const bool is_before = row < rows && column <= columns;
        const T* const behind = last != nullptr && is_before ? last + row : nullptr;
        return read_singly(core + uint64_t(row) * stride + column, uint64_t(1), is_before ? columns - column : 0, behind);
    }

    __device__ T at(uint32_t row, uint32_t column) const {
        if (row >= rows) {
            return T(0);
        }
        if (column < columns) {
            return core[uint64_t(row) * stride + column];
        }
        return column == columns && last != nullptr ? last[row] : T(0);
    }
};

// The transpose of such a matrix.
template <class T> struct MatrixColumns {
    MatrixRows<T> of;

    __device__ Pack<T, VECTOR<T>> read(uint32_t row, uint32_t column) const {
        const bool is_last = row == of.columns && of.last != nullptr;
        const bool exists = column < of.rows && (row < of.columns || is_last);
        const T* const first = is_last ? of.last + column : of.core + uint64_t(column) * of.stride + row;
        return read_singly(first, uint64_t(is_last ? 1 : of.stride), exists ? of.rows - column : 0, static_cast<const T*>(nullptr));
    }
};

// Stores 8×8 elements of a symmetric matrix, and their mirror image, where whole tiles have room.
__device__ inline void store_both(f32* matrix, uint64_t stride, uint32_t top, uint32_t left, const TileMicro<f32>& d) {
    constexpr int M = MICRO<f32>;
    #pragma unroll
    for (int r = 0; r < M; r++) {
        write_vectors(matrix + (top + r) * stride + left, d.at[r]);
    }
    if (top != left) {
        #pragma unroll
        for (int c = 0; c < M; c++) {
            f32 values[M];
            column(d, c, values);
            write_vectors(matrix + (left + c) * stride + top, values);
        }
    }
}

// The same of 8×8 elements from (8·ti, 8·tj) on, of which those above the diagonal mean nothing; times a sign, and zeros beyond
// the order.
__device__ inline void store_lower(f32* matrix, uint64_t stride, uint32_t order, uint32_t ti, uint32_t tj, f32 sign,
                                   TileMicro<f32>& d) {
    constexpr int M = MICRO<f32>;
    #pragma unroll
    for (int r = 0; r < M; r++) {
        #pragma unroll
        for (int c = 0; c < M; c++) {
            const bool inside = ti * M + r < order && tj * M + c < order;
            d.at[r][c] = select(inside, sign * d.at[r][c], 0.0f);
        }
    }
    #pragma unroll
    for (int r = 0; r < M; r++) {
        #pragma unroll
        for (int c = r + 1; c < M; c++) {
            d.at[r][c] = select(ti == tj, d.at[c][r], d.at[r][c]);
        }
    }
    store_both(matrix, stride, ti * M, tj * M, d);
}

// Copies a tile, on or below the diagonal, of a symmetric source into a matrix of whole tiles. `look` gets 8×8 elements d of it,
// negated, with the bound on the difference of elements that should be equal, and whether they keep to it.
template <class Look>
__device__ void load_symmetric(const SpdBlock& block, const Item& item, const Damped& first, double tolerance, f32* matrix,
                               uint64_t stride, Look look) {
    const uint32_t ti = item.i * SIDE + thread() % SIDE, tj = item.j * SIDE + thread() / SIDE;
    if (tj > ti) {
        return;
    }
    TileMicro<f32> d;
    set_zero(d);
    if (ti * MICRO<f32> < block.order) {
        const Source<f32> source(block);
        const f32 bound = asymmetry_bound<f32>(first, SpdSettings{0.0, tolerance, 0});
        const bool is_sound = source.read_negative(ti, tj, d) <= bound;
        look(source, ti, tj, d, bound, is_sound);
    }
    store_lower(matrix, stride, block.order, ti, tj, -1.0f, d);
}

// The same, and what is at fault goes to the findings.
__device__ inline void load_symmetric(const SpdBlock& block, const Item& item, const Damped& first, double tolerance, f32* matrix,
                                      uint64_t stride, Findings& findings) {
    const auto look = [&](const Source<f32>& source, uint32_t ti, uint32_t tj, TileMicro<f32>&, f32 bound, bool is_sound) {
        if (!is_sound) {
            source.template find<MICRO<f32>>(ti, tj, bound, findings);
        }
    };
    load_symmetric(block, item, first, tolerance, matrix, stride, look);
}

// Writes a tile, on or below the diagonal, of a matrix of whole tiles to where the block's inverse stands, and its mirror image.
__device__ inline void store_symmetric(const f32* matrix, uint64_t stride, const Item& item, const SpdBlock& block) {
    constexpr int M = MICRO<f32>;
    const uint32_t ti = item.i * SIDE + thread() % SIDE, tj = item.j * SIDE + thread() / SIDE;
    if (tj > ti || ti * M >= block.order) {
        return;
    }
    TileMicro<f32> x;
    #pragma unroll
    for (int r = 0; r < M; r++) {
        read_vectors(matrix + uint64_t(ti * M + r) * stride + tj * M, x.at[r]);
    }
    write_symmetric(block, ti, tj, x);
}
