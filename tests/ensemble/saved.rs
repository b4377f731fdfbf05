//! A run that is resumed is the run that was never stopped; a state that does not fit is refused and changes nothing.

use gradus::element::Element;
use gradus::ensemble::{Ensemble, GtAdam, Mixing, ReplicatedSgd};
use gradus::optim::{State, Tensor};
use gradus::rules::Pair;
use gradus::{Device, Result};

use super::common::devices::devices;
use super::common::memory::Guarded;
use super::subject::{Agents, Model, RING, Replicas, Subject, Walkers};

const LENGTHS: [usize; 3] = [70, 0, 20_000];

/// Steps, moves the state to another device, and steps on.
fn resumes<S: Subject<P, P>, P: Pair<P> + Element>() {
    let build = |device: &Device| Model::<S, P, P>::new(device, &LENGTHS, |_| (3, 3));
    for device in devices() {
        let mut begun = build(&devices()[0]);
        begun.ensemble.set_lr(0.07).unwrap();
        for _ in 0..3 {
            begun.step(|_| true);
        }
        let bytes = begun.ensemble.state().unwrap().to_bytes();
        let mut resumed = build(device);
        resumed.ensemble.load_state(&State::from_bytes(&bytes).unwrap()).unwrap();
        assert_eq!(resumed.ensemble.steps().unwrap(), 3);
        assert_eq!(resumed.ensemble.state().unwrap().to_bytes(), bytes);
        for (to, from) in resumed.parameters.iter_mut().zip(&begun.parameters) {
            *to = Guarded::new(device, &from.elements(), 3);
        }
        for _ in 0..2 {
            begun.step(|position| position != 2);
            resumed.step(|position| position != 2);
        }
        assert!(resumed.everything() == begun.everything(), "resumed on {device}");
    }
}

#[test]
fn replicas_resume() {
    resumes::<Replicas, f32>();
    resumes::<Replicas, half::bf16>();
}

#[test]
fn agents_resume() {
    resumes::<Agents<false>, f32>();
    resumes::<Agents<true>, f64>();
}

#[test]
fn walkers_resume_inside_a_loop() {
    resumes::<Walkers<2, true>, f32>();
    resumes::<Walkers<5, false>, f64>();
    resumes::<Walkers<9, true>, f32>();
}

fn refused<T>(result: Result<T>) -> String {
    result.map(drop).expect_err("the state is refused").to_string()
}

#[test]
fn states_that_do_not_fit_are_refused() {
    for device in devices() {
        let tensors = [Tensor::new(4), Tensor::new(2).id(9).first(3)];
        let mixing = Mixing::new(4, &RING).unwrap();
        let agents = |method: GtAdam, mixing: &Mixing, tensors: &[Tensor]| {
            Ensemble::<GtAdam>::new(device, method, mixing, tensors).unwrap()
        };
        let mut own = agents(GtAdam::default(), &mixing, &tensors);
        let before = own.state().unwrap();
        assert_eq!(before.get("tensor.9.3.copy.3.tracker").map(|array| array.len()), Some(2));
        assert_eq!(before.rule(), "gt_adam");

        let replicas = Ensemble::<ReplicatedSgd>::new(device, ReplicatedSgd::default(), 4, &tensors).unwrap();
        let other_beta = agents(GtAdam { beta1: 0.8, ..GtAdam::default() }, &mixing, &tensors);
        let other_mixing = agents(GtAdam::default(), &Mixing::complete(4).unwrap(), &tensors);
        let fewer = agents(GtAdam::default(), &mixing, &tensors[..1]);
        let longer = agents(GtAdam::default(), &mixing, &[Tensor::new(4), Tensor::new(3).id(9).first(3)]);
        let double = Ensemble::<GtAdam, f64>::new(device, GtAdam::default(), &mixing, &tensors).unwrap();
        for (state, message) in [
            (replicas.state(), "saved state: it is of rule 'replicated_sgd' but the optimizer's is 'gt_adam'"),
            (other_beta.state(), "saved state: its beta1 is 0.8 but the ensemble's is 0.9"),
            (other_mixing.state(), "saved state: its mixing matrix is not the ensemble's"),
            (fewer.state(), "saved state: there is no array 'tensor.9.3.copy.0.tracker'"),
            (longer.state(), "saved state: 'tensor.9.3.copy.0.tracker' is f32 of 3 elements, not f32 of 2"),
            (double.state(), "saved state: its arithmetic is f64 but the optimizer's is f32"),
        ] {
            assert_eq!(refused(own.load_state(&state.unwrap())), message, "{device}");
            assert_eq!(own.state().unwrap(), before, "{device}");
        }
        let mut fewer = fewer;
        let left_over = "saved state: 'tensor.9.3.copy.0.gradient' belongs to nothing the optimizer has";
        assert_eq!(refused(fewer.load_state(&before)), left_over, "{device}");
    }
}
