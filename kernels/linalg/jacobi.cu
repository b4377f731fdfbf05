// Eigendecompositions A = Q·diag(λ)·Qᵀ of symmetric matrices by cyclic Jacobi, one thread block a matrix.
//
// Golub and Van Loan, Matrix Computations, section 8.5, with Rutishauser's formulas (Wilkinson and Reinsch 1971, II/1). A round
// rotates ⌊n/2⌋ pairs of rows and columns that have no index in common: round r those whose sum is r modulo n. n rounds are a
// sweep, in which every pair is rotated once. Pairs and the order of all sums follow from n alone.
//
// A stands in shared memory, both halves, and so does V = Qᵀ, by rows, where both fit; else V stands in the workspace. Of each
// round, two pairs of indices make a 2×2 block of A that no other thread touches; it is read once and written with its mirror
// image. The next round's angles are computed while V is rotated.
#include "linalg/block.cuh"

struct EighBlock {
    SpdBlock matrix;     // what is written to as its inverse is Q
    uint64_t values;     // the device address of λ
    uint64_t workspace;  // the first element of V in the workspace
};
static_assert(sizeof(EighBlock) == 64);

constexpr uint32_t DECOMPOSED = 0;
constexpr uint32_t NOT_CONVERGED = 1;  // after the last sweep; the others are block.cuh's

// What became of a matrix. The value is that of the fault, or what is left off the diagonal, ‖A - diag A‖_F / ‖A‖_F.
struct EighReport {
    double value;
    uint32_t status, sweeps, row, column;
};
static_assert(sizeof(EighReport) == 24);

constexpr uint32_t MOST_THREADS = 512;

// What a round does to the pair (p, q): x_p becomes x_p - s·(x_q + ρ·x_p) and x_q becomes x_q + s·(x_p - ρ·x_q), with the
// sine s and ρ = s / (1 + cosine).
template <class T> struct alignas(sizeof(T) == 4 ? 16 : 8) Rotation {
    T sine, ratio;
    uint32_t p, q;
};

extern "C" __device__ const uint32_t jacobi_layout[4] = {
    sizeof(EighBlock), sizeof(EighReport), sizeof(Rotation<f32>), sizeof(Rotation<f64>),
};

template <class T> __device__ void rotate(const Rotation<T>& by, T& p, T& q) {
    const T first = fma(by.ratio, p, q), second = fma(-by.ratio, q, p);
    p = fma(-by.sine, first, p);
    q = fma(by.sine, second, q);
}

// The powers of two that bring elements of at most `largest` near 1, and back. Both are normal, so that only elements which
// are lost beside the largest are rounded.
__device__ inline void scales(f32 largest, f32& down, f32& up) {
    const uint32_t exponent = min(max(to_bits(largest) >> 23, 1u), 253u);
    down = from_bits((254 - exponent) << 23);
    up = from_bits(exponent << 23);
}
__device__ inline void scales(f64 largest, f64& down, f64& up) {
    const uint64_t exponent = min(max(to_bits(largest) >> 52, uint64_t(1)), uint64_t(2045));
    down = from_bits((2046 - exponent) << 52);
    up = from_bits(exponent << 52);
}

// Of all threads of a block; what it depends on beside them is their number. `memory` has an element a warp.
template <class T, class Join> __device__ T join_all(T x, T* memory, Join join) {
    for (int apart = 16; apart > 0; apart /= 2) {
        x = join(x, __shfl_xor_sync(~0u, x, apart));
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        memory[threadIdx.x / 32] = x;
    }
    __syncthreads();
    x = memory[0];
    for (uint32_t warp = 1; warp < blockDim.x / 32; warp++) {
        x = join(x, memory[warp]);
    }
    return x;
}

// The pairs of a round.
struct Round {
    uint32_t order, first, second, idle;
    bool idles;

    __device__ Round(uint32_t order, uint32_t round) : order(order), idles(order % 2 != 0 || round % 2 == 0) {
        first = (round % 2 == 0 ? round : round + (order % 2 == 0 ? 1 : order)) / 2;
        first = min(first, first - order);
        second = idles ? first : (round - 1) / 2;
        idle = first + order / 2;
        idle = order % 2 != 0 ? order : min(idle, idle - order);
    }

    // The first of a pair. What falls below 0 has become the greater number.
    __device__ uint32_t p(uint32_t pair) const { return min(first + pair, first + pair - order); }

    // The second. Two indices of an even order, and one of an odd order, may have no partner whose sum fits: they make pair 0,
    // the one with an index behind the last, and that pair is not rotated.
    __device__ uint32_t q(uint32_t pair) const {
        return idles && pair == 0 ? idle : min(second - pair, second - pair + order);
    }
};

template <class T> struct Jacobi {
    T* a;                    // `stride` rows, both halves; what is behind the order is zero
    Rotation<T>* rotations;  // two rounds of them
    T* v;
    uint32_t order, stride, v_stride;

    __device__ uint32_t pairs() const { return stride / 2; }

    // The angles of a round; the diagonal and what stands at the pairs themselves are brought to what they become.
    __device__ void find_angles(uint32_t number) const {
        const Round round(order, number);
        for (uint32_t pair = threadIdx.x; pair < pairs(); pair += blockDim.x) {
            const uint32_t p = round.p(pair), q = round.q(pair);
            Rotation<T> by = {T(0), T(0), p, q};
            T* const off = a + p * stride + q;
            if (!(pair == 0 && round.idles) && *off != T(0)) {
                T* const first = a + p * stride + p;
                T* const second = a + q * stride + q;
                const T x = *off, tau = (*second - *first) / (x + x);
                const T root = abs(tau) + sqrt(fma(tau, tau, T(1)));
                const T tangent = select(tau < T(0), T(-1), T(1)) / root;
                const T cosine = T(1) / sqrt(fma(tangent, tangent, T(1)));
                by.sine = tangent * cosine;
                by.ratio = by.sine / (T(1) + cosine);
                *first = fma(-tangent, x, *first);
                *second = fma(tangent, x, *second);
                *off = T(0);
                a[q * stride + p] = T(0);
            }
            rotations[number % 2 * pairs() + pair] = by;
        }
    }

    // A ← JᵀAJ but for what `find_angles` has done. A thread keeps its pair of rows, and neighbours take neighbouring pairs of
    // columns, equally far from theirs: all their indices go up, or down, by one from thread to thread.
    __device__ void rotate_a(uint32_t number) const {
        const Rotation<T>* const all = rotations + number % 2 * pairs();
        const uint32_t count = pairs(), pair = threadIdx.x % count, groups = blockDim.x / count;
        const uint32_t farthest = count % 2 != 0 || pair < count / 2 ? count / 2 : count / 2 - 1;
        const Rotation<T> rows = all[pair];
        T* const row_p = a + rows.p * stride;
        T* const row_q = a + rows.q * stride;
        uint32_t apart = threadIdx.x / count;
        for (apart += apart < groups ? 1 : farthest + 1; apart <= farthest; apart += groups) {
            const Rotation<T> columns = all[min(pair + apart, pair + apart - count)];
            T* const row_r = a + columns.p * stride;
            T* const row_s = a + columns.q * stride;
            T pr = row_p[columns.p], ps = row_p[columns.q], qr = row_q[columns.p], qs = row_q[columns.q];
            rotate(rows, pr, qr);
            rotate(rows, ps, qs);
            rotate(columns, pr, ps);
            rotate(columns, qr, qs);
            row_p[columns.p] = pr, row_p[columns.q] = ps, row_q[columns.p] = qr, row_q[columns.q] = qs;
            row_r[rows.p] = pr, row_s[rows.p] = ps, row_r[rows.q] = qr, row_s[rows.q] = qs;
        }
    }

    // V ← JᵀV.
    __device__ void rotate_v(uint32_t number) const {
        const Rotation<T>* const all = rotations + number % 2 * pairs();
        const uint32_t packs = v_stride / VECTOR<T>, groups = blockDim.x / packs, group = threadIdx.x / packs;
        auto* const column = reinterpret_cast<Pack<T, VECTOR<T>>*>(v) + threadIdx.x % packs;
        for (uint32_t pair = group < groups ? group : pairs(); pair < pairs(); pair += groups) {
            const Rotation<T> by = all[pair];
            if (by.sine != T(0)) {
                auto p = column[by.p * packs], q = column[by.q * packs];
                #pragma unroll
                for (int k = 0; k < VECTOR<T>; k++) {
                    rotate(by, p.element[k], q.element[k]);
                }
                column[by.p * packs] = p, column[by.q * packs] = q;
            }
        }
    }

    // The sums of the squares on the diagonal, and off it. Largest elements are near 1.
    __device__ void squares(T* memory, T& on, T& off) const {
        on = off = T(0);
        for (uint32_t i = threadIdx.x / 32; i < order; i += blockDim.x / 32) {
            for (uint32_t j = threadIdx.x % 32; j <= i; j += 32) {
                const T x = a[i * stride + j];
                on = fma(x, i == j ? x : T(0), on);
                off = fma(x, i == j ? T(0) : x, off);
            }
        }
        const auto sum = [](T x, T y) { return x + y; };
        on = join_all(on, memory, sum);
        off = T(2) * join_all(off, memory, sum);
    }

    // Sweeps until less than ε·‖A‖_F is off the diagonal: true then.
    __device__ bool diagonalise(uint32_t most_sweeps, T* memory, uint32_t& sweeps, double& rest) const {
        T on, off;
        squares(memory, on, off);
        const T bound = T(EPSILON<T> * EPSILON<T>) * (on + off);
        for (sweeps = 0; ; sweeps++) {
            if (off <= bound) {
                rest = on + off > T(0) ? sqrt(double(off) / double(on + off)) : 0.0;
                return true;
            }
            if (sweeps == most_sweeps) {
                rest = sqrt(double(off) / double(on + off));
                return false;
            }
            find_angles(0);
            __syncthreads();
            for (uint32_t number = 0; number < order; number++) {
                rotate_a(number);
                __syncthreads();
                if (number + 1 < order) {
                    find_angles(number + 1);
                }
                rotate_v(number);
                __syncthreads();
            }
            squares(memory, on, off);
        }
    }

    // Reads the lower half into both, scaled, V = 1. False where the source is faulty.
    __device__ bool read(const Source<T>& source, double tolerance, T* memory, Findings& findings, T& up) const {
        const uint32_t warp = threadIdx.x / 32, warps = blockDim.x / 32, lane = threadIdx.x % 32;
        for (uint32_t i = warp; i < stride; i += warps) {
            for (uint32_t j = lane; j < stride; j += 32) {
                if (i >= order || j >= order) {
                    a[i * stride + j] = T(0);
                } else if (source.form == FULL && i < source.core_order && j < source.core_order) {
                    a[i * stride + j] = source.row(i)[j];
                } else if (j <= i) {
                    a[i * stride + j] = a[j * stride + i] = source.at(i, j);
                }
            }
        }
        for (uint32_t i = warp; i < order; i += warps) {
            for (uint32_t j = lane; j < v_stride; j += 32) {
                v[i * v_stride + j] = T(i == j);
            }
        }
        __syncthreads();
        T largest = T(0), difference = T(0);
        for (uint32_t i = warp; i < order; i += warps) {
            for (uint32_t j = lane; j <= i; j += 32) {
                const T x = a[i * stride + j], other = a[j * stride + i];
                if (!is_finite(x) || !is_finite(other)) {
                    atomicMin(&findings.not_finite, uint64_t(i) << 32 | j);
                }
                largest = max(largest, abs(x));
                difference = max(difference, abs(x - other));
            }
        }
        const auto greater = [](T x, T y) { return max(x, y); };
        largest = join_all(largest, memory, greater);
        difference = join_all(difference, memory, greater);
        if (findings.not_finite != NOWHERE) {
            return false;
        }
        const T bound = T(tolerance * double(largest));
        T down;
        scales(largest, down, up);
        for (uint32_t i = warp; i < order; i += warps) {
            for (uint32_t j = lane; j <= i; j += 32) {
                const T x = a[i * stride + j], other = a[j * stride + i];
                if (!(abs(x - other) <= bound)) {
                    atomicMin(&findings.asymmetric, uint64_t(i) << 32 | j);
                }
                a[i * stride + j] = a[j * stride + i] = x * down;
            }
        }
        __syncthreads();
        return difference <= bound;
    }

    // Writes λ in ascending order, and Q with the largest component of each column, the first of those of one size, positive.
    __device__ void write(const EighBlock& block, T up) const {
        const auto places = reinterpret_cast<uint32_t*>(rotations);  // of the columns of Q among the rows of V
        const auto signs = reinterpret_cast<T*>(rotations + pairs());
        for (uint32_t j = threadIdx.x; j < order; j += blockDim.x) {
            const T value = a[j * stride + j];
            uint32_t place = 0;
            for (uint32_t i = 0; i < order; i++) {
                const T other = a[i * stride + i];
                place += other < value || (other == value && i < j);
            }
            places[place] = j;
            reinterpret_cast<T*>(block.values)[place] = value * up;
        }
        const uint32_t warp = threadIdx.x / 32, warps = blockDim.x / 32, lane = threadIdx.x % 32;
        for (uint32_t j = warp; j < order; j += warps) {
            T largest = T(0);
            uint32_t at = 0;
            for (uint32_t i = lane; i < order; i += 32) {
                const T x = v[j * v_stride + i];
                if (abs(x) > abs(largest)) {
                    largest = x;
                    at = i;
                }
            }
            for (int apart = 16; apart > 0; apart /= 2) {
                const T other = __shfl_xor_sync(~0u, largest, apart);
                const uint32_t other_at = __shfl_xor_sync(~0u, at, apart);
                if (abs(other) > abs(largest) || (abs(other) == abs(largest) && other_at < at)) {
                    largest = other;
                    at = other_at;
                }
            }
            if (lane == 0) {
                signs[j] = select(largest < T(0), T(-1), T(1));
            }
        }
        __syncthreads();
        T* const to = reinterpret_cast<T*>(block.matrix.inverse);
        for (uint32_t i = warp; i < order; i += warps) {
            for (uint32_t place = lane; place < order; place += 32) {
                const uint32_t j = places[place];
                to[uint64_t(i) * block.matrix.inverse_stride + place] = signs[j] * v[j * v_stride + i];
            }
        }
    }
};

// V stands in the workspace, or in shared memory. Dynamic shared memory: A, two rounds of rotations, V.
template <class T, bool IN_WORKSPACE>
__device__ void decompose(const uint32_t* jobs, const EighBlock* blocks, double tolerance, uint32_t sweeps, T* workspace,
                          EighReport* reports) {
    extern __shared__ __align__(16) uint64_t shared[];
    __shared__ T memory[MOST_THREADS / 32];
    __shared__ Findings findings;
    if (threadIdx.x == 0) {
        findings = {NOWHERE, NOWHERE};
    }
    const uint32_t job = jobs[blockIdx.x];
    const EighBlock& block = blocks[job];
    const uint32_t order = block.matrix.order, stride = order + order % 2;
    const uint32_t v_stride = (order + VECTOR<T> - 1) / VECTOR<T> * VECTOR<T>;
    T* const a = reinterpret_cast<T*>(shared);
    const auto rotations = reinterpret_cast<Rotation<T>*>(a + stride * stride);
    Jacobi<T> jacobi = {a, rotations, nullptr, order, stride, v_stride};
    if constexpr (IN_WORKSPACE) {
        jacobi.v = workspace + block.workspace;
        __builtin_assume(__isGlobal(jacobi.v));
    } else {
        jacobi.v = reinterpret_cast<T*>(rotations + stride);
    }
    const Source<T> source(block.matrix);
    __syncthreads();
    T up;
    if (!jacobi.read(source, tolerance, memory, findings, up)) {
        if (threadIdx.x == 0) {
            const SpdReport found = report_findings(source, findings, 0.0);
            reports[job] = {found.value, found.status, 0, found.row, found.column};
        }
        return;
    }
    uint32_t taken;
    double rest;
    const bool converged = jacobi.diagonalise(sweeps, memory, taken, rest);
    if (threadIdx.x == 0) {
        reports[job] = {rest, converged ? DECOMPOSED : NOT_CONVERGED, taken, 0, 0};
    }
    if (converged) {
        jacobi.write(block, up);
    }
}

#define KERNEL(T)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1)                                                         \
    jacobi_##T(const uint32_t* jobs, const EighBlock* blocks, double tolerance, uint32_t sweeps, EighReport* reports) {   \
        decompose<T, false>(jobs, blocks, tolerance, sweeps, nullptr, reports);                                           \
    }                                                                                                                     \
    extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1)                                                         \
    jacobi_workspace_##T(const uint32_t* jobs, const EighBlock* blocks, double tolerance, uint32_t sweeps, T* workspace,  \
                         EighReport* reports) {                                                                           \
        decompose<T, true>(jobs, blocks, tolerance, sweeps, workspace, reports);                                          \
    }
KERNEL(f32) KERNEL(f64)
