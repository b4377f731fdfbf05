// Refreshed eigenbases: Q ← the orthogonal factor of (A + μ·1)·Q, its columns in the order of their Rayleigh quotients; a step of
// orthogonal iteration, as SOAP takes one (Vyas and others 2024, algorithm 4).
//
// Columns are brought to length 1, which near the eigenvectors makes them nearly orthogonal. Then Cholesky's QR algorithm: of
// S = YᵀY = L·Lᵀ the inverse factor V = L⁻¹ makes Y ← Y·Vᵀ. Three rounds, S of each damped as little as its pivots ask for
// (shifted Cholesky QR: Fukaya and others 2020); the last one must need none. μ is as large as the rounding of A·Q, so that
// columns of eigenvalues zero stay what they are.
#include "linalg/product.cuh"
#include "linalg/sums.cuh"

constexpr uint32_t REFRESHED = 0, NOT_ORTHOGONAL = 1;  // beside NOT_FINITE and ASYMMETRIC

struct Basis {
    uint64_t basis, values;        // device addresses of Q, row after row, and of the quotients
    uint64_t matrix, old, product; // elements of the workspace where A, Q and A·Q begin
    uint64_t columns, turned;      // and Y, and its transpose, before the first round
    uint64_t factor, result;       // and Vᵀ, and Y in the end
    uint32_t order, stride, basis_stride, first;  // first: of the arrays of columns
};
static_assert(sizeof(Basis) == 88);

struct BasisReport {
    double value;
    uint32_t status, unused, row, column;
};
static_assert(sizeof(BasisReport) == 24);

constexpr uint32_t COLUMN_THREADS = 256;

extern "C" __device__ const uint32_t basis_layout[8] = {
    sizeof(Basis), sizeof(Item), sizeof(BasisReport), sizeof(SpdBlock), sizeof(SpdTiles), sizeof(SpdReport),
    TILE_THREADS, COLUMN_THREADS,
};

// μ: of the size of rounding in A·q. A matrix of zeros leaves its basis as it is.
__device__ inline f32 basis_shift(const Damped& first, uint32_t order) {
    const double trace = abs(first.mean) * double(order);
    return trace == 0.0 ? 1.0f : f32(8.0 * EPSILON<f32> * trace);
}

// Copies a tile of A, on or below the diagonal, and looks for faults; and a tile of Q.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
basis_load_f32(const Item* items, const Basis* bases, const SpdBlock* blocks, const Damped* firsts, double tolerance,
               Findings* findings, f32* workspace) {
    __shared__ Assigned<Basis> own;
    __shared__ SpdBlock block;
    begin(items, bases, own, [&](const Assigned<Basis>& own) { block = blocks[own.item.matrix]; });
    const auto& [item, basis] = own;
    const uint32_t order = basis.order, which = item.matrix;
    load_symmetric(block, item, firsts[which], tolerance, workspace + basis.matrix, basis.stride, findings[which]);
    const f32* const from = reinterpret_cast<const f32*>(basis.basis);
    const uint32_t column = item.j * TILE<f32> + thread();
    #pragma unroll 8
    for (uint32_t r = 0; r < TILE<f32>; r++) {
        const uint32_t row = item.i * TILE<f32> + r;
        const bool inside = row < order && column < order;
        workspace[basis.old + uint64_t(row) * basis.stride + column] =
            inside ? from[uint64_t(row) * basis.basis_stride + column] : 0.0f;
    }
}

// 64 columns: their Rayleigh quotients, and what brings (A + μ·1)·q to length 1.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
basis_columns_f32(const Item* items, const Basis* bases, const Damped* firsts, const f32* workspace, double* quotients,
                  f32* scales) {
    __shared__ Assigned<Basis> own;
    __shared__ double dots[COLUMN_THREADS], squares[COLUMN_THREADS];
    begin(items, bases, own);
    const auto& [item, basis] = own;
    const uint32_t x = threadIdx.x, column = item.j * TILE<f32> + x % TILE<f32>;
    const f32 shift = basis_shift(firsts[item.matrix], basis.order);
    double dot = 0.0, square = 0.0;
    if (column < basis.order) {
        for (uint32_t row = x / TILE<f32>; row < basis.order; row += COLUMN_THREADS / TILE<f32>) {
            const uint64_t at = uint64_t(row) * basis.stride + column;
            const f32 q = workspace[basis.old + at], z = workspace[basis.product + at];
            const double y = double(fma(shift, q, z));
            dot = fma(double(q), double(z), dot);
            square = fma(y, y, square);
        }
    }
    dots[x] = dot;
    squares[x] = square;
    __syncthreads();
    if (x < TILE<f32> && column < basis.order) {
        for (uint32_t k = x + TILE<f32>; k < COLUMN_THREADS; k += TILE<f32>) {
            dot += dots[k];
            square += squares[k];
        }
        // A NaN has a place in the order as well: the last.
        quotients[basis.first + column] = dot == dot ? dot : -double(INFINITY);
        scales[basis.first + column] = f32(1.0 / sqrt(square));
    }
}

// The place of each of 256 columns among all: greater quotients first, then lower columns.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
basis_ranks(const Item* items, const Basis* bases, const double* quotients, uint32_t* ranks) {
    __shared__ Assigned<Basis> own;
    begin(items, bases, own);
    const auto& [item, basis] = own;
    const uint32_t column = item.j * COLUMN_THREADS + threadIdx.x;
    if (column >= basis.order) {
        return;
    }
    const double* const all = quotients + basis.first;
    const double quotient = all[column];
    uint32_t rank = 0;
    for (uint32_t k = 0; k < basis.order; k++) {
        rank += all[k] > quotient || (all[k] == quotient && k < column);
    }
    ranks[basis.first + column] = rank;
}

// Y: the columns of (A + μ·1)·Q, scaled and in order; and its transpose.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
basis_scale_f32(const Item* items, const Basis* bases, const Damped* firsts, const f32* scales, const uint32_t* ranks,
                f32* workspace) {
    __shared__ Assigned<Basis> own;
    __shared__ f32 tile[TILE<f32>][TILE<f32> + 1];
    __shared__ uint32_t places[TILE<f32>];
    begin(items, bases, own);
    const auto& [item, basis] = own;
    const uint32_t x = threadIdx.x, top = item.i * TILE<f32>, column = item.j * TILE<f32> + x;
    const bool exists = column < basis.order;
    const f32 scale = exists ? scales[basis.first + column] : 0.0f;
    const f32 shift = basis_shift(firsts[item.matrix], basis.order);
    places[x] = exists ? ranks[basis.first + column] : column;
    #pragma unroll 8
    for (uint32_t r = 0; r < TILE<f32>; r++) {
        const uint64_t at = uint64_t(top + r) * basis.stride + column;
        const bool inside = exists && top + r < basis.order;
        tile[r][x] = inside ? scale * fma(shift, workspace[basis.old + at], workspace[basis.product + at]) : 0.0f;
        workspace[basis.columns + uint64_t(top + r) * basis.stride + places[x]] = tile[r][x];
    }
    __syncthreads();
    #pragma unroll 8
    for (uint32_t c = 0; c < TILE<f32>; c++) {
        workspace[basis.turned + uint64_t(places[c]) * basis.stride + top + x] = tile[x][c];
    }
}

// Vᵀ row after row, from a tile of V, which item.other finds in the table of tiles; and whether the round went well: with no
// damping and no small pivot in the last one.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
basis_unpack_f32(const Item* items, const Basis* bases, const SpdTiles* tiles, const f32* tile_workspace,
                 const SpdReport* rounds, uint32_t is_first, uint32_t is_last, uint32_t* failed, f32* workspace) {
    __shared__ Assigned<Basis> own;
    __shared__ f32 tile[TILE<f32>][TILE<f32> + 1];
    begin(items, bases, own);
    const auto& [item, basis] = own;
    const uint32_t x = threadIdx.x;
    const f32* const from = tile_workspace + tiles[item.other].inverse + triangle(item.i, item.j) * TILE_ELEMENTS<f32>;
    for (uint32_t r = 0; r < TILE<f32>; r++) {
        tile[r][x] = from[r * TILE<f32> + x];
    }
    __syncthreads();
    for (uint32_t c = 0; c < TILE<f32>; c++) {
        const uint64_t row = item.j * TILE<f32> + c;
        workspace[basis.factor + row * basis.stride + item.i * TILE<f32> + x] = tile[x][c];
    }
    if (x == 0 && item.i == 0) {
        const SpdReport report = rounds[item.matrix];
        const bool is_well = report.status == INVERTED &&
                             (!is_last || (report.retries == 0 && report.smallest_pivot >= 0.5));
        failed[item.matrix] = !is_well || (!is_first && failed[item.matrix] != 0);
    }
}

// Writes a tile of a basis, and with the first row of tiles quotients and columns in their order, unless there is none.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
basis_store_f32(const Item* items, const Basis* bases, const SpdBlock* blocks, const Findings* findings,
                const uint32_t* failed, const f32* workspace, const double* quotients, const uint32_t* ranks, uint32_t* columns,
                BasisReport* reports) {
    __shared__ Assigned<Basis> own;
    begin(items, bases, own);
    const auto& [item, basis] = own;
    const uint32_t which = item.matrix;
    const Findings found = findings[which];
    const bool is_sound = found.not_finite == NOWHERE && found.asymmetric == NOWHERE;
    const bool has_failed = failed[which] != 0;
    if (thread() == 0 && item.i == 0 && item.j == 0) {
        BasisReport report = {0.0, has_failed ? NOT_ORTHOGONAL : REFRESHED, 0, 0, 0};
        if (!is_sound) {
            const SpdReport fault = report_findings(Source<f32>(blocks[which]), found, 0.0);
            report = {fault.value, fault.status, 0, fault.row, fault.column};
        }
        reports[which] = report;
    }
    const uint32_t column = item.j * TILE<f32> + thread();
    if (!is_sound || has_failed || column >= basis.order) {
        return;
    }
    if (item.i == 0) {
        const uint32_t rank = ranks[basis.first + column];
        columns[basis.first + rank] = column;
        reinterpret_cast<f32*>(basis.values)[rank] = f32(quotients[basis.first + column]);
    }
    f32* const to = reinterpret_cast<f32*>(basis.basis);
    const uint32_t bottom = min((item.i + 1) * TILE<f32>, basis.order);
    for (uint32_t row = item.i * TILE<f32>; row < bottom; row++) {
        to[uint64_t(row) * basis.basis_stride + column] = workspace[basis.result + uint64_t(row) * basis.stride + column];
    }
}
