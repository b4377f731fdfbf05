// The tables of a launch: which elements a block takes, and where a tensor's arrays lie. Twins of the tables in src.
#pragma once
#include <cstdint>
#include <type_traits>

constexpr uint32_t CHUNK = 16384;  // elements a chunk, at most
constexpr uint32_t THREADS = 256;  // a block

// Elements a thread and access: 16 bytes of the arithmetic type.
template <class Real> constexpr int RUN = 16 / sizeof(Real);

// Elements [start, start + length) of a tensor. Every chunk but a tensor's first starts on a multiple of 16 elements,
// counted from address 0 of the parameter's type.
struct Chunk {
    uint32_t tensor, length;
    uint64_t start;
};

constexpr uint32_t HAS_GRADIENT = 1;
constexpr uint32_t IN_PHASE = 2;  // all arrays share the parameter's element phase modulo RUN

template <int STATES> struct Tensor {
    uint64_t parameter, gradient;  // device addresses
    uint64_t length, first;        // in elements; first is the place of element 0 in the tensor that this is a shard of
    uint32_t group, flags;
    uint64_t state[STATES];        // device addresses
};

// The number of fields of a record, all of type T. An empty struct has none, though its size is 1.
template <class Record, class T> constexpr int count_fields() {
    if constexpr (std::is_empty_v<Record>) {
        return 0;
    } else {
        static_assert(sizeof(Record) % sizeof(T) == 0 && alignof(Record) == alignof(T));
        return sizeof(Record) / sizeof(T);
    }
}

// The lengths of a rule's records.
template <class Rule> constexpr int HYPER = count_fields<typename Rule::Hyper, double>();
template <class Rule> constexpr int CARRY = count_fields<typename Rule::Carry, double>();
template <class Rule> constexpr int SCALARS = count_fields<typename Rule::template Scalars<double>, double>();
template <class Rule> constexpr int STATES = count_fields<typename Rule::template State<double>, double>();

template <class Rule> using TensorOf = Tensor<STATES<Rule>>;

static_assert(sizeof(Chunk) == 16 && sizeof(Tensor<2>) == 56);
