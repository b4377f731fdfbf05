//! Evolution strategies on CUDA.

mod directions;
mod lattice;
mod lattice_low_rank;
mod low_rank;
mod sample;
mod sep_cma;
mod shape;
mod sums;
mod tables;
mod terms;
mod tiles;

pub(crate) use directions::CudaDirections;
pub(crate) use lattice::CudaLattice;
pub(crate) use lattice_low_rank::CudaLatticeLowRank;
pub(crate) use low_rank::CudaLowRank;
pub(crate) use sample::CudaSample;
pub(crate) use sep_cma::CudaSepCma;
pub(crate) use shape::CudaShape;
pub(crate) use sums::CudaSums;
pub(super) use terms::{FEW, Few, Terms, term_words};
