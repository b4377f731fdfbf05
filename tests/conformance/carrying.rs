//! A rule of the tests' own, for the CPU: it carries scalars from step to step and keeps three states, whichever of
//! the table's rules do.

use gradus::element::Real;
use gradus::fmath::{fma, real};
use gradus::rules::{Record, Rule, Settings, Value};
use gradus::{Device, Error, Result};

use crate::common::devices::cpus;
use crate::common::subjects::Subject;

/// A record of `N` fields without names of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<T, const N: usize>([T; N]);

impl<T, const N: usize> Record<T> for Row<T, N> {
    const NAMES: &'static [&'static str] = ["a", "b", "c", "d"].as_slice().split_at(N).0;
    type Of<U> = Row<U, N>;

    fn from_fn(f: impl FnMut(usize) -> T) -> Self {
        Self(std::array::from_fn(f))
    }

    fn nth(&self, position: usize) -> &T {
        &self.0[position]
    }

    fn gather<const M: usize>(columns: &Row<[T; M], N>, i: usize) -> Self
    where
        T: Copy,
    {
        Self(std::array::from_fn(|k| columns.0[k][i]))
    }

    fn scatter<const M: usize>(self, columns: &mut Row<[T; M], N>, i: usize) {
        for (column, value) in columns.0.iter_mut().zip(self.0) {
            column[i] = value;
        }
    }
}

/// Three running means at three rates, of which the last follows a schedule that is carried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Carrying {
    lr: f64,
    rate: f64,
}

impl Default for Carrying {
    fn default() -> Self {
        Self { lr: 0.125, rate: 0.25 }
    }
}

impl Settings for Carrying {
    type Hyper = Row<f64, 2>;

    fn hyper(&self) -> Row<f64, 2> {
        Row([self.lr, self.rate])
    }

    fn from_hyper(&Row([lr, rate]): &Row<f64, 2>) -> Result<Self> {
        Ok(Self { lr, rate })
    }

    fn scale_lr(Row([lr, _]): &mut Row<f64, 2>, factor: f64) {
        *lr *= factor;
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<()> {
        match (key, value) {
            ("lr", &Value::Number(lr)) => self.lr = lr,
            ("rate", &Value::Number(rate)) => self.rate = rate,
            _ => panic!("Carrying: {key} = {value}"),
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<()> {
        Ok::<(), Error>(())
    }
}

impl Rule for Carrying {
    const NAME: &'static str = "carrying";
    type Carry = Row<f64, 2>;
    type Scalars<T: Real> = Row<T, 4>;
    type State<T: Real> = Row<T, 3>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(2);

    fn tick(&Row([lr, rate]): &Row<f64, 2>, t: u64, Row([product, sum]): &mut Row<f64, 2>) -> Row<f64, 4> {
        *product = 0.5 * *product + rate;
        *sum += 1.0 / (t as f64 + *product);
        Row([lr, rate, *product / 4.0, *sum / (1.0 + *sum)])
    }

    fn update<T: Real>(&Row([lr, rate, product, share]): &Row<T, 4>, p: T, g: T, state: &mut Row<T, 3>) -> T {
        let Row([a, b, c]) = state;
        *a = fma(rate, g - *a, *a);
        *b = fma(product, *a - *b, *b);
        *c = fma(share, *b + g - *c, *c);
        fma(-lr, *c + *a * real(0.5), p)
    }
}

impl Subject for Carrying {
    fn presets() -> Vec<(&'static str, Self)> {
        vec![(Self::NAME, Self::default())]
    }

    fn devices() -> &'static [Device] {
        cpus()
    }
}
