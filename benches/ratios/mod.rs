//! How steps compare with their yardsticks: they take turns, and the medians are compared.

use gradus::Device;
use gradus::element::Element;
use gradus::rules::{AdamW, Lion, Pair, Rule};
use half::bf16;

use crate::lines::{self, Shape};
use crate::turns::{Line, median, ratio, take_turns};

/// Runs of each line.
const RUNS: usize = 15;
const THREADS: usize = 2;
const ELEMENTS: usize = 64 << 20;

/// Prints the table. It is about the CPU, and about two threads on machines of any size.
pub fn print() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().expect("threads");
    pool.install(|| {
        let device = Device::cpu();
        println!("{} Mi elements, {THREADS} threads, {device}, medians of {RUNS} runs in turns\n", ELEMENTS >> 20);
        println!("{:<18}{:<24}{:>8}{:>8}{:>8}{:>9}", "", "", "ms", "GB/s", "ratio", "wanted");
        against_stream::<AdamW, f32, f32>(0.9);
        against_stream::<AdamW, bf16, bf16>(0.85);
        against_stream::<AdamW, bf16, f32>(0.85);
        against_stream::<Lion, f32, f32>(0.9);
        against_stream::<Lion, bf16, bf16>(0.85);
        against_stream::<Lion, bf16, f32>(0.85);
        many_against_one(1.3);
    });
}

/// The rates of a step and of a copy, as shares of the stream's.
fn against_stream<R: Rule, P: Pair<G>, G: Element<Real = P::Real>>(wanted: f64) {
    let shape = Shape::spread(ELEMENTS, 1);
    let bytes = shape.bytes::<R, P, G>();
    let [stream, memcpy, step] = take_turns([
        Box::new(lines::stream::<R, P, G>(shape)),
        lines::memcpy(&Device::cpu(), bytes),
        Box::new(lines::step::<R, P, G>(&Device::cpu(), shape)),
    ]);
    let title = format!("{} {},{}", R::NAME, P::DTYPE, G::DTYPE);
    row(&title, "stream", bytes, &stream, None);
    row("", "memcpy", bytes, &memcpy, Some((ratio(&stream, &memcpy), "")));
    row("", "step", bytes, &step, Some((ratio(&stream, &step), &format!("≥ {wanted}"))));
}

/// The time of a step of many tensors, as a multiple of that of one of as many elements; and of the streams' beside it, which
/// says how much of that is the memory's doing.
fn many_against_one(wanted: f64) {
    let [one, many] = [1, 10_000].map(|tensors| Shape::spread(ELEMENTS, tensors));
    let step = |shape| -> Line { Box::new(lines::step::<AdamW, f32, f32>(&Device::cpu(), shape)) };
    let stream = |shape| -> Line { Box::new(lines::stream::<AdamW, f32, f32>(shape)) };
    let times = take_turns([stream(one), stream(many), step(one), step(many)]);

    let bytes = one.bytes::<AdamW, f32, f32>();
    row("adamw f32,f32", "stream, 1 tensor", bytes, &times[0], None);
    row("", "stream, 10 000 tensors", bytes, &times[1], Some((ratio(&times[1], &times[0]), "")));
    row("", "step, 1 tensor", bytes, &times[2], None);
    row("", "step, 10 000 tensors", bytes, &times[3], Some((ratio(&times[3], &times[2]), &format!("≤ {wanted}"))));
}

fn row(title: &str, line: &str, bytes: u64, seconds: &[f64; RUNS], ratio: Option<(f64, &str)>) {
    let seconds = median(*seconds);
    let (ratio, wanted) = ratio.map_or_else(Default::default, |(ratio, wanted)| (format!("{ratio:.2}"), wanted));
    println!("{title:<18}{line:<24}{:>8.2}{:>8.1}{ratio:>8}{wanted:>9}", seconds * 1e3, bytes as f64 / seconds / 1e9);
}
