//! Every operation.

use super::{Check, Checker};
use crate::ir::{BarrierReduction, Label, MmaShape, Operand, Operation, Space, Type, Vote};

/// Barriers of a block.
const BARRIERS: u64 = 16;

impl Checker<'_> {
    /// An operation.
    pub(super) fn operation(&self, operation: &Operation) -> Check {
        use Operation::*;
        match operation {
            Mov { .. } | Pack { .. } | Unpack { .. } | Cvta { .. } | IsSpace { .. } => self.movement(operation),
            Load { .. } | Store { .. } | Prefetch { .. } | Atomic { .. } | CpAsync { .. } => self.memory(operation),
            CpAsyncCommit | CpAsyncWait { .. } | Fence => Ok(()),
            IntUnary { .. } | IntBinary { .. } | Mul { .. } | Mad { .. } | Mul24 { .. } => self.integer(operation),
            Carry { .. } | MadCarry { .. } | Sad { .. } | Bfe { .. } | Bfi { .. } => self.integer(operation),
            Prmt { .. } | Lop3 { .. } | Shf { .. } | Dp4a { .. } => self.integer(operation),
            FloatUnary { .. } | FloatBinary { .. } | Fma { .. } | TestP { .. } => self.float(operation),
            Setp { .. } | Set { .. } | Selp { .. } | Slct { .. } => self.selection(operation),
            PredicateBinary { .. } | PredicateNot { .. } | Cvt { .. } | CvtPair { .. } => self.selection(operation),
            Bra { target, .. } => self.label(*target),
            Brx { index, table } => {
                self.value(*index, Type::U32)?;
                let labels = &self.function.branch_targets[*table as usize];
                if labels.is_empty() {
                    return Err("a `.branchtargets` table that is nowhere".into());
                }
                labels.iter().try_for_each(|&label| self.label(label))
            }
            Call { function, results, arguments } => self.call(*function, results, arguments),
            Ret | Exit | Trap | Nop | Yield => Ok(()),
            Shfl { .. } | Vote { .. } | Match { .. } | Redux { .. } | ActiveMask { .. } | BarWarp { .. } => {
                self.warp(operation)
            }
            Bar { .. } | BarArrive { .. } | BarRed { .. } => self.barrier(operation),
            LdMatrix { dst, address, .. } => {
                dst.iter().try_for_each(|&dst| self.register(dst, Type::B32))?;
                self.address(Space::Shared, address, 16)
            }
            Mma { shape, d, a, b, c } => {
                self.mma(*shape, d.len(), [a, b, c], |ty| d.iter().try_for_each(|&dst| self.register(dst, ty)))
            }
        }
    }

    fn label(&self, label: Label) -> Check {
        let target = &self.function.labels[label.0 as usize];
        let inside = (target.index as usize) < self.function.body.len();
        if inside { Ok(()) } else { Err(format!("the label `{}` is nowhere", target.name)) }
    }

    fn movement(&self, operation: &Operation) -> Check {
        match operation {
            Operation::Mov { ty, dst, src } => {
                self.register(*dst, *ty)?;
                match *src {
                    Operand::Address(symbol, _) if !ty.is_float() => self.taken(symbol, None, ty.bits()),
                    Operand::Function(_) if !ty.is_float() && ty.bits() == 64 => Ok(()),
                    Operand::Special(_) => self.special_value(*src, *ty),
                    src => self.value(src, *ty),
                }
            }
            Operation::Pack { ty, dst, parts } => {
                let part = part_type(*ty, parts.len())?;
                self.register(*dst, *ty)?;
                self.values(parts, part)
            }
            Operation::Unpack { ty, parts, src } => {
                let part = part_type(*ty, parts.len())?;
                self.value(*src, *ty)?;
                parts.iter().flatten().try_for_each(|&dst| self.register(dst, part))
            }
            Operation::Cvta { to_space, space, ty, dst, src } => {
                self.register(*dst, *ty)?;
                match *src {
                    Operand::Address(symbol, _) if !to_space => self.taken(symbol, Some(*space), ty.bits()),
                    src => self.value(src, *ty),
                }
            }
            Operation::IsSpace { dst, src, .. } => {
                self.register(*dst, Type::Pred)?;
                self.value(*src, Type::U64)
            }
            _ => Ok(()),
        }
    }

    fn memory(&self, operation: &Operation) -> Check {
        match operation {
            Operation::Load { space, ty, dst, address, .. } => {
                self.address(*space, address, vector(*ty, dst.len())?)?;
                self.alike(dst.iter().flatten().copied())?;
                dst.iter().flatten().try_for_each(|&dst| self.wider_register(dst, *ty))
            }
            Operation::Store { space, ty, src, address, .. } => {
                self.address(*space, address, vector(*ty, src.len())?)?;
                self.written(address)?;
                self.alike(src.iter().filter_map(|src| if let Operand::Reg(src) = src { Some(*src) } else { None }))?;
                src.iter().try_for_each(|&src| self.wider_value(src, *ty))
            }
            Operation::Prefetch { space, address } => self.address(*space, address, 1),
            Operation::Atomic { space, ty, dst, address, b, c, .. } => {
                self.address(*space, address, ty.bytes())?;
                dst.map_or(Ok(()), |dst| self.register(dst, *ty))?;
                self.value(*b, *ty)?;
                c.map_or(Ok(()), |c| self.value(c, *ty))
            }
            Operation::CpAsync { bytes, dst, src, source_bytes } => {
                self.address(Space::Shared, dst, *bytes)?;
                self.address(Space::Global, src, *bytes)?;
                match *source_bytes {
                    Some(Operand::Bits(count)) if count > u64::from(*bytes) => {
                        Err(format!("{count} source bytes of a copy of {bytes}"))
                    }
                    Some(count) => self.value(count, Type::U32),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn warp(&self, operation: &Operation) -> Check {
        match *operation {
            Operation::Shfl { dst, valid, a, b, c, mask, .. } => {
                self.register(dst, Type::B32)?;
                valid.map_or(Ok(()), |valid| self.register(valid, Type::Pred))?;
                self.values(&[a, b, c, mask], Type::B32)
            }
            Operation::Vote { mode, dst, predicate, mask } => {
                self.register(dst, if mode == Vote::Ballot { Type::B32 } else { Type::Pred })?;
                self.predicate(predicate)?;
                self.value(mask, Type::B32)
            }
            Operation::Match { ty, dst, valid, a, mask, .. } => {
                self.register(dst, Type::B32)?;
                valid.map_or(Ok(()), |valid| self.register(valid, Type::Pred))?;
                self.value(a, ty)?;
                self.value(mask, Type::B32)
            }
            Operation::Redux { ty, dst, a, mask, .. } => {
                self.register(dst, ty)?;
                self.value(a, ty)?;
                self.value(mask, Type::B32)
            }
            Operation::ActiveMask { dst } => self.register(dst, Type::B32),
            Operation::BarWarp { mask } => self.value(mask, Type::B32),
            _ => Ok(()),
        }
    }

    fn barrier(&self, operation: &Operation) -> Check {
        let (barrier, threads) = match *operation {
            Operation::Bar { barrier, threads, .. } => (barrier, threads),
            Operation::BarArrive { barrier, threads, .. } => (barrier, Some(threads)),
            Operation::BarRed { op, dst, barrier, threads, predicate, .. } => {
                self.register(dst, if op == BarrierReduction::Popc { Type::U32 } else { Type::Pred })?;
                self.predicate(predicate)?;
                (barrier, threads)
            }
            _ => return Ok(()),
        };
        if let Operand::Bits(barrier) = barrier
            && barrier >= BARRIERS
        {
            return Err(format!("barrier {barrier}: a block has {BARRIERS}"));
        }
        if let Some(Operand::Bits(threads)) = threads
            && (threads == 0 || !threads.is_multiple_of(32))
        {
            return Err(format!("a barrier of {threads} threads: not whole warps"));
        }
        self.value(barrier, Type::U32)?;
        threads.map_or(Ok(()), |threads| self.value(threads, Type::U32))
    }

    fn mma(&self, shape: MmaShape, d: usize, abc: [&[Operand]; 3], dst: impl Fn(Type) -> Check) -> Check {
        let MmaShape { m, n, k, input, accumulator } = shape;
        let of = |values: u32, ty: Type| (values * ty.bits() / 32 / 32) as usize;
        let counts = [of(m * k, input), of(k * n, input), of(m * n, accumulator)];
        if d != counts[2] || abc.map(<[Operand]>::len) != counts {
            return Err("fragments of the wrong length".into());
        }
        let sum = if accumulator == Type::F32 { Type::F32 } else { Type::B32 };
        dst(sum)?;
        self.values(abc[0], Type::B32)?;
        self.values(abc[1], Type::B32)?;
        self.values(abc[2], sum)
    }
}

/// The bytes of a vector: at most 16.
fn vector(ty: Type, lanes: usize) -> Result<u32, String> {
    let bytes = ty.bytes() * lanes as u32;
    if bytes <= 16 { Ok(bytes) } else { Err(format!("a vector of {bytes} bytes: at most 16")) }
}

/// The type of one of `count` parts of a `.bN` value.
fn part_type(ty: Type, count: usize) -> Result<Type, String> {
    match (ty, count) {
        (Type::B128, 2) => Ok(Type::B64),
        (Type::B128, 4) | (Type::B64, 2) => Ok(Type::B32),
        (Type::B64, 4) | (Type::B32, 2) => Ok(Type::B16),
        _ => Err("parts of a value that is not `.b32`, `.b64` or `.b128`".into()),
    }
}
