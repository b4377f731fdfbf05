//! An optimizer on a device and the reference of each of its tensors, in lockstep: what is done to the one is done to
//! the others, and `check` compares all there is.

use gradus::element::{Element, Real};
use gradus::es::Estimate;
use gradus::optim::{Average, Group, Lookahead, Momentum, Schedule, State, Stepper, Tensor};
use gradus::rules::{AnyRule, Extra};
use gradus::{Device, Result};
use steppers::Stepped;

use crate::common::data::{Numbers, element, seed};
use crate::common::memory::Guarded;
use crate::common::subjects::{Subject, every_setting, label};
use crate::content::{Content, same};
use crate::drawn::written;

pub struct Lockstep<P: Stepped<G>, G: Element<Real = P::Real>> {
    subject: &'static Subject,
    pub optimizer: Box<dyn Stepper<P, G>>,
    pub tensors: Vec<Tracked<P>>,
    groups: Vec<Group<AnyRule>>,
    steps: u64,
    numbers: Numbers,
}

/// A tensor of the optimizer, and what is expected of it.
pub struct Tracked<P: Element> {
    pub memory: Guarded<P>,
    pub expected: Content<P>,
    gradient_offset: usize,
    id: u64,
    group: usize,
}

/// The gradients of a step, one for each tensor.
pub type Gradients<G> = Vec<Option<Vec<G>>>;

impl<P: Stepped<G>, G: Element<Real = P::Real>> Lockstep<P, G> {
    /// No tensors yet. Errors of the optimizer are failures of the test, here and everywhere below.
    pub fn new(subject: &'static Subject, device: &Device, groups: &[Group<AnyRule>]) -> Self {
        let mut optimizer = P::stepper(&groups[0], device).unwrap();
        for &group in &groups[1..] {
            optimizer.add_group(group).unwrap();
        }
        let numbers = Numbers::new(seed());
        Self { subject, optimizer, tensors: Vec::new(), groups: groups.to_vec(), steps: 0, numbers }
    }

    /// One group with the rule's defaults, and tensors of these sizes.
    pub fn with_sizes(subject: &'static Subject, device: &Device, sizes: &[usize]) -> Self {
        let mut lockstep = Self::new(subject, device, &[Group::new(subject.default())]);
        for &size in sizes {
            lockstep.add(size, 0);
        }
        lockstep
    }

    /// Adds a tensor of a size to a group; ids and offsets differ from tensor to tensor.
    pub fn add(&mut self, size: usize, group: usize) {
        self.add_shard(size, 0, group);
    }

    /// The same with the place of the first element in the tensor.
    pub fn add_shard(&mut self, size: usize, first: u64, group: usize) {
        let id = self.tensors.iter().map(|tensor| tensor.id).max().unwrap_or(40) + 3;
        let (offset, gradient_offset) = (id as usize * 5 % 17, id as usize * 7 % 17);
        let parameter = self.numbers.numbers(size);
        let position = self.optimizer.add(Tensor::new(size).id(id).first(first).group(group)).unwrap();
        assert_eq!(position, self.tensors.len());
        self.tensors.push(Tracked {
            memory: Guarded::new(self.optimizer.device(), &parameter, offset),
            expected: Content::new(self.subject, parameter).at(id, first).in_group(&self.groups[group]),
            gradient_offset,
            id,
            group,
        });
    }

    /// Adds a tensor to group 0 that another optimizer has, with its id and elements.
    pub fn add_copy(&mut self, tensor: &Tracked<P>) {
        self.optimizer.add(Tensor::new(tensor.memory.len()).id(tensor.id)).unwrap();
        self.tensors.push(Tracked {
            memory: Guarded::new(self.optimizer.device(), &tensor.memory.elements(), tensor.memory.offset() + 1),
            expected: tensor.expected.clone(),
            group: 0,
            ..*tensor
        });
    }

    pub fn remove(&mut self, position: usize) {
        let removed = self.optimizer.remove(position).unwrap();
        assert_eq!(removed.id, self.tensors.remove(position).id);
    }

    pub fn regroup(&mut self, position: usize, group: usize) {
        self.optimizer.regroup(position, group).unwrap();
        self.tensors[position].group = group;
        self.tensors[position].expected.fit(&self.groups[group]);
    }

    pub fn set_group(&mut self, position: usize, group: Group<AnyRule>) {
        self.optimizer.set_group(position, group).unwrap();
        self.groups[position] = group;
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.group == position) {
            tensor.expected.fit(&group);
        }
    }

    pub fn add_group(&mut self, group: Group<AnyRule>) {
        assert_eq!(self.optimizer.add_group(group).unwrap(), self.groups.len());
        self.groups.push(group);
    }

    /// Sets the rate of all groups, or of one.
    pub fn set_lr(&mut self, group: Option<usize>, lr: f64) -> Result<()> {
        let result = match group {
            None => self.optimizer.set_lr(lr),
            Some(position) => self.optimizer.set_group_lr(position, lr),
        };
        for (position, changed) in self.groups.iter_mut().enumerate() {
            if result.is_ok() && group.is_none_or(|only| only == position) {
                changed.rule.set("lr", &lr.into()).unwrap();
            }
        }
        result
    }

    /// Gradients for all tensors, never the same ones.
    pub fn gradients(&mut self) -> Gradients<G> {
        let numbers = &mut self.numbers;
        self.tensors.iter().map(|tensor| Some(numbers.numbers(tensor.memory.len()))).collect()
    }

    /// One step with gradients for all tensors.
    pub fn step(&mut self) {
        let gradients = self.gradients();
        self.step_with(&gradients);
    }

    pub fn step_with(&mut self, gradients: &Gradients<G>) {
        let device = self.optimizer.device();
        let placed: Vec<Option<Guarded<G>>> = (self.tensors.iter().zip(gradients))
            .map(|(tensor, gradient)| Some(Guarded::new(device, gradient.as_ref()?, tensor.gradient_offset)))
            .collect();
        let extras: Vec<Option<Vec<G>>> =
            gradients.iter().map(|gradient| extra(self.subject, gradient.as_ref()?)).collect();
        let placed_extras: Vec<Option<Guarded<G>>> = (self.tensors.iter().zip(&extras))
            .map(|(tensor, extra)| Some(Guarded::new(device, extra.as_ref()?, tensor.gradient_offset + 4)))
            .collect();
        let mut parameters: Vec<_> = self.tensors.iter_mut().map(|tensor| tensor.memory.view_mut()).collect();
        let views: Vec<_> = placed.iter().map(|gradient| gradient.as_ref().map(Guarded::view)).collect();
        if extras.iter().any(Option::is_some) {
            let extras: Vec<_> = placed_extras.iter().map(|extra| extra.as_ref().map(Guarded::view)).collect();
            self.optimizer.step_with(&mut parameters, &views, &extras).unwrap();
        } else {
            self.optimizer.step(&mut parameters, &views).unwrap();
        }

        self.steps += 1;
        for ((tensor, gradient), extra) in self.tensors.iter_mut().zip(gradients).zip(&extras) {
            if let Some(gradient) = gradient {
                tensor.expected.step(&self.groups[tensor.group], self.steps, gradient, extra.as_deref());
            }
        }
        for (what, placed, elements) in [("gradient", &placed, gradients), ("extra", &placed_extras, &extras)] {
            for (position, (placed, elements)) in placed.iter().zip(elements).enumerate() {
                if let (Some(placed), Some(elements)) = (placed, elements) {
                    same(what, &placed.elements(), elements, &|| self.place(position, "a step"));
                }
            }
        }
    }

    /// One step by a gradient that is drawn.
    pub fn step_estimate(&mut self, estimate: Estimate<'_>) {
        let mut parameters: Vec<_> = self.tensors.iter_mut().map(|tensor| tensor.memory.view_mut()).collect();
        self.optimizer.step_estimate(&mut parameters, estimate).unwrap();
        self.steps += 1;
        for tensor in &mut self.tensors {
            let place = Tensor::new(tensor.memory.len()).id(tensor.id).first(tensor.expected.first);
            let gradient = written::<P>(place, estimate);
            tensor.expected.step(&self.groups[tensor.group], self.steps, &gradient, None);
        }
    }

    /// Panics where the optimizer is not what its references and its history say.
    pub fn check(&self, after: &str) {
        let label = || format!("{}, after {after}", label::<P, G>(self.subject, self.optimizer.device()));
        assert_eq!(self.optimizer.steps().unwrap(), self.steps, "steps of {}", label());
        assert_eq!(self.optimizer.groups(), self.groups, "groups of {}", label());
        assert_eq!(self.optimizer.tensors().len(), self.tensors.len(), "tensors of {}", label());
        let state = self.optimizer.state().unwrap();
        for (position, (tensor, listed)) in self.tensors.iter().zip(self.optimizer.tensors()).enumerate() {
            assert_eq!((listed.id, listed.group), (tensor.id, tensor.group), "id and group, {}", label());
            assert_eq!(self.optimizer.tensor_steps(position).unwrap(), tensor.expected.steps, "{}", label());
            let actual = Content::of(self.subject, &state, listed, tensor.memory.elements());
            actual.assert_same(&tensor.expected, &|| self.place(position, after));
        }
    }

    fn place(&self, position: usize, after: &str) -> String {
        let Tracked { memory, gradient_offset, group, .. } = &self.tensors[position];
        format!(
            "{}, after {after}: tensor {position}, {} elements, parameter at offset {}, gradient at {gradient_offset}, \
             {:?}, seed {}",
            label::<P, G>(self.subject, self.optimizer.device()),
            memory.len(),
            memory.offset(),
            self.groups[*group],
            seed(),
        )
    }

    /// Saves the state as a file's bytes, loads it into a new optimizer on a device, and goes on with that. The new one
    /// had other settings, other memberships and steps of its own.
    pub fn resume_on(&mut self, device: &Device) {
        let saved = self.optimizer.state().unwrap().to_bytes();

        let others = vec![Group::new(self.subject.default()).maximize(true); self.groups.len()];
        let mut resumed = Self::new(self.subject, device, &others);
        resumed.tensors = (self.tensors.iter())
            .map(|tensor| Tracked {
                memory: Guarded::new(device, &tensor.memory.elements(), tensor.memory.offset()),
                expected: Content::new(self.subject, tensor.expected.parameter.clone()),
                ..*tensor
            })
            .collect();
        for tensor in &mut resumed.tensors {
            let other_group = (tensor.group + 1) % others.len();
            let added = Tensor::new(tensor.memory.len()).id(tensor.id).group(other_group);
            resumed.optimizer.add(added).unwrap();
            tensor.group = other_group;
        }
        resumed.step();
        resumed.optimizer.load_state(&State::from_bytes(&saved).unwrap()).unwrap();

        for (resumed, tensor) in resumed.tensors.iter_mut().zip(&self.tensors) {
            let offset = tensor.memory.offset();
            resumed.memory = Guarded::new(device, &tensor.memory.elements(), offset);
            resumed.expected = tensor.expected.clone();
            resumed.group = tensor.group;
        }
        self.tensors = resumed.tensors;
        self.optimizer = resumed.optimizer;
    }
}

/// What a step is given beside a gradient: nothing for most rules, and for the others in about half of all steps.
///
/// It follows from the gradient, and a second one has the opposite sign where that has.
fn extra<G: Element>(subject: &Subject, gradient: &[G]) -> Option<Vec<G>> {
    let first = gradient.first()?.load().to_f64().abs();
    let second = |g: &G| element(0.75 * g.load().to_f64());
    let noise = |g: &G| element(1.0 - 0.25 * g.load().to_f64().abs());
    match subject.extra {
        Extra::Second if first > 0.25 => Some(gradient.iter().map(second).collect()),
        Extra::Noise if first > 0.25 => Some(gradient.iter().map(noise).collect()),
        _ => None,
    }
}

/// Three groups: the rule's defaults, settings of another kind with an average and Lookahead, and a third that maximises
/// along a schedule. None of them stands still.
pub fn groups(subject: &Subject) -> Vec<Group<AnyRule>> {
    let moves = |rule: &AnyRule| {
        let hyper = (subject.hyper)(rule);
        subject.settings.iter().zip(hyper).all(|(name, value)| *name != "lr" || value != 0.0)
    };
    let others: Vec<AnyRule> =
        every_setting(subject).into_iter().filter(|rule| *rule != subject.default() && moves(rule)).collect();
    let other = |k: usize| others[k % others.len()];
    let momentum = if subject.momentum.is_some() { Momentum::Pullback } else { Momentum::Keep };
    let lookahead = Lookahead { every: 2, share: 0.625, momentum };
    vec![
        Group::new(subject.default()),
        Group::new(other(1)).average(Average::exponential(0.75)).lookahead(lookahead),
        Group::new(other(4)).maximize(true).schedule(Schedule::cosine(9).warmup(2)),
    ]
}
