//! `cargo bench --bench many_tensors`: as many elements in one tensor, in a hundred and in ten thousand, stepped by AdamW:
//! once so many that memory's rate decides, once so few that the cost of a tensor shows.

mod lines;

use criterion::{Criterion, criterion_group, criterion_main};
use gradus::rules::AdamW;

use lines::Shape;

fn many_tensors(criterion: &mut Criterion) {
    for elements in [64 << 20, 1 << 20] {
        for tensors in [1, 100, 10_000] {
            let name = format!("adamw f32,f32 {}Mi in {tensors}", elements >> 20);
            lines::group::<AdamW, f32, f32>(criterion, &name, Shape::spread(elements, tensors));
        }
    }
}

criterion_group!(benches, many_tensors);
criterion_main!(benches);
