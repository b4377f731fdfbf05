//! Methods with a denominator for every element: Adagrad, Adadelta, RMSprop and Adam's relatives.

use super::super::file::Hyper;
use super::{MOMENTS, Method, adam};

pub const METHODS: &[Method] = &[
    Method {
        name: "adagrad",
        rule: "adagrad",
        settings: |hyper| hyper.same(&["lr", "lr_decay", "initial_accumulator_value", "eps", "weight_decay"]),
        state: &[("sum", "sum")],
    },
    Method {
        name: "adadelta",
        rule: "adadelta",
        settings: |hyper| hyper.same(&["lr", "rho", "eps", "weight_decay"]),
        state: &[("square_avg", "v"), ("acc_delta", "delta")],
    },
    // optax's, whose defaults are others than PyTorch's.
    Method {
        name: "rmsprop_eps_inside",
        rule: "rmsprop",
        settings: |hyper| rmsprop(hyper.set("alpha", 0.9)?.set("eps_placement", "inside")?.renamed("decay", "alpha")?),
        state: RMSPROP,
    },
    Method { name: "rmsprop*", rule: "rmsprop", settings: rmsprop, state: RMSPROP },
    Method { name: "adamax", rule: "adamax", settings: adam, state: &[("exp_avg", "m"), ("exp_inf", "u")] },
    Method {
        name: "nadam",
        rule: "nadam",
        settings: |hyper| decoupled(adam(hyper)?.same(&["momentum_decay"])?),
        state: &[("exp_avg", "m"), ("exp_avg_sq", "v"), ("mu_product", "carry.mu_product")],
    },
    Method { name: "radam", rule: "radam", settings: |hyper| decoupled(adam(hyper)?), state: MOMENTS },
];

const RMSPROP: &[(&str, &str)] = &[("square_avg", "v"), ("grad_avg", "mean"), ("momentum_buffer", "buffer")];

fn rmsprop(hyper: Hyper) -> Result<Hyper, String> {
    hyper.same(&["lr", "alpha", "eps", "centered", "momentum", "weight_decay", "initial_scale"])
}

fn decoupled(hyper: Hyper) -> Result<Hyper, String> {
    hyper.choice("decoupled_weight_decay", "decay", ["l2", "decoupled"])
}
