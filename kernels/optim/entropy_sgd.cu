// A walker around its anchor. Twin of src/cpu/optim/ensemble/entropy_sgd.rs.
#include "core/normal.cuh"
#include "optim/copies.cuh"
#include "optim/entropy_sgd.cuh"

constexpr int STATE_ARRAYS = FIELDS<EntropySgd::State<double>, double>;

COPIES_LAYOUT(entropy_sgd, EntropySgd, STATE_ARRAYS)

// Where the noise of a chunk comes from: drawn, which it is only where there is a gradient, given, or none.
struct Drawn {
    Normal normal;
    Address address;
    uint64_t first;  // the element of the unsharded tensor that the chunk begins with

    template <class Real, int N> __device__ Pack<Real, N> run(uint32_t at) const {
        float drawn[N];
        normal.template run<N>(address, first + at, drawn);
        Pack<Real, N> numbers;
        for (int i = 0; i < N; i++) {
            numbers.element[i] = Real(drawn[i]);
        }
        return numbers;
    }
};
template <class G> struct Given {
    const G* array;

    template <class Real, int N> __device__ Pack<Real, N> run(uint32_t at) const {
        const auto given = load<N>(array + at);
        Pack<Real, N> numbers;
        for (int i = 0; i < N; i++) {
            numbers.element[i] = widen(given.element[i]);
        }
        return numbers;
    }
};
struct None {
    template <class Real, int N> __device__ Pack<Real, N> run(uint32_t) const { return Pack<Real, N>(); }
};

// A step of the walker; INSIDE a loop, where it neither begins nor ends, which is the usual step and has less to do.
template <class P, class G, class Noise, bool INSIDE> struct Walk {
    using Real = RealOf<P>;
    P* parameter;
    const G* gradient;
    Real* state[STATE_ARRAYS];
    EntropySgd::Scalars<Real> s;
    const Noise& noise;

    __device__ Walk(const Copies<P, G, STATE_ARRAYS>& copies, const EntropySgd::Scalars<Real>& scalars, const Noise& noise)
        : parameter(copies.parameter(0)), gradient(copies.gradient(0)), s(scalars), noise(noise) {
        for (int k = 0; k < STATE_ARRAYS; k++) {
            state[k] = copies.state(0, k);
        }
        if (INSIDE) {
            s.begins = s.seeds = s.ends = real<Real>(0.0);
            s.walks = s.loops = real<Real>(1.0);
        }
    }

    __device__ bool is_on(Real scalar) const { return scalar != real<Real>(0.0); }

    // Arrays that the step neither reads nor writes are left alone; without momentum two of them are not there.
    template <int N> __device__ void run(uint32_t at) const {
        const bool keeps[STATE_ARRAYS] = {true, true, is_on(s.momentum), is_on(s.momentum)};
        const bool reads[STATE_ARRAYS] = {!is_on(s.begins), !is_on(s.begins), !is_on(s.begins),
                                          is_on(s.ends) || is_on(s.seeds)};
        const bool writes[STATE_ARRAYS] = {is_on(s.begins), is_on(s.begins) || is_on(s.walks),
                                           is_on(s.begins) || is_on(s.walks), is_on(s.ends) || is_on(s.seeds)};
        const bool given = std::is_same_v<Noise, Drawn> || gradient != nullptr;

        // First, so that its registers are free again before the arrays come.
        const auto numbers = noise.template run<Real, N>(at);
        auto p = load<N>(parameter + at);
        const Pack<G, N> g = given ? load<N>(gradient + at) : Pack<G, N>();
        Pack<Real, N> states[STATE_ARRAYS];
        for (int k = 0; k < STATE_ARRAYS; k++) {
            states[k] = keeps[k] && reads[k] ? load<N>(state[k] + at) : Pack<Real, N>();
        }
        for (int i = 0; i < N; i++) {
            EntropySgd::State<Real> values;
            for (int k = 0; k < STATE_ARRAYS; k++) {
                reinterpret_cast<Real*>(&values)[k] = states[k].element[i];
            }
            p.element[i] = narrow<P>(EntropySgd::update(
                s, widen(p.element[i]), widen(g.element[i]), given, numbers.element[i], values));
            for (int k = 0; k < STATE_ARRAYS; k++) {
                states[k].element[i] = reinterpret_cast<Real*>(&values)[k];
            }
        }
        store<N>(parameter + at, p);
        for (int k = 0; k < STATE_ARRAYS; k++) {
            if (keeps[k] && writes[k]) {
                store<N>(state[k] + at, states[k]);
            }
        }
    }
};

template <class P, class G, class Noise>
__device__ void walk_through(uint32_t length, const Copies<P, G, STATE_ARRAYS>& copies,
                             const EntropySgd::Scalars<RealOf<P>>& s, const Noise& noise) {
    const RealOf<P> zero = real<RealOf<P>>(0.0);
    if (s.walks != zero && s.begins == zero && s.seeds == zero && s.ends == zero) {
        each_run(copies.parameter(0), length, copies.in_phase(), Walk<P, G, Noise, true>(copies, s, noise));
        return;
    }
    // Twice a loop, one by one: runs of all arrays would take registers from every step.
    const Walk<P, G, Noise, false> body(copies, s, noise);
    for (uint32_t i = threadIdx.x; i < length; i += THREADS) {
        body.template run<1>(i);
    }
}

template <class P, class G>
__device__ void walk(const Chunk* chunks, const uint64_t* tensors, uint32_t copies, const double* hyper,
                     uint64_t* counters) {
    const auto step = begin_step<EntropySgd, RealOf<P>>(hyper, counters);
    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    const Copies<P, G, STATE_ARRAYS> all(tensors, chunk, copies);
    const auto& s = step.scalars;
    const RealOf<P> zero = real<RealOf<P>>(0.0);
    if (all.extra(0) != nullptr) {
        walk_through(chunk.length, all, s, Given<G>{all.extra(0)});
    } else if (s.walks != zero && s.noise != zero && all.gradient(0) != nullptr) {
        const auto h = read_record<EntropySgd::Hyper>(hyper);
        Normal normal;
        normal.begin();
        const Drawn noise = {
            normal,
            {{GRADIENT_NOISE << PURPOSE_SHIFT, uint32_t(all.row[2]), uint32_t(step.t)}, uint64_t(h.seed)},
            all.row[1] + chunk.start,
        };
        walk_through(chunk.length, all, s, noise);
    } else {
        walk_through(chunk.length, all, s, None());
    }
}

// Three blocks a multiprocessor: left alone, ptxas makes room for four and spills.
#define KERNEL(P, G)                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS, 3)                                                    \
    entropy_sgd_##P##_##G(const Chunk* chunks, const uint64_t* tensors, uint32_t copies, const double* hyper, \
                          uint64_t* counters, const RealOf<P>*) {                                            \
        walk<P, G>(chunks, tensors, copies, hyper, counters);                                                \
    }
FOR_EACH_PAIR(KERNEL)
