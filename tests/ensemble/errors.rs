//! Calls that are refused, and their messages.

use gradus::ensemble::{Ensemble, EntropySgd, GtAdam, Mixing, ReplicatedSgd};
use gradus::optim::Tensor;
use gradus::{Device, Error, Result, View, ViewMut};

use super::common::devices::devices;
use super::common::memory::Guarded;
use super::subject::RING;

fn refused<T>(result: Result<T>) -> String {
    result.map(drop).map_err(|error: Error| error.to_string()).expect_err("the call is refused")
}

#[test]
fn settings_and_matrices() {
    let tensors = [Tensor::new(2)];
    let replicas = |method, copies, tensors: &[Tensor]| {
        refused(Ensemble::<ReplicatedSgd>::new(&Device::cpu(), method, copies, tensors))
    };
    let of = |lr, gamma, gamma_growth| ReplicatedSgd { lr, gamma, gamma_growth };
    assert_eq!(replicas(of(-1.0, 0.0, 0.0), 2, &tensors), "ReplicatedSgd: lr = -1 is outside [0, ∞)");
    assert_eq!(replicas(of(0.1, f64::NAN, 0.0), 2, &tensors), "ReplicatedSgd: gamma = NaN is outside [0, ∞)");
    assert_eq!(replicas(of(0.1, 0.0, -0.1), 2, &tensors), "ReplicatedSgd: gamma_growth = -0.1 is outside [0, ∞)");
    assert_eq!(replicas(of(0.1, 0.0, 0.0), 0, &tensors), "an ensemble has one replica at least, not none");
    assert_eq!(replicas(of(0.1, 0.0, 0.0), 2, &[Tensor::new(2).group(1)]), "there is no group 1: the optimizer has 1");
    assert_eq!(
        replicas(of(0.1, 0.0, 0.0), 2, &[Tensor::new(2).id(5), Tensor::new(2).id(5).first(1)]),
        "tensor 5, elements 1 to 3, is listed twice: as tensor 5, elements 0 to 2, at position 0"
    );

    let matrix = |agents, weights: &[f64]| refused(Mixing::new(agents, weights));
    assert_eq!(matrix(0, &[]), "mixing matrix: there may be 1 to 64 agents, not 0");
    assert_eq!(matrix(65, &[]), "mixing matrix: there may be 1 to 64 agents, not 65");
    assert_eq!(
        refused(Mixing::complete(usize::MAX)),
        format!("mixing matrix: there may be 1 to 64 agents, not {}", usize::MAX)
    );
    assert_eq!(matrix(2, &[1.0; 3]), "mixing matrix: 2 agents mix by 4 weights, not by 3");
    assert_eq!(matrix(2, &[0.5, 0.5, 0.25, 0.5]), "mixing matrix: column 0 has the sum 0.75, not 1");
    assert_eq!(matrix(2, &[0.5, 0.5, 0.5, 0.75]), "mixing matrix: row 1 has the sum 1.25, not 1");
    assert_eq!(matrix(2, &[0.5, 0.75, 0.5, 0.25]), "mixing matrix: row 0 has the sum 1.25, not 1");
    assert_eq!(
        matrix(2, &[1.5, -0.5, -0.5, 1.5]),
        "mixing matrix: the weight in row 0, column 1 is -0.5, not one of [0, ∞)"
    );
    assert_eq!(
        matrix(2, &[0.5, 0.5, f64::NAN, 0.5]),
        "mixing matrix: the weight in row 1, column 0 is NaN, not one of [0, ∞)"
    );
    assert!(Mixing::complete(3).is_ok(), "thirds are rounded");

    let too_long = [Tensor::new(usize::MAX / 2)];
    let memory =
        refused(Ensemble::<GtAdam>::new(&Device::cpu(), GtAdam::default(), &Mixing::new(4, &RING).unwrap(), &too_long));
    assert_eq!(memory, format!("there is no memory for {} elements of 4 bytes", usize::MAX / 2));
}

#[test]
fn steps() {
    for device in devices() {
        let tensors = [Tensor::new(4), Tensor::new(2)];
        let mut replicas = Ensemble::<ReplicatedSgd>::new(device, ReplicatedSgd::default(), 2, &tensors).unwrap();
        let array = |length: usize| Guarded::new(device, &vec![0.5_f32; length], 0);
        let mut step = |p: &[usize], g: &[usize]| {
            let mut p: Vec<_> = p.iter().map(|&length| array(length)).collect();
            let g: Vec<_> = g.iter().map(|&length| array(length)).collect();
            let mut parameters: Vec<_> = p.iter_mut().map(Guarded::view_mut).collect();
            let result = replicas.step(&mut parameters, &g.iter().map(|g| Some(g.view())).collect::<Vec<_>>());
            drop(parameters);
            assert!(p.iter().all(|p| p.elements().iter().all(|x| *x == 0.5)), "a refused step wrote");
            refused(result)
        };
        let whole = [4, 2, 4, 2];
        assert_eq!(step(&whole[..3], &whole), "the number of parameters is 3 but there are 2 replicas of 2 tensors");
        assert_eq!(step(&whole, &whole[..1]), "the number of gradients is 1 but there are 2 replicas of 2 tensors");
        assert_eq!(step(&[4, 2, 4, 3], &whole), "parameter 3 has 3 elements but tensor 1 has 2");
        assert_eq!(step(&whole, &[4, 2, 1, 2]), "gradient 2 has 1 element but parameter 2 has 4");
        assert_eq!(replicas.steps().unwrap(), 0);
        assert_eq!(refused(replicas.set_lr(-1.0)), "ReplicatedSgd: lr = -1 is outside [0, ∞)");
        assert_eq!(replicas.settings(), &ReplicatedSgd::default());

        let x: Vec<_> = whole.iter().map(|&length| array(length)).collect();
        let views = || x.iter().map(Guarded::view).collect::<Vec<_>>();
        let mean = |parameters: &[View<'_, f32>], lengths: &[usize]| {
            let mut means: Vec<_> = lengths.iter().map(|&length| array(length)).collect();
            refused(replicas.mean(parameters, &mut means.iter_mut().map(Guarded::view_mut).collect::<Vec<_>>()))
        };
        assert_eq!(mean(&views()[1..], &[4, 2]), "the number of parameters is 3 but there are 2 replicas of 2 tensors");
        assert_eq!(mean(&views(), &[4]), "the number of means is 1 but that of tensors is 2");
        assert_eq!(mean(&views(), &[4, 3]), "mean 1 has 3 elements but tensor 1 has 2");
        let mut turned = views();
        turned.swap(2, 3);
        assert_eq!(mean(&turned, &[4, 2]), "parameter 2 has 2 elements but tensor 0 has 4");
    }
}

fn written(x: &mut [[f32; 1]; 2]) -> [ViewMut<'_, f32>; 2] {
    x.each_mut().map(|x| x.as_mut_slice().into())
}

#[test]
fn walkers() {
    let new = |method, tensors: &[Tensor]| Ensemble::<EntropySgd>::new(&Device::cpu(), method, tensors);
    let of = |method: EntropySgd| refused(new(method, &[Tensor::new(2)]));
    let usual = EntropySgd::default();
    assert_eq!(of(EntropySgd { inner_lr: 0.0, ..usual }), "EntropySgd: inner_lr = 0 is outside (0, ∞)");
    assert_eq!(of(EntropySgd { averaging: 1.0, ..usual }), "EntropySgd: averaging = 1 is outside [0, 1)");
    assert_eq!(of(EntropySgd { dampening: 1.5, ..usual }), "EntropySgd: dampening = 1.5 is outside (-∞, 1]");
    let most = 1_u64 << 53;
    assert!(new(EntropySgd { seed: most, ..usual }, &[]).is_ok());
    assert_eq!(
        of(EntropySgd { inner_steps: most + 2, ..usual }),
        "EntropySgd: inner_steps = 9007199254740994 is outside [0, 9007199254740992]"
    );
    assert_eq!(
        of(EntropySgd { seed: u64::MAX, ..usual }),
        "EntropySgd: seed = 18446744073709552000 is outside [0, 9007199254740992]"
    );

    let far = [Tensor::new(1), Tensor::new(1).id(1 << 32)];
    let mut quiet = new(EntropySgd { noise: 0.0, ..usual }, &far).unwrap();
    let mut loud = new(usual, &far).unwrap();
    let g = [0.5_f32];
    let mut x = [[1.0_f32], [1.0]];
    let given = || Some(g.as_slice().into());
    quiet.step(&mut written(&mut x), &[given(), given()]).unwrap();
    let beyond = "tensor id 4294967296 does not fit into the 32 bits that a noise address has for it";
    assert_eq!(refused(loud.step(&mut written(&mut x), &[given(), given()])), beyond);
    loud.step(&mut written(&mut x), &[given(), None]).unwrap();
    loud.step_with(&mut written(&mut x), &[given(), given()], &[None, given()]).unwrap();
    let mut with =
        |noise: &[Option<View<'_, f32>>]| refused(loud.step_with(&mut written(&mut x), &[given(), None], noise));
    assert_eq!(with(&[None]), "the number of arrays of noise is 1 but there are 1 walker of 2 tensors");
    let long = [0.0; 2];
    assert_eq!(with(&[Some(long.as_slice().into()), None]), "noise 0 has 2 elements but parameter 0 has 1");
}

/// Slices cannot overlap; views of raw pointers may.
#[cfg(all(feature = "cuda", target_os = "linux"))]
#[test]
fn shared_memory() {
    let Some(device @ Device::Cuda(_)) = devices().last() else { panic!("there is a driver") };
    let mut replicas = Ensemble::<ReplicatedSgd>::new(device, ReplicatedSgd::default(), 2, &[Tensor::new(4)]).unwrap();
    // SAFETY: the calls are refused before anything is touched.
    let (written, read) = unsafe {
        (
            |address| ViewMut::<f32>::from_device_ptr(address, 4, 0),
            |address| View::<f32>::from_device_ptr(address, 4, 0),
        )
    };
    let mut step = |p: [u64; 2]| refused(replicas.step(&mut p.map(written), &[None, None]));
    assert_eq!(step([0x1000, 0x100c]), "parameter 0 (0x1000 to 0x1010) overlaps parameter 1 (0x100c to 0x101c)");
    assert_eq!(step([0x1002, 0x2000]), "parameter 0 stands at 0x1002, which is no multiple of its element's 4 bytes");
    let mean = |p: [u64; 2], mean: u64| refused(replicas.mean(&p.map(read), &mut [written(mean)]));
    assert_eq!(
        mean([0x1000, 0x1000], 0x1008),
        "replica's parameter 0 (0x1000 to 0x1010) overlaps mean 0 (0x1008 to 0x1018)"
    );
}
