//! What the threads of a warp or block do together.

use super::Modifiers;
use crate::front::Result;
use crate::front::body::Body;
use crate::ir::{BarrierReduction, Operand, Operation, Shuffle, Type, Vote};

pub(super) fn shfl(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let modes = [("up", Shuffle::Up), ("down", Shuffle::Down), ("bfly", Shuffle::Bfly)];
    let mode = modifiers.pick(&modes).unwrap_or(Shuffle::Idx);
    let dst = body.register()?;
    let valid = if body.cursor.eat("|") { body.sink()? } else { None };
    let (a, b) = (body.next_operand(Type::B32)?, body.next_operand(Type::B32)?);
    let (c, mask) = (body.next_operand(Type::B32)?, body.next_operand(Type::B32)?);
    Ok(Operation::Shfl { mode, dst, valid, a, b, c, mask })
}

pub(super) fn vote(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let modes = [("all", Vote::All), ("any", Vote::Any), ("uni", Vote::Uni)];
    let mode = modifiers.pick(&modes).unwrap_or(Vote::Ballot);
    let (dst, predicate) = (body.destination()?, body.predicate()?);
    Ok(Operation::Vote { mode, dst, predicate, mask: body.next_operand(Type::B32)? })
}

pub(super) fn matching(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (all, ty) = (modifiers.has("all"), modifiers.ty());
    let dst = body.register()?;
    let valid = if all && body.cursor.eat("|") { body.sink()? } else { None };
    let (a, mask) = (body.next_operand(ty)?, body.next_operand(Type::B32)?);
    Ok(Operation::Match { all, ty, dst, valid, a, mask })
}

pub(super) fn redux(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let ty = modifiers.ty();
    let (dst, a, mask) = (body.destination()?, body.operand(ty)?, body.next_operand(Type::B32)?);
    Ok(Operation::Redux { op: modifiers.atomic_op(), ty, dst, a, mask })
}

pub(super) fn nanosleep(body: &mut Body<'_, '_>) -> Result<Operation> {
    let time = body.operand(Type::U32)?;
    let fits = match time {
        Operand::Reg(register) => body.function.registers[register.0 as usize].ty.bits() == 32,
        _ => matches!(time, Operand::Bits(_)),
    };
    if fits { Ok(Operation::Yield) } else { body.cursor.fail("the time is no register of 32 bits and no number") }
}

pub(super) fn bar(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    if modifiers.has("warp") {
        return Ok(Operation::BarWarp { mask: body.operand(Type::B32)? });
    }
    let aligned = modifiers.opcode == "bar" || modifiers.has("aligned");
    if modifiers.has("red") {
        return reduce(body, modifiers, aligned);
    }
    let barrier = body.operand(Type::U32)?;
    let threads = if body.cursor.eat(",") { Some(body.operand(Type::U32)?) } else { None };
    match threads {
        Some(threads) if modifiers.has("arrive") => Ok(Operation::BarArrive { aligned, barrier, threads }),
        None if modifiers.has("arrive") => body.cursor.expected("`,` and the count of threads"),
        _ => Ok(Operation::Bar { aligned, barrier, threads }),
    }
}

/// `bar.red.op.type d, a{, b}, {!}p`.
fn reduce(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>, aligned: bool) -> Result<Operation> {
    let operations = [("popc", BarrierReduction::Popc), ("and", BarrierReduction::And)];
    let op = modifiers.pick(&operations).unwrap_or(BarrierReduction::Or);
    let (dst, barrier) = (body.destination()?, body.operand(Type::U32)?);
    body.comma()?;
    let mut threads: Option<Operand> = None;
    if body.cursor.ahead(1).is(",") {
        threads = Some(body.operand(Type::U32)?);
        body.comma()?;
    }
    let predicate = body.predicate()?;
    Ok(Operation::BarRed { aligned, op, dst, barrier, threads, predicate })
}
