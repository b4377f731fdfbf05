//! Every rule goes down the gradient: what no comparison of a rule with itself would say.

use gradus::element::{Element, Real};
use gradus::optim::{Group, Tensor};
use gradus::{Buffer, Device};
use steppers::Stepped;

use crate::common::data::element;
use crate::common::subjects::{Property, Subject, label};

const STEPS: usize = 4;

/// A parameter moves against a gradient that stays, and along it where the objective is maximised.
pub struct Descent;

impl Property for Descent {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        let device = &Device::cpu();
        for &(name, mut rule) in &subject.presets {
            // A small scale of the rate would leave f16 where it is.
            for (setting, value) in [("lr", 0.125), ("scale", 1.0)] {
                if subject.settings.contains(&setting) {
                    rule.set(setting, &value.into()).unwrap();
                }
            }
            for maximize in [false, true] {
                let mut optimizer = P::stepper(&Group::new(rule).maximize(maximize), device).unwrap();
                optimizer.add(Tensor::new(2)).unwrap();
                let mut parameter = Buffer::from_slice(device, &[element::<P>(0.0); 2]).unwrap();
                let gradient = Buffer::from_slice(device, &[element::<G>(1.0), element(-1.0)]).unwrap();
                for _ in 0..STEPS {
                    optimizer.step(&mut [parameter.view_mut()], &[Some(gradient.view())]).unwrap();
                }
                let moved: Vec<f64> = parameter.to_vec().unwrap().into_iter().map(|p| p.load().to_f64()).collect();
                let uphill = moved[0] > 0.0 && moved[1] < 0.0;
                let downhill = moved[0] < 0.0 && moved[1] > 0.0;
                let label = label::<P, G>(subject, device);
                assert!(
                    if maximize { uphill } else { downhill },
                    "{name}, {label}, maximize = {maximize}: zeros have moved to {moved:?} along gradients of 1 and -1"
                );
            }
        }
    }
}
