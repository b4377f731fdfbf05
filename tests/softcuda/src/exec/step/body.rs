//! The loop over instructions, to be inlined into a function for each kind of host.

use super::super::access;
use super::super::atomic::atomic;
use super::super::block::Env;
use super::super::external;
use super::super::float::{canonical32, canonical64, max32, min32};
use super::super::half::{HalfKind, half_to_f32};
use super::super::outlined;
use super::super::parts;
use super::super::registers::{Doubles, Registers, Words};
use super::super::rounds::{bf16_from_f32, compare_float, compare_int, double_result, f16_from_f32, word_result};
use super::super::shuffle;
use super::super::stop::Stop;
use super::super::warp::Side;
use super::Pause;
use crate::check::FaultKind;
use crate::ir::{Combine, Rounding};
use crate::lower::{Op, Provided, Step};

/// A step that writes words from the lanes of its sources: `$bank` names the bank of each.
macro_rules! each {
    ($registers:ident, $active:ident, word, $o:expr, [$($name:ident: $bank:ident $slot:ident),+], $value:expr) => {{
        let out = {
            $(let $name = &$registers.$bank[$o.$slot as usize].0;)+
            let mut out = [0_u32; 32];
            for lane in 0..32 {
                $(let $name = $name[lane];)+
                out[lane] = $value;
            }
            out
        };
        word_result(&mut $registers.words[$o.d as usize].0, &out, $active);
    }};
    ($registers:ident, $active:ident, double, $o:expr, [$($name:ident: $bank:ident $slot:ident),+], $value:expr) => {{
        let out = {
            $(let $name = &$registers.$bank[$o.$slot as usize].0;)+
            let mut out = [0_u64; 32];
            for lane in 0..32 {
                $(let $name = $name[lane];)+
                out[lane] = $value;
            }
            out
        };
        double_result(&mut $registers.doubles[$o.d as usize].0, &out, $active);
    }};
}

/// Runs a split: see [`run`](super::run).
#[inline(always)]
pub(super) fn body(
    registers: &mut Registers,
    side: &mut Side,
    env: &mut Env<'_>,
    counter: &mut u32,
    mask: u32,
    limit: u32,
    budget: &mut u64,
) -> Result<Pause, Stop> {
    let steps: &[Step] = &env.program.steps;
    let mut pc = *counter;
    let mut left = *budget;
    let pause = loop {
        if pc >= limit || left == 0 {
            break Pause::Limit;
        }
        let step = &steps[pc as usize];
        let active = mask & (registers.predicates[step.guard as usize] ^ step.negated);
        left -= 1;
        env.counts.add(step.class, active);
        if active == 0 {
            pc += 1;
            continue;
        }
        macro_rules! word {
            ($o:expr, [$($name:ident: $bank:ident $slot:ident),+], $value:expr) => {
                each!(registers, active, word, $o, [$($name: $bank $slot),+], $value)
            };
        }
        macro_rules! double {
            ($o:expr, [$($name:ident: $bank:ident $slot:ident),+], $value:expr) => {
                each!(registers, active, double, $o, [$($name: $bank $slot),+], $value)
            };
        }
        macro_rules! float {
            ($o:expr, [$($name:ident $slot:ident),+], $value:expr) => {
                each!(registers, active, word, $o, [$($name: words $slot),+], {
                    $(let $name = f32::from_bits($name);)+
                    canonical32($value).to_bits()
                })
            };
        }
        macro_rules! wide_float {
            ($o:expr, [$($name:ident $slot:ident),+], $value:expr) => {
                each!(registers, active, double, $o, [$($name: doubles $slot),+], {
                    $(let $name = f64::from_bits($name);)+
                    canonical64($value).to_bits()
                })
            };
        }
        macro_rules! integral {
            ($rounding:expr, $o:expr, |$a:ident| $value:expr) => {
                match $rounding {
                    Rounding::Rzi => word!($o, [a: words a], { let $a = f32::from_bits(a).trunc(); $value }),
                    Rounding::Rmi => word!($o, [a: words a], { let $a = f32::from_bits(a).floor(); $value }),
                    Rounding::Rpi => word!($o, [a: words a], { let $a = f32::from_bits(a).ceil(); $value }),
                    _ => word!($o, [a: words a], { let $a = f32::from_bits(a).round_ties_even(); $value }),
                }
            };
        }
        macro_rules! predicate {
            ($o:expr, $holds:expr) => {{
                let holds: u32 = $holds;
                let d = &mut registers.predicates[$o.d as usize];
                *d = *d & !active | holds & active;
            }};
        }
        macro_rules! memory {
            ($result:expr) => {
                if let Err(error) = $result {
                    let lane = error.lane.unwrap_or_else(|| active.trailing_zeros());
                    let line = env.place.line;
                    return Err(Stop {
                        kind: FaultKind::Access(error),
                        line,
                        block: env.place.block,
                        thread: 32 * side.index + lane,
                    });
                }
            };
        }
        macro_rules! stop {
            ($lane:expr, $kind:expr) => {
                return Err(Stop {
                    kind: $kind,
                    line: step.line,
                    block: env.place.block,
                    thread: 32 * side.index + $lane as u32,
                })
            };
        }
        /// Leaves the loop where lanes are missing, else goes on.
        macro_rules! together {
            () => {
                match shuffle::complete(registers, &step.op, active, side.live) {
                    Ok(ready) if ready == active && active == mask => {}
                    Ok(_) => {
                        env.counts.take_back(step.class, active);
                        break Pause::Sync { active };
                    }
                    Err(lane) => {
                        let members = shuffle::members(registers, &step.op)[lane];
                        stop!(lane, FaultKind::UnsatisfiedMask { mask: members, arrived: active })
                    }
                }
            };
        }
        match &step.op {
            Op::Move32(o) => word!(o, [a: words a], a),
            Op::Move64(o) => double!(o, [a: doubles a], a),
            Op::MovePredicate(o) => predicate!(o, registers.predicates[o.a as usize]),
            Op::Widen(o) => double!(o, [a: words a], u64::from(a)),
            Op::WidenSigned(o) => double!(o, [a: words a], i64::from(a as i32) as u64),
            Op::Truncate(o) => word!(o, [a: doubles a], a as u32),
            Op::Truncate16(o) => word!(o, [a: words a], a & 0xffff),
            Op::Pack64(o) => double!(o, [a: words a, b: words b], u64::from(b) << 32 | u64::from(a)),
            Op::Unpack64(o) => {
                let Doubles(a) = registers.doubles[o.a as usize];
                let (mut low, mut high) = ([0; 32], [0; 32]);
                for lane in 0..32 {
                    low[lane] = a[lane] as u32;
                    high[lane] = (a[lane] >> 32) as u32;
                }
                word_result(&mut registers.words[o.d as usize].0, &low, active);
                word_result(&mut registers.words[o.b as usize].0, &high, active);
            }
            Op::Pack(parts) => parts::pack(registers, parts, active),
            Op::Unpack(parts) => parts::unpack(registers, parts, active),
            Op::Select32(o) => {
                let c = registers.predicates[o.c as usize];
                let Words(mut out) = registers.words[o.b as usize];
                word_result(&mut out, &registers.words[o.a as usize].0, c);
                word_result(&mut registers.words[o.d as usize].0, &out, active);
            }
            Op::Select64(o) => {
                let c = registers.predicates[o.c as usize];
                let Doubles(mut out) = registers.doubles[o.b as usize];
                double_result(&mut out, &registers.doubles[o.a as usize].0, c);
                double_result(&mut registers.doubles[o.d as usize].0, &out, active);
            }

            Op::Add32(o) => word!(o, [a: words a, b: words b], a.wrapping_add(b)),
            Op::Sub32(o) => word!(o, [a: words a, b: words b], a.wrapping_sub(b)),
            Op::Mul32(o) => word!(o, [a: words a, b: words b], a.wrapping_mul(b)),
            Op::MulHighU32(o) => word!(o, [a: words a, b: words b], ((u64::from(a) * u64::from(b)) >> 32) as u32),
            Op::And32(o) => word!(o, [a: words a, b: words b], a & b),
            Op::Or32(o) => word!(o, [a: words a, b: words b], a | b),
            Op::Xor32(o) => word!(o, [a: words a, b: words b], a ^ b),
            Op::Shl32(o) => word!(o, [a: words a, b: words b], if b < 32 { a.wrapping_shl(b) } else { 0 }),
            Op::ShrU32(o) => word!(o, [a: words a, b: words b], if b < 32 { a.wrapping_shr(b) } else { 0 }),
            Op::ShrS32(o) => word!(o, [a: words a, b: words b], (a as i32).wrapping_shr(b.min(31)) as u32),
            Op::MinU32(o) => word!(o, [a: words a, b: words b], a.min(b)),
            Op::MinS32(o) => word!(o, [a: words a, b: words b], (a as i32).min(b as i32) as u32),
            Op::MaxU32(o) => word!(o, [a: words a, b: words b], a.max(b)),
            Op::MaxS32(o) => word!(o, [a: words a, b: words b], (a as i32).max(b as i32) as u32),
            Op::Mad32(o) => word!(o, [a: words a, b: words b, c: words c], a.wrapping_mul(b).wrapping_add(c)),
            Op::MulWideU32(o) => double!(o, [a: words a, b: words b], u64::from(a) * u64::from(b)),
            Op::MulWideS32(o) => {
                double!(o, [a: words a, b: words b], (i64::from(a as i32) * i64::from(b as i32)) as u64)
            }
            Op::MadWideU32(o) => {
                double!(o, [a: words a, b: words b, c: doubles c], (u64::from(a) * u64::from(b)).wrapping_add(c))
            }
            Op::MadWideS32(o) => double!(o, [a: words a, b: words b, c: doubles c], {
                ((i64::from(a as i32) * i64::from(b as i32)) as u64).wrapping_add(c)
            }),
            Op::Lop3(lop) => {
                let (o, table) = (lop.0, lop.1);
                // A minterm is all ones where the table has its bit.
                let keep: [u32; 8] = std::array::from_fn(|bit| (u32::from(table) >> bit & 1).wrapping_neg());
                word!(o, [a: words a, b: words b, c: words c], {
                    let c0 = |i: usize| keep[i] & !c | keep[i + 1] & c;
                    let low = c0(0) & !b | c0(2) & b;
                    let high = c0(4) & !b | c0(6) & b;
                    low & !a | high & a
                });
            }

            Op::Add64(o) => double!(o, [a: doubles a, b: doubles b], a.wrapping_add(b)),
            Op::Sub64(o) => double!(o, [a: doubles a, b: doubles b], a.wrapping_sub(b)),
            Op::Mul64(o) => double!(o, [a: doubles a, b: doubles b], a.wrapping_mul(b)),
            Op::Mad64(o) => {
                double!(o, [a: doubles a, b: doubles b, c: doubles c], a.wrapping_mul(b).wrapping_add(c))
            }
            Op::And64(o) => double!(o, [a: doubles a, b: doubles b], a & b),
            Op::Or64(o) => double!(o, [a: doubles a, b: doubles b], a | b),
            Op::Xor64(o) => double!(o, [a: doubles a, b: doubles b], a ^ b),
            Op::Shl64(o) => double!(o, [a: doubles a, b: words b], if b < 64 { a.wrapping_shl(b) } else { 0 }),
            Op::ShrU64(o) => double!(o, [a: doubles a, b: words b], if b < 64 { a.wrapping_shr(b) } else { 0 }),
            Op::ShrS64(o) => double!(o, [a: doubles a, b: words b], (a as i64).wrapping_shr(b.min(63)) as u64),

            Op::AddF32(o) => float!(o, [a a, b b], a + b),
            Op::SubF32(o) => float!(o, [a a, b b], a - b),
            Op::MulF32(o) => float!(o, [a a, b b], a * b),
            Op::DivF32(o) => float!(o, [a a, b b], a / b),
            Op::MinF32(o) => float!(o, [a a, b b], min32(a, b, false)),
            Op::MaxF32(o) => float!(o, [a a, b b], max32(a, b, false)),
            Op::FmaF32(o) => float!(o, [a a, b b, c c], a.mul_add(b, c)),
            Op::SqrtF32(o) => float!(o, [a a], a.sqrt()),
            Op::RcpF32(o) => float!(o, [a a], 1.0 / a),
            Op::NegF32(o) => word!(o, [a: words a], a ^ 1 << 31),
            Op::AbsF32(o) => word!(o, [a: words a], a & !(1 << 31)),

            Op::AddF64(o) => wide_float!(o, [a a, b b], a + b),
            Op::SubF64(o) => wide_float!(o, [a a, b b], a - b),
            Op::MulF64(o) => wide_float!(o, [a a, b b], a * b),
            Op::DivF64(o) => wide_float!(o, [a a, b b], a / b),
            Op::FmaF64(o) => wide_float!(o, [a a, b b, c c], a.mul_add(b, c)),
            Op::SqrtF64(o) => wide_float!(o, [a a], a.sqrt()),
            Op::RcpF64(o) => wide_float!(o, [a a], 1.0 / a),
            Op::NegF64(o) => double!(o, [a: doubles a], a ^ 1 << 63),

            Op::IntegralF32(rounding, o) => integral!(*rounding, o, |a| canonical32(a).to_bits()),
            Op::S32FromF32(rounding, o) => integral!(*rounding, o, |a| a as i32 as u32),
            Op::U32FromF32(rounding, o) => integral!(*rounding, o, |a| a as u32),
            Op::F32FromU32(o) => word!(o, [a: words a], (a as f32).to_bits()),
            Op::F32FromS32(o) => word!(o, [a: words a], (a as i32 as f32).to_bits()),
            Op::F32FromF64(o) => {
                word!(o, [a: doubles a], canonical32(f64::from_bits(a) as f32).to_bits())
            }
            Op::F64FromF32(o) => {
                double!(o, [a: words a], canonical64(f64::from(f32::from_bits(a))).to_bits())
            }
            Op::F32FromBf16(o) => word!(o, [a: words a], canonical32(f32::from_bits(a << 16)).to_bits()),
            Op::Bf16FromF32(o) => word!(o, [a: words a], bf16_from_f32(a)),
            Op::F32FromF16(o) => {
                word!(o, [a: words a], canonical32(half_to_f32(HalfKind::F16, a as u16)).to_bits())
            }
            Op::F16FromF32(o) => word!(o, [a: words a], f16_from_f32(a)),

            Op::SetpU32(compare, o) => {
                let (a, b) = (&registers.words[o.a as usize].0, &registers.words[o.b as usize].0);
                predicate!(o, compare_int(*compare, a, b));
            }
            Op::SetpS32(compare, o) => {
                let (a, b) = (&registers.words[o.a as usize].0, &registers.words[o.b as usize].0);
                let (a, b) = (a.map(|a| a as i32), b.map(|b| b as i32));
                predicate!(o, compare_int(*compare, &a, &b));
            }
            Op::SetpU64(compare, o) => {
                let (a, b) = (&registers.doubles[o.a as usize].0, &registers.doubles[o.b as usize].0);
                predicate!(o, compare_int(*compare, a, b));
            }
            Op::SetpS64(compare, o) => {
                let (a, b) = (&registers.doubles[o.a as usize].0, &registers.doubles[o.b as usize].0);
                let (a, b) = (a.map(|a| a as i64), b.map(|b| b as i64));
                predicate!(o, compare_int(*compare, &a, &b));
            }
            Op::SetpF32(compare, o) => {
                let (a, b) = (&registers.words[o.a as usize].0, &registers.words[o.b as usize].0);
                predicate!(o, compare_float(*compare, &a.map(f32::from_bits), &b.map(f32::from_bits)));
            }
            Op::SetpF64(compare, o) => {
                let (a, b) = (&registers.doubles[o.a as usize].0, &registers.doubles[o.b as usize].0);
                predicate!(o, compare_float(*compare, &a.map(f64::from_bits), &b.map(f64::from_bits)));
            }
            Op::Logic(combine, o) => {
                let (a, b) = (registers.predicates[o.a as usize], registers.predicates[o.b as usize]);
                predicate!(
                    o,
                    match combine {
                        Combine::And => a & b,
                        Combine::Or => a | b,
                        Combine::Xor => a ^ b,
                    }
                );
            }
            Op::Not(o) => predicate!(o, !registers.predicates[o.a as usize]),

            Op::Scalar(scalar) => {
                if let Err(lane) = outlined::scalar(scalar, registers, env, active) {
                    stop!(lane, FaultKind::DivisionByZero)
                }
            }
            Op::Carry(carry) => parts::carry(registers, carry, active),

            Op::Load(access) => {
                env.place.line = step.line;
                memory!(access::load(access, registers, side, env, active));
            }
            Op::Store(access) => {
                env.place.line = step.line;
                memory!(access::store(access, registers, side, env, active));
            }
            Op::Atomic(atom) => {
                env.place.line = step.line;
                memory!(atomic(atom, registers, env, active));
            }
            Op::CopyAsync(copy) => {
                env.place.line = step.line;
                memory!(side.copies.start(copy, registers, env, active));
            }
            Op::CopyCommit => side.copies.commit(active),
            Op::CopyWait(pending) => {
                env.place.line = step.line;
                memory!(side.copies.wait(*pending, env, active));
            }
            Op::LoadMatrix(load) => {
                together!();
                env.place.line = step.line;
                memory!(outlined::load_matrix(load, registers, env));
            }
            Op::Mma(mma) => {
                together!();
                outlined::multiply_matrices(mma, registers, env);
            }

            Op::Branch(target) => {
                if active == mask {
                    pc = *target;
                    continue;
                }
                env.counters.divergent_branches += 1;
                pc += 1;
                break Pause::Diverge { taken: active, target: *target };
            }
            Op::BranchIndexed(_) => {
                break Pause::Indexed { active };
            }
            Op::Exit => break Pause::Exit { active },
            Op::Trap => stop!(active.trailing_zeros(), FaultKind::Trap),
            Op::Nop => {}
            Op::Yield => {
                pc += 1;
                break Pause::Yield;
            }
            Op::External(call) => {
                env.place.line = step.line;
                match call.function {
                    Provided::Vprintf => memory!(external::print(call, side, env, active)),
                    Provided::AssertFail => {
                        external::assert_failed(call, side, env, active);
                        stop!(active.trailing_zeros(), FaultKind::Trap)
                    }
                }
            }
            Op::Clock(d) => {
                let now = side.executed.wrapping_add(*budget - left);
                double_result(&mut registers.doubles[*d as usize].0, &[now; 32], active);
            }
            Op::GlobalTimer(d) => {
                let now = env.run.started.elapsed().as_nanos() as u64;
                double_result(&mut registers.doubles[*d as usize].0, &[now; 32], active);
            }

            Op::Shuffle(shuffle) => {
                together!();
                if let Err((lane, source)) = shuffle::shuffle(registers, shuffle, active) {
                    stop!(lane, FaultKind::ShuffleSource { lane: lane as u32, source })
                }
                env.warp_barrier(side.index);
            }
            Op::Vote(vote) => {
                together!();
                shuffle::vote(registers, vote, active);
                env.warp_barrier(side.index);
            }
            Op::Match(matches) => {
                together!();
                shuffle::matches(registers, matches, active);
                env.warp_barrier(side.index);
            }
            Op::Redux(redux) => {
                together!();
                shuffle::redux(registers, redux, active);
                env.warp_barrier(side.index);
            }
            Op::ActiveMask(d) => word_result(&mut registers.words[*d as usize].0, &[active; 32], active),
            Op::WarpBarrier(_) => match shuffle::complete(registers, &step.op, active, side.live) {
                Ok(ready) if ready == active && active == mask => env.warp_barrier(side.index),
                Ok(_) => break Pause::Sync { active },
                Err(lane) => {
                    let members = shuffle::members(registers, &step.op)[lane];
                    stop!(lane, FaultKind::UnsatisfiedMask { mask: members, arrived: active })
                }
            },
            Op::Barrier(_) => break Pause::Barrier { active },
        }
        pc += 1;
    };
    *counter = pc;
    *budget = left;
    Ok(pause)
}
