//! What blocks take, where arrays lie, and how the network is packed. Twin of the tables in `kernels/lopt`.

use crate::element::{Dtype, Element, Real};
use crate::lopt::arithmetic::{INPUTS, Scalars};
use crate::lopt::shape::{Axis, CHUNK, COLUMNS, Shape, Span};
use crate::lopt::{Form, Network};

/// Words of a row of the tensor table.
pub(super) const TENSOR_WORDS: usize = 14;
/// Words of a part.
const PART_WORDS: usize = 5;

/// Sums of squared gradients that a block takes, and where their elements are neighbours.
const SUMS: [usize; 2] = [256, 64];

/// Where the network begins behind the scalars.
pub(super) const FIRST: usize = 24;
/// Neurons of the second layer count up to a multiple of this.
pub(super) const GROUP: usize = 8;
/// Numbers of the largest network.
pub(super) const NETWORK: usize = FIRST + 64 * (INPUTS + 1) + 64 * 64 + 64 + 64 * 4 + 4;

const IS_FACTORED: u64 = 1;
const ROWS_ARE_OVER_Y: u64 = 2;

/// The tables that no address changes, and the layout of the own memory.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) squares: Vec<u64>,
    pub(super) averages: Vec<u64>,
    pub(super) parts: Vec<u64>,
    /// Elements of the own memory.
    pub(super) elements: u64,
    rows: Vec<Row>,
}

/// A row of the tensor table without its addresses.
struct Row {
    /// Places of moments, rows, columns and partial sums in the own memory.
    places: [u64; 5],
    length: u64,
    first_part: u64,
    first_item: u64,
    items: [u64; 2],
    sizes: [u64; 5],
    flags: u64,
}

fn pair(low: u64, high: u64) -> u64 {
    low | high << 32
}

impl Plan {
    pub(super) fn new(shapes: &[Shape]) -> Self {
        let mut plan = Self::default();
        shapes.iter().enumerate().for_each(|(position, shape)| plan.push(position as u64, shape));
        if plan.parts.is_empty() {
            // A launch has a block, and a part of no elements names no tensor.
            plan.parts.resize(PART_WORDS, 0);
        }
        plan
    }

    pub(super) fn part_count(&self) -> usize {
        self.parts.len() / PART_WORDS
    }

    fn take(&mut self, elements: u64) -> u64 {
        let place = self.elements;
        self.elements += elements;
        place
    }

    fn push(&mut self, position: u64, shape: &Shape) {
        let (first_part, first_item) = (self.part_count() as u64, self.averages.len() as u64 / 2);
        let arrays = if shape.factored.is_some() { 4 } else { 7 };
        let mut row = Row {
            places: [self.take(arrays * shape.length), 0, 0, 0, 0],
            length: shape.length,
            first_part,
            first_item,
            items: [0; 2],
            sizes: [1; 5],
            flags: 0,
        };
        if let Some(factored) = &shape.factored {
            let [of_rows, of_columns] =
                [factored.largest, factored.largest.other()].map(|axis| factored.over(axis).sums());
            row.places[1] = self.take(9 * of_rows);
            row.places[2] = self.take(9 * of_columns);
            for (k, span) in factored.spans().iter().enumerate() {
                row.places[3 + k] = self.take(span.segments() * span.sums());
                self.push_squares(pair(position, k as u64), span);
            }
            row.items = [factored.rows().sums(), of_columns.div_ceil(COLUMNS)];
            let rows = (0..row.items[0]).flat_map(|item| [pair(position, 0), item]);
            let columns = (0..row.items[1]).flat_map(|item| [pair(position, 1), item * COLUMNS]);
            self.averages.extend(rows.chain(columns));
            row.sizes = factored.sizes;
            row.flags = IS_FACTORED | if factored.largest == Axis::Y { ROWS_ARE_OVER_Y } else { 0 };
        }
        for part in 0..shape.chunks() {
            let start = part * CHUNK;
            let (mut digits, mut rest) = ([0; 5], start);
            for k in (0..5).rev() {
                (digits[k], rest) = (rest % row.sizes[k], rest / row.sizes[k]);
            }
            let [a, x, b, y, c] = digits;
            let length = CHUNK.min(shape.length - start);
            self.parts.extend([pair(position, length), start, pair(a, x), pair(b, y), c]);
        }
        self.rows.push(row);
    }

    fn push_squares(&mut self, whose: u64, span: &Span) {
        let each = SUMS[usize::from(span.inner == 1)];
        for segment in 0..span.segments() {
            self.squares.extend((0..span.sums()).step_by(each).flat_map(|first| [whose, segment, first]));
        }
    }

    /// Where the arrays of [`Shape::kept`] of a tensor begin in the own memory.
    pub(super) fn kept(&self, position: usize, shape: &Shape) -> Vec<(usize, usize)> {
        let places = self.rows[position].places;
        let mut moments = 0;
        let mut tables = [0; 2];
        let of_array = |(name, length): (&str, u64)| {
            let (base, index) = match name {
                _ if name.starts_with("row") => (places[1], &mut tables[0]),
                _ if name.starts_with("column") => (places[2], &mut tables[1]),
                _ => (places[0], &mut moments),
            };
            let start = base + *index * length;
            *index += 1;
            (start as usize, length as usize)
        };
        shape.kept().into_iter().map(of_array).collect()
    }

    /// The tensor table of these addresses of parameters and gradients, and of the own memory.
    pub(super) fn tensors<P: Element>(&self, bound: &[[u64; 2]], memory: u64) -> Vec<u64> {
        let storage = match P::DTYPE {
            Dtype::Bf16 => 4,
            Dtype::F16 => 8,
            Dtype::F32 | Dtype::F64 => 0,
        };
        let row = |(row, &[parameter, gradient]): (&Row, &[u64; 2])| -> [u64; TENSOR_WORDS] {
            let [moments, rows, columns, over_x, over_y] =
                row.places.map(|place| memory + place * size_of::<P::Real>() as u64);
            let ([a, x, b, y, c], [row_items, column_items]) = (row.sizes, row.items);
            [
                parameter,
                gradient,
                moments,
                rows,
                columns,
                over_x,
                over_y,
                row.length,
                row.first_part,
                row.first_item,
                pair(row_items, column_items),
                pair(a, x),
                pair(b, y),
                pair(c, row.flags | storage),
            ]
        };
        self.rows.iter().zip(bound).flat_map(row).collect()
    }
}

/// The scalars and the network as a kernel reads them.
pub(super) fn packed<T: Real>(scalars: &Scalars<T>, network: &Network) -> Vec<T> {
    let real = |x: f32| T::from_f64(f64::from(x));
    let Scalars { momentum, rms, adafactor, rate, exp_mult, kept, .. } = *scalars;
    let Scalars { nominal_rate, nominal_mult, decay_rate, decay_mult, .. } = *scalars;
    let is_star = T::from_f64(f64::from(u8::from(network.form() == Form::Star)));
    let mut all = [momentum.as_flattened(), &rms, adafactor.as_flattened()].concat();
    all.extend([rate, exp_mult, kept, nominal_rate, nominal_mult, decay_rate, decay_mult, is_star]);
    all.resize(FIRST, T::from_f64(0.0));

    let hidden = network.hidden();
    let neurons = hidden.next_multiple_of(GROUP);
    let at = |list: &[f32], position: Option<usize>| real(position.and_then(|k| list.get(k)).copied().unwrap_or(0.0));
    let [w1, b1, w2, b2, w3, b3] = network.layers();
    for (weights, bias) in w1.chunks_exact(INPUTS).zip(b1) {
        all.extend(weights.iter().chain([bias]).map(|x| real(*x)));
    }
    for h in 0..hidden {
        all.extend((0..neurons).map(|k| at(w2, (k < hidden).then_some(k * hidden + h))));
    }
    all.extend((0..neurons).map(|k| at(b2, Some(k))));
    for k in 0..neurons {
        all.extend((0..4).map(|output| at(w3, (k < hidden).then_some(output * hidden + k))));
    }
    all.extend((0..4).map(|output| at(b3, Some(output))));
    all
}
