//! Moves, loads, stores, atomics and asynchronous copies.

use super::Modifiers;
use crate::front::Result;
use crate::front::body::Body;
use crate::front::variable;
use crate::ir::{AtomicOp, Operation, Ordering, Type};

pub(super) fn mov(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let line = body.cursor.peek().line;
    if body.cursor.peek().is("{") {
        let parts = body.list(Body::sink)?;
        part_type(ty, parts.len()).map_err(|message| body.cursor.error(line, message))?;
        return Ok(Operation::Unpack { ty, parts, src: body.next_operand(ty)? });
    }
    let dst = body.destination()?;
    if body.cursor.peek().is("{") {
        let part = part_type(ty, parts_ahead(body)).map_err(|message| body.cursor.error(line, message))?;
        return Ok(Operation::Pack { ty, dst, parts: body.list(|body| body.operand(part))? });
    }
    Ok(Operation::Mov { ty, dst, src: body.operand(ty)? })
}

/// How many values stand between the next braces.
fn parts_ahead(body: &Body<'_, '_>) -> usize {
    let tokens = (1..).map(|ahead| body.cursor.ahead(ahead));
    1 + tokens.take(8).take_while(|token| !token.is("}")).filter(|token| token.is(",")).count()
}

/// The type of one of `count` parts of a value.
fn part_type(ty: Type, count: usize) -> Result<Type, String> {
    match (ty.bits(), count) {
        (128, 2) => Ok(Type::B64),
        (128, 4) | (64, 2) => Ok(Type::B32),
        (64, 4) | (32, 2) => Ok(Type::B16),
        _ => Err(format!("{count} parts of a value of {} bits", ty.bits())),
    }
}

pub(super) fn load(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (space, ordering, ty) = (modifiers.space(), modifiers.ordering(Ordering::Weak), modifiers.ty());
    let lanes = modifiers.lanes();
    let dst = if lanes == 1 { vec![Some(body.register()?)] } else { body.exactly(lanes, Body::sink)? };
    body.comma()?;
    Ok(Operation::Load { space, ordering, ty, dst, address: body.address()? })
}

pub(super) fn store(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (space, ordering, ty) = (modifiers.space(), modifiers.ordering(Ordering::Weak), modifiers.ty());
    let address = body.address()?;
    body.comma()?;
    let lanes = modifiers.lanes();
    let src = if lanes == 1 { vec![body.operand(ty)?] } else { body.exactly(lanes, |body| body.operand(ty))? };
    Ok(Operation::Store { space, ordering, ty, src, address })
}

pub(super) fn cvta(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let (dst, src) = (body.destination()?, body.operand(ty)?);
    Ok(Operation::Cvta { to_space: modifiers.has("to"), space: modifiers.space(), ty, dst, src })
}

pub(super) fn is_space(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (dst, src) = (body.destination()?, body.operand(Type::U64)?);
    Ok(Operation::IsSpace { space: modifiers.space(), dst, src })
}

pub(super) fn prefetch(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    Ok(Operation::Prefetch { space: modifiers.space(), address: body.address()? })
}

pub(super) fn atomic(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (op, ty) = (modifiers.atomic_op(), modifiers.ty());
    let mut dst = None;
    if modifiers.opcode == "atom" {
        dst = body.sink()?;
        body.comma()?;
    }
    let address = body.address()?;
    let b = body.next_operand(ty)?;
    let c = if op == AtomicOp::Cas { Some(body.next_operand(ty)?) } else { None };
    let (space, ordering) = (modifiers.space(), modifiers.ordering(Ordering::Relaxed));
    Ok(Operation::Atomic { op, space, ordering, ty, dst, address, b, c, noftz: modifiers.has("noftz") })
}

pub(super) fn copy_async(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    if modifiers.has("commit_group") {
        return Ok(Operation::CpAsyncCommit);
    }
    if modifiers.has("wait_all") {
        return Ok(Operation::CpAsyncWait { pending: None });
    }
    let line = body.cursor.peek().line;
    if modifiers.has("wait_group") {
        let count = variable::integer(body.cursor)?;
        let pending =
            u32::try_from(count).map_err(|_| body.cursor.error(line, format!("{count} groups to leave pending")))?;
        return Ok(Operation::CpAsyncWait { pending: Some(pending) });
    }
    let dst = body.address()?;
    body.comma()?;
    let src = body.address()?;
    body.comma()?;
    let size = variable::integer(body.cursor)?;
    let bytes = match size {
        16 => 16,
        4 | 8 if modifiers.has("ca") => size as u32,
        _ => {
            let operator = if modifiers.has("ca") { "`.ca` copies 4, 8 or 16" } else { "`.cg` copies 16" };
            return Err(body.cursor.error(line, format!("a copy of {size} bytes: {operator}")));
        }
    };
    let source_bytes = if body.cursor.eat(",") { Some(body.operand(Type::U32)?) } else { None };
    Ok(Operation::CpAsync { bytes, dst, src, source_bytes })
}
