//! Float arithmetic.

use super::Modifiers;
use crate::front::Result;
use crate::front::body::Body;
use crate::ir::{FloatBinary, FloatUnary, Operation, TestProperty};

pub(super) fn binary(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let op = match modifiers.opcode {
        "add" => FloatBinary::Add,
        "sub" => FloatBinary::Sub,
        "mul" => FloatBinary::Mul,
        "div" => FloatBinary::Div,
        "min" => FloatBinary::Min,
        "max" => FloatBinary::Max,
        _ => FloatBinary::Copysign,
    };
    let (dst, a, b) = (body.destination()?, body.operand(ty)?, body.next_operand(ty)?);
    Ok(Operation::FloatBinary { op, mode: modifiers.float_mode(), ty, dst, a, b })
}

pub(super) fn unary(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let op = match modifiers.opcode {
        "abs" => FloatUnary::Abs,
        "neg" => FloatUnary::Neg,
        "sqrt" => FloatUnary::Sqrt,
        "rcp" => FloatUnary::Rcp,
        "rsqrt" => FloatUnary::Rsqrt,
        "sin" => FloatUnary::Sin,
        "cos" => FloatUnary::Cos,
        "ex2" => FloatUnary::Ex2,
        "lg2" => FloatUnary::Lg2,
        _ => FloatUnary::Tanh,
    };
    let (dst, a) = (body.destination()?, body.operand(ty)?);
    Ok(Operation::FloatUnary { op, mode: modifiers.float_mode(), ty, dst, a })
}

pub(super) fn fma(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let (dst, a) = (body.destination()?, body.operand(ty)?);
    let (b, c) = (body.next_operand(ty)?, body.next_operand(ty)?);
    Ok(Operation::Fma { mode: modifiers.float_mode(), ty, dst, a, b, c })
}

pub(super) fn testp(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let properties = [
        ("finite", TestProperty::Finite),
        ("infinite", TestProperty::Infinite),
        ("number", TestProperty::Number),
        ("notanumber", TestProperty::NotANumber),
        ("normal", TestProperty::Normal),
    ];
    let property = modifiers.pick(&properties).unwrap_or(TestProperty::Subnormal);
    let (dst, a) = (body.destination()?, body.operand(ty)?);
    Ok(Operation::TestP { property, ty, dst, a })
}
