//! Pairwise covering of a product that is too large to run in full.

use crate::common::data::Numbers;

/// Combinations of one level of each factor in which every two levels of any two factors occur together.
///
/// `levels` are the numbers of levels of the factors. A combination is begun with a pair that has not occurred yet, and
/// each other factor takes the level that brings the most new pairs.
pub fn pairwise<const N: usize>(levels: [usize; N], numbers: &mut Numbers) -> Vec<[usize; N]> {
    let mut missing = Missing::new(levels);
    let mut combinations = Vec::new();
    while let Some(pair) = missing.any() {
        let mut chosen = [None; N];
        for (factor, level) in pair {
            chosen[factor] = Some(level);
        }
        for factor in 0..N {
            if chosen[factor].is_none() {
                let start = numbers.below(levels[factor]);
                let order = (0..levels[factor]).map(|level| (start + level) % levels[factor]);
                chosen[factor] = order.max_by_key(|&level| missing.gain(&chosen, factor, level));
            }
        }
        let combination = chosen.map(|level| level.expect("every factor has a level"));
        missing.strike(&combination);
        combinations.push(combination);
    }
    combinations
}

/// The pairs of levels that have not occurred together, as a table over all levels of all factors.
struct Missing<const N: usize> {
    levels: [usize; N],
    pairs: Vec<bool>,
    first: usize,
}

impl<const N: usize> Missing<N> {
    fn new(levels: [usize; N]) -> Self {
        let mut missing = Self { levels, pairs: Vec::new(), first: 0 };
        missing.pairs = vec![false; missing.side() * missing.side()];
        for a in 0..N {
            for b in a + 1..N {
                for i in 0..levels[a] {
                    for j in 0..levels[b] {
                        let index = missing.index(a, i, b, j);
                        missing.pairs[index] = true;
                    }
                }
            }
        }
        missing
    }

    fn side(&self) -> usize {
        self.levels.iter().sum()
    }

    fn row(&self, factor: usize, level: usize) -> usize {
        self.levels[..factor].iter().sum::<usize>() + level
    }

    fn index(&self, a: usize, i: usize, b: usize, j: usize) -> usize {
        let (row, column) = (self.row(a, i), self.row(b, j));
        row.min(column) * self.side() + row.max(column)
    }

    fn any(&mut self) -> Option<[(usize, usize); 2]> {
        while !*self.pairs.get(self.first)? {
            self.first += 1;
        }
        Some([self.first / self.side(), self.first % self.side()].map(|row| self.factor_and_level(row)))
    }

    fn factor_and_level(&self, row: usize) -> (usize, usize) {
        let factor = (0..N).rev().find(|&factor| self.row(factor, 0) <= row).expect("rows begin at 0");
        (factor, row - self.row(factor, 0))
    }

    fn gain(&self, chosen: &[Option<usize>; N], factor: usize, level: usize) -> usize {
        let others = chosen.iter().enumerate().filter_map(|(other, level)| Some((other, (*level)?)));
        others.filter(|&(other, i)| self.pairs[self.index(factor, level, other, i)]).count()
    }

    fn strike(&mut self, combination: &[usize; N]) {
        for a in 0..N {
            for b in a + 1..N {
                let index = self.index(a, combination[a], b, combination[b]);
                self.pairs[index] = false;
            }
        }
    }
}

#[test]
fn every_pair_occurs_in_few_combinations() {
    let levels = [5, 3, 4, 1, 7];
    let combinations = pairwise(levels, &mut Numbers::new(1));
    for a in 0..5 {
        for b in a + 1..5 {
            for (i, j) in (0..levels[a]).flat_map(|i| (0..levels[b]).map(move |j| (i, j))) {
                assert!(combinations.iter().any(|row| row[a] == i && row[b] == j), "{a}:{i} with {b}:{j}");
            }
        }
    }
    assert!(combinations.len() <= 50, "{} combinations; 35 is the least", combinations.len());
}
