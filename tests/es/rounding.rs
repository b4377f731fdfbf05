//! Stochastic rounding to bf16.

use gradus::element::Element;
use gradus::es::{Distribution, Rounding, Target};
use half::{bf16, f16};

use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::expected::{expected, places};
use crate::model::{Model, same, terms};

const BY_CHANCE: Rounding = Rounding::Stochastic { seed: 0xfeed_beef_0bad_cafe, step: (1 << 32) + 7 };

fn rounded<P: Element<Real = f32>>()
where
    bf16: Target<P>,
{
    for distribution in Distribution::ALL {
        let reference = Model::<P, bf16>::new(&cpus()[0], distribution, &places());
        let told = |count, rounding| expected(&reference, &places(), &terms(count), rounding);
        let expected = [0, 1, 9].map(|count| told(count, BY_CHANCE));
        for device in devices() {
            let mut model = Model::<P, bf16>::new(device, distribution, &places());
            model.plan.set_rounding(BY_CHANCE).unwrap();
            for (count, expected) in [0, 1, 9].into_iter().zip(&expected) {
                same(&model.write(&terms(count)), expected, &format!("{count} terms of {distribution:?} on {device}"));
            }
            model.plan.set_rounding(Rounding::Nearest).unwrap();
            same(&model.write(&terms(1)), &told(1, Rounding::Nearest), "to nearest again");
        }
    }
}

#[test]
fn every_device_rounds_by_the_bits_of_the_address() {
    rounded::<f32>();
    rounded::<bf16>();
}

/// Zero, the ends of the range, infinities and NaN. Rounding up the greatest numbers gives infinity.
#[test]
fn special_values_stay() {
    let of_bits = [0x7f80_0001, 0xff80_0001, 0x7fff_ffff, 0xffff_ffff, 0x0001_0000].map(f32::from_bits);
    let usual = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0, -2.5, f32::MIN_POSITIVE, f32::MAX];
    let special = [&of_bits[..], &usual[..]].concat();
    let last = special.len() - 1;
    for device in devices() {
        let length = special.len();
        let mut model = Model::<f32, bf16>::new(device, Distribution::Normal, &[(0, 0, length, 0, 0)]);
        model.from[0] = Guarded::new(device, &special, 0);
        for step in 0..8 {
            model.plan.set_rounding(Rounding::Stochastic { seed: 1, step }).unwrap();
            let found = model.write(&[]).remove(0);
            let told = |value: f32| bf16::from_f32(value);
            for (found, &value) in found[..last].iter().zip(&special) {
                let kept = found.to_bits() == told(value).to_bits() || found.is_nan() && value.is_nan();
                assert!(kept, "{value} became {found} on {device}");
            }
            assert!(found[last] == bf16::MAX || found[last] == bf16::INFINITY, "{} on {device}", found[last]);
        }
    }
}

/// The mean of many roundings is the number: within 4.5 standard errors.
#[test]
fn the_expected_value_is_the_number() {
    let mut model = Model::<f32, bf16>::new(&devices()[0], Distribution::Normal, &[(0, 0, 4096, 0, 0)]);
    for share in [0.1_f32, 0.25, 0.5, 0.9] {
        // Between 1 and 1 + 1/128.
        let numbers = vec![1.0 + share / 128.0; 4096];
        model.from[0] = Guarded::new(&devices()[0], &numbers, 0);
        let mut up = 0;
        for step in 0..64 {
            model.plan.set_rounding(Rounding::Stochastic { seed: 3, step }).unwrap();
            up += model.write(&[])[0].iter().filter(|x| x.to_f32() > 1.0).count();
        }
        let (count, share) = (64.0 * 4096.0, f64::from(share));
        let z = (up as f64 - share * count) / (count * share * (1.0 - share)).sqrt();
        assert!(z.abs() < 4.5, "{up} of {count} were rounded up, {share} expected: {z} standard errors");
    }
}

#[test]
fn other_types_are_not_rounded_by_chance() {
    let device = &devices()[0];
    let mut halves = Model::<f16, f16>::new(device, Distribution::Normal, &[(0, 0, 1, 0, 0)]);
    let error = halves.plan.set_rounding(BY_CHANCE).unwrap_err();
    assert_eq!(error.to_string(), "rounding: elements of type f16 are rounded to nearest; only bf16 by chance");
    let mut singles = Model::<f32, f32>::new(device, Distribution::Normal, &[(0, 0, 1, 0, 0)]);
    assert!(singles.plan.set_rounding(BY_CHANCE).is_err());
}
