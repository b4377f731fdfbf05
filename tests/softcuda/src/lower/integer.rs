//! Integer arithmetic.

use super::{Binary, Carry, Lowerer, Op, Place, Result, ScalarOp, Ternary};
use crate::ir::{Half, IntBinary, IntUnary, Operand, Operation, Reg, Type};

impl Lowerer<'_> {
    pub(super) fn integer(&mut self, operation: &Operation) -> Result<()> {
        use Operation as O;
        match operation {
            O::IntUnary { op, ty, dst, a } => self.int_unary(*op, *ty, *dst, a),
            O::IntBinary { op, ty, dst, a, b } => self.int_binary(*op, *ty, *dst, a, b),
            O::Mul { half, ty, dst, a, b } => self.multiply(*half, *ty, *dst, a, b),
            O::Mad { half, sat, ty, dst, a, b, c } => self.multiply_add(*half, *sat, *ty, *dst, [a, b, c]),
            O::Mul24 { ty, high, dst, a, b, c } => {
                let op = ScalarOp::Mul24 { ty: *ty, high: *high, add: c.is_some() };
                let mut sources = vec![(a, 32), (b, 32)];
                sources.extend(c.as_ref().map(|c| (c, 32)));
                self.scalar(op, *dst, &sources)
            }
            O::Carry { subtract, reads, writes, ty, dst, a, b } => {
                let bits = ty.bits();
                let (a, b) = (self.place(a, bits)?, self.place(b, bits)?);
                let step = Carry {
                    subtract: *subtract,
                    multiply: None,
                    reads: *reads,
                    writes: *writes,
                    bits,
                    signed: ty.is_signed(),
                    d: self.register(*dst),
                    a,
                    b,
                    c: None,
                    carry: self.frame().carry,
                };
                self.emit(Op::Carry(Box::new(step)));
                Ok(())
            }
            O::MadCarry { half, reads, writes, ty, dst, a, b, c } => {
                let bits = ty.bits();
                let (a, b, c) = (self.place(a, bits)?, self.place(b, bits)?, self.place(c, bits)?);
                let step = Carry {
                    subtract: false,
                    multiply: Some(*half),
                    reads: *reads,
                    writes: *writes,
                    bits,
                    signed: ty.is_signed(),
                    d: self.register(*dst),
                    a,
                    b,
                    c: Some(c),
                    carry: self.frame().carry,
                };
                self.emit(Op::Carry(Box::new(step)));
                Ok(())
            }
            O::Sad { ty, dst, a, b, c } => {
                let bits = ty.bits();
                self.scalar(ScalarOp::Sad { ty: *ty }, *dst, &[(a, bits), (b, bits), (c, bits)])
            }
            O::Bfe { ty, dst, a, b, c } => {
                self.scalar(ScalarOp::Bfe { ty: *ty }, *dst, &[(a, ty.bits()), (b, 32), (c, 32)])
            }
            O::Bfi { ty, dst, a, b, c, d } => {
                let bits = ty.bits();
                self.scalar(ScalarOp::Bfi { ty: *ty }, *dst, &[(a, bits), (b, bits), (c, 32), (d, 32)])
            }
            O::Prmt { mode, dst, a, b, c } => {
                self.scalar(ScalarOp::Prmt { mode: *mode }, *dst, &[(a, 32), (b, 32), (c, 32)])
            }
            O::Lop3 { dst, a, b, c, table } => {
                let d = self.word_register(*dst)?;
                let ternary = Ternary { d, a: self.word(a)?, b: self.word(b)?, c: self.word(c)? };
                self.emit(Op::Lop3(Box::new((ternary, *table))));
                Ok(())
            }
            O::Shf { left, wrap, dst, a, b, c } => {
                self.scalar(ScalarOp::Shf { left: *left, wrap: *wrap }, *dst, &[(a, 32), (b, 32), (c, 32)])
            }
            O::Dp4a { a_signed, b_signed, dst, a, b, c } => {
                let op = ScalarOp::Dp4a { a_signed: *a_signed, b_signed: *b_signed };
                self.scalar(op, *dst, &[(a, 32), (b, 32), (c, 32)])
            }
            other => self.refuse(format!("not supported: {other:?}")),
        }
    }

    fn int_unary(&mut self, op: IntUnary, ty: Type, dst: Reg, a: &Operand) -> Result<()> {
        let bits = ty.bits();
        let d = self.register(dst);
        let a_place = self.place(a, bits)?;
        let fast = match (op, d, a_place) {
            (IntUnary::Neg, Place::Word(d), Place::Word(b)) if bits == 32 => {
                Op::Sub32(Binary { d, a: self.constant_word(0), b })
            }
            (IntUnary::Neg, Place::Double(d), Place::Double(b)) => {
                Op::Sub64(Binary { d, a: self.constant_double(0), b })
            }
            (IntUnary::Not, Place::Word(d), Place::Word(a)) => {
                Op::Xor32(Binary { d, a, b: self.constant_word(((1_u64 << bits) - 1) as u32) })
            }
            (IntUnary::Not, Place::Double(d), Place::Double(a)) => {
                Op::Xor64(Binary { d, a, b: self.constant_double(!0) })
            }
            _ => return self.scalar(ScalarOp::IntUnary { op, ty }, dst, &[(a, bits)]),
        };
        self.emit(fast);
        Ok(())
    }

    fn int_binary(&mut self, op: IntBinary, ty: Type, dst: Reg, a: &Operand, b: &Operand) -> Result<()> {
        use IntBinary as I;
        let bits = ty.bits();
        let amount = if matches!(op, I::Shl | I::Shr) { 32 } else { bits };
        let places = (self.register(dst), self.place(a, bits)?, self.place(b, amount)?);
        let signed = ty.is_signed();
        let fast: Option<fn(Binary) -> Op> = match (bits, op) {
            (32, I::Add) => Some(Op::Add32),
            (32, I::Sub) => Some(Op::Sub32),
            (32, I::Min) => Some(if signed { Op::MinS32 } else { Op::MinU32 }),
            (32, I::Max) => Some(if signed { Op::MaxS32 } else { Op::MaxU32 }),
            (16 | 32, I::And) => Some(Op::And32),
            (16 | 32, I::Or) => Some(Op::Or32),
            (16 | 32, I::Xor) => Some(Op::Xor32),
            (32, I::Shl) => Some(Op::Shl32),
            (32, I::Shr) => Some(if signed { Op::ShrS32 } else { Op::ShrU32 }),
            (64, I::Add) => Some(Op::Add64),
            (64, I::Sub) => Some(Op::Sub64),
            (64, I::And) => Some(Op::And64),
            (64, I::Or) => Some(Op::Or64),
            (64, I::Xor) => Some(Op::Xor64),
            (64, I::Shl) => Some(Op::Shl64),
            (64, I::Shr) => Some(if signed { Op::ShrS64 } else { Op::ShrU64 }),
            _ => None,
        };
        let step = match (fast, places) {
            (Some(fast), (Place::Word(d), Place::Word(a), Place::Word(b))) => fast(Binary { d, a, b }),
            (Some(fast), (Place::Double(d), Place::Double(a), Place::Double(b) | Place::Word(b))) => {
                fast(Binary { d, a, b })
            }
            _ => return self.scalar(ScalarOp::IntBinary { op, ty }, dst, &[(a, bits), (b, amount)]),
        };
        self.emit(step);
        Ok(())
    }

    fn multiply(&mut self, half: Half, ty: Type, dst: Reg, a: &Operand, b: &Operand) -> Result<()> {
        let bits = ty.bits();
        let places = (self.register(dst), self.place(a, bits)?, self.place(b, bits)?);
        let step = match (half, bits, places) {
            (Half::Low, 32, (Place::Word(d), Place::Word(a), Place::Word(b))) => Op::Mul32(Binary { d, a, b }),
            (Half::High, 32, (Place::Word(d), Place::Word(a), Place::Word(b))) if !ty.is_signed() => {
                Op::MulHighU32(Binary { d, a, b })
            }
            (Half::Wide, 32, (Place::Double(d), Place::Word(a), Place::Word(b))) => {
                if ty.is_signed() {
                    Op::MulWideS32(Binary { d, a, b })
                } else {
                    Op::MulWideU32(Binary { d, a, b })
                }
            }
            (Half::Low, 64, (Place::Double(d), Place::Double(a), Place::Double(b))) => Op::Mul64(Binary { d, a, b }),
            _ => return self.scalar(ScalarOp::Mul { half, ty }, dst, &[(a, bits), (b, bits)]),
        };
        self.emit(step);
        Ok(())
    }

    fn multiply_add(&mut self, half: Half, sat: bool, ty: Type, dst: Reg, sources: [&Operand; 3]) -> Result<()> {
        let bits = ty.bits();
        let c_bits = if half == Half::Wide { 2 * bits } else { bits };
        let [a, b, c] = sources;
        let places = (self.register(dst), self.place(a, bits)?, self.place(b, bits)?, self.place(c, c_bits)?);
        let step = match (half, bits, places) {
            (Half::Low, 32, (Place::Word(d), Place::Word(a), Place::Word(b), Place::Word(c))) => {
                Op::Mad32(Ternary { d, a, b, c })
            }
            (Half::Wide, 32, (Place::Double(d), Place::Word(a), Place::Word(b), Place::Double(c))) => {
                if ty.is_signed() {
                    Op::MadWideS32(Ternary { d, a, b, c })
                } else {
                    Op::MadWideU32(Ternary { d, a, b, c })
                }
            }
            (Half::Low, 64, (Place::Double(d), Place::Double(a), Place::Double(b), Place::Double(c))) => {
                Op::Mad64(Ternary { d, a, b, c })
            }
            _ => {
                let op = ScalarOp::Mad { half, sat, ty };
                return self.scalar(op, dst, &[(a, bits), (b, bits), (c, c_bits)]);
            }
        };
        self.emit(step);
        Ok(())
    }
}
