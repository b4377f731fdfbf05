//! Atomics.

use super::access::{addresses, by_window};
use super::block::Env;
use super::float::{f32_add, f64_add, ftz32};
use super::half::{HalfKind, half_binary};
use super::integer;
use super::registers::{Registers, lanes};
use crate::check::{AccessError, AccessErrorKind};
use crate::ir::{AtomicOp, FloatBinary, FloatMode, IntBinary, Rounding, Type};
use crate::lower::{Atomic, Window};
use crate::memory::WarpAccess;

/// Executes an atomic.
pub fn atomic(step: &Atomic, registers: &mut Registers, env: &mut Env<'_>, active: u32) -> Result<(), AccessError> {
    let addresses = addresses(registers, step.base, step.offset);
    if step.window != Window::Generic {
        return within(step, step.window, &addresses, registers, env, active);
    }
    for (window, group, addresses) in by_window(&addresses, active) {
        within(step, window, &addresses, registers, env, group)?;
    }
    Ok(())
}

fn within(
    step: &Atomic,
    window: Window,
    addresses: &[u64; 32],
    registers: &mut Registers,
    env: &mut Env<'_>,
    mask: u32,
) -> Result<(), AccessError> {
    let bits = step.ty.bits();
    let b: [u64; 32] = std::array::from_fn(|lane| integer::low(registers.get(step.b, lane), bits));
    let c = step.c.map(|c| std::array::from_fn::<u64, 32, _>(|lane| integer::low(registers.get(c, lane), bits)));
    let flushes = window == Window::Global;
    let mut update = |lane: usize, old: u64| match c {
        Some(c) if step.op == AtomicOp::Cas => (old == b[lane]).then_some(c[lane]),
        _ => Some(updated(step.op, step.ty, old, b[lane], flushes)),
    };
    let access = WarpAccess { addresses, mask, bytes: step.ty.bytes(), place: &env.place };
    let old = match window {
        Window::Global | Window::Generic if step.d.is_none() => {
            return env.global.reduce(&access, &mut update, &mut env.counters);
        }
        Window::Global | Window::Generic => {
            let old = env.global.atomic(&access, &mut update, &mut env.counters)?;
            if env.run.workspace != 0 && passes_grid(step, addresses, mask, env, &old, &b) {
                env.run.global.grid_barrier();
            }
            old
        }
        Window::Shared => {
            env.global.release(env.place.warp);
            let old = env.shared.atomic(&access, &mut update, &mut env.counters)?;
            env.global.acquire(env.place.warp);
            old
        }
        Window::Local | Window::Parameter => {
            let lane = mask.trailing_zeros();
            return Err(AccessError {
                kind: AccessErrorKind::OutOfBounds,
                address: addresses[lane as usize],
                bytes: access.bytes,
                lane: Some(lane),
                other: None,
                detail: "an atomic on local memory".to_owned(),
            });
        }
    };
    if let Some(d) = step.d {
        lanes(mask).for_each(|lane| registers.set(d, lane, old[lane]));
    }
    Ok(())
}

/// Whether the last block of a cooperative grid arrives at its barrier, as `cooperative_groups` write it: every block adds
/// to the workspace's second word, all of them 2³¹.
fn passes_grid(step: &Atomic, addresses: &[u64; 32], mask: u32, env: &Env<'_>, old: &[u64; 32], b: &[u64; 32]) -> bool {
    let arrival = env.run.workspace + 4;
    step.op == AtomicOp::Add
        && step.ty.bits() == 32
        && lanes(mask).any(|lane| {
            let (before, after) = (old[lane] as u32, (old[lane] as u32).wrapping_add(b[lane] as u32));
            addresses[lane] == arrival && (before ^ after) >> 31 != 0
        })
}

/// The new value. Sums of f32 in global memory flush subnormals, as the hardware does.
fn updated(op: AtomicOp, ty: Type, old: u64, b: u64, flushes: bool) -> u64 {
    let int = |op: IntBinary| integer::binary(op, ty, old, b).unwrap_or_default();
    match op {
        AtomicOp::Exch | AtomicOp::Cas => b,
        AtomicOp::And => old & b,
        AtomicOp::Or => old | b,
        AtomicOp::Xor => old ^ b,
        AtomicOp::Inc => {
            if old >= b {
                0
            } else {
                old + 1
            }
        }
        AtomicOp::Dec => {
            if old == 0 || old > b {
                b
            } else {
                old - 1
            }
        }
        AtomicOp::Min | AtomicOp::Max | AtomicOp::Add if ty.is_float() => float(op, ty, old, b, flushes),
        AtomicOp::Min => int(IntBinary::Min),
        AtomicOp::Max => int(IntBinary::Max),
        AtomicOp::Add => int(IntBinary::Add),
    }
}

fn float(op: AtomicOp, ty: Type, old: u64, b: u64, flushes: bool) -> u64 {
    let mode = FloatMode { rounding: Rounding::Rn, ftz: false, sat: false, relu: false, nan: false };
    let binary = match op {
        AtomicOp::Min => FloatBinary::Min,
        AtomicOp::Max => FloatBinary::Max,
        _ => FloatBinary::Add,
    };
    let half = |kind, at: u32| u64::from(half_binary(kind, binary, (old >> at) as u16, (b >> at) as u16, mode)) << at;
    match ty {
        Type::F64 => f64_add(f64::from_bits(old), f64::from_bits(b), Rounding::Rn).to_bits(),
        Type::F16 => half(HalfKind::F16, 0),
        Type::F16x2 => half(HalfKind::F16, 0) | half(HalfKind::F16, 16),
        Type::Bf16 => half(HalfKind::Bf16, 0),
        Type::Bf16x2 => half(HalfKind::Bf16, 0) | half(HalfKind::Bf16, 16),
        _ => {
            let flush = |value: f32| if flushes { ftz32(value) } else { value };
            let [x, y] = [old, b].map(|bits| flush(f32::from_bits(bits as u32)));
            flush(f32_add(x, y, Rounding::Rn)).to_bits().into()
        }
    }
}
