//! Every rule for every pair of types: three steps of five tensors, of odd lengths and at odd offsets, in one launch.

use softcuda::machine::Options;

use crate::compiled::library;
use crate::device::{Device, Host, Soft};
use crate::values::{Random, Type};

const CHUNK: usize = 16_384;
const STEPS: usize = 3;
/// Elements beyond either end of an array, which stay what they are.
const GUARD: usize = 16;
const PAIRS: [(Type, Type); 7] = [
    (Type::F32, Type::F32),
    (Type::F32, Type::Bf16),
    (Type::F32, Type::F16),
    (Type::Bf16, Type::Bf16),
    (Type::Bf16, Type::F32),
    (Type::F16, Type::F16),
    (Type::F64, Type::F64),
];

/// Numbers of a group that surround the rule's, the gradient's scale first; zeros ask for nothing.
const AROUND: usize = 17;

const HAS_GRADIENT: u32 = 1;
const IN_PHASE: u32 = 2;

/// A tensor: its length, where its parameter begins and where its other arrays do, in elements after an aligned one.
struct Shape {
    length: usize,
    skip: usize,
    others: usize,
    flags: u32,
    group: u32,
}

const SHAPES: [Shape; 6] = [
    Shape { length: 1, skip: 1, others: 1, flags: HAS_GRADIENT | IN_PHASE, group: 0 },
    Shape { length: 20_011, skip: 3, others: 3, flags: HAS_GRADIENT | IN_PHASE, group: 1 },
    Shape { length: 2999, skip: 0, others: 0, flags: HAS_GRADIENT | IN_PHASE, group: 2 },
    Shape { length: 3001, skip: 2, others: 5, flags: HAS_GRADIENT, group: 0 },
    Shape { length: 517, skip: 7, others: 7, flags: IN_PHASE, group: 1 },
    Shape { length: 16_384, skip: 0, others: 8, flags: HAS_GRADIENT | IN_PHASE, group: 2 },
];

struct Case<'a> {
    rule: &'a str,
    parameter: Type,
    gradient: Type,
    /// The gradient's scale and the settings.
    groups: &'a [&'a [f64]],
    states: usize,
    /// Numbers of a tensor's rows.
    carries: usize,
    scalars: usize,
}

/// An array as it was left, and what it holds.
type Found = (String, Type, Vec<u8>);

impl Case<'_> {
    /// The same bytes on every device.
    fn run(&self, device: &dyn Device, seed: u64) -> Vec<Found> {
        let mut random = Random(seed);
        let real = self.parameter.real();
        let (mut chunks, mut tensors, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (index, shape) in SHAPES.iter().enumerate() {
            let mut array = |name: &str, kind: Type, skip: usize| {
                let count = 2 * GUARD + skip + shape.length;
                // AdamW takes the root of its second state, which is seldom negative here.
                let root = self.rule == "adamw" && name == "state 1";
                let mut bytes = Vec::with_capacity(count * kind.size());
                for _ in 0..count {
                    let mut element = kind.element(&mut random);
                    if root && !random.next().is_multiple_of(64) {
                        element &= !(1 << (8 * kind.size() - 1));
                    }
                    bytes.extend_from_slice(&element.to_le_bytes()[..kind.size()]);
                }
                let address = device.put(&bytes);
                left.push((format!("{name} of tensor {index}"), kind, address, bytes.len()));
                address + ((GUARD + skip) * kind.size()) as u64
            };
            let parameter = array("parameter", self.parameter, shape.skip);
            let gradient = array("gradient", self.gradient, shape.others);
            let states: Vec<u64> = (0..self.states).map(|k| array(&format!("state {k}"), real, shape.others)).collect();
            // Nothing beside the gradient; the first element 0 of tensor `index`; nothing around the rule.
            let head = [parameter, gradient, 0, shape.length as u64, 0, index as u64];
            tensors.extend(head.into_iter().flat_map(u64::to_le_bytes));
            tensors.extend([shape.group, shape.flags].into_iter().flat_map(u32::to_le_bytes));
            tensors.extend([0; 3].into_iter().chain(states).flat_map(u64::to_le_bytes));
            let mut start = 0;
            while start < shape.length {
                let phase = (parameter as usize / self.parameter.size() + start) % 16;
                let end = (start + CHUNK - phase).min(shape.length);
                chunks.extend([index as u32, (end - start) as u32].into_iter().flat_map(u32::to_le_bytes));
                chunks.extend((start as u64).to_le_bytes());
                start = end;
            }
        }
        let blocks = (chunks.len() / 16) as u32;
        let around = [0.0; AROUND - 1];
        let row = |group: &&[f64]| [&group[..1], &around, &group[1..]].concat();
        let groups: Vec<u8> = self.groups.iter().flat_map(row).flat_map(f64::to_le_bytes).collect();
        let steps = vec![0; 8 * (1 + SHAPES.len())];
        let scalars = vec![0; real.size() * self.scalars * SHAPES.len()];
        let [chunks, tensors, groups, carries] =
            [&chunks, &tensors, &groups, &vec![0; 8 * self.carries * SHAPES.len()]].map(|bytes| device.put(bytes));
        let (steps_at, scalars_at) = (device.put(&steps), device.put(&scalars));
        left.push(("scalars".to_owned(), real, scalars_at, scalars.len()));
        left.push(("steps".to_owned(), Type::F64, steps_at, steps.len()));
        let tick = format!("{}_tick_{}", self.rule, real.name());
        let update = format!("{}_{}_{}", self.rule, self.parameter.name(), self.gradient.name());
        let mut found = Vec::new();
        for step in 1..=STEPS {
            device.launch(&tick, 1, &[tensors, SHAPES.len() as u64, groups, steps_at, carries, scalars_at]);
            device.launch(&update, blocks, &[chunks, tensors, groups, steps_at, scalars_at]);
            let after = |name: &str| format!("{name} after step {step} of {update}, seed {seed}");
            found.extend(left.iter().map(|(name, kind, at, size)| (after(name), *kind, device.get(*at, *size))));
        }
        found
    }
}

/// What was compared.
#[derive(Default)]
struct Tally {
    kernels: usize,
    launches: usize,
    elements: usize,
    bytes: usize,
    nans: usize,
}

impl Tally {
    fn compare(&mut self, soft: Vec<Found>, host: Vec<Found>) {
        assert_eq!(soft.len(), host.len());
        for ((name, kind, soft), (_, _, host)) in soft.into_iter().zip(host) {
            assert_eq!(soft.len(), host.len());
            for (index, (soft, host)) in soft.chunks(kind.size()).zip(host.chunks(kind.size())).enumerate() {
                let (soft, host) = (kind.bits(soft), kind.bits(host));
                let nans = kind.is_nan(soft) && kind.is_nan(host);
                assert!(soft == host || nans, "{name}, element {index}: softcuda {soft:#x}, host {host:#x}");
                self.nans += usize::from(nans);
            }
            self.elements += soft.len() / kind.size();
            self.bytes += soft.len();
        }
    }
}

fn check(rule: &str, ptx: &str, groups: &[&[f64]]) {
    let Some(library) = library() else { return };
    let mut tally = Tally { kernels: 2 + PAIRS.len(), ..Tally::default() };
    for (index, (parameter, gradient)) in PAIRS.into_iter().enumerate() {
        for round in 0..2 {
            let seed = 2 * index as u64 + round;
            let options = Options { threads: 2, seed, one_lane: round == 1, ..Options::default() };
            let (soft, host) = (Soft::new(ptx, options), Host::new(library));
            let layout = soft.layout(rule);
            assert_eq!(layout, host.layout(rule));
            let [chunk, _, _, _, group_row, carries, scalars, states, ..] = layout.map(|word| word as usize);
            assert_eq!(chunk, CHUNK);
            assert!(groups.iter().all(|group| group.len() + AROUND - 1 == group_row));
            let case = Case { rule, parameter, gradient, groups, states, carries, scalars };
            tally.compare(case.run(&soft, seed), case.run(&host, seed));
            tally.launches += 2 * STEPS;
        }
    }
    let Tally { kernels, launches, elements, bytes, nans } = tally;
    println!("{rule}: {kernels} kernels, {launches} launches, {elements} elements, {bytes} bytes, {nans} NaNs");
    assert!(nans < elements / 4, "most elements must be numbers");
}

/// The text of a rule's kernels, behind that of the functions they call.
macro_rules! ptx {
    ($rule:literal) => {
        concat!(
            include_str!("../../../../kernels/ptx/library.ptx"),
            include_str!(concat!("../../../../kernels/ptx/", $rule, ".ptx"))
        )
    };
}

#[test]
fn adamw() {
    // lr, beta1, beta2, eps, weight_decay, decay
    let groups: [&[f64]; 3] = [
        &[1.0, 1e-3, 0.9, 0.999, 1e-8, 0.01, 1.0],
        &[0.5, 0.1, 0.8, 0.95, 1e-6, 0.1, 0.0],
        &[3e-3, 2e-2, 0.0, 0.5, 0.0, 0.0, 1.0],
    ];
    check("adamw", ptx!("adamw"), &groups);
}

#[test]
fn lion() {
    // lr, beta1, beta2, weight_decay, decay
    let groups: [&[f64]; 3] =
        [&[1.0, 1e-3, 0.9, 0.99, 0.01, 1.0], &[0.5, 0.1, 0.8, 0.95, 0.1, 0.0], &[3e-3, 2e-2, 0.0, 0.5, 0.0, 1.0]];
    check("lion", ptx!("lion"), &groups);
}

#[test]
fn sgd() {
    // lr, momentum, dampening, nesterov, weight_decay, decay
    let groups: [&[f64]; 3] = [
        &[1.0, 1e-3, 0.9, 0.3, 0.0, 0.01, 1.0],
        &[0.5, 0.1, 0.8, 0.0, 1.0, 0.1, 0.0],
        &[3e-3, 2e-2, 0.0, 0.0, 0.0, 0.0, 1.0],
    ];
    check("sgd", ptx!("sgd"), &groups);
}
