//! Influence balancing (Tallec and Ollivier 2017), the task on which Vicol et al. (2021) show that evolution strategies on windows
//! alone are biased and persistent ones are not: what a parameter does to the loss soon has the other sign than what it does in
//! the end.
//!
//! ```text
//! cargo run --release --example pes
//! ```
//!
//! draws the loss while each method learns to `target/pes.svg`.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::{env, fs};

use gradus::es::{Distribution, Estimator, InnerStep, Perturbation, Unroll, UnrolledEs};
use gradus::optim::{Optimizer, Tensor};
use gradus::rules::AdamW;
use gradus::{Device, View, ViewMut};
use plotters::prelude::*;

/// Numbers of the state, the first of which the loss looks at.
const STATE: usize = 23;
/// Of these, so many grow with the parameter at each step; the others shrink.
const GROWING: usize = 10;
/// Steps of an episode, and of a window of it.
const EPISODE: usize = 100;
const WINDOW: usize = 4;
const PARTICLES: usize = 100;
const WINDOWS: usize = 2000;
const SIGMA: f64 = 0.1;
const LR: f64 = 2e-3;

/// `sᵢ ← ½sᵢ + ½sᵢ₊₁ ± θ`.
#[derive(Clone)]
struct System {
    state: [f64; STATE],
}

impl System {
    fn new() -> Self {
        Self { state: [1.0; STATE] }
    }

    /// The loss of a step: `½(s₁ - 1)²`.
    fn step(&mut self, theta: f64) -> f64 {
        for i in 0..STATE {
            let next = self.state.get(i + 1).copied().unwrap_or(0.0);
            let sign = if i < GROWING { 1.0 } else { -1.0 };
            self.state[i] = 0.5 * self.state[i] + 0.5 * next + sign * theta;
        }
        0.5 * (self.state[0] - 1.0).powi(2)
    }
}

/// The mean loss of a step of an episode without perturbations.
fn loss(theta: f64) -> f64 {
    let mut system = System::new();
    (0..EPISODE).map(|_| system.step(theta)).sum::<f64>() / EPISODE as f64
}

/// The loss before the first window and after each.
fn learn(unroll: Unroll) -> gradus::Result<Vec<f64>> {
    let (device, tensors) = (Device::cpu(), [Tensor::new(1)]);
    let mut perturbation = Perturbation::<f64>::new(&device, Distribution::Normal, &tensors)?;
    let mut estimator = Estimator::<f64>::new(&device, Distribution::Normal, &tensors)?;
    let mut optimizer = Optimizer::<AdamW, f64>::new(&device, AdamW { lr: LR, weight_decay: 0.0, ..AdamW::default() })?;
    optimizer.add(tensors[0])?;
    let mut es = UnrolledEs::new(unroll, SIGMA, 0, PARTICLES)?;
    let mut theta = [0.5];
    let mut history = vec![loss(theta[0])];

    // Particles stand at different places of their episodes, so that every window shows all of an episode.
    let mut particles: Vec<([System; 2], usize)> =
        (0..PARTICLES).map(|i| ([System::new(), System::new()], i * EPISODE / PARTICLES)).collect();
    for _ in 0..WINDOWS {
        let mut steps = Vec::with_capacity(PARTICLES * WINDOW);
        for (i, (systems, age)) in particles.iter_mut().enumerate() {
            let mut perturbed = [[0.0]; 2];
            for (term, to) in es.terms(i)?.into_iter().zip(&mut perturbed) {
                perturbation.write(&[term], &[View::from(&theta[..])], &mut [ViewMut::from(&mut to[..])])?;
            }
            for _ in 0..WINDOW {
                let losses = [0, 1].map(|sign| systems[sign].step(perturbed[sign][0]));
                *age += 1;
                let ended = *age == EPISODE;
                if ended {
                    (*systems, *age) = ([System::new(), System::new()], 0);
                }
                steps.push(InnerStep { losses, ended });
            }
        }
        let mut gradient = [0.0];
        estimator.write(&es.end_window(&steps)?, &mut [ViewMut::from(&mut gradient[..])])?;
        optimizer.step(&mut [ViewMut::from(&mut theta[..])], &[Some(View::from(&gradient[..]))])?;
        history.push(loss(theta[0]));
    }
    Ok(history)
}

fn draw(path: &Path, curves: &[(&'static str, Vec<f64>)]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (800, 500)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Influence balancing: truncated ES is biased, PES is not", ("sans-serif", 24))
        .margin(20)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(0..WINDOWS, (1e-2..1e2).log_scale())?;
    chart.configure_mesh().x_desc("window").y_desc("mean loss of a step").light_line_style(TRANSPARENT).draw()?;
    let colors = [RGBColor(214, 79, 39), RGBColor(31, 119, 180), RGBColor(44, 140, 60)];
    for ((label, losses), color) in curves.iter().zip(colors) {
        chart
            .draw_series(LineSeries::new(losses.iter().copied().enumerate(), color.stroke_width(2)))?
            .label(*label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK.mix(0.3)).margin(10).draw()?;
    area.present()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let methods = [("truncated ES", Unroll::TruncatedEs), ("PES", Unroll::Pes), ("NRES", Unroll::Nres)];
    let mut curves = Vec::new();
    for (name, unroll) in methods {
        let losses = learn(unroll)?;
        let (first, last) = (losses[0], losses[WINDOWS]);
        writeln!(io::stdout(), "{name:12} loss {first:.3} at first, {last:.3} in the end")?;
        curves.push((name, losses));
    }
    let path = env::args_os().nth(1).map_or_else(|| Path::new("target/pes.svg").to_owned(), Into::into);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    draw(&path, &curves)?;
    writeln!(io::stdout(), "picture: {}", path.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least loss, by golden sections: it has one minimum.
    fn least() -> f64 {
        let (mut low, mut high) = (-2.0, 2.0);
        for _ in 0..100 {
            let [a, b] = [0.382, 0.618].map(|share| low + share * (high - low));
            if loss(a) < loss(b) {
                high = b;
            } else {
                low = a;
            }
        }
        loss(low)
    }

    #[test]
    fn truncated_es_is_led_astray_and_persistent_es_is_not() {
        let ends =
            [Unroll::TruncatedEs, Unroll::Pes, Unroll::Nres].map(|unroll| *learn(unroll).unwrap().last().unwrap());
        assert!(ends[0] > loss(0.5), "truncated ES went down to {}", ends[0]);
        assert!(ends[1] < 1.02 * least() && ends[2] < 1.02 * least(), "{ends:?}, but {} is the least", least());
    }
}
