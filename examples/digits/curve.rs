//! The loss curve.

use std::error::Error;
use std::ops::Range;

use plotters::prelude::*;

use crate::report::Summary;
use crate::training::Scores;

/// Stands for smaller losses, 0 among them, which a logarithmic axis has no place for.
const SMALLEST_LOSS: f64 = 1e-6;

/// An SVG image of the loss on both parts before the first epoch and after each.
pub fn draw(summary: &Summary, history: &[Scores]) -> Result<String, Box<dyn Error>> {
    let losses = |loss: fn(&Scores) -> f32| -> Vec<f64> {
        history.iter().map(|scores| f64::from(loss(scores)).max(SMALLEST_LOSS)).collect()
    };
    let train = losses(|scores| scores.train.loss);
    let held = losses(|scores| scores.held.loss);

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (800, 500)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("Handwritten digits: {} on {}", summary.optimizer, summary.device), ("sans-serif", 24))
            .margin(20)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(0..summary.epochs, decades(train.iter().chain(&held)).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            .y_desc("mean cross-entropy")
            .y_labels(5)
            .y_label_formatter(&|&loss| (loss as f32).to_string())
            .label_style(("sans-serif", 17))
            .axis_desc_style(("sans-serif", 19))
            .bold_line_style(BLACK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (label, losses, color) in
            [("training images", train, RGBColor(31, 119, 180)), ("held-out images", held, RGBColor(214, 79, 39))]
        {
            chart
                .draw_series(LineSeries::new(losses.into_iter().enumerate(), color.stroke_width(2)))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font(("sans-serif", 17))
            .background_style(WHITE)
            .border_style(BLACK.mix(0.3))
            .margin(10)
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

/// The powers of ten around `losses`.
fn decades<'a>(losses: impl Iterator<Item = &'a f64>) -> Range<f64> {
    let (lowest, highest) = losses.fold((f64::MAX, f64::MIN), |(low, high), &loss| (low.min(loss), high.max(loss)));
    10_f64.powf(lowest.log10().floor())..10_f64.powf(highest.log10().floor() + 1.0)
}
