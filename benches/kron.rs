//! `cargo bench --bench kron`: damped inverses of lists of blocks in f32 on the CPU, beside faer's and the textbook's.
//!
//! `cargo bench --bench kron -- --ratios` prints how they compare, timed in turns, with `--torch PYTHON` beside PyTorch's.

mod inverses;
mod torch;
mod turns;

use std::env;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use gradus::Device;

use inverses::Shape;
use torch::Torch;
use turns::{median, ratio, take_turns};

/// Runs of each line.
const RUNS: usize = 9;
const THREADS: usize = 2;

/// The naive line is timed on blocks of this order only: it does nothing for the larger ones but take longer.
const NAIVE_ORDER: usize = 128;

fn group(criterion: &mut Criterion, shape: Shape) {
    let mut group = criterion.benchmark_group(format!("inverse f32 {} of {}", shape.blocks, shape.order));
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(shape.blocks as u64));

    // Each line's memory is made when its turn comes, if it is chosen, and is gone before the next one's.
    macro_rules! line {
        ($name:literal, $make:expr) => {{
            let mut line = None;
            group.bench_function($name, |bencher| bencher.iter(line.get_or_insert_with(|| $make)));
        }};
    }
    line!("gradus", inverses::gradus(shape));
    line!("faer", inverses::faer(shape));
    if shape.order == NAIVE_ORDER {
        line!("naive", inverses::naive(shape));
    }
    group.finish();
}

/// Prints the table. It is about two threads on machines of any size.
fn print_ratios() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().expect("threads");
    let torch = Torch::of_arguments();
    pool.install(|| {
        println!("damped inverses in f32, {THREADS} threads, {}, medians of {RUNS} runs in turns\n", Device::cpu());
        println!("{:<14}{:<10}{:>10}{:>8}{:>9}", "", "", "ms", "ratio", "wanted");
        for shape in Shape::ALL {
            let title = format!("{} of {}", shape.blocks, shape.order);
            let [faer, own]: [[f64; RUNS]; 2] =
                take_turns([Box::new(inverses::faer(shape)), Box::new(inverses::gradus(shape))]);
            row(&title, "faer", &faer, None);
            row("", "gradus", &own, Some((ratio(&faer, &own), "≥ 0.95")));
            if shape.order == NAIVE_ORDER {
                let [naive, own]: [[f64; RUNS]; 2] =
                    take_turns([Box::new(inverses::naive(shape)), Box::new(inverses::gradus(shape))]);
                row("", "naive", &naive, None);
                row("", "gradus", &own, Some((ratio(&naive, &own), "")));
            }
            if let Some(torch) = &torch {
                let request = format!("inverses {THREADS} {} {}", shape.blocks, shape.order);
                let [torch, own]: [[f64; RUNS]; 2] =
                    take_turns([torch.line(request), Box::new(inverses::gradus(shape))]);
                row("", "PyTorch", &torch, None);
                row("", "gradus", &own, Some((ratio(&torch, &own), "≥ 1.5")));
            }
        }
    });
}

fn row(title: &str, line: &str, seconds: &[f64; RUNS], ratio: Option<(f64, &str)>) {
    let (ratio, wanted) = ratio.map_or_else(Default::default, |(ratio, wanted)| (format!("{ratio:.2}"), wanted));
    println!("{title:<14}{line:<10}{:>10.2}{ratio:>8}{wanted:>9}", median(*seconds) * 1e3);
}

fn main() {
    if env::args().any(|argument| argument == "--ratios") {
        return print_ratios();
    }
    let mut criterion = Criterion::default().configure_from_args();
    Shape::ALL.into_iter().for_each(|shape| group(&mut criterion, shape));
    criterion.final_summary();
}
