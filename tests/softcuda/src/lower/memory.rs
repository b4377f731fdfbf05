//! Loads, stores, atomics, asynchronous copies.

use super::{Access, Atomic, CopyAsync, Initial, LoadMatrix, Lowerer, Op, Part, Place, Result, Window};
use crate::ir::{Address, AtomicOp, Operand, Operation, Ordering, Reg, Space, Symbol, Type};

impl Lowerer<'_> {
    pub(super) fn memory(&mut self, operation: &Operation) -> Result<()> {
        use Operation as O;
        let op = match operation {
            O::Load { space, ordering, ty, dst, address } => {
                return self.load(*space, *ordering != Ordering::Weak, *ty, dst, address);
            }
            O::Store { space, ordering, ty, src, address } => {
                let places = src.iter().map(|source| self.place(source, ty.bits())).collect::<Result<Vec<_>>>()?;
                let parts = places.into_iter().map(|place| Some(Part { place, extend: 0 })).collect();
                let (element, parts) = self.elements(*ty, parts)?;
                let window = self.window(*space, address);
                if window == Window::Parameter {
                    return self.refuse("a kernel's parameters are read only");
                }
                let (base, offset) = self.address(address)?;
                let strong = *ordering != Ordering::Weak;
                Op::Store(Box::new(Access { window, base, offset, element, parts, constant: false, strong }))
            }
            O::Prefetch { .. } | O::Fence => Op::Nop,
            O::Atomic { op, space, ty, dst, address, b, c, .. } => {
                let bits = ty.bits();
                let compares = *op == AtomicOp::Cas;
                let b = self.place(b, bits)?;
                let c = match c {
                    Some(c) => Some(self.place(c, bits)?),
                    None if compares => return self.refuse("a compare-and-swap without a value"),
                    None => None,
                };
                let window = self.window(*space, address);
                if !matches!(window, Window::Generic | Window::Global | Window::Shared) || bits > 64 {
                    return self.refuse("an atomic on this space or of this width");
                }
                let (base, offset) = self.address(address)?;
                let d = dst.map(|register| self.register(register));
                Op::Atomic(Box::new(Atomic { op: *op, window, ty: *ty, base, offset, d, b, c }))
            }
            O::CpAsync { bytes, dst, src, source_bytes } => {
                let (to, from) = (self.address(dst)?, self.address(src)?);
                let source_bytes = match source_bytes {
                    Some(operand) => Some(self.word(operand)?),
                    None => None,
                };
                Op::CopyAsync(Box::new(CopyAsync { bytes: *bytes, to, from, source_bytes }))
            }
            O::CpAsyncCommit => Op::CopyCommit,
            O::CpAsyncWait { pending } => Op::CopyWait(*pending),
            O::LdMatrix { transposed, dst, address } => {
                let (base, offset) = self.address(address)?;
                let d = dst.iter().map(|&register| self.word_register(register)).collect::<Result<_>>()?;
                Op::LoadMatrix(Box::new(LoadMatrix { transposed: *transposed, d, base, offset }))
            }
            _ => return self.refuse("not an operation on memory"),
        };
        self.emit(op);
        Ok(())
    }

    /// Where an address of a space leads. Parameters of called functions, and `.param` variables, are local memory.
    fn window(&self, space: Space, address: &Address) -> Window {
        match space {
            Space::Generic => Window::Generic,
            Space::Global | Space::Const => Window::Global,
            Space::Shared => Window::Shared,
            Space::Local => Window::Local,
            Space::Param => match address.base {
                Operand::Address(Symbol::Function(_) | Symbol::Result(_), _) => Window::Local,
                _ if self.instance().is_kernel => Window::Parameter,
                _ => Window::Local,
            },
        }
    }

    fn load(&mut self, space: Space, strong: bool, ty: Type, dst: &[Option<Reg>], address: &Address) -> Result<()> {
        let window = self.window(space, address);
        if window == Window::Parameter
            && let Operand::Address(symbol, offset) = address.base
            && let Initial::Bits(at) = self.address_of(symbol, offset.wrapping_add(address.offset))?
            && ty.bits() <= 64
        {
            for (index, &register) in dst.iter().enumerate() {
                let Some(register) = register else { continue };
                let offset = at as u32 + index as u32 * ty.bytes();
                let end = self.module.functions[self.instance().function].parameters.last();
                if offset + ty.bytes() > end.map_or(0, |last| last.offset + last.size) {
                    return self.refuse("a load behind the parameters");
                }
                let a = self.parameter(self.register_bits(register), offset, ty.bytes(), self.extension(ty, register));
                self.copy(self.register(register), a, Type::B64)?;
            }
            return Ok(());
        }
        let parts = dst.iter().map(|&register| {
            register.map(|register| Part { place: self.register(register), extend: self.extension(ty, register) })
        });
        let (element, parts) = self.elements(ty, parts.collect())?;
        let (base, offset) = self.address(address)?;
        let constant = space == Space::Const;
        self.emit(Op::Load(Box::new(Access { window, base, offset, element, parts, constant, strong })));
        Ok(())
    }

    /// The size of an element and the registers of a vector; elements of 128 bits count as two of 64.
    fn elements(&self, ty: Type, parts: Vec<Option<Part>>) -> Result<(u32, Vec<Option<Part>>)> {
        let count = parts.len() * if ty.bits() == 128 { 2 } else { 1 };
        if ty == Type::Pred || !count.is_power_of_two() || ty.bytes() as usize * parts.len() > 32 {
            return self.refuse("a vector of this type and length");
        }
        if ty.bits() < 128 {
            return Ok((ty.bytes(), parts));
        }
        let half = |part: Option<Part>, high: u32| match part {
            Some(Part { place: Place::Quad(slot), extend }) => Some(Part { place: Place::Double(slot + high), extend }),
            _ => None,
        };
        Ok((8, parts.into_iter().flat_map(|part| [half(part, 0), half(part, 1)]).collect()))
    }

    /// To how many bits a loaded value is sign-extended.
    fn extension(&self, ty: Type, register: Reg) -> u32 {
        let bits = self.register_bits(register);
        if ty.is_signed() && ty.bits() < bits { bits } else { 0 }
    }

    /// Loads or stores a cell of local memory, of a call's arguments.
    pub(super) fn cell_access(&mut self, place: Place, offset: u32, element: u32) -> Box<Access> {
        let base = self.constant_double(u64::from(offset));
        let parts = vec![Some(Part { place, extend: 0 })];
        Box::new(Access { window: Window::Local, base, offset: 0, element, parts, constant: false, strong: false })
    }
}
