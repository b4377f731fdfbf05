// Tensors of a learned optimizer: their tables, and the features of their elements.
#pragma once
#include "core/element.cuh"
#include "lopt/arithmetic.cuh"

constexpr uint32_t LOPT_CHUNK = 4096;  // elements a chunk
constexpr uint32_t LANES = 256;        // of a partial sum over elements, or over entries of a table
constexpr uint32_t SEGMENT = 256;      // elements of an axis that a partial sum of squared gradients is made of
constexpr uint32_t SEGMENT_LANES = 32;
constexpr uint32_t COLUMNS = 1024;     // entries of a table of columns whose statistics are summed together
constexpr uint32_t STATISTICS = 22;    // features 0 to 12, 25 to 27, and 13 to 15 and 19 to 21 where nothing is factored

constexpr uint32_t IS_FACTORED = 1, ROWS_ARE_OVER_Y = 2;
enum Storage : uint32_t { ARITHMETIC = 0, BF16 = 4, F16 = 8, STORAGE = 12 };

// An array [outer, length, inner], summed over the axis in the middle.
struct Span {
    uint64_t outer, length, inner;
};

struct Learned {
    uint64_t parameter, gradient;  // device addresses
    uint64_t moments;              // 4 arrays, or 7 where nothing is factored
    uint64_t rows, columns;        // 9 arrays each
    uint64_t over_x, over_y;       // partial sums over X and over Y
    uint64_t length;
    uint64_t first_chunk;
    uint64_t first_item;           // of its rows; those of its columns are behind them
    uint32_t row_items, column_items;
    uint32_t size[5];              // A, X, B, Y, C
    uint32_t flags;
};
static_assert(sizeof(Learned) == 112);

__device__ inline Span over(const Learned& tensor, bool is_y) {
    const uint64_t a = tensor.size[0], x = tensor.size[1], b = tensor.size[2], y = tensor.size[3], c = tensor.size[4];
    return is_y ? Span{a * x * b, y, c} : Span{a, x, b * y * c};
}

__device__ inline uint64_t partials_of(const Learned& tensor, bool is_y) { return is_y ? tensor.over_y : tensor.over_x; }

// The rows over the axis that they have and columns do not.
__device__ inline Span over_rows(const Learned& tensor) {
    const uint64_t a = tensor.size[0], x = tensor.size[1], b = tensor.size[2], y = tensor.size[3], c = tensor.size[4];
    return tensor.flags & ROWS_ARE_OVER_Y ? Span{a, x, b * c} : Span{a * b, y, c};
}

// An element of an array in global memory.
template <class T> __device__ T& global(uint64_t array, uint64_t at) {
    T* const element = reinterpret_cast<T*>(array) + at;
    __builtin_assume(__isGlobal(element));
    return *element;
}

// The type in which a tensor lies is known to loads and stores alone.
template <class Real> __device__ Real load_as(uint64_t from, uint64_t at, uint32_t storage) {
    if (sizeof(Real) == 8 || storage == ARITHMETIC) {
        return global<const Real>(from, at);
    }
    const uint16_t bits = global<const uint16_t>(from, at);
    return storage == BF16 ? Real(widen(bf16{bits})) : Real(widen(f16{bits}));
}

template <class Real> __device__ void store_as(uint64_t to, uint64_t at, uint32_t storage, Real x) {
    if constexpr (sizeof(Real) == 8) {
        global<Real>(to, at) = x;
    } else if (storage == ARITHMETIC) {
        global<Real>(to, at) = x;
    } else {
        global<uint16_t>(to, at) = storage == BF16 ? narrow<bf16>(x).bits : narrow<f16>(x).bits;
    }
}

// Where the row and the column of an element stand.
struct Places {
    uint64_t row, column;
};

// Elements of a tensor from `start` on; `first` has the axes of the first of them.
struct Part {
    uint32_t tensor, length;
    uint64_t start;
    uint32_t first[5], reserved;
};
static_assert(sizeof(Part) == 40);

// The axes of a part's elements.
struct Walk {
    uint32_t size[5], first[5];
    bool rows_are_over_y;

    __device__ Walk(const Learned& tensor, const Part& part) : rows_are_over_y(tensor.flags & ROWS_ARE_OVER_Y) {
        #pragma unroll
        for (int k = 0; k < 5; k++) {
            size[k] = tensor.size[k];
            first[k] = part.first[k];
        }
    }

    __device__ Places of(uint32_t i) const {
        uint32_t digit[5], carry = i;
        #pragma unroll
        for (int k = 4; k >= 0; k--) {
            digit[k] = 0;
            if (size[k] != 1) {
                const uint32_t sum = first[k] + carry;
                carry = sum / size[k];
                digit[k] = sum - carry * size[k];
            }
        }
        const uint64_t without_y = ((uint64_t(digit[0]) * size[1] + digit[1]) * size[2] + digit[2]) * size[4] + digit[4];
        const uint64_t without_x = ((uint64_t(digit[0]) * size[2] + digit[2]) * size[3] + digit[3]) * size[4] + digit[4];
        return rows_are_over_y ? Places{without_y, without_x} : Places{without_x, without_y};
    }
};

// The features of an element and its new moments; zeros are read where there is none.
template <class Real> struct Element {
    Real x[FEATURES];
    Real w[3];  // averages that are not factored

    __device__ void
    read(const Learned& tensor, const Walk& walk, const Scalars<Real>& scalars, uint64_t start, uint32_t i, bool has) {
        const uint32_t storage = tensor.flags & STORAGE;
        const uint64_t at = start + i;
        Real g = 0, p = 0, old[4] = {};
        if (has) {
            g = load_as<Real>(tensor.gradient, at, storage);
            p = load_as<Real>(tensor.parameter, at, storage);
            #pragma unroll
            for (int k = 0; k < 4; k++) {
                old[k] = global<const Real>(tensor.moments, k * tensor.length + at);
            }
        }
        x[0] = g;
        x[1] = p;
        #pragma unroll
        for (int k = 0; k < 3; k++) {
            x[2 + k] = averaged(scalars.momentum[k], old[k], g);
        }
        x[5] = averaged(scalars.rms, old[3], g * g);
        x[9] = rsqrt_of(x[5] + real<Real>(1e-6));
        #pragma unroll
        for (int k = 0; k < 3; k++) {
            x[6 + k] = x[2 + k] * x[9];
        }
        if (tensor.flags & IS_FACTORED) {
            const Places places = has ? walk.of(i) : Places{0, 0};
            const Span row_span = over(tensor, walk.rows_are_over_y), column_span = over(tensor, !walk.rows_are_over_y);
            const uint64_t row_count = row_span.outer * row_span.inner, column_count = column_span.outer * column_span.inner;
            const auto row = [&](uint32_t k) { return global<const Real>(tensor.rows, places.row + k * row_count); };
            const auto column = [&](uint32_t k) { return global<const Real>(tensor.columns, places.column + k * column_count); };
            #pragma unroll
            for (int k = 0; k < 3; k++) {
                x[13 + k] = row(k);
                x[16 + k] = column(k);
                x[19 + k] = row(3 + k);
                x[22 + k] = column(3 + k);
                const Real of_row = row(6 + k), of_column = column(6 + k);
                x[10 + k] = g * of_row * of_column;
                x[25 + k] = x[2 + k] * of_row * of_column;
            }
            return;
        }
        #pragma unroll
        for (int k = 0; k < 3; k++) {
            w[k] = averaged(scalars.adafactor[k], has ? global<const Real>(tensor.moments, (4 + k) * tensor.length + at) : Real(0), squared(g));
            x[10 + k] = g * rsqrt_of(at_least(w[k] + real<Real>(1e-9), real<Real>(1e-9)));
            x[13 + k] = x[16 + k] = w[k];
            x[19 + k] = x[22 + k] = inverse(w[k]);
            x[25 + k] = x[2 + k] * rsqrt_of(w[k] + real<Real>(1e-6));
        }
    }

    // Writes the moments back.
    __device__ void write(const Learned& tensor, uint64_t at) const {
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            global<Real>(tensor.moments, k * tensor.length + at) = x[2 + k];
        }
        if (!(tensor.flags & IS_FACTORED)) {
            #pragma unroll
            for (int k = 0; k < 3; k++) {
                global<Real>(tensor.moments, (4 + k) * tensor.length + at) = w[k];
            }
        }
    }
};
