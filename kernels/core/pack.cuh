// N neighbouring elements that travel in one access of global memory.
#pragma once
#include "core/element.cuh"

template <class T, int N> struct alignas(N * sizeof(T)) Pack {
    T element[N];
};

template <int N, class T> __device__ Pack<T, N> load(const T* from) {
    __builtin_assume(__isGlobal(from));
    return *reinterpret_cast<const Pack<T, N>*>(from);
}

template <int N, class T> __device__ void store(T* to, const Pack<T, N>& pack) {
    __builtin_assume(__isGlobal(to));
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
}
