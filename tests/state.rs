//! The saved state of an optimizer: what is in it, that it comes back bit for bit, and what is refused.

use std::collections::{BTreeMap, HashMap};

use gradus::element::Element;
use gradus::optim::{Array, Group, Optimizer, State, Tensor};
use gradus::rules::{Decay, Lion, Pair, Rule, Sgd};
use gradus::{Device, Error};
use half::bf16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

const SGD: Sgd =
    Sgd { lr: 0.5, momentum: 0.75, dampening: 0.25, nesterov: false, weight_decay: 0.125, decay: Decay::Decoupled };

/// Two groups, tensor 0 of three elements, and elements 3 to 5 of tensor 5, which alone has taken its two steps.
fn stepped() -> Optimizer<Sgd> {
    let run = || {
        let mut opt = Optimizer::<Sgd>::new(&Device::cpu(), SGD)?;
        opt.add_group(Group::new(Sgd { lr: 0.25, ..SGD }).maximize(true))?;
        opt.add(Tensor::new(3))?;
        opt.add(Tensor::new(2).id(5).first(3).group(1))?;
        for _ in 0..2 {
            let (mut first, mut second) = (vec![1.0, 2.0, 3.0], vec![4.0, 5.0]);
            opt.step(&mut [(&mut first).into(), (&mut second).into()], &[None, Some((&vec![1.0, -2.0]).into())])?;
        }
        Ok(opt)
    };
    run().unwrap_or_else(|error: Error| panic!("{error}"))
}

fn state_of(opt: &Optimizer<Sgd>) -> State {
    opt.state().expect("the CPU's state can be read")
}

/// What surrounds a rule, beside the gradient's scale: zeros where nothing does.
const AROUND: [&str; 16] = [
    "average",
    "average_decay",
    "average_every",
    "average_start",
    "fall",
    "floor",
    "hold",
    "lookahead_every",
    "lookahead_momentum",
    "lookahead_share",
    "rise",
    "seed",
    "shape",
    "total",
    "warmup",
    "warmup_start",
];

#[test]
fn arrays_are_those_documented() {
    let state = state_of(&stepped());
    let group = |position: usize, scale: f64, lr: f64| {
        let numbers = [
            ("decay", 1.0),
            ("dampening", 0.25),
            ("gradient_scale", scale),
            ("lr", lr),
            ("momentum", 0.75),
            ("nesterov", 0.0),
            ("weight_decay", 0.125),
        ];
        let around = AROUND.map(|name| (name, 0.0));
        let numbers = numbers.into_iter().chain(around);
        numbers.map(|(name, number)| (format!("group.{position}.{name}"), Array::F64(vec![number]))).collect::<Vec<_>>()
    };
    let mut expected = BTreeMap::from([("steps".to_owned(), Array::U64(vec![2]))]);
    expected.extend(group(0, 1.0, 0.5));
    expected.extend(group(1, -1.0, 0.25));
    // The second group maximises: buffers of -1 and 2, then 0.75 of them and 0.75 of the gradient.
    for (tensor, steps, group, momentum) in
        [("tensor.0.0", 0, 0, vec![0.0, 0.0, 0.0]), ("tensor.5.3", 2, 1, vec![-1.5, 3.0])]
    {
        expected.insert(format!("{tensor}.steps"), Array::U64(vec![steps]));
        expected.insert(format!("{tensor}.group"), Array::U64(vec![group]));
        for name in ["averaged", "slow_begun"] {
            expected.insert(format!("{tensor}.carry.{name}"), Array::F64(vec![0.0]));
        }
        expected.insert(format!("{tensor}.state.momentum"), Array::F32(momentum));
    }
    let found: BTreeMap<String, Array> = state.arrays().map(|(name, array)| (name.to_owned(), array.clone())).collect();
    assert_eq!(found, expected);
    assert_eq!(state.rule(), "sgd");
    assert_eq!(state.get("steps").map(Array::len), Some(1));
    assert_eq!(state.get("tensor.5.0.steps"), None);
}

#[test]
fn a_file_is_a_plain_safetensors_file() {
    let bytes = state_of(&stepped()).to_bytes();
    let file = SafeTensors::deserialize(&bytes).expect("the safetensors crate reads it");
    let tensor = |name: &str| {
        let view = file.tensor(name).expect("the array is there");
        (view.dtype(), view.shape().to_vec(), view.data().to_vec())
    };
    assert_eq!(tensor("steps"), (Dtype::U64, vec![1], 2_u64.to_le_bytes().to_vec()));
    assert_eq!(tensor("group.1.lr"), (Dtype::F64, vec![1], 0.25_f64.to_le_bytes().to_vec()));
    let momentum = [-1.5_f32, 3.0].map(f32::to_le_bytes).concat();
    assert_eq!(tensor("tensor.5.3.state.momentum"), (Dtype::F32, vec![2], momentum));
    let saved = Saved::of(&bytes);
    let expected = [("format", "gradus optimizer state 1, rule sgd, arithmetic f32")];
    assert_eq!(saved.metadata, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

#[test]
fn a_resumed_run_is_the_run_that_never_stopped() {
    fn check<R: Rule, P: Pair<G>, G: Element<Real = P::Real>>(of: fn(f64) -> (P, G)) -> gradus::Result<()> {
        let fresh = || {
            let mut opt = Optimizer::<R, P, G>::new(&Device::cpu(), Group::new(R::default()).maximize(true))?;
            opt.add_group(R::default())?;
            opt.add(Tensor::new(5).group(1))?;
            opt.add(Tensor::new(0))?;
            Ok::<_, Error>(opt)
        };
        let step = |opt: &mut Optimizer<R, P, G>, parameters: &mut Vec<P>, k: usize| {
            let gradients: Vec<G> = (0..5).map(|i| of((1 + k * 5 + i) as f64).1).collect();
            opt.step(&mut [parameters.into(), (&mut Vec::new()).into()], &[Some((&gradients).into()), None])
        };
        let mut through = fresh()?;
        let mut parameters: Vec<P> = (0..5).map(|i| of(f64::from(i) - 2.0).0).collect();
        through.set_group_lr(1, 0.5)?;
        through.regroup(1, 1)?;
        for k in 0..3 {
            step(&mut through, &mut parameters, k)?;
        }
        let bytes = through.state()?.to_bytes();
        let state = State::from_bytes(&bytes)?;
        assert_eq!(state, through.state()?, "{}: reading gives another state", R::NAME);

        let (mut resumed, mut copied) = (fresh()?, parameters.clone());
        resumed.load_state(&state)?;
        assert_eq!(resumed.groups(), through.groups());
        assert_eq!(resumed.tensors(), through.tensors());
        for k in 3..6 {
            step(&mut through, &mut parameters, k)?;
            step(&mut resumed, &mut copied, k)?;
        }
        assert_eq!(bytemuck::cast_slice::<P, u8>(&copied), bytemuck::cast_slice::<P, u8>(&parameters), "{}", R::NAME);
        assert_eq!(resumed.state()?, through.state()?, "{}", R::NAME);
        Ok(())
    }
    macro_rules! every_rule {
        ($($module:ident::$Rule:ident { $($preset:tt)* },)*) => {
            $(
                check::<gradus::rules::$Rule, f32, f32>(|x| (x.sin() as f32, x.cos() as f32))?;
                check::<gradus::rules::$Rule, f64, f64>(|x| (x.sin(), x.cos()))?;
                check::<gradus::rules::$Rule, bf16, f32>(|x| (bf16::from_f64(x.sin()), x.cos() as f32))?;
            )*
        };
    }
    let all = || {
        gradus::for_each_rule!(every_rule);
        Ok(())
    };
    all().unwrap_or_else(|error: Error| panic!("{error}"));
}

#[test]
fn counters_keep_every_bit() {
    let many = (1 << 53) + 1;
    let mut saved = Saved::of(&state_of(&stepped()).to_bytes());
    saved.set("steps", Dtype::U64, &[u64::MAX - 1]);
    saved.set("tensor.5.3.steps", Dtype::U64, &[many]);
    let mut opt = stepped();
    opt.load_state(&saved.state()).expect("the state fits");
    assert_eq!(opt.steps(), Ok(u64::MAX - 1));
    assert_eq!(opt.tensor_steps(1), Ok(many));
    assert_eq!(State::from_bytes(&state_of(&opt).to_bytes()), Ok(state_of(&opt)));
}

#[test]
fn an_optimizer_without_tensors_has_a_state() {
    let mut opt = Optimizer::<Lion>::new(&Device::cpu(), Lion::default()).expect("the defaults are valid");
    opt.step(&mut [], &[]).expect("nothing to step");
    let state = State::from_bytes(&opt.state().expect("the CPU's state can be read").to_bytes()).expect("it is whole");
    assert_eq!(state.arrays().count(), 1 + 17 + 5);
    let mut other = Optimizer::<Lion>::new(&Device::cpu(), Lion { lr: 1.0, ..Lion::default() }).expect("lr is valid");
    other.load_state(&state).expect("the state fits");
    assert_eq!(other.steps(), Ok(1));
    assert_eq!(other.groups(), opt.groups());
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let good = state_of(&stepped()).to_bytes();
    type Fault = fn(&mut Saved);
    let faults: &[(Fault, &str)] = &[
        (|s| s.say("lion", "f32"), "saved state: it is of rule 'lion' but the optimizer's is 'sgd'"),
        (|s| s.say("sgd", "f64"), "saved state: its arithmetic is f64 but the optimizer's is f32"),
        (
            |s| s.set("group.0.gradient_scale", Dtype::F64, &[0.5]),
            "saved state: 'group.0.gradient_scale' is 0.5, not 1 or -1",
        ),
        (|s| s.set("group.1.fall", Dtype::F64, &[17.0]), "saved state: the numbers of group 1 stand for no schedule"),
        (|s| s.set("group.0.average", Dtype::F64, &[5.0]), "saved state: the numbers of group 0 stand for no average"),
        (
            |s| {
                s.set("group.0.lookahead_every", Dtype::F64, &[2.0]);
                s.set("group.0.lookahead_momentum", Dtype::F64, &[0.5]);
            },
            "saved state: the numbers of group 0 stand for no lookahead",
        ),
        (|s| s.remove("steps"), "saved state: there is no array 'steps'"),
        (|s| s.remove("group.1.lr"), "saved state: there is no array 'group.1.lr'"),
        (|s| s.remove("tensor.5.3.group"), "saved state: there is no array 'tensor.5.3.group'"),
        (|s| s.remove("tensor.0.0.state.momentum"), "saved state: there is no array 'tensor.0.0.state.momentum'"),
        (
            |s| s.set("tensor.5.0.steps", Dtype::U64, &[1_u64]),
            "saved state: 'tensor.5.0.steps' belongs to nothing the optimizer has",
        ),
        (|s| s.set("group.2.lr", Dtype::F64, &[1.0]), "saved state: 'group.2.lr' belongs to nothing the optimizer has"),
        (|s| s.set("extra", Dtype::U64, &[0_u64; 0]), "saved state: 'extra' belongs to nothing the optimizer has"),
        (|s| s.set("steps", Dtype::U64, &[1_u64, 2]), "saved state: 'steps' is u64 of 2 elements, not u64 of 1"),
        (
            |s| s.set("tensor.0.0.steps", Dtype::F64, &[1.0]),
            "saved state: 'tensor.0.0.steps' is f64 of 1 element, not u64 of 1",
        ),
        (
            |s| s.set("group.0.lr", Dtype::F32, &[1.0_f32]),
            "saved state: 'group.0.lr' is f32 of 1 element, not f64 of 1",
        ),
        (
            |s| s.set("tensor.5.3.state.momentum", Dtype::F32, &[0.0_f32; 3]),
            "saved state: 'tensor.5.3.state.momentum' is f32 of 3 elements, not f32 of 2",
        ),
        (
            |s| s.set("tensor.5.3.state.momentum", Dtype::F64, &[0.0; 2]),
            "saved state: 'tensor.5.3.state.momentum' is f64 of 2 elements, not f32 of 2",
        ),
        (
            |s| s.set("tensor.5.3.group", Dtype::U64, &[2_u64]),
            "saved state: 'tensor.5.3.group' is 2 but there are 2 groups",
        ),
        (|s| s.set("group.0.nesterov", Dtype::F64, &[0.5]), "Sgd: nesterov = 0.5 is not true or false"),
        (|s| s.set("group.0.decay", Dtype::F64, &[2.0]), "Sgd: decay = 2 is not 'l2' or 'decoupled'"),
        (|s| s.set("group.1.lr", Dtype::F64, &[-1.0]), "Sgd: lr = -1 is outside [0, ∞)"),
        (
            |s| s.set("group.1.nesterov", Dtype::F64, &[1.0]),
            "Sgd: nesterov wants momentum > 0 and dampening = 0, but momentum = 0.75 and dampening = 0.25",
        ),
    ];
    let mut opt = stepped();
    for (plant, message) in faults {
        let mut saved = Saved::of(&good);
        plant(&mut saved);
        let error = opt.load_state(&saved.state()).expect_err(message);
        assert_eq!(error.to_string(), *message);
        assert_eq!(state_of(&opt), state_of(&stepped()), "a refused state changed something: {message}");
    }
}

#[test]
fn files_of_another_kind_are_refused() {
    let good = state_of(&stepped()).to_bytes();
    type Fault = fn(&mut Saved);
    let faults: &[(Fault, &str)] = &[
        (|s| s.metadata.clear(), "saved state: the file's metadata have no 'format'"),
        (
            |s| drop(s.metadata.insert("format".to_owned(), "pt".to_owned())),
            "saved state: its format is 'pt', not 'gradus optimizer state 1, rule <name>, arithmetic <type>'",
        ),
        (|s| s.set("steps", Dtype::I32, &[1_i32]), "saved state: 'steps' is I32; known types are U64, F32 and F64"),
    ];
    for (plant, message) in faults {
        let mut saved = Saved::of(&good);
        plant(&mut saved);
        assert_eq!(State::from_bytes(&saved.to_bytes()).expect_err(message).to_string(), *message);
    }
}

#[test]
fn the_same_state_has_the_same_bytes() {
    let state = state_of(&stepped());
    assert!((0..20).all(|_| state.to_bytes() == state.to_bytes()));
}

#[test]
fn cut_files_are_refused() {
    let bytes = state_of(&stepped()).to_bytes();
    let longer = [&bytes[..], &[0]].concat();
    for cut in (0..bytes.len()).map(|end| &bytes[..end]).chain([&longer[..]]) {
        let text = State::from_bytes(cut).expect_err("the file is not whole").to_string();
        assert!(text.starts_with("saved state: not a readable safetensors file: "), "{} bytes: {text}", cut.len());
        assert!(!text.contains('\n'), "{} bytes: {text}", cut.len());
    }
}

#[test]
fn damaged_files_are_read_or_refused_whole() {
    let bytes = state_of(&stepped()).to_bytes();
    let mut opt = stepped();
    for position in 0..bytes.len() {
        for damage in [0x01, 0x20, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[position] ^= damage;
            let Ok(state) = State::from_bytes(&damaged) else { continue };
            match opt.load_state(&state) {
                Ok(()) => opt.load_state(&state_of(&stepped())).expect("the good state fits"),
                Err(error) => {
                    assert!(!error.to_string().contains('\n'), "byte {position} ^ {damage:#x}: {error}");
                    assert_eq!(state_of(&opt), state_of(&stepped()), "byte {position} ^ {damage:#x} changed something");
                }
            }
        }
    }
}

/// A state as the safetensors crate sees it, to be altered.
struct Saved {
    arrays: BTreeMap<String, (Dtype, usize, Vec<u8>)>,
    metadata: HashMap<String, String>,
}

impl Saved {
    fn of(bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).expect("the header is whole");
        let file = SafeTensors::deserialize(bytes).expect("the file is whole");
        let array = |view: TensorView| (view.dtype(), view.shape().iter().product(), view.data().to_vec());
        let arrays = file.tensors().into_iter().map(|(name, view)| (name, array(view))).collect();
        Self { arrays, metadata: header.metadata().clone().unwrap_or_default() }
    }

    fn say(&mut self, rule: &str, arithmetic: &str) {
        let format = format!("gradus optimizer state 1, rule {rule}, arithmetic {arithmetic}");
        self.metadata.insert("format".to_owned(), format);
    }

    fn set<T: bytemuck::Pod>(&mut self, name: &str, dtype: Dtype, values: &[T]) {
        self.arrays.insert(name.to_owned(), (dtype, values.len(), bytemuck::cast_slice(values).to_vec()));
    }

    fn remove(&mut self, name: &str) {
        self.arrays.remove(name).expect("the array is there");
    }

    fn to_bytes(&self) -> Vec<u8> {
        let views = self.arrays.iter().map(|(name, (dtype, length, bytes))| {
            (name, TensorView::new(*dtype, vec![*length], bytes).expect("the length is that of the bytes"))
        });
        safetensors::serialize(views, Some(self.metadata.clone())).expect("names and shapes are valid")
    }

    fn state(&self) -> State {
        State::from_bytes(&self.to_bytes()).expect("it is such a file")
    }
}
