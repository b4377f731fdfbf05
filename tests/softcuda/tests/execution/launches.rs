//! What a driver refuses to launch.

use softcuda::check::FaultKind;
use softcuda::machine::{Launch, Machine, Options, Profile};

use crate::support::{Bench, kernel};

fn code(bench: &Bench, change: impl Fn(&mut Launch<'_>)) -> u32 {
    let out = bench.zeros(32);
    let parameters = [out.to_le_bytes(), out.to_le_bytes()].concat();
    let mut launch = Launch {
        kernel: "k",
        grid: [1; 3],
        block: [32, 1, 1],
        shared: 0,
        parameters: &parameters,
        cooperative: false,
        shared_optin: None,
    };
    change(&mut launch);
    match bench.launch_with(launch).map_err(|fault| fault.kind) {
        Ok(_) => 0,
        Err(FaultKind::Launch { code, .. }) => code,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn sizes() {
    let bench = Bench::new(&kernel("", "ret;"), Options::default());
    assert_eq!(code(&bench, |_| {}), 0);
    assert_eq!(code(&bench, |launch| launch.kernel = "other"), 500);
    assert_eq!(code(&bench, |launch| launch.block = [1024, 1, 1]), 0);
    assert_eq!(code(&bench, |launch| launch.block = [1025, 1, 1]), 1);
    assert_eq!(code(&bench, |launch| launch.block = [32, 33, 1]), 1);
    assert_eq!(code(&bench, |launch| launch.block = [1, 1, 65]), 1);
    assert_eq!(code(&bench, |launch| launch.block = [0, 1, 1]), 1);
    assert_eq!(code(&bench, |launch| launch.grid = [1, 65_536, 1]), 1);
    assert_eq!(code(&bench, |launch| launch.grid = [0, 1, 1]), 1);
    assert_eq!(code(&bench, |launch| launch.parameters = &launch.parameters[..8]), 1);
}

#[test]
fn shared_memory() {
    let bench = Bench::new(&kernel(".shared .align 4 .b8 s[1024];", "st.shared.u32 [s], 1;\nret;"), Options::default());
    assert_eq!(code(&bench, |launch| launch.shared = 47 << 10), 0);
    assert_eq!(code(&bench, |launch| launch.shared = (47 << 10) + 1), 1);
    let optin = |shared| move |launch: &mut Launch<'_>| (launch.shared, launch.shared_optin) = (shared, Some(98 << 10));
    assert_eq!(code(&bench, optin(98 << 10)), 0);
    assert_eq!(code(&bench, optin((98 << 10) + 1)), 1);
}

#[test]
fn launch_bounds() {
    let bounded = |directive: &str| {
        let ptx = kernel("", "ret;").replacen("\n{", &format!("\n{directive}\n{{"), 1);
        Bench::new(&ptx, Options::default())
    };
    let bench = bounded(".maxntid 64, 1, 1");
    assert_eq!(bench.module.kernel("k").unwrap().max_threads, Some([64, 1, 1]));
    assert_eq!(code(&bench, |launch| launch.block = [64, 1, 1]), 0);
    assert_eq!(code(&bench, |launch| launch.block = [96, 1, 1]), 701);
    let bench = bounded(".reqntid 64, 1, 1");
    assert_eq!(code(&bench, |launch| launch.block = [64, 1, 1]), 0);
    assert_eq!(code(&bench, |launch| launch.block = [32, 1, 1]), 1);
}

#[test]
fn unpinned_float_arithmetic_under_strict_options() {
    let ptx = kernel("", "add.f32 %f1, %f2, %f3;\nret;");
    let strict = Machine::new(Profile::small(), Options { strict_float: true, ..Options::default() });
    let error = strict.load(&ptx).unwrap_err();
    assert_eq!(error.text, "add.f32 %f1, %f2, %f3;");
    assert!(strict.load(&ptx.replace("add.f32", "add.rn.f32")).is_ok());
}

#[test]
fn occupancy_is_limited_by_each_resource() {
    let bench = Bench::new(&kernel("", "ret;"), Options::default());
    let info = bench.module.kernel("k").unwrap();
    let a100 = Profile::a100();
    assert_eq!(a100.occupancy(info, 1024, 0), 2, "threads");
    assert_eq!(a100.occupancy(info, 32, 0), 32, "blocks");
    assert_eq!(a100.occupancy(info, 128, 40 << 10), 4, "shared memory");
}
