//! Lines that take turns, run by run: timed one after the other they would meet different moments of a busy machine.

use std::time::Instant;

pub type Line = Box<dyn FnMut() + Send>;

/// The seconds of `RUNS` runs of each line.
pub fn take_turns<const N: usize, const RUNS: usize>(mut lines: [Line; N]) -> [[f64; RUNS]; N] {
    let mut times = [[0.0; RUNS]; N];
    for run in 0..RUNS {
        for (line, times) in lines.iter_mut().zip(&mut times) {
            let start = Instant::now();
            line();
            times[run] = start.elapsed().as_secs_f64();
        }
    }
    times
}

/// The median of the ratios of runs of the same turn.
pub fn ratio<const RUNS: usize>(numerators: &[f64; RUNS], denominators: &[f64; RUNS]) -> f64 {
    median::<RUNS>(std::array::from_fn(|run| numerators[run] / denominators[run]))
}

pub fn median<const RUNS: usize>(mut values: [f64; RUNS]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[RUNS / 2]
}
