//! One instruction to an [`Operation`].

mod compare;
mod control;
mod convert;
mod float;
mod integer;
mod matrix;
mod memory;
mod modifiers;
mod warp;

use super::Result;
use super::body::Body;
use crate::ir::Operation;
use crate::opcodes;
use modifiers::Modifiers;

/// Reads an instruction from its opcode up to its `;`.
pub(super) fn parse(body: &mut Body<'_, '_>) -> Result<Operation> {
    let line = body.cursor.peek().line;
    let name = body.cursor.word("an instruction")?;
    let Some(opcode) = opcodes::find(name) else {
        return Err(body.cursor.error(line, format!("unknown instruction `{name}`")));
    };
    let mut words = Vec::new();
    while let Some(word) = body.cursor.peek_dot() {
        body.cursor.next();
        words.push(word);
    }
    if let Some(word) = words.iter().find(|word| !opcode.knows(word)) {
        return Err(body.cursor.error(line, format!("unknown modifier `.{word}` of `{name}`")));
    }
    if !opcode.accepts(&words) {
        let form: String = words.iter().flat_map(|word| [".", *word]).collect();
        return Err(body.cursor.error(line, format!("`{name}{form}` is no form of `{name}`")));
    }
    let modifiers = Modifiers { opcode: opcode.name, words };
    operation(body, &modifiers)
}

fn operation(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    match modifiers.opcode {
        "mov" => memory::mov(body, modifiers),
        "ld" | "ldu" => memory::load(body, modifiers),
        "st" => memory::store(body, modifiers),
        "cvta" => memory::cvta(body, modifiers),
        "isspacep" => memory::is_space(body, modifiers),
        "prefetch" | "prefetchu" => memory::prefetch(body, modifiers),
        "atom" | "red" => memory::atomic(body, modifiers),
        "cp" => memory::copy_async(body, modifiers),
        "membar" | "fence" => Ok(Operation::Fence),

        "add" | "sub" | "mul" | "div" | "min" | "max" if modifiers.ty().is_float() => float::binary(body, modifiers),
        "copysign" => float::binary(body, modifiers),
        "abs" | "neg" if modifiers.ty().is_float() => float::unary(body, modifiers),
        "rcp" | "sqrt" | "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh" => float::unary(body, modifiers),
        "mad" if modifiers.ty().is_float() => float::fma(body, modifiers),
        "fma" => float::fma(body, modifiers),
        "testp" => float::testp(body, modifiers),

        "add" | "sub" if modifiers.has("cc") => integer::carry(body, modifiers),
        "addc" | "subc" => integer::carry(body, modifiers),
        "add" | "sub" | "div" | "rem" | "min" | "max" => integer::binary(body, modifiers),
        "and" | "or" | "xor" | "shl" | "shr" => integer::binary(body, modifiers),
        "abs" | "neg" | "not" | "cnot" | "popc" | "clz" | "bfind" | "brev" => integer::unary(body, modifiers),
        "mul" => integer::mul(body, modifiers),
        "mad" | "madc" => integer::mad(body, modifiers),
        "mul24" | "mad24" => integer::mul24(body, modifiers),
        "sad" | "bfe" | "bfi" | "dp4a" | "lop3" | "shf" | "prmt" => integer::ternary(body, modifiers),

        "setp" => compare::setp(body, modifiers),
        "set" => compare::set(body, modifiers),
        "selp" => compare::selp(body, modifiers),
        "slct" => compare::slct(body, modifiers),
        "cvt" => convert::cvt(body, modifiers),

        "bra" => control::bra(body, modifiers),
        "brx" => control::brx(body),
        "call" => control::call(body),
        "ret" => Ok(Operation::Ret),
        "exit" => Ok(Operation::Exit),
        "trap" => Ok(Operation::Trap),

        "shfl" => warp::shfl(body, modifiers),
        "vote" => warp::vote(body, modifiers),
        "match" => warp::matching(body, modifiers),
        "redux" => warp::redux(body, modifiers),
        "activemask" => Ok(Operation::ActiveMask { dst: body.register()? }),
        "nanosleep" => warp::nanosleep(body),
        "bar" | "barrier" => warp::bar(body, modifiers),

        "ldmatrix" => matrix::load(body, modifiers),
        "mma" => matrix::mma(body, modifiers),
        name => body.cursor.fail(format!("unknown instruction `{name}`")),
    }
}
