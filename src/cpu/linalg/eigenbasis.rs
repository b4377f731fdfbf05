//! Directions in eigenbases. Twin: `src/cuda/linalg/eigenbasis.rs`.

use rayon::prelude::*;

use super::layer::{Clip, Whole, faer};
use super::memory::{slice, slice_mut};
use crate::element::Real;
use crate::error::Result;
use crate::fmath::{pow, powi};
use crate::linalg::{EigenBackend, Eigenbases, Epilogue, KlClip, LayerDirection, LayerGradient, Linear};
use crate::memory::MatMut;

/// The layers of a plan on the CPU.
pub(crate) struct CpuEigen<T> {
    layers: Vec<Linear>,
    /// V, then Y; Z, then U; W: of each layer.
    matrices: Vec<[Whole<T>; 3]>,
    epilogue: Epilogue,
    clip: Clip,
}

impl<T: Real> CpuEigen<T> {
    pub(crate) fn new(layers: Vec<Linear>, epilogue: Epilogue) -> Self {
        Self { matrices: Whole::threes(&layers), layers, epilogue, clip: Clip::new() }
    }
}

/// Scales an element of W; s and t are its eigenvalues, `moment` is its element of E.
fn scaling<T: Real>(epilogue: Epilogue) -> impl Fn(T, T, T, Option<&mut T>) -> T {
    let real = T::from_f64;
    let updated = move |w: T, moment: Option<&mut T>, beta: f64| {
        let moment = moment.expect("second moments of every layer");
        *moment = real(beta).fma(*moment, real(1.0 - beta) * w * w);
        *moment
    };
    move |w, s, t, moment| match epilogue {
        Epilogue::Damped { damping } => w / s.fma(t, real(damping)),
        Epilogue::Power { damping, exponent } => {
            let product = s * t;
            let product = if product < real(0.0) { real(0.0) } else { product };
            w * pow(product + real(damping), real(exponent))
        }
        Epilogue::SecondMoments { beta, damping } => w / (updated(w, moment, beta) + real(damping)),
        Epilogue::Adam { beta, epsilon, updates } => {
            let correction = real(1.0 / (1.0 - powi(beta, updates)));
            w / ((updated(w, moment, beta) * correction).sqrt() + real(epsilon))
        }
    }
}

/// Writes U; returns ⟨U, V⟩ as the sum that it is in the bases.
fn apply_one<T: Real>(
    layer: &Linear,
    [v, z, w]: &mut [Whole<T>; 3],
    epilogue: Epilogue,
    bases: &Eigenbases<'_, T>,
    moments: Option<&mut MatMut<'_, T>>,
    gradient: &LayerGradient<'_, T>,
    direction: &mut LayerDirection<'_, T>,
) -> f64 {
    let Eigenbases { left, right } = bases;
    let (mut moments_stride, mut moments_at) = (0, None);
    if let Some(moments) = moments {
        moments_stride = moments.stride();
        moments_at = Some(slice_mut(&mut moments.view));
    }
    v.set_gradient(layer, gradient);
    let first = match left {
        Some(left) => z.set_product(faer(&left.vectors).transpose(), v.faer()),
        None => &*v,
    };
    w.set_product(first.faer(), faer(&right.vectors));
    let scaled = scaling(epilogue);
    let t = slice(&right.values);
    let mut sum = 0.0;
    for (i, row) in w.at.chunks_exact_mut(w.columns).enumerate() {
        let s = left.as_ref().map_or(T::from_f64(1.0), |left| slice(&left.values)[i]);
        for (j, w) in row.iter_mut().enumerate() {
            let moment = moments_at.as_mut().map(|at| &mut at[i * moments_stride + j]);
            let to = scaled(*w, s, t[j], moment);
            sum += to.to_f64() * w.to_f64();
            *w = to;
        }
    }
    let (y, u) = (v, z);
    let first = match left {
        Some(left) => y.set_product(faer(&left.vectors), w.faer()),
        None => &*w,
    };
    u.set_product(first.faer(), faer(&right.vectors).transpose());
    u.store(layer, direction);
    sum
}

impl<T: Real> EigenBackend<T> for CpuEigen<T> {
    fn set_epilogue(&mut self, epilogue: Epilogue) -> Result<()> {
        self.epilogue = epilogue;
        Ok(())
    }

    fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        self.clip.set(clip);
        Ok(())
    }

    fn apply(
        &mut self,
        bases: &[Eigenbases<'_, T>],
        moments: &mut [MatMut<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()> {
        if let Epilogue::Adam { updates, .. } = &mut self.epilogue {
            *updates = updates.saturating_add(1);
        }
        let mut moments: Vec<_> = moments.iter_mut().map(Some).collect();
        moments.resize_with(self.layers.len(), || None);
        let epilogue = self.epilogue;
        let own = self.layers.par_iter().zip(&mut self.matrices);
        let tasks = own.zip(bases).zip(gradients).zip(moments).zip(&mut *directions).with_max_len(1);
        let sums = tasks.map(|(((((layer, matrices), bases), gradient), moments), direction)| {
            apply_one(layer, matrices, epilogue, bases, moments, gradient, direction)
        });
        sums.collect_into_vec(&mut self.clip.sums);
        self.clip.finish(&self.layers, directions);
        Ok(())
    }

    fn clip_factor(&self) -> Result<f64> {
        Ok(self.clip.factor)
    }
}
