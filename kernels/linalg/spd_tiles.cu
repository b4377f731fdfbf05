// Factors and inverses of positive-definite blocks of any order, by tiles that many thread blocks share out.
//
//   A = L·Lᵀ    L_ij = (A_ij - Σ_k L_ik·L_jkᵀ)·W_jᵀ,  k < j,  with W_j = L_jj⁻¹          item FACTOR(i, j)
//   V = L⁻¹     V_ij = -W_i·Σ_k L_ik·V_kj,  j ≤ k < i                                     item INVERT(i, j)
//   A⁻¹ = VᵀV   A⁻¹_ij = Σ_k V_kiᵀ·V_kj,  i ≤ k                                           item INVERSE(i, j)
//
// Thread blocks take the items of all matrices one after the other from one list. An item waits for what it is made of, which
// stands before it in the list: whoever has it is at work, so that no wait is for ever, however many thread blocks there are.
// Every element is a sum in one order, whoever computes it and when.
//
// The list is gone through once an attempt. Where a pivot is not positive the attempt is over for that matrix, and the next one
// begins when all items of this one have been left; where an attempt has succeeded, the items of the next ones are left at once.
//
// Where only L is wanted, there are two of it: the one that was made last is kept until the other one is whole.
#include "linalg/tile.cuh"

struct SpdItem { uint32_t tiles, kind, i, j; };
constexpr uint32_t CHECK = 0, FACTOR = 1, INVERT = 2;  // INVERSE is what is left

extern "C" __device__ const uint32_t spd_tiles_layout[9] = {
    sizeof(SpdBlock), sizeof(SpdReport), sizeof(Damped), sizeof(Findings), sizeof(SpdTiles), sizeof(SpdItem), TILE_THREADS,
    TILE<f32>, TILE<f64>,
};

// What is known of an attempt. FAILED: there is another one. OVER: there is none.
constexpr uint32_t SUCCEEDED = 1, FAILED = 2, OVER = 3;

__device__ inline uint32_t acquire(const uint32_t* word) {
    uint32_t value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(word) : "memory");
    return value;
}

__device__ inline void release(uint32_t* word, uint32_t value) {
    asm volatile("st.release.gpu.global.u32 [%0], %1;" :: "l"(word), "r"(value) : "memory");
}

template <class T> struct Tables {
    const SpdItem* items;
    const SpdTiles* tiles;
    const SpdBlock* blocks;
    const Damped* firsts;
    T* workspace;
    uint32_t* flags;
    double* partials;
    Findings* findings;
    SpdReport* reports;
    uint32_t* kept;  // a word for every row of tiles
    const uint32_t* done;  // null, or not zero of blocks that need nothing
};

// What the threads of a block know of the item they work on.
struct Shared {
    SpdTiles tiles;
    SpdItem item;
    uint32_t attempt, go, is_done;
};

template <class T> struct FactorMemory {
    TileMemory<T> tiles;
    SweepMemory<T, MICRO<T>, SIDE> sweep;
};

// The work on one item. All threads of the block call each function, save those that say otherwise.
template <class T> struct Worker {
    static constexpr int M = MICRO<T>;

    const Tables<T>& tables;
    const SpdSettings& settings;
    FactorMemory<T>& memory;
    Shared& shared;
    // The registers are for sums: what all threads know lies in shared memory.
    const SpdTiles& tiles;
    const uint32_t& attempt;

    __device__ static uint32_t thread_row() { return thread() % SIDE; }
    __device__ static uint32_t thread_column() { return thread() / SIDE; }

    __device__ T* factor(uint32_t i, uint32_t j) const {
        return tables.workspace + tiles.factor + uint64_t(triangle(i, j)) * TILE_ELEMENTS<T>;
    }
    __device__ T* inverse(uint32_t i, uint32_t j) const {
        return tables.workspace + tiles.inverse + uint64_t(triangle(i, j)) * TILE_ELEMENTS<T>;
    }

    __device__ static Rows<T> rows(const T* tile) { return {tile}; }

    // The block's flags: for every tile of L, and of V, the last attempt that has made it, from 1; the verdict on each attempt;
    // numbers of tile rows that are checked and of items that are left.
    __device__ uint32_t* factor_flag(uint32_t i, uint32_t j) const { return tables.flags + tiles.flags + triangle(i, j); }
    __device__ uint32_t* inverse_flag(uint32_t i, uint32_t j) const { return factor_flag(tiles.side, 0) + triangle(i, j); }
    __device__ uint32_t* verdict(uint32_t of) const { return inverse_flag(tiles.side, 0) + of; }
    __device__ uint32_t* checked() const { return verdict(settings.retries + 1); }
    __device__ uint32_t* left() const { return checked() + 1; }

    // What thread 0 finds out.
    template <class Question> __device__ bool ask(Question question) const {
        if (thread() == 0) {
            shared.go = question();
        }
        __syncthreads();
        const bool answer = shared.go;
        __syncthreads();
        return answer;
    }

    // One thread: waits for a tile of this attempt. False where the attempt ends before.
    __device__ bool await(const uint32_t* flag) const {
        while (acquire(flag) <= attempt) {
            if (acquire(verdict(attempt)) >= FAILED) {
                return false;
            }
            __nanosleep(100);
        }
        return true;
    }

    // One thread: waits for the verdict on an attempt.
    __device__ uint32_t await_verdict(uint32_t of) const {
        uint32_t found;
        while ((found = acquire(verdict(of))) == 0) {
            __nanosleep(100);
        }
        return found;
    }

    // One thread: waits until a counter has come to a number.
    __device__ void await_count(const uint32_t* counter, uint32_t number) const {
        while (acquire(counter) < number) {
            __nanosleep(100);
        }
    }

    // What all threads have written before is there.
    __device__ void publish(uint32_t* flag) const {
        __syncthreads();
        if (thread() == 0) {
            __threadfence();
            release(flag, attempt + 1);
        }
    }

    // One thread.
    __device__ void decide(uint32_t what) const {
        __threadfence();
        for (uint32_t of = attempt; of <= (what == FAILED ? attempt : settings.retries); of++) {
            release(verdict(of), what);
        }
    }

    // Whether a thread has elements of the matrix in tile row i.
    __device__ bool has_rows(uint32_t i) const {
        return i * TILE<T> + thread_row() * M < tables.blocks[tiles.block].order;
    }

    // Looks at tile row i of the source for faults.
    __device__ void check(uint32_t i) const {
        const Source<T> source(tables.blocks[tiles.block]);
        const T bound = asymmetry_bound<T>(tables.firsts[tiles.block], settings);
        const uint32_t end = min((i + 1) * SIDE, (source.order + M - 1) / M);
        for (uint32_t micro_row = i * SIDE; micro_row < end; micro_row++) {
            for (uint32_t micro_column = thread(); micro_column <= micro_row; micro_column += TILE_THREADS) {
                TileMicro<T> d;
                if (!(source.read_negative(micro_row, micro_column, d) <= bound)) {
                    source.template find<M>(micro_row, micro_column, bound, tables.findings[shared.item.tiles]);
                }
            }
        }
        __syncthreads();
        if (thread() == 0) {
            __threadfence();
            atomicAdd(checked(), 1);
        }
    }

    // One thread, at the first tile: whether this attempt is to be made. No other item writes before this one has.
    __device__ bool begins() const {
        if (attempt > 0) {
            await_count(left(), attempt * tiles.items);
            return true;
        }
        await_count(checked(), tiles.side);
        const Findings findings = tables.findings[shared.item.tiles];
        if (findings.not_finite == NOWHERE && findings.asymmetric == NOWHERE) {
            return true;
        }
        const Source<T> source(tables.blocks[tiles.block]);
        tables.reports[tiles.block] = report_findings(source, findings, tables.firsts[tiles.block].damping);
        decide(OVER);
        return false;
    }

    // What the blocks' first damping has grown to.
    __device__ double damping() const {
        const Damped first = tables.firsts[tiles.block];
        double damping = first.damping;
        for (uint32_t k = 0; k < attempt; k++) {
            damping = next_damping<T>(damping, first, settings);
        }
        return damping;
    }

    // The first warp: what becomes of tile j's pivots, and after the last tile of all.
    __device__ void conclude(uint32_t j) const {
        const uint32_t order = tables.blocks[tiles.block].order;
        double* const partials = tables.partials + tiles.partials;
        SpdReport report = {damping(), 0.0, INFINITY, 0.0, INVERTED, attempt, 0, 0};
        summarise(memory.sweep.pivots, min(order - j * TILE<T>, uint32_t(TILE<T>)), report.log_determinant,
                  report.smallest_pivot);
        if (thread() == 0) {
            partials[2 * j] = report.log_determinant;
            partials[2 * j + 1] = report.smallest_pivot;
            if (j + 1 == tiles.side) {
                for (uint32_t k = j; k-- > 0;) {
                    report.log_determinant += partials[2 * k];
                    report.smallest_pivot = min(report.smallest_pivot, partials[2 * k + 1]);
                }
                tables.reports[tiles.block] = report;
                if (!tiles.wants_inverse) {
                    uint32_t* const kept = tables.kept + shared.item.tiles;
                    release(kept, acquire(kept) == KEPT_FIRST ? KEPT_SECOND : KEPT_FIRST);
                }
                decide(SUCCEEDED);
            }
        }
    }

    // L_jj's inverse in place of L_jj.
    __device__ void factor_diagonal(TileMicro<T>& d, uint32_t j) const {
        const uint32_t ti = thread_row(), tj = thread_column();
        if (thread() == 0) {
            memory.sweep.tiles = SIDE;
        }
        __syncthreads();
        if (!sweep<Leaves::INVERSE_FACTOR>(d, ti, tj, memory.sweep)) {
            if (thread() == 0) {
                const bool last = attempt == settings.retries;
                if (last) {
                    const uint32_t failed = j * TILE<T> + memory.sweep.failed;
                    tables.reports[tiles.block] = {damping(), NAN, NAN, double(memory.sweep.failed_pivot),
                                                   NOT_POSITIVE_DEFINITE, attempt, failed, failed};
                }
                decide(last ? OVER : FAILED);
            }
            return;
        }
        if (tj > ti) {
            set_zero(d);
        }
        store_columns(factor(j, j), ti, tj, d);
        if (tiles.wants_inverse) {
            store_rows(inverse(j, j), ti, tj, d);
        }
        if (thread() < 32) {
            conclude(j);
        }
        if (tiles.wants_inverse) {
            publish(inverse_flag(j, j));
        }
        publish(factor_flag(j, j));
    }

    __device__ void make_factor(uint32_t i, uint32_t j) const {
        const uint32_t ti = thread_row(), tj = thread_column();
        if (i == 0 && !ask([&] { return begins(); })) {
            return;
        }
        TileMicro<T> d;
        const Source<T> source(tables.blocks[tiles.block]);
        const bool below = i != j || tj <= ti;
        if (below) {
            source.read_negative(i * SIDE + ti, j * SIDE + tj, d);
            if (i == j && ti == tj) {
                source.damp(i * SIDE + ti, damping(), d);
            }
        } else {
            set_zero(d);
        }
        const bool takes = below && has_rows(i);
        for (uint32_t k = 0; k < j; k++) {
            if (!ask([&] { return await(factor_flag(i, k)) && await(factor_flag(j, k)); })) {
                return;
            }
            accumulate<Held::NEITHER>(d, rows(factor(i, k)), rows(factor(j, k)), 0, takes ? TILE<T> : 0, ti, tj,
                                       memory.tiles);
        }
        if (i == j) {
            factor_diagonal(d, j);
            return;
        }
        #pragma unroll
        for (int c = 0; c < M; c++) {
            T values[M];
            column(d, c, values);
            #pragma unroll
            for (int r = 0; r < M; r++) {
                values[r] = -values[r];
            }
            memory.tiles.held.write(tj * M + c, ti, values);
        }
        if (!ask([&] { return await(factor_flag(j, j)); })) {
            return;
        }
        set_zero(d);
        accumulate<Held::LEFT>(d, Nothing(), rows(factor(j, j)), 0, takes ? (tj + 1) * M : 0, ti, tj, memory.tiles);
        store_columns(factor(i, j), ti, tj, d);
        publish(factor_flag(i, j));
    }

    __device__ void make_inverse_factor(uint32_t i, uint32_t j) const {
        const uint32_t ti = thread_row(), tj = thread_column();
        TileMicro<T> d;
        set_zero(d);
        const bool takes = has_rows(i);
        for (uint32_t k = j; k < i; k++) {
            if (!ask([&] { return await(factor_flag(i, k)) && await(inverse_flag(k, j)); })) {
                return;
            }
            // V_jj has nothing above its diagonal.
            const int from = k == j ? tj * M : 0;
            accumulate<Held::NEITHER>(d, rows(factor(i, k)), rows(inverse(k, j)), from, takes ? TILE<T> : 0, ti, tj,
                                       memory.tiles);
        }
        #pragma unroll
        for (int r = 0; r < M; r++) {
            T values[M];
            #pragma unroll
            for (int c = 0; c < M; c++) {
                values[c] = -d.at[r][c];
            }
            memory.tiles.held.write(ti * M + r, tj, values);
        }
        if (!ask([&] { return await(factor_flag(i, i)); })) {
            return;
        }
        set_zero(d);
        accumulate<Held::RIGHT>(d, rows(factor(i, i)), Nothing(), 0, takes ? (ti + 1) * M : 0, ti, tj, memory.tiles);
        store_rows(inverse(i, j), ti, tj, d);
        publish(inverse_flag(i, j));
    }

    __device__ void make_inverse(uint32_t i, uint32_t j) const {
        const uint32_t ti = thread_row(), tj = thread_column();
        if (!ask([&] { return await_verdict(attempt) == SUCCEEDED; })) {
            return;
        }
        TileMicro<T> d;
        set_zero(d);
        const bool takes = (i != j || tj <= ti) && has_rows(i);
        for (uint32_t k = i; k < tiles.side; k++) {
            // Nothing fails any more.
            ask([&] { return await(inverse_flag(k, i)) && await(inverse_flag(k, j)); });
            const int from = k > i ? 0 : i == j ? max(ti, tj) * M : ti * M;
            accumulate<Held::NEITHER>(d, rows(inverse(k, i)), rows(inverse(k, j)), from, takes ? TILE<T> : 0, ti, tj,
                                       memory.tiles);
        }
        if (takes) {
            write_symmetric(tables.blocks[tiles.block], i * SIDE + ti, j * SIDE + tj, d);
        }
    }

    __device__ void run() const {
        const SpdItem& item = shared.item;
        if (item.kind == CHECK) {
            if (attempt == 0) {
                check(item.i);
            }
            return;
        }
        if (attempt == 0 || ask([&] { return await_verdict(attempt - 1) == FAILED; })) {
            if (item.kind == FACTOR) {
                make_factor(item.i, item.j);
            } else if (item.kind == INVERT) {
                make_inverse_factor(item.i, item.j);
            } else {
                make_inverse(item.i, item.j);
            }
        }
        __syncthreads();
        if (thread() == 0) {
            __threadfence();
            atomicAdd(left(), 1);
        }
    }
};

template <class T>
__device__ void work(const Tables<T>& tables, uint32_t item_count, const SpdSettings& settings) {
    __shared__ FactorMemory<T> memory;
    __shared__ Shared shared;
    const Worker<T> worker = {tables, settings, memory, shared, shared.tiles, shared.attempt};
    while (true) {
        if (thread() == 0) {
            const uint32_t taken = atomicAdd(tables.flags, 1);  // the first flag is the ticket
            shared.attempt = taken / item_count;
            shared.item = tables.items[taken % item_count];
            SpdTiles tiles = tables.tiles[shared.item.tiles];
            if (!tiles.wants_inverse && acquire(tables.kept + shared.item.tiles) == KEPT_FIRST) {
                tiles.factor = tiles.inverse;
            }
            shared.tiles = tiles;
            shared.is_done = tables.done != nullptr && tables.done[tiles.block] != 0;
        }
        __syncthreads();
        if (shared.attempt > settings.retries) {
            return;
        }
        if (!shared.is_done) {
            worker.run();
        }
        __syncthreads();
    }
}

#define KERNEL(T)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(TILE_THREADS, 6)                                                         \
    spd_tiles_##T(const SpdItem* items, uint32_t item_count, const SpdTiles* tiles, const SpdBlock* blocks,                  \
                  const Damped* firsts, double growth, double tolerance, uint32_t retries, T* workspace,                  \
                  uint32_t* flags, double* partials, Findings* findings, SpdReport* reports, uint32_t* kept,              \
                  const uint32_t* done) {                                                                                 \
        const Tables<T> tables = {items, tiles, blocks, firsts, workspace, flags, partials, findings, reports, kept,      \
                                  done};                                                                                  \
        work(tables, item_count, {growth, tolerance, retries});                                                           \
    }
KERNEL(f32) KERNEL(f64)
