//! Layers with eigenbases: what they are in f64, by the formula, and where they lie on a device. Programs use a part of it.

#![allow(dead_code)]

use gradus::element::Real;
use gradus::linalg::{EigenApply, EigenLayer, Eigenbases, Eigenbasis, Epilogue, LayerDirection, LayerGradient, Linear};
use gradus::{Device, MatMut, MatRef, Result};

use crate::common::data::{Numbers, seed};
use crate::common::memory::Guarded;

const fn layer(inputs: usize, outputs: usize, bias: bool, left: bool) -> EigenLayer {
    EigenLayer { linear: Linear { inputs, outputs, bias }, left }
}

pub const LAYERS: [EigenLayer; 6] = [
    layer(1, 1, false, true),
    layer(64, 64, true, true),
    layer(65, 3, true, false),
    layer(30, 130, true, true),
    layer(100, 20, false, true),
    layer(10, 70, false, false),
];

pub const EPILOGUES: [Epilogue; 5] = [
    Epilogue::Damped { damping: 0.05 },
    Epilogue::Power { damping: 0.05, exponent: -0.25 },
    Epilogue::Power { damping: 0.1, exponent: -0.5 },
    Epilogue::SecondMoments { beta: 0.9, damping: 0.05 },
    Epilogue::Adam { beta: 0.9, epsilon: 1e-2, updates: 3 },
];

/// A matrix row after row, in the numbers of a type.
#[derive(Clone)]
pub struct Matrix {
    pub columns: usize,
    pub at: Vec<f64>,
}

impl Matrix {
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { columns, at: vec![0.0; rows * columns] }
    }

    pub fn rows(&self) -> usize {
        self.at.len() / self.columns
    }

    pub fn normal<T: Real>(rows: usize, columns: usize, numbers: &mut Numbers) -> Self {
        let at = (0..rows * columns).map(|_| T::from_f64(numbers.normal()).to_f64()).collect();
        Self { columns, at }
    }

    /// An orthogonal matrix, by Gram and Schmidt: no symmetric one.
    pub fn orthogonal<T: Real>(order: usize, numbers: &mut Numbers) -> Self {
        let mut own = Self::normal::<T>(order, order, numbers);
        for i in 0..order {
            for _ in 0..2 {
                for j in 0..i {
                    let (before, rest) = own.at.split_at_mut(i * order);
                    let (other, row) = (&before[j * order..][..order], &mut rest[..order]);
                    let along: f64 = other.iter().zip(&*row).map(|(x, y)| x * y).sum();
                    row.iter_mut().zip(other).for_each(|(y, x)| *y -= along * x);
                }
            }
            let row = &mut own.at[i * order..][..order];
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
        own.at.iter_mut().for_each(|x| *x = T::from_f64(*x).to_f64());
        own
    }

    pub fn transposed(&self) -> Self {
        let mut own = Self::zeros(self.columns, self.rows());
        for (i, row) in self.at.chunks_exact(self.columns).enumerate() {
            row.iter().enumerate().for_each(|(j, x)| own.at[j * own.columns + i] = *x);
        }
        own
    }

    pub fn times(&self, other: &Self) -> Self {
        let mut own = Self::zeros(self.rows(), other.columns);
        for (to, row) in own.at.chunks_exact_mut(other.columns).zip(self.at.chunks_exact(self.columns)) {
            for (factor, from) in row.iter().zip(other.at.chunks_exact(other.columns)) {
                to.iter_mut().zip(from).for_each(|(x, y)| *x += factor * y);
            }
        }
        own
    }

    pub fn norm(&self) -> f64 {
        self.at.iter().map(|x| x * x).sum::<f64>().sqrt()
    }
}

/// The arguments of a layer, as f64 has them.
#[derive(Clone)]
pub struct Exact {
    pub layer: Linear,
    pub left: Option<(Matrix, Vec<f64>)>,
    pub right: (Matrix, Vec<f64>),
    pub moments: Matrix,
    /// Whole, the bias last.
    pub gradient: Matrix,
}

impl Exact {
    pub fn new<T: Real>(EigenLayer { linear: layer, left }: EigenLayer, numbers: &mut Numbers) -> Self {
        // The least eigenvalue is below zero, as rounding can leave it.
        let mut basis = |order: usize| {
            let vectors = Matrix::orthogonal::<T>(order, numbers);
            let value = |k: usize| if k == 0 && order > 1 { -0.02 } else { 0.05 + k as f64 / order as f64 };
            (vectors, (0..order).map(|k| T::from_f64(value(k)).to_f64()).collect())
        };
        let (left, right) = (left.then(|| basis(layer.outputs)), basis(layer.columns()));
        let moments = Matrix::normal::<T>(layer.outputs, layer.columns(), numbers);
        let gradient = Matrix::normal::<T>(layer.outputs, layer.columns(), numbers);
        let moments = Matrix { at: moments.at.iter().map(|x| x.abs()).collect(), ..moments };
        Self { layer, left, right, moments, gradient }
    }

    /// Without an orthogonal basis, which takes long to make.
    pub fn unchecked(layer: Linear, numbers: &mut Numbers) -> Self {
        let [rows, columns] = [layer.outputs, layer.columns()];
        let mut matrix = |rows: usize, columns: usize| {
            let draw = Matrix::normal::<f32>(rows, columns, numbers);
            Matrix { at: draw.at.iter().map(|x| x.abs()).collect(), ..draw }
        };
        let mut basis = |order: usize| (matrix(order, order), vec![1.0; order]);
        let (left, right) = (Some(basis(rows)), basis(columns));
        Self { layer, left, right, moments: matrix(rows, columns), gradient: matrix(rows, columns) }
    }

    pub fn all<T: Real>() -> Vec<Self> {
        let mut numbers = Numbers::new(seed());
        LAYERS.iter().map(|layer| Self::new::<T>(*layer, &mut numbers)).collect()
    }

    /// `U`, and `E` as it becomes, after `updates` of it.
    pub fn direction(&mut self, epilogue: Epilogue, update: u64) -> Matrix {
        let ((right, t), v) = (&self.right, &self.gradient);
        let z = self.left.as_ref().map_or(v.clone(), |(left, _)| left.transposed().times(v));
        let mut w = z.times(right);
        for (place, w) in w.at.iter_mut().enumerate() {
            let (i, j) = (place / t.len(), place % t.len());
            let product = self.left.as_ref().map_or(1.0, |(_, s)| s[i]) * t[j];
            let e = &mut self.moments.at[place];
            let mut second = |beta: f64| {
                *e = beta * *e + (1.0 - beta) * *w * *w;
                *e
            };
            *w = match epilogue {
                Epilogue::Damped { damping } => *w / (product + damping),
                Epilogue::Power { damping, exponent } => *w * (product.max(0.0) + damping).powf(exponent),
                Epilogue::SecondMoments { beta, damping } => *w / (second(beta) + damping),
                Epilogue::Adam { beta, epsilon, updates } => {
                    let correction = 1.0 - beta.powi((updates + update) as i32);
                    *w / ((second(beta) / correction).sqrt() + epsilon)
                }
            };
        }
        let y = self.left.as_ref().map_or(w.clone(), |(left, _)| left.times(&w));
        y.times(&right.transposed())
    }
}

/// The arguments of a layer on a device, whose rows lie `gap` elements apart.
pub struct Stored<T: Real> {
    pub layer: Linear,
    pub gap: usize,
    pub left: Option<[Guarded<T>; 2]>,
    pub right: [Guarded<T>; 2],
    pub moments: Guarded<T>,
    pub weight: Guarded<T>,
    pub bias: Option<Guarded<T>>,
    pub to_weight: Guarded<T>,
    pub to_bias: Option<Guarded<T>>,
}

/// What stands between rows, which nobody may write.
const BETWEEN: f64 = 0.5;

impl<T: Real> Stored<T> {
    pub fn new(device: &Device, exact: &Exact, gap: usize) -> Self {
        let Exact { layer, left, right, moments, gradient } = exact;
        let place = |values: &[f64], offset: usize| {
            let values: Vec<T> = values.iter().map(|x| T::from_f64(*x)).collect();
            Guarded::new(device, &values, offset)
        };
        let spaced = |matrix: &Matrix, columns: usize| -> Vec<f64> {
            let row = |row: &[f64]| [&row[..columns], &vec![BETWEEN; gap]].concat();
            matrix.at.chunks_exact(matrix.columns).flat_map(row).collect()
        };
        let basis = |(vectors, values): &(Matrix, Vec<f64>)| {
            [place(&spaced(vectors, vectors.columns), gap % 4), place(values, gap % 3)]
        };
        let weight = spaced(gradient, layer.inputs);
        let bias: Vec<f64> = gradient.at.chunks_exact(gradient.columns).map(|row| row[row.len() - 1]).collect();
        Self {
            layer: *layer,
            gap,
            left: left.as_ref().map(basis),
            right: basis(right),
            moments: place(&spaced(moments, moments.columns), gap % 5),
            weight: place(&weight, gap % 2),
            bias: layer.bias.then(|| place(&bias, 1)),
            to_weight: place(&weight, 3),
            to_bias: layer.bias.then(|| place(&bias, 0)),
        }
    }

    /// The elements of a matrix. Panics where something between the rows has changed.
    pub fn matrix(&self, from: &Guarded<T>, columns: usize) -> Matrix {
        let elements = from.elements();
        let rows = elements.chunks_exact(columns + self.gap);
        assert!(rows.clone().all(|row| row[columns..].iter().all(|x| x.to_f64() == BETWEEN)), "a gap has changed");
        Matrix { columns, at: rows.flat_map(|row| &row[..columns]).map(|x| x.to_f64()).collect() }
    }

    pub fn direction(&self) -> Matrix {
        let weight = self.matrix(&self.to_weight, self.layer.inputs);
        let Some(bias) = &self.to_bias else { return weight };
        let row = |(row, bias): (&[f64], &T)| [row, &[bias.to_f64()]].concat();
        let at = weight.at.chunks_exact(weight.columns).zip(&bias.elements()).flat_map(row).collect();
        Matrix { columns: self.layer.columns(), at }
    }

    pub fn moments(&self) -> Matrix {
        self.matrix(&self.moments, self.layer.columns())
    }
}

/// The arguments of a call.
pub struct Arguments<'a, T: Real> {
    pub bases: Vec<Eigenbases<'a, T>>,
    pub moments: Vec<MatMut<'a, T>>,
    pub gradients: Vec<LayerGradient<'a, T>>,
    pub directions: Vec<LayerDirection<'a, T>>,
}

impl<'a, T: Real> Arguments<'a, T> {
    pub fn new(all: &'a mut [Stored<T>], epilogue: Epilogue) -> Self {
        let mut own = Self { bases: vec![], moments: vec![], gradients: vec![], directions: vec![] };
        for Stored { layer, gap, left, right, moments, weight, bias, to_weight, to_bias } in all {
            let Linear { inputs, outputs, .. } = *layer;
            let (columns, gap) = (layer.columns(), *gap);
            let left = left.as_ref().map(|[vectors, values]| Eigenbasis {
                vectors: MatRef::with_stride(vectors.view(), outputs, outputs, outputs + gap).unwrap(),
                values: values.view(),
            });
            let [vectors, values] = right;
            let vectors = MatRef::with_stride(vectors.view(), columns, columns, columns + gap).unwrap();
            own.bases.push(Eigenbases { left, right: Eigenbasis { vectors, values: values.view() } });
            if epilogue.has_moments() {
                let stride = columns + gap;
                own.moments.push(MatMut::with_stride(moments.view_mut(), outputs, columns, stride).unwrap());
            }
            let weight = MatRef::with_stride(weight.view(), outputs, inputs, inputs + gap).unwrap();
            own.gradients.push(LayerGradient { weight, bias: bias.as_ref().map(Guarded::view) });
            let weight = MatMut::with_stride(to_weight.view_mut(), outputs, inputs, inputs + gap).unwrap();
            own.directions.push(LayerDirection { weight, bias: to_bias.as_mut().map(Guarded::view_mut) });
        }
        own
    }

    pub fn apply(mut self, plan: &mut EigenApply<T>) -> Result<()> {
        plan.apply(&self.bases, &mut self.moments, &self.gradients, &mut self.directions)
    }
}

pub fn stored<T: Real>(device: &Device, exact: &[Exact]) -> Vec<Stored<T>> {
    const GAPS: [usize; 6] = [0, 3, 1, 4, 2, 7];
    exact.iter().zip(GAPS.into_iter().cycle()).map(|(exact, gap)| Stored::new(device, exact, gap)).collect()
}

pub fn layers(exact: &[Exact]) -> Vec<EigenLayer> {
    exact.iter().map(|exact| EigenLayer { linear: exact.layer, left: exact.left.is_some() }).collect()
}
