//! Estimates of the gradient by STORM, and Langevin dynamics.

use super::super::file::Hyper;
use super::{MOMENTS, Method};

pub const METHODS: &[Method] = &[
    Method { name: "superadam_momentum", rule: "superadam", settings: superadam, state: MOMENTS },
    Method { name: "superadam_storm", rule: "superadam_storm", settings: superadam, state: MOMENTS },
    Method { name: "theopoula", rule: "theopoula", settings: theopoula, state: &[] },
];

fn superadam(mut hyper: Hyper) -> Result<Hyper, String> {
    if hyper.switch("coord_glob_H")? == Some(true) {
        return Err("coord_glob_H = true takes a norm over all tensors, which waits for measured rules".to_owned());
    }
    let rate = if hyper.has("gamma") { hyper.renamed("gamma", "lr")? } else { hyper.same(&["lr"])? };
    let hyper = rate.renamed("k", "scale")?.renamed("m", "offset")?.renamed("c", "gain")?;
    // The reference's `tau` is the paper's `1 - tau`.
    hyper.same(&["beta", "eps", "weight_decay"])?.choice("tau", "storm", [true, false])
}

fn theopoula(mut hyper: Hyper) -> Result<Hyper, String> {
    let (eta, _) = (hyper.number("eta")?, hyper.number("r")?);
    if let Some(eta) = eta.filter(|eta| *eta != 0.0) {
        return Err(format!("eta = {eta} takes a norm over all tensors, which waits for measured rules"));
    }
    // An inverse temperature of 1 is the reference's word for no noise.
    match hyper.number("beta")? {
        Some(1.0) => hyper.set("beta", f64::INFINITY),
        Some(beta) => hyper.set("beta", beta),
        None => Ok(hyper),
    }?
    .same(&["lr", "eps", "weight_decay"])
}
