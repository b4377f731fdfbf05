// Inverses of positive-definite blocks, damped, each in the registers of one thread block. Larger ones: linalg/spd_tiles.cu.
#include "linalg/sweep.cuh"

extern "C" __device__ const uint32_t spd_inverse_layout[4] = {
    sizeof(SpdBlock), sizeof(SpdReport), sizeof(Damped), sizeof(Findings),
};

// The tile of a thread, in a triangle of `tiles` a side: eight columns after eight columns, in each row after row. Eight
// neighbouring threads then read columns that lie side by side in a panel, or the same ones.
__device__ inline void place_in_triangle(uint32_t thread, uint32_t tiles, uint32_t& ti, uint32_t& tj) {
    uint32_t left = 0;
    for (; left + 8 < tiles; left += 8) {
        const uint32_t count = 36 + 8 * (tiles - left - 8);
        if (thread < count) {
            break;
        }
        thread -= count;
    }
    ti = tj = left;
    if (thread >= 36) {
        ti += 8 + (thread - 36) / 8;
        tj += (thread - 36) % 8;
        return;
    }
    uint32_t row = 0;
    for (; thread > row; row++) {
        thread -= row + 1;
    }
    ti += row;
    tj += thread;
}

template <class T, int M, int TILES>
__device__ void invert(const uint32_t* jobs, const SpdBlock* blocks, const Damped* firsts, const SpdSettings& settings,
                       SpdReport* reports, const uint32_t* done) {
    if (done != nullptr && done[jobs[blockIdx.x]] != 0) {
        return;
    }
    __shared__ SweepMemory<T, M, TILES> memory;
    __shared__ Findings findings;
    __shared__ SpdBlock block;
    __shared__ Damped first;
    __shared__ double damping;
    __shared__ uint32_t job, attempt;
    if (threadIdx.x == 0) {
        job = jobs[blockIdx.x];
        block = blocks[job];
        first = firsts[job];
        damping = first.damping;
        attempt = 0;
        memory.tiles = (block.order + M - 1) / M;
    }
    __syncthreads();
    uint32_t ti, tj;
    place_in_triangle(threadIdx.x, memory.tiles, ti, tj);
    Micro<T, M> d;
    while (true) {
        if (threadIdx.x == 0) {
            findings = {NOWHERE, NOWHERE};
        }
        __syncthreads();
        // Addresses are computed anew: the sweep needs their registers.
        compute_anew(ti), compute_anew(tj);
        if (ti < memory.tiles) {
            const Source<T> source(block);
            const T difference = source.read_negative(ti, tj, d);
            const T bound = asymmetry_bound<T>(first, settings);
            if (!(difference <= bound)) {
                source.template find<M>(ti, tj, bound, findings);
            }
            if (ti == tj) {
                source.damp(ti, damping, d);
            }
        } else {
            set_zero(d);
        }
        __syncthreads();
        if (findings.not_finite != NOWHERE || findings.asymmetric != NOWHERE) {
            if (threadIdx.x == 0) {
                reports[job] = report_findings(Source<T>(block), findings, damping);
            }
            return;
        }
        if (sweep<Leaves::INVERSE>(d, ti, tj, memory)) {
            break;
        }
        if (attempt == settings.retries) {
            if (threadIdx.x == 0) {
                reports[job] = {damping, NAN, NAN, double(memory.failed_pivot), NOT_POSITIVE_DEFINITE, attempt,
                                memory.failed, memory.failed};
            }
            return;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            damping = next_damping<T>(damping, first, settings);
            attempt++;
        }
    }
    compute_anew(ti), compute_anew(tj);
    if (ti < memory.tiles) {
        write_symmetric(block, ti, tj, d);
    }
    if (threadIdx.x < 32) {
        SpdReport report = {damping, 0.0, 0.0, 0.0, INVERTED, attempt, 0, 0};
        summarise(memory.pivots, block.order, report.log_determinant, report.smallest_pivot);
        if (threadIdx.x == 0) {
            reports[job] = report;
        }
    }
}

// Tiles a side, the threads that hold a triangle of them, and blocks of them that a multiprocessor has registers for.
#define KERNEL(T, M, TILES, THREADS, AT_ONCE)                                                                     \
    static_assert(TILES * (TILES + 1) / 2 <= THREADS);                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE)                                                \
    spd_inverse_##T##_##M##x##TILES(const uint32_t* jobs, const SpdBlock* blocks, const Damped* firsts,           \
                                    double growth, double tolerance, uint32_t retries, SpdReport* reports,        \
                                    const uint32_t* done) {                                                       \
        invert<T, M, TILES>(jobs, blocks, firsts, {growth, tolerance, retries}, reports, done);                   \
    }
KERNEL(f32, 4, 8, 64, 16)
KERNEL(f32, 8, 8, 64, 8)
KERNEL(f32, 8, 16, 160, 3)
KERNEL(f32, 8, 24, 320, 1)
KERNEL(f32, 8, 31, 512, 1)
KERNEL(f64, 4, 8, 64, 8)
KERNEL(f64, 4, 16, 160, 3)
KERNEL(f64, 4, 24, 320, 1)
KERNEL(f64, 4, 31, 512, 1)

// What a call begins with. A warp a block: its first damping. λ is added to a block that stands alone; of two blocks whose
// Kronecker product is damped by λ, each takes √λ times the root of the ratio of its mean diagonal to the other's (Martens and
// Grosse 2015, section 6.3). A ratio that is no positive number counts as 1. All threads: flags and findings are set back.
template <class T>
__device__ void prepare(const SpdBlock* blocks, uint32_t count, const double* lambdas, Damped* firsts, uint32_t* flags,
                        uint32_t flag_count, Findings* findings, uint32_t finding_count) {
    const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
    for (uint32_t flag = thread; flag < flag_count; flag += gridDim.x * blockDim.x) {
        flags[flag] = 0;
    }
    for (uint32_t finding = thread; finding < finding_count; finding += gridDim.x * blockDim.x) {
        findings[finding] = {NOWHERE, NOWHERE};
    }
    const uint32_t job = thread / 32, lane = thread % 32;
    if (job >= count) {
        return;
    }
    const SpdBlock block = blocks[job];
    const double mean = Source<T>(block).mean_diagonal(lane);
    double damping = lambdas[job];
    if (block.partner != job) {
        const double ratio = mean / Source<T>(blocks[block.partner]).mean_diagonal(lane);
        damping = sqrt(damping) * (ratio > 0.0 && is_finite(ratio) ? sqrt(ratio) : 1.0);
    }
    if (lane == 0) {
        firsts[job] = {damping, mean};
    }
}

#define PREPARE(T)                                                                                               \
    extern "C" __global__ void __launch_bounds__(256)                                                            \
    spd_prepare_##T(const SpdBlock* blocks, uint32_t count, const double* lambdas, Damped* firsts,               \
                    uint32_t* flags, uint32_t flag_count, Findings* findings, uint32_t finding_count) {          \
        prepare<T>(blocks, count, lambdas, firsts, flags, flag_count, findings, finding_count);                  \
    }
PREPARE(f32) PREPARE(f64)
