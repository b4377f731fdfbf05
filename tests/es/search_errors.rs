//! What searches refuse, with nothing changed.

use gradus::Buffer;
use gradus::es::{Adaptation, Search, SearchSettings};
use gradus::optim::Tensor;

use crate::common::devices::{cpus, devices};
use crate::model::Place;
use crate::search::{ANTITHETIC, PGPE, distribution, says, search, settings};

#[test]
fn states_of_others_are_refused() {
    let device = &cpus()[0];
    let places = [(2, 4, 60, 0, 0)];
    let state = search::<f32>(device, settings(PGPE, 6), &places).state().unwrap();
    let says = |adaptation, population, places: &[Place], message: &str| {
        let mut search = search::<f32>(device, settings(adaptation, population), places);
        let before = distribution(&search);
        assert_eq!(search.load_state(&state).unwrap_err().to_string(), format!("saved state: {message}"));
        assert!(distribution(&search) == before);
    };
    says(Adaptation::SNES, 6, &places, "it is of rule 'pgpe' but the optimizer's is 'snes'");
    says(PGPE, 8, &places, "it is of 6 members but the search is of 8");
    says(PGPE, 6, &[(2, 4, 61, 0, 0)], "'tensor.2.4.mean' is f32 of 60 elements, not f32 of 61");
    says(PGPE, 6, &[(2, 0, 60, 0, 0)], "there is no array 'tensor.2.0.mean'");
    let none: [Place; 0] = [];
    says(PGPE, 6, &none, "'tensor.2.4.deviation' belongs to nothing the optimizer has");
}

#[test]
fn settings_out_of_their_range_are_refused() {
    let new = |settings| Search::<f32>::new(&cpus()[0], settings, &[Tensor::new(4)]);
    let with = |adaptation| new(settings(adaptation, 6));
    for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = format!("search: sigma = {sigma} is not a positive number");
        says(new(SearchSettings { sigma, ..settings(PGPE, 6) }), &message);
    }
    says(new(settings(PGPE, 0)), "search: 0 members are none or more than 1048576");
    says(new(settings(PGPE, 7)), "search: 7 members are no pairs");
    says(new(settings(ANTITHETIC, 7)), "search: 7 members are no pairs");
    assert!(new(settings(Adaptation::SNES, 7)).is_ok());
    let snes = |mean_rate, deviation_rate| Adaptation::Snes { mean_rate, deviation_rate, is_antithetic: false };
    says(with(snes(-0.5, None)), "search: mean_rate = -0.5 is not a number of at least 0");
    says(with(snes(1.0, Some(f64::INFINITY))), "search: deviation_rate = inf is not a number of at least 0");
    let pgpe = |deviation_rate, most| Adaptation::Pgpe { mean_rate: 1.0, deviation_rate, most, shaping: None };
    says(with(pgpe(f64::NAN, 0.2)), "search: deviation_rate = NaN is not a number of at least 0");
    says(with(pgpe(0.1, 1.5)), "search: most = 1.5 is not a number from 0 to 1");
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    for device in devices() {
        let mut search = Search::<f32>::new(device, settings(PGPE, 6), &[Tensor::new(4)]).unwrap();
        let before = distribution(&search);
        let mut memory = Buffer::from_slice(device, &[777.0_f32; 4]).unwrap();
        says(search.member(6, &mut [memory.view_mut()]), "search: there is no member 6 of 6");
        says(search.member(0, &mut []), "the number of targets is 0 but that of tensors is 1");
        let mut short = Buffer::from_slice(device, &[777.0_f32; 3]).unwrap();
        says(search.member(0, &mut [short.view_mut()]), "target 0 has 3 elements but tensor 0 has 4");
        says(search.tell(&[0.0; 5]), "the list of losses has 5 elements but that of members has 6");
        let great = [f64::MAX, f64::MIN, 0.0, 0.0, 0.0, 0.0];
        says(search.tell(&great), "term 0: the coefficient -inf is not finite");
        says(search.set_mean(1, &[]), "search: there is no tensor 1 of 1");
        says(search.mean(1), "search: there is no tensor 1 of 1");
        says(search.set_mean(0, &[0.0; 3]), "the source of a copy has 3 elements but the buffer has 4");
        says(
            search.set_deviation(0, &[1.0, 0.0, -1.0, 1.0]),
            "search: the deviation -1.0 of element 2 is not a number of at least 0",
        );
        assert!(distribution(&search) == before && search.generation() == 0, "something was written on {device}");
        assert_eq!(memory.to_vec().unwrap(), [777.0; 4]);
    }
}
