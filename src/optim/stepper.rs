//! An optimizer whose rule is chosen at run time.

use super::group::Group;
use super::optimizer::Optimizer;
use super::state::State;
use super::tensor::{Listed, Tensor};
use crate::device::Device;
use crate::element::Element;
use crate::error::Result;
use crate::memory::{View, ViewMut};
use crate::rules::{self, AnyRule, Pair, Rule};

/// What an [`Optimizer`] does, whatever its rule; each method is the method of that name.
#[allow(missing_docs)]
pub trait Stepper<P: Element, G: Element> {
    fn add(&mut self, tensor: Tensor) -> Result<usize>;
    fn remove(&mut self, position: usize) -> Result<Listed>;
    fn regroup(&mut self, position: usize, group: usize) -> Result<()>;
    fn tensors(&self) -> &[Listed];
    fn step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[Option<View<'_, G>>]) -> Result<()>;
    fn step_with(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()>;
    fn averages(&self, position: usize) -> Result<Vec<P::Real>>;
    fn set_lr(&mut self, lr: f64) -> Result<()>;
    fn set_group_lr(&mut self, position: usize, lr: f64) -> Result<()>;
    fn steps(&self) -> Result<u64>;
    fn tensor_steps(&self, position: usize) -> Result<u64>;
    fn state(&self) -> Result<State>;
    fn load_state(&mut self, state: &State) -> Result<()>;
}

macro_rules! forward {
    ($($name:ident(&mut self $(, $argument:ident: $type:ty)*) -> $result:ty;)* ; $($read:ident(&self $(, $read_argument:ident: $read_type:ty)*) -> $read_result:ty;)*) => {
        $(fn $name(&mut self $(, $argument: $type)*) -> $result {
            Optimizer::$name(self $(, $argument)*)
        })*
        $(fn $read(&self $(, $read_argument: $read_type)*) -> $read_result {
            Optimizer::$read(self $(, $read_argument)*)
        })*
    };
}

impl<R: Rule, P: Pair<G>, G: Element<Real = P::Real>> Stepper<P, G> for Optimizer<R, P, G> {
    forward! {
        add(&mut self, tensor: Tensor) -> Result<usize>;
        remove(&mut self, position: usize) -> Result<Listed>;
        regroup(&mut self, position: usize, group: usize) -> Result<()>;
        step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[Option<View<'_, G>>]) -> Result<()>;
        step_with(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[Option<View<'_, G>>], extras: &[Option<View<'_, G>>]) -> Result<()>;
        set_lr(&mut self, lr: f64) -> Result<()>;
        set_group_lr(&mut self, position: usize, lr: f64) -> Result<()>;
        load_state(&mut self, state: &State) -> Result<()>;
        ;
        tensors(&self) -> &[Listed];
        steps(&self) -> Result<u64>;
        tensor_steps(&self, position: usize) -> Result<u64>;
        averages(&self, position: usize) -> Result<Vec<P::Real>>;
        state(&self) -> Result<State>;
    }
}

macro_rules! any_optimizer {
    ($($module:ident::$Rule:ident { $($alias:ident: $preset:expr),* },)*) => {
        impl AnyRule {
            /// An optimizer of this rule, with one group that holds its settings.
            ///
            /// Errors: as [`Optimizer::new`].
            pub fn optimizer<P: Pair<G>, G: Element<Real = P::Real>>(
                &self,
                device: &Device,
            ) -> Result<Box<dyn Stepper<P, G>>> {
                Group::new(*self).optimizer(device)
            }
        }

        impl Group<AnyRule> {
            /// An optimizer of this rule, with this group. Errors: as [`Optimizer::new`].
            pub fn optimizer<P: Pair<G>, G: Element<Real = P::Real>>(
                &self,
                device: &Device,
            ) -> Result<Box<dyn Stepper<P, G>>> {
                Ok(match self.rule {
                    $(AnyRule::$Rule(rule) => {
                        Box::new(Optimizer::<rules::$Rule, P, G>::new(device, self.with_rule(rule))?)
                    })*
                })
            }
        }
    };
}
crate::for_each_rule!(any_optimizer);
