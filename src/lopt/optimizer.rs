use std::collections::BTreeMap;

use super::arithmetic::Scalars;
use super::shape::Shape;
use super::{Network, Settings};
use crate::backend::{Span, check_spans};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::{Device, Place};
use crate::element::Element;
use crate::error::Result;
use crate::memory::{View, ViewMut};
use crate::optim::check::{count, length, same_place_as};
use crate::optim::{Array, State};

/// What a state calls it.
const NAME: &str = "small_fc_lopt";

/// Tensors stepped by a learned optimizer: see the [module](super).
///
/// Five launches a step on CUDA, whatever the number of tensors. Sums have shapes of their own, which no device, number of threads or
/// other tensor changes: the bits are the same everywhere. The step is counted on the device: a step that was captured in a graph goes
/// on with each replay.
///
/// A gradient that is not finite reaches the whole tensor, through the means of squares. A tensor without elements is left alone.
///
/// ```
/// use gradus::lopt::{Form, Network, Settings, SmallFcLopt};
/// use gradus::{Buffer, Device};
///
/// let device = Device::cpu();
/// // Weights that make a step of each gradient: the positive and the negative part of it go through both layers.
/// let mut parameters = vec![0.0_f32; Network::parameter_count(2, Form::SmallFc)];
/// (parameters[0], parameters[39]) = (1.0, -1.0); // layer0.weight
/// (parameters[80], parameters[83]) = (1.0, 1.0); // layer1.weight
/// (parameters[86], parameters[87]) = (1.0, -1.0); // layer2.weight
/// let network = Network::new(2, Form::SmallFc, parameters)?;
///
/// let mut optimizer = SmallFcLopt::<f32>::new(&device, Settings::default(), &network, &[&[2, 3], &[3]])?;
/// let mut weight = Buffer::from_slice(&device, &[1.0, -2.0, 3.0, -4.0, 5.0, -6.0])?;
/// let mut bias = Buffer::from_slice(&device, &[0.5; 3])?;
/// let [g, h] = [weight.to_vec()?, bias.to_vec()?].map(|x| Buffer::from_slice(&device, &x));
/// let (g, h) = (g?, h?);
/// optimizer.step(&mut [weight.view_mut(), bias.view_mut()], &[g.view(), h.view()])?;
/// assert!(weight.to_vec()?.iter().zip(g.to_vec()?).all(|(w, g)| w.abs() < g.abs()));
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct SmallFcLopt<P: Element> {
    place: Place,
    settings: Settings,
    network: Network,
    shapes: Vec<Shape>,
    backend: Box<dyn LoptBackend<P>>,
}

impl<P: Element> SmallFcLopt<P> {
    /// An optimizer of tensors of these shapes, row-major, before its first step. A shape without axes is one element.
    ///
    /// Errors: a setting outside its range; settings of another form than the network's; a shape of more elements than memory has
    /// addresses, or one of two axes or more, an axis of which is 2³¹ or longer; the device's memory does not suffice.
    pub fn new(device: &Device, settings: Settings, network: &Network, shapes: &[&[usize]]) -> Result<Self> {
        settings.check(network.form())?;
        let shapes = shapes.iter().enumerate().map(|(position, axes)| Shape::new(position, axes));
        let shapes = shapes.collect::<Result<Vec<_>>>()?;
        let scalars = Scalars::new(&settings, network);
        let backend: Box<dyn LoptBackend<P>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::lopt::CpuLopt::new(*cpu, &shapes, scalars, network)?),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::lopt::CudaLopt::new(cuda, &shapes, scalars, network)?),
        };
        Ok(Self { place: device.place(), settings, network: network.clone(), shapes, backend })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Sets what the next steps are made with; accumulators and counter stay. The network may have another number of neurons.
    ///
    /// Errors, with nothing changed: as [`new`](Self::new); the stream is being captured.
    pub fn set(&mut self, settings: Settings, network: &Network) -> Result<()> {
        settings.check(network.form())?;
        self.backend.set(Scalars::new(&settings, network), network)?;
        (self.settings, self.network) = (settings, network.clone());
        Ok(())
    }

    /// Steps taken. On CUDA the host waits for the stream.
    pub fn steps(&self) -> Result<u64> {
        self.backend.steps()
    }

    /// Forgets everything: zero accumulators, step 0. Errors: the driver refuses.
    pub fn reset(&mut self) -> Result<()> {
        self.backend.reset()
    }

    /// What is kept from step to step; settings and network are not part of it. On CUDA the host waits for the stream.
    ///
    /// | array | type | what |
    /// |---|---|---|
    /// | `steps` | u64 `[1]` | steps taken |
    /// | `tensor.<position>.m0` to `.m2`, `.v` | f32 or f64 `[length]` | moments |
    /// | `tensor.<position>.w0` to `.w2` | f32 or f64 `[length]` | averages of squares of a tensor of fewer than two axes |
    /// | `tensor.<position>.row0` to `.row2`, `.column0` to `.column2` | f32 or f64 | those of rows and columns |
    pub fn state(&self) -> Result<State> {
        let mut arrays = BTreeMap::from([("steps".to_owned(), Array::U64(vec![self.steps()?]))]);
        for (position, shape) in self.shapes.iter().enumerate() {
            for ((name, _), values) in shape.kept().into_iter().zip(self.backend.read(position)?) {
                arrays.insert(format!("tensor.{position}.{name}"), Array::of(values));
            }
        }
        Ok(State::new::<P::Real>(NAME, arrays))
    }

    /// Goes on from a state: with the same settings, network, parameters and gradients to the same bits, on any device.
    ///
    /// Errors, with nothing changed: a state of something else, of another arithmetic type or of other shapes; the stream is being
    /// captured.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        let mut reader = state.reader::<P::Real>(NAME)?;
        let steps = reader.count("steps")?;
        let mut tensors = Vec::new();
        for (position, shape) in self.shapes.iter().enumerate() {
            let kept = shape.kept().into_iter();
            let arrays = kept.map(|(name, length)| reader.values(&format!("tensor.{position}.{name}"), length));
            tensors.push(arrays.collect::<Result<Vec<_>>>()?);
        }
        reader.finish()?;
        for (position, arrays) in tensors.iter().enumerate() {
            self.backend.write(position, arrays)?;
        }
        self.backend.set_steps(steps)
    }

    /// Steps every tensor: `gradients` are read, `parameters` read and written, in the order of the shapes.
    ///
    /// Errors, with nothing changed: counts, lengths or devices that do not fit; memory that overlaps where it is written, or is not
    /// aligned; tables that are stale during a graph capture; the driver refuses.
    pub fn step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[View<'_, P>]) -> Result<()> {
        let tensors = self.shapes.len();
        count("parameters", parameters.len(), tensors)?;
        count("gradients", gradients.len(), tensors)?;
        for (position, (shape, (p, g))) in self.shapes.iter().zip(parameters.iter().zip(gradients)).enumerate() {
            for (what, given, place) in [("parameter", p.len(), p.place()), ("gradient", g.len(), g.place())] {
                let name = || format!("{what} {position}");
                length(given, shape.length, || (name(), format!("tensor {position}")))?;
                same_place_as("the optimizer", name, place, self.place)?;
            }
        }
        self.backend.step(parameters, gradients)
    }
}

/// Looks for memory that is not aligned, and for memory that is written and used otherwise: `bound` has the addresses of each
/// tensor's parameter and gradient.
pub(crate) fn check_memory<P: Element>(shapes: &[Shape], bound: &[[u64; 2]]) -> Result<()> {
    let spans = shapes.iter().zip(bound).enumerate().flat_map(|(position, (shape, &[parameter, gradient]))| {
        [
            Span::written::<P>("parameter", position, parameter, shape.length),
            Span::read::<P>("gradient", position, gradient, shape.length),
        ]
    });
    check_spans(spans.collect())
}

/// A learned optimizer on a device. The caller has checked every argument but addresses.
pub(crate) trait LoptBackend<P: Element>: Send {
    fn set(&mut self, scalars: Scalars<P::Real>, network: &Network) -> Result<()>;

    fn step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[View<'_, P>]) -> Result<()>;

    fn steps(&self) -> Result<u64>;

    fn set_steps(&mut self, steps: u64) -> Result<()>;

    fn reset(&mut self) -> Result<()>;

    /// The arrays of [`Shape::kept`] of a tensor.
    fn read(&self, position: usize) -> Result<Vec<Vec<P::Real>>>;

    fn write(&mut self, position: usize, arrays: &[Vec<P::Real>]) -> Result<()>;
}
