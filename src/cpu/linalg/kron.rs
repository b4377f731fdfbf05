//! Directions of Kronecker-factored preconditioners. Twin: `src/cuda/linalg/kron.rs`.

use rayon::prelude::*;

use super::layer::{Clip, Whole, faer};
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Inverses, KlClip, KronBackend, LayerDirection, LayerGradient, Linear};

/// The layers of a plan on the CPU.
pub(crate) struct CpuKron {
    layers: Vec<Linear>,
    clip: Clip,
}

impl CpuKron {
    pub(crate) fn new(layers: Vec<Linear>) -> Self {
        Self { layers, clip: Clip::new() }
    }
}

/// Writes U; returns ⟨U, V⟩.
fn apply_one<T: Real>(
    layer: &Linear,
    inverses: &Inverses<'_, T>,
    gradient: &LayerGradient<'_, T>,
    direction: &mut LayerDirection<'_, T>,
) -> f64 {
    let v = Whole::of_gradient(layer, gradient);
    let between = inverses.left.as_ref().map(|left| Whole::product(layer, faer(left), v.faer()));
    let u = Whole::product(layer, between.as_ref().unwrap_or(&v).faer(), faer(&inverses.right));
    u.store(layer, direction);
    u.at.iter().zip(&v.at).map(|(u, v)| u.to_f64() * v.to_f64()).sum()
}

impl<T: Real> KronBackend<T> for CpuKron {
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
        let tasks = self.layers.par_iter().zip(inverses).zip(gradients).zip(&mut *directions).with_max_len(1);
        let apply = |(((layer, inverses), gradient), direction): (_, &mut _)| {
            let ((layer, inverses), gradient): ((&Linear, &Inverses<'_, T>), &LayerGradient<'_, T>) =
                ((layer, inverses), gradient);
            apply_one(layer, inverses, gradient, direction)
        };
        let sums: Vec<f64> = tasks.map(apply).collect();
        self.clip.finish(&self.layers, &sums, directions);
        Ok(())
    }

    fn clip_factor(&self) -> Result<f64> {
        Ok(self.clip.factor)
    }
}
