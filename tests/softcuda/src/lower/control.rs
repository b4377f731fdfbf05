//! Branches, calls, ends; and what an instruction counts as.

use super::{Class, External, Instance, Lowerer, Op, Provided, Result};
use crate::ir::{CallArgument, FloatUnary, FunctionId, Label, Operand, Operation, Space, Symbol, Type};

/// Branch targets from here on are labels.
pub(super) const UNPATCHED: u32 = 1 << 31;
/// The label of a function's end.
pub(super) const END: u32 = UNPATCHED - 1;

impl Lowerer<'_> {
    pub(super) fn control(&mut self, operation: &Operation) -> Result<()> {
        let op = match operation {
            Operation::Bra { target, .. } => Op::Branch(Self::label(*target)),
            Operation::Brx { index, table } => {
                let index = self.word(index)?;
                let function = self.instance().function;
                let targets = &self.module.functions[function].branch_targets[*table as usize];
                Op::BranchIndexed(Box::new((index, targets.iter().map(|&label: &Label| Self::label(label)).collect())))
            }
            Operation::Call { function, results, arguments } => return self.call(*function, results, arguments),
            Operation::Ret if !self.instance().is_kernel => Op::Branch(UNPATCHED + END),
            Operation::Ret | Operation::Exit => Op::Exit,
            Operation::Trap => Op::Trap,
            Operation::Yield => Op::Yield,
            _ => Op::Nop,
        };
        self.emit(op);
        Ok(())
    }

    fn call(&mut self, id: FunctionId, results: &[CallArgument], arguments: &[CallArgument]) -> Result<()> {
        let callee = self.callee(id);
        let index = id.0 as usize;
        if callee.parameters.len() != arguments.len() || callee.results.len() != results.len() {
            return self.refuse(format!("{} takes other parameters", callee.name));
        }
        // The call's own step, so that it is counted and its guard skips everything up to the end.
        let guard = self.guard.take();
        let skip = guard.map(|mut guard| {
            guard.negated = !guard.negated;
            self.guard = Some(guard);
            let skip = self.emit(Op::Branch(0));
            self.guard = None;
            skip
        });
        if skip.is_none() {
            self.emit(Op::Nop);
        }
        let mut parameters = Vec::new();
        for (number, (argument, parameter)) in arguments.iter().zip(&callee.parameters).enumerate() {
            parameters.push(match argument {
                CallArgument::Variable(symbol) => self.local_offset(*symbol)?,
                CallArgument::Value(operand) => {
                    let cell = self.cell(index, false, number, parameter.size, parameter.align);
                    let place = self.place(operand, parameter.size * 8)?;
                    let access = self.cell_access(place, cell, parameter.size);
                    self.emit(Op::Store(access));
                    cell
                }
            });
        }
        let mut places = Vec::new();
        for (number, (result, parameter)) in results.iter().zip(&callee.results).enumerate() {
            places.push(match result {
                CallArgument::Variable(symbol) => self.local_offset(*symbol)?,
                CallArgument::Value(_) => self.cell(index, true, number, parameter.size, parameter.align),
            });
        }
        if callee.is_external || callee.body.is_empty() {
            let function = match callee.name.as_str() {
                "vprintf" => Provided::Vprintf,
                "__assertfail" => Provided::AssertFail,
                name => return self.refuse(format!("{name} is declared and not defined")),
            };
            let result = places.first().copied();
            self.emit(Op::External(Box::new(External { function, arguments: parameters, result })));
        } else {
            let line = self.line;
            self.function(Instance { function: index, is_kernel: false, parameters, results: places.clone() })?;
            self.line = line;
            self.guard = None;
            self.guard_copy = None;
            self.class = Class::Uncounted;
        }
        for ((result, parameter), cell) in results.iter().zip(&callee.results).zip(places) {
            if let CallArgument::Value(Operand::Reg(register)) = result {
                let access = self.cell_access(self.register(*register), cell, parameter.size);
                self.emit(Op::Load(access));
            }
        }
        if let Some(skip) = skip {
            self.program.steps[skip].op = Op::Branch(self.program.steps.len() as u32);
        }
        Ok(())
    }

    /// Where a `.param` variable, parameter or result of the function stands in local memory.
    fn local_offset(&self, symbol: Symbol) -> Result<u32> {
        let instance = self.instance();
        match symbol {
            Symbol::Parameter(index) if !instance.is_kernel => Ok(instance.parameters[index as usize]),
            Symbol::Result(index) => Ok(instance.results[index as usize]),
            Symbol::Function(index) => Ok(self.frame().variables[index as usize]),
            _ => self.refuse("an argument that is no .param variable of the function"),
        }
    }

    fn cell(&mut self, function: usize, result: bool, index: usize, size: u32, align: u32) -> u32 {
        let key = (function, result, index);
        if let Some(&cell) = self.cells.get(&key) {
            return cell;
        }
        let cell = self.local_cell(size, align);
        self.cells.insert(key, cell);
        cell
    }

    pub(super) fn class_of(&self, operation: &Operation) -> Class {
        use Operation as O;
        let float = |ty: Type| match ty {
            Type::F64 => Class::F64,
            Type::F32 | Type::Tf32 => Class::F32,
            _ => Class::F16,
        };
        match operation {
            O::Mov { .. } | O::Pack { .. } | O::Unpack { .. } | O::Cvta { .. } | O::IsSpace { .. } => Class::Moves,
            O::Load { space, .. } | O::Store { space, .. } => match space {
                Space::Generic | Space::Global => Class::Global,
                Space::Shared => Class::Shared,
                Space::Local => Class::Local,
                Space::Const | Space::Param => Class::Constant,
            },
            O::FloatUnary { op: FloatUnary::Abs | FloatUnary::Neg, ty, .. } => float(*ty),
            O::FloatBinary { op: crate::ir::FloatBinary::Div, .. } | O::FloatUnary { .. } => Class::Special,
            O::FloatBinary { ty, .. } | O::TestP { ty, .. } => float(*ty),
            O::Fma { ty, .. } => match float(*ty) {
                Class::F32 => Class::FusedF32,
                Class::F64 => Class::FusedF64,
                class => class,
            },
            O::Setp { .. }
            | O::Set { .. }
            | O::Selp { .. }
            | O::Slct { .. }
            | O::PredicateBinary { .. }
            | O::PredicateNot { .. } => Class::Compare,
            O::Cvt { .. } | O::CvtPair { .. } => Class::Convert,
            O::Prefetch { .. } | O::CpAsync { .. } | O::CpAsyncCommit | O::CpAsyncWait { .. } => Class::Global,
            O::Bra { .. } | O::Brx { .. } | O::Call { .. } | O::Ret | O::Exit | O::Trap | O::Nop | O::Yield => {
                Class::Control
            }
            O::Shfl { .. }
            | O::Vote { .. }
            | O::Match { .. }
            | O::Redux { .. }
            | O::ActiveMask { .. }
            | O::BarWarp { .. } => Class::Warp,
            O::Bar { .. } | O::BarArrive { .. } | O::BarRed { .. } | O::Fence => Class::Barrier,
            O::Atomic { .. } => Class::Atomic,
            O::LdMatrix { .. } => Class::Shared,
            O::Mma { .. } => Class::Matrix,
            _ => Class::Integer,
        }
    }
}
