// What thread blocks are assigned: an item each.
#pragma once
#include <cstdint>

// A tile or a strip of the matrix, layer or factor that has row `matrix` in a table.
struct Item { uint32_t matrix, i, j, other; };  // other: what else a kernel's items say, if anything
static_assert(sizeof(Item) == 16);

// An item and its row, in shared memory: what is the same for all threads need not occupy registers of each.
template <class Row> struct Assigned {
    Item item;
    Row row;
};

// Reads those of this thread block. The first thread then calls `also`, before the others go on. All threads call.
template <class Row, class Also>
__device__ void begin(const Item* items, const Row* rows, Assigned<Row>& assigned, Also also) {
    if (threadIdx.x == 0) {
        assigned.item = items[blockIdx.x];
        assigned.row = rows[assigned.item.matrix];
        also(assigned);
    }
    __syncthreads();
}

template <class Row> __device__ void begin(const Item* items, const Row* rows, Assigned<Row>& assigned) {
    begin(items, rows, assigned, [](const Assigned<Row>&) {});
}
