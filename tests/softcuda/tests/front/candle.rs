//! The kernels of candle-kernels, compiled by `candle.sh` into the directory that `SOFTCUDA_CANDLE` names.

use crate::support::load;

#[test]
fn every_kernel_is_accepted() {
    let Ok(directory) = std::env::var("SOFTCUDA_CANDLE") else {
        eprintln!("skipped: SOFTCUDA_CANDLE is not set");
        return;
    };
    let (mut kernels, mut instructions) = (0, 0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let module = load(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        kernels += module.functions.iter().filter(|function| function.is_kernel).count();
        instructions += module.functions.iter().map(|function| function.body.len()).sum::<usize>();
    }
    eprintln!("{kernels} kernels, {instructions} instructions");
    assert_eq!(kernels, 425);
}
