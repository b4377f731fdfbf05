// Products of square tiles: 64 threads, each with M×M elements of the result in registers.
//
// A tile lies in memory row after row, without gaps. Both factors are read by rows: a product is the sum over m of the outer
// products of row m of the one with row m of the other.
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

template <class T> struct TileMemory {
    Panel<T, MICRO<T>, SIDE, SLAB> slabs[2][2];     // of two factors, two stages each
    Panel<T, MICRO<T>, SIDE, TILE<T>> held;         // a factor that comes from registers
    SweepMemory<T, MICRO<T>, SIDE> sweep;
};

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
__device__ inline void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for all but the last group.
__device__ inline void await_copies() { asm volatile("cp.async.wait_group 1;" ::: "memory"); }

// Row `first` of a tile and the rows behind it.
template <class T, class Slab> __device__ void copy_slab(const T* tile, int first, Slab& slab) {
    constexpr int PACKS = Slab::PARTS * SIDE;  // a row
    static_assert(TILE_THREADS % PACKS == 0 && SLAB % (TILE_THREADS / PACKS) == 0);
    const uint32_t x = thread();
    const uint32_t part = x % PACKS / SIDE, column = x % SIDE, row = x / PACKS;
    auto* const to = &slab.at[row][part][column];
    const T* const from = tile + (first + row) * TILE<T> + column * MICRO<T> + part * VECTOR<T>;
    #pragma unroll
    for (int down = 0; down < SLAB; down += TILE_THREADS / PACKS) {
        copy_16(to + down * PACKS, from + down * TILE<T>);
    }
}

// Which factor is held in shared memory.
enum class Held { NEITHER, LEFT, RIGHT };

// d += Σ aᵀ_m·b_m over the rows m that are at least `from` and below `to`, both multiples of MICRO; a factor that is held is
// not read. Where a and b are one tile, it is copied once. All threads of the block call.
template <Held HELD, class T>
__device__ void accumulate(TileMicro<T>& d, const T* a, const T* b, int from, int to, uint32_t ti, uint32_t tj,
                           TileMemory<T>& memory) {
    constexpr int M = MICRO<T>;
    const bool once = HELD == Held::NEITHER && a == b;
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
