// The network, for a few elements a thread.
#pragma once
#include "core/pack.cuh"
#include "lopt/tensor.cuh"

// A row of the inputs, and of the first layer's weights with the bias behind them.
constexpr uint32_t ROW = INPUTS + 1;

// Elements that a thread takes through the network together: each weight is read once for all of them.
template <class Real> constexpr uint32_t AT_ONCE = sizeof(Real) == 4 ? 2 : 1;

// Neurons of the second layer whose sums a thread has in registers.
constexpr uint32_t GROUP = 8;

// The scalars of the step stand before the network, with room to a multiple of four.
constexpr uint32_t FIRST = (SCALARS + 3) / 4 * 4;

// The network as it lies in memory: the first layer row after row; the second, of each neuron of the first the weights by which all
// neurons take it; its biases; of each of its neurons the weights of four outputs; and their biases. Where neurons count up to a
// multiple of GROUP, and outputs to four, there are zeros.
//
// In shared memory: the first layer of the tensor, 32 numbers a neuron, and what its neurons say of the elements of the block.
template <class Real> struct Perceptron {
    static constexpr uint32_t BIAS = FEATURES, STRIDE = 32, N = AT_ONCE<Real>;
    const Real *first, *second, *second_bias, *third;
    uint32_t hidden, groups;
    Real* folded;
    Pack<Real, N>* said;  // of this thread's elements, those of a neuron a block apart

    __device__ Perceptron(const Real* network, uint32_t hidden, Real* shared)
        : first(network), second(network + hidden * ROW), hidden(hidden), groups((hidden + GROUP - 1) / GROUP),
          folded(shared), said(reinterpret_cast<Pack<Real, N>*>(shared + hidden * STRIDE) + threadIdx.x) {
        second_bias = second + hidden * groups * GROUP;
        third = second_bias + groups * GROUP;
    }

    // Each weight is multiplied by what its feature would be; what is the same for all elements is added up with the biases.
    __device__ void fold(const double* inputs) const {
        for (uint32_t k = threadIdx.x; k < hidden * STRIDE; k += blockDim.x) {
            const Real* const row = first + k / STRIDE * ROW;
            const uint32_t j = k % STRIDE;
            if (j < FEATURES) {
                folded[k] = row[j] * Real(inputs[j]);
            } else if (j == BIAS) {
                Real sum = row[INPUTS];
                #pragma unroll 1
                for (uint32_t t = FEATURES; t < INPUTS; t++) {
                    sum = fma(row[t], Real(inputs[t]), sum);
                }
                folded[k] = sum;
            }
        }
    }

    __device__ void run(const Element<Real> (&element)[N], Real (&outputs)[N][4]) const {
        Pack<Real, N>* to = said;
        const Real* row = folded;
        #pragma unroll 1
        for (uint32_t h = 0; h < hidden; h++, row += STRIDE, to += blockDim.x) {
            Pack<Real, N> y;
            #pragma unroll
            for (uint32_t n = 0; n < N; n++) {
                y.element[n] = row[BIAS];
            }
            #pragma unroll
            for (uint32_t j = 0; j < FEATURES; j++) {
                #pragma unroll
                for (uint32_t n = 0; n < N; n++) {
                    y.element[n] = fma(row[j], element[n].x[j], y.element[n]);
                }
            }
            #pragma unroll
            for (uint32_t n = 0; n < N; n++) {
                y.element[n] = relu(y.element[n]);
            }
            *to = y;
        }
        const Pack<Real, 4> bias = load<4>(third + groups * GROUP * 4);
        #pragma unroll
        for (uint32_t n = 0; n < 4 * N; n++) {
            outputs[n / 4][n % 4] = bias.element[n % 4];
        }
        #pragma unroll 1
        for (uint32_t g = 0; g < groups; g++) {
            Real z[N][GROUP];
            add_up(g, z);
            #pragma unroll
            for (uint32_t k = 0; k < GROUP; k++) {
                if (g * GROUP + k < hidden) {
                    const Pack<Real, 4> w = load<4>(third + (g * GROUP + k) * 4);
                    #pragma unroll
                    for (uint32_t n = 0; n < N; n++) {
                        const Real y = relu(z[n][k]);
                        #pragma unroll
                        for (uint32_t o = 0; o < 4; o++) {
                            outputs[n][o] = fma(w.element[o], y, outputs[n][o]);
                        }
                    }
                }
            }
        }
    }

    // What neurons of the second layer are told.
    __device__ void add_up(uint32_t group, Real (&z)[N][GROUP]) const {
        #pragma unroll
        for (uint32_t k = 0; k < GROUP; k += 4) {
            const Pack<Real, 4> b = load<4>(second_bias + group * GROUP + k);
            #pragma unroll
            for (uint32_t n = 0; n < 4 * N; n++) {
                z[n / 4][k + n % 4] = b.element[n % 4];
            }
        }
        const Pack<Real, N>* from = said;
        const Real* column = second + group * GROUP;
        #pragma unroll 1
        for (uint32_t h = 0; h < hidden; h++, column += groups * GROUP, from += blockDim.x) {
            const Pack<Real, N> y = *from;
            #pragma unroll
            for (uint32_t k = 0; k < GROUP; k += 4) {
                const Pack<Real, 4> w = load<4>(column + k);
                #pragma unroll
                for (uint32_t n = 0; n < 4 * N; n++) {
                    z[n / 4][k + n % 4] = fma(w.element[n % 4], y.element[n / 4], z[n / 4][k + n % 4]);
                }
            }
        }
    }
};
