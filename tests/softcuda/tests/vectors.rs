//! Vectors: for every opcode a PTX file whose comments hold operands and expected results.
//!
//! The results come from `ptx/expectations.py`, which shares nothing with the driver. The kernels run in several
//! schedules and with approximate results moved both ways, always with the same expectations.

#[path = "vectors/expect.rs"]
mod expect;
#[path = "vectors/file.rs"]
mod file;
#[path = "vectors/ptxas.rs"]
mod ptxas;
#[path = "vectors/run.rs"]
mod run;
#[path = "vectors/table.rs"]
mod table;
