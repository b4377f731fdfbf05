//! Embeds `kernels/ptx`, or compiles again what no longer follows from its sources.
//!
//! The tables in `src/rules/list.rs` say which kernels of rules there are; their entry points are written here, one `.cu` a
//! rule. [`ROUTINES`] and [`METHODS`] list what else there is.
//! `kernels/ptx/MANIFEST` holds a hash of what every PTX was made from. `GRADUS_KERNELS=write` compiles everything into
//! `kernels/ptx`, `GRADUS_KERNELS=check` compiles everything and fails where a byte differs from what is there.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fnv::FnvHasher;

include!("src/rules/list.rs");

macro_rules! rules {
    ($($module:ident :: $settings:ident { $($names:tt)* }),* $(,)?) => {
        const RULES: &[(&str, &str)] = &[$((stringify!($module), stringify!($settings))),*];
    };
}
for_each_rule!(rules);

macro_rules! pairs {
    ($(($parameter:ident, $gradient:ident)),* $(,)?) => {
        const PAIRS: &[(&str, &str)] = &[$((stringify!($parameter), stringify!($gradient))),*];
    };
}
for_each_pair!(pairs);

/// Kernels of no rule, each PTX with the file under `kernels/` that has its entry points.
const ROUTINES: &[(&str, &str)] = &[
    ("basis", "linalg/basis.cu"),
    ("directions", "es/directions.cu"),
    ("estimate", "es/estimate.cu"),
    ("fmath", "core/fmath.cu"),
    ("jacobi", "linalg/jacobi.cu"),
    ("library", "optim/library.cu"),
    ("lattice_low_rank", "es/lattice_low_rank.cu"),
    ("low_rank", "es/low_rank.cu"),
    ("low_rank_multiply", "es/low_rank_multiply.cu"),
    ("lopt", "lopt/lopt.cu"),
    ("noise", "es/noise.cu"),
    ("perturb", "es/perturb.cu"),
    ("reduce", "linalg/reduce.cu"),
    ("sep_cma", "es/sep_cma.cu"),
    ("shape", "es/shape.cu"),
    ("spd_inverse", "linalg/spd_inverse.cu"),
    ("spd_tiles", "linalg/spd_tiles.cu"),
    ("sym_poly", "linalg/sym_poly.cu"),
    ("syrk_ema", "linalg/syrk_ema.cu"),
    ("kron_apply", "linalg/kron_apply.cu"),
    ("eigenbasis", "linalg/eigenbasis.cu"),
    ("spd_solve", "linalg/spd_solve.cu"),
    ("spd_warm", "linalg/spd_warm.cu"),
];

/// Methods that step several copies of a tensor, each with the file under `kernels/` that has a kernel of every pair.
const METHODS: &[(&str, &str)] = &[
    ("replicated_sgd", "optim/replicated_sgd.cu"),
    ("gt_adam", "optim/gt_adam.cu"),
    ("entropy_sgd", "optim/entropy_sgd.cu"),
];

/// `-rdc=true` makes the layout constants visible to the driver.
const FLAGS: &[&str] = &[
    "-ptx",
    "-arch=compute_80",
    "-std=c++20",
    "-O3",
    "-fmad=false",
    "-ftz=false",
    "-prec-div=true",
    "-prec-sqrt=true",
    "-rdc=true",
];
const PTX_VERSION: &str = ".version 7.8";
const FOLDER: &str = "kernels/ptx";
const MANIFEST: &str = "kernels/ptx/MANIFEST";
const TOOLCHAIN: &str = "target/cuda-toolchain/cuda/bin";

type Result<T> = std::result::Result<T, String>;

fn main() {
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    if let Err(message) = run() {
        println!("cargo::error={message}");
        exit(1);
    }
}

/// One PTX file: the entry points of a rule or routine.
struct Unit {
    file: String,
    text: String,
    source: u64,
}

fn run() -> Result<()> {
    for variable in ["NVCC", "CUDA_HOME", "GRADUS_KERNELS"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed={FOLDER}");

    let mut sources = BTreeMap::new();
    let rules = RULES.iter().map(|&(module, settings)| (module, entry_points(module, settings)));
    let routines = ROUTINES.iter().map(|&(module, path)| (module, format!("#include \"{path}\"\n")));
    let methods = METHODS.iter().map(|&(module, path)| (module, for_pairs(path)));
    let texts = rules.chain(routines).chain(methods);
    let units = texts.map(|(module, text)| unit(module, text, &mut sources)).collect::<Result<Vec<_>>>()?;
    for path in sources.keys() {
        println!("cargo::rerun-if-changed=kernels/{path}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);

    let mode = env::var("GRADUS_KERNELS").unwrap_or_default();
    let compiled = match mode.as_str() {
        "" => {
            let stale: Vec<&Unit> = units.iter().filter(|unit| !stands(unit)).collect();
            if !stale.is_empty() {
                compile(&find_nvcc(&stale)?, &stale, &out)?;
            }
            stale.iter().map(|unit| unit.file.as_str()).collect()
        }
        "write" | "check" => {
            let all: Vec<&Unit> = units.iter().collect();
            let nvcc = find_nvcc(&all)?;
            compile(&nvcc, &all, &out)?;
            let fresh = shipped(&nvcc, &units, &out)?;
            if mode == "write" {
                write_shipped(&fresh)?
            } else {
                check_shipped(&fresh)?
            }
            Vec::new()
        }
        other => return Err(format!("GRADUS_KERNELS is `{other}`; it may be `write`, `check` or unset")),
    };
    embed(&units, &compiled, &out)
}

fn unit(module: &str, text: String, sources: &mut BTreeMap<String, String>) -> Result<Unit> {
    let mut hasher = FnvHasher::default();
    hasher.write(FLAGS.join(" ").as_bytes());
    hasher.write(text.as_bytes());
    let mut used = BTreeMap::new();
    follow_includes(&text, &mut used)?;
    for (path, text) in &used {
        hasher.write(path.as_bytes());
        hasher.write(text.as_bytes());
    }
    sources.append(&mut used);
    Ok(Unit { file: format!("{module}.ptx"), text, source: hasher.finish() })
}

/// The text of a rule's `.cu`: its layout and its `extern "C"` kernels.
fn entry_points(module: &str, settings: &str) -> String {
    let mut text = format!(
        r#"#include "optim/drawn.cuh"
#include "optim/one_pass.cuh"
#include "optim/tick.cuh"
#include "rules/{module}.cuh"

using Rule = {settings};

extern "C" __device__ const uint32_t {module}_layout[12] = {{
    CHUNK, THREADS, sizeof(Chunk), sizeof(TensorOf<Rule>), GROUP_ROW<Rule>, CARRY_ROW<Rule>, SCALARS_ROW<Rule>, STATES<Rule>,
    uint32_t(momentum_of<Rule>() + 1), uint32_t(EXTRA<Rule>), TILE, ROOM,
}};
"#
    );
    for real in ["f32", "f64"] {
        write!(
            text,
            r#"
extern "C" __global__ void __launch_bounds__(THREADS, 1)
{module}_tick_{real}(const TensorOf<Rule>* tensors, uint64_t tensor_count, const double* groups, uint64_t* steps,
    double* carries, {real}* scalars) {{
    tick<Rule>(tensors, tensor_count, groups, steps, carries, scalars);
}}
"#
        )
        .unwrap();
    }
    for (parameter, gradient) in PAIRS {
        write!(
            text,
            r#"
extern "C" __global__ void __launch_bounds__(THREADS)
{module}_{parameter}_{gradient}(const Chunk* chunks, const TensorOf<Rule>* tensors, const double* groups, uint64_t* steps,
    const RealOf<{parameter}>* scalars) {{
    one_pass<Rule, {parameter}, {gradient}>(chunks, tensors, groups, steps, scalars);
}}
"#
        )
        .unwrap();
    }
    for (parameter, _) in PAIRS.iter().filter(|(parameter, gradient)| parameter == gradient) {
        write!(
            text,
            r#"
extern "C" __global__ void __launch_bounds__(THREADS, (BLOCKS_OF_DRAWN<Rule, {parameter}>))
{module}_drawn_{parameter}(const Chunk* chunks, const TensorOf<Rule>* tensors, const double* groups, uint64_t* steps,
    const RealOf<{parameter}>* scalars, const __grid_constant__ Estimate<RealOf<{parameter}>> estimate) {{
    one_pass_drawn<Rule, {parameter}>(chunks, tensors, groups, steps, scalars, estimate);
}}
"#
        )
        .unwrap();
    }
    text
}

/// A file that makes a kernel of every pair by `FOR_EACH_PAIR`.
fn for_pairs(path: &str) -> String {
    let kernels: String =
        PAIRS.iter().map(|(parameter, gradient)| format!(" KERNEL({parameter}, {gradient})")).collect();
    format!("#define FOR_EACH_PAIR(KERNEL){kernels}\n#include \"{path}\"\n")
}

/// Adds every file that `text` includes by name, and what those include. An include's path starts at `kernels/`.
fn follow_includes(text: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    for path in text.lines().filter_map(|line| line.strip_prefix("#include \"")?.strip_suffix('"')) {
        if !files.contains_key(path) {
            let included = read(&Path::new("kernels").join(path))?;
            files.insert(path.to_owned(), included.clone());
            follow_includes(&included, files)?;
        }
    }
    Ok(())
}

/// Whether the checked-in PTX is the one that MANIFEST lists for these sources.
fn stands(unit: &Unit) -> bool {
    let ptx = read(&Path::new(FOLDER).join(&unit.file));
    let manifest = read(Path::new(MANIFEST));
    ptx.and_then(|ptx| Ok(manifest?.lines().any(|line| line == manifest_line(unit, &ptx)))).unwrap_or(false)
}

fn manifest_line(unit: &Unit, ptx: &str) -> String {
    let mut hasher = FnvHasher::default();
    hasher.write(ptx.as_bytes());
    format!("{} source {:016x} ptx {:016x}", unit.file, unit.source, hasher.finish())
}

/// NVCC, else CUDA_HOME, else PATH, else what `kernels/toolchain.sh` installed.
fn find_nvcc(needed_for: &[&Unit]) -> Result<PathBuf> {
    if let Some(nvcc) = env::var_os("NVCC") {
        return Ok(nvcc.into());
    }
    let home = env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = home.into_iter().chain(env::split_paths(&path)).chain([PathBuf::from(TOOLCHAIN)]);
    let nvcc = folders.map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file());
    nvcc.ok_or_else(|| {
        let files: Vec<&str> = needed_for.iter().map(|unit| unit.file.as_str()).collect();
        format!(
            "{FOLDER} does not follow from the kernel sources ({}) and there is no nvcc to compile them: \
             run kernels/toolchain.sh, or set NVCC or CUDA_HOME",
            files.join(", ")
        )
    })
}

/// Compiles the units to normalised PTX under `out`, as many at a time as cargo allows.
fn compile(nvcc: &Path, units: &[&Unit], out: &Path) -> Result<()> {
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1).min(units.len());
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
            compile_one(nvcc, unit, out)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a compiling thread panicked"))
    })
}

fn compile_one(nvcc: &Path, unit: &Unit, out: &Path) -> Result<()> {
    let ptx = out.join(&unit.file);
    let source = ptx.with_extension("cu");
    write(&source, &unit.text)?;
    let output = Command::new(nvcc)
        .args(FLAGS)
        .args(["-I", "kernels", "-o"])
        .args([&ptx, &source])
        .output()
        .map_err(|error| format!("{} does not run: {error}", nvcc.display()))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !messages.is_empty() {
        eprintln!("{messages}");
        return Err(format!("nvcc refuses or warns about {}; its messages are above", unit.file));
    }
    let normalised = normalise(&read(&ptx)?, unit.file.trim_end_matches(".ptx"));
    if let Some(instruction) = normalised.lines().find(|line| is_inexact(line)) {
        return Err(format!("{}: `{}` leaves its rounding to ptxas", unit.file, instruction.trim()));
    }
    write(&ptx, &normalised)
}

/// Drops comments, among them nvcc's header, hints that only later versions know, and spaces that separate nothing, one byte
/// in twelve; lowers the version to the oldest that has what the kernels use. A text that calls functions of the library goes on
/// where that ends: it has neither a head nor declarations of them.
fn normalise(ptx: &str, stem: &str) -> String {
    let is_dropped = |line: &str| line.starts_with("//") || line.starts_with(".pragma \"used_bytes_mask");
    let mut lines: Vec<&str> = Vec::new();
    let (mut goes_on, mut is_declaration) = (false, false);
    for line in ptx.lines().map(str::trim).filter(|line| !is_dropped(line)) {
        is_declaration |= line.starts_with(".extern .func");
        goes_on |= is_declaration;
        if !is_declaration {
            lines.push(line);
        }
        is_declaration &= line != ";";
    }
    let is_head = |line: &str| [".version", ".target", ".address_size"].iter().any(|head| line.starts_with(head));
    lines.retain(|line| !(goes_on && is_head(line)));
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    let versioned = lines.into_iter().map(|line| if line.starts_with(".version") { PTX_VERSION } else { line });
    versioned
        .skip_while(|line| line.is_empty())
        .fold(String::new(), |text, line| text + &without_paths(line, stem).replace(", ", ",") + "\n")
}

/// Drops what nvcc puts before the name of a static variable: `__nv_static_<n>__<hash>_<n>_<file>_cu_<hash>_`, whose hashes
/// are of the file's path, for that of the unit, so that two texts put together have no name twice.
fn without_paths(line: &str, stem: &str) -> String {
    let mut text = line.to_owned();
    while let Some(start) = text.find("__nv_static_") {
        let rest = &text[start..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name =
            rest[..end].split_once("_cu_").and_then(|(_, rest)| rest.split_once('_')).map(|(_, name)| name.to_owned());
        let Some(name) = name else { break };
        text.replace_range(start..start + end, &format!("{stem}_{name}"));
    }
    text
}

/// Whether a PTX line is float arithmetic that is approximate, flushes, or may be fused or reordered.
fn is_inexact(line: &str) -> bool {
    let opcode = line.split_whitespace().find(|word| !word.starts_with(['@', '{'])).unwrap_or_default();
    let parts: Vec<&str> = opcode.trim_end_matches(';').split('.').collect();
    let float = parts.iter().any(|part| ["f16", "bf16", "f32", "f64"].iter().any(|kind| part.starts_with(kind)));
    let rounds = ["add", "sub", "mul", "mad", "fma", "div", "rcp", "sqrt", "atom", "red"].contains(&parts[0]);
    let loose = ["approx", "full", "ftz"].iter().any(|modifier| parts.contains(modifier));
    float && (loose || rounds && !parts.contains(&"rn"))
}

/// The contents of `kernels/ptx` as this compiler makes them, by file name.
fn shipped(nvcc: &Path, units: &[Unit], out: &Path) -> Result<BTreeMap<String, String>> {
    let output =
        Command::new(nvcc).arg("--version").output().map_err(|error| format!("{}: {error}", nvcc.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.split_whitespace().find_map(|word| word.strip_prefix('V')).unwrap_or("unknown");

    let mut manifest = format!("nvcc {version}\nflags {}\n", FLAGS.join(" "));
    let mut files = BTreeMap::new();
    for unit in units {
        let ptx = read(&out.join(&unit.file))?;
        manifest += &manifest_line(unit, &ptx);
        manifest.push('\n');
        files.insert(unit.file.clone(), ptx);
    }
    files.insert("MANIFEST".to_owned(), manifest);
    Ok(files)
}

fn write_shipped(fresh: &BTreeMap<String, String>) -> Result<()> {
    fs::create_dir_all(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
    for name in shipped_names()? {
        if !fresh.contains_key(&name) {
            fs::remove_file(Path::new(FOLDER).join(&name)).map_err(|error| format!("{FOLDER}/{name}: {error}"))?;
        }
    }
    fresh.iter().try_for_each(|(name, text)| write(&Path::new(FOLDER).join(name), text))
}

fn check_shipped(fresh: &BTreeMap<String, String>) -> Result<()> {
    if let Some(name) = shipped_names()?.iter().find(|name| !fresh.contains_key(*name)) {
        return Err(format!(
            "{FOLDER}/{name} belongs to no rule of src/rules/list.rs and no routine or method of build.rs"
        ));
    }
    // MANIFEST sorts first: another nvcc is the message that explains the others.
    for (name, text) in fresh {
        let path = Path::new(FOLDER).join(name);
        let old = read(&path)?;
        if old != *text {
            let (line, (was, is)) = first_difference(&old, text);
            return Err(format!("{}, line {line}, is `{was}` and compiles to `{is}`", path.display()));
        }
    }
    Ok(())
}

fn first_difference<'a>(old: &'a str, new: &'a str) -> (usize, (&'a str, &'a str)) {
    let ended = |text: &'a str| text.lines().chain(std::iter::repeat("the end of the file"));
    (1..).zip(ended(old).zip(ended(new))).find(|(_, (old, new))| old != new).expect("two different texts")
}

fn shipped_names() -> Result<Vec<String>> {
    let entries = fs::read_dir(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// Writes `kernels.rs`: the stem and the text of every PTX.
fn embed(units: &[Unit], compiled: &[&str], out: &Path) -> Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?);
    let mut text = String::from("pub(crate) static PTX: &[(&str, &str)] = &[\n");
    for unit in units {
        let folder = if compiled.contains(&unit.file.as_str()) { out.to_owned() } else { root.join(FOLDER) };
        let stem = unit.file.trim_end_matches(".ptx");
        writeln!(text, "    ({stem:?}, include_str!({:?})),", folder.join(&unit.file)).unwrap();
    }
    text += "];\n";
    write(&out.join("kernels.rs"), &text)
}

/// Reads a text with `\n` line ends, whatever git made of them.
fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.replace('\r', ""))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
