use super::blocks::refuse;
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

impl KlClip {
    /// Errors: a value that is not positive and finite.
    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in [("kappa", self.kappa), ("lr", self.lr)] {
            if !(value > 0.0 && value.is_finite()) {
                return refuse("KL clip".to_owned(), format!("{name} = {value} is not a positive number"));
            }
        }
        Ok(())
    }

    /// `ν` for the sum of all ⟨U, V⟩.
    pub(crate) fn factor(&self, sum: f64) -> f64 {
        let bound = self.kappa / (self.lr * self.lr * sum);
        if bound > 0.0 && bound < 1.0 { bound.sqrt() } else { 1.0 }
    }
}

/// The layers of a plan, and what is asked of arguments for them.
pub(super) struct Layers {
    place: Place,
    pub(super) list: Vec<Linear>,
}

/// Rows and columns.
type Shape = (usize, usize);

/// What stands in the way of an argument.
type Checked = std::result::Result<(), String>;

impl Layers {
    pub(super) fn new(device: &Device, layers: &[Linear]) -> Result<Self> {
        for (position, layer) in layers.iter().enumerate() {
            let range = 1..=1 << 20;
            if !range.contains(&layer.inputs) || !range.contains(&layer.outputs) {
                let message = format!("{} inputs and {} outputs are not 1 to 2²⁰", layer.inputs, layer.outputs);
                return refuse(format!("layer {position}"), message);
            }
        }
        Ok(Self { place: device.place(), list: layers.to_vec() })
    }

    /// Errors: another number of something than of layers.
    pub(super) fn same_number(&self, what: &str, given: usize) -> Result<()> {
        let expected = self.list.len();
        if given == expected {
            return Ok(());
        }
        refuse(what.to_owned(), format!("there are {given} for {}", count(expected as u64, "layer")))
    }

    /// Checks the arguments of every layer. Errors: what `check` finds in the way.
    pub(super) fn each(&self, mut check: impl FnMut(usize, &Linear) -> Checked) -> Result<()> {
        for (position, layer) in self.list.iter().enumerate() {
            if let Err(message) = check(position, layer) {
                return refuse(format!("layer {position}"), message);
            }
        }
        Ok(())
    }

    /// Errors: a gradient or a direction of another size than the layer's.
    pub(super) fn check_gradient<T: Real>(
        &self,
        layer: &Linear,
        gradient: &LayerGradient<'_, T>,
        direction: &LayerDirection<'_, T>,
    ) -> Checked {
        let shape = (layer.outputs, layer.inputs);
        self.check_matrix("gradient", &gradient.weight, shape)?;
        self.check_written("direction", &direction.weight, shape)?;
        let biases = [gradient.bias.as_ref().map(View::len), direction.bias.as_ref().map(ViewMut::len)];
        let expected = layer.bias.then_some(layer.outputs);
        for (what, found) in ["gradient", "direction"].into_iter().zip(biases) {
            if found != expected {
                let elements = |length: Option<usize>| length.map_or("none".to_owned(), |n| count(n as u64, "element"));
                let (found, expected) = (elements(found), elements(expected));
                return Err(format!("the {what} of its bias has {found} and must have {expected}"));
            }
        }
        gradient.bias.iter().map(View::place).try_for_each(|place| self.check_place(place))?;
        direction.bias.iter().map(ViewMut::place).try_for_each(|place| self.check_place(place))
    }

    /// Errors: a matrix of another size or device.
    pub(super) fn check_matrix<T: Real>(&self, what: &str, matrix: &MatRef<'_, T>, expected: Shape) -> Checked {
        check_shape(what, (matrix.rows(), matrix.columns()), expected)?;
        self.check_place(matrix.view.place())
    }

    /// The same of one that is written.
    pub(super) fn check_written<T: Real>(&self, what: &str, matrix: &MatMut<'_, T>, expected: Shape) -> Checked {
        check_shape(what, (matrix.rows(), matrix.columns()), expected)?;
        self.check_place(matrix.view.place())
    }

    /// Errors: another device than the plan's.
    pub(super) fn check_place(&self, other: Place) -> Checked {
        if other == self.place {
            return Ok(());
        }
        Err(format!("its memory is on {other} and the plan on {}", self.place))
    }
}

fn check_shape(what: &str, found: Shape, expected: Shape) -> Checked {
    if found == expected {
        return Ok(());
    }
    Err(format!("its {what} is {}×{} and must be {}×{}", found.0, found.1, expected.0, expected.1))
}
