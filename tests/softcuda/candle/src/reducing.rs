//! File reduce: a block a row, or atomic additions.

use candle_core::{D, Tensor};
use half::f16;

use crate::compare::{Agreement, compare};
use crate::device::{Kernels, Number, Outcome, elements};
use crate::values::{floats, integers, ordinary};
use crate::{BLOCK, Case, GRID};

pub const CASES: &[Case] = &[
    |k| {
        let values = ordinary::<f32>(ROWS * COLUMNS, 31);
        rows::<f32, f32>(k, "fast_sum_f32", &values, false, 4.0, |tensor| tensor.sum(1))
    },
    |k| {
        // Subnormals and infinities; of zeros only one sign, and no NaN: candle's comparisons tell neither.
        let usable = |x: &f16| !x.is_nan() && *x != f16::ZERO;
        let values: Vec<f16> = floats::<f16>(2 * ROWS * COLUMNS).into_iter().filter(usable).collect();
        rows::<f16, f16>(k, "fast_max_f16", &values[..ROWS * COLUMNS], true, 0.0, |tensor| tensor.max(1))
    },
    |k| {
        // Of a tie the kernel may give any, candle the first.
        let values: Vec<u32> = (0..(ROWS * COLUMNS) as u32).map(|i| i.wrapping_mul(0x9e37_79b1)).collect();
        rows::<u32, u32>(k, "fast_argmin_u32", &values, false, 0.0, |tensor| tensor.argmin(1))
    },
    |k| {
        let values: Vec<i64> = integers(ROWS * COLUMNS, 32).into_iter().map(|x| x as i64 - (1 << 30)).collect();
        rows::<i64, i64>(k, "fast_sum_i64", &values, true, 0.0, |tensor| tensor.sum(1))
    },
    sum_f64,
    softmax_f32,
];

const ROWS: usize = 13;
const COLUMNS: usize = 149;

/// Reduces the rows; a sum's bound is in units of the sum of magnitudes.
fn rows<T: Number, R: Number>(
    kernels: &Kernels,
    name: &str,
    values: &[T],
    strided: bool,
    bound: f64,
    operation: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> Outcome<()> {
    let input = if strided {
        kernels.operand(values, (COLUMNS, ROWS))?.view(Tensor::t)?
    } else {
        kernels.operand(values, (ROWS, COLUMNS))?
    };
    let (layout, out) = (kernels.layout(&[&input])?, kernels.room::<R>(ROWS)?);
    let arguments =
        [input.count().into(), (COLUMNS as u64).into(), 2.into(), layout.into(), (&input).into(), out.into()];
    kernels.launch("reduce", name, ROWS as u32, [64, 1, 1], &arguments)?;
    let agreement = if bound > 0.0 {
        let magnitudes = elements::<T>(&input.tensor)?;
        let magnitudes = magnitudes.chunks(COLUMNS).map(|row| row.iter().map(|x| x.to_f64().abs()).sum()).collect();
        Agreement::Of(bound, magnitudes)
    } else {
        Agreement::Exact
    };
    compare::<R>(name, &kernels.values(out, ROWS)?, &operation(&input.tensor)?, &agreement)
}

/// The first dimension of three is summed, by atomic additions.
fn sum_f64(kernels: &Kernels) -> Outcome<()> {
    let input = kernels.operand(&ordinary::<f64>(11 * 7 * 9, 33), (11, 7, 9))?;
    let words: Vec<u64> = [11, 7, 9, 63, 9, 1, 11, 63].into();
    let (info, out) = (kernels.words(&words)?, kernels.operand(&[0.0_f64; 63], (7, 9))?);
    let arguments = [input.count().into(), 3.into(), 1.into(), info.into(), (&input).into(), (&out).into()];
    kernels.launch("reduce", "sum_f64", GRID, BLOCK, &arguments)?;
    let magnitudes = elements::<f64>(&input.tensor.abs()?.sum(0)?)?;
    let found = kernels.values::<f64>(out.address(), 63)?;
    compare::<f64>("sum_f64", &found, &input.tensor.sum(0)?, &Agreement::Of(4.0, magnitudes))
}

/// A row a thread column of 32.
fn softmax_f32(kernels: &Kernels) -> Outcome<()> {
    let input = kernels.operand(&ordinary::<f32>(ROWS * COLUMNS, 34), (ROWS, COLUMNS))?;
    let out = kernels.room::<f32>(ROWS * COLUMNS)?;
    let arguments = [(&input).into(), out.into(), crate::device::number(COLUMNS as u32)];
    kernels.launch("reduce", "softmax_f32", ROWS as u32, [1, 32, 1], &arguments)?;
    let tensor = &input.tensor;
    let powers = tensor.broadcast_sub(&tensor.max_keepdim(D::Minus1)?)?.exp()?;
    let expected = powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?;
    let found = kernels.values::<f32>(out, ROWS * COLUMNS)?;
    compare::<f32>("softmax_f32", &found, &expected, &Agreement::Ulps(16.0))
}
