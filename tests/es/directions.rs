//! Vectors that are added to a model, on every device.

use gradus::element::{Element, Real};
use gradus::es::Directions;
use gradus::optim::Tensor;
use gradus::{Buffer, View, ViewMut};
use half::{bf16, f16};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::expected::places;
use crate::model::{Place, same, tensors};
use crate::search::says;

const COEFFICIENTS: [f64; 8] = [0.5, -0.1, 3.0, 0.0, 1e-3, -7.0, 0.3, 1.0];

fn added<Q: Element>() {
    let places: Vec<Place> = places().into_iter().filter(|place| place.2 <= 20_000).collect();
    let mut numbers = Numbers::new(seed());
    let mut of_places = || -> Vec<Vec<Q::Real>> { places.iter().map(|place| numbers.numbers(place.2)).collect() };
    let directions: Vec<Vec<Q::Real>> = (0..8).flat_map(|_| of_places()).collect();
    let from: Vec<Vec<Q>> = of_places().iter().map(|from| from.iter().map(|x| Q::store(*x)).collect()).collect();
    for count in [0, 1, 3, 8] {
        let expected: Vec<Vec<Q>> = from
            .iter()
            .enumerate()
            .map(|(tensor, from)| {
                let sum = |(i, x): (usize, &Q)| {
                    let one = |x: Q::Real, j: usize| {
                        Q::Real::from_f64(COEFFICIENTS[j]).fma(directions[j * places.len() + tensor][i], x)
                    };
                    Q::store((0..count).fold(x.load(), one))
                };
                from.iter().enumerate().map(sum).collect()
            })
            .collect();
        for device in devices() {
            let mut plan = Directions::<Q>::new(device, &tensors(&places)).unwrap();
            let mut to: Vec<_> =
                from.iter().zip(&places).map(|(from, place)| Guarded::new(device, from, place.4)).collect();
            let guarded = |(place, direction): (usize, &Vec<Q::Real>)| {
                Guarded::new(device, direction, places[place % places.len()].3)
            };
            let memory: Vec<_> = directions.iter().enumerate().take(count * places.len()).map(guarded).collect();
            let views: Vec<View<'_, Q::Real>> = memory.iter().map(Guarded::view).collect();
            let mut targets: Vec<ViewMut<'_, Q>> = to.iter_mut().map(Guarded::view_mut).collect();
            plan.add(&COEFFICIENTS[..count], &views, &mut targets).unwrap();
            let found: Vec<Vec<Q>> = to.iter().map(Guarded::elements).collect();
            same(&found, &expected, &format!("{count} directions as {} on {device}", Q::DTYPE));
        }
    }
}

#[test]
fn directions_are_summed_in_order_and_rounded_once() {
    added::<f64>();
    added::<f32>();
    added::<bf16>();
    added::<f16>();
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let mut plan = Directions::<f32>::new(device, &[Tensor::new(4)]).unwrap();
        let [v, mut to] = [1.0, 777.0].map(|x| Buffer::from_slice(device, &[x; 4]).unwrap());
        let short = Buffer::from_slice(device, &[1.0_f32; 3]).unwrap();
        let nine: Vec<_> = (0..9).map(|_| v.view()).collect();
        says(plan.add(&[1.0; 9], &nine, &mut [to.view_mut()]), "directions: 9 directions are more than 8");
        let one = plan.add(&[1.0, 2.0], &[v.view()], &mut [to.view_mut()]);
        says(one, "the list of directions has 1 element but what the coefficients are of has 2");
        let other = plan.add(&[1.0], &[short.view()], &mut [to.view_mut()]);
        says(other, "direction 0 has 3 elements but tensor 0 has 4");
        says(plan.add(&[1.0], &[v.view()], &mut []), "the number of targets is 0 but that of tensors is 1");
        let nan = plan.add(&[f64::NAN], &[v.view()], &mut [to.view_mut()]);
        says(nan, "direction 0: the coefficient NaN is not finite");
        assert_eq!(to.to_vec().unwrap(), [777.0; 4]);
    }
    let mut plan = Directions::<f32>::new(&cpus()[0], &[Tensor::new(4)]).unwrap();
    let mut memory = [0.5_f32; 8];
    // SAFETY: the call must refuse the overlap before it reads or writes.
    let (v, to) = unsafe {
        let first = memory.as_mut_ptr();
        (std::slice::from_raw_parts(first, 4), std::slice::from_raw_parts_mut(first.add(2), 4))
    };
    let error = plan.add(&[1.0], &[v.into()], &mut [to.into()]).unwrap_err().to_string();
    assert!(error.contains("direction 0") && error.contains("overlaps target 0"), "{error}");
}
