//! Factors that are kept, and solutions with them: shapes, lists, failures.

use gradus::element::Real;
use gradus::linalg::{Block, Fault, SpdFactor, SpdSettings, Status, Symmetric};
use gradus::{Buffer, Device, MatMut, MatRef};

use crate::common::data::{Numbers, seed};
use crate::common::devices::devices;
use crate::common::memory::Guarded;
use crate::matrices::Square;
use crate::spd::{Layout, Stored};

const ORDERS: [usize; 9] = [1, 2, 31, 33, 64, 65, 100, 129, 300];
const COLUMNS: [usize; 6] = [0, 1, 3, 64, 65, 130];
const DAMPING: f64 = 0.01;

/// What stands between the rows of right-hand sides, and must in the end.
const BETWEEN: f64 = -7.5;

/// A block and its right-hand sides, how they lie, and what has been rounded, in f64.
#[derive(Clone)]
struct Problem<T> {
    order: usize,
    elements: Vec<T>,
    square: Square,
    layout: Layout,
    columns: usize,
    sides: Vec<T>,
    gap: usize,
    offset: usize,
}

impl<T: Real> Problem<T> {
    fn new(order: usize, columns: usize, numbers: &mut Numbers) -> Self {
        let (elements, square) = Square::with_condition(order, 50.0, numbers).rounded();
        let sides = (0..order * columns).map(|_| T::from_f64(numbers.normal())).collect();
        Self { order, elements, square, layout: Layout::Full, columns, sides, gap: 0, offset: 0 }
    }

    fn stride(&self) -> usize {
        self.columns + self.gap
    }

    fn stored(&self, device: &Device) -> Stored<T> {
        Stored::new(device, &self.elements, self.order, self.layout, self.offset)
    }

    fn stored_sides(&self, device: &Device) -> Guarded<T> {
        let mut all = vec![T::from_f64(BETWEEN); (self.order - 1) * self.stride() + self.columns];
        for (i, row) in self.sides.chunks_exact(self.columns.max(1)).enumerate() {
            all[i * self.stride()..][..self.columns].copy_from_slice(row);
        }
        Guarded::new(device, &all, self.offset)
    }

    fn dense(&self, stored: &Guarded<T>) -> Vec<T> {
        let all = stored.elements();
        for i in 0..self.order - 1 {
            let between = &all[i * self.stride() + self.columns..][..self.gap];
            assert!(between.iter().all(|x| x.to_f64() == BETWEEN), "written behind row {i} of {}", self.order);
        }
        (0..self.order).flat_map(|i| all[i * self.stride()..][..self.columns].to_vec()).collect()
    }

    /// `‖B - A·X‖ / (‖A‖₁·‖X‖·ε)`, in f64.
    fn residual(&self, damping: f64, solution: &[T]) -> f64 {
        let damped = self.square.damped(damping);
        let (order, columns) = (self.order, self.columns);
        let x: Vec<f64> = solution.iter().map(|x| x.to_f64()).collect();
        let mut rest: Vec<f64> = self.sides.iter().map(|b| b.to_f64()).collect();
        for i in 0..order {
            for k in 0..order {
                let factor = damped.at[i * order + k];
                let row = &x[k * columns..][..columns];
                rest[i * columns..][..columns].iter_mut().zip(row).for_each(|(b, x)| *b -= factor * x);
            }
        }
        let norm = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
        norm(&rest) / (damped.norm_1() * norm(&x) * T::EPSILON)
    }
}

fn plan<T: Real>(device: &Device, problems: &[Problem<T>], settings: SpdSettings) -> SpdFactor<T> {
    let blocks: Vec<Block> = problems.iter().map(|problem| Block::new(problem.order, DAMPING)).collect();
    SpdFactor::new(device, &blocks, settings).unwrap()
}

fn factor<T: Real>(device: &Device, plan: &mut SpdFactor<T>, problems: &[Problem<T>]) {
    let stored: Vec<Stored<T>> = problems.iter().map(|problem| problem.stored(device)).collect();
    let sources: Vec<Symmetric<'_, T>> = stored.iter().map(Stored::symmetric).collect();
    plan.factor(&sources).unwrap();
}

fn solve<T: Real>(device: &Device, plan: &mut SpdFactor<T>, problems: &[Problem<T>]) -> Vec<Vec<T>> {
    let mut stored: Vec<Guarded<T>> = problems.iter().map(|problem| problem.stored_sides(device)).collect();
    let matrix = |(to, of): (_, &Problem<T>)| {
        let to: &mut Guarded<T> = to;
        MatMut::with_stride(to.view_mut(), of.order, of.columns, of.stride()).unwrap()
    };
    let mut sides: Vec<MatMut<'_, T>> = stored.iter_mut().zip(problems).map(matrix).collect();
    plan.solve(&mut sides).unwrap();
    stored.iter().zip(problems).map(|(stored, problem)| problem.dense(stored)).collect()
}

fn solutions<T: Real>(device: &Device, problems: &[Problem<T>]) -> Vec<Vec<T>> {
    let mut plan = plan(device, problems, SpdSettings::default());
    factor(device, &mut plan, problems);
    solve(device, &mut plan, problems)
}

fn every_shape<T: Real>() {
    let mut numbers = Numbers::new(seed());
    let layouts = [Layout::Full, Layout::Lower, Layout::Packed, Layout::Bordered];
    let mut problems = Vec::new();
    for order in ORDERS {
        for columns in COLUMNS {
            let turn = problems.len();
            let problem = Problem::<T>::new(order, columns, &mut numbers);
            // Aligned and not, with gaps and without.
            let (gap, offset) = [(0, 0), (5, 1), (4, 0), (0, 3), (16 - columns % 16, 0)][turn % 5];
            problems.push(Problem { layout: layouts[turn % 4], gap, offset, ..problem });
        }
    }
    for device in devices() {
        let mut plan = plan(device, &problems, SpdSettings::default());
        assert!(plan.are_kept().unwrap().iter().all(|kept| !kept));
        factor(device, &mut plan, &problems);
        assert!(plan.are_kept().unwrap().iter().all(|kept| *kept));
        for (problem, report) in problems.iter().zip(plan.reports().unwrap()) {
            let factor = problem.square.damped(DAMPING).cholesky().unwrap();
            let pivots = (0..problem.order).map(|i| factor.at[i * problem.order + i]);
            let log_determinant: f64 = pivots.clone().map(|pivot| 2.0 * pivot.ln()).sum();
            let smallest = pivots.fold(f64::INFINITY, f64::min).powi(2);
            let near = |x: f64, y: f64| (x - y).abs() <= 200.0 * T::EPSILON * (1.0 + y.abs());
            assert!(report.is_inverted() && report.damping == DAMPING, "{report:?}");
            assert!(near(report.log_determinant, log_determinant), "{report:?}, not {log_determinant} on {device}");
            assert!(near(report.smallest_pivot, smallest), "{report:?}, not {smallest} on {device}");
        }
        let found = solve(device, &mut plan, &problems);
        let mut worst = 0.0_f64;
        for (problem, solution) in problems.iter().zip(&found).filter(|(problem, _)| problem.columns > 0) {
            let residual = problem.residual(DAMPING, solution);
            let what = format!("order {}, {} columns on {device}", problem.order, problem.columns);
            assert!(residual <= 10.0, "{what}: a residual of {residual}");
            worst = worst.max(residual);
        }
        println!("{} on {device}: residual at most {worst:.3}", T::DTYPE);
        // Whole, aligned, without gaps: the same bits.
        let plain: Vec<Problem<T>> =
            problems.iter().map(|own| Problem { layout: Layout::Full, gap: 0, offset: 0, ..own.clone() }).collect();
        let again = solutions(device, &plain);
        for ((problem, found), again) in problems.iter().zip(&found).zip(&again) {
            assert!(found == again, "order {}, {} columns on {device}: other bits", problem.order, problem.columns);
        }
    }
}

#[test]
fn every_shape_is_solved_in_f32() {
    every_shape::<f32>();
}

#[test]
fn every_shape_is_solved_in_f64() {
    every_shape::<f64>();
}

/// A list in another order, blocks alone, and again with other right-hand sides between.
#[test]
fn a_solution_has_the_same_bits_in_any_list() {
    let mut numbers = Numbers::new(seed());
    let shapes = [(300, 70), (8, 1), (33, 64), (129, 130), (1, 3), (64, 0), (200, 1), (300, 2), (65, 65)];
    let problems: Vec<Problem<f32>> =
        shapes.iter().map(|&(order, columns)| Problem::new(order, columns, &mut numbers)).collect();
    for device in devices() {
        let expected = solutions(device, &problems);
        let mut places: Vec<usize> = (0..problems.len()).collect();
        for turn in 0..3 {
            places.rotate_left(4);
            places.swap(turn, 6);
            let shuffled: Vec<Problem<f32>> = places.iter().map(|&place| problems[place].clone()).collect();
            let found = solutions(device, &shuffled);
            for (at, &place) in places.iter().enumerate() {
                assert!(found[at] == expected[place], "block {place} of {:?} on {device}", shapes[place]);
            }
        }
        for (place, problem) in problems.iter().enumerate() {
            let found = solutions(device, std::slice::from_ref(problem));
            assert!(found[0] == expected[place], "block {place} of {:?} alone on {device}", shapes[place]);
        }
        // One plan, other numbers of columns from call to call.
        let mut plan = plan(device, &problems, SpdSettings::default());
        factor(device, &mut plan, &problems);
        let fewer: Vec<Problem<f32>> =
            problems.iter().map(|own| Problem { columns: 0, sides: Vec::new(), ..own.clone() }).collect();
        for _ in 0..2 {
            assert!(solve(device, &mut plan, &problems) == expected, "again on {device}");
            assert!(solve(device, &mut plan, &fewer).iter().all(Vec::is_empty));
        }
    }
}

/// A block that fails solves with the factor that it had; none touches another.
fn failures<T: Real>() {
    let mut numbers = Numbers::new(seed());
    let orders = [1, 40, 64, 130, 300, 20];
    let old: Vec<Problem<T>> = orders.iter().map(|&order| Problem::new(order, 5, &mut numbers)).collect();
    let new: Vec<Problem<T>> = old
        .iter()
        .map(|own| Problem { sides: own.sides.clone(), ..Problem::new(own.order, 5, &mut numbers) })
        .collect();
    let settings = SpdSettings { retries: 1, ..SpdSettings::default() };
    for device in devices() {
        let (of_old, of_new) = (solutions(device, &old), solutions(device, &new));
        for kind in ["nan", "indefinite"] {
            for failing in [vec![0, 2, 3], vec![1, 4], (0..orders.len()).collect()] {
                let mut faulty = new.clone();
                for &place in &failing {
                    let problem = &mut faulty[place];
                    let last = problem.order * problem.order - 1;
                    problem.elements[last] = T::from_f64(if kind == "nan" { f64::NAN } else { -3.0 });
                }
                let mut plan = plan(device, &old, settings);
                // As often as both memories of factors have been the one that is kept.
                for turn in 0..3 {
                    factor(device, &mut plan, &old);
                    factor(device, &mut plan, &faulty);
                    let reports = plan.reports().unwrap();
                    let found = solve(device, &mut plan, &old);
                    for (place, report) in reports.iter().enumerate() {
                        let what = format!("{kind}, turn {turn}, block {place} on {device}: {report:?}");
                        let fails = failing.contains(&place);
                        match report.status {
                            Status::Inverted => assert!(!fails, "{what}"),
                            Status::Faulty(Fault::NotFinite { row, column, .. }) => {
                                let last = orders[place] as u32 - 1;
                                assert!(fails && kind == "nan" && (row, column) == (last, last), "{what}");
                            }
                            _ => assert!(fails && kind == "indefinite" && report.retries == 1, "{what}"),
                        }
                        let expected = if fails { &of_old[place] } else { &of_new[place] };
                        assert!(found[place] == *expected, "{what}: another solution");
                    }
                    assert!(plan.are_kept().unwrap().iter().all(|kept| *kept));
                }
                // What has never had a factor leaves its right-hand sides as they are.
                let mut plan = self::plan(device, &old, settings);
                factor(device, &mut plan, &faulty);
                let found = solve(device, &mut plan, &old);
                let kept = plan.are_kept().unwrap();
                for place in 0..orders.len() {
                    let fails = failing.contains(&place);
                    assert_eq!(kept[place], !fails, "{kind}, block {place} on {device}");
                    let expected = if fails { &old[place].sides } else { &of_new[place] };
                    assert!(found[place] == *expected, "{kind}, block {place} on {device}");
                }
            }
        }
    }
}

#[test]
fn a_block_that_fails_keeps_its_factor_in_f32() {
    failures::<f32>();
}

#[test]
fn a_block_that_fails_keeps_its_factor_in_f64() {
    failures::<f64>();
}

/// A matrix whose smallest eigenvalue is -0.5 takes the first damping above it.
#[test]
fn a_factor_is_damped_until_it_is_one() {
    let mut numbers = Numbers::new(seed());
    let problems: Vec<Problem<f64>> = [2, 30, 64, 180, 300]
        .iter()
        .map(|&order| {
            let (elements, square) = Square::with_condition(order, 10.0, &mut numbers).damped(-0.6).rounded();
            Problem { elements, square, ..Problem::new(order, 4, &mut numbers) }
        })
        .collect();
    for device in devices() {
        let mut plan = plan(device, &problems, SpdSettings::default());
        plan.set_damping(&[0.0015; 5]).unwrap();
        assert_eq!(plan.blocks()[4].damping, 0.0015);
        factor(device, &mut plan, &problems);
        let found = solve(device, &mut plan, &problems);
        for ((problem, solution), report) in problems.iter().zip(&found).zip(plan.reports().unwrap()) {
            assert!(report.is_inverted() && report.retries == 3, "order {} on {device}: {report:?}", problem.order);
            assert!((report.damping - 1.5).abs() < 1e-12, "{report:?} on {device}");
            let residual = problem.residual(report.damping, solution);
            assert!(residual <= 10.0, "order {} on {device}: a residual of {residual}", problem.order);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let blocks = [Block::new(2, 0.0), Block::new(3, 0.0)];
        let mut plan = SpdFactor::<f32>::new(device, &blocks, SpdSettings::default()).unwrap();
        let a = Buffer::from_slice(device, &[1.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        let source = |order| Symmetric::full(MatRef::with_stride(a.view(), order, order, order + order % 2).unwrap());
        let mut memory = Buffer::from_slice(device, &[1.0_f32; 32]).unwrap();
        let mut other = Buffer::from_slice(device, &[1.0_f32; 32]).unwrap();
        let mut attempt = |plan: &mut SpdFactor<f32>, first: (usize, usize), second: Option<(usize, usize)>| {
            let mut sides = vec![MatMut::new(memory.view_mut(), first.0, first.1).unwrap()];
            sides.extend(second.map(|(rows, columns)| MatMut::new(other.view_mut(), rows, columns).unwrap()));
            plan.solve(&mut sides).map_err(|error| error.to_string())
        };
        let refused = |result: Result<(), String>, message: &str| {
            let found = result.unwrap_err();
            assert!(found.contains(message), "'{found}' and not '{message}' on {device}");
        };
        refused(attempt(&mut plan, (2, 1), Some((3, 1))), "right-hand sides: no block has been factored yet");
        let sources = [source(2).unwrap()];
        refused(plan.factor(&sources).map_err(|error| error.to_string()), "sources: there are 1 for 2 blocks");
        let wrong = [source(2).unwrap(), source(2).unwrap()];
        let message = "block 1: its order is 3 and the source's 2";
        refused(plan.factor(&wrong).map_err(|error| error.to_string()), message);
        refused(attempt(&mut plan, (2, 1), Some((3, 1))), "no block has been factored yet");
        refused(plan.set_damping(&[0.0, -1.0]).map_err(|error| error.to_string()), "block 1: its damping -1");

        let identity = [source(2).unwrap(), source(2).unwrap()];
        let mut twice = SpdFactor::<f32>::new(device, &[blocks[0]; 2], SpdSettings::default()).unwrap();
        twice.factor(&identity).unwrap();
        refused(attempt(&mut twice, (2, 1), None), "right-hand sides: there are 1 for 2 blocks");
        let message = "block 1: its order is 2 and its right-hand sides are 3×5";
        refused(attempt(&mut twice, (2, 1), Some((3, 5))), message);
        attempt(&mut twice, (2, 0), Some((2, 7))).unwrap();

        let place = if matches!(device, Device::Cpu(_)) { None } else { Some(Device::cpu()) };
        if let Some(cpu) = place {
            let mut elsewhere = Buffer::from_slice(&cpu, &[1.0_f32; 4]).unwrap();
            let mut here = Buffer::from_slice(device, &[1.0_f32; 4]).unwrap();
            let mut sides =
                [MatMut::new(here.view_mut(), 2, 2).unwrap(), MatMut::new(elsewhere.view_mut(), 2, 2).unwrap()];
            let message = "block 1: its memory is on cpu and the plan on";
            refused(twice.solve(&mut sides).map_err(|error| error.to_string()), message);
        }
        let mut none = SpdFactor::<f32>::new(device, &[], SpdSettings::default()).unwrap();
        none.solve(&mut []).unwrap();
        none.factor(&[]).unwrap();
        assert!(none.reports().unwrap().is_empty() && none.are_kept().unwrap().is_empty());
    }
}
