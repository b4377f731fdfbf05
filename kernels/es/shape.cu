// Losses made into the weights of members: ranks looked up, scores, signs. Twin of src/cpu/es/shape.rs.
#include <cstdint>

#include "linalg/sums.cuh"

constexpr uint32_t THREADS = 256;
constexpr uint32_t INFINITE = 0x7f800000;  // an infinity's bits; those of NaNs are greater

extern "C" __device__ const uint32_t shape_layout[1] = {THREADS};

__device__ bool is_nan(float x) { return (__float_as_uint(x) & 0x7fffffff) > INFINITE; }

__device__ bool is_finite(float x) { return (__float_as_uint(x) & INFINITE) != INFINITE; }

// The order of losses as that of integers: zeros are equal, and a NaN is worse than infinity.
__device__ uint32_t order_of(float loss) {
    const uint32_t bits = __float_as_uint(loss);
    if (is_nan(loss)) {
        return 0xffffffff;
    }
    if (loss == 0.0f) {
        return 0x80000000;
    }
    return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

// The mean over the places that a loss shares with its equals. sums[k] is that of the first k places.
extern "C" __global__ void __launch_bounds__(THREADS)
shape_ranks(const float* losses, uint32_t count, const double* sums, double total, double scale, float* weights) {
    __shared__ uint32_t orders[THREADS];
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    const uint32_t own = i < count ? order_of(losses[i]) : 0;
    uint32_t less = 0, equal = 0;
    for (uint32_t begin = 0; begin < count; begin += THREADS) {
        const uint32_t here = min(THREADS, count - begin);
        __syncthreads();
        if (threadIdx.x < here) {
            orders[threadIdx.x] = order_of(losses[begin + threadIdx.x]);
        }
        __syncthreads();
        for (uint32_t j = 0; j < here; j++) {
            less += orders[j] < own;
            equal += orders[j] == own;
        }
    }
    if (i < count) {
        const double here = sums[less + equal] - sums[less];
        weights[i] = float((here - total * (double(equal) / double(count))) / (double(equal) * scale));
    }
}

// A loss that is not finite counts as the best or the worst that is.
__device__ double counted(float loss, float least, float greatest) {
    return is_nan(loss) ? greatest : min(max(loss, least), greatest);
}

// How many deviations a loss is from the mean of its group; groups are of `group` neighbours, the deviation is that of all.
// One block.
extern "C" __global__ void __launch_bounds__(THREADS)
shape_scores(const float* losses, uint32_t count, uint32_t group, double epsilon, float* weights) {
    __shared__ double lanes[THREADS];
    __shared__ float ends[2][THREADS];
    float least = __uint_as_float(INFINITE), greatest = -least;
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        const float loss = losses[i];
        if (is_finite(loss)) {
            least = loss < least ? loss : least;
            greatest = loss > greatest ? loss : greatest;
        }
    }
    ends[0][threadIdx.x] = least;
    ends[1][threadIdx.x] = greatest;
    __syncthreads();
    for (uint32_t i = 0; i < THREADS; i++) {
        least = ends[0][i] < least ? ends[0][i] : least;
        greatest = ends[1][i] > greatest ? ends[1][i] : greatest;
    }
    if (least > greatest) {
        // None is finite: nothing tells them apart.
        for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
            weights[i] = 0.0f;
        }
        return;
    }

    double sum = 0.0;
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        sum += counted(losses[i], least, greatest);
    }
    const double mean = sum_of_block(sum, lanes) / double(count);
    double squares = 0.0;
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        const double apart = counted(losses[i], least, greatest) - mean;
        squares = fma(apart, apart, squares);
    }
    const double deviation = sqrt(sum_of_block(squares, lanes) / double(count) + epsilon);
    const auto score = [&](float loss, double from) {
        const double apart = counted(loss, least, greatest) - from;
        return apart == 0.0 ? 0.0f : float(apart / deviation);
    };
    if (group == count) {
        for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
            weights[i] = score(losses[i], mean);
        }
        return;
    }
    for (uint32_t begin = threadIdx.x * group; begin < count; begin += THREADS * group) {
        double of_group = 0.0;
        for (uint32_t i = begin; i < begin + group; i++) {
            of_group += counted(losses[i], least, greatest);
        }
        of_group /= double(group);
        for (uint32_t i = begin; i < begin + group; i++) {
            weights[i] = score(losses[i], of_group);
        }
    }
}

// 1, 0 or -1; 0 for a NaN.
extern "C" __global__ void __launch_bounds__(THREADS) shape_signs(const float* losses, uint32_t count, float* weights) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i < count) {
        weights[i] = float(losses[i] > 0.0f) - float(losses[i] < 0.0f);
    }
}
