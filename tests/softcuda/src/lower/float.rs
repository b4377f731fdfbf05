//! Float arithmetic, conversions, matrices.

use super::{Binary, Lowerer, Mma, Op, Place, Result, ScalarOp, Ternary, Unary};
use crate::ir::{FloatBinary, FloatMode, FloatUnary, Operand, Operation, Reg, Rounding, Type};

/// Whether a result is rounded to nearest even and nothing more.
fn plain(mode: FloatMode) -> bool {
    matches!(mode.rounding, Rounding::Rn | Rounding::Unpinned) && !mode.ftz && !mode.sat && !mode.relu && !mode.nan
}

impl Lowerer<'_> {
    pub(super) fn float(&mut self, operation: &Operation) -> Result<()> {
        use Operation as O;
        match operation {
            O::FloatUnary { op, mode, ty, dst, a } => self.float_unary(*op, *mode, *ty, *dst, a),
            O::FloatBinary { op, mode, ty, dst, a, b } => self.float_binary(*op, *mode, *ty, *dst, a, b),
            O::Fma { mode, ty, dst, a, b, c } => {
                let bits = ty.bits();
                let places = (self.register(*dst), self.place(a, bits)?, self.place(b, bits)?, self.place(c, bits)?);
                let step = match (ty, places) {
                    (Type::F32, (Place::Word(d), Place::Word(a), Place::Word(b), Place::Word(c))) if plain(*mode) => {
                        Op::FmaF32(Ternary { d, a, b, c })
                    }
                    (Type::F64, (Place::Double(d), Place::Double(a), Place::Double(b), Place::Double(c)))
                        if plain(*mode) =>
                    {
                        Op::FmaF64(Ternary { d, a, b, c })
                    }
                    _ => {
                        let op = ScalarOp::Fma { mode: *mode, ty: *ty };
                        return self.scalar(op, *dst, &[(a, bits), (b, bits), (c, bits)]);
                    }
                };
                self.emit(step);
                Ok(())
            }
            O::TestP { property, ty, dst, a } => {
                self.scalar(ScalarOp::TestP { property: *property, ty: *ty }, *dst, &[(a, ty.bits())])
            }
            O::Cvt { mode, to, from, dst, a } => self.convert(*mode, *to, *from, *dst, a),
            O::CvtPair { mode, to, dst, a, b } => {
                self.scalar(ScalarOp::ConvertPair { mode: *mode, to: *to }, *dst, &[(a, 32), (b, 32)])
            }
            O::Mma { shape, d, a, b, c } => {
                let d = d.iter().map(|&register| self.word_register(register)).collect::<Result<_>>()?;
                let mut words = |operands: &[Operand]| operands.iter().map(|operand| self.word(operand)).collect();
                let (a, b, c): (Result<_>, Result<_>, Result<_>) = (words(a), words(b), words(c));
                let step = Mma { shape: *shape, d, a: a?, b: b?, c: c? };
                self.emit(Op::Mma(Box::new(step)));
                Ok(())
            }
            _ => self.refuse("not an operation of floats"),
        }
    }

    fn float_unary(&mut self, op: FloatUnary, mode: FloatMode, ty: Type, dst: Reg, a: &Operand) -> Result<()> {
        use FloatUnary as F;
        let places = (self.register(dst), self.place(a, ty.bits())?);
        let fast: Option<fn(Unary) -> Op> = match (ty, op) {
            // Sign operations round nothing.
            (Type::F32, F::Neg) if !mode.ftz => Some(Op::NegF32),
            (Type::F32, F::Abs) if !mode.ftz => Some(Op::AbsF32),
            (Type::F64, F::Neg) => Some(Op::NegF64),
            (Type::F32, F::Sqrt) if plain(mode) => Some(Op::SqrtF32),
            (Type::F32, F::Rcp) if plain(mode) => Some(Op::RcpF32),
            (Type::F64, F::Sqrt) if plain(mode) => Some(Op::SqrtF64),
            (Type::F64, F::Rcp) if plain(mode) => Some(Op::RcpF64),
            _ => None,
        };
        let step = match (fast, places) {
            (Some(fast), (Place::Word(d), Place::Word(a)) | (Place::Double(d), Place::Double(a))) => {
                fast(Unary { d, a })
            }
            _ => return self.scalar(ScalarOp::FloatUnary { op, mode, ty }, dst, &[(a, ty.bits())]),
        };
        self.emit(step);
        Ok(())
    }

    fn float_binary(
        &mut self,
        op: FloatBinary,
        mode: FloatMode,
        ty: Type,
        dst: Reg,
        a: &Operand,
        b: &Operand,
    ) -> Result<()> {
        use FloatBinary as F;
        let bits = ty.bits();
        let places = (self.register(dst), self.place(a, bits)?, self.place(b, bits)?);
        let fast: Option<fn(Binary) -> Op> = match (ty, op) {
            _ if !plain(mode) => None,
            (Type::F32, F::Add) => Some(Op::AddF32),
            (Type::F32, F::Sub) => Some(Op::SubF32),
            (Type::F32, F::Mul) => Some(Op::MulF32),
            (Type::F32, F::Div) => Some(Op::DivF32),
            (Type::F32, F::Min) => Some(Op::MinF32),
            (Type::F32, F::Max) => Some(Op::MaxF32),
            (Type::F64, F::Add) => Some(Op::AddF64),
            (Type::F64, F::Sub) => Some(Op::SubF64),
            (Type::F64, F::Mul) => Some(Op::MulF64),
            (Type::F64, F::Div) => Some(Op::DivF64),
            _ => None,
        };
        let step = match (fast, places) {
            (Some(fast), (Place::Word(d), Place::Word(a), Place::Word(b)))
            | (Some(fast), (Place::Double(d), Place::Double(a), Place::Double(b))) => fast(Binary { d, a, b }),
            _ => return self.scalar(ScalarOp::FloatBinary { op, mode, ty }, dst, &[(a, bits), (b, bits)]),
        };
        self.emit(step);
        Ok(())
    }

    fn convert(&mut self, mode: FloatMode, to: Type, from: Type, dst: Reg, a: &Operand) -> Result<()> {
        let places = (self.register(dst), self.place(a, from.bits())?);
        let register_bits = self.register_bits(dst);
        let no_clamp = !mode.ftz && !mode.sat && !mode.relu;
        let nearest = no_clamp && matches!(mode.rounding, Rounding::Rn | Rounding::Unpinned);
        let integral =
            no_clamp && matches!(mode.rounding, Rounding::Rni | Rounding::Rzi | Rounding::Rmi | Rounding::Rpi);
        // Of the integer conversions, those that only widen or cut.
        let both_int = !to.is_float() && !from.is_float() && !mode.sat;
        let (t, f) = (to.bits(), from.bits());
        let unsigned_source = !from.is_signed();
        let step = match places {
            (Place::Double(d), Place::Word(a)) if both_int && t == 64 && f == 32 => {
                if unsigned_source {
                    Op::Widen(Unary { d, a })
                } else {
                    Op::WidenSigned(Unary { d, a })
                }
            }
            (Place::Double(d), Place::Word(a)) if both_int && t == 64 && f == 16 && unsigned_source => {
                Op::Widen(Unary { d, a })
            }
            (Place::Word(d), Place::Double(a)) if both_int && t == 32 && f == 64 => Op::Truncate(Unary { d, a }),
            (Place::Double(d), Place::Double(a)) if both_int && t == 64 && f == 64 => Op::Move64(Unary { d, a }),
            // A source register may be wider than the type that is converted.
            (Place::Word(d), Place::Word(a)) if both_int && t == 32 && f == 32 => Op::Move32(Unary { d, a }),
            (Place::Word(d), Place::Word(a))
                if both_int && t >= 16 && f == 16 && unsigned_source && (t == 32 || !to.is_signed()) =>
            {
                Op::Truncate16(Unary { d, a })
            }
            (Place::Word(d), Place::Word(a))
                if both_int && t == 16 && f >= 16 && (!to.is_signed() || register_bits == 16) =>
            {
                Op::Truncate16(Unary { d, a })
            }
            (Place::Word(d), Place::Word(a)) => match (to, from) {
                (Type::F32, Type::U32) if nearest => Op::F32FromU32(Unary { d, a }),
                (Type::F32, Type::S32) if nearest => Op::F32FromS32(Unary { d, a }),
                (Type::F32, Type::Bf16) if no_clamp => Op::F32FromBf16(Unary { d, a }),
                (Type::F32, Type::F16) if no_clamp => Op::F32FromF16(Unary { d, a }),
                (Type::Bf16, Type::F32) if nearest => Op::Bf16FromF32(Unary { d, a }),
                (Type::F16, Type::F32) if nearest => Op::F16FromF32(Unary { d, a }),
                (Type::F32, Type::F32) if integral => Op::IntegralF32(mode.rounding, Unary { d, a }),
                (Type::S32, Type::F32) if integral => Op::S32FromF32(mode.rounding, Unary { d, a }),
                (Type::U32, Type::F32) if integral => Op::U32FromF32(mode.rounding, Unary { d, a }),
                _ => return self.slow_convert(mode, to, from, dst, places.1, register_bits),
            },
            (Place::Word(d), Place::Double(a)) if (to, from) == (Type::F32, Type::F64) && nearest => {
                Op::F32FromF64(Unary { d, a })
            }
            (Place::Double(d), Place::Word(a)) if (to, from) == (Type::F64, Type::F32) && no_clamp => {
                Op::F64FromF32(Unary { d, a })
            }
            _ => return self.slow_convert(mode, to, from, dst, places.1, register_bits),
        };
        self.emit(step);
        Ok(())
    }

    fn slow_convert(
        &mut self,
        mode: FloatMode,
        to: Type,
        from: Type,
        dst: Reg,
        a: Place,
        register_bits: u32,
    ) -> Result<()> {
        let op = ScalarOp::Convert { mode, to, from, register_bits };
        let d = self.register(dst);
        self.emit(Op::Scalar(Box::new(super::Scalar { op, d, sources: [Some(a), None, None, None] })));
        Ok(())
    }
}
