//! What directions of layers share: products, gradients and directions as one matrix, the clip.

use std::array;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut as FaerMut, MatRef as FaerRef};

use super::memory::{slice, slice_mut};
use super::poly::parallelism;
use crate::element::Real;
use crate::linalg::{KlClip, LayerDirection, LayerGradient, Linear};
use crate::memory::MatRef;

pub(super) fn faer<'a, T: Real>(matrix: &'a MatRef<'_, T>) -> FaerRef<'a, T> {
    let (rows, columns, stride) = (matrix.rows(), matrix.columns(), matrix.stride());
    FaerRef::from_row_major_slice_with_stride(slice(&matrix.view), rows, columns, stride)
}

/// A matrix of a layer \[outputs×columns\], the bias last. It has memory from its first use on.
pub(super) struct Whole<T> {
    pub(super) at: Vec<T>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<T: Real> Whole<T> {
    /// Three for each layer.
    pub(super) fn threes(layers: &[Linear]) -> Vec<[Self; 3]> {
        let new = |layer: &Linear| Self { at: Vec::new(), rows: layer.outputs, columns: layer.columns() };
        layers.iter().map(|layer| array::from_fn(|_| new(layer))).collect()
    }

    /// The elements, whatever they are.
    fn elements(&mut self) -> &mut [T] {
        self.at.resize(self.rows * self.columns, T::zeroed());
        &mut self.at
    }

    pub(super) fn set_gradient(&mut self, layer: &Linear, gradient: &LayerGradient<'_, T>) {
        let (inputs, columns) = (layer.inputs, self.columns);
        let weights = slice(&gradient.weight.view);
        for (i, row) in self.elements().chunks_exact_mut(columns).enumerate() {
            row[..inputs].copy_from_slice(&weights[i * gradient.weight.stride()..][..inputs]);
            if let Some(bias) = &gradient.bias {
                row[inputs] = slice(bias)[i];
            }
        }
    }

    pub(super) fn faer(&self) -> FaerRef<'_, T> {
        FaerRef::from_row_major_slice(&self.at, self.rows, self.columns)
    }

    /// Becomes the product of two factors. Nothing but the layer decides how many threads work.
    pub(super) fn set_product(&mut self, left: FaerRef<'_, T>, right: FaerRef<'_, T>) -> &Self {
        let (rows, columns) = (self.rows, self.columns);
        let par = parallelism(rows.max(columns));
        let target = FaerMut::from_row_major_slice_mut(self.elements(), rows, columns);
        matmul(target, Accum::Replace, left, right, T::from_f64(1.0), par);
        self
    }

    pub(super) fn store(&self, layer: &Linear, direction: &mut LayerDirection<'_, T>) {
        let (inputs, stride) = (layer.inputs, direction.weight.stride());
        let rows = || self.at.chunks_exact(self.columns);
        let to = slice_mut(&mut direction.weight.view);
        for (i, row) in rows().enumerate() {
            to[i * stride..][..inputs].copy_from_slice(&row[..inputs]);
        }
        if let Some(bias) = &mut direction.bias {
            slice_mut(bias).iter_mut().zip(rows()).for_each(|(to, row)| *to = row[inputs]);
        }
    }
}

/// The KL clip of a list of layers.
pub(super) struct Clip {
    clip: Option<KlClip>,
    pub(super) factor: f64,
    /// ⟨U, V⟩ of each layer.
    pub(super) sums: Vec<f64>,
}

impl Clip {
    pub(super) fn new() -> Self {
        Self { clip: None, factor: 1.0, sums: Vec::new() }
    }

    pub(super) fn set(&mut self, clip: Option<KlClip>) {
        self.clip = clip;
    }

    /// Multiplies the directions by ν of the sums.
    pub(super) fn finish<T: Real>(&mut self, layers: &[Linear], directions: &mut [LayerDirection<'_, T>]) {
        self.factor = self.clip.map_or(1.0, |clip| clip.factor(self.sums.iter().sum()));
        if self.factor == 1.0 {
            return;
        }
        let by = T::from_f64(self.factor);
        for (layer, direction) in layers.iter().zip(directions) {
            let stride = direction.weight.stride();
            let weight = slice_mut(&mut direction.weight.view);
            for i in 0..layer.outputs {
                weight[i * stride..][..layer.inputs].iter_mut().for_each(|u| *u *= by);
            }
            if let Some(bias) = &mut direction.bias {
                slice_mut(bias).iter_mut().for_each(|u| *u *= by);
            }
        }
    }
}
