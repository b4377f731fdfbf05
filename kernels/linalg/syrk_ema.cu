// Factors of Kronecker products: F ← F + c·(s·Σ_n w_n·x_n·x_nᵀ - F), the lower half, packed, for a ragged list of them.
//
// c = 1/W, where W ← β·W + 1 counts the updates, so that F is the bias-corrected moving average of what it was given: after t
// updates from W = 0 the weights are β^(t-k)·(1 - β)/(1 - β^t). From W = 1/(1 - β) on, c stays 1 - β.
#include "linalg/product.cuh"

struct SyrkFactor {
    uint64_t inputs, weights, factor;  // device addresses; weights 0 where every row counts as 1
    uint32_t rows, features, stride;   // rows of the sum, features without the bias
    uint32_t positions;                // rows of the inputs whose sum is a row of the sum
    uint32_t bias, is_patches;         // 1 where a feature is always 1; 1 where the inputs are images and their patches the rows
    double scale, beta;
    uint32_t channels, height, width, out_width, out_height;  // of images, and of the result of a convolution
    uint32_t kernel[2], step[2], padding[2], dilation[2], unused;
};
static_assert(sizeof(SyrkFactor) == 120);

extern "C" __device__ const uint32_t syrk_ema_layout[4] = {
    sizeof(SyrkFactor), sizeof(Item), TILE_THREADS, TILE<f32>,
};

// An element of the inputs' rows or of their patches.
template <class E> __device__ f32 input(const SyrkFactor& of, uint64_t row, uint32_t column) {
    const E* const inputs = reinterpret_cast<const E*>(of.inputs);
    if (!of.is_patches) {
        return widen(inputs[row * of.stride + column]);
    }
    // Row (image, y, x) and column (channel, down, right) of the patches, images [channels×height×width].
    const uint32_t window = of.kernel[0] * of.kernel[1];
    const uint32_t channel = column / window, down = column % window / of.kernel[1], right = column % of.kernel[1];
    const uint64_t image = row / (of.out_height * of.out_width);
    const uint32_t place = row % (of.out_height * of.out_width);
    // Above and left of the image they wrap around, beyond its height and width.
    const uint32_t y = place / of.out_width * of.step[0] + down * of.dilation[0] - of.padding[0];
    const uint32_t x = place % of.out_width * of.step[1] + right * of.dilation[1] - of.padding[1];
    if (y >= of.height || x >= of.width) {
        return 0.0f;
    }
    return widen(inputs[((image * of.channels + channel) * of.height + y) * of.width + x]);
}

// An element of a row of the sum. Not inlined: the readers of packs would repeat it too often.
template <class E> __device__ __noinline__ f32 feature(const SyrkFactor& of, uint32_t row, uint32_t column) {
    f32 sum = 0.0f;
    if (column < of.features) {
        for (uint32_t position = 0; position < of.positions; position++) {
            sum += input<E>(of, uint64_t(row) * of.positions + position, column);
        }
    } else if (column == of.features && of.bias) {
        sum = f32(of.positions);
    }
    return sum;
}

// The rows x_n, from inputs of type E.
template <class E> struct Inputs {
    const SyrkFactor& of;
    bool weighted;

    __device__ Pack<f32, 4> read(uint32_t row, uint32_t column) const {
        Pack<f32, 4> pack = {};
        if (row >= of.rows) {
            return pack;
        }
        const E* const inputs = reinterpret_cast<const E*>(of.inputs);
        const bool whole = column + 4 <= of.features && of.stride % 4 == 0 && of.inputs % (4 * sizeof(E)) == 0;
        if (!of.is_patches && of.positions == 1 && whole) {
            const auto elements = load<4>(inputs + uint64_t(row) * of.stride + column);
            #pragma unroll
            for (int k = 0; k < 4; k++) {
                pack.element[k] = widen(elements.element[k]);
            }
        } else {
            #pragma unroll
            for (int k = 0; k < 4; k++) {
                pack.element[k] = feature<E>(of, row, column + k);
            }
        }
        if (weighted && of.weights != 0) {
            const f32 weight = reinterpret_cast<const f32*>(of.weights)[row];
            #pragma unroll
            for (int k = 0; k < 4; k++) {
                pack.element[k] *= weight;
            }
        }
        return pack;
    }
};

// One thread a factor, before the update: c, and the count behind it.
extern "C" __global__ void __launch_bounds__(256)
syrk_begin(const SyrkFactor* factors, uint32_t count, double* counts, double* shares) {
    const uint32_t k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < count) {
        counts[k] = fma(factors[k].beta, counts[k], 1.0);
        shares[k] = 1.0 / counts[k];
    }
}

template <class E>
__device__ void update(const Item* items, const SyrkFactor* factors, const double* shares) {
    __shared__ ProductMemory<f32> memory;
    __shared__ Assigned<SyrkFactor> own;
    begin(items, factors, own);
    const auto& [item, factor] = own;
    constexpr int M = MICRO<f32>;
    const uint32_t order = factor.features + factor.bias;
    const uint32_t ti = thread() % SIDE, tj = thread() / SIDE;
    const uint32_t top = item.i * TILE<f32> + ti * M, left = item.j * TILE<f32> + tj * M;
    const bool takes = left <= top && top < order;
    TileMicro<f32> d;
    set_zero(d);
    multiply<f32>(d, Inputs<E>{factor, true}, item.i * TILE<f32>, Inputs<E>{factor, false}, item.j * TILE<f32>, factor.rows,
                  takes, memory);
    if (!takes) {
        return;
    }
    const f32 scale = f32(factor.scale), share = f32(shares[item.matrix]);
    f32* const to = reinterpret_cast<f32*>(factor.factor);
    #pragma unroll
    for (int r = 0; r < M; r++) {
        const uint32_t i = top + r;
        #pragma unroll
        for (int c = 0; c < M; c++) {
            const uint32_t j = left + c;
            if (i < order && j <= i) {
                f32& f = to[uint64_t(i) * (i + 1) / 2 + j];
                f = fma(share, d.at[r][c] * scale - f, f);
            }
        }
    }
}

#define KERNEL(E)                                                                                   \
    extern "C" __global__ void __launch_bounds__(TILE_THREADS, 6)                                   \
    syrk_ema_##E(const Item* items, const SyrkFactor* factors, const double* shares) {              \
        update<E>(items, factors, shares);                                                          \
    }
KERNEL(f32) KERNEL(bf16) KERNEL(f16)
