//! The tables of launches that go through matrices tile by tile: `kernels/es/tile.cuh`.

use cudarc::driver::CudaSlice;

use crate::cuda::transfer::{not_capturing, uploaded};
use crate::device::Cuda;
use crate::element::Scalar;
use crate::error::Result;
use crate::es::{Kind, Shard, check_memory};

/// Rows and columns of a tile, which a block takes.
pub(super) const TILE_ROWS: u64 = 64;
pub(super) const TILE_COLUMNS: u64 = 128;
/// Elements of a pack, and the flags of a matrix whose rows have packs where its memory has them.
const PACK: u64 = 4;
const PACKED_FROM: u64 = 1;
const PACKED_TO: u64 = 2;

/// The tables of a call. They hold until an address changes, or what stands there.
pub(super) struct Tiles {
    bound: Vec<[u64; 2]>,
    kind: Kind,
    pub(super) matrices: CudaSlice<u64>,
    pub(super) tiles: CudaSlice<u64>,
    pub(super) count: u32,
}

impl Tiles {
    /// Brings tables up to date with the addresses of a call, what the sum is added to, of `P`, and where it is written, of `Q`; none
    /// where there is nothing to write. Errors: memory that overlaps or is not aligned; the stream is being captured.
    pub(super) fn bind<'a, P: Scalar, Q: Scalar>(
        tables: &'a mut Option<Self>,
        cuda: &Cuda,
        shards: &[Shard],
        bound: Vec<[u64; 2]>,
        kind: Kind,
    ) -> Result<Option<&'a Self>> {
        if !tables.as_ref().is_some_and(|tables| tables.bound == bound && tables.kind == kind) {
            *tables = Some(Self::new::<P, Q>(cuda, shards, bound, kind)?);
        }
        Ok(tables.as_ref().filter(|tables| tables.count > 0))
    }

    fn new<P: Scalar, Q: Scalar>(cuda: &Cuda, shards: &[Shard], bound: Vec<[u64; 2]>, kind: Kind) -> Result<Self> {
        let slots: Vec<_> = shards.iter().map(Shard::slot).collect();
        check_memory::<P, Q>(&slots, &bound, kind, 1)?;
        not_capturing(cuda, "the addresses of matrices have changed")?;
        let (mut matrices, mut tiles) = (Vec::new(), Vec::new());
        for (position, (shard, &[other, to])) in shards.iter().zip(&bound).enumerate() {
            let Shard { id, rows, columns, first_row, first_column } = *shard;
            let from = if kind == Kind::Nothing { 0 } else { other };
            // Tiles begin at multiples of a pack of the whole matrix.
            let packs = |address: u64, element: usize| {
                [columns, first_column, address / element as u64].iter().all(|place| place % PACK == 0)
            };
            let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
            let flags = flag(from != 0 && packs(from, size_of::<P>()), PACKED_FROM)
                | flag(packs(to, size_of::<Q>()), PACKED_TO);
            matrices.extend([from, to, first_row, first_column, rows, columns, id | flags << 32]);
            if rows == 0 || columns == 0 {
                continue;
            }
            for row in first_row / TILE_ROWS..(first_row + rows).div_ceil(TILE_ROWS) {
                for column in first_column / TILE_COLUMNS..(first_column + columns).div_ceil(TILE_COLUMNS) {
                    tiles.extend([position as u64 | row << 32, column]);
                }
            }
        }
        let count = (tiles.len() / 2) as u32;
        let (matrices, tiles) = (uploaded(cuda, &matrices)?, uploaded(cuda, &tiles)?);
        Ok(Self { bound, kind, matrices, tiles, count })
    }
}
