// Solutions of L·Lᵀ·X = B for the factors that linalg/spd_tiles.cu keeps.
//
//   L·Y = B     Y_i = W_i·(B_i - Σ_k L_ik·Y_k),  k < i
//   Lᵀ·X = Y    X_i = W_iᵀ·(Y_i - Σ_k L_kiᵀ·X_k),  k > i
//
// A thread block takes a strip of B, as wide as a tile, from the first tile row to the last and back. Strips have nothing to do
// with each other. Y, then X stand where B stood: a strip needs no other memory. An element of X is a sum in one order, which
// its column's place in B does not change.
#include "linalg/tile.cuh"

// The right-hand sides of a matrix [order×columns], which becomes X, row after row; the rows of tiles stand in the same order.
struct Sides {
    uint64_t at, stride;      // device address, elements from row to row
    uint32_t order, columns;
    uint32_t first, unused;   // strips of the rows before
};
static_assert(sizeof(Sides) == 32);

extern "C" __device__ const uint32_t spd_solve_layout[5] = {
    sizeof(SpdTiles), sizeof(Sides), TILE_THREADS, TILE<f32>, TILE<f64>,
};

template <class T> struct Strip {
    T* at;
    const T* factor;  // null where there is none
    uint64_t stride;
    uint32_t order, columns, side;
    bool vectors;     // accesses of 16 bytes are aligned

    __device__ T* row(uint32_t i) const { return at + i * stride; }
};

// A tile row of a strip, filled up with zeros.
template <class T> struct StripRows {
    const Strip<T>& strip;
    uint32_t row;
};

// SLAB rows of a strip from row i on, to a panel from row `to` on.
template <class T, class Panel> __device__ void copy_rows(const Strip<T>& strip, uint32_t i, Panel& panel, uint32_t to) {
    constexpr int M = MICRO<T>, V = VECTOR<T>;
    const uint32_t x = thread();
    if (strip.vectors) {
        const uint32_t pack = x % Panel::PACKS, j = pack % SIDE * M + pack / SIDE * V;
        const uint32_t count = j < strip.columns ? min(strip.columns - j, uint32_t(V)) * uint32_t(sizeof(T)) : 0;
        #pragma unroll 1
        for (uint32_t row = x / Panel::PACKS; row < SLAB; row += TILE_THREADS / Panel::PACKS) {
            copy_16(&panel.at[to + row][pack], strip.row(i + row) + j, i + row < strip.order ? count : 0);
        }
        return;
    }
    const uint32_t j = x % TILE<T>, pack = j % M / V * SIDE + j / M;
    #pragma unroll 1
    for (uint32_t row = x / TILE<T>; row < SLAB; row += TILE_THREADS / TILE<T>) {
        copy_element(panel.at[to + row][pack].element + j % V, strip.row(i + row) + j,
                     i + row < strip.order && j < strip.columns);
    }
}

template <class T> __device__ void copy_slab(const StripRows<T>& factor, int first, Slab<T>& slab) {
    copy_rows(factor.strip, factor.row * TILE<T> + first, slab, 0);
}

enum class Pass { FORWARD, BACKWARD };

// The work on a strip. All threads of the block call each function.
template <class T> struct Solver {
    static constexpr int M = MICRO<T>;

    // The registers are for sums: what all threads know lies in shared memory.
    TileMemory<T>& memory;
    const Strip<T>& strip;

    __device__ Rows<T> rows(uint32_t i, uint32_t j) const { return {tile(i, j)}; }
    __device__ Columns<T> columns(uint32_t i, uint32_t j) const { return {tile(i, j)}; }
    __device__ const T* tile(uint32_t i, uint32_t j) const {
        return strip.factor + uint64_t(triangle(i, j)) * TILE_ELEMENTS<T>;
    }

    // Rows of tile row i that the matrix has, and some that are zero.
    __device__ uint32_t height(uint32_t i) const {
        return min(strip.order - i * TILE<T> + M - 1, uint32_t(TILE<T>)) / M * M;
    }

    // Minus what stands in tile row i.
    __device__ void read_negative(uint32_t i, uint32_t ti, uint32_t tj, TileMicro<T>& d) const {
        for (uint32_t row = 0; row < TILE<T>; row += SLAB) {
            copy_rows(strip, i * TILE<T> + row, memory.held, row);
        }
        await_all_copies();
        __syncthreads();
        #pragma unroll
        for (int r = 0; r < M; r++) {
            memory.held.read(ti * M + r, tj, d.at[r]);
            #pragma unroll
            for (int c = 0; c < M; c++) {
                d.at[r][c] = -d.at[r][c];
            }
        }
    }

    __device__ void hold(uint32_t ti, uint32_t tj, const TileMicro<T>& d) const {
        #pragma unroll
        for (int r = 0; r < M; r++) {
            memory.held.write(ti * M + r, tj, d.at[r]);
        }
    }

    // Writes what is held to tile row i.
    __device__ void write_held(uint32_t i) const {
        __syncthreads();
        const uint32_t x = thread(), end = min(strip.order - i * TILE<T>, uint32_t(TILE<T>));
        T* const to = strip.row(i * TILE<T>);
        if (strip.vectors) {
            constexpr uint32_t V = VECTOR<T>, PACKS = Slab<T>::PACKS;
            const uint32_t pack = x % PACKS, j = pack % SIDE * M + pack / SIDE * V;
            for (uint32_t row = x / PACKS; row < end; row += TILE_THREADS / PACKS) {
                const auto values = memory.held.at[row][pack];
                T* const place = to + row * strip.stride + j;
                if (j + V <= strip.columns) {
                    store(place, values);
                } else {
                    #pragma unroll
                    for (uint32_t k = 0; k < V; k++) {
                        if (j + k < strip.columns) {
                            place[k] = values.element[k];
                        }
                    }
                }
            }
        } else {
            constexpr uint32_t V = VECTOR<T>;
            const uint32_t j = x % TILE<T>, pack = j % M / V * SIDE + j / M;
            for (uint32_t row = x / TILE<T>; row < end && j < strip.columns; row += TILE_THREADS / TILE<T>) {
                to[row * strip.stride + j] = memory.held.at[row][pack].element[j % V];
            }
        }
        __syncthreads();
    }

    template <Pass PASS> __device__ void step(uint32_t i) const {
        constexpr bool FORWARD = PASS == Pass::FORWARD;
        // Neighbouring threads have elements of one row, which lie in different banks of what is held.
        const uint32_t ti = thread() / SIDE, tj = thread() % SIDE;
        TileMicro<T> d;
        set_zero(d);
        read_negative(i, ti, tj, d);
        const bool takes = ti * M < height(i) && tj * M < strip.columns;
        for (uint32_t k = FORWARD ? 0 : i + 1; k < (FORWARD ? i : strip.side); k++) {
            const int to = takes ? height(k) : 0;
            const StripRows<T> solved = {strip, k};
            if constexpr (FORWARD) {
                accumulate<Held::NEITHER>(d, rows(i, k), solved, 0, to, ti, tj, memory);
            } else {
                accumulate<Held::NEITHER>(d, columns(k, i), solved, 0, to, ti, tj, memory);
            }
        }
        // W takes the sums as they are: that they are negative is made good below.
        hold(ti, tj, d);
        set_zero(d);
        if constexpr (FORWARD) {
            accumulate<Held::RIGHT>(d, rows(i, i), Nothing(), 0, takes ? (ti + 1) * M : 0, ti, tj, memory);
        } else {
            accumulate<Held::RIGHT>(d, columns(i, i), Nothing(), ti * M, takes ? height(i) : 0, ti, tj, memory);
        }
        #pragma unroll
        for (int r = 0; r < M; r++) {
            #pragma unroll
            for (int c = 0; c < M; c++) {
                d.at[r][c] = -d.at[r][c];
            }
        }
        hold(ti, tj, d);
        write_held(i);
    }

    __device__ void run() const {
        for (uint32_t i = 0; i < strip.side; i++) {
            step<Pass::FORWARD>(i);
        }
        for (uint32_t i = strip.side; i-- > 0;) {
            step<Pass::BACKWARD>(i);
        }
    }
};

// The strip of a thread block: the last row whose first strip it is, or comes before it, has it.
template <class T>
__device__ Strip<T> find_strip(const Sides* sides, uint32_t count, const SpdTiles* tiles, const T* workspace,
                               const uint32_t* kept) {
    uint32_t low = 0, high = count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        (sides[middle].first <= blockIdx.x ? low : high) = middle;
    }
    const Sides own = sides[low];
    const uint32_t left = (blockIdx.x - own.first) * TILE<T>, which = kept[low];
    T* const at = reinterpret_cast<T*>(own.at) + left;
    const T* const factor = workspace + (which == KEPT_FIRST ? tiles[low].factor : tiles[low].inverse);
    const bool vectors = own.at % 16 == 0 && own.stride % VECTOR<T> == 0;
    return {at, which == KEPT_NONE ? nullptr : factor, own.stride, own.order,
            min(own.columns - left, uint32_t(TILE<T>)), tiles[low].side, vectors};
}

#define KERNEL(T)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(TILE_THREADS, 6)                                                         \
    spd_solve_##T(const Sides* sides, uint32_t count, const SpdTiles* tiles, const T* workspace, const uint32_t* kept) {  \
        __shared__ TileMemory<T> memory;                                                                                  \
        __shared__ Strip<T> strip;                                                                                        \
        if (thread() == 0) {                                                                                              \
            strip = find_strip<T>(sides, count, tiles, workspace, kept);                                                  \
        }                                                                                                                 \
        __syncthreads();                                                                                                  \
        if (strip.factor != nullptr) {                                                                                    \
            Solver<T>{memory, strip}.run();                                                                               \
        }                                                                                                                 \
    }
KERNEL(f32) KERNEL(f64)
