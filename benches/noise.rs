//! `cargo bench --bench noise`: standard normals in f32 on one thread of the CPU, beside rand_distr's.
//!
//! `cargo bench --bench noise -- --ratios` prints how they compare, timed in turns, with `--torch PYTHON` beside PyTorch's.

mod torch;
mod turns;

use std::env;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use gradus::Device;
use gradus::noise::normals;
use gradus::rng::{Address, Purpose};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::{Mcg128Xsl64, Pcg64};

use torch::Torch;
use turns::{Line, median, ratio, take_turns};

/// Runs of each line.
const RUNS: usize = 15;
const COUNT: usize = 4 << 20;

fn gradus() -> Line {
    let (device, mut out, mut step) = (Device::cpu(), vec![0.0_f32; COUNT], 0);
    Box::new(move || {
        let address = Address::new(Purpose::PERTURBATION, step, 0, 0).expect("small numbers");
        normals(&device, 1, &address, 0, (&mut out).into()).expect("memory of the device");
        black_box(&out);
        step += 1;
    })
}

fn rand_distr(mut generator: impl RngExt + Send + 'static) -> Line {
    let mut out = vec![0.0_f32; COUNT];
    Box::new(move || {
        out.fill_with(|| generator.sample(StandardNormal));
        black_box(&out);
    })
}

/// Prints the table. It is about one thread on machines of any size.
fn print_ratios() {
    let title =
        format!("{COUNT} standard normals in f32, one thread, {}, medians of {RUNS} runs in turns", Device::cpu());
    println!("{title}\n\n{:<24}{:>10}{:>8}{:>9}", "", "ns each", "ratio", "wanted");
    let others: [(&str, Line); 2] = [
        ("rand_distr, Pcg64Mcg", rand_distr(Mcg128Xsl64::seed_from_u64(1))),
        ("rand_distr, Pcg64", rand_distr(Pcg64::seed_from_u64(1))),
    ];
    for (name, other) in others {
        compare(name, other);
    }
    if let Some(torch) = Torch::of_arguments() {
        compare("PyTorch, randn", torch.line(format!("normals 1 {COUNT}")));
    }
}

fn compare(name: &str, other: Line) {
    let [other, own]: [[f64; RUNS]; 2] = take_turns([other, gradus()]);
    let each = |seconds| median::<RUNS>(seconds) * 1e9 / COUNT as f64;
    println!("{name:<24}{:>10.2}", each(other));
    println!("{:<24}{:>10.2}{:>8.2}{:>9}", "gradus", each(own), ratio(&other, &own), "≥ 2");
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    pool.install(|| {
        if env::args().any(|argument| argument == "--ratios") {
            return print_ratios();
        }
        let mut criterion = Criterion::default().configure_from_args();
        let mut group = criterion.benchmark_group("normals f32");
        group.throughput(Throughput::Elements(COUNT as u64));
        let lines = [("gradus", gradus()), ("rand_distr", rand_distr(Mcg128Xsl64::seed_from_u64(1)))];
        for (name, mut line) in lines {
            group.bench_function(name, |bencher| bencher.iter(&mut line));
        }
        group.finish();
        criterion.final_summary();
    });
}
