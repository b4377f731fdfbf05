//! Directions of Kronecker-factored preconditioners. Twin: `src/cuda/linalg/kron.rs`.

use rayon::prelude::*;

use super::layer::{Clip, Whole, faer};
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Inverses, KlClip, KronBackend, LayerDirection, LayerGradient, Linear};

/// The layers of a plan on the CPU.
pub(crate) struct CpuKron<T> {
    layers: Vec<Linear>,
    /// V, G⁻¹·V and U of each layer.
    matrices: Vec<[Whole<T>; 3]>,
    clip: Clip,
}

impl<T: Real> CpuKron<T> {
    pub(crate) fn new(layers: Vec<Linear>) -> Self {
        Self { matrices: Whole::threes(&layers), layers, clip: Clip::new() }
    }
}

/// Writes U; returns ⟨U, V⟩.
fn apply_one<T: Real>(
    layer: &Linear,
    [v, between, u]: &mut [Whole<T>; 3],
    inverses: &Inverses<'_, T>,
    gradient: &LayerGradient<'_, T>,
    direction: &mut LayerDirection<'_, T>,
) -> f64 {
    v.set_gradient(layer, gradient);
    let first = match &inverses.left {
        Some(left) => between.set_product(faer(left), v.faer()),
        None => &*v,
    };
    u.set_product(first.faer(), faer(&inverses.right));
    u.store(layer, direction);
    u.at.iter().zip(&v.at).map(|(u, v)| u.to_f64() * v.to_f64()).sum()
}

impl<T: Real> KronBackend<T> for CpuKron<T> {
    fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        self.clip.set(clip);
        Ok(())
    }

    fn apply(
        &mut self,
        inverses: &[Inverses<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()> {
        let own = self.layers.par_iter().zip(&mut self.matrices);
        let tasks = own.zip(inverses).zip(gradients).zip(&mut *directions).with_max_len(1);
        let sums = tasks.map(|((((layer, matrices), inverses), gradient), direction)| {
            apply_one(layer, matrices, inverses, gradient, direction)
        });
        sums.collect_into_vec(&mut self.clip.sums);
        self.clip.finish(&self.layers, directions);
        Ok(())
    }

    fn clip_factor(&self) -> Result<f64> {
        Ok(self.clip.factor)
    }
}
