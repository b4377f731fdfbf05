//! Matrices spread over a warp.

use super::Modifiers;
use crate::front::Result;
use crate::front::body::Body;
use crate::ir::{MmaShape, Operation, Type};

pub(super) fn load(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let count = modifiers.pick(&[("x2", 2), ("x4", 4)]).unwrap_or(1);
    let dst = body.exactly(count, Body::register)?;
    body.comma()?;
    Ok(Operation::LdMatrix { transposed: modifiers.has("trans"), dst, address: body.address()? })
}

pub(super) fn mma(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let k = modifiers.pick(&[("m16n8k4", 4), ("m16n8k8", 8)]).unwrap_or(16);
    let input = modifiers.types().nth(1).unwrap_or(Type::F16);
    let shape = MmaShape { m: 16, n: 8, k, input, accumulator: modifiers.first_type() };
    let [a_count, b_count, c_count] = fragments(shape);
    let d = body.exactly(c_count, Body::register)?;
    body.comma()?;
    let a = body.exactly(a_count, |body| body.operand(Type::B32))?;
    body.comma()?;
    let b = body.exactly(b_count, |body| body.operand(Type::B32))?;
    body.comma()?;
    let c = body.exactly(c_count, |body| body.operand(if c_count == 4 { Type::F32 } else { Type::B32 }))?;
    Ok(Operation::Mma { shape, d, a, b, c })
}

/// Registers of A, B and C that a lane holds: 32 bits each.
fn fragments(shape: MmaShape) -> [usize; 3] {
    let registers = |values: u32, ty: Type| (values * ty.bits() / 32 / 32) as usize;
    [
        registers(shape.m * shape.k, shape.input),
        registers(shape.k * shape.n, shape.input),
        registers(shape.m * shape.n, shape.accumulator),
    ]
}
