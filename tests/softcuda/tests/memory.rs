//! Device and shared memory against closed forms and a model that goes byte by byte.

#[path = "memory/against_a_model.rs"]
mod against_a_model;
#[path = "memory/allocations.rs"]
mod allocations;
#[path = "memory/block_races.rs"]
mod block_races;
#[path = "memory/global_races.rs"]
mod global_races;
#[path = "memory/refused.rs"]
mod refused;
#[path = "memory/shared_races.rs"]
mod shared_races;
#[path = "memory/traffic.rs"]
mod traffic;

use std::sync::atomic::{AtomicU64, Ordering};

use softcuda::check::{AccessError, AccessErrorKind, Place};
use softcuda::count::Counters;
use softcuda::memory::{BlockMemory, DeviceMemory, GlobalAccess, LaneBytes, SharedMemory, WarpAccess};

fn device() -> DeviceMemory {
    device_of(1 << 30)
}

fn device_of(bytes: u64) -> DeviceMemory {
    DeviceMemory::with_reserve(bytes, bytes)
}

fn filled(memory: &DeviceMemory, bytes: u64) -> u64 {
    let address = memory.allocate(bytes).unwrap();
    memory.fill(address, &[7], bytes).unwrap();
    address
}

fn place(block: u32, warp: u32, line: u32) -> Place {
    Place { line, block: [block, 0, 0], warp }
}

/// One access by every lane of a mask.
struct Lanes {
    addresses: [u64; 32],
    mask: u32,
    bytes: u32,
    place: Place,
}

impl Lanes {
    fn at(bytes: u32, address: impl FnMut(u64) -> u64) -> Self {
        let mut address = address;
        let addresses = std::array::from_fn(|lane| address(lane as u64));
        Self { addresses, mask: !0, bytes, place: place(0, 0, 1) }
    }

    fn by(self, block: u32, warp: u32, line: u32) -> Self {
        Self { place: place(block, warp, line), ..self }
    }

    fn only(self, mask: u32) -> Self {
        Self { mask, ..self }
    }

    fn access(&self) -> WarpAccess<'_> {
        WarpAccess { addresses: &self.addresses, mask: self.mask, bytes: self.bytes, place: &self.place }
    }

    fn load(&self, global: &GlobalAccess<'_>) -> Result<LaneBytes, AccessError> {
        let mut bytes = [0; 1024];
        global.load(&self.access(), &mut bytes, &mut Counters::default()).map(|()| bytes)
    }

    fn store(&self, global: &GlobalAccess<'_>) -> Result<(), AccessError> {
        global.store(&self.access(), &bytes_of_lanes(self.bytes), &mut Counters::default())
    }

    fn add_one(&self, global: &GlobalAccess<'_>) -> Result<[u64; 32], AccessError> {
        global.atomic(&self.access(), &mut |_, old| Some(old + 1), &mut Counters::default())
    }

    fn load_in(&self, block: &mut BlockMemory<'_>) -> Result<LaneBytes, AccessError> {
        let mut bytes = [0; 1024];
        block.load(&self.access(), &mut bytes, &mut Counters::default()).map(|()| bytes)
    }

    fn store_in(&self, block: &mut BlockMemory<'_>) -> Result<(), AccessError> {
        block.store(&self.access(), &bytes_of_lanes(self.bytes), &mut Counters::default())
    }

    fn add_in(&self, block: &mut BlockMemory<'_>) -> Result<[u64; 32], AccessError> {
        block.atomic(&self.access(), &mut |_, old| Some(old + 1), &mut Counters::default())
    }

    fn load_shared(&self, shared: &mut SharedMemory) -> Result<LaneBytes, AccessError> {
        let mut bytes = [0; 1024];
        shared.load(&self.access(), &mut bytes, &mut Counters::default()).map(|()| bytes)
    }

    fn store_shared(&self, shared: &mut SharedMemory) -> Result<(), AccessError> {
        shared.store(&self.access(), &bytes_of_lanes(self.bytes), &mut Counters::default())
    }

    fn begin_copy(&self, shared: &mut SharedMemory) -> Result<(), AccessError> {
        shared.begin_copy(&self.access())
    }

    fn end_copy(&self, shared: &mut SharedMemory) -> Result<(), AccessError> {
        shared.end_copy(&self.access(), &bytes_of_lanes(self.bytes), &mut Counters::default())
    }

    fn add_shared(&self, shared: &mut SharedMemory) -> Result<[u64; 32], AccessError> {
        shared.atomic(&self.access(), &mut |_, old| Some(old + 1), &mut Counters::default())
    }
}

/// Every lane's bytes differ from every other lane's.
fn bytes_of_lanes(bytes: u32) -> LaneBytes {
    std::array::from_fn(|index| (index as u32 / bytes % 32) as u8 + 1)
}

fn kind<T>(result: Result<T, AccessError>) -> Option<AccessErrorKind> {
    result.err().map(|error| error.kind)
}

#[test]
fn threads_share_the_memory() {
    let memory = device();
    let words = 4096u64;
    let base = filled(&memory, words * 4);
    memory.fill(base, &[0], words * 4).unwrap();
    let wide = filled(&memory, 8);
    memory.fill(wide, &[0], 8).unwrap();
    let global = GlobalAccess::new(&memory, true, true);
    let allocations = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4u32 {
            let (global, memory, allocations) = (&global, &memory, &allocations);
            scope.spawn(move || {
                for round in 0..300u64 {
                    // Neighbouring bytes of one word belong to different blocks.
                    let mine = |lane: u64| base + lane * 4 + u64::from(worker);
                    Lanes::at(1, mine).by(worker, 0, 1).store(global).unwrap();
                    let read = Lanes::at(1, mine).by(worker, 0, 2).load(global).unwrap();
                    assert_eq!(read[..32], bytes_of_lanes(1)[..32]);
                    Lanes::at(4, |lane| base + 1024 + round % 8 * 4 + lane * 4).by(worker, 0, 3).load(global).unwrap();
                    Lanes::at(4, |lane| base + 4096 + lane % 4 * 4).by(worker, 0, 4).add_one(global).unwrap();
                    Lanes::at(8, |_| wide).by(worker, 0, 4).add_one(global).unwrap();
                    Lanes::at(2, |_| base + 5002).by(worker, 0, 4).add_one(global).unwrap();
                    let own = memory.allocate(100 + round * 50).unwrap();
                    memory.fill(own, &[worker as u8], 100).unwrap();
                    let mut bytes = [9; 100];
                    memory.read(own, &mut bytes).unwrap();
                    assert_eq!(bytes, [worker as u8; 100]);
                    memory.free(own).unwrap();
                    allocations.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(allocations.into_inner(), 1200);
    let read = |address: u64| {
        let mut bytes = [0; 8];
        memory.read(address, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    };
    assert_eq!(read(base + 4096), 9600 * ((1 << 32) + 1));
    assert_eq!(read(wide), 1200 * 32);
    assert_eq!(read(base + 5000), 38_400 << 16);
}
