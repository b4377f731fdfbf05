use std::collections::BTreeMap;

use super::adaptation::{Adaptation, Told, WHAT};
use super::sep_cma::{KEPT, SepCma};
use super::sums::{Beside, Plan, SumsBackend};
use super::term::{check_factors, check_pairs};
use super::{Rounding, Term};
use crate::backend::{Slot, Span, check_spans};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::{Element, Real};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{Buffer, View, ViewMut};
use crate::optim::check::length;
use crate::optim::{Array, Listed, State, Tensor};
use crate::rng::Distribution;

/// What a [`Search`] begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchSettings {
    /// How it adapts.
    pub adaptation: Adaptation,
    /// The deviation of every element at first, in units of the parameters; positive and finite.
    pub sigma: f64,
    /// Members of a generation, from 1 to 2²⁰; even where they are pairs. Where there is none, `4 + ⌊3 ln d⌋` for d elements, or one
    /// more.
    pub population: Option<usize>,
    /// The seed of all noise.
    pub seed: u64,
}

/// A search distribution over the tensors of a model: normal, with a mean and a deviation of every element, which follow the losses
/// of its members generation by generation ([`Adaptation`] says how).
///
/// Members are written as elements of type `Q`; mean and deviations are f32 (f64 for f64), 8 (16) bytes an element together, and
/// noise is not kept, but drawn again where it is needed. A member is one launch on CUDA, and an update one or a few, whatever the
/// number of tensors and members; none waits for the device, and none allocates while the members' memory stays
/// where it is and no more noises count than before. The bits are the same on every device.
///
/// The noise of member i is the [`Term`] of the seed, with the generation as step and i as pair; where members are pairs, that of
/// members 2k and 2k + 1 has the pair k. An element's is that of its place in the tensor of its id, so that shards on several machines
/// search as one, given rates and population: the defaults count the elements that are listed here.
///
/// ```
/// use gradus::es::{Adaptation, Search, SearchSettings};
/// use gradus::optim::Tensor;
/// use gradus::Device;
///
/// let loss = |x: &[f64]| (x[0] - 3.0).powi(2) + 1e4 * (x[1] + 2.0).powi(2);
/// let settings = SearchSettings { adaptation: Adaptation::SNES, sigma: 1.0, population: None, seed: 7 };
/// let mut search = Search::<f64>::new(&Device::cpu(), settings, &[Tensor::new(2)])?;
/// search.set_mean(0, &[1.0, 1.0])?;
/// for _ in 0..150 {
///     let mut losses = Vec::new();
///     for member in 0..search.population() {
///         let mut x = [0.0; 2];
///         search.member(member, &mut [x.as_mut_slice().into()])?;
///         losses.push(loss(&x));
///     }
///     search.tell(&losses)?;
/// }
/// assert!(loss(&search.mean(0)?.to_vec()?) < 1e-9);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Search<Q: Element> {
    plan: Plan,
    settings: SearchSettings,
    population: usize,
    elements: u64,
    generation: u64,
    means: Vec<Buffer<Q::Real>>,
    deviations: Vec<Buffer<Q::Real>>,
    sampler: Box<dyn SampleBackend<Q>>,
    adapter: Adapter<Q::Real>,
}

/// What adapts the distribution.
enum Adapter<R: Real> {
    /// Sums alone.
    Sums(Box<dyn SumsBackend<R, R>>),
    SepCma(Box<SepCma<R>>),
}

impl<Q: Element> Search<Q> {
    /// A distribution over these tensors, whose groups do not matter: of mean 0, until [`set_mean`](Self::set_mean) says otherwise.
    ///
    /// Errors: settings out of their range; two tensors of one id that hold the same elements; an id of 2³² or more; an element of
    /// 2⁴⁰ or more; memory does not suffice; the driver refuses.
    pub fn new(device: &Device, settings: SearchSettings, tensors: &[Tensor]) -> Result<Self> {
        let SearchSettings { adaptation, sigma, .. } = settings;
        let plan = Plan::new(device, Distribution::Normal, tensors)?;
        let elements = plan.tensors().iter().map(|tensor| tensor.length).sum();
        let population = settings.population.unwrap_or_else(|| adaptation.usual_population(elements));
        check_pairs(WHAT, sigma, "members", population)?;
        adaptation.check()?;
        if adaptation.has_pairs() && !population.is_multiple_of(2) {
            return Err(Error::setting(WHAT, format!("{population} members are no pairs")));
        }
        if adaptation == Adaptation::SepCmaEs && population == 1 {
            return Err(Error::setting(WHAT, "one member has no better half".to_owned()));
        }
        let full = |value: f64| {
            let one = |tensor: &Listed| {
                let elements = vec![Q::Real::from_f64(value); tensor.length as usize];
                Buffer::from_slice(device, &elements)
            };
            plan.tensors().iter().map(one).collect::<Result<Vec<_>>>()
        };
        let (means, deviations) = (full(0.0)?, full(sigma)?);
        let slots = plan.slots();
        let sampler: Box<dyn SampleBackend<Q>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuSample::new(*cpu, slots.clone())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaSample::new(cuda, slots.clone())?),
        };
        let adapter = match (adaptation, device) {
            (Adaptation::SepCmaEs, _) => {
                let cma = SepCma::new(device, plan.tensors(), sigma, elements, population)?;
                Adapter::SepCma(Box::new(cma))
            }
            (_, Device::Cpu(cpu)) => Adapter::Sums(Box::new(cpu::es::CpuSums::new(*cpu, Distribution::Normal, slots))),
            #[cfg(feature = "cuda")]
            (_, Device::Cuda(cuda)) => Adapter::Sums(Box::new(cuda::es::CudaSums::adapt(cuda, slots)?)),
        };
        Ok(Self { plan, settings, population, elements, generation: 0, means, deviations, sampler, adapter })
    }

    /// The tensors, in the order of the arguments of a call.
    pub fn tensors(&self) -> &[Listed] {
        self.plan.tensors()
    }

    /// What it began with.
    pub fn settings(&self) -> SearchSettings {
        self.settings
    }

    /// Members of a generation.
    pub fn population(&self) -> usize {
        self.population
    }

    /// The number of this generation, from 0 on.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The mean of a tensor. Errors: no such tensor.
    pub fn mean(&self, tensor: usize) -> Result<&Buffer<Q::Real>> {
        self.means.get(tensor).ok_or_else(|| self.no_tensor(tensor))
    }

    /// The deviations of a tensor. Errors: no such tensor.
    pub fn deviation(&self, tensor: usize) -> Result<&Buffer<Q::Real>> {
        self.deviations.get(tensor).ok_or_else(|| self.no_tensor(tensor))
    }

    /// Sets the mean of a tensor. Errors: no such tensor; another length; the driver refuses.
    pub fn set_mean(&mut self, tensor: usize, mean: &[Q::Real]) -> Result<()> {
        let error = self.no_tensor(tensor);
        self.means.get_mut(tensor).ok_or(error)?.write(mean)
    }

    /// Sets the deviations of a tensor; an element of deviation 0 stays where it is.
    ///
    /// Those of [`Adaptation::SepCmaEs`] are rounded to what variances make of them, `p_c` of the tensor becomes 0, and the host waits for
    /// the device.
    ///
    /// Errors: no such tensor; another length; a deviation that is below 0 or not finite; the driver refuses.
    pub fn set_deviation(&mut self, tensor: usize, deviation: &[Q::Real]) -> Result<()> {
        let is_wrong = |s: &Q::Real| !(s.to_f64() >= 0.0 && s.to_f64().is_finite());
        if let Some(element) = deviation.iter().position(is_wrong) {
            let message =
                format!("the deviation {:?} of element {element} is not a number of at least 0", deviation[element]);
            return Err(Error::setting(WHAT, message));
        }
        let error = self.no_tensor(tensor);
        let buffer = self.deviations.get_mut(tensor).ok_or(error)?;
        match &mut self.adapter {
            Adapter::SepCma(cma) if deviation.len() == buffer.len() => {
                buffer.write(&cma.set_deviation(tensor, deviation)?)
            }
            _ => buffer.write(deviation),
        }
    }

    fn no_tensor(&self, tensor: usize) -> Error {
        Error::setting(WHAT, format!("there is no tensor {tensor} of {}", self.means.len()))
    }

    /// `to = m + s⊙zᵢ`, tensor by tensor, rounded to nearest: the parameters of a member of this generation.
    ///
    /// Errors: no such member; counts, lengths or devices that do not fit; memory that overlaps or is not aligned; tables that are
    /// stale during a graph capture; the driver refuses.
    pub fn member(&mut self, member: usize, to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        if member >= self.population {
            return Err(Error::setting(WHAT, format!("there is no member {member} of {}", self.population)));
        }
        let term = if self.settings.adaptation.has_pairs() {
            self.noise(if member.is_multiple_of(2) { 1.0 } else { -1.0 }, member / 2)
        } else {
            self.noise(1.0, member)
        };
        self.sample(&term, to)
    }

    /// `to = m`, tensor by tensor, rounded to nearest.
    ///
    /// Errors: as [`member`](Self::member).
    pub fn write_mean(&mut self, to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        self.sample(&self.noise(0.0, 0), to)
    }

    fn noise(&self, coefficient: f64, pair: usize) -> Term {
        Term { coefficient, seed: self.settings.seed, step: self.generation, pair: pair as u64 }
    }

    fn sample(&mut self, term: &Term, to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        self.plan.written("targets", "target", to)?;
        let [means, deviations] =
            [&self.means, &self.deviations].map(|buffers| buffers.iter().map(Buffer::view).collect::<Vec<_>>());
        self.sampler.sample(term, &means, &deviations, to)
    }

    /// Adapts the distribution to the losses of all members, in their order; the next generation begins.
    ///
    /// Errors, the generation going on: not as many losses as members; a shaping that refuses them; a loss so great that the
    /// coefficients that follow are not finite; the driver refuses.
    pub fn tell(&mut self, losses: &[f64]) -> Result<()> {
        let names = || ("the list of losses".to_owned(), "that of members".to_owned());
        length(losses.len(), self.population as u64, names)?;
        let Told { terms, factors, adapting } =
            self.settings.adaptation.told(losses, self.elements, |coefficient, pair| self.noise(coefficient, pair))?;
        Term::check_all(&terms)?;
        check_factors(&factors)?;
        match &mut self.adapter {
            Adapter::Sums(sums) => {
                let [mut means, mut deviations] = [&mut self.means, &mut self.deviations]
                    .map(|buffers| buffers.iter_mut().map(Buffer::view_mut).collect::<Vec<_>>());
                let beside = Beside::Deviations(&factors, adapting, &mut deviations);
                sums.sum(&terms, Rounding::Nearest, beside, &mut means)?;
            }
            Adapter::SepCma(cma) => {
                cma.adapt(&terms, &factors, self.generation, &mut self.means, &mut self.deviations)?;
            }
        }
        self.generation += 1;
        Ok(())
    }

    /// Everything a later [`load_state`](Self::load_state) needs to go on with the same bits. On CUDA the host waits for the device.
    ///
    /// | array | type | what |
    /// |---|---|---|
    /// | `generation`, `population`, `seed` | u64 `[1]` | the number of the generation, members of one, the seed |
    /// | `tensor.<id>.<first>.mean`, `.deviation` | f32 or f64 `[length]` | the distribution |
    /// | `tensor.<id>.<first>.variance`, `.step_path`, `.variance_path` | f32 or f64 `[length]` | C, `p_σ` and `p_c` of sep-CMA-ES |
    /// | `sigma` | f64 `[1]` | its σ |
    pub fn state(&self) -> Result<State> {
        let numbers =
            [("generation", self.generation), ("population", self.population as u64), ("seed", self.settings.seed)];
        let mut arrays: BTreeMap<String, Array> =
            numbers.into_iter().map(|(name, number)| (name.to_owned(), Array::U64(vec![number]))).collect();
        if let Adapter::SepCma(cma) = &self.adapter {
            arrays.insert("sigma".to_owned(), Array::F64(cma.numbers.to_vec()?[..1].to_vec()));
        }
        for (tensor, Listed { id, first, .. }) in self.tensors().iter().enumerate() {
            for (name, buffers) in self.arrays() {
                arrays.insert(format!("tensor.{id}.{first}.{name}"), Array::of(buffers[tensor].to_vec()?));
            }
        }
        Ok(State::new::<Q::Real>(self.settings.adaptation.name(), arrays))
    }

    /// What is kept of every tensor, by the names of a state.
    fn arrays(&self) -> Vec<(&'static str, &Vec<Buffer<Q::Real>>)> {
        let mut arrays = vec![("mean", &self.means), ("deviation", &self.deviations)];
        if let Adapter::SepCma(cma) = &self.adapter {
            arrays.extend(KEPT.into_iter().zip(&cma.kept));
        }
        arrays
    }

    /// Goes on from a saved state: generation, seed, distribution.
    ///
    /// Errors, before anything is touched: another kind of adaptation, arithmetic type, population or tensors; arrays that are
    /// missing, left over, or of another length or type.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        let mut reader = state.reader::<Q::Real>(self.settings.adaptation.name())?;
        let [generation, population, seed] = ["generation", "population", "seed"].map(|name| reader.count(name));
        let (generation, population, seed) = (generation?, population?, seed?);
        if population != self.population as u64 {
            let message = format!("it is of {population} members but the search is of {}", self.population);
            return Err(ErrorKind::State { message }.into());
        }
        let sigma = match self.adapter {
            Adapter::SepCma(_) => Some(reader.values::<f64>("sigma", 1)?[0]),
            Adapter::Sums(_) => None,
        };
        let mut arrays = Vec::new();
        for (name, _) in self.arrays() {
            let of = |&Listed { id, first, length, .. }: &Listed| {
                reader.values::<Q::Real>(&format!("tensor.{id}.{first}.{name}"), length)
            };
            arrays.push(self.plan.tensors().iter().map(of).collect::<Result<Vec<_>>>()?);
        }
        reader.finish()?;
        (self.generation, self.settings.seed) = (generation, seed);
        let mut buffers = vec![&mut self.means, &mut self.deviations];
        if let Adapter::SepCma(cma) = &mut self.adapter {
            cma.numbers.write(&[sigma.unwrap_or_default(), 0.0])?;
            buffers.extend(&mut cma.kept);
        }
        let tensors = buffers.into_iter().flatten().zip(arrays.iter().flatten());
        tensors.into_iter().try_for_each(|(buffer, array)| buffer.write(array))
    }
}

/// Looks for targets that are not aligned, and for memory that is written and used otherwise, where `bound` has the addresses of
/// mean, deviation and target of each tensor.
pub(crate) fn check_sampled<Q: Element>(slots: &[Slot], bound: &[[u64; 3]]) -> Result<()> {
    let spans = slots.iter().zip(bound).enumerate().flat_map(|(position, (slot, &[mean, deviation, to]))| {
        [
            Span::read::<Q::Real>("mean", position, mean, slot.length),
            Span::read::<Q::Real>("deviation", position, deviation, slot.length),
            Span::written::<Q>("target", position, to, slot.length),
        ]
    });
    check_spans(spans.collect())
}

/// Members on a device. The caller has checked every argument but addresses.
pub(crate) trait SampleBackend<Q: Element>: Send {
    /// `to = m + s⊙(a·z)` for the term `a·z`, and `m` where a is 0.
    fn sample(
        &mut self,
        term: &Term,
        means: &[View<'_, Q::Real>],
        deviations: &[View<'_, Q::Real>],
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()>;
}
