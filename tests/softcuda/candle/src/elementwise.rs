//! Files affine, binary and unary.

use candle_core::{Result, Tensor};
use half::{bf16, f16};

use crate::compare::{Agreement, compare};
use crate::device::{Kernels, Number, Outcome, elements, number};
use crate::values::{floats, integers, ordinary, pairs};
use crate::{BLOCK, COUNT, Case, GRID};

pub const CASES: &[Case] = &[
    |k| affine(k, "affine_f16", floats::<f16>(COUNT), 1.75, -0.4375, true, Agreement::Exact),
    |k| {
        // The kernel's product and sum are fused.
        let (values, mul, add) = (floats::<f32>(COUNT), -1.1_f64, 0.3_f64);
        let magnitudes = values.iter().map(|&x| (f64::from(x) * mul).abs() + add).collect();
        affine(k, "affine_f32", values, mul, add, false, Agreement::Of(1.5, magnitudes))
    },
    |k| {
        let values: Vec<i64> = integers(COUNT, 3).into_iter().map(|x| x as i64 - (1 << 31)).collect();
        affine(k, "affine_i64", values, -3.0, 5.0, true, Agreement::Exact)
    },
    |k| binary::<f32, f32>(k, "badd_f32", pairs(COUNT), [false, false], |a, b| a + b),
    |k| binary::<bf16, bf16>(k, "bmul_bf16", pairs(COUNT), [false, false], |a, b| a * b),
    |k| binary::<f64, f64>(k, "bdiv_f64", pairs(COUNT), [false, true], |a, b| a / b),
    |k| binary::<f16, f16>(k, "bsub_f16", pairs(COUNT), [true, false], |a, b| a - b),
    |k| {
        let a = integers(COUNT, 4).into_iter().map(|x| x as u32).collect();
        let b = integers(COUNT, 5).into_iter().map(|x| x as u32 | 1).collect();
        binary::<u32, u32>(k, "bdiv_u32", [a, b], [true, true], |a, b| a / b)
    },
    |k| {
        let numbers = |seed| integers(COUNT, seed).into_iter().map(|x| (x as i64 - 9).wrapping_mul(x as i64)).collect();
        binary::<i64, i64>(k, "bmaximum_i64", [numbers(6), numbers(7)], [true, false], |a, b| a.maximum(b))
    },
    |k| binary::<bf16, u8>(k, "le_bf16", pairs(COUNT), [false, true], |a, b| a.le(b)),
    |k| {
        let numbers = |seed| integers(COUNT, seed).into_iter().map(|x| x as u8 & 3).collect();
        binary::<u8, u8>(k, "ne_u8", [numbers(8), numbers(9)], [false, false], |a, b| a.ne(b))
    },
    |k| unary(k, "uneg_bf16", floats::<bf16>(COUNT), true, Agreement::Exact, Tensor::neg),
    |k| unary(k, "usqrt_f64", floats::<f64>(COUNT), true, Agreement::Exact, Tensor::sqrt),
    |k| unary(k, "urecip_f16", floats::<f16>(COUNT), false, Agreement::Exact, Tensor::recip),
    |k| unary(k, "uround_f32", floats::<f32>(COUNT), false, Agreement::Exact, Tensor::round),
    |k| unary(k, "uexp_f32", floats::<f32>(COUNT), true, Agreement::Ulps(2.0), Tensor::exp),
    |k| unary(k, "ulog_f64", floats::<f64>(COUNT), false, Agreement::Ulps(2.0), Tensor::log),
    |k| unary(k, "utanh_f16", floats::<f16>(COUNT), false, Agreement::Ulps(1.0), Tensor::tanh),
    // candle rounds to bf16 after each of three operations, the kernel once.
    |k| unary(k, "usilu_bf16", floats::<bf16>(COUNT), false, Agreement::Ulps(4.0), Tensor::silu),
    |k| {
        // candle adds 1 to the error function: of x, not of the result, is its error small.
        let values = ordinary::<f32>(COUNT, 10);
        let magnitudes = values.iter().map(|&x| x.into()).collect();
        unary(k, "ugelu_erf_f32", values, false, Agreement::Of(2.0, magnitudes), Tensor::gelu_erf)
    },
];

/// The shape in memory; transposed for a strided view.
const SHAPE: (usize, usize) = (17, 59);

fn affine<T: Number>(
    kernels: &Kernels,
    name: &str,
    values: Vec<T>,
    mul: f64,
    add: f64,
    strided: bool,
    agreement: Agreement,
) -> Outcome<()> {
    let input =
        kernels.operand(&values, SHAPE)?.view(|tensor| if strided { tensor.t() } else { Ok(tensor.clone()) })?;
    let (layout, out) = (kernels.layout(&[&input])?, kernels.room::<T>(COUNT)?);
    let arguments = [
        input.count().into(),
        2.into(),
        layout.into(),
        (&input).into(),
        out.into(),
        number(T::from_f64(mul)),
        number(T::from_f64(add)),
    ];
    kernels.launch("affine", name, GRID, BLOCK, &arguments)?;
    compare::<T>(name, &kernels.values(out, COUNT)?, &input.tensor.affine(mul, add)?, &agreement)
}

fn binary<T: Number, R: Number>(
    kernels: &Kernels,
    name: &str,
    values: [Vec<T>; 2],
    strided: [bool; 2],
    operation: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Outcome<()> {
    let shape = (SHAPE.1, SHAPE.0);
    let mut operands = Vec::new();
    for (values, strided) in values.iter().zip(strided) {
        // A strided operand is stored in columns.
        operands.push(if strided {
            let rows = Tensor::from_slice(values, shape, &candle_core::Device::Cpu)?;
            kernels.operand(&elements::<T>(&rows.t()?)?, SHAPE)?.view(Tensor::t)?
        } else {
            kernels.operand(values, shape)?
        });
    }
    let (a, b) = (&operands[0], &operands[1]);
    let (layout, out) = (kernels.layout(&[a, b])?, kernels.room::<R>(COUNT)?);
    let arguments = [a.count().into(), 2.into(), layout.into(), a.into(), b.into(), out.into()];
    kernels.launch("binary", name, GRID, BLOCK, &arguments)?;
    compare::<R>(name, &kernels.values(out, COUNT)?, &operation(&a.tensor, &b.tensor)?, &Agreement::Exact)
}

fn unary<T: Number>(
    kernels: &Kernels,
    name: &str,
    values: Vec<T>,
    strided: bool,
    agreement: Agreement,
    operation: impl Fn(&Tensor) -> Result<Tensor>,
) -> Outcome<()> {
    let input =
        kernels.operand(&values, SHAPE)?.view(|tensor| if strided { tensor.t() } else { Ok(tensor.clone()) })?;
    // Without a layout the kernel takes the input for contiguous.
    let layout = if strided { kernels.layout(&[&input])? } else { 0 };
    let out = kernels.room::<T>(COUNT)?;
    let arguments = [input.count().into(), 2.into(), layout.into(), (&input).into(), out.into()];
    kernels.launch("unary", name, GRID, BLOCK, &arguments)?;
    compare::<T>(name, &kernels.values(out, COUNT)?, &operation(&input.tensor)?, &agreement)
}
