//! What directions of layers share: products, gradients and directions as one matrix, the clip.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut as FaerMut, MatRef as FaerRef, Par};

use super::memory::{slice, slice_mut};
use crate::element::Real;
use crate::linalg::{KlClip, LayerDirection, LayerGradient, Linear};
use crate::memory::MatRef;

pub(super) fn faer<'a, T: Real>(matrix: &'a MatRef<'_, T>) -> FaerRef<'a, T> {
    let (rows, columns, stride) = (matrix.rows(), matrix.columns(), matrix.stride());
    FaerRef::from_row_major_slice_with_stride(slice(&matrix.view), rows, columns, stride)
}

/// A matrix of a layer \[outputs×columns\], the bias last.
pub(super) struct Whole<T> {
    pub(super) at: Vec<T>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<T: Real> Whole<T> {
    fn zeros(layer: &Linear) -> Self {
        let (rows, columns) = (layer.outputs, layer.columns());
        Self { at: vec![T::from_f64(0.0); rows * columns], rows, columns }
    }

    pub(super) fn of_gradient(layer: &Linear, gradient: &LayerGradient<'_, T>) -> Self {
        let inputs = layer.inputs;
        let weights = slice(&gradient.weight.view);
        let mut own = Self::zeros(layer);
        for (i, row) in own.at.chunks_exact_mut(own.columns).enumerate() {
            row[..inputs].copy_from_slice(&weights[i * gradient.weight.stride()..][..inputs]);
            if let Some(bias) = &gradient.bias {
                row[inputs] = slice(bias)[i];
            }
        }
        own
    }

    pub(super) fn faer(&self) -> FaerRef<'_, T> {
        FaerRef::from_row_major_slice(&self.at, self.rows, self.columns)
    }

    /// Of two factors. Nothing but the layer decides how many threads work.
    pub(super) fn product(layer: &Linear, left: FaerRef<'_, T>, right: FaerRef<'_, T>) -> Self {
        let mut own = Self::zeros(layer);
        let par = if own.rows.max(own.columns) >= 1024 { Par::rayon(0) } else { Par::Seq };
        let target = FaerMut::from_row_major_slice_mut(&mut own.at, own.rows, own.columns);
        matmul(target, Accum::Replace, left, right, T::from_f64(1.0), par);
        own
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
}

impl Clip {
    pub(super) fn new() -> Self {
        Self { clip: None, factor: 1.0 }
    }

    pub(super) fn set(&mut self, clip: Option<KlClip>) {
        self.clip = clip;
    }

    /// Multiplies the directions by ν; `sums` are ⟨U, V⟩ of each layer.
    pub(super) fn finish<T: Real>(
        &mut self,
        layers: &[Linear],
        sums: &[f64],
        directions: &mut [LayerDirection<'_, T>],
    ) {
        self.factor = self.clip.map_or(1.0, |clip| clip.factor(sums.iter().sum()));
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
