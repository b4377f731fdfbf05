//! The CUDA side: launches of the kernels in `kernels/`.
//!
//! What each kernel is owed, which the SAFETY comments of this folder cite. Pointers are device addresses of the stream's
//! device; `n` tensors, `c` chunks; a rule and what surrounds it have `H` settings, `K` carried scalars and `S` scalars
//! together, the rule has `A` state arrays; `T` is the arithmetic type.
//!
//! | kernel | argument | size | alignment | access |
//! |---|---|---|---|---|
//! | `<rule>_tick_<T>` | tensor table | n rows of 80 + 8·max(A, 1) bytes | 8 | read |
//! | (1 thread a tensor, | n | u64 | | |
//! | at least one block) | groups | a row of H f64 for every group a tensor names | 8 | read |
//! | | counters | 1 + n u64 | 8 | read, written |
//! | | carries | n rows of K f64 | 8 | read, written |
//! | | scalars | n rows of S `T` | T | written |
//! | `<rule>_<parameter>_<gradient>` | chunk table | c rows of 16 bytes | 8 | read |
//! | (1 block a chunk) | tensor table | as above | 8 | read |
//! | | groups | as above | 8 | read |
//! | | counters | as above | 8 | read; the first written |
//! | | scalars | as above, after the tick | T | read |
//! | `<rule>_drawn_<parameter>` | tables, groups, counters, scalars | as above, no row with a gradient's address | 8 | as above |
//! | (1 block a chunk, 2048 `T` | terms | null, or t rows of 24 bytes, of 32 in f64: elements below 2^40 | 8 | read |
//! | and 8320 bytes of shared | count, distribution, few | u32: t; u32: 0 to 2; 8 such rows, of which the first t count where | | |
//! | memory) | | terms is null; one value together with terms | | |
//! | `<method>_<parameter>_<gradient>` | chunk table | c rows of 16 bytes | 8 | read |
//! | (1 block a chunk; | tensor table | n rows of 32 + 8·k·(3 + A) bytes for k copies | 8 | read |
//! | where copies mix | copies | u32: k, 1 at least | | |
//! | 2·k `T` of shared | settings | H f64 | 8 | read |
//! | memory a thread) | counters | two u64; the second is 0 between launches | 8 | read, written |
//! | | weights | k² `T` where copies mix | T | read |
//! | `replicated_sgd_mean_<parameter>` | chunk and tensor table | as above, A = 0 | 8 | read |
//! | (1 block a chunk) | copies | u32: k, 1 at least | | |
//! | `noise_normals` (1 block | noise | `count` f32, disjoint from all else | 4 | written |
//! | for each CHUNK elements | first, count, seed | three u64: elements below 2^40 | | |
//! | from 4·⌊first / 4⌋ on) | fields | three u32: words 1 to 3 of the counter of element 0 | | |
//! | `perturb_*`, `estimate_*` | chunk table | c rows of 16 bytes | 8 | read |
//! | (1 block a chunk) | tensor table | n rows of 32 bytes; of k members n / k rows each, their number in `count` | 8 | read |
//! | | terms | null, or t rows of 24 bytes, of 32 in f64 | 8 | read |
//! | | count, few | u32: t; 8 such rows by value, of which the first t count where terms is null | | |
//! | | seed, step | u64, u32: of the rounding | | |
//! | | members (of `perturb`) | null, or k + 1 u32, ascending, the last at most t, for rows of k members | 4 | read |
//! | `search_sample_<type>` | chunk table | c rows of 16 bytes | 8 | read |
//! | (1 block a chunk) | tensor table | n rows of 40 bytes | 8 | read |
//! | | seed, field, step | u64, u32, u32: elements below 2^40 | | |
//! | | coefficient | `T` | | |
//! | `search_adapt_<T>` | chunk table | c rows of 16 bytes | 8 | read |
//! | (1 block a chunk) | tensor table | n rows of 32 bytes | 8 | read |
//! | | terms, count, few | as of `perturb` | 8 | read |
//! | | total, most, is_bounded | `T`, `T`, u32 | | |
//! | `directions_<type>` | chunk table | c rows of 16 bytes | 8 | read |
//! | (1 block a chunk) | tensor table | n rows of 88 bytes | 8 | read |
//! | | count, coefficients | u32: at most 8; 8 `T`, by value | | |
//! | `sep_cma_path_<T>`, | chunk table | c rows of 16 bytes | 8 | read |
//! | `sep_cma_variance_<T>` | tensor table | n rows of 64 bytes | 8 | read |
//! | (1 block a chunk) | numbers | 2 f64 | 8 | read |
//! | | keep, gain; keep, old, rank_one, rank_mu | `T` each | | |
//! | | partials (the first) | an f64 for every chunk that is not empty | 8 | written |
//! | `sep_cma_step_size` | partials, count | their number, u32, as above | 8 | read |
//! | (1 block) | damping, expected, bound, gain | f64 each | | |
//! | | numbers | 2 f64 | 8 | read, written |
//! | `lattice_<distribution>` | chunk table, tensor table | as above, of arrays of integers | 8 | read |
//! | (1 block a chunk) | terms, count, few | as above, rows of 24 bytes | 8 | read |
//! | | shift | u32: the logarithm of the bytes of a weight, 0 to 2 | | |
//! | | threshold, limit | i32: of a vote; 0 where the sum is added | | |
//! | `shape_ranks`, | losses | n f32 | 4 | read |
//! | `shape_signs` (1 thread | count | u32: n, at most 2^20 | | |
//! | a loss), `shape_scores` | sums, total, scale (the first) | n + 1 f64, f64, f64 | 8 | read |
//! | (1 block) | group, epsilon (the third) | u32, which divides n; f64 | | |
//! | | weights | n f32, disjoint from the losses | 4 | written |
//! | `lopt_squares_<T>` | items | a row of 24 bytes for each of its blocks | 8 | read |
//! | (1 block of 256 an item) | tensor table | n rows of 112 bytes | 8 | read |
//! | `lopt_averages_<T>` | items | a row of 16 bytes for each of its blocks | 8 | read |
//! | (1 block of 256 an item) | tensor table | as above | 8 | read |
//! | | network | 24 scalars | 16 | read |
//! | | means | 6 f64 an item | 8 | written |
//! | `lopt_statistics_<T>` | parts | a row of 40 bytes for each of its blocks | 8 | read |
//! | (1 block of 256 a part) | tensor table, network | as above | 8, 16 | read |
//! | | sums | 22 f64 a part | 8 | written |
//! | `lopt_normalisers` | tensor table, sums, means | as above | 8 | read |
//! | (1 block of 256 a tensor) | step | u64 | 8 | read |
//! | | inputs | n rows of 40 f64 | 8 | written |
//! | `lopt_apply_<T>` (1 block of | parts, tensor table | as above | 8 | read |
//! | at most 128 a part; of shared | network | 24 scalars and 40·h + h·g + 5·g + 4 `T` of h neurons, g the next multiple of 8 | 16·size of `T` / 4 | read |
//! | memory 32·h `T`, and 2·h (f64 h) | hidden | u32: h, 1 at least | | |
//! | `T` a thread) | inputs | as above | 8 | read |
//! | | step | as above | 8 | read, written |
//! | `spd_prepare_<T>` | block table | b rows of 48 bytes | 8 | read |
//! | (a warp a block) | count | u32: b | | |
//! | | dampings | b f64 | 8 | read |
//! | | firsts | b rows of 2 f64 | 8 | written |
//! | | flags | their number, u32 | 4 | written |
//! | | findings | their number, u32, rows of 2 u64 | 8 | written |
//! | `spd_inverse_<T>_<M>x<side>` | jobs | rows of the block table, one a launch's block, whose order is at most M·side | 4 | read |
//! | (1 block a job) | block table, firsts | as above, after `spd_prepare` | 8 | read |
//! | | growth, tolerance, retries | f64, f64, u32 | | |
//! | | reports | b rows of 48 bytes | 8 | written |
//! | | done | null, or b u32: where not 0 nothing is done | 4 | read |
//! | `spd_tiles_<T>` | items | their number, u32, rows of 16 bytes | 8 | read |
//! | (any number of | tiles | a row of 40 bytes for every one that an item names | 8 | read |
//! | blocks of 64) | block table, firsts | as above | 8 | read |
//! | | growth, tolerance, retries | as above | | |
//! | | workspace | the tiles that the rows of tiles name | 16 | read, written |
//! | | flags, partials, findings | the ranges that the rows of tiles name, flags and findings after `spd_prepare` | 8 | read, written |
//! | | reports | as above | 8 | written |
//! | | kept | a u32 for every row of tiles that wants no inverse | 4 | read, written |
//! | | done | as above | 4 | read |
//! | `spd_solve_<T>` | sides | their number, u32, rows of 32 bytes | 8 | read |
//! | (64 threads a strip | tiles | a row of 40 bytes for every one of them | 8 | read |
//! | of the sides) | workspace | the tiles that the rows of tiles name, after `spd_tiles` | 16 | read |
//! | | kept | as above | 4 | read |
//! | `syrk_begin` | factor table | f rows of 120 bytes | 8 | read |
//! | (1 thread a factor) | count | u32: f | | |
//! | | counts | f f64 | 8 | read, written |
//! | | shares | f f64 | 8 | written |
//! | `syrk_ema_<type>` | items | rows of 16 bytes, one a launch's block | 4 | read |
//! | (1 block of 64 an item) | factor table | a row for every factor that an item names | 8 | read |
//! | | shares | as above, after `syrk_begin` | 8 | read |
//! | `kron_left_f32`, | items | rows of 16 bytes, one a launch's block | 4 | read |
//! | `kron_right_f32`, | layer table | a row of 88 bytes for every layer that an item names | 8 | read |
//! | `kron_scale_f32` | workspace | of each layer columns by outputs, both filled up to tiles | 16 | written by the first, read by the second |
//! | (1 block of 64 an item) | sums (the second) | an f64 for every item, or the address 0 | 8 | written |
//! | | factor (the third) | 1 f64 | 8 | read |
//! | `kron_clip` | sums | their number, u32, as above | 8 | read |
//! | (1 block) | clip, factor | 2 f64, 1 f64 | 8 | read, written |
//! | `reduce_tiles_f32` (1 | items | rows of 16 bytes, one a launch's block | 4 | read |
//! | block of 64 an item), | reductions | a row of 56 bytes for every one that an item names | 8 | read |
//! | `reduce_power_f32` | workspace (the second) | two vectors of f32 where a row says | 4 | read, written |
//! | (1 of 256 an item) | partials | f64 where a row says: its count, twice as many of a largest eigenvalue | 8 | read, written |
//! | `reduce_sums` (1 block | reductions, partials | as above, after the others | 8 | read |
//! | of 256 a reduction) | results | an f64 a reduction | 8 | written |
//! | `poly_product_f32` | items | rows of 16 bytes, one a launch's block | 4 | read |
//! | (1 block of 64 an item) | products | a row of 88 bytes for every one that an item names | 8 | read |
//! | | step, matrices, tolerance | u32, u32, f32 | | |
//! | | workspace | the matrices that rows name, filled up to tiles; none is read and written in one launch | 16 | read, written |
//! | | errors | a u32 for every matrix and step until this one, zero before | 4 | read, written |
//! | `polar_load_f32`, | items | as above | 4 | read |
//! | `polar_store_f32` | matrices | a row of 64 bytes for every one that an item names | 8 | read |
//! | (1 block of 64 an item) | norms, factor, ε, kind | an f64 a matrix, f64, f64, u32 (the first) | 8 | read |
//! | | workspace | the matrices that rows name | 16 | written, read by the second |
//! | `root_load_f32`, | items | as above, tiles on and below the diagonal | 4 | read |
//! | `root_begin_f32`, | roots, block table, firsts | a row of 56 bytes, one of 48 and two f64 for every block, after `spd_prepare` | 8 | read |
//! | `root_finish_f32` | tolerance (the first) | f64 | | |
//! | (1 block of 64 an item) | numbers (the others) | f64: a norm of every block, and what rows of roots name | 8 | read |
//! | | findings (but the second) | two u64 for every block, after `spd_prepare` | 8 | read, written by the first |
//! | | errors, blocks, steps, | as above; u32, u32, f32, f32 (the last) | 4 | read |
//! | | tolerance, acceptance | | | |
//! | | workspace | the matrices that rows of roots name | 16 | read, written |
//! | | reports (the last) | a row of 40 bytes for every block | 8 | written |
//! | `warm_load_f32`, | items | as above, tiles on and below the diagonal | 4 | read |
//! | `warm_store_f32` | warm, block table, firsts | a row of 32 bytes, one of 48 and two f64 for every block, after `spd_prepare` | 8 | read |
//! | (1 block of 64 an item) | tolerance (the first) | f64 | | |
//! | | done (the second) | a u32 for every block | 4 | read |
//! | | workspace | the matrices that rows of warm name | 16 | written, read by the second |
//! | `warm_verdict` | block table, firsts | as above, count of them u32 | 8 | read |
//! | (1 thread a block) | step, steps, tolerance | u32, u32, f64 | | |
//! | | numbers | two f64 for every block | 8 | read |
//! | | states, residuals, done, | f32, f64, u32 and 48 bytes for every block | 8 | read, written |
//! | | reports | | | |
//! | `eigen_turn_f32` | items | rows of 16 bytes, one a launch's block | 4 | read |
//! | (1 block of 64 an item) | basis table | a row of 32 bytes for every basis that an item names | 8 | read |
//! | | workspace | of each basis order by order, both filled up to tiles | 16 | written |
//! | | settings | 40 bytes | 8 | read, written |
//! | `eigen_scale_f32` | items, layer table | as of `kron_left` | 8 | read |
//! | (1 block of 64 an item) | epilogue table | a row of 40 bytes for every layer | 8 | read |
//! | | workspace | what `kron_left` wrote; of each layer outputs by columns, both filled up to tiles | 16 | read, written |
//! | | settings, kind | as above, after `eigen_turn`; u32: 0 to 3 | 8 | read |
//! | | sums | as of `kron_right` | 8 | written |
//! | `basis_load_f32`, | items | rows of 16 bytes, one a launch's block | 4 | read |
//! | `basis_columns_f32`, | bases, block table, firsts | a row of 88 bytes, one of 48 and two f64 for every matrix, after `spd_prepare` | 8 | read |
//! | `basis_ranks`, | tolerance (the first) | f64 | | |
//! | `basis_scale_f32`, | findings (the first, | two u64 for every matrix, after `spd_prepare` | 8 | written by the first |
//! | `basis_store_f32` | the last) | | | |
//! | (1 block of 64 an item, | workspace | the matrices that rows name, filled up to tiles | 16 | read, written |
//! | of 256 the second and | quotients, scales, ranks, | f64, f32, u32, u32: the range of columns that a row names, ranks a permutation of it | 8 | read, written |
//! | third) | columns | | | |
//! | | failed, reports (the last) | a u32, a row of 24 bytes for every matrix | 8 | read, written |
//! | `basis_unpack_f32` | items, bases | as above; the last word of an item a row of tiles | 4 | read |
//! | (1 block of 64 an item) | tiles, their workspace, rounds | as of `spd_tiles`, after it: tiles, workspace, reports | 16 | read |
//! | | first, last | two u32 | | |
//! | | failed, workspace | as above | 16 | written |
//! | `jacobi_<T>`, | jobs | rows of the table, one a launch's block | 4 | read |
//! | `jacobi_workspace_<T>` | table | m rows of 64 bytes | 8 | read |
//! | (1 block a job, of 32 to | tolerance, sweeps | f64, u32 | | |
//! | 512 threads; dynamic | workspace (the second only) | n·v `T` from the row's place in it on, disjoint | 16 | read, written |
//! | shared memory) | reports | m rows of 24 bytes | 8 | written |
//! | `low_rank_<from>_<to>` | tiles | rows of 16 bytes, one a launch's block | 4 | read |
//! | (1 block a tile) | matrix table | a row of 56 bytes for every matrix that a tile names | 8 | read |
//! | | terms | null, or `count` of 24 bytes, of 32 for f64 | 8 | read |
//! | | count, few | u32, 8 terms | | |
//! | | rank, distribution | u32: 1 to 64; u32 | | |
//! | `low_rank_multiply_<type>` | product | 64 bytes, by value | | |
//! | (16 rows of a term a | terms, few | null, or a term for every one that the blocks reach; 8 terms | 8 | read |
//! | block) | rank, distribution | as above | | |
//! | `lattice_low_rank` | tiles, matrix table | as of `low_rank`, of integers | 8 | read |
//! | (1 block a tile) | terms, count, few | null, or `count` of 32 bytes; u32; 8 such rows by value | 8 | read |
//! | | rank, distribution | as above; count times rank is below 2^32 | | |
//! | | shift, bytes | u32: of noises, at most 20; u32: the logarithm of the bytes of a weight, 0 to 2 | | |
//! | | threshold, limit | i32: of a vote; 0 where the sum is added | | |
//! | `lattice_low_rank_multiply` | product | as above, `x` of i8 and `y` of i32 | | |
//! | (16 rows of a term a | terms, few | as above, 32 bytes each | 8 | read |
//! | block) | rank, distribution, shift | as above | | |
//!
//! The product of `low_rank_multiply` names `x` \[terms·rows×inner\], which is read, and `y` \[terms·rows×outer\], which is read
//! and written and overlaps nothing.
//!
//! A row of the matrix table of `low_rank` and `lattice_low_rank` names `to` \[rows×columns\], which is written, and `from`, which is as large and is read
//! unless its address is 0. They overlap nothing, but may be the same where both have one type. A row claims packs of 4 only
//! where the address, counted in elements, the columns and the first column are multiples of 4. No two tiles have a part of a
//! matrix in common.
//!
//! A row of the tensor table of `perturb`, `estimate` and `lattice` names two arrays of as many elements as its chunks reach: `to`, which
//! is written, and `other`, which `perturb` and `lattice` read, `estimate_<distribution>_squares` writes and `estimate_<distribution>` leaves alone.
//! They overlap nothing, but for `perturb` and `lattice` may be the same where both have one type. Chunks are cut by `to`'s memory as said below.
//! A row claims that packs of 4 or 8 elements begin together only where both addresses, counted in elements, and the first element
//! agree modulo so many.
//!
//! A row of the tensor table of `lopt` names a parameter (read, written) and a gradient (read) of `length` elements, aligned to their
//! element, and arrays of the object's own, which overlap nothing: 4 moments of as many `T`, or 7 where it is not factored; where it is,
//! 9 arrays of rows and of columns and the partial sums over X and Y, of the sizes that its axes give them. Its parts and items are
//! those of the tables, the numbers of the first of them as it says.
//! A row of the tensor table of `search_sample` names a mean and deviations of `T`, which are read, and `to`, which is written and
//! overlaps neither; one of `search_adapt` deviations and a mean of `T` in place of `other` and `to`, both read and written. What is
//! said above of chunks and packs holds for them. One of `directions` names `count` directions of `T`, which are read, and `to`, which
//! is read and written and overlaps none of them. A row of the tensor table of `sep_cma` names six arrays of `T`: sums, which are
//! read; deviations, which are read and written by `sep_cma_variance`; variances, which are read by both and written by that; paths
//! of the step size and means, which are read and written by `sep_cma_path`; paths of variances, read and written by the other.
//!
//! A row of the table of `jacobi` begins as one of the block table does, with Q \[order×order\] in place of the inverse, and
//! names `order` values, which are written. With n the greatest order of a launch and s and v the least multiples of 2 and of
//! 16 / size of `T` that are at least n, `jacobi_workspace` needs s·(s + 2) `T` and 8·s bytes of dynamic shared memory and `jacobi` n·v `T` more.
//!
//! A row of the block table names a source, which is read in the form that it says, and an inverse \[order×order\], which is
//! written unless its address is 0; both are aligned to their element, and no inverse overlaps anything else. A row of the
//! table of right-hand sides names a matrix \[order×columns\], read and written, of which the same is true, and counts the strips
//! of the rows before, each as wide as a tile; the order is that of the row of tiles.
//!
//! A row of the factor table names inputs \[rows·positions×features\], or images, which are read, weights, where there are any, of
//! which as many are read as there are rows, and a packed factor, which is read and written. A row of the layer table names two
//! factors and a gradient, which are read, and a direction, which is written; items of a layer are the tiles of its gradient. A
//! row of the basis table names a basis \[order×order\], which is read; its items are its tiles. A row of the epilogue
//! table names as many eigenvalues as the layer has outputs, or none, and columns, which are read, and, where `kind` is at least
//! 2, second moments \[outputs×columns\], which are read and written.
//!
//! A row of the reductions names one matrix, or two of the same size, whose rows lie a stride apart; of a matrix that is made
//! orthogonal, one that is read and one that is written, of the same size. A row of the products names places of the workspace
//! where whole tiles fit, both factors as many rows deep as it says and, filled up with zeros, as deep as 16 divides.
//!
//! A row of the tensor table that has a gradient names arrays of `length` elements each: parameter (read, written),
//! gradient (read), A state arrays (read, written) unless it is flagged stateless, and where their addresses are not 0 the
//! extra (read) and the average, slow weights and momentum (read, written); each aligned to its element and none
//! overlapping another. Every chunk that is not empty names a row, lies inside its length, and shares no element with
//! another chunk; all but a tensor's first begin at a multiple of 16 elements of the parameter's memory. A row claims
//! IN_PHASE only where all its arrays' addresses, counted in elements, agree modulo 16 / size of `T`: the kernel then
//! accesses runs of so many elements. Where they agree modulo 16, as states do that were allocated for the parameter's
//! address, it moves no sector twice.

//!
//! A method steps k copies of a tensor. Its row of the tensor table names, after length, first, id and flags, the parameter
//! of each copy (read, written), the gradient and another array of each (read; 0 where there is none), and A state arrays of
//! each (read, written; of Entropy-SGD without momentum the first two); for the mean, parameters are read and the mean, which stands in place of the first gradient, is written. What
//! is said above of lengths, alignment, overlap, chunks and IN_PHASE holds for these arrays; the parameter whose memory counts
//! is that of copy 0.

#![allow(unsafe_code)]

mod address;
mod chunks;
pub(crate) mod es;
#[cfg(all(test, target_os = "linux"))]
mod fmath;
pub(crate) mod linalg;
pub(crate) mod lopt;
mod modules;
pub(crate) mod noise;
pub(crate) mod optim;
mod raw;
mod transfer;

use cudarc::driver::LaunchConfig;

/// The embedded kernels: a name and the text of its PTX.
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}

/// Threads of a block.
const THREADS: u32 = 256;

fn blocks_of_threads(blocks: u32) -> LaunchConfig {
    blocks_of(blocks, THREADS)
}

fn blocks_of(blocks: u32, threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// What errors call a launch of [`THREADS`] threads a block.
fn launch_of(kernel: &str, blocks: u32) -> String {
    launch_of_threads(kernel, blocks, THREADS)
}

fn launch_of_threads(kernel: &str, blocks: u32, threads: u32) -> String {
    format!("launch of {kernel} ({blocks} blocks × {threads} threads)")
}
