//! The images in `digits.csv` (described in `DATA.md`), in a part to train on and a part held out.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

pub const PIXELS: usize = 64;
pub const CLASSES: usize = 10;

const BRIGHTEST: f32 = 16.0;
const TRAINED_ON: usize = 1500;

/// The file is ordered by writer and its last writers are harder to read, so the parts are drawn from all of it. They
/// are the same in every run, whatever the run's own seed is.
const SPLIT_SEED: u64 = 1998;

pub struct Digit {
    /// From 0 (blank) to 1.
    pub pixels: [f32; PIXELS],
    pub label: usize,
}

pub struct Split {
    pub train: Vec<Digit>,
    pub held: Vec<Digit>,
}

pub fn load() -> Split {
    let mut train: Vec<Digit> = include_str!("digits.csv").lines().map(parse).collect();
    train.shuffle(&mut Pcg64::seed_from_u64(SPLIT_SEED));
    let held = train.split_off(TRAINED_ON);
    Split { train, held }
}

fn parse(line: &str) -> Digit {
    let mut numbers = line.split(',').map(|number| number.parse::<u8>().expect("digits.csv holds small integers"));
    let mut next = || numbers.next().expect("a line of digits.csv has 65 numbers");
    Digit { pixels: std::array::from_fn(|_| f32::from(next()) / BRIGHTEST), label: usize::from(next()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_in_one_part() {
        let Split { train, held } = load();
        assert_eq!((train.len(), held.len()), (1500, 297));
        for digit in train.iter().chain(&held) {
            assert!(digit.label < CLASSES);
            assert!(digit.pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        }
    }
}
