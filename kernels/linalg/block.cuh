// Symmetric positive-definite blocks of a ragged list: their tables, and the way between memory and registers.
//
// Below, a block is a matrix. Its order is its number of rows. Only what stands on or below the diagonal is computed with.
#pragma once
#include "core/fmath.cuh"
#include "core/pack.cuh"

// Elements of an access of 16 bytes.
template <class T> constexpr int VECTOR = 16 / sizeof(T);

// How a symmetric matrix lies in memory.
constexpr uint32_t FULL = 0;    // row after row; both halves are read and compared
constexpr uint32_t LOWER = 1;   // row after row; what stands above the diagonal is not read
constexpr uint32_t PACKED = 2;  // row i has i + 1 elements and follows the row before without a gap

struct SpdBlock {
    uint64_t source, border;        // device addresses; the border is 0 where there is none
    uint64_t inverse;               // the device address of what is written, row after row; 0 where only a factor is wanted
    uint32_t order, core;           // core is order, or order - 1 where the last row stands in border
    uint32_t source_stride, inverse_stride;  // elements from row to row
    uint32_t form, partner;         // whose mean diagonal balances the damping: the block itself where nothing does
};
static_assert(sizeof(SpdBlock) == 48);

constexpr uint32_t INVERTED = 0;
constexpr uint32_t NOT_POSITIVE_DEFINITE = 1;  // after the last retry
constexpr uint32_t NOT_FINITE = 2;
constexpr uint32_t ASYMMETRIC = 3;

// What became of a block. The row, column and value are those of the fault that the last attempt met.
struct SpdReport {
    double damping, log_determinant, smallest_pivot, value;
    uint32_t status, retries, row, column;
};
static_assert(sizeof(SpdReport) == 48);

// What all blocks of a call share.
struct SpdSettings {
    double growth;     // of the damping from attempt to attempt
    double tolerance;  // of asymmetry, in mean diagonal elements
    uint32_t retries;
};

// What a block is damped with at first, and the mean of its diagonal, of which a block that is not positive definite may have a
// negative one.
struct Damped { double damping, mean; };

template <class T> constexpr double EPSILON = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;

// The damping of the next attempt: at least what a diagonal element can notice.
template <class T> __device__ double next_damping(double damping, const Damped& first, const SpdSettings& settings) {
    return max(damping * settings.growth, EPSILON<T> * abs(first.mean));
}

// How much elements that should be equal may differ.
template <class T> __device__ T asymmetry_bound(const Damped& first, const SpdSettings& settings) {
    return T(settings.tolerance * abs(first.mean));
}

constexpr unsigned long long NOWHERE = ~0ull;

// The first faulty elements of a source, by row, then column; atomic minima, which do not depend on the order of threads.
struct Findings { unsigned long long not_finite, asymmetric; };

template <class T> __device__ bool is_finite(T x) { return abs(x) < T(INFINITY); }

// M×M neighbouring elements in the registers of a thread.
template <class T, int M> struct Micro { T at[M][M]; };

template <class T, int M> __device__ void set_zero(Micro<T, M>& d) {
    #pragma unroll
    for (int r = 0; r < M; r++) {
        #pragma unroll
        for (int c = 0; c < M; c++) {
            d.at[r][c] = T(0);
        }
    }
}

// N elements in accesses of 16 bytes.
template <class T, int N> __device__ void read_vectors(const T* from, T (&to)[N]) {
    #pragma unroll
    for (int v = 0; v < N; v += VECTOR<T>) {
        const auto pack = load<VECTOR<T>>(from + v);
        #pragma unroll
        for (int k = 0; k < VECTOR<T>; k++) {
            to[v + k] = pack.element[k];
        }
    }
}

template <class T, int N> __device__ void write_vectors(T* to, const T (&from)[N]) {
    #pragma unroll
    for (int v = 0; v < N; v += VECTOR<T>) {
        Pack<T, VECTOR<T>> pack;
        #pragma unroll
        for (int k = 0; k < VECTOR<T>; k++) {
            pack.element[k] = from[v + k];
        }
        store(to + v, pack);
    }
}

template <class T> __device__ bool takes_vectors(const T* address, uint32_t stride) {
    return reinterpret_cast<uint64_t>(address) % 16 == 0 && stride % VECTOR<T> == 0;
}

// Keeps the compiler from loading now what comes later, for which it would need more registers than there are.
__device__ inline void load_no_earlier() { asm volatile("" ::: "memory"); }

// Makes the compiler forget what it has computed from a number, and with it the registers that hold it.
__device__ inline void compute_anew(uint32_t& number) { asm volatile("" : "+r"(number)); }

template <class T> struct Source {
    const T* core;
    const T* border;
    uint32_t order, core_order, stride, form;

    __device__ explicit Source(const SpdBlock& block)
        : core(reinterpret_cast<const T*>(block.source)), border(reinterpret_cast<const T*>(block.border)),
          order(block.order), core_order(block.core), stride(block.source_stride), form(block.form) {
        __builtin_assume(__isGlobal(core));
    }

    __device__ const T* row(uint32_t i) const {
        return core + (form == PACKED ? uint64_t(i) * (i + 1) / 2 : uint64_t(i) * stride);
    }

    // On or below the diagonal.
    __device__ T at(uint32_t i, uint32_t j) const { return i < core_order ? row(i)[j] : border[j]; }

    // What must equal `at(i, j)`.
    __device__ T mirrored(uint32_t i, uint32_t j) const {
        return form == FULL && i < core_order ? row(j)[i] : at(i, j);
    }

    __device__ double mean_diagonal(uint32_t lane) const {
        double sum = 0.0;
        for (uint32_t i = lane; i < order; i += 32) {
            sum += double(at(i, i));
        }
        for (int apart = 16; apart > 0; apart /= 2) {
            sum += __shfl_xor_sync(~0u, sum, apart);
        }
        return sum / double(order);
    }

    // Looks for faults among M×M elements, slowly: where they are known to be.
    template <int M> __device__ void find(uint32_t ti, uint32_t tj, T bound, Findings& findings) const {
        #pragma unroll 1
        for (uint32_t i = ti * M; i < min(ti * M + M, order); i++) {
            #pragma unroll 1
            for (uint32_t j = tj * M; j < min(tj * M + M, i + 1); j++) {
                const T x = at(i, j), other = mirrored(i, j);
                const unsigned long long place = uint64_t(i) << 32 | j;
                if (!is_finite(x) || !is_finite(other)) {
                    atomicMin(&findings.not_finite, place);
                } else if (!(abs(x - other) <= bound)) {
                    atomicMin(&findings.asymmetric, place);
                }
            }
        }
    }

    // Reads the negative of M×M elements from (M·ti, M·tj) on, tj ≤ ti; returns their greatest difference from what must
    // equal them, a NaN where one is not finite. The order is filled up with rows of the identity; what is read above the
    // diagonal means nothing.
    template <int M> __device__ T read_negative(uint32_t ti, uint32_t tj, Micro<T, M>& d) const {
        const uint32_t top = ti * M, left = tj * M;
        const bool full = form == FULL;
        const bool inside = top + M <= core_order && (full || (form == LOWER && ti != tj));
        T poison = T(0);  // becomes a NaN by anything that is not finite
        T worst = T(0);
        if (inside && takes_vectors(core, stride)) {
            #pragma unroll
            for (int r = 0; r < M; r++) {
                read_vectors(row(top + r) + left, d.at[r]);
            }
            if (ti == tj) {
                #pragma unroll
                for (int r = 0; r < M; r++) {
                    #pragma unroll
                    for (int c = 0; c < r; c++) {
                        worst = max(worst, abs(d.at[r][c] - d.at[c][r]));
                    }
                }
            } else if (full) {
                #pragma unroll
                for (int c = 0; c < M; c++) {
                    T mirrored[M];
                    read_vectors(row(left + c) + top, mirrored);
                    load_no_earlier();
                    #pragma unroll
                    for (int r = 0; r < M; r++) {
                        poison = fma(mirrored[r], T(0), poison);
                        worst = max(worst, abs(d.at[r][c] - mirrored[r]));
                    }
                }
            }
        } else {
            // A row at a time, at a place of the registers that is not known here: unrolled, the addresses alone would take
            // more registers than there are. Were the places not set before, they would be occupied ever before.
            set_zero(d);
            #pragma unroll 1
            for (uint32_t r = 0; r < M; r++) {
                const uint32_t i = top + r;
                uint32_t first = left;
                compute_anew(first);
                T row_r[M];
                #pragma unroll
                for (int c = 0; c < M; c++) {
                    const uint32_t j = first + c;
                    row_r[c] = T(i == j);
                    if (i < order && j <= i) {
                        row_r[c] = at(i, j);
                        const T other = mirrored(i, j);
                        poison = fma(other, T(0), poison);
                        worst = max(worst, abs(row_r[c] - other));
                    }
                }
                #pragma unroll
                for (int place = 0; place < M; place++) {
                    #pragma unroll
                    for (int c = 0; c < M; c++) {
                        d.at[place][c] = select(place == r, row_r[c], d.at[place][c]);
                    }
                }
            }
        }
        #pragma unroll
        for (int r = 0; r < M; r++) {
            #pragma unroll
            for (int c = 0; c < M; c++) {
                poison = fma(d.at[r][c], T(0), poison);
                d.at[r][c] = -d.at[r][c];
            }
        }
        return poison == T(0) ? worst : poison;
    }

    // Damps a negative diagonal.
    template <int M> __device__ void damp(uint32_t ti, double damping, Micro<T, M>& d) const {
        #pragma unroll
        for (int r = 0; r < M; r++) {
            if (ti * M + r < order) {
                d.at[r][r] = -T(damping - double(d.at[r][r]));
            }
        }
    }
};

// Writes M×M elements of an inverse from (M·ti, M·tj) on and, mirrored, from (M·tj, M·ti) on.
template <class T, int M>
__device__ void write_symmetric(const SpdBlock& block, uint32_t ti, uint32_t tj, const Micro<T, M>& x) {
    T* const to = reinterpret_cast<T*>(block.inverse);
    const uint64_t stride = block.inverse_stride;
    const uint32_t top = ti * M, left = tj * M;
    if (takes_vectors(to, block.inverse_stride) && top + M <= block.order) {
        #pragma unroll
        for (int r = 0; r < M; r++) {
            write_vectors(to + (top + r) * stride + left, x.at[r]);
        }
        #pragma unroll
        for (int c = 0; ti != tj && c < M; c++) {
            T mirrored[M];
            #pragma unroll
            for (int r = 0; r < M; r++) {
                mirrored[r] = x.at[r][c];
            }
            write_vectors(to + (left + c) * stride + top, mirrored);
        }
        return;
    }
    #pragma unroll 1
    for (uint32_t r = 0; r < M; r++) {
        T row[M] = {};
        #pragma unroll
        for (int place = 0; place < M; place++) {
            #pragma unroll
            for (int c = 0; c < M; c++) {
                row[c] = select(place == r, x.at[place][c], row[c]);
            }
        }
        const uint32_t i = top + r;
        uint32_t first = left;
        compute_anew(first);
        #pragma unroll
        for (int c = 0; c < M; c++) {
            const uint32_t j = first + c;
            if (i < block.order && j < block.order) {
                to[i * stride + j] = row[c];
                to[j * stride + i] = row[c];
            }
        }
    }
}

// ln of the product of `order` pivots, and the smallest, by the first warp of a block. The shape of the sum depends on the
// order alone.
template <class T> __device__ void summarise(const T* pivots, uint32_t order, double& log_determinant, double& smallest) {
    log_determinant = 0.0;
    smallest = INFINITY;
    for (uint32_t i = threadIdx.x; i < order; i += 32) {
        log_determinant += fmath::ln(double(pivots[i]));
        smallest = min(smallest, double(pivots[i]));
    }
    for (int apart = 16; apart > 0; apart /= 2) {
        log_determinant += __shfl_xor_sync(~0u, log_determinant, apart);
        smallest = min(smallest, __shfl_xor_sync(~0u, smallest, apart));
    }
}

// The report of a source that is not to be inverted.
template <class T>
__device__ SpdReport report_findings(const Source<T>& source, const Findings& findings, double damping) {
    const bool finite = findings.not_finite == NOWHERE;
    const unsigned long long place = finite ? findings.asymmetric : findings.not_finite;
    const uint32_t i = place >> 32, j = uint32_t(place);
    const T x = source.at(i, j), other = source.mirrored(i, j);
    const double value = finite ? double(x) - double(other) : double(is_finite(x) ? other : x);
    return {damping, NAN, NAN, value, finite ? ASYMMETRIC : NOT_FINITE, 0, i, j};
}
