//! Stored types and values of them that are hard to get right.

use half::{bf16, f16};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    F32,
    F64,
    Bf16,
    F16,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Bytes an element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// The arithmetic type.
    pub fn real(self) -> Self {
        if self == Self::F64 { Self::F64 } else { Self::F32 }
    }

    fn exponent_bits(self) -> u32 {
        match self {
            Self::F32 | Self::Bf16 => 8,
            Self::F64 => 11,
            Self::F16 => 5,
        }
    }

    fn mantissa_bits(self) -> u32 {
        8 * self.size() as u32 - 1 - self.exponent_bits()
    }

    pub fn is_nan(self, bits: u64) -> bool {
        let infinity = ((1 << self.exponent_bits()) - 1) << self.mantissa_bits();
        bits & !(1 << (8 * self.size() - 1)) > infinity
    }

    fn rounded(self, value: f64) -> u64 {
        match self {
            Self::F32 => (value as f32).to_bits().into(),
            Self::F64 => value.to_bits(),
            Self::Bf16 => bf16::from_f64(value).to_bits().into(),
            Self::F16 => f16::from_f64(value).to_bits().into(),
        }
    }

    /// Zero, the smallest and the largest of every kind, one and its neighbours, infinity, NaNs; half of them negative.
    fn edge(self, random: u64) -> u64 {
        let normal = 1 << self.mantissa_bits();
        let infinity = ((1 << self.exponent_bits()) - 1) << self.mantissa_bits();
        let one = self.rounded(1.0);
        let edges = [
            0,
            1,
            normal - 1,
            normal,
            normal + 1,
            one - 1,
            one,
            one + 1,
            infinity - 1,
            infinity,
            infinity + 1,
            infinity + normal / 2,
        ];
        edges[(random >> 1) as usize % edges.len()] | (random & 1) << (8 * self.size() - 1)
    }

    /// Of 32 elements one is an edge, one has any bits, one is tiny, one is huge; the others are near ±½.
    pub fn element(self, random: &mut Random) -> u64 {
        let kind = random.next() % 32;
        let bits = random.next();
        let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
        match kind {
            0 => self.edge(bits),
            1 => bits >> (64 - 8 * self.size()),
            2 => self.rounded(unit * if self == Self::F64 { 1e-310 } else { 1e-39 }),
            3 => self.rounded(unit * if self == Self::F16 { 1e5 } else { 1e19 }),
            _ => self.rounded(unit),
        }
    }

    pub fn bits(self, element: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        bytes[..element.len()].copy_from_slice(element);
        u64::from_le_bytes(bytes)
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}
