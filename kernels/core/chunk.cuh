// The tables of a launch: which elements a block takes, and where a tensor's arrays lie. Twins of the tables in src.
#pragma once
#include <cstdint>
#include <type_traits>

constexpr uint32_t CHUNK = 16384;  // elements a chunk, at most
constexpr uint32_t THREADS = 256;  // a block

// Elements that fill whole sectors (32 bytes) of every type.
constexpr uint32_t CHUNK_PHASE = 16;

// Elements a thread and access: 16 bytes of the arithmetic type.
template <class Real> constexpr int RUN = 16 / sizeof(Real);

// Elements [start, start + length) of a tensor. Every chunk but a tensor's first starts on a multiple of CHUNK_PHASE
// elements, counted from address 0 of the parameter's type. A chunk without elements names no tensor.
struct Chunk {
    uint32_t tensor, length;
    uint64_t start;
};

constexpr uint32_t HAS_GRADIENT = 1;
constexpr uint32_t IN_PHASE = 2;      // all arrays share the parameter's element phase modulo RUN: runs are aligned in each
constexpr uint32_t IS_STATELESS = 4;  // the rule's states are neither read nor written; their addresses are 0

template <int STATES> struct Tensor {
    uint64_t parameter, gradient, extra;  // device addresses; 0 where there is none
    uint64_t length, first, id;           // first is the place of element 0 in the tensor `id` that this is a shard of
    uint32_t group, flags;
    uint64_t average, slow, momentum;     // device addresses; 0 where the group has none
    uint64_t state[STATES > 0 ? STATES : 1];  // device addresses
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

template <class Record, class T> constexpr int FIELDS = count_fields<Record, T>();

// The number of a rule's state arrays.
template <class Rule> constexpr int STATES = FIELDS<typename Rule::template State<double>, double>;

template <class Rule> using TensorOf = Tensor<STATES<Rule>>;

static_assert(sizeof(Chunk) == 16 && sizeof(Tensor<2>) == 96);

// Reads the fields of a record from an array.
template <class Record, class T> __device__ Record read_record(const T* from) {
    Record record;
    for (int k = 0; k < FIELDS<Record, T>; k++) {
        reinterpret_cast<T*>(&record)[k] = from[k];
    }
    return record;
}

// Writes the fields of a record to an array, each rounded once to the array's type.
template <class T, class To, class Record> __device__ void write_record(const Record& record, To* to) {
    for (int k = 0; k < FIELDS<Record, T>; k++) {
        to[k] = To(reinterpret_cast<const T*>(&record)[k]);
    }
}
