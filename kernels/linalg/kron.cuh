// What the kernels of Kronecker-factored directions share: layers, their tiles, and sums over them.
#pragma once
#include "linalg/product.cuh"
#include "linalg/sums.cuh"

struct KronLayer {
    uint64_t left, right;              // device addresses of the factors, row after row; left is 0 where there is none
    uint64_t gradient, bias_gradient;  // bias_gradient is 0 where the bias, if there is one, stands in the gradient
    uint64_t direction, bias_direction;
    uint64_t between;                  // element of the workspace where the first product begins, by columns
    uint32_t outputs, inputs;          // without the bias
    uint32_t left_stride, right_stride, gradient_stride, direction_stride;
    uint32_t between_stride, columns;  // columns with the bias
};
static_assert(sizeof(KronLayer) == 88);

__device__ inline MatrixRows<f32> gradient_of(const KronLayer& layer) {
    const uint32_t columns = layer.bias_gradient != 0 ? layer.inputs : layer.columns;
    return {reinterpret_cast<const f32*>(layer.gradient), reinterpret_cast<const f32*>(layer.bias_gradient), layer.outputs,
            columns, layer.gradient_stride};
}

struct KronMemory {
    union {
        ProductMemory<f32> product;
        // A tile by rows, where pack p of row r stands at p ^ (r / MICRO): threads that write neighbouring micro-tiles meet in
        // no bank.
        Pack<f32, VECTOR<f32>> tile[TILE<f32>][TILE<f32> / VECTOR<f32>];
    };
    Assigned<KronLayer> own;
    double sums[TILE_THREADS];
};

// Whether a thread's elements of this block's tile are those of the layer's direction, some at least.
__device__ inline bool takes_part(const Assigned<KronLayer>& own) {
    constexpr int M = MICRO<f32>;
    return own.item.i * TILE<f32> + thread() % SIDE * M < own.row.outputs &&
           own.item.j * TILE<f32> + thread() / SIDE * M < own.row.columns;
}

// d += a tile of Z·R, where R is the right factor and Z the first product, or the gradient where there is none.
__device__ inline void multiply_right(TileMicro<f32>& d, const f32* workspace, bool takes, KronMemory& memory) {
    const auto& [item, layer] = memory.own;
    const uint32_t top = item.i * TILE<f32>, left = item.j * TILE<f32>, columns = layer.columns;
    const MatrixRows<f32> right = {reinterpret_cast<const f32*>(layer.right), nullptr, columns, columns, layer.right_stride};
    if (layer.left != 0) {
        const MatrixRows<f32> between = {workspace + layer.between, nullptr, columns, layer.between_stride, layer.between_stride};
        multiply<f32>(d, between, top, right, left, columns, takes, memory.product);
    } else {
        multiply<f32>(d, MatrixColumns<f32>{gradient_of(layer)}, top, right, left, columns, takes, memory.product);
    }
}

// The sum of what the threads have, to the block's place among the sums; all threads call.
__device__ inline void sum_of_block(double sum, double* sums, KronMemory& memory) {
    sum = sum_of_block(sum, memory.sums);
    if (thread() == 0) {
        sums[blockIdx.x] = sum;
    }
}
