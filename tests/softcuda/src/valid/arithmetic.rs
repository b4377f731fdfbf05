//! Operations on values alone.

use super::{Check, Checker};
use crate::ir::{Half, IntBinary, IntUnary, Operand, Operation, Reg, Type};

/// The type of a product.
fn product(half: Half, ty: Type) -> Type {
    match (half, ty) {
        (Half::Wide, Type::U16) => Type::U32,
        (Half::Wide, Type::S16) => Type::S32,
        (Half::Wide, Type::U32) => Type::U64,
        (Half::Wide, Type::S32) => Type::S64,
        _ => ty,
    }
}

impl Checker<'_> {
    /// A result and values of one type.
    fn same(&self, dst: Reg, values: &[Operand], ty: Type) -> Check {
        self.register(dst, ty)?;
        self.values(values, ty)
    }

    /// Operations on integers.
    pub(super) fn integer(&self, operation: &Operation) -> Check {
        match *operation {
            Operation::IntUnary { op, ty, dst, a } => {
                let counts = matches!(op, IntUnary::Popc | IntUnary::Clz | IntUnary::Bfind | IntUnary::BfindShift);
                self.register(dst, if counts { Type::U32 } else { ty })?;
                self.value(a, ty)
            }
            Operation::IntBinary { op: IntBinary::Shl | IntBinary::Shr, ty, dst, a, b } => {
                self.same(dst, &[a], ty)?;
                self.value(b, Type::U32)
            }
            Operation::IntBinary { ty, dst, a, b, .. } => self.same(dst, &[a, b], ty),
            Operation::Mul { half, ty, dst, a, b } => {
                self.register(dst, product(half, ty))?;
                self.values(&[a, b], ty)
            }
            Operation::Mad { half, ty, dst, a, b, c, .. } => {
                self.same(dst, &[c], product(half, ty))?;
                self.values(&[a, b], ty)
            }
            Operation::Mul24 { ty, dst, a, b, c, .. } => {
                self.same(dst, &[a, b], ty)?;
                c.map_or(Ok(()), |c| self.value(c, ty))
            }
            Operation::Carry { ty, dst, a, b, .. } => self.same(dst, &[a, b], ty),
            Operation::MadCarry { ty, dst, a, b, c, .. } | Operation::Sad { ty, dst, a, b, c } => {
                self.same(dst, &[a, b, c], ty)
            }
            Operation::Bfe { ty, dst, a, b, c } => {
                self.same(dst, &[a], ty)?;
                self.values(&[b, c], Type::U32)
            }
            Operation::Bfi { ty, dst, a, b, c, d } => {
                self.same(dst, &[a, b], ty)?;
                self.values(&[c, d], Type::U32)
            }
            Operation::Prmt { dst, a, b, c, .. }
            | Operation::Lop3 { dst, a, b, c, .. }
            | Operation::Shf { dst, a, b, c, .. }
            | Operation::Dp4a { dst, a, b, c, .. } => self.same(dst, &[a, b, c], Type::B32),
            _ => Ok(()),
        }
    }

    /// Operations on floats.
    pub(super) fn float(&self, operation: &Operation) -> Check {
        match *operation {
            Operation::FloatUnary { ty, dst, a, .. } => self.same(dst, &[a], ty),
            Operation::FloatBinary { ty, dst, a, b, .. } => self.same(dst, &[a, b], ty),
            Operation::Fma { ty, dst, a, b, c, .. } => self.same(dst, &[a, b, c], ty),
            Operation::TestP { ty, dst, a, .. } => {
                self.register(dst, Type::Pred)?;
                self.value(a, ty)
            }
            _ => Ok(()),
        }
    }

    /// Comparisons, selections, predicates and conversions.
    pub(super) fn selection(&self, operation: &Operation) -> Check {
        match *operation {
            Operation::Setp { combine, ty, dst, dst_not, a, b, .. } => {
                if dst.is_none() && dst_not.is_none() {
                    return Err("a comparison without a destination".into());
                }
                for dst in [dst, dst_not].into_iter().flatten() {
                    self.register(dst, Type::Pred)?;
                }
                self.values(&[a, b], ty)?;
                combine.map_or(Ok(()), |(_, with)| self.predicate(with))
            }
            Operation::Set { combine, dst_ty, ty, dst, a, b, .. } => {
                self.register(dst, dst_ty)?;
                self.values(&[a, b], ty)?;
                combine.map_or(Ok(()), |(_, with)| self.predicate(with))
            }
            Operation::Selp { ty, dst, a, b, condition } => {
                self.same(dst, &[a, b], ty)?;
                self.value(condition, Type::Pred)
            }
            Operation::Slct { ty, condition_ty, dst, a, b, condition, .. } => {
                self.same(dst, &[a, b], ty)?;
                self.value(condition, condition_ty)
            }
            Operation::PredicateBinary { dst, a, b, .. } => self.same(dst, &[a, b], Type::Pred),
            Operation::PredicateNot { dst, a } => self.same(dst, &[a], Type::Pred),
            Operation::Cvt { to, from, dst, a, .. } => {
                self.wider_register(dst, to)?;
                self.special_value(a, from)
            }
            Operation::CvtPair { to, dst, a, b, .. } => {
                self.register(dst, to)?;
                self.values(&[a, b], Type::F32)
            }
            _ => Ok(()),
        }
    }
}
