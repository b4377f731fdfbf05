// A learned optimizer in five launches: squared gradients summed over two axes; averages of rows and columns; squares of the
// features summed over elements; normalisers and features of time; the network, and the step.
#include "lopt/perceptron.cuh"
#include "lopt/tensor.cuh"

constexpr uint32_t APPLY_THREADS = 128;

extern "C" __device__ const uint32_t lopt_layout[9] = {
    LOPT_CHUNK, LANES, SEGMENT, COLUMNS, STATISTICS, FIRST, sizeof(Learned), APPLY_THREADS, GROUP,
};

// What a block of the sums takes: of a segment of an axis, 256 sums from the first on, or 64 where their elements are neighbours.
struct Squares {
    uint32_t tensor, is_y;
    uint64_t segment, first;
};
constexpr uint32_t SUMS_OF_WARP = 8;

template <class Real> __device__ void squares(const Squares* items, const Learned* tensors) {
    const Squares item = items[blockIdx.x];
    const Learned tensor = tensors[item.tensor];
    const Span span = over(tensor, item.is_y != 0);
    const uint64_t sums = span.outer * span.inner, top = item.segment * SEGMENT;
    const uint32_t length = uint32_t(min(span.length - top, uint64_t(SEGMENT)));
    const uint64_t to = partials_of(tensor, item.is_y != 0), row = item.segment * sums;
    // Either a warp has the lanes of a sum, and takes one sum after the other; or a thread takes one lane after the other of its
    // own sum, in the order of a tree: those 16 apart are neighbours, and what waits for its other half stands in `half`, as digits of
    // a binary counter do.
    const bool is_row = span.inner == 1;
    const uint64_t own = item.first + (is_row ? threadIdx.x / 32 * SUMS_OF_WARP : threadIdx.x);
    Real half[5] = {}, total = 0;
    #pragma unroll 1
    for (uint32_t i = 0; i < (is_row ? SUMS_OF_WARP : SEGMENT_LANES); i++) {
        const uint64_t sum = is_row ? own + i : own;
        const uint32_t lane = is_row ? threadIdx.x % 32 : __brev(i) >> 27;
        const uint64_t first = (sum / span.inner * span.length + top) * span.inner + sum % span.inner;
        const uint32_t end = sum < sums ? length : 0;
        total = 0;
        #pragma unroll 4
        for (uint32_t r = 0; r < SEGMENT; r += SEGMENT_LANES) {
            if (r + lane < end) {
                total += squared(load_as<Real>(tensor.gradient, first + (r + lane) * span.inner, tensor.flags & STORAGE));
            }
        }
        if (is_row) {
            total = sum_of_warp(total);
            if (lane == 0 && sum < sums) {
                global<Real>(to, row + sum) = total;
            }
            continue;
        }
        bool goes_on = true;
        #pragma unroll
        for (uint32_t k = 0; k < 5; k++) {
            const bool is_upper = i >> k & 1;
            const Real both = half[k] + total;
            half[k] = goes_on && !is_upper ? total : half[k];
            total = goes_on && is_upper ? both : total;
            goes_on = goes_on && is_upper;
        }
    }
    if (!is_row && own < sums) {
        global<Real>(to, row + own) = total;
    }
}

// What a block of the averages takes: the rows of one mean, or COLUMNS columns from the first on.
struct Averages {
    uint32_t tensor, is_columns;
    uint64_t first;
};

template <class Real>
__device__ void averages(const Averages* items, const Learned* tensors, const Scalars<Real>& scalars, double* means) {
    __shared__ double lanes[9][LANES], row_means[3];
    const Averages item = items[blockIdx.x];
    const Learned tensor = tensors[item.tensor];
    const bool is_columns = item.is_columns != 0, is_y = (tensor.flags & ROWS_ARE_OVER_Y) != 0;
    const Span span = over(tensor, is_y != is_columns), rows = over_rows(tensor);
    const uint64_t entries = span.outer * span.inner;
    const uint64_t segments = (span.length + SEGMENT - 1) / SEGMENT;
    const uint64_t table = is_columns ? tensor.columns : tensor.rows, partials = partials_of(tensor, is_y != is_columns);
    const uint64_t count = is_columns ? min(entries - item.first, uint64_t(COLUMNS)) : rows.length;
    const uint64_t base = is_columns ? item.first : item.first / rows.inner * rows.length * rows.inner + item.first % rows.inner;
    const uint64_t stride = is_columns ? 1 : rows.inner;
    double own[9] = {};
    #pragma unroll 1
    for (uint64_t r = threadIdx.x; r < count; r += LANES) {
        const uint64_t entry = base + r * stride;
        double total = 0;
        #pragma unroll 1
        for (uint64_t k = 0; k < segments; k++) {
            total += double(global<const Real>(partials, k * entries + entry));
        }
        const Real mean = Real(total / double(span.length));
        #pragma unroll
        for (uint32_t k = 0; k < 3; k++) {
            const Real v = averaged(scalars.adafactor[k], global<Real>(table, k * entries + entry), mean), root = inverse(v);
            global<Real>(table, k * entries + entry) = v;
            global<Real>(table, (3 + k) * entries + entry) = root;
            global<Real>(table, (6 + k) * entries + entry) = column_factor(v);
            own[k] += double(v) * double(v);
            own[3 + k] += double(root) * double(root);
            own[6 + k] += double(v);
        }
    }
    sums_of_lanes(own, lanes, [&](uint32_t k, double sum) {
        if (k < 6) {
            means[uint64_t(blockIdx.x) * 6 + k] = sum;
        } else {
            row_means[k - 6] = sum / double(rows.length);
        }
    });
    __syncthreads();
    if (is_columns) {
        return;
    }
    Real mean[3];
    #pragma unroll
    for (uint32_t k = 0; k < 3; k++) {
        mean[k] = Real(row_means[k]);
    }
    #pragma unroll 1
    for (uint64_t r = threadIdx.x; r < count; r += LANES) {
        const uint64_t entry = base + r * stride;
        #pragma unroll
        for (uint32_t k = 0; k < 3; k++) {
            global<Real>(table, (6 + k) * entries + entry) = row_factor(global<Real>(table, k * entries + entry), mean[k]);
        }
    }
}

// The feature of a statistic.
__device__ constexpr uint32_t feature_of(uint32_t statistic) {
    return statistic < 13 ? statistic : statistic < 16 ? statistic + 12 : statistic < 19 ? statistic - 3 : statistic;
}

template <class Real>
__device__ void statistics(const Part* parts, const Learned* tensors, const Scalars<Real> scalars, double* sums) {
    __shared__ Real lanes[STATISTICS][LANES];
    const Part part = parts[blockIdx.x];
    if (part.length == 0) {
        return;
    }
    const Learned tensor = tensors[part.tensor];
    const Walk walk(tensor, part);
    Real own[STATISTICS] = {};
    #pragma unroll 1
    for (uint32_t i = threadIdx.x; i < part.length; i += LANES) {
        Element<Real> element;
        element.read(tensor, walk, scalars, part.start, i, true);
        #pragma unroll
        for (uint32_t k = 0; k < STATISTICS; k++) {
            const Real x = element.x[feature_of(k)];
            own[k] = fma(x, x, own[k]);
        }
    }
    sums_of_lanes(own, lanes, [&](uint32_t k, Real sum) { sums[uint64_t(blockIdx.x) * STATISTICS + k] = double(sum); });
}

// A warp a feature: what it is multiplied by, or what a feature of time is.
extern "C" __global__ void __launch_bounds__(LANES) lopt_normalisers(
    const Learned* tensors, const double* sums, const double* means, const uint64_t* step, double* inputs
) {
    const Learned tensor = tensors[blockIdx.x];
    const uint32_t lane = threadIdx.x % 32;
    const bool is_factored = tensor.flags & IS_FACTORED, is_y = tensor.flags & ROWS_ARE_OVER_Y;
    double* const to = inputs + uint64_t(blockIdx.x) * ROW;
    #pragma unroll 1
    for (uint32_t j = threadIdx.x / 32; j < FEATURES; j += LANES / 32) {
        double sum = 0, count = double(tensor.length);
        if (is_factored && j >= 13 && j < 25) {
            // Rows and columns take turns by threes.
            const bool is_columns = (j - 13) / 3 % 2 == 1;
            const uint32_t which = (j - 13) / 6 * 3 + (j - 13) % 3;
            const double* const from = means + (tensor.first_item + (is_columns ? tensor.row_items : 0)) * 6 + which;
            const uint32_t items = is_columns ? tensor.column_items : tensor.row_items;
            #pragma unroll 1
            for (uint32_t k = lane; k < items; k += 32) {
                sum += from[uint64_t(k) * 6];
            }
            const Span span = over(tensor, is_y != is_columns);
            count = double(span.outer * span.inner);
        } else {
            const uint32_t statistic = j < 13 ? j : j >= 25 ? j - 12 : j < 19 ? 16 + (j - 13) % 3 : 19 + (j - 19) % 3;
            const uint64_t chunks = (tensor.length + LOPT_CHUNK - 1) / LOPT_CHUNK;
            const double* const from = sums + tensor.first_chunk * STATISTICS + statistic;
            #pragma unroll 1
            for (uint64_t k = lane; k < chunks; k += 32) {
                sum += from[k * STATISTICS];
            }
        }
        sum = sum_of_warp(sum);
        if (lane == 0) {
            to[j] = normaliser(sum / count);
        }
    }
    if (threadIdx.x < TIMES) {
        to[FEATURES + threadIdx.x] = time_of(*step, threadIdx.x);
    }
}

template <class Real>
__device__ void apply(
    const Part* parts, const Learned* tensors, const Real* network, uint32_t hidden, const double* inputs, uint64_t* step
) {
    constexpr uint32_t N = AT_ONCE<Real>;
    extern __shared__ __align__(16) uint64_t shared[];
    const Part part = parts[blockIdx.x];
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        *step += 1;
    }
    if (part.length == 0) {
        return;
    }
    const Scalars<Real>& scalars = *reinterpret_cast<const Scalars<Real>*>(network);
    const Learned tensor = tensors[part.tensor];
    const Perceptron<Real> perceptron(network + FIRST, hidden, reinterpret_cast<Real*>(shared));
    perceptron.fold(inputs + uint64_t(part.tensor) * ROW);
    __syncthreads();
    const Walk walk(tensor, part);
    #pragma unroll 1
    for (uint32_t i = threadIdx.x; i < part.length; i += N * blockDim.x) {
        // The elements pass through one place, so that there is one copy of what reads them, and of what writes them.
        Element<Real> element[N];
        Real outputs[N][4];
        #pragma unroll 1
        for (uint32_t n = 0; n < N; n++) {
            const uint32_t at = i + n * blockDim.x;
            if (N == 2) {
                element[0] = element[N - 1];
            }
            element[N - 1].read(tensor, walk, scalars, part.start, at, at < part.length);
            if (at < part.length) {
                element[N - 1].write(tensor, part.start + at);
            }
        }
        perceptron.run(element, outputs);
        #pragma unroll 1
        for (uint32_t n = 0; n < N; n++) {
            const uint32_t at = i + n * blockDim.x;
            const Real(&x)[FEATURES] = element[0].x;
            const Real adam[3] = {x[6], x[7], x[8]};
            const Real p = scalars.is_star != Real(0) ? stepped_by_star(scalars, x[1], outputs[0], adam, x[9])
                                                      : stepped(scalars, x[1], outputs[0][0], outputs[0][1]);
            if (at < part.length) {
                store_as(tensor.parameter, part.start + at, tensor.flags & STORAGE, p);
            }
            if (N == 2) {
                element[0] = element[N - 1];
                #pragma unroll
                for (uint32_t o = 0; o < 4; o++) {
                    outputs[0][o] = outputs[N - 1][o];
                }
            }
        }
    }
}

#define LOPT(T)                                                                                                               \
    extern "C" __global__ void __launch_bounds__(LANES)                                                                       \
    lopt_squares_##T(const Squares* items, const Learned* tensors) {                                                          \
        squares<T>(items, tensors);                                                                                           \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(LANES, 2)                                                                    \
    lopt_averages_##T(const Averages* items, const Learned* tensors, const T* network, double* means) {                       \
        averages<T>(items, tensors, *reinterpret_cast<const Scalars<T>*>(network), means);                                    \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(LANES)                                                                       \
    lopt_statistics_##T(const Part* parts, const Learned* tensors, const T* network, double* sums) {                          \
        statistics<T>(parts, tensors, *reinterpret_cast<const Scalars<T>*>(network), sums);                                   \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(APPLY_THREADS, 3)                                                            \
    lopt_apply_##T(const Part* parts, const Learned* tensors, const T* network, uint32_t hidden, const double* inputs,        \
        uint64_t* step) {                                                                                                     \
        apply<T>(parts, tensors, network, hidden, inputs, step);                                                              \
    }

LOPT(f32)
LOPT(f64)
