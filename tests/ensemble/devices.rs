//! Every device gives the same bits: sizes around chunks and blocks, offsets in memory, missing gradients, all pairs.

use gradus::element::{Dtype, Element};
use gradus::ensemble::{Ensemble, EntropySgd, ReplicatedSgd};
use gradus::optim::Tensor;
use gradus::rules::Pair;
use gradus::{Buffer, Device};

use super::common::data::{Numbers, seed};
use super::common::devices::devices;
use super::common::memory::Guarded;
use super::subject::{Agents, Model, Replicas, Subject, Walkers};

const CHUNK: usize = 16384;
const LENGTHS: [usize; 9] = [0, 1, 3, 63, 65, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 19];

/// Where parameters and gradients stand: in a phase that all share, in phases modulo a run, anywhere.
type Offsets = fn(usize) -> (usize, usize);
const OFFSETS: [Offsets; 4] = [|_| (0, 0), |_| (5, 5), |k| (4 * k, 8), |k| (k % 5, k % 3)];

fn agree<S: Subject<P, G>, P: Pair<G>, G: Element<Real = P::Real>>(name: &str) {
    let is_usual = P::DTYPE == Dtype::F32 && G::DTYPE == Dtype::F32;
    let (lengths, offsets) =
        if is_usual { (&LENGTHS[..], &OFFSETS[..]) } else { (&[0, 65, CHUNK + 1][..], &OFFSETS[1..3]) };
    for (case, offsets) in offsets.iter().enumerate() {
        let played = |device: &Device| {
            let mut model = Model::<S, P, G>::new(device, lengths, offsets);
            model.step(|_| true);
            model.step(|position| position % 5 != 3);
            model.step(|position| position < 4);
            model.step(|_| false);
            model.everything()
        };
        let [first, others @ ..] = devices() else { panic!("there is a CPU") };
        let expected = played(first);
        for device in others {
            assert!(
                played(device) == expected,
                "{name} ({}, {}), offsets {case}: {device} differs from {first}",
                P::DTYPE,
                G::DTYPE
            );
        }
    }
}

macro_rules! pairs {
    ($(($parameter:ident, $gradient:ident),)*) => {
        /// Checks a subject with every pair of storage types.
        macro_rules! agree_in_every_pair {
            ($Subject:ty) => {{
                use half::{bf16, f16};
                $(agree::<$Subject, $parameter, $gradient>(stringify!($Subject));)*
            }};
        }
    };
}
gradus::for_each_pair!(pairs);

#[test]
fn replicas_step_to_the_same_bits() {
    agree_in_every_pair!(Replicas);
}

#[test]
fn agents_step_to_the_same_bits() {
    agree_in_every_pair!(Agents<false>);
    agree::<Agents<true>, f32, f32>("agents that begin at their gradients");
}

#[test]
fn walkers_step_to_the_same_bits() {
    agree_in_every_pair!(Walkers<3, true>);
    agree::<Walkers<2, false>, f32, f32>("walkers with a heavy ball");
    agree::<Walkers<0, true>, f32, f32>("walkers without a loop");
    agree::<Walkers<9, true>, f32, f32>("walkers without momentum");
}

/// Noise that is given, by some tensors only; and shards, whose noise is that of the whole.
#[test]
fn walkers_take_noise_and_shards_as_the_whole() {
    const CUT: usize = 300;
    let method = EntropySgd { inner_steps: 3, noise: 0.5, momentum: 0.5, ..EntropySgd::default() };
    let mut numbers = Numbers::new(seed());
    let [p, g, noise] = [(); 3].map(|()| numbers.numbers::<f32>(1001));
    for given in [false, true] {
        let played = |device: &Device, cuts: &[usize]| {
            let ends = cuts.iter().skip(1).copied().chain([p.len()]);
            let parts: Vec<_> = cuts.iter().copied().zip(ends).collect();
            let tensors: Vec<_> =
                parts.iter().map(|&(start, end)| Tensor::new(end - start).id(7).first(start as u64)).collect();
            let mut walkers = Ensemble::<EntropySgd>::new(device, method, &tensors).unwrap();
            let of = |array: &[f32], offset| -> Vec<_> {
                parts.iter().map(|&(start, end)| Guarded::new(device, &array[start..end], offset)).collect()
            };
            let (mut parameters, gradients, noise) = (of(&p, 2), of(&g, 2), of(&noise, 3));
            for _ in 0..7 {
                let mut parameters: Vec<_> = parameters.iter_mut().map(Guarded::view_mut).collect();
                let gradients: Vec<_> = gradients.iter().map(|gradient| Some(gradient.view())).collect();
                let noise: Vec<_> = noise.iter().map(|noise| given.then(|| noise.view())).collect();
                walkers.step_with(&mut parameters, &gradients, &noise).unwrap();
            }
            let bits = |array: &Guarded<f32>| array.elements().into_iter().map(f32::to_bits).collect::<Vec<_>>();
            parameters.iter().flat_map(bits).collect::<Vec<_>>()
        };
        let whole = played(&devices()[0], &[0]);
        for device in devices() {
            assert!(played(device, &[0]) == whole, "given: {given}, {device}");
            assert!(played(device, &[0, 1, CUT]) == whole, "given: {given}, in parts, {device}");
        }
    }
}

fn means<P: Pair<P> + Element>() {
    for (case, offsets) in OFFSETS.into_iter().enumerate() {
        let taken = |device: &Device| {
            let tensors = LENGTHS.map(Tensor::new);
            let method = ReplicatedSgd::default();
            let replicas = Ensemble::<ReplicatedSgd, P, P>::new(device, method, 5, &tensors).unwrap();
            let mut numbers = Numbers::new(seed());
            let array = |position: usize| {
                Guarded::new(device, &numbers.numbers::<P>(LENGTHS[position % LENGTHS.len()]), offsets(position).0)
            };
            let parameters: Vec<Guarded<P>> = (0..5 * LENGTHS.len()).map(array).collect();
            let views: Vec<_> = parameters.iter().map(Guarded::view).collect();
            let zeros = |length: &usize| Guarded::new(device, &vec![P::zeroed(); *length], offsets(7).1);
            let mut means: Vec<Guarded<P>> = LENGTHS.iter().map(zeros).collect();
            let mut written: Vec<_> = means.iter_mut().map(Guarded::view_mut).collect();
            replicas.mean(&views, &mut written).unwrap();
            means.iter().map(|mean| bytemuck::cast_slice::<P, u8>(&mean.elements()).to_vec()).collect::<Vec<_>>()
        };
        let expected = taken(&devices()[0]);
        for device in &devices()[1..] {
            assert!(taken(device) == expected, "{}, offsets {case}: {device}", P::DTYPE);
        }
    }
}

#[test]
fn means_have_the_same_bits() {
    means::<f32>();
    means::<f64>();
    means::<half::bf16>();
    means::<half::f16>();
}

/// The greatest numbers of agents in each arithmetic type, whose columns take fewer threads a block.
#[test]
fn many_agents_step_to_the_same_bits() {
    fn played<T: Pair<T> + Element<Real = T> + gradus::element::Real>(device: &Device, agents: usize) -> Vec<u64> {
        use gradus::ensemble::{GtAdam, Mixing};
        let mixing = Mixing::complete(agents).unwrap();
        let tensors = [Tensor::new(300)];
        let mut all = Ensemble::<GtAdam, T, T>::new(device, GtAdam::default(), &mixing, &tensors).unwrap();
        let mut numbers = Numbers::new(seed());
        let mut arrays = || -> Vec<_> {
            (0..agents).map(|_| Buffer::from_slice(device, &numbers.numbers::<T>(300)).unwrap()).collect()
        };
        let (mut parameters, gradients) = (arrays(), arrays());
        for _ in 0..3 {
            let mut parameters: Vec<_> = parameters.iter_mut().map(Buffer::view_mut).collect();
            let gradients: Vec<_> = gradients.iter().map(|gradient| Some(gradient.view())).collect();
            all.step(&mut parameters, &gradients).unwrap();
        }
        parameters.iter().flat_map(|array| array.to_vec().unwrap()).map(T::bits).collect()
    }
    for agents in [1, 2, 11, 12, 23, 24, 64] {
        for device in devices() {
            assert!(played::<f32>(device, agents) == played::<f32>(&devices()[0], agents), "{agents} on {device}");
            assert!(played::<f64>(device, agents) == played::<f64>(&devices()[0], agents), "{agents} on {device}");
        }
    }
}
