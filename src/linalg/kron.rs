use super::layer::{KlClip, LayerDirection, LayerGradient, Layers, Linear};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::Result;
use crate::memory::MatRef;

/// The inverses of a layer's factors.
#[derive(Debug)]
pub struct Inverses<'a, T: Real> {
    /// `G⁻¹` \[outputs×outputs\], symmetric; `None` for the identity.
    pub left: Option<MatRef<'a, T>>,
    /// `A⁻¹` \[columns×columns\], symmetric, the bias last.
    pub right: MatRef<'a, T>,
}

/// Directions of Kronecker-factored preconditioners, `U = G⁻¹·V·A⁻¹`, of a ragged list of layers: two launches on CUDA, two
/// more with a clip.
pub struct KronApply<T: Real> {
    layers: Layers,
    backend: Box<dyn KronBackend<T>>,
}

/// The layers of a [`KronApply`] on a device. The caller has checked every argument but addresses.
pub(crate) trait KronBackend<T: Real>: Send {
    fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()>;

    fn apply(
        &mut self,
        inverses: &[Inverses<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()>;

    fn clip_factor(&self) -> Result<f64>;
}

impl<T: Real> KronApply<T> {
    /// A plan for these layers, without a clip.
    ///
    /// Errors: a layer without inputs or outputs; f64 on CUDA; memory that does not suffice.
    pub fn new(device: &Device, layers: &[Linear]) -> Result<Self> {
        let own = Layers::new(device, layers)?;
        let backend: Box<dyn KronBackend<T>> = match device {
            Device::Cpu(_) => Box::new(cpu::linalg::CpuKron::new(layers.to_vec())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaKron::new(cuda, layers.to_vec())?),
        };
        Ok(Self { layers: own, backend })
    }

    /// The layers, as they were given.
    pub fn layers(&self) -> &[Linear] {
        &self.layers.list
    }

    /// Sets the clip, from the next call on; in replays of a captured call with a clip, its values.
    ///
    /// Errors: a value that is not positive and finite.
    pub fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        clip.as_ref().map_or(Ok(()), KlClip::check)?;
        self.backend.set_clip(clip)
    }

    /// `ν` of the last call; 1 where there was no clip. On CUDA the host waits.
    pub fn clip_factor(&self) -> Result<f64> {
        self.backend.clip_factor()
    }

    /// Writes every layer's direction.
    ///
    /// Errors, before anything is touched: other numbers, sizes or devices than the plan's, overlapping memory.
    pub fn apply(
        &mut self,
        inverses: &[Inverses<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()> {
        self.layers.same_number("inverses", inverses.len())?;
        self.layers.same_number("gradients", gradients.len())?;
        self.layers.same_number("directions", directions.len())?;
        self.layers.each(|position, layer| {
            let Inverses { left, right } = &inverses[position];
            self.layers.check_matrix("right inverse", right, (layer.columns(), layer.columns()))?;
            if let Some(left) = left {
                self.layers.check_matrix("left inverse", left, (layer.outputs, layer.outputs))?;
            }
            self.layers.check_gradient(layer, &gradients[position], &directions[position])
        })?;
        self.backend.apply(inverses, gradients, directions)
    }
}
