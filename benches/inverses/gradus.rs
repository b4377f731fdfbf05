use gradus::linalg::{Block, SpdInverse, SpdSettings, Symmetric};
use gradus::{Device, MatMut, MatRef};

use super::{DAMPING, Shape};

pub fn gradus(shape: Shape) -> impl FnMut() + Send {
    let Shape { blocks, order } = shape;
    let block = Block::new(order, f64::from(DAMPING));
    let mut plan =
        SpdInverse::<f32>::new(&Device::cpu(), &vec![block; blocks], SpdSettings::default()).expect("a plan");
    let (matrices, mut inverses) = (shape.matrices(), shape.room());
    let mut invert = move || {
        let view = |matrix| MatRef::new(matrix, order, order).expect("a matrix");
        let sources: Vec<_> =
            matrices.iter().map(|matrix| Symmetric::full(view(&matrix[..])).expect("a square")).collect();
        let target = |inverse| MatMut::new(inverse, order, order).expect("a matrix");
        let mut targets: Vec<_> = inverses.iter_mut().map(|inverse| target(&mut inverse[..])).collect();
        plan.invert(&sources, &mut targets).expect("arguments that fit");
    };
    invert();
    invert
}
