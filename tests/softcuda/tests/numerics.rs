//! The arithmetic of the driver against independent ones: `rustc_apfloat`, `half`, plain integers, formulas of the PTX
//! ISA written a second time.

#[path = "numerics/approximate.rs"]
mod approximate;
#[path = "numerics/convert.rs"]
mod convert;
#[path = "numerics/float.rs"]
mod float;
#[path = "numerics/half.rs"]
mod half;
#[path = "numerics/layout.rs"]
mod layout;
#[path = "numerics/matrix.rs"]
mod matrix;
#[path = "numerics/values.rs"]
mod values;
