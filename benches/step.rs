//! `cargo bench --bench step`: one tensor stepped by every rule, beside its yardsticks: by SGD, AdamW and Lion for every pair of
//! types, by the others for two.
//!
//! `cargo bench --bench step -- --ratios` prints how steps compare with their yardsticks, timed in turns.

mod lines;
mod ratios;
mod turns;

use std::env;

use criterion::Criterion;
use gradus::element::Element;
use gradus::rules::*;
use half::{bf16, f16};

use lines::Shape;

/// AdamW and Lion are timed far beyond every cache, for the pairs that most training uses.
fn elements<R: Rule, P: Element, G: Element>() -> usize {
    let rule = matches!(R::NAME, "adamw" | "lion");
    let pair = matches!((P::DTYPE.name(), G::DTYPE.name()), ("f32", "f32") | ("bf16", "bf16") | ("bf16", "f32"));
    if rule && pair { 64 << 20 } else { 1 << 20 }
}

fn group<R: Rule, P: Pair<G>, G: Element<Real = P::Real>>(criterion: &mut Criterion) {
    let elements = elements::<R, P, G>();
    let name = format!("{} {},{} {}Mi", R::NAME, P::DTYPE, G::DTYPE, elements >> 20);
    lines::group::<R, P, G>(criterion, &name, Shape::spread(elements, 1));
}

macro_rules! pairs {
    ($(($P:ident, $G:ident),)*) => {
        fn every_pair<R: Rule>(criterion: &mut Criterion) {
            $(group::<R, $P, $G>(criterion);)*
        }
    };
}
gradus::for_each_pair!(pairs);

/// The rules that are timed for every pair.
const FULLY: [&str; 3] = [Sgd::NAME, AdamW::NAME, Lion::NAME];

fn usual_pairs<R: Rule>(criterion: &mut Criterion) {
    if !FULLY.contains(&R::NAME) {
        group::<R, f32, f32>(criterion);
        group::<R, bf16, bf16>(criterion);
    }
}

macro_rules! rules {
    ($($module:ident::$Rule:ident { $($names:tt)* },)*) => {
        fn every_rule(criterion: &mut Criterion) {
            every_pair::<Sgd>(criterion);
            every_pair::<AdamW>(criterion);
            every_pair::<Lion>(criterion);
            $(usual_pairs::<$Rule>(criterion);)*
        }
    };
}
gradus::for_each_rule!(rules);

fn main() {
    if env::args().any(|argument| argument == "--ratios") {
        return ratios::print();
    }
    let mut criterion = Criterion::default().configure_from_args();
    every_rule(&mut criterion);
    criterion.final_summary();
}
