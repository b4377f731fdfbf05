//! Results of a kernel beside candle's.

use candle_core::Tensor;

use crate::device::{Number, Outcome, elements};

/// How near a kernel must come.
pub enum Agreement {
    /// The same bits; a NaN is like any other.
    Exact,
    /// So many units in the last place of the result.
    Ulps(f64),
    /// So many units in the last place of these magnitudes.
    Of(f64, Vec<f64>),
}

/// Prints a line; an error where a result is not what it must be.
pub fn compare<T: Number>(name: &str, found: &[T], expected: &Tensor, agreement: &Agreement) -> Outcome<()> {
    let expected = elements::<T>(expected)?;
    if found.len() != expected.len() || found.is_empty() {
        return Err(format!("{name}: {} results, candle has {}", found.len(), expected.len()).into());
    }
    let mut worst: f64 = 0.0;
    for (index, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
        let (f, e) = (found.to_f64(), expected.to_f64());
        let same = found.word() == expected.word() || f.is_nan() && e.is_nan();
        let (distance, bound) = match agreement {
            _ if same => continue,
            Agreement::Exact => (f64::INFINITY, 0.0),
            Agreement::Ulps(bound) => (distance::<T>(f, e, e), *bound),
            Agreement::Of(bound, magnitudes) => (distance::<T>(f, e, magnitudes[index]), *bound),
        };
        worst = worst.max(distance);
        if distance.is_nan() || distance > bound {
            let (a, b) = (u64::from_le_bytes(found.word()), u64::from_le_bytes(expected.word()));
            return Err(format!("{name}: element {index} is {f:e} ({a:#x}), candle has {e:e} ({b:#x})").into());
        }
    }
    let verdict = match agreement {
        Agreement::Exact => "exact".to_owned(),
        Agreement::Ulps(bound) => format!("bound {bound} ulp, worst {worst:.2}"),
        Agreement::Of(bound, _) => format!("bound {bound} ulp of the operands' magnitude, worst {worst:.2}"),
    };
    println!("{name:<18} {:>6} elements  {verdict}", found.len());
    Ok(())
}

/// The difference in units in the last place of a magnitude.
fn distance<T: Number>(found: f64, expected: f64, magnitude: f64) -> f64 {
    let exponent = magnitude.abs().max(T::LEAST).log2().floor();
    (found - expected).abs() / (exponent.exp2() * T::EPSILON)
}
