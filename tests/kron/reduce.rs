//! Traces, inner products, norms and greatest eigenvalues, against sums in f64.

use gradus::element::{Dtype, Real};
use gradus::linalg::{Operand, Reduction, Reductions};
use gradus::{Device, MatRef, ViewMut};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::matrices::Square;

/// The matrices of a reduction, whose rows lie a gap apart, and its value.
struct Given {
    reduction: Reduction,
    matrices: Vec<Vec<f64>>,
    gap: usize,
    exact: f64,
    tolerance: f64,
}

fn inner(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn all<T: Real>(numbers: &mut Numbers) -> Vec<Given> {
    let mut given = Vec::new();
    let rounded = |x: f64| T::from_f64(x).to_f64();
    for (k, (rows, columns)) in [(1, 1), (64, 64), (65, 63), (3, 200), (150, 130)].into_iter().enumerate() {
        // Squares of these are no f32.
        let scale = if k % 2 == 0 { 1e25 } else { 1e-25 };
        let mut matrix = || -> Vec<f64> { (0..rows * columns).map(|_| rounded(scale * numbers.normal())).collect() };
        let (x, y) = (matrix(), matrix());
        let (norms, gap) = (inner(&x, &x).sqrt() * inner(&y, &y).sqrt(), k);
        let add = |reduction, matrices: &[&Vec<f64>], exact, size: f64| Given {
            reduction,
            matrices: matrices.iter().map(|x| (*x).clone()).collect(),
            gap,
            exact,
            tolerance: 1e-12 * size,
        };
        given.push(add(Reduction::Inner { rows, columns }, &[&x, &y], inner(&x, &y), norms));
        let norm = inner(&x, &x).sqrt();
        given.push(add(Reduction::Norm { rows, columns }, &[&x], norm, norm));
        if rows == columns {
            let trace = (0..rows).map(|i| x[i * columns + i]).sum();
            given.push(add(Reduction::Trace { order: rows }, &[&x], trace, norm));
        }
    }
    for (order, steps) in [(1, 1), (2, 40), (64, 31), (65, 60), (200, 50)] {
        let mut square = Square::with_condition(order, 1e4, numbers);
        // The greatest eigenvalue is 1; twice that it is apart from the others.
        square.at.iter_mut().for_each(|x| *x *= 0.5);
        let v: Vec<f64> = (0..order).map(|i| 1.0 + (i % 3) as f64).collect();
        let along = inner(&v, &v);
        for i in 0..order {
            for j in 0..order {
                square.at[i * order + j] = rounded(square.at[i * order + j] + 2.0 * v[i] * v[j] / along);
            }
        }
        let exact = eigenvalue(&square);
        let tolerance = 100.0 * T::EPSILON + exact * (order as f64) * 4.0_f64.powi(-2 * steps);
        let reduction = Reduction::LargestEigenvalue { order, steps: steps as u32 };
        given.push(Given { reduction, matrices: vec![square.at], gap: order % 3, exact, tolerance });
    }
    given
}

/// By many more steps than anybody takes.
fn eigenvalue(square: &Square) -> f64 {
    let mut v = vec![1.0; square.order];
    let mut norm = 0.0;
    for _ in 0..2000 {
        let w: Vec<f64> = square.at.chunks_exact(square.order).map(|row| inner(row, &v)).collect();
        norm = inner(&w, &w).sqrt();
        v = w.into_iter().map(|x| x / norm).collect();
    }
    norm
}

fn reduced<T: Real>(device: &Device, given: &[&Given]) -> Vec<f64> {
    let list: Vec<_> = given.iter().map(|given| given.reduction).collect();
    let mut plan = Reductions::<T>::new(device, &list).unwrap();
    let shape = |reduction: &Reduction| match *reduction {
        Reduction::Trace { order } | Reduction::LargestEigenvalue { order, .. } => (order, order),
        Reduction::Inner { rows, columns } | Reduction::Norm { rows, columns } => (rows, columns),
    };
    let spread = |given: &Given, matrix: &Vec<f64>| {
        let (_, columns) = shape(&given.reduction);
        let filler = vec![f64::NAN; given.gap];
        let rows = matrix.chunks_exact(columns).flat_map(|row| row.iter().chain(&filler));
        let elements: Vec<T> = rows.map(|x| T::from_f64(*x)).collect();
        Guarded::new(device, &elements, given.gap % 3)
    };
    let store = |given: &&Given| given.matrices.iter().map(|matrix| spread(given, matrix)).collect();
    let stored: Vec<Vec<Guarded<T>>> = given.iter().map(store).collect();
    let mut results = Guarded::new(device, &vec![-7.5; given.len()], 1);
    for _ in 0..2 {
        let operand = |(stored, given): (_, &&Given)| {
            let stored: &Vec<Guarded<T>> = stored;
            let (rows, columns) = shape(&given.reduction);
            let matrix = |k: usize| MatRef::with_stride(stored[k].view(), rows, columns, columns + given.gap).unwrap();
            if stored.len() == 2 { Operand::Two(matrix(0), matrix(1)) } else { Operand::One(matrix(0)) }
        };
        let operands: Vec<_> = stored.iter().zip(given).map(operand).collect();
        plan.reduce(&operands, &mut results.view_mut()).unwrap();
    }
    results.elements()
}

fn those<T: Real>() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1).filter(|device| T::DTYPE == Dtype::F32 || matches!(device, Device::Cpu(_)))
}

fn check<T: Real>() {
    for device in those::<T>() {
        let given = all::<T>(&mut Numbers::new(seed()));
        let together = reduced::<T>(device, &given.iter().collect::<Vec<_>>());
        for (found, given) in together.iter().zip(&given) {
            let Given { reduction, exact, tolerance, .. } = given;
            assert!((found - exact).abs() <= *tolerance, "{reduction:?}: {found:e} for {exact:e} on {device}");
            assert_eq!(reduced::<T>(device, &[given])[0].to_bits(), found.to_bits(), "{reduction:?} alone on {device}");
        }
        // A matrix of zeros has an eigenvalue, and a NaN stays with its matrix.
        let mut broken = all::<T>(&mut Numbers::new(seed()));
        let last = broken.len() - 1;
        broken[last].matrices[0].fill(0.0);
        broken[0].matrices[0][0] = f64::NAN;
        let found = reduced::<T>(device, &broken.iter().collect::<Vec<_>>());
        assert!(found[0].is_nan() && found[last] == 0.0);
        assert_eq!(found[2..last], together[2..last]);
    }
}

#[test]
fn reductions_of_f32() {
    check::<f32>();
}

#[test]
fn reductions_of_f64() {
    check::<f64>();
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |reduction| Reductions::<f32>::new(&Device::cpu(), &[reduction]).map(drop).unwrap_err().to_string();
    assert_eq!(refused(Reduction::Trace { order: 0 }), "reduction 0: the sides of 0×0 are not 1 to 1048576");
    let power = |steps| Reduction::LargestEigenvalue { order: 2, steps };
    assert_eq!(refused(power(0)), "reduction 0: 0 steps are not 1 to 10000");
    for device in those::<f32>() {
        let norm = Reduction::Norm { rows: 1, columns: 2 };
        let mut plan = Reductions::<f32>::new(device, &[norm]).unwrap();
        let (x, mut to) = (Guarded::new(device, &[3.0_f32, 4.0], 0), Guarded::new(device, &[0.0_f64; 2], 0));
        let matrix = |rows, columns| MatRef::new(x.view(), rows, columns).unwrap();
        let message = |error: gradus::Error| error.to_string();
        let error = plan.reduce(&[], &mut to.view_mut()).map_err(message).unwrap_err();
        assert_eq!(error, "operands: there are 0 for 1 reduction");
        let error = plan.reduce(&[Operand::One(matrix(1, 2))], &mut to.view_mut()).map_err(message).unwrap_err();
        assert_eq!(error, "results: there are 2 for 1 reduction");
        let mut to = Guarded::new(device, &[0.0_f64], 0);
        let error = plan.reduce(&[Operand::One(matrix(2, 1))], &mut to.view_mut()).map_err(message).unwrap_err();
        assert_eq!(error, "reduction 0: it is of 1×2 and was given 2×1");
        let two = Operand::Two(matrix(1, 2), matrix(1, 2));
        let error = plan.reduce(&[two], &mut to.view_mut()).map_err(message).unwrap_err();
        assert_eq!(error, "reduction 0: it has 1 operand and was given 2");
        let mut none = Reductions::<f32>::new(device, &[]).unwrap();
        none.reduce(&[], &mut Guarded::new(device, &[], 0).view_mut()).unwrap();
        if matches!(device, Device::Cpu(_)) {
            continue;
        }
        assert!(Reductions::<f64>::new(device, &[norm]).is_err());
        let mut here = [0.0];
        let error = plan.reduce(&[Operand::One(matrix(1, 2))], &mut ViewMut::from(&mut here[..])).map_err(message);
        assert!(error.unwrap_err().contains("its memory is on"));
    }
}
