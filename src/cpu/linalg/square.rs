//! Passes over square matrices in row-major memory, cut into tiles that stay in the first cache.

use pulp::{Simd, WithSimd};

use crate::element::Real;

/// Elements a side of a tile.
const TILE: usize = 16;

/// Runs over the tiles on and below the diagonal: their first row and column, and their ends.
#[inline(always)]
fn lower_tiles(order: usize, mut visit: impl FnMut([usize; 2], [usize; 2])) {
    for top in (0..order).step_by(TILE) {
        for left in (0..=top).step_by(TILE) {
            visit([top, left], [(top + TILE).min(order), (left + TILE).min(order)]);
        }
    }
}

/// The greatest difference between an element and its mirror image; a NaN where an element is not finite.
pub(super) struct Asymmetry<'a, T> {
    pub(super) elements: &'a [T],
    pub(super) order: usize,
    pub(super) stride: usize,
}

impl<T: Real> WithSimd for Asymmetry<'_, T> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> T {
        let Self { elements, order, stride } = self;
        let zero = T::from_f64(0.0);
        let (mut worst, mut poison) = ([zero; TILE], [zero; TILE]);
        lower_tiles(order, |[top, left], [bottom, right]| {
            if bottom - top == TILE && right - left == TILE {
                let mut mirrored = [[zero; TILE]; TILE];
                for j in 0..TILE {
                    let row = &elements[(left + j) * stride + top..][..TILE];
                    for i in 0..TILE {
                        mirrored[i][j] = row[i];
                    }
                }
                for i in 0..TILE {
                    let row = &elements[(top + i) * stride + left..][..TILE];
                    for j in 0..TILE {
                        poison[j] = row[j].fma(zero, mirrored[i][j].fma(zero, poison[j]));
                        worst[j] = (row[j] - mirrored[i][j]).abs().maximum_number(worst[j]);
                    }
                }
            } else {
                for i in top..bottom {
                    for j in left..right {
                        let (x, other) = (elements[i * stride + j], elements[j * stride + i]);
                        poison[0] = x.fma(zero, other.fma(zero, poison[0]));
                        worst[0] = (x - other).abs().maximum_number(worst[0]);
                    }
                }
            }
        });
        let poisoned = poison.iter().any(|sum| *sum != zero);
        let worst = worst.into_iter().fold(zero, T::maximum_number);
        if poisoned { T::from_f64(f64::NAN) } else { worst }
    }
}

/// Writes what stands above the diagonal below it as well.
pub(super) struct MirrorUpper<'a, T> {
    pub(super) elements: &'a mut [T],
    pub(super) order: usize,
    pub(super) stride: usize,
}

impl<T: Real> WithSimd for MirrorUpper<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { elements, order, stride } = self;
        lower_tiles(order, |[top, left], [bottom, right]| {
            if top != left && bottom - top == TILE {
                let mut mirrored = [[T::from_f64(0.0); TILE]; TILE];
                for j in 0..TILE {
                    let row = &elements[(left + j) * stride + top..][..TILE];
                    for i in 0..TILE {
                        mirrored[i][j] = row[i];
                    }
                }
                for (i, row) in mirrored.iter().enumerate() {
                    elements[(top + i) * stride + left..][..TILE].copy_from_slice(row);
                }
            } else {
                for i in top..bottom {
                    for j in left..right.min(i) {
                        elements[i * stride + j] = elements[j * stride + i];
                    }
                }
            }
        });
    }
}
