// Polynomials of symmetric matrices, product by product: what the polar factor and inverse roots are iterated with.
//
// Matrices stand in a workspace, filled up with zeros to whole tiles on both sides. A product is C = α·Lᵀ·R + β·D + γ·1, where
// both factors are read by rows, and every step stores a matrix so that the next one can. Of a symmetric product the tiles on
// and below the diagonal are computed and stored twice, so that the result is symmetric bit for bit. A launch takes the
// products of all matrices of a list that have one at that place.
#include "linalg/product.cuh"
#include "linalg/sums.cuh"

constexpr uint32_t SYMMETRIC = 1;  // only items on and below the diagonal
constexpr uint32_t WATCHED = 2;    // the result should become the identity
constexpr uint32_t TURNED = 4;     // the transpose is stored as well

struct PolyProduct {
    uint64_t left, right, addend;  // elements of the workspace where L, R and D begin
    uint64_t to, transposed;       // where C begins, and Cᵀ where it is wanted
    uint32_t rows;                 // of L and R
    uint32_t left_stride, right_stride, to_stride, transposed_stride;  // D lies as C does
    f32 alpha, beta, gamma;
    uint32_t order;                // of a symmetric product without what fills it up
    uint32_t matrix;               // whose errors are looked at
    uint32_t kind, unused;
};
static_assert(sizeof(PolyProduct) == 88);

// A matrix [rows×columns] that is made orthogonal.
struct PolarMatrix {
    uint64_t source, target;       // device addresses, row after row
    uint64_t same, turned;         // elements of the workspace where it begins at first, and its transpose
    uint64_t result;               // where it stands in the end
    uint32_t rows, columns, source_stride, target_stride;
    uint32_t same_stride, turned_stride;
};
static_assert(sizeof(PolarMatrix) == 64);

// A matrix whose inverse root is wanted: where its block's row says.
struct Root {
    uint64_t powers[2], roots[2];  // elements of the workspace: M and X before even steps, and before odd ones
    double relative_damping;       // in largest eigenvalues
    uint32_t stride, root;         // p, a power of two
    uint32_t largest, unused;      // which number the largest eigenvalue is, where the damping is relative
};
static_assert(sizeof(Root) == 56);

// What became of a root.
struct RootReport {
    double damping, largest, value;  // value: the error, or the faulty element
    uint32_t status, steps, row, column;
};
static_assert(sizeof(RootReport) == 40);

extern "C" __device__ const uint32_t sym_poly_layout[8] = {
    sizeof(PolyProduct), sizeof(Item), sizeof(PolarMatrix), sizeof(Root), sizeof(RootReport), sizeof(SpdBlock),
    TILE_THREADS, TILE<f32>,
};

// Rows of a matrix in the workspace, with zeros where others end.
struct PaddedRows {
    const f32* core;
    uint32_t stride;

    __device__ Pack<f32, 4> read(uint32_t row, uint32_t column) const {
        return load<4>(core + uint64_t(row) * stride + column);
    }
};

// How a matrix's iteration ends after a step, by its error e and the one before: it has converged, it grows, or what is left is
// rounding, since near the end an error is squared by every step.
__device__ inline bool goes_on(f32 before, f32 error, f32 tolerance) {
    return error > tolerance && error <= 1.2f * before && !(before < 0.1f && error > 0.5f * before);
}

// Whether a matrix takes step `step`. One that has stopped has an error of zero in every later step.
__device__ inline bool takes_step(const uint32_t* errors, uint32_t matrices, uint32_t matrix, uint32_t step, f32 tolerance) {
    const auto at = [&](uint32_t back) { return __uint_as_float(errors[(step - back) * matrices + matrix]); };
    return step == 0 || goes_on(step == 1 ? INFINITY : at(2), at(1), tolerance);
}

struct PolyMemory {
    ProductMemory<f32> product;
    Assigned<PolyProduct> own;
    bool goes_on;
};

// `errors` has a row of f32 bits for every step, an element a matrix, all zero before the first.
extern "C" __global__ void __launch_bounds__(TILE_THREADS, 6)
poly_product_f32(const Item* items, const PolyProduct* products, uint32_t step, uint32_t matrices, f32 tolerance,
                 f32* workspace, uint32_t* errors) {
    __shared__ PolyMemory memory;
    begin(items, products, memory.own, [&](const Assigned<PolyProduct>& own) {
        memory.goes_on = takes_step(errors, matrices, own.row.matrix, step, tolerance);
    });
    if (!memory.goes_on) {
        return;
    }
    constexpr int M = MICRO<f32>;
    const auto& [item, own] = memory.own;
    const bool diagonal = (own.kind & SYMMETRIC) != 0 && item.i == item.j;
    const bool takes = !diagonal || thread() / SIDE <= thread() % SIDE;
    TileMicro<f32> d;
    set_zero(d);
    multiply<f32>(d, PaddedRows{workspace + own.left, own.left_stride}, item.i * TILE<f32>,
                  PaddedRows{workspace + own.right, own.right_stride}, item.j * TILE<f32>, own.rows, takes,
                  memory.product);
    const uint32_t ti = thread() % SIDE, tj = thread() / SIDE;
    const uint32_t top = item.i * TILE<f32> + ti * M, left = item.j * TILE<f32> + tj * M;
    const bool on_diagonal = diagonal && ti == tj;
    uint32_t error = 0;
    if (takes) {
        const f32* const addend = workspace + own.addend;
        #pragma unroll
        for (int r = 0; r < M; r++) {
            f32 row[M] = {};
            if (own.beta != 0.0f) {
                read_vectors(addend + uint64_t(top + r) * own.to_stride + left, row);
            }
            #pragma unroll
            for (int c = 0; c < M; c++) {
                const f32 one = f32(on_diagonal && r == c && top + r < own.order);
                d.at[r][c] = fma(own.alpha, d.at[r][c], fma(own.beta, row[c], own.gamma * one));
                if (!on_diagonal || c <= r) {
                    error = max(error, __float_as_uint(abs(d.at[r][c] - one)));
                }
            }
        }
        #pragma unroll
        for (int r = 0; r < M; r++) {
            #pragma unroll
            for (int c = r + 1; c < M; c++) {
                d.at[r][c] = select(on_diagonal, d.at[c][r], d.at[r][c]);
            }
        }
        #pragma unroll
        for (int r = 0; r < M; r++) {
            write_vectors(workspace + own.to + uint64_t(top + r) * own.to_stride + left, d.at[r]);
        }
        if (!on_diagonal && (own.kind & TURNED) != 0) {
            #pragma unroll
            for (int c = 0; c < M; c++) {
                f32 values[M];
                column(d, c, values);
                write_vectors(workspace + own.transposed + uint64_t(left + c) * own.transposed_stride + top, values);
            }
        }
    }
    if (own.kind & WATCHED) {
        error = __reduce_max_sync(~0u, error);
        if (thread() % 32 == 0) {
            atomicMax(errors + step * matrices + own.matrix, error);
        }
    }
}

// Copies a tile, divided by factor·norm + ε or at least ε, into the workspace, and its transpose. `norms` has one for every
// matrix.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
polar_load_f32(const Item* items, const PolarMatrix* matrices, const double* norms, double factor, double epsilon,
               uint32_t is_least, f32* workspace) {
    __shared__ f32 tile[TILE<f32>][TILE<f32> + 1];
    __shared__ Assigned<PolarMatrix> own;
    begin(items, matrices, own);
    const Item& item = own.item;
    const PolarMatrix matrix = own.row;
    const double norm = norms[item.matrix] * factor;
    const double by = 1.0 / (is_least ? max(norm, epsilon) : norm + epsilon);
    const f32* const source = reinterpret_cast<const f32*>(matrix.source);
    f32* const same = workspace + matrix.same;
    f32* const turned = workspace + matrix.turned;
    const uint32_t top = item.i * TILE<f32>, left = item.j * TILE<f32>, x = threadIdx.x;
    #pragma unroll 8
    for (uint32_t r = 0; r < TILE<f32>; r++) {
        const uint32_t i = top + r, j = left + x;
        const bool inside = i < matrix.rows && j < matrix.columns;
        // A matrix of zeros stays one, whatever ε.
        const double element = inside ? double(source[uint64_t(i) * matrix.source_stride + j]) : 0.0;
        tile[r][x] = element == 0.0 ? 0.0f : f32(element * by);
        same[uint64_t(i) * matrix.same_stride + j] = tile[r][x];
    }
    __syncthreads();
    #pragma unroll 8
    for (uint32_t r = 0; r < TILE<f32>; r++) {
        turned[uint64_t(left + r) * matrix.turned_stride + top + x] = tile[x][r];
    }
}

extern "C" __global__ void __launch_bounds__(TILE_THREADS)
polar_store_f32(const Item* items, const PolarMatrix* matrices, const f32* workspace) {
    __shared__ Assigned<PolarMatrix> own;
    begin(items, matrices, own);
    const Item& item = own.item;
    const PolarMatrix matrix = own.row;
    const f32* const from = workspace + matrix.result;
    f32* const target = reinterpret_cast<f32*>(matrix.target);
    const uint32_t column = item.j * TILE<f32> + threadIdx.x;
    const uint32_t bottom = min((item.i + 1) * TILE<f32>, matrix.rows);
    for (uint32_t row = item.i * TILE<f32>; column < matrix.columns && row < bottom; row++) {
        target[uint64_t(row) * matrix.target_stride + column] = from[uint64_t(row) * matrix.same_stride + column];
    }
}

// Copies a tile of a source into the workspace, and looks for faults.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
root_load_f32(const Item* items, const Root* roots, const SpdBlock* blocks, const Damped* firsts, double tolerance,
              Findings* findings, f32* workspace) {
    __shared__ Assigned<Root> own;
    __shared__ SpdBlock block;
    begin(items, roots, own, [&](const Assigned<Root>& own) { block = blocks[own.item.matrix]; });
    const auto& [item, root] = own;
    load_symmetric(block, item, firsts[item.matrix], tolerance, workspace + root.powers[0], root.stride, findings[item.matrix]);
}

// The largest eigenvalue, 0 where nobody asks for it, and what is added to the diagonal.
struct RootDamping {
    double largest, damping;

    __device__ RootDamping(const Root& root, const Damped& first, const double* numbers)
        : largest(root.relative_damping == 0.0 ? 0.0 : numbers[root.largest]),
          damping(root.relative_damping == 0.0 ? first.damping : fma(root.relative_damping, largest, first.damping)) {}
};

// M₀ = z·(A + δ·1) in place of A, and X₁ = z^{1/p}·((1 + 1/p)·1 - M₀/p), the first step of X₀ = z^{1/p}·1, with
// z = (1 + p)/(2·(‖A‖_F + δ·√n)), for which all eigenvalues of M₀ are below p + 1. `numbers` begins with the norms.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
root_begin_f32(const Item* items, const Root* roots, const SpdBlock* blocks, const Damped* firsts, const double* numbers,
               f32* workspace) {
    __shared__ Assigned<Root> own;
    begin(items, roots, own);
    const auto& [item, root] = own;
    constexpr int M = MICRO<f32>;
    const uint32_t ti = item.i * SIDE + thread() % SIDE, tj = item.j * SIDE + thread() / SIDE;
    if (tj > ti) {
        return;
    }
    const uint32_t order = blocks[item.matrix].order, which = item.matrix;
    const double p = double(root.root);
    const double damping = RootDamping(root, firsts[which], numbers).damping;
    const double norm = fma(damping, sqrt(double(order)), numbers[which]);
    const double z = norm == 0.0 ? 0.0 : (1.0 + p) / (2.0 * norm);
    double x0 = z;
    for (uint32_t q = root.root; q > 1; q /= 2) {
        x0 = sqrt(x0);
    }
    f32* const powers = workspace + root.powers[0];
    TileMicro<f32> m, x;
    #pragma unroll
    for (int r = 0; r < M; r++) {
        read_vectors(powers + uint64_t(ti * M + r) * root.stride + tj * M, m.at[r]);
        #pragma unroll
        for (int c = 0; c < M; c++) {
            const bool one = ti == tj && r == c && ti * M + r < order;
            m.at[r][c] = f32(z * (double(m.at[r][c]) + (one ? damping : 0.0)));
            x.at[r][c] = f32(x0 * ((one ? 1.0 + 1.0 / p : 0.0) - double(m.at[r][c]) / p));
        }
    }
    store_both(powers, root.stride, ti * M, tj * M, m);
    store_both(workspace + root.roots[1], root.stride, ti * M, tj * M, x);
}

// The step whose X is the best one, how many were taken, and the error of that X.
struct RootEnd { uint32_t best, steps; f32 error; };

__device__ inline RootEnd end_of(const uint32_t* errors, uint32_t matrices, uint32_t matrix, uint32_t steps, f32 tolerance) {
    f32 before = INFINITY;
    uint32_t step = 0;
    while (true) {
        const f32 error = __uint_as_float(errors[step * matrices + matrix]);
        if (step + 1 == steps || !goes_on(before, error, tolerance)) {
            const bool last = step == 0 || error < before;
            return {last ? step : step - 1, step + 1, last ? error : before};
        }
        before = error;
        step++;
    }
}

constexpr uint32_t ROOT_FOUND = 0, ROOT_NOT_CONVERGED = 1;  // beside NOT_FINITE and ASYMMETRIC

// Writes a tile of a root, unless there is none.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
root_finish_f32(const Item* items, const Root* roots, const SpdBlock* blocks, const Damped* firsts, const double* numbers,
                const Findings* findings, const uint32_t* errors, uint32_t matrices, uint32_t steps, f32 tolerance,
                f32 acceptance, const f32* workspace, RootReport* reports) {
    __shared__ Assigned<Root> own;
    __shared__ SpdBlock block;
    __shared__ RootEnd end;
    begin(items, roots, own, [&](const Assigned<Root>& own) { block = blocks[own.item.matrix]; });
    const auto& [item, root] = own;
    const uint32_t which = item.matrix;
    const Findings found = findings[which];
    const bool is_sound = found.not_finite == NOWHERE && found.asymmetric == NOWHERE;
    if (thread() == 0) {
        end = end_of(errors, matrices, which, steps, tolerance);
        if (item.i == 0) {
            const RootDamping damped(root, firsts[which], numbers);
            RootReport report = {damped.damping, damped.largest, double(end.error), ROOT_FOUND, end.steps, 0, 0};
            if (!is_sound) {
                const SpdReport fault = report_findings(Source<f32>(block), found, damped.damping);
                report = {damped.damping, damped.largest, fault.value, fault.status, 0, fault.row, fault.column};
            } else if (!(end.error <= acceptance)) {
                report.status = ROOT_NOT_CONVERGED;
            }
            reports[which] = report;
        }
    }
    __syncthreads();
    if (is_sound && end.error <= acceptance) {
        store_symmetric(workspace + root.roots[(end.best + 1) % 2], root.stride, item, block);
    }
}
