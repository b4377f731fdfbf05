//! The methods that change Adam's second moment.

use super::super::file::Hyper;
use super::{MOMENTS, Method, adam};

pub const METHODS: &[Method] = &[
    Method { name: "amsgrad", rule: "amsgrad", settings: adam, state: GREATEST },
    Method { name: "amsgradw", rule: "amsgradw", settings: adam, state: GREATEST },
    // Of optax, whose default corrects both moments.
    Method {
        name: "amsgrad_paper",
        rule: "amsgrad",
        settings: |hyper| {
            let hyper = adam(hyper)?.set("variance_correction", "before_max")?;
            let hyper = hyper.choice("bias_correction_nu", "variance_correction", ["none", "before_max"])?;
            hyper.renamed("bias_correction_mu", "mean_correction")
        },
        state: GREATEST,
    },
    Method { name: "padam", rule: "padam", settings: padam, state: GREATEST },
    Method {
        name: "gadamx",
        rule: "padam",
        settings: |hyper| padam(hyper.iterate_average()?)?.choice("decoupled_wd", "decay", ["l2", "decoupled"]),
        state: &[
            ("exp_avg", "m"),
            ("exp_avg_sq", "v"),
            ("avg_params_per_step", "average"),
            ("n_avg", "carry.averaged"),
        ],
    },
    Method { name: "adabelief*", rule: "adabelief", settings: belief, state: BELIEF },
    Method {
        name: "acprop*",
        rule: "acprop",
        settings: |hyper| belief(hyper)?.same(&["momentum_update"]),
        state: BELIEF,
    },
    Method {
        name: "diffgrad",
        rule: "diffgrad",
        settings: |hyper| adam(hyper)?.choice("weight_decouple", "decay", ["l2", "decoupled"]),
        state: &[("exp_avg", "m"), ("exp_avg_sq", "v"), ("previous_grad", "before")],
    },
    Method { name: "aida_p2q1", rule: "aida", settings: aida, state: MOMENTS_OF_AIDA },
    // No implementation has a default: a file of the formula that has no decay is without it.
    Method {
        name: "aida_pq",
        rule: "aida",
        settings: |hyper| aida(hyper.set("weight_decay", 0.0)?),
        state: MOMENTS_OF_AIDA,
    },
];

const GREATEST: &[(&str, &str)] = &[MOMENTS[0], MOMENTS[1], ("max_exp_avg_sq", "greatest")];

const BELIEF: &[(&str, &str)] = &[("exp_avg", "m"), ("exp_avg_var", "s"), ("max_exp_avg_var", "greatest")];

const MOMENTS_OF_AIDA: &[(&str, &str)] = &[("exp_avg", "m"), ("exp_avg_sq", "r")];

fn padam(hyper: Hyper) -> Result<Hyper, String> {
    adam(hyper)?.same(&["partial", "amsgrad"])
}

/// The references take switches that they do not read: `amsgrad` of rectified steps, `fixed_decay` of an L2 penalty.
fn belief(mut hyper: Hyper) -> Result<Hyper, String> {
    let rectify = hyper.switch("rectify")?.unwrap_or(true);
    let decouple = hyper.switch("weight_decouple")?.unwrap_or(true);
    let amsgrad = hyper.switch("amsgrad")?.unwrap_or(false);
    let fixed_decay = hyper.switch("fixed_decay")?.unwrap_or(false);
    let hyper = adam(hyper)?.set("rectify", rectify)?.set("amsgrad", amsgrad && !rectify)?;
    let hyper = hyper.set("decay", if decouple { "decoupled" } else { "l2" })?;
    hyper.set("fixed_decay", fixed_decay && decouple)
}

fn aida(hyper: Hyper) -> Result<Hyper, String> {
    adam(hyper)?.same(&["p", "q", "eps_inside"])
}
