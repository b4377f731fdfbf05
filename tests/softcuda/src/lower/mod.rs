//! [`ir`](crate::ir) to a [`Program`]: registers to slots, labels to indices, calls to the body of what they call.
//!
//! Everything that a kernel reads is a register of its warp: immediates, special registers, addresses of variables and
//! parameters are registers too, filled before a warp begins. A called function's body stands where the call stood; its
//! registers, variables and parameters are the same at every such place, since no function runs twice at a time in one
//! thread (recursion is refused).

mod compare;
mod control;
mod details;
mod float;
mod integer;
mod memory;
mod moves;
mod operands;
mod program;
mod warp;

use std::collections::HashMap;

use crate::front::LoadError;
use crate::ir::{Function, FunctionId, Guard, Instruction, Label, Module, Operation, Rounding};
use crate::machine::KernelInfo;

pub use details::*;
pub use program::*;

type Result<T> = std::result::Result<T, LoadError>;

/// The most steps of a kernel, every call counted with its body.
const MAX_STEPS: usize = 1 << 22;

/// Where parameters, results and `.param` variables of a function stand in local memory; a kernel's parameters are
/// offsets in the parameter block.
#[derive(Clone, Default)]
struct Instance {
    function: usize,
    is_kernel: bool,
    parameters: Vec<u32>,
    results: Vec<u32>,
}

/// Slots of a function's registers and places of its variables.
struct Frame {
    registers: Vec<Place>,
    /// Offsets in local or shared memory.
    variables: Vec<u32>,
    carry: Slot,
}

struct Lowerer<'m> {
    module: &'m Module,
    /// Addresses of the module's variables in device memory.
    addresses: &'m [u64],
    program: Program,
    constants: HashMap<(u32, Initial), Place>,
    frames: HashMap<usize, Frame>,
    /// Offsets of the module's shared variables.
    shared: HashMap<u32, u32>,
    /// Local cells of arguments that are given by value: function, is a result, index.
    cells: HashMap<(usize, bool, usize), u32>,
    dynamic_align: u32,
    /// The functions that are being lowered, outermost first.
    stack: Vec<Instance>,
    guard: Option<Guard>,
    /// Stands for `guard` while an instruction of several steps is lowered.
    guard_copy: Option<(Slot, u32)>,
    line: u32,
    /// The class of the next step.
    class: Class,
}

/// Lowers every kernel. `addresses` are those of the module's variables in device memory.
pub fn lower(module: &Module, addresses: &[u64]) -> Result<Vec<(KernelInfo, Program)>> {
    let kernels = module.functions.iter().enumerate().filter(|(_, function)| function.is_kernel);
    kernels.map(|(index, function)| lower_kernel(module, addresses, index, function)).collect()
}

fn lower_kernel(
    module: &Module,
    addresses: &[u64],
    index: usize,
    function: &Function,
) -> Result<(KernelInfo, Program)> {
    let mut lowerer = Lowerer {
        module,
        addresses,
        program: Program { predicates: 1, ..Program::default() },
        constants: HashMap::new(),
        frames: HashMap::new(),
        shared: HashMap::new(),
        cells: HashMap::new(),
        dynamic_align: 16,
        stack: Vec::new(),
        guard: None,
        guard_copy: None,
        line: function.line,
        class: Class::Uncounted,
    };
    let always = Place::Predicate(0);
    lowerer.program.initial.push((always, Initial::Bits(1)));
    lowerer.constants.insert((1, Initial::Bits(1)), always);
    let parameters: Vec<_> = function.parameters.iter().map(|parameter| parameter.offset).collect();
    lowerer.function(Instance { function: index, is_kernel: true, parameters, results: Vec::new() })?;
    let mut program = lowerer.program;
    program.dynamic_shared = program.static_shared.next_multiple_of(lowerer.dynamic_align);
    let info = KernelInfo {
        name: function.name.clone(),
        parameters: function.parameters.iter().map(|parameter| (parameter.offset, parameter.size)).collect(),
        parameter_bytes: function.parameters.last().map_or(0, |last| last.offset + last.size),
        static_shared: program.static_shared,
        local_bytes: program.local,
        max_threads: function.max_threads,
        required_threads: function.required_threads,
    };
    Ok((info, program))
}

/// Refuses float arithmetic without a rounding, which ptxas may fuse.
pub fn refuse_unpinned(module: &Module) -> Result<()> {
    for instruction in module.functions.iter().flat_map(|function| &function.body) {
        let pinned = match &instruction.operation {
            Operation::FloatBinary { op, mode, .. } => {
                use crate::ir::FloatBinary::{Add, Mul, Sub};
                !matches!(op, Add | Sub | Mul) || mode.rounding != Rounding::Unpinned
            }
            _ => true,
        };
        if !pinned {
            return Err(LoadError {
                line: instruction.line,
                text: module.line(instruction.line).to_owned(),
                message: "float arithmetic without a rounding, which ptxas may fuse".to_owned(),
            });
        }
    }
    Ok(())
}

impl<'m> Lowerer<'m> {
    fn refuse<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(LoadError { line: self.line, text: self.module.line(self.line.max(1)).to_owned(), message: message.into() })
    }

    fn instance(&self) -> &Instance {
        &self.stack[self.stack.len() - 1]
    }

    fn frame(&self) -> &Frame {
        &self.frames[&self.instance().function]
    }

    /// Appends a step under the instruction's guard.
    fn emit(&mut self, op: Op) -> usize {
        let (guard, negated) = match (self.guard_copy, self.guard) {
            (Some(copy), _) => copy,
            (None, Some(guard)) => match self.frame().registers[guard.predicate.0 as usize] {
                Place::Predicate(slot) => (slot, if guard.negated { !0 } else { 0 }),
                // Valid modules guard with predicates only.
                _ => (0, 0),
            },
            (None, None) => (0, 0),
        };
        let class = std::mem::replace(&mut self.class, Class::Uncounted);
        self.program.steps.push(Step { op, guard, negated, line: self.line, class });
        self.program.steps.len() - 1
    }

    /// Copies the guard, so that the steps that follow may write the register it stands in.
    fn keep_guard(&mut self) {
        if let Some(guard) = self.guard.take() {
            let a = match self.frame().registers[guard.predicate.0 as usize] {
                Place::Predicate(slot) => slot,
                _ => 0,
            };
            let d = self.scratch_predicate();
            let class = std::mem::replace(&mut self.class, Class::Uncounted);
            self.emit(Op::MovePredicate(Unary { d, a }));
            self.class = class;
            self.guard = Some(guard);
            self.guard_copy = Some((d, if guard.negated { !0 } else { 0 }));
        }
    }

    /// Lowers a function's body here, as the given instance.
    fn function(&mut self, instance: Instance) -> Result<()> {
        let module = self.module;
        let index = instance.function;
        let function = &module.functions[index];
        if self.stack.iter().any(|outer| outer.function == index) {
            return self.refuse(format!("recursion of {}", function.name));
        }
        self.stack.push(instance);
        self.make_frame(index, function);
        let begin = self.program.steps.len();
        let mut starts = Vec::with_capacity(function.body.len() + 1);
        for instruction in &function.body {
            starts.push(self.program.steps.len() as u32);
            self.instruction(instruction)?;
            if self.program.steps.len() > MAX_STEPS {
                return self.refuse("the kernel is too long with what it calls");
            }
        }
        let end = self.program.steps.len() as u32;
        starts.push(end);
        if self.instance().is_kernel {
            self.guard = None;
            self.class = Class::Uncounted;
            self.emit(Op::Exit);
        }
        self.patch(begin, function, &starts);
        self.stack.pop();
        Ok(())
    }

    /// Turns labels into indices of steps. Until then a branch holds its label, plus [`control::UNPATCHED`]; `ret` of a
    /// called function is a branch to the end.
    fn patch(&mut self, begin: usize, function: &Function, starts: &[u32]) {
        let target = |label: u32| match label.checked_sub(control::UNPATCHED) {
            None => label,
            Some(control::END) => starts[starts.len() - 1],
            Some(label) => starts[function.labels[label as usize].index as usize],
        };
        for step in &mut self.program.steps[begin..] {
            match &mut step.op {
                Op::Branch(label) => *label = target(*label),
                Op::BranchIndexed(table) => table.1.iter_mut().for_each(|label| *label = target(*label)),
                _ => {}
            }
        }
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<()> {
        self.line = instruction.line;
        self.guard = instruction.guard;
        self.guard_copy = None;
        let operation = &instruction.operation;
        self.class = self.class_of(operation);
        use Operation as O;
        match operation {
            O::Mov { .. } | O::Pack { .. } | O::Unpack { .. } | O::Cvta { .. } | O::IsSpace { .. } | O::Selp { .. } => {
                self.moves(operation)
            }
            O::Load { .. }
            | O::Store { .. }
            | O::Prefetch { .. }
            | O::Atomic { .. }
            | O::CpAsync { .. }
            | O::CpAsyncCommit
            | O::CpAsyncWait { .. }
            | O::LdMatrix { .. }
            | O::Fence => self.memory(operation),
            O::FloatUnary { .. }
            | O::FloatBinary { .. }
            | O::Fma { .. }
            | O::TestP { .. }
            | O::Cvt { .. }
            | O::CvtPair { .. }
            | O::Mma { .. } => self.float(operation),
            O::Setp { .. } | O::Set { .. } | O::Slct { .. } | O::PredicateBinary { .. } | O::PredicateNot { .. } => {
                self.compare(operation)
            }
            O::Bra { .. } | O::Brx { .. } | O::Call { .. } | O::Ret | O::Exit | O::Trap | O::Nop | O::Yield => {
                self.control(operation)
            }
            O::Shfl { .. }
            | O::Vote { .. }
            | O::Match { .. }
            | O::Redux { .. }
            | O::ActiveMask { .. }
            | O::BarWarp { .. }
            | O::Bar { .. }
            | O::BarArrive { .. }
            | O::BarRed { .. } => self.warp(operation),
            _ => self.integer(operation),
        }
    }

    fn label(label: Label) -> u32 {
        control::UNPATCHED + label.0
    }

    fn callee(&self, function: FunctionId) -> &'m Function {
        &self.module.functions[function.0 as usize]
    }
}
