//! The modifiers of an instruction, which match a form of its opcode.

use crate::front::types::{space_named, type_named};
use crate::ir::{AtomicOp, FloatMode, Ordering, Rounding, Space, Type};

/// An opcode and its modifiers, without dots.
pub(super) struct Modifiers<'a> {
    pub opcode: &'static str,
    pub words: Vec<&'a str>,
}

impl Modifiers<'_> {
    /// Whether a modifier stands there.
    pub fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    /// The value of the first modifier that stands in a list.
    pub fn pick<T: Copy>(&self, list: &[(&str, T)]) -> Option<T> {
        self.words.iter().find_map(|word| list.iter().find(|(known, _)| known == word).map(|&(_, value)| value))
    }

    /// The types, in their order.
    pub fn types(&self) -> impl DoubleEndedIterator<Item = Type> {
        self.words.iter().filter_map(|word| type_named(word))
    }

    /// The last type; forms without one have none to ask for.
    pub fn ty(&self) -> Type {
        self.types().next_back().unwrap_or(Type::B32)
    }

    /// The first type.
    pub fn first_type(&self) -> Type {
        self.types().next().unwrap_or(Type::B32)
    }

    /// The state space; none is generic.
    pub fn space(&self) -> Space {
        self.words.iter().find_map(|word| space_named(word)).unwrap_or(Space::Generic)
    }

    /// How many values a load or store moves.
    pub fn lanes(&self) -> usize {
        self.pick(&[("v2", 2), ("v4", 4)]).unwrap_or(1)
    }

    /// The order a memory operation asks for.
    pub fn ordering(&self, default: Ordering) -> Ordering {
        let orders = [
            ("volatile", Ordering::Volatile),
            ("relaxed", Ordering::Relaxed),
            ("acquire", Ordering::Acquire),
            ("release", Ordering::Release),
            ("acq_rel", Ordering::AcqRel),
        ];
        self.pick(&orders).unwrap_or(default)
    }

    /// How float arithmetic is done.
    pub fn float_mode(&self) -> FloatMode {
        let roundings = [
            ("rn", Rounding::Rn),
            ("rz", Rounding::Rz),
            ("rm", Rounding::Rm),
            ("rp", Rounding::Rp),
            ("rna", Rounding::Rna),
            ("approx", Rounding::Approx),
            ("full", Rounding::Full),
            ("rni", Rounding::Rni),
            ("rzi", Rounding::Rzi),
            ("rmi", Rounding::Rmi),
            ("rpi", Rounding::Rpi),
        ];
        FloatMode {
            rounding: self.pick(&roundings).unwrap_or(Rounding::Unpinned),
            ftz: self.has("ftz"),
            sat: self.has("sat"),
            relu: self.has("relu"),
            nan: self.has("NaN"),
        }
    }

    /// What a reduction or atomic does.
    pub fn atomic_op(&self) -> AtomicOp {
        let operations = [
            ("min", AtomicOp::Min),
            ("max", AtomicOp::Max),
            ("and", AtomicOp::And),
            ("or", AtomicOp::Or),
            ("xor", AtomicOp::Xor),
            ("exch", AtomicOp::Exch),
            ("cas", AtomicOp::Cas),
            ("inc", AtomicOp::Inc),
            ("dec", AtomicOp::Dec),
        ];
        self.pick(&operations).unwrap_or(AtomicOp::Add)
    }
}
