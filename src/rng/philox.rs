//! The generator: Philox4x32-10. Twin: `kernels/core/philox.cuh`.

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: u32 = 10;

/// The four words that philox4x32-10 gives for a counter and a key.
///
/// For every key it is a bijection of counters to words. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
/// as easy as 1, 2, 3" (2011).
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    philox4x32_lanes(counter.map(|word| [word]), key).map(|[word]| word)
}

/// The words of `N` counters: word `j` of counter `i` stands at `[j][i]`, before and after.
#[inline(always)]
pub(crate) fn philox4x32_lanes<const N: usize>(counters: [[u32; N]; 4], key: [u32; 2]) -> [[u32; N]; 4] {
    let mut words = counters;
    let mut key = key;
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        for i in 0..N {
            let first = u64::from(MULTIPLIERS[0]) * u64::from(words[0][i]);
            let second = u64::from(MULTIPLIERS[1]) * u64::from(words[2][i]);
            words[0][i] = (second >> 32) as u32 ^ words[1][i] ^ key[0];
            words[1][i] = second as u32;
            words[2][i] = (first >> 32) as u32 ^ words[3][i] ^ key[1];
            words[3][i] = first as u32;
        }
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

    #[test]
    fn lanes_do_not_mix() {
        let counter = |i: u32| [i, 7 * i, !i, i << 16];
        let counters: [[u32; 5]; 4] = std::array::from_fn(|j| std::array::from_fn(|i| counter(i as u32)[j]));
        let words = philox4x32_lanes(counters, [1, 2]);
        for i in 0..5 {
            assert_eq!(words.map(|word| word[i]), philox4x32(counter(i as u32), [1, 2]), "lane {i}");
        }
    }
}
