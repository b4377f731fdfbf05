// Products of square tiles: 64 threads, each with M×M elements of the result in registers.
//
// A tile lies in memory row after row, without gaps. A product is the sum over m of the outer products of row m of the one
// factor with row m of the other; a factor says how its rows are copied to shared memory.
#pragma once
#include "linalg/sweep.cuh"

constexpr uint32_t TILE_THREADS = 64;
constexpr int SIDE = 8;  // threads a side

template <class T> constexpr int MICRO = sizeof(T) == 4 ? 8 : 4;  // elements a side of a thread
template <class T> constexpr int TILE = SIDE * MICRO<T>;
template <class T> constexpr uint32_t TILE_ELEMENTS = TILE<T> * TILE<T>;

template <class T> using TileMicro = Micro<T, MICRO<T>>;

// Rows that are copied to shared memory at a time, while those before are multiplied.
constexpr int SLAB = 16;

// A pad moves each row on by four banks, so that a column can be written at once.
template <class T> using Slab = Panel<T, MICRO<T>, SIDE, SLAB, 1>;

template <class T> struct TileMemory {
    Slab<T> slabs[2][2];                            // of two factors, two stages each
    Panel<T, MICRO<T>, SIDE, TILE<T>> held;         // a factor that comes from registers
};

// The tiles of a matrix, in a row of a table.
struct SpdTiles {
    uint64_t factor, inverse;  // element of the workspace where the tiles of L, and of V, begin; tile (i, j), j ≤ i, is the
                               // (i(i + 1)/2 + j)-th. L by columns with W_j in place of L_jj, V by rows
    uint32_t block, side;      // row of the block table, tiles a side
    uint32_t flags, items;     // where the block's flags begin, how many of the items are its own
    uint32_t partials, wants_inverse;  // where no inverse is wanted, a second L stands in place of V
};
static_assert(sizeof(SpdTiles) == 40);

// Of the two factors of a matrix that is only factored: which one is kept, while the other is made.
constexpr uint32_t KEPT_NONE = 0, KEPT_FIRST = 1, KEPT_SECOND = 2;

__device__ inline uint32_t triangle(uint32_t i, uint32_t j) { return i * (i + 1) / 2 + j; }

// threadIdx.x, read anew: what follows from it must not occupy registers from item to item.
__device__ inline uint32_t thread() {
    uint32_t x;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(x));
    return x;
}

__device__ inline void copy_16(void* to, const void* from) {
    const auto address = uint32_t(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(address), "l"(from) : "memory");
}
// Copies `count` bytes, and zeros for the rest of the 16; of none, the address may be any.
__device__ inline void copy_16(void* to, const void* from, uint32_t count) {
    const auto address = uint32_t(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(address), "l"(from), "r"(count) : "memory");
}
// Copies an element, or zero.
template <class T> __device__ void copy_element(T* to, const T* from, bool exists = true) {
    const auto address = uint32_t(__cvta_generic_to_shared(to));
    const uint32_t count = exists ? sizeof(T) : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                 :: "r"(address), "l"(from), "n"(sizeof(T)), "r"(count) : "memory");
}
__device__ inline void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for all but the last group.
__device__ inline void await_copies() { asm volatile("cp.async.wait_group 1;" ::: "memory"); }
__device__ inline void await_all_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// A tile that is read by its rows.
template <class T> struct Rows { const T* tile; };
// A tile whose columns are read in place of rows.
template <class T> struct Columns { const T* tile; };
// In place of a factor that is held.
struct Nothing {};

// Row `first` of a factor and the rows behind it.
template <class T> __device__ void copy_slab(const Rows<T>& factor, int first, Slab<T>& slab) {
    constexpr int PACKS = Slab<T>::PACKS;
    static_assert(TILE_THREADS % PACKS == 0 && SLAB % (TILE_THREADS / PACKS) == 0);
    const uint32_t x = thread();
    const uint32_t part = x % PACKS / SIDE, column = x % SIDE, row = x / PACKS;
    auto* const to = &slab.at[row][x % PACKS];
    const T* const from = factor.tile + (first + row) * TILE<T> + column * MICRO<T> + part * VECTOR<T>;
    #pragma unroll
    for (int down = 0; down < SLAB; down += TILE_THREADS / PACKS) {
        copy_16(to + down * (PACKS + 1), from + down * TILE<T>);
    }
}

// Eight neighbouring threads read eight neighbouring elements of a row of the tile, and write a column of the slab.
template <class T> __device__ void copy_slab(const Columns<T>& factor, int first, Slab<T>& slab) {
    constexpr int V = VECTOR<T>, PACKS = Slab<T>::PACKS, AT_ONCE = TILE_THREADS / (8 * V);
    static_assert(SIDE % AT_ONCE == 0 && SLAB % 8 == 0);
    const uint32_t x = thread();
    const uint32_t row = x % 8, k = x / 8 % V, pack = x / (8 * V);
    T* const to = slab.at[row][pack].element + k;
    const T* const from = factor.tile + (pack * MICRO<T> + k) * TILE<T> + first + row;
    #pragma unroll
    for (int on = 0; on < PACKS; on += AT_ONCE) {
        #pragma unroll
        for (int down = 0; down < SLAB; down += 8) {
            const int column = on % SIDE * MICRO<T> + on / SIDE * V;
            copy_element(to + (down * (PACKS + 1) + on) * V, from + column * TILE<T> + down);
        }
    }
}

template <class A, class B> __device__ bool are_same(const A&, const B&) { return false; }
template <class T> __device__ bool are_same(const Rows<T>& a, const Rows<T>& b) { return a.tile == b.tile; }

// Which factor is held in shared memory.
enum class Held { NEITHER, LEFT, RIGHT };

// d += Σ aᵀ_m·b_m over the rows m that are at least `from` and below `to`, both multiples of MICRO; a factor that is held is
// not copied. Where a and b are one tile, it is copied once. All threads of the block call.
template <Held HELD, class T, class A, class B>
__device__ void accumulate(TileMicro<T>& d, const A& a, const B& b, int from, int to, uint32_t ti, uint32_t tj,
                           TileMemory<T>& memory) {
    constexpr int M = MICRO<T>;
    const bool once = HELD == Held::NEITHER && are_same(a, b);
    const auto copy = [&](int slab) {
        if constexpr (HELD != Held::LEFT) {
            copy_slab(a, slab * SLAB, memory.slabs[0][slab % 2]);
        }
        if constexpr (HELD != Held::RIGHT) {
            if (!once) {
                copy_slab(b, slab * SLAB, memory.slabs[1][slab % 2]);
            }
        }
        end_copies();
    };
    copy(0);
    #pragma unroll 1
    for (int slab = 0; slab < TILE<T> / SLAB; slab++) {
        if (slab + 1 < TILE<T> / SLAB) {
            copy(slab + 1);
        } else {
            end_copies();
        }
        await_copies();
        __syncthreads();
        const auto& slab_a = memory.slabs[0][slab % 2];
        const auto& slab_b = once ? slab_a : memory.slabs[1][slab % 2];
        const int end = min(to - slab * SLAB, SLAB);
        #pragma unroll 1
        for (int first = max(from - slab * SLAB, 0); first < end; first += 4) {
            #pragma unroll
            for (int m = 0; m < 4; m++) {
                T left[M], right[M];
                if constexpr (HELD == Held::LEFT) {
                    memory.held.read(slab * SLAB + first + m, ti, left);
                } else {
                    slab_a.read(first + m, ti, left);
                }
                if constexpr (HELD == Held::RIGHT) {
                    memory.held.read(slab * SLAB + first + m, tj, right);
                } else {
                    slab_b.read(first + m, tj, right);
                }
                #pragma unroll
                for (int r = 0; r < M; r++) {
                    #pragma unroll
                    for (int c = 0; c < M; c++) {
                        d.at[r][c] = fma(left[r], right[c], d.at[r][c]);
                    }
                }
            }
        }
        __syncthreads();
    }
}

// Column c of a thread's elements.
template <class T, int M> __device__ void column(const Micro<T, M>& d, int c, T (&to)[M]) {
    #pragma unroll
    for (int r = 0; r < M; r++) {
        to[r] = d.at[r][c];
    }
}

// Stores a tile by rows.
template <class T> __device__ void store_rows(T* tile, uint32_t ti, uint32_t tj, const TileMicro<T>& d) {
    constexpr int M = MICRO<T>;
    #pragma unroll
    for (int r = 0; r < M; r++) {
        write_vectors(tile + (ti * M + r) * TILE<T> + tj * M, d.at[r]);
    }
}

// Stores a tile by columns: its transpose by rows.
template <class T> __device__ void store_columns(T* tile, uint32_t ti, uint32_t tj, const TileMicro<T>& d) {
    constexpr int M = MICRO<T>;
    #pragma unroll
    for (int c = 0; c < M; c++) {
        T values[M];
        column(d, c, values);
        write_vectors(tile + (tj * M + c) * TILE<T> + ti * M, values);
    }
}
