//! Integers and bits.

use super::Modifiers;
use crate::front::body::Body;
use crate::front::{Result, variable};
use crate::ir::{Combine, Half, IntBinary, IntUnary, Operation, Type};

fn half(modifiers: &Modifiers<'_>) -> Half {
    modifiers.pick(&[("hi", Half::High), ("wide", Half::Wide)]).unwrap_or(Half::Low)
}

/// The type of the addend and result of `mul` and `mad`.
fn product_type(half: Half, ty: Type) -> Type {
    match (half, ty) {
        (Half::Wide, Type::U16) => Type::U32,
        (Half::Wide, Type::S16) => Type::S32,
        (Half::Wide, Type::U32) => Type::U64,
        (Half::Wide, Type::S32) => Type::S64,
        _ => ty,
    }
}

pub(super) fn binary(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let saturates = modifiers.has("sat");
    let op = match modifiers.opcode {
        "add" if saturates => IntBinary::AddSat,
        "sub" if saturates => IntBinary::SubSat,
        "add" => IntBinary::Add,
        "sub" => IntBinary::Sub,
        "div" => IntBinary::Div,
        "rem" => IntBinary::Rem,
        "min" => IntBinary::Min,
        "max" => IntBinary::Max,
        "and" => IntBinary::And,
        "or" => IntBinary::Or,
        "xor" => IntBinary::Xor,
        "shl" => IntBinary::Shl,
        _ => IntBinary::Shr,
    };
    let (dst, a) = (body.destination()?, body.operand(ty)?);
    let b = body.next_operand(if matches!(op, IntBinary::Shl | IntBinary::Shr) { Type::U32 } else { ty })?;
    Ok(match op {
        IntBinary::And if ty == Type::Pred => Operation::PredicateBinary { op: Combine::And, dst, a, b },
        IntBinary::Or if ty == Type::Pred => Operation::PredicateBinary { op: Combine::Or, dst, a, b },
        IntBinary::Xor if ty == Type::Pred => Operation::PredicateBinary { op: Combine::Xor, dst, a, b },
        _ => Operation::IntBinary { op, ty, dst, a, b },
    })
}

pub(super) fn unary(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let op = match modifiers.opcode {
        "abs" => IntUnary::Abs,
        "neg" => IntUnary::Neg,
        "not" => IntUnary::Not,
        "cnot" => IntUnary::Cnot,
        "popc" => IntUnary::Popc,
        "clz" => IntUnary::Clz,
        "bfind" if modifiers.has("shiftamt") => IntUnary::BfindShift,
        "bfind" => IntUnary::Bfind,
        _ => IntUnary::Brev,
    };
    let (dst, a) = (body.destination()?, body.operand(ty)?);
    Ok(if ty == Type::Pred { Operation::PredicateNot { dst, a } } else { Operation::IntUnary { op, ty, dst, a } })
}

pub(super) fn carry(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let subtract = modifiers.opcode.starts_with("sub");
    let reads = modifiers.opcode.ends_with('c');
    let (dst, a, b) = (body.destination()?, body.operand(ty)?, body.next_operand(ty)?);
    Ok(Operation::Carry { subtract, reads, writes: modifiers.has("cc"), ty, dst, a, b })
}

pub(super) fn mul(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let (dst, a, b) = (body.destination()?, body.operand(ty)?, body.next_operand(ty)?);
    Ok(Operation::Mul { half: half(modifiers), ty, dst, a, b })
}

pub(super) fn mad(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (half, ty) = (half(modifiers), modifiers.ty());
    let (reads, writes) = (modifiers.opcode == "madc", modifiers.has("cc"));
    let (dst, a) = (body.destination()?, body.operand(ty)?);
    let (b, c) = (body.next_operand(ty)?, body.next_operand(product_type(half, ty))?);
    Ok(if reads || writes {
        Operation::MadCarry { half, reads, writes, ty, dst, a, b, c }
    } else {
        Operation::Mad { half, sat: modifiers.has("sat"), ty, dst, a, b, c }
    })
}

pub(super) fn mul24(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let (dst, a, b) = (body.destination()?, body.operand(ty)?, body.next_operand(ty)?);
    let c = if modifiers.opcode == "mad24" { Some(body.next_operand(ty)?) } else { None };
    Ok(Operation::Mul24 { ty, high: modifiers.has("hi"), dst, a, b, c })
}

/// Operations of three values or more, each with operands of its own.
pub(super) fn ternary(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let (dst, a) = (body.destination()?, body.operand(modifiers.first_type())?);
    let b = body.next_operand(if modifiers.opcode == "bfe" { Type::U32 } else { ty })?;
    let signed = modifiers.types().any(Type::is_signed);
    let c = body.next_operand(match modifiers.opcode {
        "sad" => ty,
        "dp4a" if signed => Type::S32,
        _ => Type::U32,
    })?;
    Ok(match modifiers.opcode {
        "sad" => Operation::Sad { ty, dst, a, b, c },
        "bfe" => Operation::Bfe { ty, dst, a, b, c },
        "bfi" => Operation::Bfi { ty, dst, a, b, c, d: body.next_operand(Type::U32)? },
        "dp4a" => {
            let (a_signed, b_signed) = (modifiers.first_type().is_signed(), ty.is_signed());
            Operation::Dp4a { a_signed, b_signed, dst, a, b, c }
        }
        "lop3" => {
            body.comma()?;
            let line = body.cursor.peek().line;
            let table = variable::integer(body.cursor)?;
            let table = u8::try_from(table)
                .map_err(|_| body.cursor.error(line, format!("a truth table of {table}: not 0 to 255")))?;
            Operation::Lop3 { dst, a, b, c, table }
        }
        "shf" => Operation::Shf { left: modifiers.has("l"), wrap: modifiers.has("wrap"), dst, a, b, c },
        _ => {
            let modes = [("f4e", 0), ("b4e", 1), ("rc8", 2), ("ecl", 3), ("ecr", 4), ("rc16", 5)];
            Operation::Prmt { mode: modifiers.pick(&modes), dst, a, b, c }
        }
    })
}
