//! Trajectories of other people's implementations, played through the public API.
//!
//! `GRADUS_GOLDEN` names another directory of such files; `GRADUS_DRIVER=system` plays all of them on CUDA device 0, and not
//! only those of step objects, on the software driver.
//! What is compared with what, and how closely, is told in `tests/golden/README.md`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

use gradus::Device;
use gradus::element::Dtype;
use gradus::rules::by_name;
use serde_json::{Value as Json, json};

#[path = "common/devices.rs"]
mod devices;
#[path = "golden/file.rs"]
mod file;
#[path = "golden/formulas.rs"]
mod formulas;
#[path = "golden/formulas_adaptive.rs"]
mod formulas_adaptive;
#[path = "golden/formulas_extras.rs"]
mod formulas_extras;
#[path = "golden/formulas_newer.rs"]
mod formulas_newer;
#[path = "golden/formulas_stochastic.rs"]
mod formulas_stochastic;
#[path = "golden/formulas_variance.rs"]
mod formulas_variance;
#[path = "golden/kfac.rs"]
mod kfac;
#[path = "golden/methods/mod.rs"]
mod methods;
#[path = "golden/objects.rs"]
mod objects;
#[path = "golden/play.rs"]
mod play;
#[path = "golden/unrolled.rs"]
mod unrolled;
#[path = "golden/wrappers.rs"]
mod wrappers;

use devices::{cpus, devices};
use file::File;
use methods::{Method, built, matches, methods};
use objects::{object, objects};
use play::{Difference, play};

/// Errors are relative to the greater of 1 and the number that the file gives.
const TOLERANCE_F64: f64 = 1e-12;
const TOLERANCE_F32: f64 = 2e-5;

/// Methods that are given another tolerance, and why.
const EXCEPTIONS: &[(&str, Dtype, f64, &str)] = &[
    ("muon*", Dtype::F64, 1e-10, "Newton-Schulz iterations"),
    ("soap", Dtype::F64, 1e-10, "an eigenbasis"),
    ("shampoo*", Dtype::F64, 1e-10, "matrix roots"),
    ("mars_shampoo", Dtype::F64, 1e-10, "Newton-Schulz iterations"),
    ("kfac*", Dtype::F64, 1e-10, "matrix inverses"),
    ("foof", Dtype::F64, 1e-10, "a matrix inverse"),
    ("cg_pr_quadratic", Dtype::F64, 1e-9, "conjugate directions lose digits: 1 ulp of the inputs moves it by 4e-12"),
    ("cg_pr_rosenbrock", Dtype::F64, 1e-6, "only the minimiser is compared, and line searches reach it by other ways"),
];

/// An arithmetic type and a device that files are played with.
struct Run {
    dtype: Dtype,
    device: Device,
    /// Whether only step objects are: rules have the bits of the CPU there, which `tests/conformance` sees to.
    objects_only: bool,
}

impl Run {
    fn on_cpu(dtype: Dtype) -> Self {
        Self { dtype, device: Device::cpu(), objects_only: false }
    }

    fn all() -> Vec<Self> {
        let mut runs = Vec::from([Dtype::F64, Dtype::F32].map(Self::on_cpu));
        let objects_only = env::var("GRADUS_DRIVER").is_err();
        let cuda = devices().iter().skip(cpus().len()).cloned();
        runs.extend(cuda.map(|device| Self { dtype: Dtype::F32, device, objects_only }));
        runs
    }

    fn plays(&self, method: &str) -> bool {
        !self.objects_only || object(method).is_some()
    }

    fn tolerance(&self, method: &str) -> f64 {
        let exception = EXCEPTIONS.iter().find(|(name, dtype, ..)| *dtype == self.dtype && matches(name, method));
        let usual = if self.dtype == Dtype::F64 { TOLERANCE_F64 } else { TOLERANCE_F32 };
        exception.map_or(usual, |&(_, _, tolerance, _)| tolerance)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.dtype, self.device)
    }
}

#[test]
fn files_agree() {
    let directory = env::var_os("GRADUS_GOLDEN").map_or_else(own_directory, PathBuf::from);
    let files = read_files(&directory);
    assert!(!files.is_empty(), "there are no golden files in {}", directory.display());
    let (runs, pending) = (Run::all(), pending());
    let (mut of_references, mut of_formulas) = (0, 0);
    let (mut waiting, mut failures) = (BTreeSet::new(), Vec::new());
    for file in &files {
        let runs: Vec<&Run> = runs.iter().filter(|run| run.plays(file.method())).collect();
        let outcome = match runs.iter().map(|run| check_built(file, run)).collect::<Option<Result<Vec<_>, _>>>() {
            Some(outcome) => outcome,
            None if pending.contains(file.method()) => {
                waiting.insert(file.method());
                continue;
            }
            None => Err(format!("the method '{}' is neither built nor pending", file.method())),
        };
        match outcome {
            Ok(errors) => {
                println!("{:24} {}", file.name, describe(&runs, &errors));
                *(if file.formula_only() { &mut of_formulas } else { &mut of_references }) += 1;
            }
            Err(failure) => failures.push(format!("{}: {failure}", file.name)),
        }
    }
    report(&format!(
        "golden: {of_references} files of references agree, {of_formulas} of formulas only, {} fail\n",
        failures.len()
    ));
    if !waiting.is_empty() {
        let names = waiting.iter().copied().collect::<Vec<_>>().join(", ");
        report(&format!("pending: {} ({names})\n", waiting.len()));
    }
    assert!(failures.is_empty(), "golden files disagree:\n{}", failures.join("\n"));
}

#[test]
fn pending_methods_have_files_and_are_not_built() {
    let files = read_files(&own_directory());
    let methods: BTreeSet<&str> = files.iter().map(File::method).collect();
    for name in pending() {
        let is_built = built(&name).is_some() || object(&name).is_some();
        assert!(!is_built, "'{name}' is built: strike it out of PENDING");
        assert!(methods.contains(name.as_str()), "PENDING has '{name}', which is the method of no file");
    }
}

#[test]
fn every_method_has_a_rule_and_a_file() {
    let files = read_files(&own_directory());
    for Method { name, rule, .. } in methods() {
        assert!(by_name(rule, &[]).is_ok(), "{name}: no rule is named '{rule}'");
        assert!(files.iter().any(|file| matches(name, file.method())), "no file is of the method '{name}'");
    }
    for objects::Object { name, .. } in objects() {
        assert!(files.iter().any(|file| file.method() == *name), "no file is of the method '{name}'");
    }
    for (name, ..) in EXCEPTIONS {
        assert!(files.iter().any(|file| matches(name, file.method())), "no file is of the exception '{name}'");
    }
}

#[test]
fn planted_faults_are_noticed() {
    let first: f64 = -0.3507186283104466;
    assert_eq!(verdict("adam", "/params/0/1", first.into()), Ok(()));
    for (name, pointer, value, part) in [
        ("adam", "/params/0/1", (first + 2e-12).into(), "f64 on cpu"),
        ("adam", "/params/9/39", "nan".into(), "f64 on cpu"),
        ("adam", "/state/exp_avg/0", 1e-11.into(), "f64 on cpu"),
        ("adam", "/state/exp_avg", json!([0.0]), "state exp_avg has 40 elements, not 1"),
        ("adam", "/grads/0", json!([0.0]), "grads 0 has 1 elements, not 40"),
        ("adam", "/grads", json!([]), "there are 0 gradients and 10 parameters"),
        ("adam", "/hyper/betas", json!([0.999, 0.9]), "f64 on cpu"),
        ("adam", "/hyper/betas", 0.9.into(), "betas = 0.9 is not a list of 2"),
        ("adam", "/hyper/maximize", true.into(), "f64 on cpu"),
        ("adam", "/hyper/weight_decay", 0.1.into(), "f64 on cpu"),
        ("adam", "/hyper/lr", "fast".into(), "AdamW: lr = 'fast' is not a number"),
        ("adam", "/hyper/warmup", 0.into(), "nothing reads the hyperparameters warmup"),
        ("adam", "/noise", json!([]), "there are 0 of noise and 10 gradients"),
        ("adam", "/hess_grads", json!({ "10": [0.0] }), "hess_grads has '10', which is none of 10 steps"),
        ("adam", "/hess_grads", json!({ "9": [0.0] }), "adamw takes neither a second gradient nor noise"),
        ("lookahead_sgd", "/state/slow/3", 0.0.into(), "state slow, element 3"),
        ("lookahead_sgd", "/hyper/la_steps", 4.into(), "f64 on cpu"),
        ("lookahead_sgd", "/hyper/la_alpha", 0.7.into(), "f64 on cpu"),
        ("lookahead_sgd", "/hyper/pullback", "reset".into(), "f64 on cpu"),
        ("lookahead_sgd", "/hyper/pullback", "half".into(), "pullback = 'half' is none of none, reset, pullback"),
        ("lookahead_sgd", "/hyper/k", 5.into(), "la_steps is given by two names"),
        ("lookahead_sgd", "/hyper/inner", "adam".into(), "inner = 'adam' is not 'sgd'"),
        ("gadam", "/state/avg_params_per_step/6/39", 0.0.into(), "state avg_params_per_step 6, element 39"),
        ("gadam", "/state/avg_params_per_step/5", json!(null), "state avg_params_per_step 5 is null, but there is one"),
        ("gadam", "/state/avg_params_per_step/0", json!([0.0]), "state avg_params_per_step 0 has 40 elements, not 1"),
        ("gadam", "/state/avg_params_per_step", json!([]), "state avg_params_per_step has 0 steps, not 10"),
        ("gadam", "/state/n_avg", 2.into(), "state n_avg"),
        ("gadam", "/hyper/avg_start", 3.into(), "state avg_params_per_step 4 is null, but there is one"),
        ("gadam", "/hyper/decoupled_wd", false.into(), "f64 on cpu"),
        ("ema_weights", "/params/9/39", 0.0.into(), "params 9, element 39"),
        ("ema_weights", "/hyper/decay", 0.8.into(), "f64 on cpu"),
        ("schedulefree_sgd", "/state/x_per_step/4/39", 0.0.into(), "state x_per_step 4, element 39"),
        ("schedulefree_sgd", "/hyper/eps", 1e-8.into(), "nothing reads the hyperparameters eps"),
        ("schedulefree_adamw", "/hyper/warmup_steps", 2.into(), "f64 on cpu"),
        ("schedulefree_adamw", "/hyper/warmup_steps", 2.5.into(), "warmup_steps = 2.5 is not a whole number"),
        ("sophia_g", "/hess_grads/4/39", 1.0.into(), "f64 on cpu"),
        ("sophia_g", "/hess_grads/4", json!([0.0]), "second gradient 0 has 1 element but parameter 0 has 40"),
        ("sophia_g", "/hess_grads/5", json!([0.0]), "one second gradient in 4 steps is wrong of step 5"),
        ("sophia_g", "/hyper/hess_every", 8.into(), "one second gradient in 8 steps is wrong of step 4"),
        ("sophia_g", "/hyper/bs", 2001.into(), "f64 on cpu"),
        ("sophia_g", "/noise", json!([]), "a step takes one of hess_grads, noise"),
        ("adagrad", "/state/sum/4", 0.0.into(), "state sum, element 4"),
        ("adagrad", "/hyper/lr_decay", 1e-9.into(), "f64 on cpu"),
        ("adagrad", "/hyper/initial_accumulator_value", 1e-9.into(), "f64 on cpu"),
        ("adadelta", "/state/acc_delta/4", 0.0.into(), "state acc_delta, element 4"),
        ("adadelta", "/hyper/rho", 0.95.into(), "f64 on cpu"),
        ("rmsprop", "/hyper/momentum", 0.1.into(), "f64 on cpu"),
        ("rmsprop", "/hyper/decay", 0.99.into(), "nothing reads the hyperparameters decay"),
        ("rmsprop_centered", "/state/grad_avg/4", 0.0.into(), "state grad_avg, element 4"),
        ("rmsprop_centered", "/hyper/centered", false.into(), "f64 on cpu"),
        ("rmsprop_momentum", "/state/momentum_buffer/4", 0.0.into(), "state momentum_buffer, element 4"),
        ("rmsprop_eps_inside", "/hyper/decay", 0.99.into(), "f64 on cpu"),
        ("rmsprop_eps_inside", "/hyper/initial_scale", 1e-9.into(), "f64 on cpu"),
        ("adamax", "/state/exp_inf/0", 0.0.into(), "state exp_inf, element 0"),
        ("adamax", "/hyper/betas", json!([0.9, 0.99]), "f64 on cpu"),
        ("nadam", "/state/mu_product/0", 0.0.into(), "state mu_product"),
        ("nadam", "/hyper/momentum_decay", 0.005.into(), "f64 on cpu"),
        ("nadam", "/hyper/decoupled_weight_decay", 1.into(), "decoupled_weight_decay = 1 is not true or false"),
        ("radam", "/state/exp_avg_sq/4", 0.0.into(), "state exp_avg_sq, element 4"),
        ("radam", "/hyper/momentum_decay", 0.004.into(), "nothing reads the hyperparameters momentum_decay"),
        ("amsgrad", "/state/max_exp_avg_sq/5", 0.0.into(), "state max_exp_avg_sq, element 5"),
        ("amsgrad_paper", "/hyper/bias_correction_nu", true.into(), "f64 on cpu"),
        ("amsgrad_paper", "/hyper/bias_correction_mu", json!(null), "f64 on cpu"),
        ("amsgradw", "/hyper/weight_decay", json!(null), "f64 on cpu"),
        ("padam", "/hyper/partial", json!(null), "f64 on cpu"),
        ("padam", "/hyper/amsgrad", 0.5.into(), "Padam: amsgrad = 0.5 is not true or false"),
        ("gadamx", "/state/avg_params_per_step/6/39", 0.0.into(), "state avg_params_per_step 6, element 39"),
        ("gadamx", "/hyper/amsgrad", json!(null), "f64 on cpu"),
        ("adabelief", "/hyper/rectify", json!(null), "f64 on cpu"),
        ("adabelief_rectified", "/state/exp_avg_var/39", 1.0.into(), "state exp_avg_var, element 39"),
        ("acprop", "/hyper/momentum_update", true.into(), "f64 on cpu"),
        ("acprop", "/hyper/momentum", 0.9.into(), "nothing reads the hyperparameters momentum"),
        ("acprop_rectified", "/hyper/rectify", false.into(), "f64 on cpu"),
        ("diffgrad", "/state/previous_grad/39", 0.0.into(), "state previous_grad, element 39"),
        ("aida_p2q1", "/hyper/p", 1.into(), "f64 on cpu"),
        ("aida_pq", "/hyper/q", json!(null), "f64 on cpu"),
        ("aida_pq", "/hyper/eps_inside", 2.into(), "Aida: eps_inside = 2 is not true or false"),
        ("superadam_momentum", "/hyper/c", 6.into(), "f64 on cpu"),
        ("superadam_momentum", "/hyper/tau", false.into(), "f64 on cpu"),
        ("superadam_storm", "/hyper/m", 99.into(), "f64 on cpu"),
        ("superadam_storm", "/hyper/tau", true.into(), "f64 on cpu"),
        ("superadam_storm", "/hyper/lr", 0.01.into(), "nothing reads the hyperparameters lr"),
        ("superadam_storm", "/hyper/coord_glob_H", true.into(), "waits for measured rules"),
        ("superadam_storm", "/grads_prev_point/1/39", 0.0.into(), "f64 on cpu"),
        ("superadam_storm", "/state/exp_avg/0", 1e-11.into(), "f64 on cpu"),
        ("swa_weights", "/grads/3/7", 0.0.into(), "f64 on cpu"),
        ("swa_weights", "/state/n_averaged", 11.into(), "state n_averaged"),
        ("theopoula", "/hyper/beta", 1.into(), "f64 on cpu"),
        ("theopoula", "/hyper/beta", 9999.into(), "f64 on cpu"),
        ("theopoula", "/hyper/eta", 0.01.into(), "eta = 0.01 takes a norm over all tensors"),
        ("theopoula", "/hyper/eps", 1e-7.into(), "f64 on cpu"),
        ("theopoula", "/noise/9/39", 0.0.into(), "f64 on cpu"),
        ("theopoula", "/noise", json!([]), "there are 0 of noise and 10 gradients"),
        ("replicated_sgd", "/params/3/7", 0.0.into(), "params 3, element 7"),
        ("replicated_sgd", "/replica_grads/2/1/4", 0.0.into(), "params 2, element 14"),
        ("replicated_sgd", "/hyper/gamma", 0.4.into(), "f64 on cpu"),
        ("replicated_sgd", "/hyper/gamma_growth", 0.04.into(), "f64 on cpu"),
        ("replicated_sgd", "/hyper/mode", "repulsive".into(), "mode = 'repulsive' is not 'paper'"),
        ("replicated_sgd", "/replica_param0", json!([]), "an ensemble has one replica at least, not none"),
        ("entropy_sgd", "/params/3/7", 0.0.into(), "params 3, element 7"),
        ("entropy_sgd", "/state/mu_per_step/2/5", 0.0.into(), "state mu_per_step 2, element 5"),
        ("entropy_sgd", "/grads_all/0/5", 0.0.into(), "f64 on cpu"),
        ("entropy_sgd", "/noise/31/5", 9.0.into(), "state mu_per_step 7, element 5"),
        ("entropy_sgd", "/noise", json!([]), "there are 0 of noise, not 32 for 8 loops"),
        ("entropy_sgd", "/hyper/L", 3.into(), "there are 40 gradients, not 32 for 8 loops"),
        ("entropy_sgd", "/hyper/damp", 0.1.into(), "f64 on cpu"),
        ("entropy_sgd", "/hyper/nesterov", false.into(), "f64 on cpu"),
        ("entropy_sgd", "/hyper/weight_decay", 0.1.into(), "f64 on cpu"),
        ("entropy_sgd", "/hyper/g0", 0.31.into(), "f64 on cpu"),
        ("entropy_sgd", "/hyper/eps", 0.02.into(), "f64 on cpu"),
        ("kfac_heuristic", "/hyper/damp", 0.031.into(), "f64 on cpu"),
        ("kfac_heuristic", "/hyper/kf_m", 0.9.into(), "f64 on cpu"),
        ("kfac_klclip", "/params/3/7", 0.0.into(), "params 3, element 7"),
        ("kfac_klclip", "/outgrads/2/5", 0.0.into(), "f64 on cpu"),
        ("kfac_klclip", "/acts/2/5", 0.0.into(), "f64 on cpu"),
        ("kfac_klclip", "/hyper/damping", 0.031.into(), "f64 on cpu"),
        ("kfac_klclip", "/hyper/kl_clip", 0.011.into(), "f64 on cpu"),
        ("kfac_klclip", "/hyper/momentum", 0.8.into(), "f64 on cpu"),
        ("kfac_klclip", "/hyper/stat_decay", 0.94.into(), "f64 on cpu"),
        ("kfac_klclip", "/hyper/lr", 0.051.into(), "f64 on cpu"),
        ("kfac_klclip", "/hyper/TInv", 2.into(), "f64 on cpu"),
        ("kfac_klclip", "/hyper/TCov", 2.into(), "TCov = 2 is not 1"),
        ("pes", "/params/3/5", 0.0.into(), "params 3, element 5"),
        ("pes", "/losses/2/5", 0.0.into(), "params 2, element"),
        ("pes", "/pos_perts/0/3", 0.0.into(), "f64 on cpu"),
        ("pes", "/hyper/sigma", 0.11.into(), "f64 on cpu"),
        ("pes", "/hyper/steps_per_episode", 5.into(), "f64 on cpu"),
        ("pes", "/hyper/N", 6.into(), "losses 0 has 8 elements, not 6"),
        ("pes", "/hyper/kind", "es".into(), "kind = 'es' is not 'pes'"),
        ("es_antithetic", "/params/9/0", 0.0.into(), "params 9, element 0"),
        ("es_antithetic", "/losses/2/5", 0.0.into(), "params 2, element"),
        ("es_antithetic", "/hyper/steps_per_episode", 4.into(), "nothing reads the hyperparameters steps_per_episode"),
        ("gtadam", "/params/3/7", 0.0.into(), "params 3, element 7"),
        ("gtadam", "/state/m/47", 0.0.into(), "state m, element 47"),
        ("gtadam", "/state/tracker/0", 0.0.into(), "state tracker, element 0"),
        ("gtadam", "/hyper/G", 0.1.into(), "f64 on cpu"),
        ("gtadam", "/hyper/agents", 3.into(), "agents is 3, but W is of 4"),
        ("gtadam", "/W/1/2", 0.3.into(), "row 1 has the sum 1.05, not 1"),
    ] {
        let found = verdict(name, pointer, Json::clone(&value)).expect_err(pointer);
        assert!(found.contains(part), "{name}{pointer} = {value} gave: {found}");
    }
}

/// What becomes of a file that is given another value somewhere.
fn verdict(name: &str, pointer: &str, value: Json) -> Result<(), String> {
    let text = fs::read_to_string(own_directory().join(format!("{name}.json"))).expect("the file can be read");
    let mut json: Json = serde_json::from_str(&text).expect("the file is JSON");
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a parent");
    match json.pointer_mut(parent).expect("the parent exists") {
        Json::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        other => other[key.parse::<usize>().expect("a list has numbers")] = value,
    }
    let file = File::new("planted", json)?;
    check_built(&file, &Run::on_cpu(Dtype::F64)).expect("the method is built").map(drop)
}

/// The golden files of the package.
fn own_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn read_files(directory: &Path) -> Vec<File> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the directory can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| File::read(path).unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// The methods that wait to be built.
fn pending() -> BTreeSet<String> {
    let path = own_directory().join("PENDING");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(str::to_owned).collect()
}

/// Plays a file and gives its worst error, if its method is built: by a rule, or by a step object of its own.
fn check_built(file: &File, run: &Run) -> Option<Result<f64, String>> {
    let by_rule = built(file.method()).map(|method| check(file, method, run));
    by_rule.or_else(|| object(file.method()).map(|object| worst(file, run, object.play(file, run)?)))
}

/// Plays a file by a rule and gives its worst error. Errors: one that is greater than the run's tolerance, a file that
/// cannot be played.
fn check(file: &File, method: &Method, run: &Run) -> Result<f64, String> {
    let differences = match run.dtype {
        Dtype::F64 => play::<f64>(file, method, &run.device)?,
        _ => play::<f32>(file, method, &run.device)?,
    };
    worst(file, run, differences)
}

/// The worst error. Errors: one that is greater than the run's tolerance.
fn worst(file: &File, run: &Run, differences: Vec<Difference>) -> Result<f64, String> {
    let tolerance = run.tolerance(file.method());
    let worst = differences.into_iter().max_by(|a, b| a.error.total_cmp(&b.error));
    let worst = worst.ok_or("it has no steps")?;
    let Difference { error, place, given, expected } = &worst;
    if *error <= tolerance {
        return Ok(*error);
    }
    Err(format!("{run}: {place} is {given}, not {expected}: {error:.1e} is above {tolerance:.0e}"))
}

fn describe(runs: &[&Run], errors: &[f64]) -> String {
    let pairs = runs.iter().zip(errors).map(|(run, error)| format!("{run}: {error:.1e}"));
    pairs.collect::<Vec<_>>().join("   ")
}

/// Writes past the test harness, which shows what a test prints only where it fails.
fn report(text: &str) {
    io::stderr().write_all(text.as_bytes()).expect("the standard error stream can be written");
}
