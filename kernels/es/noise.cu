// Noise of a range of elements, written to memory, a twin of src/cpu/noise.rs; and integer noises added to integer weights, for the
// sake of the table of normals that they share.
#include "core/chunk.cuh"
#include "core/normal.cuh"
#include "core/pack.cuh"
#include "es/lattice.cuh"

extern "C" __device__ const uint32_t noise_layout[3] = {CHUNK, THREADS, FEW};

// Element `first + i` goes to out[i], i < count. A block writes at most CHUNK elements, a thread four neighbours at a time,
// those of one counter; all blocks but the last begin and end with a counter.
template <class Out, class Draw>
__device__ void fill(Out* out, uint64_t first, uint64_t count, Draw draw) {
    const uint64_t begin = first / 4 + uint64_t(blockIdx.x) * (CHUNK / 4);
    const uint64_t end = min(begin + CHUNK / 4, (first + count + 3) / 4);
    for (uint64_t block = begin + threadIdx.x; block < end; block += THREADS) {
        const Pack<Out, 4> four = draw(block);
        // Where the first one goes; beyond `count` where that would be before `out`.
        const uint64_t at = 4 * block - first;
        if (at < count && count - at >= 4 && reinterpret_cast<uint64_t>(out + at) % 16 == 0) {
            // nvcc takes a Pack's store apart here, but not this one.
            __stwb(reinterpret_cast<uint4*>(out + at), reinterpret_cast<const uint4&>(four));
        } else {
            for (int i = 0; i < 4; i++) {
                if (at + i < count) {
                    store<1>(out + (at + i), {four.element[i]});
                }
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
noise_words(uint32_t* out, uint64_t first, uint64_t count, uint64_t seed, uint32_t field1, uint32_t field2, uint32_t field3) {
    const Address address = {{field1, field2, field3}, seed};
    fill(out, first, count, [&](uint64_t block) {
        const Words words = address.words(block);
        return Pack<uint32_t, 4>{{words.word[0], words.word[1], words.word[2], words.word[3]}};
    });
}

extern "C" __global__ void __launch_bounds__(THREADS)
noise_normals(float* out, uint64_t first, uint64_t count, uint64_t seed, uint32_t field1, uint32_t field2, uint32_t field3) {
    const Address address = {{field1, field2, field3}, seed};
    Normal normal;
    normal.begin();
    fill(out, first, count, [&](uint64_t block) {
        Pack<float, 4> four;
        normal.block(address, block, four.element);
        return four;
    });
}

// The normals of `count` given words: word and normal i stand at i. For the words that no address of reach has.
extern "C" __global__ void __launch_bounds__(THREADS)
noise_normals_of_words(const uint32_t* words, float* out, uint64_t count) {
    Normal normal;
    normal.begin();
    const uint64_t begin = uint64_t(blockIdx.x) * CHUNK;
    const uint64_t end = min(begin + CHUNK, count);
    for (uint64_t i = begin + threadIdx.x; i < end; i += THREADS) {
        out[i] = normal(words[i]);
    }
}

// ptxas may use 80 registers: with fewer, it keeps one in memory for some target.
#define LATTICE(name, Draws)                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 3) lattice_##name(                                                  \
        const Chunk* chunks, const Summed* tensors, const LatticeTerm* terms, uint32_t count,                                 \
        const __grid_constant__ FewOfLattice few, uint32_t shift, int32_t threshold, int32_t limit                            \
    ) {                                                                                                                       \
        lattice<Draws>(chunks, tensors, terms != nullptr ? terms : few.term, count, shift, threshold, limit);                 \
    }

LATTICE(normal, Normals)
LATTICE(rademacher, Signs)
LATTICE(uniform, Uniforms)
