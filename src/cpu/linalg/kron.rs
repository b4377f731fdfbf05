//! Directions of Kronecker-factored preconditioners. Twin: `src/cuda/linalg/kron.rs`.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut as FaerMut, MatRef as FaerRef, Par};
use rayon::prelude::*;

use super::memory::{slice, slice_mut};
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Inverses, KlClip, KronBackend, LayerDirection, LayerGradient, Linear};
use crate::memory::MatRef;

/// The layers of a plan on the CPU.
pub(crate) struct CpuKron {
    layers: Vec<Linear>,
    clip: Option<KlClip>,
    factor: f64,
}

impl CpuKron {
    pub(crate) fn new(layers: Vec<Linear>) -> Self {
        Self { layers, clip: None, factor: 1.0 }
    }
}

fn faer<'a, T: Real>(matrix: &'a MatRef<'_, T>) -> FaerRef<'a, T> {
    let (rows, columns, stride) = (matrix.rows(), matrix.columns(), matrix.stride());
    FaerRef::from_row_major_slice_with_stride(slice(&matrix.view), rows, columns, stride)
}

/// Writes U; returns ⟨U, V⟩.
fn apply_one<T: Real>(
    layer: &Linear,
    inverses: &Inverses<'_, T>,
    gradient: &LayerGradient<'_, T>,
    direction: &mut LayerDirection<'_, T>,
) -> f64 {
    let (outputs, inputs, columns) = (layer.outputs, layer.inputs, layer.columns());
    let weights = slice(&gradient.weight.view);
    let mut v = vec![T::from_f64(0.0); outputs * columns];
    for (i, row) in v.chunks_exact_mut(columns).enumerate() {
        row[..inputs].copy_from_slice(&weights[i * gradient.weight.stride()..][..inputs]);
        if let Some(bias) = &gradient.bias {
            row[inputs] = slice(bias)[i];
        }
    }
    let par = if outputs.max(columns) >= 1024 { Par::rayon(0) } else { Par::Seq };
    let product = |left: FaerRef<'_, T>, right: FaerRef<'_, T>| {
        let mut to = vec![T::from_f64(0.0); outputs * columns];
        let target = FaerMut::from_row_major_slice_mut(&mut to, outputs, columns);
        matmul(target, Accum::Replace, left, right, T::from_f64(1.0), par);
        to
    };
    let of_v = FaerRef::from_row_major_slice(&v, outputs, columns);
    let u = match &inverses.left {
        Some(left) => {
            let between = product(faer(left), of_v);
            product(FaerRef::from_row_major_slice(&between, outputs, columns), faer(&inverses.right))
        }
        None => product(of_v, faer(&inverses.right)),
    };
    let stride = direction.weight.stride();
    let to = slice_mut(&mut direction.weight.view);
    for (i, row) in u.chunks_exact(columns).enumerate() {
        to[i * stride..][..inputs].copy_from_slice(&row[..inputs]);
    }
    if let Some(bias) = &mut direction.bias {
        slice_mut(bias).iter_mut().zip(u.chunks_exact(columns)).for_each(|(to, row)| *to = row[inputs]);
    }
    u.iter().zip(&v).map(|(u, v)| u.to_f64() * v.to_f64()).sum()
}

impl<T: Real> KronBackend<T> for CpuKron {
    fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        self.clip = clip;
        Ok(())
    }

    fn apply(
        &mut self,
        inverses: &[Inverses<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()> {
        let tasks = self.layers.par_iter().zip(inverses).zip(gradients).zip(&mut *directions).with_max_len(1);
        let apply = |(((layer, inverses), gradient), direction): (_, &mut _)| {
            let ((layer, inverses), gradient): ((&Linear, &Inverses<'_, T>), &LayerGradient<'_, T>) =
                ((layer, inverses), gradient);
            apply_one(layer, inverses, gradient, direction)
        };
        let sums: Vec<f64> = tasks.map(apply).collect();
        self.factor = self.clip.map_or(1.0, |KlClip { kappa, lr }| {
            let bound = kappa / (lr * lr * sums.iter().sum::<f64>());
            if bound > 0.0 && bound < 1.0 { bound.sqrt() } else { 1.0 }
        });
        if self.factor != 1.0 {
            let by = T::from_f64(self.factor);
            for (layer, direction) in self.layers.iter().zip(directions) {
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
        Ok(())
    }

    fn clip_factor(&self) -> Result<f64> {
        Ok(self.factor)
    }
}
