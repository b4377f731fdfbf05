// Directions in eigenbases: U = Q_G·[(Q_Gᵀ·V·Q_A) ∘ f]·Q_Aᵀ for a ragged list of layers.
//
// The first launch turns the bases over. Then Z = Q_Gᵀ·V, stored by columns (kron_left of linalg/kron_apply.cu), and here
// W = Z·Q_A, which is scaled and stored by rows; and with the bases that were turned over Y = Q_G·(W∘f), by columns, and
// U = Y·Q_Aᵀ (kron_left and kron_right, where W∘f stands in place of a gradient). So all factors are read by rows, but for V and
// W∘f of a layer without Q_G. The clip's sum is that of ⟨W∘f, W⟩ = ⟨U, V⟩.
#include "core/fmath.cuh"
#include "linalg/kron.cuh"

// A basis that is turned over.
struct EigenBasis {
    uint64_t basis;   // device address, row after row
    uint64_t turned;  // element of the workspace where its transpose begins, filled up to whole tiles
    uint32_t order, stride, turned_stride, unused;
};
static_assert(sizeof(EigenBasis) == 32);

struct EigenLayer {
    uint64_t left_values, right_values;         // device addresses of the eigenvalues s and t; left_values is 0 for all 1
    uint64_t moments;                           // device address of E, row after row; 0 where there is none
    uint64_t scaled;                            // element of the workspace where W∘f begins, row after row
    uint32_t moments_stride, scaled_stride;
};
static_assert(sizeof(EigenLayer) == 40);

struct EigenSettings {
    double damping;     // λ, or ε of Adam
    double exponent;    // e
    double beta;        // β
    double correction;  // 1/(1 - β^t)
    uint64_t updates;   // t
};
static_assert(sizeof(EigenSettings) == 40);

// What f is; twin of the numbers in src/cuda/linalg/eigenbasis.rs.
constexpr uint32_t DAMPED = 0, POWER = 1, SECOND_MOMENTS = 2;  // else Adam

extern "C" __device__ const uint32_t eigenbasis_layout[6] = {
    sizeof(EigenBasis), sizeof(EigenLayer), sizeof(EigenSettings), sizeof(Item), TILE_THREADS, TILE<f32>,
};

// A tile of a basis. The first block counts the call.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
eigen_turn_f32(const Item* items, const EigenBasis* bases, f32* workspace, EigenSettings* settings) {
    constexpr uint32_t SIZE = TILE<f32>;
    __shared__ f32 tile[SIZE][SIZE + 1];
    __shared__ Assigned<EigenBasis> own;
    begin(items, bases, own, [&](const Assigned<EigenBasis>&) {
        if (blockIdx.x == 0) {
            settings->updates += settings->updates < ~uint64_t(0);
            settings->correction = 1.0 / (1.0 - powi(settings->beta, settings->updates));
        }
    });
    const auto& [item, basis] = own;
    const MatrixRows<f32> rows = {reinterpret_cast<const f32*>(basis.basis), nullptr, basis.order, basis.order, basis.stride};
    const uint32_t top = item.i * SIZE, left = item.j * SIZE;
    #pragma unroll 8
    for (uint32_t row = 0; row < SIZE; row++) {
        tile[row][thread()] = rows.at(top + row, left + thread());
    }
    __syncthreads();
    f32* const to = workspace + basis.turned + uint64_t(left) * basis.turned_stride + top + thread();
    #pragma unroll 8
    for (uint32_t row = 0; row < SIZE; row++) {
        to[uint64_t(row) * basis.turned_stride] = tile[thread()][row];
    }
}

// What a thread needs to scale an element of W.
struct Scaling {
    uint32_t kind;
    f32 damping, exponent, beta, rest, correction;

    __device__ Scaling(uint32_t kind, const EigenSettings& from)
        : kind(kind), damping(f32(from.damping)), exponent(f32(from.exponent)), beta(f32(from.beta)),
          rest(f32(1.0 - from.beta)), correction(f32(from.correction)) {}

    __device__ f32 scaled(f32 w, f32 s, f32 t, f32* moment) const {
        switch (kind) {
            case DAMPED:
                return w / fma(s, t, damping);
            case POWER: {
                const f32 product = s * t;
                return w * fmath::pow(select(product < 0.0f, 0.0f, product) + damping, exponent);
            }
            case SECOND_MOMENTS:
                return w / (updated(w, moment) + damping);
            default:
                return w / (sqrt(updated(w, moment) * correction) + damping);
        }
    }

    // E of an element, which it becomes.
    __device__ f32 updated(f32 w, f32* moment) const {
        return *moment = fma(beta, *moment, rest * w * w);
    }
};

extern "C" __global__ void __launch_bounds__(TILE_THREADS, 6)
eigen_scale_f32(const Item* items, const KronLayer* layers, const EigenLayer* eigen_layers, f32* workspace,
                const EigenSettings* settings, uint32_t kind, double* sums) {
    __shared__ KronMemory memory;
    begin(items, layers, memory.own);
    constexpr int M = MICRO<f32>, V = VECTOR<f32>;
    const auto& [item, kron] = memory.own;
    const uint32_t top = item.i * TILE<f32>, left = item.j * TILE<f32>;
    {
        const uint32_t ti = thread() % SIDE, tj = thread() / SIDE;
        TileMicro<f32> d;
        set_zero(d);
        multiply_right(d, workspace, takes_part(memory.own), memory);
        __syncthreads();
        #pragma unroll
        for (int r = 0; r < M; r++) {
            #pragma unroll
            for (int part = 0; part < M / V; part++) {
                Pack<f32, V> pack;
                #pragma unroll
                for (int k = 0; k < V; k++) {
                    pack.element[k] = d.at[r][part * V + k];
                }
                store_shared(memory.tile[ti * M + r][(tj * (M / V) + part) ^ ti], pack);
            }
        }
        __syncthreads();
    }
    // A thread a column.
    const EigenLayer layer = eigen_layers[item.matrix];
    const Scaling scaling(kind, *settings);
    const uint32_t x = thread(), column = left + x;
    const auto* const s = reinterpret_cast<const f32*>(layer.left_values);
    const bool in_layer = column < kron.columns;
    const f32 t = in_layer ? reinterpret_cast<const f32*>(layer.right_values)[column] : 0.0f;
    f32* const moments = reinterpret_cast<f32*>(layer.moments);
    f32* const to = workspace + layer.scaled + column;
    double sum = 0.0;
    #pragma unroll 2
    for (uint32_t r = 0; r < TILE<f32>; r++) {
        const uint32_t row = top + r;
        f32 scaled = 0.0f;
        if (in_layer && row < kron.outputs) {
            const f32 w = memory.tile[r][(x / V) ^ (r / M)].element[x % V];
            scaled = scaling.scaled(w, s == nullptr ? 1.0f : s[row], t, moments + uint64_t(row) * layer.moments_stride + column);
            if (sums != nullptr) {
                sum = fma(double(scaled), double(w), sum);
            }
        }
        to[uint64_t(row) * layer.scaled_stride] = scaled;
    }
    if (sums != nullptr) {
        sum_of_block(sum, sums, memory);
    }
}
