//! Comparisons, selections by sign, predicates.

use super::{Binary, Lowerer, Op, Place, Result, ScalarOp, Slot, Unary};
use crate::ir::{Combine, Compare, Operand, Operation, PredicateOperand, Reg, Type};

impl Lowerer<'_> {
    pub(super) fn compare(&mut self, operation: &Operation) -> Result<()> {
        match operation {
            Operation::Setp { compare, combine, ftz, ty, dst, dst_not, a, b } => {
                self.setp(*compare, *combine, *ftz, *ty, [*dst, *dst_not], [a, b])
            }
            Operation::Set { compare, combine, ftz, dst_ty, ty, dst, a, b } => {
                let op = ScalarOp::Set {
                    compare: *compare,
                    combine: combine.map(|(combine, _)| combine),
                    ftz: *ftz,
                    dst_ty: *dst_ty,
                    ty: *ty,
                };
                let bits = ty.bits();
                let c = match combine {
                    Some((_, operand)) => Some(Place::Predicate(self.predicate_operand(operand)?)),
                    None => None,
                };
                let sources = [Some(self.place(a, bits)?), Some(self.place(b, bits)?), c, None];
                let d = self.register(*dst);
                self.emit(Op::Scalar(Box::new(super::Scalar { op, d, sources })));
                Ok(())
            }
            Operation::Slct { ty, condition_ty, ftz, dst, a, b, condition } => {
                let op = ScalarOp::Slct { condition_ty: *condition_ty, ftz: *ftz };
                let bits = ty.bits();
                self.scalar(op, *dst, &[(a, bits), (b, bits), (condition, 32)])
            }
            Operation::PredicateBinary { op, dst, a, b } => {
                let binary = Binary { d: self.predicate_register(*dst)?, a: self.predicate(a)?, b: self.predicate(b)? };
                self.emit(Op::Logic(*op, binary));
                Ok(())
            }
            Operation::PredicateNot { dst, a } => {
                let unary = Unary { d: self.predicate_register(*dst)?, a: self.predicate(a)? };
                self.emit(Op::Not(unary));
                Ok(())
            }
            _ => self.refuse("not a comparison"),
        }
    }

    fn setp(
        &mut self,
        compare: Compare,
        combine: Option<(Combine, PredicateOperand)>,
        ftz: bool,
        ty: Type,
        [dst, dst_not]: [Option<Reg>; 2],
        [a, b]: [&Operand; 2],
    ) -> Result<()> {
        if let (Some(dst), None, None) = (dst, dst_not, &combine) {
            let d = self.predicate_register(dst)?;
            return self.compare_into(d, compare, ftz, ty, a, b);
        }
        // Several steps: the registers that are written may be the guard or what the result is combined with.
        self.keep_guard();
        let holds = self.scratch_predicate();
        self.compare_into(holds, compare, ftz, ty, a, b)?;
        let fails = self.scratch_predicate();
        self.emit(Op::Not(Unary { d: fails, a: holds }));
        if let Some((combine, operand)) = combine {
            let with = self.predicate_operand(&operand)?;
            self.emit(Op::Logic(combine, Binary { d: holds, a: holds, b: with }));
            self.emit(Op::Logic(combine, Binary { d: fails, a: fails, b: with }));
        }
        for (dst, a) in [(dst, holds), (dst_not, fails)] {
            if let Some(dst) = dst {
                let d = self.predicate_register(dst)?;
                self.emit(Op::MovePredicate(Unary { d, a }));
            }
        }
        Ok(())
    }

    fn compare_into(&mut self, d: Slot, compare: Compare, ftz: bool, ty: Type, a: &Operand, b: &Operand) -> Result<()> {
        let bits = ty.bits();
        let (a, b) = (self.place(a, bits)?, self.place(b, bits)?);
        // The unsigned comparisons of signed types do not exist; those of unsigned and untyped values are one.
        let unsigned = !ty.is_signed();
        let step = match (ty, a, b) {
            (Type::F32, Place::Word(a), Place::Word(b)) if !ftz => Op::SetpF32(compare, Binary { d, a, b }),
            (Type::F64, Place::Double(a), Place::Double(b)) => Op::SetpF64(compare, Binary { d, a, b }),
            (Type::U32 | Type::S32 | Type::B32, Place::Word(a), Place::Word(b)) => {
                if unsigned {
                    Op::SetpU32(compare, Binary { d, a, b })
                } else {
                    Op::SetpS32(compare, Binary { d, a, b })
                }
            }
            (Type::U16 | Type::B16, Place::Word(a), Place::Word(b)) => Op::SetpU32(compare, Binary { d, a, b }),
            (Type::U64 | Type::S64 | Type::B64, Place::Double(a), Place::Double(b)) => {
                if unsigned {
                    Op::SetpU64(compare, Binary { d, a, b })
                } else {
                    Op::SetpS64(compare, Binary { d, a, b })
                }
            }
            _ => Op::Scalar(Box::new(super::Scalar {
                op: ScalarOp::Compare { compare, ftz, ty },
                d: Place::Predicate(d),
                sources: [Some(a), Some(b), None, None],
            })),
        };
        self.emit(step);
        Ok(())
    }
}
