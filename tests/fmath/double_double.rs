//! Sums of two doubles, about 104 bits, and elementary functions of them by Taylor series. Only what the tests need.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `high + low`, with `|low|` at most half a place of `high`.
#[derive(Clone, Copy, Debug)]
pub struct Dd {
    pub high: f64,
    pub low: f64,
}

/// Correctly rounded to 106 bits.
pub const LN_2: Dd = Dd { high: 0.6931471805599453, low: 2.3190468138462996e-17 };
pub const LOG2_E: Dd = Dd { high: 1.4426950408889634, low: 2.0355273740931033e-17 };
pub const PI: Dd = Dd { high: 3.141592653589793, low: 1.2246467991473532e-16 };

#[inline(always)]
fn two_sum(a: f64, b: f64) -> Dd {
    let high = a + b;
    let b_part = high - a;
    Dd { high, low: (a - (high - b_part)) + (b - b_part) }
}

/// For `|a| ≥ |b|`.
#[inline(always)]
fn fast_two_sum(a: f64, b: f64) -> Dd {
    let high = a + b;
    Dd { high, low: b - (high - a) }
}

impl Dd {
    pub const ONE: Self = Self { high: 1.0, low: 0.0 };

    #[inline(always)]
    pub fn new(x: f64) -> Self {
        Self { high: x, low: 0.0 }
    }

    #[inline(always)]
    pub fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    /// Times a power of two.
    #[inline(always)]
    pub fn scaled(self, factor: f64) -> Self {
        Self { high: self.high * factor, low: self.low * factor }
    }
}

impl Add for Dd {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (high, low) = (two_sum(self.high, other.high), two_sum(self.low, other.low));
        let sum = fast_two_sum(high.high, high.low + low.high);
        fast_two_sum(sum.high, sum.low + low.low)
    }
}

impl Neg for Dd {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Sub for Dd {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Dd {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let p = Self::product(self.high, other.high);
        let cross = self.high.mul_add(other.low, self.low.mul_add(other.high, self.low * other.low));
        fast_two_sum(p.high, p.low + cross)
    }
}

impl Div for Dd {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * Self::new(first);
        let second = rest.high / other.high;
        let rest = rest - other * Self::new(second);
        fast_two_sum(first, second) + Self::new(rest.high / other.high)
    }
}

/// `1/0! 1/1! .. 1/(N-1)!`
fn inverse_factorials<const N: usize>() -> [Dd; N] {
    let mut factorial = Dd::ONE;
    std::array::from_fn(|n| {
        factorial = factorial * Dd::new(n.max(1) as f64);
        Dd::ONE / factorial
    })
}

/// The coefficients of the series.
pub struct Reference {
    inverse_factorials: [Dd; 30],
    inverse_odds: [Dd; 22],
}

impl Reference {
    pub fn new() -> Self {
        let inverse_odds = std::array::from_fn(|n| Dd::ONE / Dd::new((2 * n + 1) as f64));
        Self { inverse_factorials: inverse_factorials(), inverse_odds }
    }

    /// `Σ zⁿ/(first + 2n)!`, |z| ≤ 1.
    #[inline(always)]
    fn every_second(&self, first: usize, z: Dd) -> Dd {
        let mut sum = Dd::new(0.0);
        for n in (0..15).rev() {
            sum = sum * z + self.inverse_factorials[first + 2 * n];
        }
        sum
    }

    /// `e^x = m·2^k`, as (m, k), |x| ≤ 1500.
    #[inline(always)]
    pub fn exp(&self, x: Dd) -> (Dd, f64) {
        let k = (x.high * LOG2_E.high + 6755399441055744.0) - 6755399441055744.0;
        let r = (x - LN_2 * Dd::new(k)).scaled(1.0 / 16.0);
        let mut sum = Dd::new(0.0);
        for n in (0..15).rev() {
            sum = sum * r + self.inverse_factorials[n];
        }
        for _ in 0..4 {
            sum = sum * sum;
        }
        (sum, k)
    }

    /// The natural logarithm of a positive finite number.
    #[inline(always)]
    pub fn ln(&self, x: f64) -> Dd {
        let subnormal = x < f64::MIN_POSITIVE;
        let x = if subnormal { x * 2.0_f64.powi(54) } else { x };
        let field = (x.to_bits() >> 52) as i32 - 1023 - if subnormal { 54 } else { 0 };
        let m = f64::from_bits(x.to_bits() & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
        let (m, k) = if m > 1.4 { (0.5 * m, field + 1) } else { (m, field) };
        // 2 artanh((m - 1)/(m + 1))
        let s = Dd::new(m - 1.0) / two_sum(m, 1.0);
        let z = s * s;
        let mut sum = Dd::new(0.0);
        for &inverse in self.inverse_odds.iter().rev() {
            sum = sum * z + inverse;
        }
        LN_2 * Dd::new(f64::from(k)) + (s * sum).scaled(2.0)
    }

    /// `tanh x`, 0 ≤ x ≤ 40.
    #[inline(always)]
    pub fn tanh(&self, x: f64) -> Dd {
        if x < 1.0 {
            let z = Dd::product(x, x);
            return Dd::new(x) * self.every_second(1, z) / self.every_second(0, z);
        }
        let (m, k) = self.exp(Dd::new(-2.0 * x));
        let e = m.scaled(2.0_f64.powi(k as i32));
        (Dd::ONE - e) / (Dd::ONE + e)
    }

    /// `sin πx` and `cos πx`, |x| ≤ ½.
    #[inline(always)]
    pub fn sincospi(&self, x: f64) -> (Dd, Dd) {
        let angle = PI * Dd::new(x);
        let z = -(angle * angle);
        (angle * self.every_second(1, z), self.every_second(0, z))
    }
}
