// Inverses that begin from previous ones: Newton's iteration X ← 2X - X·(A·X) (Schulz 1933; Ben-Israel and Cohen 1966), with the
// residual ‖1 - A·X‖_F/√n of the X that is kept as its certificate.
//
// Products are those of linalg/sym_poly.cu. After each A·X a verdict is reached on every block: it is certified, or goes on, or
// the residual has not shrunk, or steps are over. What is not certified is left to Cholesky.
#include "linalg/product.cuh"

constexpr uint32_t REFINED = 4;  // beside INVERTED and what stands in the way of it

// A block's matrices in the workspace.
struct WarmBlock {
    uint64_t matrix, inverses[2];  // elements where A + δ·1 begins, and X before even steps and before odd ones
    uint64_t stride;
};
static_assert(sizeof(WarmBlock) == 32);

extern "C" __device__ const uint32_t spd_warm_layout[7] = {
    sizeof(SpdBlock), sizeof(SpdReport), sizeof(Damped), sizeof(Item), sizeof(WarmBlock), TILE_THREADS, TILE<f32>,
};

// Copies a tile of a block, damped, and of its previous inverse into the workspace. Where a source is not symmetric a NaN takes
// its place: then nothing is certified, and Cholesky's algorithm finds the fault.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
warm_load_f32(const Item* items, const WarmBlock* warm, const SpdBlock* blocks, const Damped* firsts, double tolerance,
              f32* workspace) {
    __shared__ Assigned<WarmBlock> own;
    __shared__ SpdBlock block;
    begin(items, warm, own, [&](const Assigned<WarmBlock>& own) { block = blocks[own.item.matrix]; });
    const auto& [item, matrices] = own;
    const Damped first = firsts[item.matrix];
    const auto look = [&](const Source<f32>& source, uint32_t ti, uint32_t tj, TileMicro<f32>& d, f32, bool is_sound) {
        if (ti == tj) {
            source.damp(ti, first.damping, d);
        }
        d.at[0][0] = select(is_sound, d.at[0][0], f32(NAN));
    };
    load_symmetric(block, item, first, tolerance, workspace + matrices.matrix, matrices.stride, look);
    constexpr int M = MICRO<f32>;
    const uint32_t ti = item.i * SIDE + thread() % SIDE, tj = item.j * SIDE + thread() / SIDE;
    if (tj > ti) {
        return;
    }
    TileMicro<f32> d;
    set_zero(d);
    const f32* const inverse = reinterpret_cast<const f32*>(block.inverse);
    #pragma unroll
    for (int r = 0; r < M; r++) {
        #pragma unroll
        for (int c = 0; c < M; c++) {
            const uint32_t i = ti * M + r, j = tj * M + c;
            if (i < block.order && j <= i) {
                d.at[r][c] = inverse[uint64_t(i) * block.inverse_stride + j];
            }
        }
    }
    store_lower(workspace + matrices.inverses[0], matrices.stride, block.order, ti, tj, 1.0f, d);
}

// A thread a block, after A·X: `numbers` has its norm for every block, then its trace. `states` becomes 1 where a block goes on,
// `done` 1 or 2 where X before an even or an odd step is certified.
extern "C" __global__ void __launch_bounds__(256)
warm_verdict(const SpdBlock* blocks, const Damped* firsts, uint32_t count, uint32_t step, uint32_t steps, double tolerance,
             const double* numbers, f32* states, double* residuals, uint32_t* done, SpdReport* reports) {
    const uint32_t k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= count || (step > 0 && states[k] == 0.0f)) {
        return;
    }
    const double order = double(blocks[k].order);
    const double norm = numbers[k], trace = numbers[count + k];
    const double square = fma(norm, norm, order - 2.0 * trace);
    // Rounding may leave less than nothing, but a NaN stays.
    const double residual = sqrt((square < 0.0 ? 0.0 : square) / order);
    const bool is_certified = residual <= tolerance;
    const bool shrinks = step == 0 ? residual < INFINITY : residual < residuals[k];
    states[k] = f32(!is_certified && shrinks && step < steps);
    residuals[k] = residual;
    done[k] = is_certified ? 1 + step % 2 : 0;
    if (is_certified) {
        reports[k] = {firsts[k].damping, NAN, NAN, residual, REFINED, 0, 0, 0};
    }
}

// Writes a tile of an inverse that is certified.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
warm_store_f32(const Item* items, const WarmBlock* warm, const SpdBlock* blocks, const uint32_t* done,
               const f32* workspace) {
    __shared__ Assigned<WarmBlock> own;
    __shared__ SpdBlock block;
    begin(items, warm, own, [&](const Assigned<WarmBlock>& own) { block = blocks[own.item.matrix]; });
    const auto& [item, matrices] = own;
    const uint32_t which = done[item.matrix];
    if (which != 0) {
        store_symmetric(workspace + matrices.inverses[which - 1], matrices.stride, item, block);
    }
}
