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

/// The transpose of the tile from an element on. Four times the halves of its 256 elements are interleaved, which rotates the
/// eight bits of an element's place by four: those of its row and of its column change places. So written it is vectorised.
#[inline(always)]
fn transposed<T: Real>(elements: &[T], stride: usize, top: usize, left: usize) -> [[T; TILE]; TILE] {
    let mut tile = [[T::from_f64(0.0); TILE]; TILE];
    for (i, row) in tile.iter_mut().enumerate() {
        row.copy_from_slice(&elements[(top + i) * stride + left..][..TILE]);
    }
    for _ in 0..TILE.ilog2() {
        let from = tile;
        let (first, second) = from.as_flattened().split_at(TILE * TILE / 2);
        let (pairs, _) = tile.as_flattened_mut().as_chunks_mut::<2>();
        for ((pair, x), y) in pairs.iter_mut().zip(first).zip(second) {
            *pair = [*x, *y];
        }
    }
    tile
}

/// The greatest difference between an element and its mirror image; a NaN where an element is not finite, or the difference.
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
        // A difference is not finite where an element is not.
        let note = |difference: T, worst: &mut T, poison: &mut T| {
            let distance = difference.abs();
            *worst = if distance > *worst { distance } else { *worst };
            *poison = difference.fma(zero, *poison);
        };
        lower_tiles(order, |[top, left], [bottom, right]| {
            if bottom - top == TILE && right - left == TILE {
                let mirrored = transposed(elements, stride, left, top);
                for i in 0..TILE {
                    let row = &elements[(top + i) * stride + left..][..TILE];
                    for j in 0..TILE {
                        note(row[j] - mirrored[i][j], &mut worst[j], &mut poison[j]);
                    }
                }
            } else {
                for i in top..bottom {
                    for j in left..right {
                        note(elements[i * stride + j] - elements[j * stride + i], &mut worst[0], &mut poison[0]);
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
                let mirrored = transposed(elements, stride, left, top);
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
