// Directions of Kronecker-factored preconditioners: U = G⁻¹·V·A⁻¹ for a ragged list of layers, and the KL clip.
//
// V is the gradient [outputs×inputs] of a layer's weight, with that of its bias, where there is one, as one column more. Two
// launches make the two products. The first stores G⁻¹·V by columns, so that in the second, too, both factors are read by rows; it
// is left out by layers without G⁻¹ (FOOF), where V itself is read by columns. With a clip, the second sums ⟨U, V⟩ beside its
// product, a third launch makes of all sums ν = min(1, √(κ / (η²·Σ⟨U, V⟩))) (Ba, Grosse and Martens 2017, section 5), and a fourth
// one multiplies the directions by it.
#include "linalg/kron.cuh"

extern "C" __device__ const uint32_t kron_apply_layout[4] = {
    sizeof(KronLayer), sizeof(Item), TILE_THREADS, TILE<f32>,
};

extern "C" __global__ void __launch_bounds__(TILE_THREADS, 6)
kron_left_f32(const Item* items, const KronLayer* layers, f32* workspace) {
    __shared__ KronMemory memory;
    begin(items, layers, memory.own);
    const KronLayer& layer = memory.own.row;
    if (layer.left == 0) {
        return;
    }
    constexpr int M = MICRO<f32>;
    const uint32_t ti = thread() % SIDE, tj = thread() / SIDE;
    const uint32_t top = memory.own.item.i * TILE<f32>, left = memory.own.item.j * TILE<f32>;
    const bool takes = takes_part(memory.own);
    TileMicro<f32> d;
    set_zero(d);
    const MatrixRows<f32> inverse = {reinterpret_cast<const f32*>(layer.left), nullptr, layer.outputs, layer.outputs,
                               layer.left_stride};
    multiply<f32>(d, inverse, top, gradient_of(layer), left, layer.outputs, takes, memory.product);
    // The workspace has room for whole tiles, and zeros beyond the edges are products of zeros.
    f32* const to = workspace + layer.between;
    #pragma unroll
    for (int c = 0; c < M; c++) {
        f32 values[M];
        column(d, c, values);
        write_vectors(to + uint64_t(left + tj * M + c) * layer.between_stride + top + ti * M, values);
    }
}

extern "C" __global__ void __launch_bounds__(TILE_THREADS, 6)
kron_right_f32(const Item* items, const KronLayer* layers, const f32* workspace, double* sums) {
    __shared__ KronMemory memory;
    begin(items, layers, memory.own);
    const KronLayer& layer = memory.own.row;
    constexpr int M = MICRO<f32>;
    const uint32_t ti = thread() % SIDE, tj = thread() / SIDE;
    const uint32_t top = memory.own.item.i * TILE<f32>, left = memory.own.item.j * TILE<f32>;
    const uint32_t columns = layer.columns;
    const bool takes = takes_part(memory.own);
    TileMicro<f32> d;
    set_zero(d);
    multiply_right(d, workspace, takes, memory);
    const bool sums_up = sums != nullptr;
    double sum = 0.0;
    if (takes) {
        const MatrixRows<f32> gradient = gradient_of(layer);
        f32* const to = reinterpret_cast<f32*>(layer.direction);
        f32* const to_bias = reinterpret_cast<f32*>(layer.bias_direction);
        #pragma unroll
        for (int r = 0; r < M; r++) {
            const uint32_t i = top + ti * M + r;
            #pragma unroll
            for (int c = 0; c < M; c++) {
                const uint32_t j = left + tj * M + c;
                if (i < layer.outputs && j < columns) {
                    if (sums_up) {
                        sum = fma(double(d.at[r][c]), double(gradient.at(i, j)), sum);
                    }
                    (j < layer.inputs ? to[uint64_t(i) * layer.direction_stride + j] : to_bias[i]) = d.at[r][c];
                }
            }
        }
    }
    if (sums_up) {
        sum_of_block(sum, sums, memory);
    }
}

// One block: ν from all sums. `clip` holds κ and the learning rate η.
extern "C" __global__ void __launch_bounds__(256)
kron_clip(const double* sums, uint32_t count, const double* clip, double* factor) {
    __shared__ double lanes[256];
    double sum = 0.0;
    for (uint32_t k = threadIdx.x; k < count; k += 256) {
        sum += sums[k];
    }
    sum = sum_of_block(sum, lanes);
    if (threadIdx.x == 0) {
        const double bound = clip[0] / (clip[1] * clip[1] * sum);
        // Where the sum is no positive number nothing is clipped.
        *factor = bound > 0.0 && bound < 1.0 ? sqrt(bound) : 1.0;
    }
}

extern "C" __global__ void __launch_bounds__(TILE_THREADS)
kron_scale_f32(const Item* items, const KronLayer* layers, const double* factor) {
    __shared__ KronMemory memory;
    begin(items, layers, memory.own);
    const f32 by = f32(*factor);
    if (by == 1.0f) {
        return;
    }
    const KronLayer& layer = memory.own.row;
    const uint32_t columns = layer.columns;
    const uint32_t column = memory.own.item.j * TILE<f32> + thread();
    if (column >= columns) {
        return;
    }
    f32* const to = reinterpret_cast<f32*>(column < layer.inputs ? layer.direction : layer.bias_direction);
    const uint32_t end = min((memory.own.item.i + 1) * TILE<f32>, layer.outputs);
    for (uint32_t row = memory.own.item.i * TILE<f32>; row < end; row++) {
        f32& u = column < layer.inputs ? to[uint64_t(row) * layer.direction_stride + column] : to[row];
        u *= by;
    }
}
