//! What is refused, with nothing written.

use gradus::es::{Distribution, Estimate, Perturbation, Term};
use gradus::optim::{Optimizer, Tensor};
use gradus::rules::AdamW;
use gradus::{Buffer, Error};

use crate::common::devices::devices;

#[track_caller]
fn says<T>(result: Result<T, Error>, message: &str) {
    assert_eq!(result.map(drop).unwrap_err().to_string(), message);
}

const TERM: Term = Term { coefficient: 1.0, seed: 0, step: 0, pair: 0 };

#[test]
fn tensors_without_addresses_are_refused() {
    for device in devices() {
        let new = |tensors: &[Tensor]| Perturbation::<f32>::new(device, Distribution::Normal, tensors);
        says(
            new(&[Tensor::new(1).id(1 << 32)]),
            "tensor id 4294967296 does not fit into the 32 bits that a noise address has for it",
        );
        says(
            new(&[Tensor::new(2).first((1 << 40) - 1)]),
            "element 1099511627776 does not fit into the 40 bits that a noise address has for it",
        );
        assert!(new(&[Tensor::new(8).id(3), Tensor::new(1).id(3).first(7)]).is_err());
        assert!(new(&[Tensor::new(8).id(3), Tensor::new(1).id(3).first(8)]).is_ok());
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    for device in devices() {
        let mut plan =
            Perturbation::<f32>::new(device, Distribution::Normal, &[Tensor::new(4), Tensor::new(3)]).unwrap();
        let mut memory = Buffer::from_slice(device, &[0.5_f32; 16]).unwrap();
        let mut four = Buffer::from_slice(device, &[0.5_f32; 4]).unwrap();
        let mut three = Buffer::from_slice(device, &[0.5_f32; 3]).unwrap();
        let mut other = Buffer::from_slice(device, &[0.5_f32; 3]).unwrap();

        says(plan.apply(&[TERM], &mut [four.view_mut()]), "the number of parameters is 1 but that of tensors is 2");
        let sizes = plan.apply(&[TERM], &mut [four.view_mut(), memory.view_mut()]);
        says(sizes, "parameter 1 has 16 elements but tensor 1 has 3");
        let targets = plan.write(&[TERM], &[four.view(), three.view()], &mut [other.view_mut()]);
        says(targets, "the number of targets is 1 but that of tensors is 2");
        let parameters = plan.write(&[TERM], &[four.view()], &mut [memory.view_mut(), other.view_mut()]);
        says(parameters, "the number of parameters is 1 but that of tensors is 2");

        for coefficient in [f64::NAN, f64::INFINITY] {
            let terms = [TERM, Term { coefficient, ..TERM }];
            let message = format!("term 1: the coefficient {coefficient} is not finite");
            says(plan.apply(&terms, &mut [four.view_mut(), three.view_mut()]), &message);
        }
        let pair = [Term { pair: 1 << 20, ..TERM }];
        says(
            plan.apply(&pair, &mut [four.view_mut(), three.view_mut()]),
            "pair 1048576 does not fit into the 20 bits that a noise address has for it",
        );
        for buffer in [&memory, &four, &three, &other] {
            assert!(buffer.to_vec().unwrap().iter().all(|x| *x == 0.5), "something was written on {device}");
        }
    }
}

#[test]
fn steps_that_cannot_be_drawn_are_refused() {
    for device in devices() {
        let mut optimizer = Optimizer::<AdamW>::new(device, AdamW::default()).unwrap();
        optimizer.add(Tensor::new(4).id(7)).unwrap();
        let mut four = Buffer::from_slice(device, &[0.5_f32; 4]).unwrap();
        let mut three = Buffer::from_slice(device, &[0.5_f32; 3]).unwrap();
        let of = |terms| Estimate { distribution: Distribution::Normal, terms };

        says(optimizer.step_estimate(&mut [], of(&[TERM])), "the number of parameters is 0 but that of tensors is 1");
        let short = optimizer.step_estimate(&mut [three.view_mut()], of(&[TERM]));
        says(short, "parameter 0 has 3 elements but tensor 0 has 4");
        let wild = [TERM, Term { coefficient: f64::NAN, ..TERM }];
        let wild = optimizer.step_estimate(&mut [four.view_mut()], of(&wild));
        says(wild, "term 1: the coefficient NaN is not finite");
        let far = [Term { pair: 1 << 20, ..TERM }];
        says(
            optimizer.step_estimate(&mut [four.view_mut()], of(&far)),
            "pair 1048576 does not fit into the 20 bits that a noise address has for it",
        );
        optimizer.remove(0).unwrap();
        optimizer.add(Tensor::new(4).id(1 << 32)).unwrap();
        says(
            optimizer.step_estimate(&mut [four.view_mut()], of(&[TERM])),
            "tensor id 4294967296 does not fit into the 32 bits that a noise address has for it",
        );
        optimizer.remove(0).unwrap();
        optimizer.add(Tensor::new(4).id(3).first((1 << 40) - 3)).unwrap();
        says(
            optimizer.step_estimate(&mut [four.view_mut()], of(&[TERM])),
            "element 1099511627776 does not fit into the 40 bits that a noise address has for it",
        );
        assert_eq!((optimizer.steps().unwrap(), four.to_vec().unwrap()), (0, vec![0.5; 4]), "on {device}");
    }
}

#[test]
fn memory_that_is_written_twice_is_refused() {
    let device = &devices()[0];
    let mut plan = Perturbation::<f32>::new(device, Distribution::Normal, &[Tensor::new(4)]).unwrap();
    let mut memory = [0.5_f32; 8];
    let address = memory.as_ptr().addr();
    // SAFETY: the call must refuse the overlap before it reads or writes.
    let (from, to) = unsafe {
        let first = memory.as_mut_ptr();
        (std::slice::from_raw_parts(first, 4), std::slice::from_raw_parts_mut(first.add(2), 4))
    };
    let error = plan.write(&[TERM], &[from.into()], &mut [to.into()]).unwrap_err();
    let (a, b) = (format!("{address:#x} to {:#x}", address + 16), format!("{:#x} to {:#x}", address + 8, address + 24));
    assert_eq!(error.to_string(), format!("parameter 0 ({a}) overlaps target 0 ({b})"));
}

#[test]
fn other_devices_memory_is_refused() {
    let [first, .., last] = devices() else { return };
    if first.shares_memory_with(last) {
        return;
    }
    let mut plan = Perturbation::<f32>::new(last, Distribution::Normal, &[Tensor::new(4)]).unwrap();
    let mut memory = Buffer::from_slice(first, &[0.5_f32; 4]).unwrap();
    let error = plan.apply(&[TERM], &mut [memory.view_mut()]).unwrap_err();
    assert_eq!(error.to_string(), "parameter 0 is on cpu but the plan is on cuda:0");
}
