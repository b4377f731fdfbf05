//! Moves, packing, and addresses from space to space.

use super::{Binary, Initial, Lowerer, Op, Parts, Place, Result, Scalar, ScalarOp, Ternary, Unary};
use crate::exec::PARAMETER_WINDOW;
use crate::ir::{Operand, Operation, Reg, Space, Type};
use crate::memory::{LOCAL_WINDOW, SHARED_WINDOW, WINDOW};

impl Lowerer<'_> {
    pub(super) fn moves(&mut self, operation: &Operation) -> Result<()> {
        match operation {
            Operation::Mov { ty, dst, src } => {
                let (d, a) = (self.register(*dst), self.place(src, ty.bits())?);
                self.copy(d, a, *ty)
            }
            Operation::Pack { ty, dst, parts } => self.pack(*ty, *dst, parts),
            Operation::Unpack { ty, parts, src } => self.unpack(*ty, parts, src),
            Operation::Cvta { to_space, space, dst, src, .. } => self.cvta(*to_space, *space, *dst, src),
            Operation::IsSpace { space, dst, src } => self.is_space(*space, *dst, src),
            Operation::Selp { ty, dst, a, b, condition } => {
                let bits = ty.bits();
                let (d, a, b) = (self.register(*dst), self.place(a, bits)?, self.place(b, bits)?);
                let c = self.predicate(condition)?;
                match (d, a, b) {
                    (Place::Word(d), Place::Word(a), Place::Word(b)) => self.emit(Op::Select32(Ternary { d, a, b, c })),
                    (Place::Double(d), Place::Double(a), Place::Double(b)) => {
                        self.emit(Op::Select64(Ternary { d, a, b, c }))
                    }
                    _ => return self.refuse("operands of different widths"),
                };
                Ok(())
            }
            _ => self.refuse("not a move"),
        }
    }

    /// Copies between registers of one width.
    pub(super) fn copy(&mut self, d: Place, a: Place, ty: Type) -> Result<()> {
        match (d, a) {
            (Place::Word(d), Place::Word(a)) => {
                // A special register is wider than the 16 bits that may be asked for.
                let cut = ty.bits() == 16;
                let unary = Unary { d, a };
                self.emit(if cut { Op::Truncate16(unary) } else { Op::Move32(unary) })
            }
            (Place::Double(d), Place::Double(a)) => self.emit(Op::Move64(Unary { d, a })),
            (Place::Predicate(d), Place::Predicate(a)) => self.emit(Op::MovePredicate(Unary { d, a })),
            (Place::Quad(d), Place::Quad(a)) => {
                self.emit(Op::Move64(Unary { d, a }));
                self.emit(Op::Move64(Unary { d: d + 1, a: a + 1 }))
            }
            _ => return self.refuse("operands of different widths"),
        };
        Ok(())
    }

    fn pack(&mut self, ty: Type, dst: Reg, parts: &[Operand]) -> Result<()> {
        let whole = self.register(dst);
        let part_bits = ty.bits() / parts.len() as u32;
        let parts = parts.iter().map(|part| self.place(part, part_bits)).collect::<Result<Vec<_>>>()?;
        self.emit(match (whole, &parts[..]) {
            (Place::Double(d), &[Place::Word(a), Place::Word(b)]) if part_bits == 32 => Op::Pack64(Binary { d, a, b }),
            _ => Op::Pack(Box::new(Parts { whole, part_bits, parts: parts.into_iter().map(Some).collect() })),
        });
        Ok(())
    }

    fn unpack(&mut self, ty: Type, parts: &[Option<Reg>], src: &Operand) -> Result<()> {
        let whole = self.place(src, ty.bits())?;
        let part_bits = ty.bits() / parts.len() as u32;
        let parts: Vec<_> = parts.iter().map(|part| part.map(|register| self.register(register))).collect();
        let op = match (whole, &parts[..]) {
            (Place::Double(a), &[low, high]) if part_bits == 32 => {
                let mut word = |place: Option<Place>| match place {
                    Some(Place::Word(slot)) => slot,
                    _ => self.scratch_word(),
                };
                let (d, b) = (word(low), word(high));
                Op::Unpack64(Binary { d, a, b })
            }
            _ => Op::Unpack(Box::new(Parts { whole, part_bits, parts })),
        };
        self.emit(op);
        Ok(())
    }

    fn cvta(&mut self, to_space: bool, space: Space, dst: Reg, src: &Operand) -> Result<()> {
        let (d, a) = (self.double_register(dst)?, self.double(src)?);
        let window = match space {
            Space::Shared => SHARED_WINDOW,
            Space::Local => LOCAL_WINDOW,
            Space::Param if self.instance().is_kernel => PARAMETER_WINDOW,
            Space::Param => LOCAL_WINDOW,
            Space::Global | Space::Const | Space::Generic => {
                self.emit(Op::Move64(Unary { d, a }));
                return Ok(());
            }
        };
        let b = self.constant_double(if to_space { window.wrapping_neg() } else { window });
        self.emit(Op::Add64(Binary { d, a, b }));
        Ok(())
    }

    fn is_space(&mut self, space: Space, dst: Reg, src: &Operand) -> Result<()> {
        let a = self.place(src, 64)?;
        let (first, last) = match space {
            Space::Shared => (SHARED_WINDOW, SHARED_WINDOW + WINDOW - 1),
            Space::Local => (LOCAL_WINDOW, LOCAL_WINDOW + WINDOW - 1),
            Space::Param => (PARAMETER_WINDOW, PARAMETER_WINDOW + WINDOW - 1),
            Space::Global | Space::Generic => (0, PARAMETER_WINDOW - 1),
            Space::Const => return self.refuse("isspacep.const"),
        };
        let d = self.register(dst);
        let op = ScalarOp::Within { first, last };
        self.emit(Op::Scalar(Box::new(Scalar { op, d, sources: [Some(a), None, None, None] })));
        Ok(())
    }

    /// A lane-by-lane operation whose operands are all of the type's bits.
    pub(super) fn scalar(&mut self, op: ScalarOp, dst: Reg, sources: &[(&Operand, u32)]) -> Result<()> {
        let mut places = [None; 4];
        for (place, (operand, bits)) in places.iter_mut().zip(sources) {
            *place = Some(self.place(operand, *bits)?);
        }
        let d = self.register(dst);
        self.emit(Op::Scalar(Box::new(Scalar { op, d, sources: places })));
        Ok(())
    }

    /// A register that holds a value read from the parameter block.
    pub(super) fn parameter(&mut self, bits: u32, offset: u32, bytes: u32, extend: u32) -> Place {
        self.constant(bits, Initial::Parameter { offset, bytes, extend })
    }
}
