//! Files fill, indexing and ternary.

use candle_core::{Device, Tensor};
use half::{bf16, f16};

use crate::compare::{Agreement, compare};
use crate::device::{Kernels, Number, Outcome, number};
use crate::values::{below, floats, integers, ordinary};
use crate::{BLOCK, COUNT, Case, GRID};

pub const CASES: &[Case] =
    &[fill_f16, const_set_bf16, copy2d_u8, index_select, gather, index_add, scatter_add, where_f32, where_i64];

fn fill_f16(kernels: &Kernels) -> Outcome<()> {
    let (value, out) = (f16::from_f64(-0.0), kernels.room::<f16>(COUNT)?);
    kernels.launch("fill", "fill_f16", GRID, BLOCK, &[out.into(), number(value), (COUNT as u64).into()])?;
    let expected = Tensor::full(value, COUNT, &Device::Cpu)?;
    compare::<f16>("fill_f16", &kernels.values(out, COUNT)?, &expected, &Agreement::Exact)
}

/// Some columns of a matrix change, the others stay.
fn const_set_bf16(kernels: &Kernels) -> Outcome<()> {
    let all = kernels.operand(&floats::<bf16>(COUNT), (17, 59))?;
    let columns = all.view(|tensor| tensor.narrow(1, 11, 13))?;
    let layout = kernels.layout(&[&columns])?;
    let arguments = [columns.count().into(), 2.into(), layout.into(), number(bf16::NEG_INFINITY), (&columns).into()];
    kernels.launch("fill", "const_set_bf16", 2, BLOCK, &arguments)?;
    columns.tensor.const_set(bf16::NEG_INFINITY.into())?;
    compare::<bf16>("const_set_bf16", &kernels.values(all.address(), COUNT)?, &all.tensor, &Agreement::Exact)
}

/// Concatenates two matrices beside each other.
fn copy2d_u8(kernels: &Kernels) -> Outcome<()> {
    let bytes = |count, seed| integers(count, seed).into_iter().map(|x| x as u8).collect::<Vec<_>>();
    let [a, b] = [kernels.operand(&bytes(19 * 33, 1), (19, 33))?, kernels.operand(&bytes(19 * 20, 2), (19, 20))?];
    let out = kernels.room::<u8>(19 * 53)?;
    for (part, columns, start) in [(&a, 33_u32, 0), (&b, 20, 33)] {
        let sizes = [19, columns, columns, 53].map(number);
        let arguments = [part.into(), (out + start).into()].into_iter().chain(sizes).collect::<Vec<_>>();
        kernels.launch("fill", "copy2d_u8", 7, BLOCK, &arguments)?;
    }
    let expected = Tensor::cat(&[&a.tensor, &b.tensor], 1)?;
    compare::<u8>("copy2d_u8", &kernels.values(out, 19 * 53)?, &expected, &Agreement::Exact)
}

/// Shapes of the tensors that are indexed along their middle: the least dimension's index picks zeros.
const SOURCE: [usize; 3] = [5, 23, 7];

fn size(value: usize) -> crate::device::Argument {
    (value as u64).into()
}

fn index_select(kernels: &Kernels) -> Outcome<()> {
    let [left, middle, right] = SOURCE;
    let source = kernels.operand(&floats::<f32>(left * middle * right), (left, middle, right))?;
    let mut indices: Vec<i64> = below(29, middle as u64, 11).into_iter().map(|x| x as i64).collect();
    indices[4] = i64::MAX;
    let indices = kernels.operand(&indices, 29)?;
    let count = left * 29 * right;
    let (layout, out) = (kernels.layout(&[&source])?, kernels.room::<f32>(count)?);
    let arguments = [
        size(count),
        3.into(),
        layout.into(),
        (&indices).into(),
        (&source).into(),
        out.into(),
        size(left),
        size(middle),
        size(29),
        size(right),
    ];
    kernels.launch("indexing", "is_i64_f32", GRID, BLOCK, &arguments)?;
    let expected = source.tensor.index_select(&indices.tensor, 1)?;
    compare::<f32>("is_i64_f32", &kernels.values(out, count)?, &expected, &Agreement::Exact)
}

fn gather(kernels: &Kernels) -> Outcome<()> {
    let [left, middle, right] = SOURCE;
    let source = kernels.operand(&floats::<bf16>(left * middle * right), (left, middle, right))?;
    let count = left * 31 * right;
    let mut indices: Vec<u32> = below(count, middle as u64, 12).into_iter().map(|x| x as u32).collect();
    indices[100] = u32::MAX;
    let indices = kernels.operand(&indices, (left, 31, right))?;
    let out = kernels.room::<bf16>(count)?;
    let arguments =
        [size(count), (&indices).into(), (&source).into(), out.into(), size(left), size(middle), size(31), size(right)];
    kernels.launch("indexing", "gather_u32_bf16", GRID, BLOCK, &arguments)?;
    let expected = source.tensor.gather(&indices.tensor, 1)?;
    compare::<bf16>("gather_u32_bf16", &kernels.values(out, count)?, &expected, &Agreement::Exact)
}

fn index_add(kernels: &Kernels) -> Outcome<()> {
    let [left, middle, right] = SOURCE;
    let start = kernels.operand(&ordinary::<f64>(left * middle * right, 13), (left, middle, right))?;
    let added = kernels.operand(&ordinary::<f64>(left * 41 * right, 14), (left, 41, right))?;
    let indices: Vec<u32> = below(41, middle as u64, 15).into_iter().map(|x| x as u32).collect();
    let indices = kernels.operand(&indices, 41)?;
    let arguments = [
        (&indices).into(),
        size(41),
        (&added).into(),
        (&start).into(),
        size(left),
        size(41),
        size(middle),
        size(right),
    ];
    kernels.launch("indexing", "ia_u32_f64", 2, [20, 1, 1], &arguments)?;
    let found = kernels.values::<f64>(start.address(), left * middle * right)?;
    let expected = start.tensor.index_add(&indices.tensor, &added.tensor, 1)?;
    compare::<f64>("ia_u32_f64", &found, &expected, &Agreement::Exact)
}

fn scatter_add(kernels: &Kernels) -> Outcome<()> {
    let [left, middle, right] = SOURCE;
    let start = kernels.operand(&ordinary::<f16>(left * middle * right, 16), (left, middle, right))?;
    let added = kernels.operand(&floats::<f16>(left * 37 * right), (left, 37, right))?;
    let indices: Vec<i64> = below(left * 37 * right, middle as u64, 17).into_iter().map(|x| x as i64).collect();
    let indices = kernels.operand(&indices, (left, 37, right))?;
    let arguments =
        [(&indices).into(), (&added).into(), (&start).into(), size(left), size(37), size(middle), size(right)];
    kernels.launch("indexing", "sa_i64_f16", 1, BLOCK, &arguments)?;
    let found = kernels.values::<f16>(start.address(), left * middle * right)?;
    let expected = start.tensor.scatter_add(&indices.tensor, &added.tensor, 1)?;
    compare::<f16>("sa_i64_f16", &found, &expected, &Agreement::Exact)
}

/// Every operand with a layout of its own.
fn choose<I: Number, T: Number>(kernels: &Kernels, name: &str, ids: &[I], [a, b]: [&[T]; 2]) -> Outcome<()> {
    let ids = kernels.operand(ids, (17, 59))?;
    let a = kernels.operand(a, (59, 17))?.view(Tensor::t)?;
    let b = kernels.operand(&b[..17], (17, 1))?.view(|tensor| tensor.broadcast_as((17, 59)))?;
    let (layout, out) = (kernels.layout(&[&ids, &a, &b])?, kernels.room::<T>(COUNT)?);
    let arguments = [ids.count().into(), 2.into(), layout.into(), (&ids).into(), (&a).into(), (&b).into(), out.into()];
    kernels.launch("ternary", name, GRID, BLOCK, &arguments)?;
    let expected = ids.tensor.where_cond(&a.tensor, &b.tensor)?;
    compare::<T>(name, &kernels.values(out, COUNT)?, &expected, &Agreement::Exact)
}

fn where_f32(kernels: &Kernels) -> Outcome<()> {
    let ids: Vec<u8> = below(COUNT, 3, 18).into_iter().map(|x| x as u8 * 127).collect();
    let (a, b) = (floats::<f32>(COUNT), ordinary(17, 19));
    choose(kernels, "where_u8_f32", &ids, [&a, &b])
}

fn where_i64(kernels: &Kernels) -> Outcome<()> {
    // Some are not zero in their upper half only.
    let ids: Vec<i64> = below(COUNT, 3, 20).into_iter().map(|x| (x as i64 & 1) << 32 | x as i64 >> 1).collect();
    let numbers = |seed| integers(COUNT, seed).into_iter().map(|x| -(x as i64)).collect::<Vec<_>>();
    choose(kernels, "where_i64_i64", &ids, [&numbers(21), &numbers(22)])
}
