use std::time::Duration;

use criterion::{Criterion, Throughput};
use gradus::Device;
use gradus::element::Element;
use gradus::rules::{Pair, Rule};

use super::{Shape, formula, memcpy, naive, step, stream};

/// Elements that the naive line is timed on, at most: beyond any cache, and no more.
const NAIVE_ELEMENTS: usize = 4 << 20;

/// Times a step and its yardsticks. The yardsticks that run on the CPU are left out where the step does not.
pub fn group<R: Rule, P: Pair<G>, G: Element<Real = P::Real>>(criterion: &mut Criterion, name: &str, shape: Shape) {
    let device = Device::best();
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));

    // Each line's arrays are made when its turn comes, if it is chosen, and are gone before the next one's.
    macro_rules! line {
        ($name:literal, $shape:expr, $make:expr) => {{
            let mut line = None;
            group.throughput(Throughput::Bytes($shape.bytes::<R, P, G>()));
            group.bench_function($name, |bencher| bencher.iter(line.get_or_insert_with(|| $make)));
        }};
    }
    line!("step", shape, step::<R, P, G>(&device, shape));
    line!("memcpy", shape, memcpy(&device, shape.bytes::<R, P, G>()));
    if let Device::Cpu(_) = device {
        line!("stream", shape, stream::<R, P, G>(shape));
        let fewer = Shape::spread(NAIVE_ELEMENTS.min(shape.tensors * shape.length), shape.tensors);
        if let Some(formula) = formula::<R, P, G>() {
            line!("naive", fewer, naive::<R, P, G>(formula, fewer));
        }
    }
    group.finish();
}
