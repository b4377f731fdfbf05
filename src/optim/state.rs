//! The state of an optimizer as named arrays, and as a safetensors file.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype as FileDtype, SafeTensors, View as FileView};

use super::tensor::Listed;
use crate::backend::{Settings, TensorState, carried};
use crate::element::{Dtype, Real};
use crate::error::{Error, ErrorKind, Result, count};
use crate::rules::{Form, Record};
use crate::step;

/// The one entry of a file's metadata: two would be written in an order that changes from run to run.
const KEY: &str = "format";
const FORMAT: &str = "gradus optimizer state 1";

fn format_of(rule: &str, arithmetic: &str) -> String {
    format!("{FORMAT}, rule {rule}, arithmetic {arithmetic}")
}

/// A saved optimizer: named arrays, and the names of the rule and of the arithmetic type.
///
/// Its bytes are a safetensors file whose metadata say `format` = `gradus optimizer state 1, rule <name>, arithmetic <type>`.
///
/// | array | type | what |
/// |---|---|---|
/// | `steps` | u64 `[1]` | steps of the optimizer |
/// | `group.<position>.<setting>` | f64 `[1]` | a setting of the rule, or of what surrounds it; switches are 0 or 1 |
/// | `tensor.<id>.<first>.steps` | u64 `[1]` | steps of the tensor |
/// | `tensor.<id>.<first>.group` | u64 `[1]` | position of its group |
/// | `tensor.<id>.<first>.carry.<name>` | f64 `[1]` | a scalar that is kept from step to step |
/// | `tensor.<id>.<first>.state.<name>` | f32 or f64 `[length]` | a state array of the rule |
/// | `tensor.<id>.<first>.average` | f32 or f64 `[length]` | the average of the parameter, where its group has one |
/// | `tensor.<id>.<first>.slow` | f32 or f64 `[length]` | the slow weights, where its group has Lookahead |
/// | `tensor.<id>.<first>.momentum` | f32 or f64 `[length]` | the momentum at the last synchronisation, where Lookahead pulls it back |
///
/// Saving and loading keep every bit: a run that is resumed is the run that was never stopped.
///
/// ```
/// # use gradus::{Device, optim::{Optimizer, State, Tensor}, rules::Lion};
/// # let mut optimizer = Optimizer::<Lion>::new(&Device::cpu(), Lion::default())?;
/// optimizer.add(Tensor::new(3).id(5))?;
/// let bytes = optimizer.state()?.to_bytes();
/// let state = State::from_bytes(&bytes)?;
/// assert_eq!(state.get("tensor.5.0.state.m").map(|m| m.len()), Some(3));
/// optimizer.load_state(&state)?;
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    rule: String,
    arithmetic: String,
    arrays: BTreeMap<String, Array>,
}

/// An array of a [`State`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Array {
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Array {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn of<T: Real>(values: Vec<T>) -> Self {
        match T::DTYPE {
            Dtype::F64 => Self::F64(bytemuck::allocation::cast_vec(values)),
            _ => Self::F32(bytemuck::allocation::cast_vec(values)),
        }
    }

    fn reals<T: Real>(&self) -> Option<Vec<T>> {
        match self {
            Self::F64(values) if T::DTYPE == Dtype::F64 => Some(bytemuck::cast_slice(values).to_vec()),
            Self::F32(values) if T::DTYPE == Dtype::F32 => Some(bytemuck::cast_slice(values).to_vec()),
            _ => None,
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::U64(_) => "u64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
        }
    }
}

/// What [`State::read`] finds in a state.
pub(super) struct Loaded<T: Real> {
    pub(super) steps: u64,
    /// The group of each tensor.
    pub(super) membership: Vec<usize>,
    pub(super) tensors: Vec<TensorState<T>>,
}

/// The names of a group's numbers: what surrounds the rule, then the rule's settings.
fn settings(rule: &Form) -> impl Iterator<Item = &'static str> {
    step::Hyper::<f64>::NAMES.iter().chain(rule.hyper).copied()
}

fn wrong(message: String) -> Error {
    ErrorKind::State { message }.into()
}

impl State {
    pub(super) fn of<T: Real>(
        rule: &Form,
        steps: u64,
        groups: Vec<Vec<f64>>,
        listed: &[Listed],
        tensors: Vec<TensorState<T>>,
    ) -> Self {
        let mut arrays = BTreeMap::from([("steps".to_owned(), Array::U64(vec![steps]))]);
        for (position, group) in groups.into_iter().enumerate() {
            for (name, value) in settings(rule).zip(group) {
                arrays.insert(format!("group.{position}.{name}"), Array::F64(vec![value]));
            }
        }
        for (Listed { id, first, group, .. }, tensor) in listed.iter().zip(tensors) {
            let mut insert = |name: String, array| arrays.insert(format!("tensor.{id}.{first}.{name}"), array);
            insert("steps".to_owned(), Array::U64(vec![tensor.steps]));
            insert("group".to_owned(), Array::U64(vec![*group as u64]));
            for (name, value) in carried(rule).zip(tensor.carry) {
                insert(format!("carry.{name}"), Array::F64(vec![value]));
            }
            for (name, values) in rule.states.iter().zip(tensor.states) {
                insert(format!("state.{name}"), Array::of(values));
            }
            for (name, values) in step::ARRAYS.iter().zip(tensor.around) {
                if let Some(values) = values {
                    insert((*name).to_owned(), Array::of(values));
                }
            }
        }
        Self::new::<T>(rule.name, arrays)
    }

    /// The contents as an optimizer of a rule takes them. Errors: whatever does not fit it, and what `accept` says of the
    /// position and the numbers of a group.
    pub(super) fn read<T: Real>(
        &self,
        rule: &Form,
        groups: usize,
        listed: &[Listed],
        accept: &mut dyn FnMut(usize, &[f64]) -> Result<()>,
    ) -> Result<Loaded<T>> {
        let mut reader = self.reader::<T>(rule.name)?;
        let loaded = reader.read(rule, groups, listed, accept)?;
        reader.finish()?;
        Ok(loaded)
    }

    /// The state of a rule, or of another method, in an arithmetic type.
    pub(crate) fn new<T: Real>(rule: &str, arrays: BTreeMap<String, Array>) -> Self {
        Self { rule: rule.to_owned(), arithmetic: T::DTYPE.name().to_owned(), arrays }
    }

    /// What takes the arrays out one by one. Errors: a state of another rule or arithmetic type.
    pub(crate) fn reader<T: Real>(&self, rule: &str) -> Result<Reader<'_>> {
        if self.rule != rule {
            return Err(wrong(format!("it is of rule '{}' but the optimizer's is '{rule}'", self.rule)));
        }
        if self.arithmetic != T::DTYPE.name() {
            let (given, expected) = (&self.arithmetic, T::DTYPE);
            return Err(wrong(format!("its arithmetic is {given} but the optimizer's is {expected}")));
        }
        Ok(Reader { arrays: self.arrays.iter().map(|(name, array)| (name.as_str(), array)).collect() })
    }

    /// The name of the rule.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// An array by its name.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.arrays.get(name)
    }

    /// All arrays with their names, in alphabetical order.
    pub fn arrays(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.arrays.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// The state as the bytes of a safetensors file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let metadata = HashMap::from([(KEY.to_owned(), format_of(&self.rule, &self.arithmetic))]);
        match safetensors::serialize(self.arrays.iter().map(|(name, array)| (name, InFile::new(array))), Some(metadata))
        {
            Ok(bytes) => bytes,
            Err(error) => unreachable!("arrays of matching shapes were refused: {error}"),
        }
    }

    /// The state that [`State::to_bytes`] wrote. Errors: bytes that are not such a file, or not whole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let unreadable = |error| wrong(format!("not a readable safetensors file: {error}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let metadata = header.metadata().as_ref();
        let format = metadata.and_then(|metadata| metadata.get(KEY));
        let format = format.ok_or_else(|| wrong(format!("the file's metadata have no '{KEY}'")))?;
        let names =
            format.strip_prefix(&format!("{FORMAT}, rule ")).and_then(|names| names.split_once(", arithmetic "));
        let Some((rule, arithmetic)) = names else {
            return Err(wrong(format!("its format is '{format}', not '{}'", format_of("<name>", "<type>"))));
        };
        let mut arrays = BTreeMap::new();
        for (name, view) in file.tensors() {
            let array = match view.dtype() {
                FileDtype::U64 => Array::U64(elements(view.data(), u64::from_le_bytes)),
                FileDtype::F32 => Array::F32(elements(view.data(), f32::from_le_bytes)),
                FileDtype::F64 => Array::F64(elements(view.data(), f64::from_le_bytes)),
                other => return Err(wrong(format!("'{name}' is {other:?}; known types are U64, F32 and F64"))),
            };
            arrays.insert(name, array);
        }
        Ok(Self { rule: rule.to_owned(), arithmetic: arithmetic.to_owned(), arrays })
    }
}

fn elements<T, const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|chunk| decode(*chunk)).collect()
}

/// The arrays that nothing has asked for yet.
pub(crate) struct Reader<'a> {
    arrays: HashMap<&'a str, &'a Array>,
}

impl Reader<'_> {
    fn read<T: Real>(
        &mut self,
        rule: &Form,
        groups: usize,
        listed: &[Listed],
        accept: &mut dyn FnMut(usize, &[f64]) -> Result<()>,
    ) -> Result<Loaded<T>> {
        let steps = self.count("steps")?;
        let group = |position| {
            let row = settings(rule).map(|name| self.number(&format!("group.{position}.{name}")));
            let row = row.collect::<Result<Vec<_>>>()?;
            accept(position, &row)?;
            Ok(row)
        };
        let groups = (0..groups).map(group).collect::<Result<Vec<_>>>()?;
        let mut membership = Vec::new();
        let mut tensors = Vec::new();
        for &Listed { id, first, length, .. } in listed {
            let prefix = format!("tensor.{id}.{first}");
            let steps = self.count(&format!("{prefix}.steps"))?;
            let group = self.count(&format!("{prefix}.group"))?;
            if group >= groups.len() as u64 {
                return Err(wrong(format!("'{prefix}.group' is {group} but there are {} groups", groups.len())));
            }
            membership.push(group as usize);
            let carry = carried(rule).map(|name| self.number(&format!("{prefix}.carry.{name}")));
            let carry = carry.collect::<Result<_>>()?;
            let names = rule.states.iter();
            let states = names.map(|name| self.values(&format!("{prefix}.state.{name}"), length));
            let states = states.collect::<Result<_>>()?;
            let wanted = Settings::new(rule, &groups[group as usize]).around.arrays();
            let mut around = [const { None }; step::ARRAYS.len()];
            for (k, name) in step::ARRAYS.iter().enumerate().filter(|(k, _)| wanted[*k]) {
                around[k] = Some(self.values(&format!("{prefix}.{name}"), length)?);
            }
            tensors.push(TensorState { steps, carry, states, around });
        }
        Ok(Loaded { steps, membership, tensors })
    }

    /// Errors: arrays that nothing has asked for.
    pub(crate) fn finish(self) -> Result<()> {
        match self.arrays.into_keys().min() {
            None => Ok(()),
            Some(name) => Err(wrong(format!("'{name}' belongs to nothing the optimizer has"))),
        }
    }

    fn take(&mut self, name: &str) -> Result<&Array> {
        self.arrays.remove(name).ok_or_else(|| wrong(format!("there is no array '{name}'")))
    }

    /// A number of steps or the like.
    pub(crate) fn count(&mut self, name: &str) -> Result<u64> {
        match self.take(name)? {
            Array::U64(values) if values.len() == 1 => Ok(values[0]),
            other => Err(unlike(name, other, "u64", 1)),
        }
    }

    fn number(&mut self, name: &str) -> Result<f64> {
        Ok(self.values(name, 1)?[0])
    }

    /// An array of the arithmetic type.
    pub(crate) fn values<T: Real>(&mut self, name: &str, length: u64) -> Result<Vec<T>> {
        let array = self.take(name)?;
        match array.reals() {
            Some(values) if values.len() as u64 == length => Ok(values),
            _ => Err(unlike(name, array, T::DTYPE.name(), length)),
        }
    }
}

fn unlike(name: &str, array: &Array, expected: &str, length: u64) -> Error {
    let elements = count(array.len() as u64, "element");
    wrong(format!("'{name}' is {} of {elements}, not {expected} of {length}", array.type_name()))
}

/// An array as a file holds it: little-endian.
struct InFile<'a> {
    array: &'a Array,
    shape: [usize; 1],
}

impl<'a> InFile<'a> {
    fn new(array: &'a Array) -> Self {
        Self { array, shape: [array.len()] }
    }
}

impl FileView for InFile<'_> {
    fn dtype(&self) -> FileDtype {
        match self.array {
            Array::U64(_) => FileDtype::U64,
            Array::F32(_) => FileDtype::F32,
            Array::F64(_) => FileDtype::F64,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match self.array {
            Array::U64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Array::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Array::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        })
    }

    fn data_len(&self) -> usize {
        match self.array {
            Array::F32(values) => size_of_val(values.as_slice()),
            Array::U64(_) | Array::F64(_) => 8 * self.array.len(),
        }
    }
}
