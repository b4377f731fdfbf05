//! What plays the files of each method.

mod variance;

use gradus::optim::Average;

use super::file::Hyper;

mod adaptive;
mod stochastic;

/// A rule that plays the files of a method.
pub struct Method {
    /// The method's name in the files; a `*` at its end stands for any rest.
    pub name: &'static str,
    /// The rule's name in gradus.
    pub rule: &'static str,
    /// Reads the hyperparameters as settings of the rule and of what surrounds it. `maximize` is read for every method.
    pub settings: fn(Hyper) -> Result<Hyper, String>,
    /// State arrays: the reference's name, and the rule's; or `average`, `evaluation`, or a name of a saved state's array such
    /// as `slow`. `theta` and what ends in `_per_step` is compared after every step.
    pub state: &'static [(&'static str, &'static str)],
}

const MOMENTS: &[(&str, &str)] = &[("exp_avg", "m"), ("exp_avg_sq", "v")];

const SLOW: &[(&str, &str)] = &[("slow", "slow")];

/// Every method that is built.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    [OWN, adaptive::METHODS, variance::METHODS, stochastic::METHODS].into_iter().flatten()
}

const OWN: &[Method] = &[
    Method {
        name: "sgd*",
        rule: "sgd",
        settings: |hyper| hyper.same(&["lr", "momentum", "dampening", "nesterov", "weight_decay"]),
        state: &[("momentum_buffer", "momentum")],
    },
    Method { name: "adam", rule: "adam", settings: adam, state: MOMENTS },
    Method { name: "adamw", rule: "adamw", settings: adam, state: MOMENTS },
    Method {
        name: "lion",
        rule: "lion",
        settings: |hyper| {
            let hyper = hyper.same(&["lr", "weight_decay"])?.list("betas", &["beta1", "beta2"])?;
            hyper.choice("weight_decouple", "decay", ["l2", "decoupled"])
        },
        state: &[("exp_avg", "m")],
    },
    Method {
        name: "adan",
        rule: "adan",
        settings: |hyper| {
            let hyper = hyper.same(&["lr", "eps", "weight_decay"])?.list("betas", &["beta1", "beta2", "beta3"])?;
            hyper.choice("no_prox", "proximal", [true, false])
        },
        state: &[("exp_avg", "m"), ("exp_avg_diff", "v"), ("exp_avg_sq", "n")],
    },
    Method {
        name: "ademamix",
        rule: "ademamix",
        settings: |hyper| {
            let hyper = hyper.same(&["lr", "alpha", "eps", "weight_decay", "alpha_warmup", "beta3_warmup"])?;
            hyper.list("betas", &["beta1", "beta2", "beta3"])
        },
        state: &[("exp_avg_fast", "m"), ("exp_avg_slow", "slow"), ("exp_avg_sq", "v")],
    },
    Method {
        name: "adopt",
        rule: "adopt",
        settings: |hyper| {
            let hyper = hyper.same(&["lr", "eps", "clip", "weight_decay"])?.list("betas", &["beta1", "beta2"])?;
            hyper.choice("decouple", "decay", ["l2", "decoupled"])
        },
        state: MOMENTS,
    },
    Method { name: "inna", rule: "inna", settings: inna, state: &[] },
    Method { name: "inna_saddles_init", rule: "inna_saddles", settings: inna, state: &[] },
    Method {
        name: "nesterov_sutskever",
        rule: "nesterov",
        settings: |hyper| hyper.same(&["lr", "mu_max", "period", "weight_decay"]),
        state: &[("velocity_last", "velocity")],
    },
    // Both are of one class, whose default has momentum.
    Method { name: "signsgd", rule: "signum", settings: signum, state: SIGNUM },
    Method { name: "signum", rule: "signum", settings: signum, state: SIGNUM },
    Method { name: "lookahead_adam", rule: "adam", settings: |hyper| hyper.lookahead("adam"), state: SLOW },
    Method { name: "lookahead_sgd", rule: "sgd", settings: |hyper| hyper.lookahead("sgd"), state: SLOW },
    Method {
        name: "gadam",
        rule: "adam",
        settings: |hyper| adam(hyper.iterate_average()?)?.choice("decoupled_wd", "decay", ["l2", "decoupled"]),
        state: &[
            ("exp_avg", "m"),
            ("exp_avg_sq", "v"),
            ("avg_params_per_step", "average"),
            ("n_avg", "carry.averaged"),
        ],
    },
    Method {
        name: "ema_weights",
        rule: "sgd",
        settings: |mut hyper| {
            let decay = hyper.number("decay")?.unwrap_or(0.999);
            hyper.average_of_weights(Average::exponential(decay))
        },
        state: &[("n_averaged", "carry.averaged")],
    },
    Method {
        name: "schedulefree_adamw",
        rule: "schedulefree_adamw",
        settings: |hyper| schedule_free(hyper)?.same(&["eps"])?.list("betas", &["beta1", "beta2"]),
        state: &[("x_per_step", "evaluation"), ("z_last", "z"), ("exp_avg_sq", "v")],
    },
    Method {
        name: "schedulefree_sgd",
        rule: "schedulefree_sgd",
        settings: |hyper| schedule_free(hyper)?.same(&["momentum"]),
        state: &[("x_per_step", "evaluation"), ("z_last", "z")],
    },
    Method {
        name: "sophia_g",
        rule: "sophia_g",
        settings: |hyper| {
            let hyper = hyper.same(&["lr", "rho", "weight_decay"])?.list("betas", &["beta1", "beta2"])?;
            hyper.renamed("bs", "batch_size")?.second_every("hess_every")
        },
        state: &[("exp_avg", "m"), ("hessian", "h")],
    },
    Method {
        name: "swa_weights",
        rule: "sgd",
        settings: |hyper| hyper.average_of_weights(Average::equal()),
        state: &[("n_averaged", "carry.averaged")],
    },
];

const SIGNUM: &[(&str, &str)] = &[("momentum_buffer", "m")];

fn inna(hyper: Hyper) -> Result<Hyper, String> {
    hyper.same(&["lr", "alpha", "beta", "decaypower", "weight_decay"])
}

fn signum(hyper: Hyper) -> Result<Hyper, String> {
    hyper.same(&["lr", "momentum", "weight_decay"])?.choice("weight_decouple", "decay", ["l2", "decoupled"])
}

fn adam(hyper: Hyper) -> Result<Hyper, String> {
    hyper.same(&["lr", "eps", "weight_decay"])?.list("betas", &["beta1", "beta2"])
}

fn schedule_free(hyper: Hyper) -> Result<Hyper, String> {
    hyper.same(&["lr", "weight_decay", "decay_at_z", "warmup_steps", "r", "weight_lr_power"])
}

/// What plays a method's files, if it is built.
pub fn built(method: &str) -> Option<&'static Method> {
    methods().find(|known| matches(known.name, method))
}

/// Whether a method is the one that a pattern names, or one of those whose names begin as a pattern that ends in `*`.
pub fn matches(pattern: &str, method: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == method, |stem| method.starts_with(stem))
}
