//! Files of estimates from unrolled computations, whose noise they bring along.

use gradus::Device;
use gradus::element::Real;
use gradus::es::{InnerStep, Unroll, UnrolledEs};

use super::file::File;
use super::play::{Difference, explain, same_length};

/// A file has windows of one step, and the losses of all particles at their positive perturbations before those at their
/// negative ones.
pub fn unrolled<T: Real>(file: &File, _: &Device) -> Result<Vec<Difference>, String> {
    let mut hyper = file.hyper()?;
    let (unroll, kind) = match file.method() {
        "pes" => (Unroll::Pes, "pes"),
        _ => (Unroll::TruncatedEs, "es"),
    };
    if let Some(other) = hyper.name("kind")?.filter(|given| given != kind) {
        return Err(format!("kind = '{other}' is not '{kind}'"));
    }
    let members = hyper.count("N")?.ok_or("there is no N")? as usize;
    let sigma = hyper.number("sigma")?.ok_or("there is no sigma")?;
    let episode = if unroll == Unroll::Pes { hyper.count("steps_per_episode")? } else { None };
    // Of the random numbers, which the file has.
    hyper.count("key")?;
    hyper.finish()?;

    let (losses, noises) = (file.arrays("losses")?, file.arrays("pos_perts")?);
    let pairs = members / 2;
    let length = file.length()?;
    let mut es = UnrolledEs::new(unroll, sigma, 0, pairs).map_err(explain)?;
    let mut differences = Vec::new();
    for (window, expected) in file.arrays("params")?.iter().enumerate() {
        let (losses, noise) = (row(&losses, "losses", window)?, row(&noises, "pos_perts", window)?);
        same_length(&format!("losses {window}"), losses.len(), members)?;
        same_length(&format!("pos_perts {window}"), noise.len(), pairs * length)?;
        let ended = episode.is_some_and(|episode| (window as u64 + 1).is_multiple_of(episode));
        let rounded = |x: f64| T::from_f64(x).to_f64();
        let step = |pair: usize| InnerStep { losses: [pair, pairs + pair].map(|at| rounded(losses[at])), ended };
        let terms = es.end_window(&(0..pairs).map(step).collect::<Vec<_>>()).map_err(explain)?;
        let mut sum = vec![T::from_f64(0.0); length];
        for term in terms {
            let noise = &row(&noises, "pos_perts", term.step as usize)?[term.pair as usize * length..][..length];
            for (sum, noise) in sum.iter_mut().zip(noise) {
                *sum = T::from_f64(term.coefficient).fma(T::from_f64(noise / sigma), *sum);
            }
        }
        let given: Vec<f64> = sum.into_iter().map(T::to_f64).collect();
        differences.push(Difference::greatest(&format!("params {window}"), &given, expected)?);
    }
    Ok(differences)
}

fn row<'a>(rows: &'a [Vec<f64>], key: &str, at: usize) -> Result<&'a [f64], String> {
    rows.get(at).map(Vec::as_slice).ok_or_else(|| format!("{key} has no row {at}"))
}
