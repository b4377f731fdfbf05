//! Every kind of error that a machine without CUDA can provoke, its message to the letter; and that a refused call leaves
//! everything as it was.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gradus::device::{Cpu, SimdLevel};
use gradus::ensemble::{Ensemble, Mixing, ReplicatedSgd};
use gradus::es::{Distribution, Header, Log};
use gradus::linalg::{Block, SpdInverse, SpdSettings, Symmetric};
#[cfg(feature = "cuda")]
use gradus::noise;
use gradus::optim::{Group, Optimizer, State, Tensor};
use gradus::rng::{Address, Purpose};
use gradus::rules::{AdamW, Decay, Lion, Sgd, by_name, names};
use gradus::{Buffer, Device, Error, MatRef, Result, View, ViewMut};
use steppers::Stepped;

/// The kinds that no test of this file provokes, and why.
const NOT_HERE: &[(&str, &str)] = &[
    #[cfg(not(feature = "cuda"))]
    ("WrongDevice", "without the feature there is one device"),
    ("Overlap", "safe slices cannot share memory that is written; src/backend.rs tests the message"),
    ("Misaligned", "slices are aligned; src/backend.rs tests the message"),
    ("NoCuda", "it depends on the machine's driver; tests/driver.rs brings its own"),
    ("Cuda", "a driver has to refuse something; tests/driver.rs brings one"),
    ("StaleCapture", "a stream has to capture a graph; tests/graphs.rs does that on the software driver"),
];

#[test]
fn every_kind_is_provoked_or_has_a_reason() {
    let provoked: BTreeSet<String> = provoked().iter().map(|(error, _)| kind(error)).collect();
    let excused: BTreeSet<String> = NOT_HERE.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    assert_eq!(provoked.intersection(&excused).next(), None, "a kind is provoked that is said not to be");
    assert_eq!(kinds(), &provoked | &excused, "left: the kinds of src/error.rs; right: those provoked or excused");
}

#[test]
fn messages() {
    for (error, message) in provoked() {
        assert_eq!(error.to_string(), message);
        assert!(!message.contains('\n'), "{message} has several lines");
    }
}

#[test]
fn an_error_is_a_pointer_that_threads_may_share() {
    fn shared<T: std::error::Error + Clone + Send + Sync + 'static>() {}
    shared::<Error>();
    assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
}

/// Errors, and what each says.
fn provoked() -> Vec<(Error, String)> {
    let mut all = Vec::new();
    let mut says = |error: Error, message: &str| all.push((error, message.to_owned()));
    by_settings(&mut says);
    by_steps(&mut says);
    by_lists(&mut says);
    by_processors(&mut says);
    by_addresses(&mut says);
    by_copies(&mut says);
    by_matrices(&mut says);
    by_noises(&mut says);
    all
}

fn by_noises(says: Says) {
    let log = Log::new(Header { distribution: Distribution::Normal, rounding: None, tag: 0 });
    says(refused(log.terms(3)), "log: there are 0 updates, and not 4");
    says(
        refused(Log::parse(&log.bytes()[..20])),
        "log: a header has 36 bytes, not 20; the first 0 updates (0 bytes) are good",
    );
}

fn by_settings(says: Says) {
    let adamw = |rule: AdamW| refused(Optimizer::<AdamW>::new(&Device::cpu(), rule));
    let sgd = |rule: Sgd| refused(Optimizer::<Sgd>::new(&Device::cpu(), rule));
    says(adamw(AdamW { beta2: 1.0, ..AdamW::default() }), "AdamW: beta2 = 1 is outside [0, 1)");
    says(adamw(AdamW { lr: f64::NAN, ..AdamW::default() }), "AdamW: lr = NaN is outside [0, ∞)");
    says(adamw(AdamW { eps: f64::INFINITY, ..AdamW::default() }), "AdamW: eps = inf is outside [0, ∞)");
    says(sgd(Sgd { dampening: f64::NEG_INFINITY, ..Sgd::default() }), "Sgd: dampening = -inf is outside (-∞, 1]");
    says(refused(by_name("lion", &[("beta1", (-0.5).into())])), "Lion: beta1 = -0.5 is outside [0, 1)");
    says(
        sgd(Sgd { nesterov: true, momentum: 0.9, dampening: 0.5, ..Sgd::default() }),
        "Sgd: nesterov wants momentum > 0 and dampening = 0, but momentum = 0.9 and dampening = 0.5",
    );
    says(
        refused(by_name("adabelief", &[("amsgrad", true.into())])),
        "AdaBelief: amsgrad wants rectify = false, but rectify = true",
    );
    says(
        refused(by_name("acprop", &[("fixed_decay", true.into()), ("decay", "l2".into())])),
        "ACProp: fixed_decay wants decay = 'decoupled', but decay = 'l2'",
    );
    says(
        refused(by_name("amsgrad", &[("variance_correction", "max".into())])),
        "AmsGrad: variance_correction = 'max' is not 'none', 'after_max' or 'before_max'",
    );

    let mut any = <f32 as Stepped<f32>>::stepper(&Group::new(Sgd::default().into()), &Device::cpu())
        .expect("the defaults are valid");
    says(
        refused(any.add_group(Group::new(Lion::default().into()))),
        "a group of the rule lion was given to an optimizer of the rule sgd",
    );

    says(refused(by_name("adamwe", &[])), &format!("no rule is named 'adamwe'; known: {}", names().join(", ")));
    says(
        refused(by_name("lion", &[("eps", 1.0.into())])),
        "Lion has no setting 'eps'; known: lr, beta1, beta2, weight_decay, decay",
    );
    says(refused(by_name("lion", &[("lr", "fast".into())])), "Lion: lr = 'fast' is not a number");
    says(refused(by_name("sgd", &[("nesterov", 2.0.into())])), "Sgd: nesterov = 2 is not true or false");
    says(refused(by_name("adam", &[("decay", true.into())])), "AdamW: decay = true is not 'l2' or 'decoupled'");
}

fn by_steps(says: Says) {
    let mut opt = three_tensors();
    let (mut p, g) = ([vec![0.0; 4], vec![0.0; 1], vec![0.0; 2]], [vec![0.0; 4], vec![0.0; 1], vec![0.0; 2]]);
    let mut step = |parameters: usize, gradients: usize| {
        refused(opt.step(&mut written(&mut p)[..parameters], &read(&g)[..gradients]))
    };
    says(step(2, 3), "the number of parameters is 2 but that of tensors is 3");
    says(step(3, 0), "the number of gradients is 0 but that of tensors is 3");
    let mut step = |p: [usize; 3], g: [usize; 3]| {
        let (mut p, g) = (p.map(|length| vec![0.0; length]), g.map(|length| vec![0.0; length]));
        refused(opt.step(&mut written(&mut p), &read(&g)))
    };
    says(step([4, 1, 3], [4, 1, 2]), "parameter 2 has 3 elements but tensor 2 has 2");
    says(step([4, 1, 1], [4, 1, 2]), "parameter 2 has 1 element but tensor 2 has 2");
    says(step([4, 1, 2], [4, 0, 2]), "gradient 1 has 0 elements but parameter 1 has 1");
    let mut buffer = Buffer::<f32>::zeros(&Device::cpu(), 3).expect("three elements fit");
    says(refused(buffer.read(&mut [0.0; 2])), "the destination of a copy has 2 elements but the buffer has 3");
    says(refused(buffer.write(&[0.0; 4])), "the source of a copy has 4 elements but the buffer has 3");
    says(extra_for(&mut opt), "sgd takes neither a second gradient nor noise, but was given 1 array");
    says(refused(opt.averages(1)), "tensor 1 has no average: its group 1 keeps none");
    #[cfg(feature = "cuda")]
    says(on_another_device(), "gradient 0 is on cuda:3 but the optimizer is on cpu");
}

fn by_lists(says: Says) {
    let mut opt = three_tensors();
    says(
        refused(opt.add(Tensor::new(9).id(0))),
        "tensor 0, elements 0 to 9, is listed twice: as tensor 0, elements 0 to 4, at position 0",
    );
    says(
        refused(opt.add(Tensor::new(3).id(7).first(9))),
        "tensor 7, elements 9 to 12, is listed twice: as tensor 7, elements 10 to 12, at position 2",
    );
    says(
        refused(opt.add(Tensor::new(1).id(7).first(11))),
        "tensor 7, elements 11 to 12, is listed twice: as tensor 7, elements 10 to 12, at position 2",
    );
    says(
        refused(opt.add(Tensor::new(0).id(7).first(10))),
        "tensor 7, elements 10 to 10, is listed twice: as tensor 7, elements 10 to 12, at position 2",
    );
    says(
        refused(opt.add(Tensor::new(4).id(9).first(u64::MAX - 1))),
        "tensor 9: 4 elements from element 18446744073709551614 on are more than can be counted",
    );
    let too_many = usize::MAX / 2;
    says(refused(opt.add(Tensor::new(too_many))), &format!("there is no memory for {too_many} elements of 4 bytes"));
    says(
        refused(Buffer::<f64>::zeros(&Device::cpu(), too_many)),
        &format!("there is no memory for {too_many} elements of 8 bytes"),
    );
    says(refused(opt.add(Tensor::new(1).group(2))), "there is no group 2: the optimizer has 2");
    says(refused(opt.remove(3)), "there is no tensor 3: the optimizer has 3");
    says(refused(opt.regroup(3, 0)), "there is no tensor 3: the optimizer has 3");
    says(refused(opt.regroup(0, 2)), "there is no group 2: the optimizer has 2");
    says(refused(opt.set_group(2, Sgd::default())), "there is no group 2: the optimizer has 2");
    says(refused(opt.set_group_lr(9, 0.1)), "there is no group 9: the optimizer has 2");
    says(refused(opt.set_lr(-1.0)), "Sgd: lr = -1 is outside [0, ∞)");
    says(refused(opt.tensor_steps(usize::MAX)), &format!("there is no tensor {}: the optimizer has 3", usize::MAX));
    says(refused(opt.load_state(&lion_state())), "saved state: it is of rule 'lion' but the optimizer's is 'sgd'");
}

fn by_processors(says: Says) {
    let (foreign, name) =
        if cfg!(target_arch = "aarch64") { (SimdLevel::Avx2, "AVX2") } else { (SimdLevel::Neon, "NEON") };
    let available = SimdLevel::available().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    says(
        refused(Cpu::with_simd(foreign)),
        &format!("{name} is not available on this processor; available: {available}"),
    );
}

fn by_addresses(says: Says) {
    let purpose = Purpose::PERTURBATION;
    let address = Address::new(purpose, u64::MAX, u64::from(u32::MAX), (1 << 20) - 1).expect("every field is full");
    let does_not_fit =
        |what: &str, bits| format!("{what} does not fit into the {bits} bits that a noise address has for it");
    says(refused(Purpose::new(64)), &does_not_fit("purpose 64", 6));
    says(refused(Address::new(purpose, 0, 1 << 32, 0)), &does_not_fit("tensor id 4294967296", 32));
    says(refused(Address::new(purpose, 0, 0, 1 << 20)), &does_not_fit("pair 1048576", 20));
    says(refused(address.counter(1 << 40)), &does_not_fit("element 1099511627776", 40));
    #[cfg(feature = "cuda")]
    {
        // SAFETY: nothing stands at the address, and a view of no elements writes nothing.
        let out = unsafe { ViewMut::from_device_ptr(0x1000, 0, 3) };
        let refused = refused(noise::normals(&Device::cpu(), 0, &address, 0, out));
        says(refused, "the noise is on cuda:3 but the device that draws it is on cpu");
    }
}

fn by_copies(says: Says) {
    let cpu = Device::cpu();
    let replicas =
        |replicas| Ensemble::<ReplicatedSgd>::new(&cpu, ReplicatedSgd::default(), replicas, &[Tensor::new(2)]);
    says(refused(replicas(0)), "an ensemble has one replica at least, not none");
    says(
        refused(replicas(3).and_then(|mut replicas| replicas.step(&mut [], &[]))),
        "the number of parameters is 0 but there are 3 replicas of 1 tensor",
    );
    says(refused(Mixing::new(2, &[1.0, 0.5, 0.0, 0.5])), "mixing matrix: row 0 has the sum 1.5, not 1");
}

fn by_matrices(says: Says) {
    let elements = [1.0_f32; 12];
    let matrix = |rows, columns, stride| MatRef::with_stride(&elements[..], rows, columns, stride);
    says(refused(matrix(2, 4, 3)), "a matrix of 2×4: its rows are 3 elements apart");
    says(refused(matrix(3, 4, 5)), "a matrix of 3×4: rows 5 elements apart need 14 elements and there are 12");
    says(refused(Symmetric::full(matrix(3, 4, 4).expect("it fits"))), "a matrix of 3×4: it is not square");
    says(refused(Symmetric::packed(&elements[..], 4)), "a matrix of 4×4: packed it does not have 12 elements");
    let lower = Symmetric::lower(matrix(3, 3, 4).expect("it fits")).expect("it is square");
    says(refused(lower.bordered(&elements[..3])), "a matrix of 3×3: its border has 3 elements");

    let inverses = |blocks: &[Block]| SpdInverse::<f32>::new(&Device::cpu(), blocks, SpdSettings::default());
    says(refused(inverses(&[Block::new(0, 0.0)])), "block 0: its order 0 is outside 1 to 1048576");
    says(
        refused(inverses(&[Block::new(2, 0.0), Block::new(2, f64::NAN)])),
        "block 1: its damping NaN is not a finite number of at least 0",
    );
    says(
        refused(inverses(&[Block::new(2, 0.0)]).and_then(|mut plan| plan.invert(&[], &mut []))),
        "sources: there are 0 for 1 block",
    );
}

#[test]
fn a_refused_call_touches_nothing() {
    let mut opt = three_tensors();
    let mut p = [vec![1.0, -2.0, 3.0, -4.0], vec![5.0], vec![-6.0, 7.0]];
    let g = [vec![0.1, 0.2, 0.3, 0.4], vec![0.5], vec![0.6, 0.7]];
    opt.step(&mut written(&mut p), &read(&g)).expect("a good step");
    let before = (bits(&p), snapshot(&opt));
    let mut unchanged = |call: &str, attempt: Attempt| {
        assert!(attempt(&mut opt, &mut p).is_err(), "{call} was not refused");
        assert!((bits(&p), snapshot(&opt)) == before, "{call} was refused, but it changed something");
    };

    unchanged("a step of two parameters", &mut |opt, p| opt.step(&mut written(p)[..2], &read(&g)));
    unchanged("a step of two gradients", &mut |opt, p| opt.step(&mut written(p), &read(&g)[..2]));
    unchanged("a step with a short last parameter", &mut |opt, [first, second, _]| {
        opt.step(&mut [first.into(), second.into(), (&mut vec![0.0]).into()], &read(&g))
    });
    unchanged("a step with a long last gradient", &mut |opt, p| {
        let long = vec![0.0; 3];
        opt.step(&mut written(p), &[Some((&g[0]).into()), None, Some((&long).into())])
    });
    unchanged("a step with an array that the rule does not take", &mut |opt, p| {
        opt.step_with(&mut written(p), &read(&g), &read(&g))
    });
    unchanged("a group out of range", &mut |opt, _| opt.add_group(Sgd { lr: -1.0, ..Sgd::default() }).map(drop));
    unchanged("new settings out of range", &mut |opt, _| opt.set_group(1, Sgd { momentum: -1.0, ..Sgd::default() }));
    unchanged("a rate that is NaN", &mut |opt, _| opt.set_lr(f64::NAN));
    unchanged("a group's rate that is infinite", &mut |opt, _| opt.set_group_lr(1, f64::INFINITY));
    unchanged("a tensor listed twice", &mut |opt, _| opt.add(Tensor::new(4).id(0)).map(drop));
    unchanged("a tensor of no group", &mut |opt, _| opt.add(Tensor::new(4).group(2)).map(drop));
    unchanged("a tensor that is not there", &mut |opt, _| opt.remove(3).map(drop));
    unchanged("a move to no group", &mut |opt, _| opt.regroup(1, 2));
    unchanged("a state of another rule", &mut |opt, _| opt.load_state(&lion_state()));
}

#[test]
fn an_id_is_found_beside_the_greatest() {
    let mut opt = three_tensors();
    opt.add(Tensor::new(1).id(u64::MAX)).expect("the id is free");
    opt.add(Tensor::new(1)).expect("an id is free");
    assert_eq!(opt.tensors()[4].id, 2);
}

#[test]
fn a_refused_add_uses_up_no_id() {
    let mut opt = three_tensors();
    refused(opt.add(Tensor::new(1).id(40).group(9)));
    opt.add(Tensor::new(1)).expect("an id is free");
    assert_eq!(opt.tensors()[3].id, 8);
}

type Says<'a> = &'a mut dyn FnMut(Error, &str);
type Opt = Optimizer<Sgd>;
type Tensors = [Vec<f32>; 3];
type Attempt<'a> = &'a mut dyn FnMut(&mut Opt, &mut Tensors) -> Result<()>;

/// Two groups; tensor 0 of 4 elements, tensor 1 of 1, and elements 10 to 12 of tensor 7.
fn three_tensors() -> Opt {
    let settings = Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.1, decay: Decay::L2, ..Sgd::default() };
    let build = || {
        let mut opt = Optimizer::new(&Device::cpu(), settings)?;
        opt.add_group(Group::new(settings).maximize(true))?;
        opt.add(Tensor::new(4))?;
        opt.add(Tensor::new(1).group(1))?;
        opt.add(Tensor::new(2).id(7).first(10))?;
        Ok(opt)
    };
    build().unwrap_or_else(|error: Error| panic!("{error}"))
}

fn lion_state() -> State {
    let lion = Optimizer::<Lion>::new(&Device::cpu(), Lion::default()).expect("the defaults are valid");
    lion.state().expect("the CPU's state can be read")
}

/// A step that is given an array beside the gradients.
fn extra_for(opt: &mut Opt) -> Error {
    let (mut p, g) = ([vec![0.0; 4], vec![0.0; 1], vec![0.0; 2]], [vec![0.0; 4], vec![0.0; 1], vec![0.0; 2]]);
    refused(opt.step_with(&mut written(&mut p), &read(&g), &[Some((&g[0]).into())]))
}

/// A step on the CPU whose gradient is on a CUDA device.
#[cfg(feature = "cuda")]
fn on_another_device() -> Error {
    let mut opt = three_tensors();
    opt.remove(2).and_then(|_| opt.remove(1)).and_then(|_| opt.remove(0)).expect("the tensors are there");
    opt.add(Tensor::new(0)).expect("a tensor may be empty");
    // SAFETY: nothing stands at the address, and a view of no elements reads nothing.
    let gradient = unsafe { View::from_device_ptr(0x1000, 0, 3) };
    refused(opt.step(&mut [(&mut Vec::new()).into()], &[Some(gradient)]))
}

fn refused<T>(result: Result<T>) -> Error {
    result.err().expect("the call is refused")
}

fn written(vecs: &mut Tensors) -> [ViewMut<'_, f32>; 3] {
    vecs.each_mut().map(ViewMut::from)
}

fn read(vecs: &Tensors) -> [Option<View<'_, f32>>; 3] {
    vecs.each_ref().map(|vec| Some(View::from(vec)))
}

fn bits(vecs: &Tensors) -> Vec<u32> {
    vecs.iter().flatten().map(|value| value.to_bits()).collect()
}

/// All that an optimizer keeps: counters, states, settings, tensors.
fn snapshot(opt: &Opt) -> (State, u64, Vec<Group<Sgd>>, Vec<gradus::optim::Listed>) {
    let state = opt.state().expect("the CPU's state can be read");
    let steps = opt.steps().expect("the CPU's steps can be read");
    (state, steps, opt.groups().to_vec(), opt.tensors().to_vec())
}

/// The name of an error's kind.
fn kind(error: &Error) -> String {
    let text = format!("{:?}", error.kind());
    text.split([' ', '{', '(']).next().expect("split gives a first part").to_owned()
}

/// The names of all kinds, from the source: the enum is non-exhaustive, so no `match` here could miss one.
fn kinds() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error.rs");
    let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, body) = source.split_once("pub enum ErrorKind {").expect("the enum is in the file");
    let (body, _) = body.split_once("\n}").expect("the enum ends");
    let variant = |line: &str| {
        let rest = line.strip_prefix("    ").filter(|rest| rest.starts_with(char::is_uppercase))?;
        rest.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned)
    };
    body.lines().filter_map(variant).collect()
}
