//! Networks and their files.

use std::collections::HashMap;

use gradus::lopt::{Form, Network};
use safetensors::tensor::{Dtype, TensorView};

use crate::model::network;

#[track_caller]
fn says<T>(result: gradus::Result<T>, message: &str) {
    assert_eq!(result.map(drop).unwrap_err().to_string(), format!("network: {message}"));
}

#[test]
fn a_file_holds_every_bit() {
    for (hidden, form) in [(1, Form::SmallFc), (4, Form::Star), (32, Form::SmallFc), (64, Form::Star)] {
        let network = network(hidden, form);
        let bytes = network.to_bytes();
        assert_eq!(Network::from_bytes(&bytes).unwrap(), network);
        assert_eq!(network.array("layer1.weight").unwrap().len(), hidden * hidden);
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("layer2.weight").unwrap().shape(), [form.outputs(), hidden]);
        assert_eq!(file.len(), 9);
    }
}

#[test]
fn torn_bytes_are_refused() {
    let bytes = network(3, Form::SmallFc).to_bytes();
    for length in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        assert!(Network::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(Network::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

/// A file of these arrays with a format.
fn file(arrays: &[(&str, &[usize], Dtype)], format: &str) -> Vec<u8> {
    let zeros = vec![0; 1 << 16];
    let view = |shape: &[usize], dtype: Dtype| {
        let bytes = shape.iter().product::<usize>() * if dtype == Dtype::F32 { 4 } else { 8 };
        TensorView::new(dtype, shape.to_vec(), &zeros[..bytes]).unwrap()
    };
    let views = arrays.iter().map(|(name, shape, dtype)| (*name, view(shape, *dtype)));
    safetensors::serialize(views, Some(HashMap::from([("format".to_owned(), format.to_owned())]))).unwrap()
}

#[test]
fn other_files_are_refused() {
    let good: [(&str, &[usize], Dtype); 9] = [
        ("layer0.weight", &[5, 39], Dtype::F32),
        ("layer0.bias", &[5], Dtype::F32),
        ("layer1.weight", &[5, 5], Dtype::F32),
        ("layer1.bias", &[5], Dtype::F32),
        ("layer2.weight", &[2, 5], Dtype::F32),
        ("layer2.bias", &[2], Dtype::F32),
        ("momentum_decays", &[3], Dtype::F32),
        ("rms_decays", &[1], Dtype::F32),
        ("adafactor_decays", &[3], Dtype::F32),
    ];
    const FORMAT: &str = "gradus small_fc_lopt 1";
    let read = |arrays: &[(&str, &[usize], Dtype)]| Network::from_bytes(&file(arrays, FORMAT));
    assert_eq!(read(&good).unwrap().hidden(), 5);

    says(
        Network::from_bytes(&file(&good, "gradus small_fc_lopt 2")),
        "the file's metadata 'format' are Some(\"gradus small_fc_lopt 2\"), not 'gradus small_fc_lopt 1'",
    );
    says(read(&good[..8]), "there is no array 'momentum_decays'".replace("momentum", "adafactor").as_str());
    let mut bad = good;
    bad[0].1 = &[39, 5];
    says(read(&bad), "'layer0.weight' is F32 of [39, 5], not F32 of [5, 39]");
    bad = good;
    bad[3].2 = Dtype::F64;
    says(read(&bad), "'layer1.bias' is F64 of [5], not F32 of [5]");
    bad = good;
    bad[5].1 = &[3];
    says(read(&bad), "its 3 outputs are not 2 or 4");
    bad = good;
    bad[1].1 = &[65];
    says(read(&bad), "its 65 hidden neurons are outside 1 to 64");
    says(read(&[&good[..], &[("w0", &[1], Dtype::F32)]].concat()), "'w0' is no array of a network");
}

#[test]
fn wrong_parameters_are_refused() {
    let count = Network::parameter_count(4, Form::SmallFc);
    assert_eq!(count, 39 * 4 + 4 + 16 + 4 + 8 + 2 + 7);
    says(Network::new(0, Form::SmallFc, Vec::new()), "its 0 hidden neurons are outside 1 to 64");
    says(Network::new(4, Form::SmallFc, vec![0.0; 3]), "with 4 hidden neurons it has 197 parameters, not 3");
    let mut parameters = vec![0.0; count];
    parameters[5] = f32::NAN;
    says(Network::new(4, Form::SmallFc, parameters), "its parameter 5, NaN, is not finite");
    says(network(2, Form::SmallFc).array("w0").map(drop), "it has no array 'w0'");
}
