//! Integer arithmetic of one lane. Values are bits, zero-extended to 64; so are results.

use crate::ir::{Half, IntBinary, IntUnary, Type};

/// The low bits of a value.
#[inline]
pub fn low(value: u64, bits: u32) -> u64 {
    if bits >= 64 { value } else { value & ((1 << bits) - 1) }
}

/// The value of low bits, with the sign they have in a signed type.
#[inline]
pub fn signed(value: u64, bits: u32) -> i64 {
    (value << (64 - bits)) as i64 >> (64 - bits)
}

/// The value of low bits in a type, which fits.
fn wide(ty: Type, value: u64) -> i128 {
    if ty.is_signed() { i128::from(signed(value, ty.bits())) } else { i128::from(low(value, ty.bits())) }
}

fn minimum(ty: Type) -> i128 {
    if ty.is_signed() { -(1 << (ty.bits() - 1)) } else { 0 }
}

fn maximum(ty: Type) -> i128 {
    if ty.is_signed() { (1 << (ty.bits() - 1)) - 1 } else { (1 << ty.bits()) - 1 }
}

/// One source.
pub fn unary(op: IntUnary, ty: Type, a: u64) -> u64 {
    let bits = ty.bits();
    let result = match op {
        IntUnary::Abs => signed(a, bits).unsigned_abs(),
        IntUnary::Neg => a.wrapping_neg(),
        IntUnary::Not => !a,
        IntUnary::Cnot => u64::from(low(a, bits) == 0),
        IntUnary::Popc => u64::from(low(a, bits).count_ones()),
        IntUnary::Clz => u64::from(low(a, bits).leading_zeros() - (64 - bits)),
        IntUnary::Bfind | IntUnary::BfindShift => {
            // The highest bit that differs from the sign.
            let flipped = if ty.is_signed() && signed(a, bits) < 0 { !a } else { a };
            let zeros = low(flipped, bits).leading_zeros();
            match (zeros, op) {
                (64, _) => u64::from(u32::MAX),
                (_, IntUnary::BfindShift) => u64::from(zeros - (64 - bits)),
                _ => u64::from(63 - zeros),
            }
        }
        IntUnary::Brev => a.reverse_bits() >> (64 - bits),
    };
    let is_count = matches!(op, IntUnary::Popc | IntUnary::Clz | IntUnary::Bfind | IntUnary::BfindShift);
    if is_count { result } else { low(result, bits) }
}

/// Two sources. `None`: division by zero.
pub fn binary(op: IntBinary, ty: Type, a: u64, b: u64) -> Option<u64> {
    let bits = ty.bits();
    let (x, y) = (wide(ty, a), wide(ty, b));
    let result = match op {
        IntBinary::Add => a.wrapping_add(b),
        IntBinary::Sub => a.wrapping_sub(b),
        IntBinary::Div | IntBinary::Rem if y == 0 => return None,
        IntBinary::Div => (x / y) as u64,
        IntBinary::Rem => (x % y) as u64,
        IntBinary::Min => x.min(y) as u64,
        IntBinary::Max => x.max(y) as u64,
        IntBinary::And => a & b,
        IntBinary::Or => a | b,
        IntBinary::Xor => a ^ b,
        IntBinary::Shl => shl(low(a, bits), b as u32, bits),
        IntBinary::Shr => {
            let amount = (b as u32).min(if ty.is_signed() { bits - 1 } else { bits });
            (x >> amount) as u64
        }
        IntBinary::AddSat => (x + y).clamp(minimum(ty), maximum(ty)) as u64,
        IntBinary::SubSat => (x - y).clamp(minimum(ty), maximum(ty)) as u64,
    };
    Some(low(result, bits))
}

fn shl(a: u64, amount: u32, bits: u32) -> u64 {
    if amount >= bits { 0 } else { low(a << amount, bits) }
}

/// A half of a product, or all of it.
pub fn multiply(half: Half, ty: Type, a: u64, b: u64) -> u64 {
    let bits = ty.bits();
    // The product of two u64 does not fit i128; its low 128 bits are right all the same.
    let product = wide(ty, a).wrapping_mul(wide(ty, b));
    match half {
        Half::Low => low(product as u64, bits),
        Half::High => low((product as u128 >> bits) as u64, bits),
        Half::Wide => low(product as u64, 2 * bits),
    }
}

/// A product and a sum.
pub fn multiply_add(half: Half, sat: bool, ty: Type, a: u64, b: u64, c: u64) -> u64 {
    let bits = ty.bits();
    let product = multiply(half, ty, a, b);
    if sat {
        let sum = wide(ty, product) + wide(ty, c);
        return low(sum.clamp(minimum(ty), maximum(ty)) as u64, bits);
    }
    low(product.wrapping_add(c), if half == Half::Wide { 2 * bits } else { bits })
}

/// Of 24-bit operands: bits 0 to 31, or 16 to 47, of the product, plus `c`.
pub fn multiply24(ty: Type, high: bool, a: u64, b: u64, c: u64) -> u64 {
    let cut = |value: u64| if ty.is_signed() { signed(value, 24) } else { low(value, 24) as i64 };
    let product = cut(a) * cut(b);
    low((if high { product >> 16 } else { product } as u64).wrapping_add(c), 32)
}

/// `|a - b| + c`.
pub fn absolute_difference(ty: Type, a: u64, b: u64, c: u64) -> u64 {
    let difference = (wide(ty, a) - wide(ty, b)).unsigned_abs() as u64;
    low(difference.wrapping_add(c), ty.bits())
}

/// Bits `position` to `position + length - 1`, sign-extended in signed types.
pub fn extract(ty: Type, a: u64, position: u64, length: u64) -> u64 {
    let bits = ty.bits();
    let (position, length) = ((position & 0xff) as u32, (length & 0xff) as u32);
    if length == 0 {
        return 0;
    }
    let a = low(a, bits);
    let sign_at = (position + length - 1).min(bits - 1);
    let sign = ty.is_signed() && a >> sign_at & 1 == 1;
    let found = if position >= 64 { 0 } else { a >> position };
    let available = length.min(bits.saturating_sub(position));
    let kept = low(found, available);
    low(if sign { if available >= 64 { kept } else { kept | !0 << available } } else { kept }, bits)
}

/// The low `length` bits of `a` at `position` of `b`.
pub fn insert(ty: Type, a: u64, b: u64, position: u64, length: u64) -> u64 {
    let bits = ty.bits();
    let (position, length) = ((position & 0xff) as u32, (length & 0xff) as u32);
    if position >= bits {
        return low(b, bits);
    }
    let mask = low(!0, length) << position;
    low(b & !mask | a << position & mask, bits)
}

/// `prmt`: four bytes picked from b:a.
pub fn permute(mode: Option<u8>, a: u64, b: u64, c: u64) -> u64 {
    let bytes = (low(b, 32) << 32 | low(a, 32)).to_le_bytes();
    let control = (c & 3) as usize;
    let pick = |index: usize| -> u8 {
        let from = match mode {
            None => {
                let selector = (c >> (4 * index) & 0xf) as usize;
                let byte = bytes[selector & 7];
                return if selector & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 };
            }
            // f4e, b4e, rc8, ecl, ecr, rc16
            Some(0) => control + index,
            Some(1) => (8 + control - index) & 7,
            Some(2) => control,
            Some(3) => index.max(control),
            Some(4) => index.min(control),
            Some(_) => (control & 1) * 2 + (index & 1),
        };
        bytes[from & 7]
    };
    u64::from(u32::from_le_bytes([pick(0), pick(1), pick(2), pick(3)]))
}

/// Funnel shift of b:a.
pub fn funnel(left: bool, wrap: bool, a: u64, b: u64, amount: u64) -> u64 {
    let amount = if wrap { amount as u32 & 31 } else { (amount as u32).min(32) };
    let pair = low(b, 32) << 32 | low(a, 32);
    low(if left { pair << amount >> 32 } else { pair >> amount }, 32)
}
