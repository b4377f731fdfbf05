//! Functions that the driver provides: `vprintf` and `__assertfail`.

use super::block::Env;
use super::registers::lanes;
use super::warp::Side;
use crate::check::AccessError;
use crate::lower::External;
use crate::memory::{LOCAL_WINDOW, WINDOW, WarpAccess};

/// The longest text that is read of a kernel's memory.
const MAX_TEXT: usize = 4096;

/// Prints to standard error for every lane; the results are the numbers of arguments.
pub fn print(step: &External, side: &mut Side, env: &mut Env<'_>, active: u32) -> Result<(), AccessError> {
    for lane in lanes(active) {
        let &[format, arguments] = &step.arguments[..] else { continue };
        let format = word(side, lane, format)?;
        let arguments = word(side, lane, arguments)?;
        let format = text(format, lane, side, env)?;
        let (line, count) = formatted(&format, |at, bytes| match arguments {
            0 => Ok(0),
            start => value(start + at, bytes, lane, side, env),
        })?;
        eprint!("{line}");
        if let Some(result) = step.result {
            side.local.slice(lane, result.into(), 4)?.copy_from_slice(&count.to_le_bytes());
        }
    }
    Ok(())
}

fn word(side: &mut Side, lane: usize, at: u32) -> Result<u64, AccessError> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(side.local.slice(lane, at.into(), 8)?);
    Ok(u64::from_le_bytes(bytes))
}

/// A value at a generic address.
fn value(address: u64, bytes: u32, lane: usize, side: &mut Side, env: &mut Env<'_>) -> Result<u64, AccessError> {
    let mut value = [0; 8];
    if (LOCAL_WINDOW..LOCAL_WINDOW + WINDOW).contains(&address) {
        value[..bytes as usize].copy_from_slice(side.local.slice(lane, address - LOCAL_WINDOW, bytes)?);
    } else {
        let access = WarpAccess { addresses: &[address; 32], mask: 1 << lane, bytes, place: &env.place };
        env.global.load(&access, &mut env.bytes, &mut env.uncounted)?;
        let at = lane * bytes as usize;
        value[..bytes as usize].copy_from_slice(&env.bytes[at..at + bytes as usize]);
    }
    Ok(u64::from_le_bytes(value))
}

fn text(address: u64, lane: usize, side: &mut Side, env: &mut Env<'_>) -> Result<String, AccessError> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_TEXT {
        match value(address + bytes.len() as u64, 1, lane, side, env)? as u8 {
            0 => break,
            byte => bytes.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text and the number of arguments. `argument` reads so many bytes at an offset. Widths and flags are ignored, but
/// for the precision of floats; strings are shown as addresses.
fn formatted(
    format: &str,
    mut argument: impl FnMut(u64, u32) -> Result<u64, AccessError>,
) -> Result<(String, u32), AccessError> {
    let mut out = String::new();
    let (mut at, mut count) = (0_u64, 0);
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut long = 0;
        let mut precision = None;
        let kind = loop {
            match rest.next() {
                Some('l' | 'z' | 'j' | 't') => long += 1,
                Some('.') => precision = Some(0),
                Some(digit @ '0'..='9') => {
                    precision = precision.map(|value: usize| 10 * value + digit as usize - '0' as usize);
                }
                Some('-' | '+' | ' ' | '#' | 'h') => {}
                other => break other,
            }
        };
        let wide = long > 0 || matches!(kind, Some('e' | 'f' | 'g' | 'E' | 'F' | 'G' | 'p' | 's'));
        let Some(kind) = kind.filter(|&kind| kind != '%') else {
            out.push('%');
            continue;
        };
        let bytes = if wide { 8 } else { 4 };
        at = at.next_multiple_of(u64::from(bytes));
        let value = argument(at, bytes)?;
        at += u64::from(bytes);
        count += 1;
        out.push_str(&match kind {
            'd' | 'i' if wide => (value as i64).to_string(),
            'd' | 'i' => (value as u32 as i32).to_string(),
            'u' => value.to_string(),
            'x' => format!("{value:x}"),
            'X' => format!("{value:X}"),
            'o' => format!("{value:o}"),
            'c' => char::from(value as u8).to_string(),
            'e' | 'E' => format!("{:.*e}", precision.unwrap_or(6), f64::from_bits(value)),
            'f' | 'F' => format!("{:.*}", precision.unwrap_or(6), f64::from_bits(value)),
            'g' | 'G' => format!("{}", f64::from_bits(value)),
            _ => format!("{value:#x}"),
        });
    }
    Ok((out, count))
}

/// Prints what failed, as far as the message can be read.
pub fn assert_failed(step: &External, side: &mut Side, env: &mut Env<'_>, active: u32) {
    let Some(lane) = lanes(active).next() else { return };
    let mut part = |index: usize| {
        let at = *step.arguments.get(index)?;
        let address = word(side, lane, at).ok()?;
        text(address, lane, side, env).ok()
    };
    let (message, file) = (part(0).unwrap_or_default(), part(1).unwrap_or_default());
    eprintln!("{file}: assertion `{message}` failed");
}
