//! Steps that are too rare or too long for the interpreter's body.

use super::access;
use super::block::Env;
use super::matrix;
use super::registers::{FULL, Registers, Words, lanes};
use super::scalar::evaluate;
use crate::check::AccessError;
use crate::lower::{LoadMatrix, Mma, Scalar};
use crate::memory::WarpAccess;

/// Arithmetic that has no arm of its own. `Err`: the lane that divides by zero.
#[inline(never)]
pub fn scalar(scalar: &Scalar, registers: &mut Registers, env: &Env<'_>, active: u32) -> Result<(), usize> {
    for lane in lanes(active) {
        let sources = scalar.sources.map(|place| place.map_or(0, |place| registers.get(place, lane)));
        let value = evaluate(&scalar.op, sources, env.run.approximation).ok_or(lane)?;
        registers.set(scalar.d, lane, value);
    }
    Ok(())
}

/// `ldmatrix`: the whole warp's.
#[inline(never)]
pub fn load_matrix(step: &LoadMatrix, registers: &mut Registers, env: &mut Env<'_>) -> Result<(), AccessError> {
    let rows = 8 * step.d.len() as u32;
    let addresses = access::addresses(registers, step.base, step.offset);
    let mask = if rows >= 32 { FULL } else { (1 << rows) - 1 };
    let access = WarpAccess { addresses: &addresses, mask, bytes: 16, place: &env.place };
    env.shared.load(&access, &mut env.bytes, &mut env.counters)?;
    let (chunks, _) = env.bytes.as_chunks::<16>();
    let found = matrix::ldmatrix(&chunks[..rows as usize], step.transposed);
    for (&d, words) in step.d.iter().zip(found) {
        registers.words[d as usize] = Words(words);
    }
    Ok(())
}

/// `mma`: the whole warp's.
#[inline(never)]
pub fn multiply_matrices(step: &Mma, registers: &mut Registers, env: &Env<'_>) {
    let fragment = |slots: &[u32]| slots.iter().map(|&slot| *registers.word(slot)).collect::<Vec<_>>();
    let (a, b, c) = (fragment(&step.a), fragment(&step.b), fragment(&step.c));
    let result = matrix::mma(step.shape, &a, &b, &c, env.run.accumulation);
    for (&d, words) in step.d.iter().zip(result) {
        registers.words[d as usize] = Words(words);
    }
}
