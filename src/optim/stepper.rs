//! An optimizer whose rule is chosen at run time.

use super::group::Group;
use super::optimizer::Optimizer;
use super::state::State;
use super::tensor::{Listed, Tensor};
use crate::device::Device;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::es::Estimate;
use crate::memory::{View, ViewMut};
use crate::rules::{self, AnyRule, Pair, Rule};

/// What an [`Optimizer`] does, whatever its rule; each method is the method of that name. A group of another rule is an
/// error.
#[allow(missing_docs)]
pub trait Stepper<P: Element, G: Element>: Send {
    fn device(&self) -> &Device;
    fn groups(&self) -> Vec<Group<AnyRule>>;
    fn add_group(&mut self, group: Group<AnyRule>) -> Result<usize>;
    fn set_group(&mut self, position: usize, group: Group<AnyRule>) -> Result<()>;
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
    fn step_estimate(&mut self, parameters: &mut [ViewMut<'_, P>], estimate: Estimate<'_>) -> Result<()>;
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

impl<R, P, G> Stepper<P, G> for Optimizer<R, P, G>
where
    R: Rule + Into<AnyRule> + TryFrom<AnyRule, Error = Error>,
    P: Pair<G>,
    G: Element<Real = P::Real>,
{
    fn groups(&self) -> Vec<Group<AnyRule>> {
        Optimizer::groups(self).iter().map(|group| group.with_rule(group.rule.into())).collect()
    }

    fn add_group(&mut self, group: Group<AnyRule>) -> Result<usize> {
        Optimizer::add_group(self, group.with_rule(R::try_from(group.rule)?))
    }

    fn set_group(&mut self, position: usize, group: Group<AnyRule>) -> Result<()> {
        Optimizer::set_group(self, position, group.with_rule(R::try_from(group.rule)?))
    }

    forward! {
        add(&mut self, tensor: Tensor) -> Result<usize>;
        remove(&mut self, position: usize) -> Result<Listed>;
        regroup(&mut self, position: usize, group: usize) -> Result<()>;
        step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[Option<View<'_, G>>]) -> Result<()>;
        step_with(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[Option<View<'_, G>>], extras: &[Option<View<'_, G>>]) -> Result<()>;
        step_estimate(&mut self, parameters: &mut [ViewMut<'_, P>], estimate: Estimate<'_>) -> Result<()>;
        set_lr(&mut self, lr: f64) -> Result<()>;
        set_group_lr(&mut self, position: usize, lr: f64) -> Result<()>;
        load_state(&mut self, state: &State) -> Result<()>;
        ;
        device(&self) -> &Device;
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
