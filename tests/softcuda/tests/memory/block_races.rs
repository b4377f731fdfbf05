//! Races between threads of one block in global memory: told and not told.

use softcuda::check::Toucher;

use super::against_a_model::Random;
use super::*;

const RACE: Option<AccessErrorKind> = Some(AccessErrorKind::GlobalRace);

fn with(test: impl FnOnce(&mut BlockMemory<'_>, u64)) {
    let memory = device();
    let base = filled(&memory, 1 << 16);
    test(&mut BlockMemory::new(&GlobalAccess::new(&memory, true, true)), base);
}

fn at(address: u64, warp: u32) -> Lanes {
    Lanes::at(4, |lane| address + lane * 4).by(5, warp, 10 + warp)
}

#[test]
fn a_barrier_of_the_block_orders() {
    let memory = device();
    let base = filled(&memory, 4096);
    let global = GlobalAccess::new(&memory, true, true);
    for wide in [0, 4] {
        // All of a segment, and a part of it.
        let mut block = BlockMemory::new(&global);
        at(base + wide, 0).store_in(&mut block).unwrap();
        let error = at(base + 64, 1).load_in(&mut block).unwrap_err();
        let expected = AccessError {
            kind: AccessErrorKind::GlobalRace,
            address: base + 64,
            bytes: 4,
            lane: Some(0),
            other: Some(Toucher { line: 10, block: [5, 0, 0], thread: 16 - wide as u32 / 4, wrote: true }),
            detail: format!("no barrier of the block between; {}", memory.tell(base + 64, 4)),
        };
        assert_eq!(error, expected);
        block.warp_barrier(0);
        block.warp_barrier(1);
        assert_eq!(kind(at(base + 64, 1).store_in(&mut block)), RACE);
        assert_eq!(kind(at(base + 64, 1).add_in(&mut block)), RACE);
        block.block_barrier();
        at(base + 64, 1).load_in(&mut block).unwrap();
        let error = at(base, 2).store_in(&mut block).unwrap_err();
        assert_eq!((error.address, error.lane), (base + 64, Some(16)));
        assert_eq!(error.other, Some(Toucher { line: 11, block: [5, 0, 0], thread: 32, wrote: false }));
        block.block_barrier();
        at(base, 2).store_in(&mut block).unwrap();
    }
}

#[test]
fn what_is_no_race() {
    with(|block, base| {
        // A thread's own accesses, of any width; any number of readers; neighbours down to single bytes.
        at(base, 0).store_in(block).unwrap();
        at(base, 0).load_in(block).unwrap();
        at(base, 0).store_in(block).unwrap();
        Lanes::at(2, |lane| base + lane * 4 + 2).by(5, 0, 3).store_in(block).unwrap();
        at(base, 0).load_in(block).unwrap();
        for warp in 0..32 {
            at(base + 1024, warp).load_in(block).unwrap();
            at(base + 1028, warp).load_in(block).unwrap();
            Lanes::at(4, |_| base + 1024).by(5, warp, 4).load_in(block).unwrap();
            let mine = u64::from(warp);
            Lanes::at(1, |lane| base + 4096 + mine * 33 + lane).by(5, warp, 5).store_in(block).unwrap();
            Lanes::at(2, |lane| base + 8192 + mine * 62 + lane * 2)
                .only(!0 >> 1)
                .by(5, warp, 5)
                .store_in(block)
                .unwrap();
            Lanes::at(32, |lane| base + 16384 + mine * 1024 + lane * 32).by(5, warp, 6).load_in(block).unwrap();
            Lanes::at(4, |_| base + 12288).by(5, warp, 7).add_in(block).unwrap();
        }
    });
}

/// One value, written by all: not if it differs, and not by different instructions.
#[test]
fn one_instruction_writes_one_value() {
    with(|block, base| {
        let store = |block: &mut BlockMemory<'_>, lanes: Lanes, value: u8| {
            block.store(&lanes.access(), &[value; 1024], &mut Counters::default())
        };
        for warp in 0..4 {
            store(block, Lanes::at(4, |_| base).by(0, warp, 7), 9).unwrap();
            store(block, at(base + 64, 0).by(0, warp, 7), 9).unwrap();
            store(block, Lanes::at(4, |lane| base + 1024 + lane % 7 * 4).by(0, warp, 7), 9).unwrap();
        }
        assert_eq!(kind(store(block, Lanes::at(4, |_| base).by(0, 5, 7), 8)), RACE);
        assert_eq!(kind(store(block, at(base + 64, 0).by(0, 5, 7), 8)), RACE);
        assert_eq!(kind(store(block, at(base + 64, 0).by(0, 5, 8), 9)), RACE);
        let error = Lanes::at(4, |_| base + 2048).store_in(block).unwrap_err();
        assert_eq!((error.lane, error.other.unwrap().thread), (Some(1), 0));
        assert!(error.detail.starts_with("no barrier of the warp between"), "{}", error.detail);
        let error = Lanes::at(4, |lane| base + 4096 + lane % 31 * 4).store_in(block).unwrap_err();
        assert_eq!((error.lane, error.other.unwrap().thread), (Some(31), 0));
    });
}

#[test]
fn strong_accesses() {
    with(|block, base| {
        let mut counters = Counters::default();
        let flag = |warp| Lanes::at(4, |_| base + 8192).only(1).by(5, warp, 30 + warp);
        let wait = |block: &mut BlockMemory<'_>, warp: u32| {
            block.strong_load(&flag(warp).access(), &mut [0; 1024], &mut Counters::default()).unwrap();
        };
        at(base, 0).store_in(block).unwrap();
        wait(block, 1);
        assert_eq!(kind(at(base, 1).load_in(block)), RACE, "nothing was released");
        block.strong_store(&flag(0).access(), &[1; 1024], &mut counters).unwrap();
        at(base + 4096, 0).store_in(block).unwrap();
        assert_eq!(kind(at(base, 1).load_in(block)), RACE, "nothing was acquired");
        assert_eq!(kind(flag(1).load_in(block)), RACE, "a plain load of the flag");
        wait(block, 1);
        at(base, 1).load_in(block).unwrap();
        assert_eq!(kind(at(base + 4096, 1).load_in(block)), RACE, "written after the release");
        assert_eq!(kind(flag(2).store_in(block)), RACE);
        // Atomics do both, and hand on what a warp has learnt; reductions only release.
        flag(1).add_in(block).unwrap();
        flag(2).add_in(block).unwrap();
        at(base, 2).store_in(block).unwrap();
        block.block_barrier();
        at(base, 3).load_in(block).unwrap();
        block.reduce(&flag(3).access(), &mut |_, old| Some(old + 1), &mut counters).unwrap();
        block.reduce(&flag(4).access(), &mut |_, old| Some(old + 1), &mut counters).unwrap();
        assert_eq!(kind(at(base, 4).store_in(block)), RACE, "a reduction learns nothing");
        flag(4).add_in(block).unwrap();
        at(base, 4).store_in(block).unwrap();
        // Elsewhere: in shared memory.
        assert_eq!(kind(at(base, 6).load_in(block)), RACE);
        block.release(4);
        block.acquire(6);
        at(base, 6).load_in(block).unwrap();
    });
}

#[test]
fn the_next_block_begins_anew() {
    let memory = device();
    let base = filled(&memory, 1 << 20);
    let global = GlobalAccess::new(&memory, true, true);
    for round in 0..4u32 {
        let mut block = BlockMemory::new(&global);
        // More pages than at first, in other places, divided or not.
        for page in 0..200u64 {
            let page = base + (page * 7 + u64::from(round)) % 256 * 4096;
            at(page + 4 * u64::from(round % 2), round).by(9, round, 1).store_in(&mut block).unwrap();
            assert_eq!(kind(at(page + 8, round + 4).by(9, round + 4, 1).load_in(&mut block)), RACE);
        }
    }
    let unchecked = GlobalAccess::new(&memory, true, false);
    let mut block = BlockMemory::new(&unchecked);
    at(base, 0).store_in(&mut block).unwrap();
    at(base, 1).load_in(&mut block).unwrap();
}

/// Of plain accesses: shared memory finds what global memory finds, at the same lane, with the same thread.
#[test]
fn as_in_shared_memory() {
    const SIZE: u64 = 1024;
    let mut random = Random(3);
    let (mut races, mut clean) = (0, 0);
    for _ in 0..3000 {
        let memory = device_of(1 << 20);
        let base = filled(&memory, SIZE);
        let global = GlobalAccess::new(&memory, false, true);
        let mut block = BlockMemory::new(&global);
        let mut shared = SharedMemory::new(SIZE as u32, false, true);
        shared.bytes().fill(7);
        for line in 1..40 {
            let warp = random.below(3) as u32;
            match random.below(11) {
                0 | 1 => {
                    shared.block_barrier();
                    block.block_barrier();
                }
                2 => {
                    shared.warp_barrier(warp);
                    block.warp_barrier(warp);
                }
                what => {
                    // Adjacent lanes in step most of the time, so that some go on without a race.
                    let mut lanes = random.lanes(SIZE, false);
                    if random.below(4) != 0 {
                        let width = u64::from(lanes.bytes.min(8));
                        let start = u64::from(warp) * 256 + random.below(2) * 32 * width;
                        lanes = Lanes { bytes: width as u32, ..Lanes::at(1, |lane| (start + lane * width) % SIZE) };
                    }
                    let lanes = lanes.by(2, warp, line % 5);
                    let mut there = Lanes::at(lanes.bytes, |lane| base + lanes.addresses[lane as usize]);
                    there.mask = lanes.mask;
                    let there = there.by(2, warp, line % 5);
                    let (here, there) = if what < 7 {
                        (lanes.load_shared(&mut shared).map(|_| ()), there.load_in(&mut block).map(|_| ()))
                    } else {
                        let value = [random.below(2) as u8; 1024];
                        let mut counters = Counters::default();
                        let here = shared.store(&lanes.access(), &value, &mut counters);
                        (here, block.store(&there.access(), &value, &mut counters))
                    };
                    let told = |result: &Result<(), AccessError>| {
                        let error = result.as_ref().err()?;
                        // Of several accesses of a thread they may tell different ones.
                        error.other.as_ref().map(|other| (error.lane, other.thread, other.wrote))
                    };
                    assert_eq!(told(&here), told(&there));
                    if here.is_err() {
                        races += 1;
                        break;
                    }
                    clean += 1;
                }
            }
        }
    }
    assert!(races > 1000 && clean > 10_000, "{races} {clean}");
}
