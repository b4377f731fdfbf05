//! Populations: every row is what a perturbation writes, on every device.

use gradus::Buffer;
use gradus::element::Element;
use gradus::es::{Distribution, Pairs, Perturbation, Population, Rounding, Target, Term};
use gradus::optim::Tensor;
use gradus::{View, ViewMut};
use half::{bf16, f16};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::model::{Place, same, tensors, terms};

/// Whole packs in every row and not, shards, chunks, and memory and noise that do not begin together.
const PLACES: [Place; 9] = [
    (0, 0, 640, 0, 0),
    (1, 128, 17_000, 4, 4),
    (2, 0, 333, 0, 0),
    (3, 8, 64, 0, 8),
    (4, 3, 129, 3, 3),
    (5, 0, 1, 0, 1),
    (6, 0, 0, 0, 0),
    (7, 5, 20, 0, 0),
    (8, 4, 12, 4, 0),
];

/// Members with no terms, with one, with two, and with more than travel by value.
fn members() -> Vec<Vec<Term>> {
    let terms = terms(14);
    [0..1, 3..3, 1..3, 5..14, 4..5].map(|range| terms[range].to_vec()).into()
}

fn rows<P: Element<Real = Q::Real>, Q: Target<P>>(rounding: Rounding) {
    let mut numbers = Numbers::new(seed());
    let elements: Vec<Vec<P>> = PLACES.iter().map(|place| numbers.numbers(place.2)).collect();
    let members = members();
    for distribution in Distribution::ALL {
        let mut plan = Perturbation::<P, Q>::new(&cpus()[0], distribution, &tensors(&PLACES)).unwrap();
        plan.set_rounding(rounding).unwrap();
        let mut expected: Vec<Vec<Q>> = vec![Vec::new(); PLACES.len()];
        for terms in &members {
            let mut row: Vec<Vec<Q>> = PLACES.iter().map(|place| vec![Q::zeroed(); place.2]).collect();
            let from: Vec<View<'_, P>> = elements.iter().map(View::from).collect();
            plan.write(terms, &from, &mut row.iter_mut().map(ViewMut::from).collect::<Vec<_>>()).unwrap();
            expected.iter_mut().zip(row).for_each(|(all, row)| all.extend(row));
        }
        for device in devices() {
            let mut population = Population::<P, Q>::new(device, distribution, &tensors(&PLACES)).unwrap();
            population.set_rounding(rounding).unwrap();
            let memory = PLACES.iter().zip(&elements);
            let from: Vec<_> = memory.map(|(place, elements)| Guarded::new(device, elements, place.3)).collect();
            let tile = |place: &Place| Guarded::new(device, &vec![Q::zeroed(); members.len() * place.2], place.4);
            let mut to: Vec<_> = PLACES.iter().map(tile).collect();
            let from: Vec<View<'_, P>> = from.iter().map(Guarded::view).collect();
            // The second time on tables that stand.
            for _ in 0..2 {
                let mut to: Vec<ViewMut<'_, Q>> = to.iter_mut().map(Guarded::view_mut).collect();
                population.write(&members, &from, &mut to).unwrap();
            }
            let found: Vec<Vec<Q>> = to.iter().map(Guarded::elements).collect();
            same(&found, &expected, &format!("{} to {} of {distribution:?} on {device}", P::DTYPE, Q::DTYPE));
        }
    }
}

#[test]
fn rows_are_perturbations() {
    rows::<f32, f32>(Rounding::Nearest);
    rows::<f64, f64>(Rounding::Nearest);
    rows::<f32, f16>(Rounding::Nearest);
    rows::<bf16, bf16>(Rounding::Nearest);
    rows::<f32, bf16>(Rounding::Stochastic { seed: 5, step: 6 });
}

/// Other members, and more or fewer of them, on the plan of a call before.
#[test]
fn populations_change() {
    for device in devices() {
        let tensor = [Tensor::new(100)];
        let mut population = Population::<f32>::new(device, Distribution::Normal, &tensor).unwrap();
        let mut plan = Perturbation::<f32>::new(device, Distribution::Normal, &tensor).unwrap();
        let from = Buffer::from_slice(device, &[0.5_f32; 100]).unwrap();
        let mut all = Buffer::<f32>::zeros(device, 800).unwrap();
        let mut row = Buffer::<f32>::zeros(device, 100).unwrap();
        for (step, count) in [(0, 4), (1, 4), (2, 1), (3, 0)] {
            let pairs = Pairs { sigma: 0.1, seed: 1, step, count };
            let mut tile = Buffer::<f32>::zeros(device, 200 * count).unwrap();
            let to = if count == 4 { &mut all } else { &mut tile };
            population.write(&pairs.population(), &[from.view()], &mut [to.view_mut()]).unwrap();
            let found = to.to_vec().unwrap();
            for (member, found) in found.chunks(100).enumerate() {
                plan.write(&[pairs.members(member / 2)[member % 2]], &[from.view()], &mut [row.view_mut()]).unwrap();
                assert!(row.to_vec().unwrap() == found, "member {member} of step {step} on {device}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let mut population =
            Population::<f32>::new(device, Distribution::Uniform, &[Tensor::new(4), Tensor::new(1)]).unwrap();
        let four = Buffer::from_slice(device, &[0.5_f32; 4]).unwrap();
        let one = Buffer::from_slice(device, &[0.5_f32; 1]).unwrap();
        let mut tile = Buffer::from_slice(device, &[0.5_f32; 8]).unwrap();
        let mut two = Buffer::from_slice(device, &[0.5_f32; 2]).unwrap();
        let from = [four.view(), one.view()];
        let says = |error: gradus::Result<()>, message: &str| assert_eq!(error.unwrap_err().to_string(), message);
        let term = Term { coefficient: 1.0, seed: 0, step: 0, pair: 0 };
        let members = [[term], [term]];
        let mut write =
            |members: &[[Term; 1]]| population.write(members, &from, &mut [tile.view_mut(), two.view_mut()]);
        says(write(&members[..1]), "tile 0 has 8 elements but 1 times tensor 0 has 4");
        says(
            write(&[[term], [Term { coefficient: f64::NAN, ..term }]]),
            "term 0 of member 1: the coefficient NaN is not finite",
        );
        says(
            write(&vec![[term]; (1 << 20) + 1]),
            "population: 1048577 members with 1048577 terms and 2097154 tensors are more than 1048576, or 2³² of the others",
        );
        assert!(write(&[[Term { pair: 1 << 20, ..term }]; 2]).is_err());
        says(
            population.write(&members, &from, &mut [tile.view_mut()]),
            "the number of tiles is 1 but that of tensors is 2",
        );
        says(
            population.write(&members, &from[..1], &mut [tile.view_mut(), two.view_mut()]),
            "the number of parameters is 1 but that of tensors is 2",
        );
        let error = population.set_rounding(Rounding::Stochastic { seed: 0, step: 0 }).unwrap_err();
        assert_eq!(error.to_string(), "rounding: elements of type f32 are rounded to nearest; only bf16 by chance");
        assert!(tile.to_vec().unwrap() == [0.5; 8] && two.to_vec().unwrap() == [0.5; 2]);
    }
}
