//! Optimizers of every rule and pair of storage types, compiled here once and not in each test program that asks for them
//! by name.

use gradus::element::Element;
use gradus::optim::{Group, Stepper};
use gradus::rules::{AnyRule, Pair};
use gradus::{Device, Result};
use half::{bf16, f16};

/// A pair of storage types whose optimizers are compiled here.
pub trait Stepped<G: Element<Real = Self::Real>>: Pair<G> {
    /// An optimizer of the group's rule, with this group. Errors: as [`Group::optimizer`].
    fn stepper(group: &Group<AnyRule>, device: &Device) -> Result<Box<dyn Stepper<Self, G>>>;
}

macro_rules! implement {
    ($(($parameter:ident, $gradient:ident),)*) => {
        $(impl Stepped<$gradient> for $parameter {
            #[inline(never)]
            fn stepper(group: &Group<AnyRule>, device: &Device) -> Result<Box<dyn Stepper<Self, $gradient>>> {
                group.optimizer(device)
            }
        })*
    };
}
gradus::for_each_pair!(implement);
