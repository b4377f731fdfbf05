//! Sums of noises, added on every device.

use gradus::Device;
use gradus::element::Element;
use gradus::es::{Distribution, Rounding, Target, Term};
use half::{bf16, f16};

use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::expected::{counts, expected, places};
use crate::model::{Model, same, terms};

fn written<P: Element<Real = Q::Real>, Q: Target<P>>() {
    for distribution in Distribution::ALL {
        let reference = Model::<P, Q>::new(&cpus()[0], distribution, &places());
        let counts = counts(distribution, &[0, 1, 2, 7, 8, 9, 20]);
        let expected = |&count: &usize| expected(&reference, &places(), &terms(count), Rounding::Nearest);
        let expected: Vec<_> = counts.iter().map(expected).collect();
        for device in devices() {
            let mut model = Model::<P, Q>::new(device, distribution, &places());
            for (&count, expected) in counts.iter().zip(&expected) {
                let what = format!("{} to {}, {count} terms of {distribution:?} on {device}", P::DTYPE, Q::DTYPE);
                same(&model.write(&terms(count)), expected, &what);
            }
        }
    }
}

#[test]
fn f64_as_f64() {
    written::<f64, f64>();
}

#[test]
fn f32_as_f32() {
    written::<f32, f32>();
}

#[test]
fn f32_as_bf16() {
    written::<f32, bf16>();
}

#[test]
fn f32_as_f16() {
    written::<f32, f16>();
}

#[test]
fn bf16_as_bf16() {
    written::<bf16, bf16>();
}

#[test]
fn f16_as_f16() {
    written::<f16, f16>();
}

/// In place, call behind call, as out of place.
fn applied<P: Target<P>>() {
    // Memory that is read is written.
    let places: Vec<_> =
        places().into_iter().map(|(id, first, length, read, _)| (id, first, length, read, read)).collect();
    for device in devices() {
        for distribution in Distribution::ALL {
            let mut apart = Model::<P, P>::new(device, distribution, &places);
            let mut model = Model::<P, P>::new(device, distribution, &places);
            for count in [1, 3, 12] {
                let found = model.apply(&terms(count));
                same(&found, &apart.write(&terms(count)), &format!("{count} terms of {distribution:?} on {device}"));
                std::mem::swap(&mut apart.from, &mut apart.to);
            }
        }
    }
}

#[test]
fn in_place_is_as_out_of_place() {
    applied::<f64>();
    applied::<f32>();
    applied::<bf16>();
    applied::<f16>();
}

/// A shard draws what the whole tensor draws there.
#[test]
fn shards_are_parts_of_the_whole() {
    for device in devices() {
        for distribution in Distribution::ALL {
            let whole = Model::<f32, bf16>::new(device, distribution, &[(3, 0, 40_000, 0, 0)]).write(&terms(2));
            for cut in [1, 4, 8, 100, 16_384, 20_004] {
                let mut plan = Model::<f32, bf16>::new(
                    device,
                    distribution,
                    &[(3, 0, cut, 0, 0), (3, cut as u64, 40_000 - cut, cut % 16, cut % 16)],
                );
                // The numbers behind one another are those of the whole.
                same(&[plan.write(&terms(2)).concat()], &whole, &format!("cut at {cut} on {device}"));
            }
        }
    }
}

/// `θ + aε` and `θ - aε` are as far from `θ`, and neither order of calls nor what was drawn before matters.
#[test]
fn pairs_are_antithetic() {
    for device in devices() {
        for distribution in Distribution::ALL {
            let mut model = Model::<f32, f32>::new(device, distribution, &[(1, 0, 5000, 0, 0)]);
            let zeros = vec![0.0; 5000];
            model.from[0] = Guarded::new(device, &zeros, 0);
            let mut term = terms(1);
            let plus = model.write(&term);
            term[0].coefficient *= -1.0;
            let minus: Vec<Vec<f32>> = model.write(&term).iter().map(|x| x.iter().map(|x| -x).collect()).collect();
            assert!(plus == minus, "{distribution:?} on {device}");
        }
    }
}

/// A thousand evaluations at `θ ± σε` and steps with a learning rate of 0 leave parameters that are never written as they are.
#[test]
fn out_of_place_never_drifts() {
    let [first, .., last] = devices() else { panic!("two devices at least") };
    never_drifts::<bf16>(last);
    never_drifts::<f32>(first);
}

fn never_drifts<P: Target<P>>(device: &Device) {
    let mut model = Model::<P, P>::new(device, Distribution::Normal, &[(0, 0, 300, 0, 0)]);
    let before = model.from[0].elements();
    for step in 0..1000 {
        for coefficient in [1e-3, -1e-3] {
            let mut term = terms(1);
            (term[0].step, term[0].coefficient) = (step, coefficient);
            model.write(&term);
        }
        model.apply(&[Term { coefficient: 0.0, ..terms(1)[0] }]);
    }
    assert!(model.from[0].elements() == before);
}
