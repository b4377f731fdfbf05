//! Loads and stores.

use super::PARAMETER_WINDOW;
use super::block::Env;
use super::registers::{Registers, extended, lanes};
use super::rounds::{double_result, word_result};
use super::warp::Side;
use crate::check::{AccessError, AccessErrorKind};
use crate::lower::{Access, Part, Place, Window};
use crate::memory::{LOCAL_WINDOW, LaneBytes, SHARED_WINDOW, WINDOW, WarpAccess};

/// An address for each lane.
#[inline]
pub fn addresses(registers: &Registers, base: u32, offset: u64) -> [u64; 32] {
    let base = &registers.doubles[base as usize].0;
    std::array::from_fn(|lane| base[lane].wrapping_add(offset))
}

/// The window a generic address lies in, and where it begins.
fn window_of(address: u64) -> (Window, u64) {
    match address {
        SHARED_WINDOW.. if address - SHARED_WINDOW < WINDOW => (Window::Shared, SHARED_WINDOW),
        LOCAL_WINDOW.. if address < LOCAL_WINDOW + WINDOW => (Window::Local, LOCAL_WINDOW),
        PARAMETER_WINDOW.. if address < PARAMETER_WINDOW + WINDOW => (Window::Parameter, PARAMETER_WINDOW),
        _ => (Window::Global, 0),
    }
}

/// The lanes of a generic access by window, with addresses in it.
pub fn by_window(addresses: &[u64; 32], active: u32) -> impl Iterator<Item = (Window, u32, [u64; 32])> {
    let mut rest = active;
    std::iter::from_fn(move || {
        if rest == 0 {
            return None;
        }
        let (window, start) = window_of(addresses[rest.trailing_zeros() as usize]);
        let same = |group: u32, lane: usize| {
            if window_of(addresses[lane]).0 == window { group | 1 << lane } else { group }
        };
        let group = lanes(rest).fold(0, same);
        rest &= !group;
        Some((window, group, addresses.map(|address| address.wrapping_sub(start))))
    })
}

/// Executes a load. Inlined into the interpreter, to be compiled for its vectors.
#[inline(always)]
pub fn load(
    access: &Access,
    registers: &mut Registers,
    side: &mut Side,
    env: &mut Env<'_>,
    active: u32,
) -> Result<(), AccessError> {
    let addresses = addresses(registers, access.base, access.offset);
    let bytes = access.element * access.parts.len() as u32;
    if access.window == Window::Generic {
        load_generic(access, &addresses, active, bytes, side, env)?;
    } else {
        load_window(access, access.window, &addresses, active, bytes, side, env)?;
    }
    match (access.element, access.parts.len()) {
        (4, 1) => unpack_words::<1>(registers, access, &env.bytes, active),
        (4, 2) => unpack_words::<2>(registers, access, &env.bytes, active),
        (4, 4) => unpack_words::<4>(registers, access, &env.bytes, active),
        (8, 1) => unpack_doubles::<1>(registers, access, &env.bytes, active),
        (8, 2) => unpack_doubles::<2>(registers, access, &env.bytes, active),
        _ => unpack(registers, access, &env.bytes, active),
    }
    Ok(())
}

#[inline(never)]
fn load_generic(
    from: &Access,
    addresses: &[u64; 32],
    active: u32,
    bytes: u32,
    side: &mut Side,
    env: &mut Env<'_>,
) -> Result<(), AccessError> {
    for (window, group, addresses) in by_window(addresses, active) {
        load_window(from, window, &addresses, group, bytes, side, env)?;
    }
    Ok(())
}

fn load_window(
    from: &Access,
    window: Window,
    addresses: &[u64; 32],
    mask: u32,
    bytes: u32,
    side: &mut Side,
    env: &mut Env<'_>,
) -> Result<(), AccessError> {
    let access = WarpAccess { addresses, mask, bytes, place: &env.place };
    match window {
        Window::Global | Window::Generic => {
            let counters = if from.constant { &mut env.uncounted } else { &mut env.counters };
            if from.strong {
                env.global.strong_load(&access, &mut env.bytes, counters)
            } else {
                env.global.load(&access, &mut env.bytes, counters)
            }
        }
        Window::Shared => {
            env.shared.load(&access, &mut env.bytes, &mut env.counters)?;
            if from.strong {
                env.global.acquire(env.place.warp);
            }
            Ok(())
        }
        Window::Local => side.local.load(lanes(mask), addresses, bytes, &mut env.bytes),
        Window::Parameter => {
            for lane in lanes(mask) {
                let at = addresses[lane] as usize;
                let Some(found) = env.parameters.get(at..at.saturating_add(bytes as usize)) else {
                    return Err(AccessError {
                        kind: AccessErrorKind::OutOfBounds,
                        address: addresses[lane],
                        bytes,
                        lane: Some(lane as u32),
                        other: None,
                        detail: format!("a parameter block of {} bytes", env.parameters.len()),
                    });
                };
                let to = lane * bytes as usize;
                env.bytes[to..to + bytes as usize].copy_from_slice(found);
            }
            Ok(())
        }
    }
}

/// Vectors of N words into registers.
#[inline(always)]
fn unpack_words<const N: usize>(registers: &mut Registers, access: &Access, bytes: &LaneBytes, active: u32) {
    let (words, _) = bytes.as_chunks::<4>();
    let (vectors, _) = words.as_chunks::<N>();
    let mut out = [[0_u32; 32]; N];
    for lane in 0..32 {
        for index in 0..N {
            out[index][lane] = u32::from_le_bytes(vectors[lane][index]);
        }
    }
    for (part, out) in access.parts.iter().zip(&out) {
        match part {
            Some(Part { place: Place::Word(slot), .. }) => {
                word_result(&mut registers.words[*slot as usize].0, out, active);
            }
            Some(part) => widen(registers, part, out, active),
            None => {}
        }
    }
}

/// Words that go into wider registers.
#[inline(never)]
fn widen(registers: &mut Registers, part: &Part, words: &[u32; 32], active: u32) {
    for lane in lanes(active) {
        registers.set(part.place, lane, extended(words[lane].into(), 32, part.extend));
    }
}

/// Vectors of N doubles into registers.
#[inline(always)]
fn unpack_doubles<const N: usize>(registers: &mut Registers, access: &Access, bytes: &LaneBytes, active: u32) {
    let (doubles, _) = bytes.as_chunks::<8>();
    let (vectors, _) = doubles.as_chunks::<N>();
    let mut out = [[0_u64; 32]; N];
    for lane in 0..32 {
        for index in 0..N {
            out[index][lane] = u64::from_le_bytes(vectors[lane][index]);
        }
    }
    for (part, out) in access.parts.iter().zip(&out) {
        if let Some(Part { place: Place::Double(slot), .. }) = part {
            double_result(&mut registers.doubles[*slot as usize].0, out, active);
        }
    }
}

/// Elements of any size into registers.
#[inline(never)]
fn unpack(registers: &mut Registers, access: &Access, bytes: &LaneBytes, active: u32) {
    let element = access.element as usize;
    let stride = element * access.parts.len();
    for (index, part) in access.parts.iter().enumerate() {
        let Some(part) = part else { continue };
        for lane in lanes(active) {
            let at = lane * stride + index * element;
            let value = match element {
                1 => u64::from(bytes[at]),
                2 => u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])),
                _ => {
                    let mut value = [0; 8];
                    value[..element].copy_from_slice(&bytes[at..at + element]);
                    u64::from_le_bytes(value)
                }
            };
            registers.set(part.place, lane, extended(value, 8 * element as u32, part.extend));
        }
    }
}

/// Executes a store. Inlined into the interpreter, to be compiled for its vectors.
#[inline(always)]
pub fn store(
    access: &Access,
    registers: &Registers,
    side: &mut Side,
    env: &mut Env<'_>,
    active: u32,
) -> Result<(), AccessError> {
    let addresses = addresses(registers, access.base, access.offset);
    let bytes = access.element * access.parts.len() as u32;
    match (access.element, access.parts.len()) {
        (4, 1) => pack_words::<1>(registers, access, &mut env.bytes),
        (4, 2) => pack_words::<2>(registers, access, &mut env.bytes),
        (4, 4) => pack_words::<4>(registers, access, &mut env.bytes),
        _ => pack(registers, access, &mut env.bytes),
    }
    if access.window == Window::Generic {
        return store_generic(access, &addresses, active, bytes, side, env);
    }
    store_window(access, access.window, &addresses, active, bytes, side, env)
}

#[inline(never)]
fn store_generic(
    to: &Access,
    addresses: &[u64; 32],
    active: u32,
    bytes: u32,
    side: &mut Side,
    env: &mut Env<'_>,
) -> Result<(), AccessError> {
    for (window, group, addresses) in by_window(addresses, active) {
        store_window(to, window, &addresses, group, bytes, side, env)?;
    }
    Ok(())
}

fn store_window(
    to: &Access,
    window: Window,
    addresses: &[u64; 32],
    mask: u32,
    bytes: u32,
    side: &mut Side,
    env: &mut Env<'_>,
) -> Result<(), AccessError> {
    let access = WarpAccess { addresses, mask, bytes, place: &env.place };
    match window {
        Window::Global | Window::Generic if to.strong => {
            env.global.strong_store(&access, &env.bytes, &mut env.counters)
        }
        Window::Global | Window::Generic => env.global.store(&access, &env.bytes, &mut env.counters),
        Window::Shared => {
            if to.strong {
                env.global.release(env.place.warp);
            }
            env.shared.store(&access, &env.bytes, &mut env.counters)
        }
        Window::Local => side.local.store(lanes(mask), addresses, bytes, &env.bytes),
        Window::Parameter => Err(AccessError {
            kind: AccessErrorKind::OutOfBounds,
            address: addresses[mask.trailing_zeros() as usize],
            bytes,
            lane: Some(mask.trailing_zeros()),
            other: None,
            detail: "a kernel's parameters are read only".to_owned(),
        }),
    }
}

/// Registers into vectors of N words.
#[inline(always)]
fn pack_words<const N: usize>(registers: &Registers, access: &Access, bytes: &mut LaneBytes) {
    let mut from = [[0_u32; 32]; N];
    for (part, from) in access.parts.iter().zip(&mut from) {
        match part {
            Some(Part { place: Place::Word(slot), .. }) => *from = *registers.word(*slot),
            Some(part) => *from = std::array::from_fn(|lane| registers.get(part.place, lane) as u32),
            None => {}
        }
    }
    let (words, _) = bytes.as_chunks_mut::<4>();
    let (vectors, _) = words.as_chunks_mut::<N>();
    for lane in 0..32 {
        for index in 0..N {
            vectors[lane][index] = from[index][lane].to_le_bytes();
        }
    }
}

/// Registers into elements of any size.
#[inline(never)]
fn pack(registers: &Registers, access: &Access, bytes: &mut LaneBytes) {
    let element = access.element as usize;
    let stride = element * access.parts.len();
    for (index, part) in access.parts.iter().enumerate() {
        let Some(part) = part else { continue };
        for lane in 0..32 {
            let at = lane * stride + index * element;
            bytes[at..at + element].copy_from_slice(&registers.get(part.place, lane).to_le_bytes()[..element]);
        }
    }
}
