use super::term::is_finite;
use super::{Perturbation, Rounding, Target, Term};
use crate::device::Device;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::memory::{View, ViewMut};
use crate::optim::check::{count, length};
use crate::optim::{Listed, Tensor};
use crate::rng::Distribution;

/// The members of a population side by side, each perturbed by terms of its own: what is evaluated in one batch, policies of
/// reinforcement learning or learned optimizers.
///
/// Of every tensor \[length\] a tile \[members×length\] is written, row by row: row n is `θ + Σ aⱼ·εⱼ` over the terms of member n, to
/// the bit what [`Perturbation::write`](super::Perturbation::write) gives of them. One launch on CUDA for all tensors and members,
/// which reads a parameter once a member, writes each element once and stores no noise. Rows are fastest whose length 4 divides, or
/// 8 where elements have 16 bits. On CUDA tables take about 48 bytes a member and tensor.
///
/// A call waits for nothing, and allocates nothing while tensors' addresses and the number of members stay and there are no more
/// terms than before; terms that change are uploaded.
///
/// ```
/// use gradus::es::{Distribution, Estimator, Pairs, Population, Weighting};
/// use gradus::optim::Tensor;
/// use gradus::{Buffer, Device};
///
/// let device = Device::cpu();
/// let tensors = [Tensor::new(3), Tensor::new(1)];
/// let mut population = Population::<f32>::new(&device, Distribution::Normal, &tensors)?;
/// let pairs = Pairs { sigma: 0.1, seed: 7, step: 0, count: 8 };
/// let weight = Buffer::from_slice(&device, &[1.0_f32, 2.0, 3.0])?;
/// let bias = Buffer::from_slice(&device, &[0.5_f32])?;
/// let (mut weights, mut biases) = (Buffer::<f32>::zeros(&device, 16 * 3)?, Buffer::<f32>::zeros(&device, 16)?);
/// population.write(
///     &pairs.population(),
///     &[weight.view(), bias.view()],
///     &mut [weights.view_mut(), biases.view_mut()],
/// )?;
/// // Rows 2i and 2i + 1 are the members of pair i.
/// let losses: Vec<f64> = weights.to_vec()?.chunks(3).map(|w| w.iter().map(|w| f64::from(w * w)).sum()).collect();
/// let (losses, _) = losses.as_chunks();
/// let terms = pairs.terms(losses, Weighting::Differences)?;
/// # assert_eq!(terms.len(), 8);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Population<P: Element, Q: Element = P>(Perturbation<P, Q>);

/// The most members of a call.
const MOST: usize = 1 << 20;

impl<P: Element<Real = Q::Real>, Q: Target<P>> Population<P, Q> {
    /// A plan for these tensors, whose groups do not matter, rounding to nearest.
    ///
    /// Errors: two tensors of one id that hold the same elements; an id of 2³² or more; an element of 2⁴⁰ or more; the driver
    /// refuses.
    pub fn new(device: &Device, distribution: Distribution, tensors: &[Tensor]) -> Result<Self> {
        Perturbation::new(device, distribution, tensors).map(Self)
    }

    /// The tensors, in the order of the arguments of a call.
    pub fn tensors(&self) -> &[Listed] {
        self.0.tensors()
    }

    /// The distribution of the noise.
    pub fn distribution(&self) -> Distribution {
        self.0.distribution()
    }

    /// Sets how the next calls round; by chance, an element has the same random bits in every row. Errors: stochastic rounding to
    /// another type than bf16.
    pub fn set_rounding(&mut self, rounding: Rounding) -> Result<()> {
        self.0.set_rounding(rounding)
    }

    /// Row n of the tile of a tensor becomes `from + Σ aⱼ·εⱼ` over the terms of member n, tensor by tensor; without terms it is a
    /// copy, rounded.
    ///
    /// Errors: more than 2²⁰ members, or 2³² terms or tensors of all of them; counts, lengths or devices that do not fit; memory
    /// that overlaps where it is written, or is not aligned; a coefficient that is not finite; a pair of 2²⁰ or more; tables that
    /// are stale during a graph capture; the driver refuses.
    pub fn write<M: AsRef<[Term]>>(
        &mut self,
        members: &[M],
        from: &[View<'_, P>],
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let members: Vec<&[Term]> = members.iter().map(AsRef::as_ref).collect();
        let terms: usize = members.iter().map(|terms| terms.len()).sum();
        let tensors = members.len().saturating_mul(self.tensors().len());
        if members.len() > MOST || u32::try_from(terms.max(tensors)).is_err() {
            let given = format!("{} members with {terms} terms and {tensors} tensors", members.len());
            let message = format!("{given} are more than {MOST}, or 2³² of the others");
            return Err(Error::setting("population", message));
        }
        let Perturbation { plan, rounding, backend } = &mut self.0;
        plan.read("parameters", "parameter", from)?;
        count("tiles", to.len(), plan.tensors().len())?;
        for (position, (tile, tensor)) in to.iter().zip(plan.tensors()).enumerate() {
            let names = || (format!("tile {position}"), format!("{} times tensor {position}", members.len()));
            length(tile.len(), tensor.length.saturating_mul(members.len() as u64), names)?;
            plan.is_there(|| format!("tile {position}"), tile.place())?;
        }
        for (member, terms) in members.iter().enumerate() {
            for (position, term) in terms.iter().enumerate() {
                is_finite(&format_args!("term {position} of member {member}"), term.coefficient)?;
                term.address(0)?;
            }
        }
        if members.is_empty() {
            return Ok(());
        }
        backend.tile(&members, *rounding, from, to)
    }
}
