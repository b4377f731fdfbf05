use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::{Dtype as FileDtype, SafeTensors, View as FileView};

use super::arithmetic::INPUTS;
use super::{Form, Settings};
use crate::error::{Error, Result, count};
use crate::fmath::exp;

/// What errors call it.
const WHAT: &str = "network";
/// The most neurons of a hidden layer.
const MOST: usize = 64;

const KEY: &str = "format";
const FORMAT: &str = "gradus small_fc_lopt 1";

/// The learned part of a [`SmallFcLopt`](super::SmallFcLopt): a perceptron 39 → H → H → outputs with ReLU, and what is added to the
/// decays of its accumulators. All of it is one list of f32, which evolution strategies can perturb.
///
/// | array | shape | |
/// |---|---|---|
/// | `layer0.weight` | `[H, 39]` | row after row, a row for each neuron, as PyTorch has it; Haiku's `w0` transposed |
/// | `layer0.bias` | `[H]` | |
/// | `layer1.weight` | `[H, H]` | |
/// | `layer1.bias` | `[H]` | |
/// | `layer2.weight` | `[outputs, H]` | direction and magnitude; of [`Form::Star`] also those of the nominal term and of the decay |
/// | `layer2.bias` | `[outputs]` | |
/// | `momentum_decays` | `[3]` | δ of `β = 1 - (1 - β₀)·exp(10·δ)` |
/// | `rms_decays` | `[1]` | |
/// | `adafactor_decays` | `[3]` | |
///
/// [`parameters`](Self::parameters) has the arrays in this order. A file is a safetensors file of these arrays, each f32, with the
/// metadata `format` = `gradus small_fc_lopt 1` and nothing else: `safetensors.numpy.save_file(arrays, path, {"format": "gradus
/// small_fc_lopt 1"})` writes it from Python.
///
/// ```
/// use gradus::lopt::{Form, Network};
///
/// let parameters = vec![0.01; Network::parameter_count(4, Form::SmallFc)];
/// let network = Network::new(4, Form::SmallFc, parameters)?;
/// assert_eq!(Network::from_bytes(&network.to_bytes())?, network);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    hidden: usize,
    form: Form,
    parameters: Vec<f32>,
}

/// The arrays in their order.
fn arrays(hidden: usize, form: Form) -> [(&'static str, Vec<usize>); 9] {
    [
        ("layer0.weight", vec![hidden, INPUTS]),
        ("layer0.bias", vec![hidden]),
        ("layer1.weight", vec![hidden, hidden]),
        ("layer1.bias", vec![hidden]),
        ("layer2.weight", vec![form.outputs(), hidden]),
        ("layer2.bias", vec![form.outputs()]),
        ("momentum_decays", vec![3]),
        ("rms_decays", vec![1]),
        ("adafactor_decays", vec![3]),
    ]
}

fn refused<T>(message: String) -> Result<T> {
    Err(Error::setting(WHAT, message))
}

impl Network {
    /// The number of parameters of a network with so many neurons in each hidden layer.
    pub fn parameter_count(hidden: usize, form: Form) -> usize {
        let outputs = form.outputs();
        hidden * (INPUTS + 1) + hidden * (hidden + 1) + outputs * (hidden + 1) + 7
    }

    /// A network of `hidden` neurons in each hidden layer, its parameters in the order of the table.
    ///
    /// Errors: not 1 to 64 neurons; another number of parameters; one that is not finite.
    pub fn new(hidden: usize, form: Form, parameters: Vec<f32>) -> Result<Self> {
        if !(1..=MOST).contains(&hidden) {
            return refused(format!("its {} are outside 1 to {MOST}", count(hidden as u64, "hidden neuron")));
        }
        let expected = Self::parameter_count(hidden, form);
        if parameters.len() != expected {
            return refused(format!(
                "with {hidden} hidden neurons it has {expected} parameters, not {}",
                parameters.len()
            ));
        }
        if let Some(position) = parameters.iter().position(|x| !x.is_finite()) {
            return refused(format!("its parameter {position}, {}, is not finite", parameters[position]));
        }
        Ok(Self { hidden, form, parameters })
    }

    /// The neurons of a hidden layer.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// What its outputs are.
    pub fn form(&self) -> Form {
        self.form
    }

    /// All parameters, in the order of the table.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// An array of the table by its name. Errors: none has this name.
    pub fn array(&self, name: &str) -> Result<&[f32]> {
        let mut rest = &self.parameters[..];
        for (known, shape) in arrays(self.hidden, self.form) {
            let array = rest.split_off(..shape.iter().product()).unwrap_or_default();
            if known == name {
                return Ok(array);
            }
        }
        refused(format!("it has no array '{name}'"))
    }

    /// The six arrays of the layers: weights and bias of each.
    pub(crate) fn layers(&self) -> [&[f32]; 6] {
        let mut rest = &self.parameters[..];
        let mut all = arrays(self.hidden, self.form).into_iter();
        std::array::from_fn(|_| {
            let length = all.next().map_or(0, |(_, shape)| shape.iter().product());
            rest.split_off(..length).unwrap_or_default()
        })
    }

    /// The decays of momenta, of the squares, and of the factored squares.
    pub(super) fn decays(&self, settings: &Settings) -> [Vec<f64>; 3] {
        let learned = &self.parameters[self.parameters.len() - 7..];
        let decay = |(initial, delta): (&f64, &f32)| 1.0 - (1.0 - initial) * exp(10.0 * f64::from(*delta));
        let momentum = settings.momentum_decays.iter().zip(learned).map(decay).collect();
        let squares = |initial: &[f64], learned: &[f32]| -> Vec<f64> {
            initial.iter().zip(learned).map(decay).map(|beta| beta.clamp(0.0, 1.0)).collect()
        };
        [momentum, squares(&[settings.rms_decay], &learned[3..]), squares(&settings.adafactor_decays, &learned[4..])]
    }

    /// The network as the bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut rest = &self.parameters[..];
        let views = arrays(self.hidden, self.form).map(|(name, shape)| {
            let values = rest.split_off(..shape.iter().product()).unwrap_or_default();
            (name, InFile { values, shape })
        });
        match safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), FORMAT.to_owned())]))) {
            Ok(bytes) => bytes,
            Err(error) => unreachable!("arrays of matching shapes were refused: {error}"),
        }
    }

    /// The network of a file.
    ///
    /// Errors: bytes that are no such file, or not whole; an array that is missing, too many, of another type or of another shape;
    /// as [`new`](Self::new).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let unreadable = |error| Error::setting(WHAT, format!("not a readable safetensors file: {error}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let format = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        if format.is_none_or(|format| format != FORMAT) {
            return refused(format!("the file's metadata '{KEY}' are {format:?}, not '{FORMAT}'"));
        }
        let found = |name: &str| file.tensor(name).or_else(|_| refused(format!("there is no array '{name}'")));
        let hidden: usize = found("layer0.bias")?.shape().iter().product();
        let outputs: usize = found("layer2.bias")?.shape().iter().product();
        let Some(form) = [Form::SmallFc, Form::Star].into_iter().find(|form| form.outputs() == outputs) else {
            return refused(format!("its {} are not 2 or 4", count(outputs as u64, "output")));
        };
        if !(1..=MOST).contains(&hidden) {
            return Self::new(hidden, form, Vec::new());
        }
        let mut parameters = Vec::new();
        let expected = arrays(hidden, form);
        for (name, shape) in &expected {
            let view = found(name)?;
            if view.dtype() != FileDtype::F32 || view.shape() != shape {
                return refused(format!("'{name}' is {:?} of {:?}, not F32 of {shape:?}", view.dtype(), view.shape()));
            }
            parameters.extend(view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        if let Some(name) =
            file.names().into_iter().filter(|name| expected.iter().all(|(known, _)| known != name)).min()
        {
            return refused(format!("'{name}' is no array of a network"));
        }
        Self::new(hidden, form, parameters)
    }
}

/// An array as a file holds it: little-endian.
struct InFile<'a> {
    values: &'a [f32],
    shape: Vec<usize>,
}

impl FileView for InFile<'_> {
    fn dtype(&self) -> FileDtype {
        FileDtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}
