//! The generator: Philox4x32-10. Twin: `kernels/core/philox.cuh`.

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: u32 = 10;

/// The four words that philox4x32-10 gives for a counter and a key.
///
/// For every key it is a bijection of counters to words. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
/// as easy as 1, 2, 3" (2011).
#[inline(always)]
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut words = counter;
    let mut key = key;
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let first = u64::from(MULTIPLIERS[0]) * u64::from(words[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(words[2]);
        words[0] = (second >> 32) as u32 ^ words[1] ^ key[0];
        words[1] = second as u32;
        words[2] = (first >> 32) as u32 ^ words[3] ^ key[1];
        words[3] = first as u32;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let text = include_str!("../../tests/known_answers/philox.txt");
        let mut count = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<u32> = line.split_whitespace().map(|word| u32::from_str_radix(word, 16).unwrap()).collect();
            let [a, b, c, d, key, high_key, answer @ ..] = words.as_slice() else { panic!("{line}") };
            assert_eq!(philox4x32([*a, *b, *c, *d], [*key, *high_key]), answer, "{line}");
            count += 1;
        }
        assert_eq!(count, 3);
    }
}
