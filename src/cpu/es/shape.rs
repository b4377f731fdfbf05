//! Losses made into weights. Twin: `kernels/es/shape.cu`.

use std::array;

use crate::backend::{Span, check_spans};
use crate::cpu::address::{host, host_mut};
use crate::error::Result;
use crate::es::{ShapeBackend, ShapePlan};
use crate::fmath::fma;
use crate::memory::{View, ViewMut};

/// Threads of the block whose sums these are.
pub(super) const LANES: usize = 256;

pub(crate) struct CpuShape(ShapePlan);

impl CpuShape {
    pub(crate) fn new(plan: ShapePlan) -> Self {
        Self(plan)
    }
}

impl ShapeBackend for CpuShape {
    fn shape(&mut self, losses: &View<'_, f32>, weights: &mut ViewMut<'_, f32>) -> Result<()> {
        let (losses, weights) = (host(losses), host_mut(weights));
        let address = |memory: &[f32]| memory.as_ptr().addr() as u64;
        check_spans(vec![
            Span::read::<f32>("losses", 0, address(losses), losses.len() as u64),
            Span::written::<f32>("weights", 0, address(weights), weights.len() as u64),
        ])?;
        match &self.0 {
            ShapePlan::Ranks { sums, total, scale } => ranks(losses, sums, *total, *scale, weights),
            ShapePlan::Scores { group, epsilon } => scores(losses, *group, *epsilon, weights),
            ShapePlan::Signs => {
                for (weight, loss) in weights.iter_mut().zip(losses) {
                    *weight = f32::from(*loss > 0.0) - f32::from(*loss < 0.0);
                }
            }
        }
        Ok(())
    }
}

/// The order of losses as that of integers: zeros are equal, and a NaN is worse than infinity.
fn order_of(loss: f32) -> u32 {
    let bits = loss.to_bits();
    match loss {
        _ if loss.is_nan() => u32::MAX,
        0.0 => 1 << 31,
        _ if bits >> 31 == 1 => !bits,
        _ => bits | 1 << 31,
    }
}

fn ranks(losses: &[f32], sums: &[f64], total: f64, scale: f64, weights: &mut [f32]) {
    let mut sorted: Vec<(u32, usize)> = losses.iter().map(|loss| order_of(*loss)).zip(0..).collect();
    sorted.sort_unstable();
    let mut less = 0;
    for equals in sorted.chunk_by(|a, b| a.0 == b.0) {
        let equal = equals.len() as f64;
        let here = sums[less + equals.len()] - sums[less];
        let weight = (here - total * (equal / losses.len() as f64)) / (equal * scale);
        equals.iter().for_each(|&(_, member)| weights[member] = weight as f32);
        less += equals.len();
    }
}

/// The sum in the order of a block: each lane takes every [`LANES`]th number.
pub(super) fn sum_of_block(count: usize, mut add: impl FnMut(f64, usize) -> f64) -> f64 {
    sum_of_lanes(array::from_fn(|lane| (lane..count).step_by(LANES).fold(0.0, &mut add)))
}

/// The sum over the lanes of a block, halves added to halves.
pub(super) fn sum_of_lanes(mut lanes: [f64; LANES]) -> f64 {
    let mut apart = LANES / 2;
    while apart > 0 {
        for lane in 0..apart {
            lanes[lane] += lanes[lane + apart];
        }
        apart /= 2;
    }
    lanes[0]
}

fn scores(losses: &[f32], group: usize, epsilon: f64, weights: &mut [f32]) {
    let finite = || losses.iter().copied().filter(|loss| loss.is_finite());
    let (least, greatest) = (finite().reduce(f32::min), finite().reduce(f32::max));
    let (Some(least), Some(greatest)) = (least, greatest) else { return weights.fill(0.0) };
    // A loss that is not finite counts as the best or the worst that is.
    let counted = |loss: f32| f64::from(if loss.is_nan() { greatest } else { loss.max(least).min(greatest) });

    let count = losses.len() as f64;
    let mean = sum_of_block(losses.len(), |sum, i| sum + counted(losses[i])) / count;
    let square = |sum: f64, i: usize| {
        let apart = counted(losses[i]) - mean;
        fma(apart, apart, sum)
    };
    let deviation = (sum_of_block(losses.len(), square) / count + epsilon).sqrt();
    let is_whole = group == losses.len();
    for (losses, weights) in losses.chunks(group).zip(weights.chunks_mut(group)) {
        let of_group = || losses.iter().fold(0.0, |sum, loss| sum + counted(*loss)) / group as f64;
        let from = if is_whole { mean } else { of_group() };
        for (weight, loss) in weights.iter_mut().zip(losses) {
            let apart = counted(*loss) - from;
            *weight = if apart == 0.0 { 0.0 } else { (apart / deviation) as f32 };
        }
    }
}
