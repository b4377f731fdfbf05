use super::sums::Plan;
use super::term::is_finite;
use crate::backend::{Slot, Span, check_spans};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::memory::{View, ViewMut};
use crate::optim::check::length;
use crate::optim::{Listed, Tensor};
use crate::rng::Distribution;

/// The most directions of a call.
pub(crate) const MOST: usize = 8;

/// A few vectors over the tensors of a model, added with coefficients: `to += Σ cⱼ·vⱼ`, one launch on CUDA, whatever the number of
/// tensors and vectors.
///
/// Every element is summed in f32 (f64 for f64) in the order of the vectors, each product and sum rounded once (`fma`), and rounded
/// to nearest where it is stored, so that the bits are the same on every device.
///
/// ```
/// use gradus::es::Directions;
/// use gradus::optim::Tensor;
/// use gradus::Device;
///
/// let mut plan = Directions::<f32>::new(&Device::cpu(), &[Tensor::new(2)])?;
/// let mut weight = [1.0_f32, 1.0];
/// plan.add(&[0.5, -1.0], &[(&[2.0_f32, 4.0][..]).into(), (&[0.0_f32, 1.0][..]).into()], &mut [(&mut weight[..]).into()])?;
/// assert_eq!(weight, [2.0, 2.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Directions<Q: Element> {
    plan: Plan,
    backend: Box<dyn DirectionsBackend<Q>>,
}

impl<Q: Element> Directions<Q> {
    /// A plan for these tensors, whose groups do not matter.
    ///
    /// Errors: two tensors of one id that hold the same elements; an id of 2³² or more; an element of 2⁴⁰ or more; the driver
    /// refuses.
    pub fn new(device: &Device, tensors: &[Tensor]) -> Result<Self> {
        let plan = Plan::new(device, Distribution::Normal, tensors)?;
        let backend: Box<dyn DirectionsBackend<Q>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuDirections::new(*cpu, plan.slots())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaDirections::new(cuda, plan.slots())?),
        };
        Ok(Self { plan, backend })
    }

    /// The tensors, in the order of the arguments of a call.
    pub fn tensors(&self) -> &[Listed] {
        self.plan.tensors()
    }

    /// `to += Σ cⱼ·vⱼ`, tensor by tensor. `directions` stand vector by vector, in each tensor by tensor; there are 8 at most.
    ///
    /// Errors: counts, lengths or devices that do not fit; more directions; memory that overlaps where it is written, or is not
    /// aligned; a coefficient that is not finite; tables that are stale during a graph capture; the driver refuses.
    pub fn add(
        &mut self,
        coefficients: &[f64],
        directions: &[View<'_, Q::Real>],
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let tensors = self.plan.tensors().len();
        if coefficients.len() > MOST {
            let message = format!("{} directions are more than {MOST}", coefficients.len());
            return Err(Error::setting("directions", message));
        }
        let names = || ("the list of directions".to_owned(), "what the coefficients are of".to_owned());
        length(directions.len(), (coefficients.len() * tensors) as u64, names)?;
        directions.chunks(tensors.max(1)).try_for_each(|direction| self.plan.read("parts", "direction", direction))?;
        self.plan.written("targets", "target", to)?;
        coefficients.iter().enumerate().try_for_each(|(j, c)| is_finite(&format_args!("direction {j}"), *c))?;
        self.backend.add(coefficients, directions, to)
    }
}

/// Looks for memory that is not aligned, and for targets that share memory with anything, where `bound` has the addresses of a
/// tensor's directions, or 0, and of its target.
pub(crate) fn check_directed<Q: Element>(slots: &[Slot], bound: &[[u64; MOST + 1]]) -> Result<()> {
    let mut spans = Vec::new();
    for (position, (slot, [directions @ .., to])) in slots.iter().zip(bound).enumerate() {
        let read = |address: &u64| Span::read::<Q::Real>("direction", position, *address, slot.length);
        spans.extend(directions.iter().filter(|address| **address != 0).map(read));
        spans.push(Span::written::<Q>("target", position, *to, slot.length));
    }
    check_spans(spans)
}

/// Tensors on a device. The caller has checked every argument but addresses.
pub(crate) trait DirectionsBackend<Q: Element>: Send {
    fn add(&mut self, coefficients: &[f64], directions: &[View<'_, Q::Real>], to: &mut [ViewMut<'_, Q>]) -> Result<()>;
}
