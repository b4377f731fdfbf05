//! Comparisons and selections.

use super::Modifiers;
use crate::front::Result;
use crate::front::body::Body;
use crate::ir::{Combine, Compare, Operation, PredicateOperand, Type};

fn compare(modifiers: &Modifiers<'_>) -> Compare {
    let comparisons = [
        ("eq", Compare::Eq),
        ("ne", Compare::Ne),
        ("lt", Compare::Lt),
        ("le", Compare::Le),
        ("gt", Compare::Gt),
        ("ge", Compare::Ge),
        ("lo", Compare::Lo),
        ("ls", Compare::Ls),
        ("hi", Compare::Hi),
        ("hs", Compare::Hs),
        ("equ", Compare::Equ),
        ("neu", Compare::Neu),
        ("ltu", Compare::Ltu),
        ("leu", Compare::Leu),
        ("gtu", Compare::Gtu),
        ("geu", Compare::Geu),
        ("num", Compare::Num),
    ];
    modifiers.pick(&comparisons).unwrap_or(Compare::Nan)
}

fn combine(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Option<(Combine, PredicateOperand)>> {
    let operations = [("and", Combine::And), ("or", Combine::Or), ("xor", Combine::Xor)];
    let Some(op) = modifiers.pick(&operations) else { return Ok(None) };
    body.comma()?;
    Ok(Some((op, body.predicate()?)))
}

pub(super) fn setp(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let (dst, dst_not) = body.pair()?;
    if dst_not.is_some() && ty.bits() == 16 && ty.is_float() {
        return body.cursor.fail("a second predicate of a comparison of halves");
    }
    let (a, b) = (body.next_operand(ty)?, body.next_operand(ty)?);
    let combine = combine(body, modifiers)?;
    let (compare, ftz) = (compare(modifiers), modifiers.has("ftz"));
    Ok(Operation::Setp { compare, combine, ftz, ty, dst, dst_not, a, b })
}

pub(super) fn set(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (dst_ty, ty) = (modifiers.first_type(), modifiers.ty());
    let (dst, a, b) = (body.destination()?, body.operand(ty)?, body.next_operand(ty)?);
    let combine = combine(body, modifiers)?;
    let (compare, ftz) = (compare(modifiers), modifiers.has("ftz"));
    Ok(Operation::Set { compare, combine, ftz, dst_ty, ty, dst, a, b })
}

pub(super) fn selp(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let (dst, a, b) = (body.destination()?, body.operand(ty)?, body.next_operand(ty)?);
    Ok(Operation::Selp { ty, dst, a, b, condition: body.next_operand(Type::Pred)? })
}

pub(super) fn slct(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (ty, condition_ty) = (modifiers.first_type(), modifiers.ty());
    let (dst, a, b) = (body.destination()?, body.operand(ty)?, body.next_operand(ty)?);
    let condition = body.next_operand(condition_ty)?;
    Ok(Operation::Slct { ty, condition_ty, ftz: modifiers.has("ftz"), dst, a, b, condition })
}
