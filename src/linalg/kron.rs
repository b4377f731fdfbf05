use super::refuse;
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::{Device, Place};
use crate::element::Real;
use crate::error::{Result, count};
use crate::memory::{MatMut, MatRef, View, ViewMut};

/// A linear layer `y = W·x + b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Elements of x; at least 1.
    pub inputs: usize,
    /// Elements of y; at least 1.
    pub outputs: usize,
    /// Whether there is b.
    pub bias: bool,
}

impl Linear {
    /// The columns of `[W b]`.
    pub fn columns(&self) -> usize {
        self.inputs + usize::from(self.bias)
    }
}

/// The inverses of a layer's factors.
#[derive(Debug)]
pub struct Inverses<'a, T: Real> {
    /// `G⁻¹` \[outputs×outputs\], symmetric; `None` for the identity.
    pub left: Option<MatRef<'a, T>>,
    /// `A⁻¹` \[columns×columns\], symmetric, the bias last.
    pub right: MatRef<'a, T>,
}

/// The gradient `V` of a layer.
#[derive(Debug)]
pub struct LayerGradient<'a, T: Real> {
    /// Of W \[outputs×inputs\].
    pub weight: MatRef<'a, T>,
    /// Of b \[outputs\], where there is one.
    pub bias: Option<View<'a, T>>,
}

/// The direction `U` of a layer.
#[derive(Debug)]
pub struct LayerDirection<'a, T: Real> {
    /// Of W \[outputs×inputs\].
    pub weight: MatMut<'a, T>,
    /// Of b \[outputs\], where there is one.
    pub bias: Option<ViewMut<'a, T>>,
}

/// The KL clip: directions are multiplied by `ν = min(1, √(κ / (η²·Σ⟨U, V⟩)))`, the sum over all layers (Ba, Grosse and Martens 2017,
/// section 5). Where the sum is no positive number, ν is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlClip {
    /// `κ`; positive.
    pub kappa: f64,
    /// `η`, the learning rate that the directions will be multiplied by; positive.
    pub lr: f64,
}

/// Directions of Kronecker-factored preconditioners, `U = G⁻¹·V·A⁻¹`, of a ragged list of layers: two launches on CUDA, two
/// more with a clip.
pub struct KronApply<T: Real> {
    device: Device,
    layers: Vec<Linear>,
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
        for (position, layer) in layers.iter().enumerate() {
            let range = 1..=1 << 20;
            if !range.contains(&layer.inputs) || !range.contains(&layer.outputs) {
                let message = format!("{} inputs and {} outputs are not 1 to 2²⁰", layer.inputs, layer.outputs);
                return refuse(format!("layer {position}"), message);
            }
        }
        let backend: Box<dyn KronBackend<T>> = match device {
            Device::Cpu(_) => Box::new(cpu::linalg::CpuKron::new(layers.to_vec())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaKron::new(cuda, layers.to_vec())?),
        };
        Ok(Self { device: device.clone(), layers: layers.to_vec(), backend })
    }

    /// The layers, as they were given.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }

    /// Sets the clip, from the next call on; in replays of a captured call with a clip, its values.
    ///
    /// Errors: a value that is not positive and finite.
    pub fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        if let Some(KlClip { kappa, lr }) = clip {
            for (name, value) in [("kappa", kappa), ("lr", lr)] {
                if !(value > 0.0 && value.is_finite()) {
                    return refuse("KL clip".to_owned(), format!("{name} = {value} is not a positive number"));
                }
            }
        }
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
        for (what, given) in
            [("inverses", inverses.len()), ("gradients", gradients.len()), ("directions", directions.len())]
        {
            let expected = self.layers.len();
            if given != expected {
                return refuse(what.to_owned(), format!("there are {given} for {}", count(expected as u64, "layer")));
            }
        }
        let place = self.device.place();
        let arguments = self.layers.iter().zip(inverses).zip(gradients).zip(directions.iter());
        for (position, (((layer, inverses), gradient), direction)) in arguments.enumerate() {
            if let Err(message) = check(layer, inverses, gradient, direction, place) {
                return refuse(format!("layer {position}"), message);
            }
        }
        self.backend.apply(inverses, gradients, directions)
    }
}

fn check<T: Real>(
    layer: &Linear,
    inverses: &Inverses<'_, T>,
    gradient: &LayerGradient<'_, T>,
    direction: &LayerDirection<'_, T>,
    place: Place,
) -> std::result::Result<(), String> {
    let weight = (layer.outputs, layer.inputs);
    let mut shapes = vec![
        ("right inverse", (inverses.right.rows(), inverses.right.columns()), (layer.columns(), layer.columns())),
        ("gradient", (gradient.weight.rows(), gradient.weight.columns()), weight),
        ("direction", (direction.weight.rows(), direction.weight.columns()), weight),
    ];
    if let Some(left) = &inverses.left {
        shapes.push(("left inverse", (left.rows(), left.columns()), (layer.outputs, layer.outputs)));
    }
    for (what, (rows, columns), expected) in shapes {
        if (rows, columns) != expected {
            return Err(format!("its {what} is {rows}×{columns} and must be {}×{}", expected.0, expected.1));
        }
    }
    let biases = [gradient.bias.as_ref().map(View::len), direction.bias.as_ref().map(ViewMut::len)];
    let expected = layer.bias.then_some(layer.outputs);
    for (what, found) in ["gradient", "direction"].into_iter().zip(biases) {
        if found != expected {
            let elements = |length: Option<usize>| length.map_or("none".to_owned(), |n| count(n as u64, "element"));
            return Err(format!("the {what} of its bias has {} and must have {}", elements(found), elements(expected)));
        }
    }
    let views =
        [Some(&inverses.right.view), inverses.left.as_ref().map(|left| &left.view), Some(&gradient.weight.view)];
    let places = views.into_iter().flatten().chain(&gradient.bias).map(View::place);
    let written = [Some(&direction.weight.view), direction.bias.as_ref()].into_iter().flatten().map(ViewMut::place);
    match places.chain(written).find(|other| *other != place) {
        Some(other) => Err(format!("its memory is on {other} and the plan on {place}")),
        None => Ok(()),
    }
}
