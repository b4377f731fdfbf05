//! The conversions that stand for the kernels' inline assembly, against `half`: every f16, and the floats around every
//! 16-bit value and every middle between two.

use half::{bf16, f16};

use crate::compiled::library;

#[test]
fn conversions() {
    let Some(library) = library() else { return };
    // SAFETY: kernels.cc gives them these types.
    let (narrow_bf16, narrow_f16, widen_f16) = unsafe {
        (
            library.function::<extern "C" fn(f32) -> u32>("narrow_bf16"),
            library.function::<extern "C" fn(f32) -> u32>("narrow_f16"),
            library.function::<extern "C" fn(u32) -> f32>("widen_f16"),
        )
    };
    let same = |found: f32, expected: f32| found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
    let check = |x: f32| {
        let (expected_bf16, expected_f16) = match x.is_nan() {
            true => (0x7fff, 0x7fff),
            false => (bf16::from_f32(x).to_bits(), f16::from_f32(x).to_bits()),
        };
        assert_eq!(narrow_bf16(x), u32::from(expected_bf16), "{x:e}");
        assert_eq!(narrow_f16(x), u32::from(expected_f16), "{x:e}");
    };
    for bits in 0..=u16::MAX {
        let value = f16::from_bits(bits).to_f32();
        assert!(same(widen_f16(bits.into()), value), "{bits:#x}");
        for base in [value.to_bits(), u32::from(bits) << 16] {
            for middle in [0, 0x8000, 0x1000] {
                for step in [-1, 0, 1] {
                    check(f32::from_bits(base.wrapping_add(middle).wrapping_add_signed(step)));
                }
            }
        }
    }
}
