//! What holds for every rule of the table, every pair of storage types and every device.
//!
//! The reference is a loop over elements in `content.rs` that calls the rule's own `tick` and `update`: what is compared
//! with it, bit for bit, is everything around the rule. What the rules compute is the matter of the golden tests.
//!
//! `GRADUS_DRIVER` names a CUDA driver, `GRADUS_SEED` sets what is drawn at random, `GRADUS_FULL=1` runs every
//! combination of sizes and offsets for every rule.

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod content;
mod covering;
mod descent;
mod drawn;
mod grids;
mod lockstep;
mod saved;
mod shadow;
mod shards;
mod special;
mod tensors;

use common::subjects::{on_every_pair, subject};

macro_rules! properties {
    ($rule:expr; $($name:ident: $Property:ty,)*) => {
        $(#[test]
        fn $name() {
            on_every_pair::<$Property>(subject($rule));
        })*
    };
}

macro_rules! suite {
    ($rule:expr) => {
        use super::*;

        properties! { $rule;
            settings_sizes_and_offsets_give_the_reference_bits: grids::Pairwise,
            every_size_and_offset_gives_the_reference_bits: grids::InFull,
            any_number_of_threads_gives_the_same_bits: tensors::Threads,
            many_tensors_step_like_one_at_a_time: tensors::Many,
            the_order_of_tensors_is_irrelevant: tensors::Order,
            no_tensors_and_empty_tensors_step: tensors::Empty,
            a_missing_gradient_leaves_its_tensor_alone: tensors::Missing,
            shards_step_like_the_whole: shards::Shards,
            empty_shards_are_saved_or_refused: shards::EmptyShards,
            special_values_stay_in_their_element: special::Special,
            a_resumed_run_is_the_run_that_was_never_stopped: saved::Resumed,
            a_state_moves_between_devices: saved::Moved,
            tensors_are_added_and_removed: changes::Tensors,
            tensors_move_between_groups: changes::Regrouped,
            settings_change_between_steps: changes::Settings,
            steps_go_down_the_gradient: descent::Descent,
            a_gradient_that_is_drawn_gives_the_bits_of_one_that_is_written: drawn::Drawn,
            a_gradient_is_drawn_alike_by_any_number_of_threads: drawn::DrawnByThreads,
            maximising_negates_the_gradients: changes::Maximized,
        }

        #[test]
        fn presets_pass_their_check() {
            for (name, preset) in &subject($rule).presets {
                assert_eq!(preset.check(), Ok(()), "{name}");
            }
        }

        #[test]
        fn f32_steps_stay_near_f64_steps() {
            shadow::check(subject($rule));
        }
    };
}

macro_rules! suites {
    ($($module:ident::$Rule:ident { $($names:tt)* },)*) => {
        $(mod $module {
            suite! { stringify!($module) }
        })*
    };
}
gradus::for_each_rule!(suites);
