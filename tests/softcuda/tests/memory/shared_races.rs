//! Races in shared memory: told and not told.

use softcuda::check::Toucher;

use super::*;

const RACE: Option<AccessErrorKind> = Some(AccessErrorKind::SharedRace);

fn shared() -> SharedMemory {
    let mut shared = SharedMemory::new(4096, true, true);
    for part in 0..4 {
        Lanes::at(32, |lane| part * 1024 + lane * 32).store_shared(&mut shared).unwrap();
    }
    shared.block_barrier();
    shared
}

fn at(address: u64, warp: u32) -> Lanes {
    Lanes::at(4, |lane| address + lane * 4).by(5, warp, 10 + warp)
}

#[test]
fn a_barrier_of_the_block_orders() {
    let mut shared = shared();
    at(0, 0).store_shared(&mut shared).unwrap();
    let error = at(64, 1).load_shared(&mut shared).unwrap_err();
    let expected = AccessError {
        kind: AccessErrorKind::SharedRace,
        address: 64,
        bytes: 4,
        lane: Some(0),
        other: Some(Toucher { line: 10, block: [5, 0, 0], thread: 16, wrote: true }),
        detail: "no barrier of the block between".to_owned(),
    };
    assert_eq!(error, expected);
    shared.warp_barrier(0);
    shared.warp_barrier(1);
    assert_eq!(kind(at(64, 1).load_shared(&mut shared)), RACE);
    assert_eq!(kind(at(64, 1).store_shared(&mut shared)), RACE);
    shared.block_barrier();
    at(64, 1).load_shared(&mut shared).unwrap();
    let error = at(0, 2).store_shared(&mut shared).unwrap_err();
    assert_eq!((error.address, error.lane), (64, Some(16)));
    assert_eq!(error.other, Some(Toucher { line: 11, block: [5, 0, 0], thread: 32, wrote: false }));
    shared.block_barrier();
    at(0, 2).store_shared(&mut shared).unwrap();
}

#[test]
fn readers_of_two_warps_stay_known() {
    for writer in 0..4 {
        let mut shared = shared();
        for warp in 0..3 {
            at(0, warp).load_shared(&mut shared).unwrap();
            shared.warp_barrier(warp);
        }
        assert_eq!(kind(at(0, writer).store_shared(&mut shared)), RACE);
    }
}

#[test]
fn lanes_of_a_warp_need_its_barrier() {
    let mut shared = shared();
    let reversed = || Lanes::at(4, |lane| (31 - lane) * 4);
    at(0, 0).store_shared(&mut shared).unwrap();
    at(0, 0).load_shared(&mut shared).unwrap();
    let error = reversed().load_shared(&mut shared).unwrap_err();
    assert_eq!(error.detail, "no barrier of the warp between");
    assert_eq!(error.other.unwrap().thread, 31);
    shared.warp_barrier(0);
    reversed().load_shared(&mut shared).unwrap();
    assert_eq!(kind(at(0, 0).store_shared(&mut shared)), RACE, "lane 31 read what lane 0 writes");
    shared.warp_barrier(0);
    at(0, 0).store_shared(&mut shared).unwrap();
    // All lanes read one word, one of them writes it.
    let all = || Lanes::at(4, |_| 512);
    all().load_shared(&mut shared).unwrap();
    assert_eq!(kind(all().only(1).store_shared(&mut shared)), RACE);
    shared.warp_barrier(0);
    all().only(1).store_shared(&mut shared).unwrap();
}

#[test]
fn one_instruction_writes_one_value() {
    let mut shared = shared();
    let all = || Lanes::at(4, |_| 512);
    let error = all().store_shared(&mut shared).unwrap_err();
    assert_eq!((error.kind, error.lane, error.other.unwrap().thread), (AccessErrorKind::SharedRace, Some(1), 0));
    let mut same = SharedMemory::new(4096, true, true);
    for warp in 0..4 {
        let mut counters = Counters::default();
        same.store(&all().by(0, warp, 7).access(), &[9; 1024], &mut counters).unwrap();
    }
    assert_eq!(kind(all().by(0, 5, 7).load_shared(&mut same)), RACE);
    assert_eq!(kind(all().by(0, 5, 8).only(1).store_shared(&mut same)), RACE);
}

#[test]
fn bytes_are_told_apart() {
    let mut shared = shared();
    at(0, 0).store_shared(&mut shared).unwrap();
    shared.block_barrier();
    for warp in 0..4u32 {
        Lanes::at(1, |lane| lane * 4 + u64::from(warp)).by(0, warp, 3).store_shared(&mut shared).unwrap();
    }
    let error = Lanes::at(2, |lane| lane * 4).by(0, 1, 4).load_shared(&mut shared).unwrap_err();
    assert_eq!(error.other.unwrap().thread, 0);
    assert_eq!(kind(at(0, 1).load_shared(&mut shared)), RACE);
    shared.block_barrier();
    at(0, 1).load_shared(&mut shared).unwrap();
    assert_eq!(kind(Lanes::at(2, |_| 6).by(0, 2, 3).only(1).store_shared(&mut shared)), RACE);
}

#[test]
fn atomics_against_plain_accesses() {
    let mut shared = shared();
    for warp in 0..4 {
        let old = Lanes::at(4, |_| 128).by(0, warp, 1).add_shared(&mut shared).unwrap();
        assert_eq!(old[31], 0x0505_0505 + 32 * u64::from(warp) + 31);
    }
    assert_eq!(kind(Lanes::at(4, |_| 128).by(0, 5, 1).load_shared(&mut shared)), RACE);
    assert_eq!(kind(Lanes::at(4, |_| 128).by(0, 5, 1).only(1).store_shared(&mut shared)), RACE);
    shared.block_barrier();
    Lanes::at(4, |_| 128).by(0, 5, 1).load_shared(&mut shared).unwrap();
    assert_eq!(kind(Lanes::at(4, |_| 128).by(0, 4, 1).add_shared(&mut shared)), RACE);
}

#[test]
fn a_barrier_of_some_warps_orders_those() {
    let mut shared = shared();
    at(0, 0).store_shared(&mut shared).unwrap();
    at(128, 1).store_shared(&mut shared).unwrap();
    shared.partial_barrier(&[0, 1]);
    at(128, 0).load_shared(&mut shared).unwrap();
    at(0, 1).load_shared(&mut shared).unwrap();
    assert_eq!(kind(at(0, 2).load_shared(&mut shared)), RACE);
    // What warp 1 knows, warp 2 learns from it.
    shared.partial_barrier(&[1, 2]);
    at(0, 2).load_shared(&mut shared).unwrap();
    assert_eq!(kind(at(128, 2).store_shared(&mut shared)), RACE, "warp 0 read it after its last barrier");
    assert_eq!(kind(at(0, 0).store_shared(&mut shared)), RACE, "warps 1 and 2 read it");
    shared.partial_barrier(&[0, 1, 2]);
    at(128, 2).store_shared(&mut shared).unwrap();
    shared.reset();
    assert_eq!(kind(at(0, 0).load_shared(&mut shared)), Some(AccessErrorKind::Uninitialised));
    at(0, 3).store_shared(&mut shared).unwrap();
    shared.bytes()[200] = 1;
    shared.mark_initialised(128, 128);
    assert_eq!(at(128, 0).load_shared(&mut shared).unwrap()[72], 1);
}

const IN_FLIGHT: Option<AccessErrorKind> = Some(AccessErrorKind::CopyInFlight);

fn copy(address: u64, warp: u32) -> Lanes {
    Lanes::at(16, |lane| address + lane * 16).by(5, warp, 20 + warp)
}

#[test]
fn a_copy_in_flight_is_untouched() {
    let mut shared = shared();
    copy(0, 1).begin_copy(&mut shared).unwrap();
    shared.block_barrier();
    let error = at(24, 1).load_shared(&mut shared).unwrap_err();
    let expected = AccessError {
        kind: AccessErrorKind::CopyInFlight,
        address: 24,
        bytes: 4,
        lane: Some(0),
        other: Some(Toucher { line: 21, block: [5, 0, 0], thread: 33, wrote: true }),
        detail: "no wait of that thread for its copy between".to_owned(),
    };
    assert_eq!(error, expected);
    // The lane is the first that touches the copy, in a piece or alone, to the byte.
    Lanes::at(8, |lane| 512 - 16 + 8 * lane).only(!3).store_shared(&mut shared).unwrap();
    let error = Lanes::at(8, |lane| 512 - 16 + 8 * lane).store_shared(&mut shared).unwrap_err();
    assert_eq!((error.kind, error.lane), (AccessErrorKind::CopyInFlight, Some(0)));
    shared.warp_barrier(0);
    let error = Lanes::at(4, |lane| 512 + 4 * lane - if lane < 30 { 0 } else { 256 }).load_shared(&mut shared);
    assert_eq!(error.unwrap_err().lane, Some(30));
    for lane in 0..32 {
        let one = Lanes::at(1, |_| 16 * lane + 5).by(5, 1, 3).only(1 << lane);
        assert_eq!(kind(one.load_shared(&mut shared)), IN_FLIGHT, "its own thread's");
        assert_eq!(kind(one.add_shared(&mut shared)), IN_FLIGHT);
    }
    assert_eq!(kind(copy(0, 1).begin_copy(&mut shared)), IN_FLIGHT);
    copy(0, 1).only(!1).end_copy(&mut shared).unwrap();
    assert_eq!(copy(0, 1).only(!1).load_shared(&mut shared).unwrap()[16..512], bytes_of_lanes(16)[16..512]);
    assert_eq!(kind(copy(0, 1).load_shared(&mut shared)), IN_FLIGHT, "lane 0 has not waited");
    assert_eq!(kind(at(16, 0).load_shared(&mut shared)), RACE, "a wait is no barrier");
    shared.block_barrier();
    at(16, 0).load_shared(&mut shared).unwrap();
    copy(0, 1).only(1).end_copy(&mut shared).unwrap();
    copy(0, 1).only(1).load_shared(&mut shared).unwrap();
}

#[test]
fn the_issue_of_a_copy_races() {
    for read in [true, false] {
        let mut shared = shared();
        if read {
            at(0, 0).load_shared(&mut shared).unwrap();
        } else {
            at(0, 0).store_shared(&mut shared).unwrap();
        }
        let error = copy(0, 1).begin_copy(&mut shared).unwrap_err();
        assert_eq!((kind::<()>(Err(error.clone())), error.lane), (RACE, Some(0)));
        assert_eq!(error.other, Some(Toucher { line: 10, block: [5, 0, 0], thread: 0, wrote: !read }));
        copy(128, 1).begin_copy(&mut shared).unwrap();
        let error = at(64, 1).load_shared(&mut shared).unwrap_err();
        assert_eq!((error.kind, error.lane), (AccessErrorKind::CopyInFlight, Some(16)));
        assert_eq!(error.other.unwrap().thread, 32);
        shared.reset();
        at(128, 0).store_shared(&mut shared).unwrap();
    }
    let behind = Lanes::at(16, |lane| 4096 - 16 + lane * 16).begin_copy(&mut shared()).unwrap_err();
    assert_eq!((behind.kind, behind.lane), (AccessErrorKind::OutOfBounds, Some(1)));
    // Without checks of races the bytes still move at the end.
    let mut plain = SharedMemory::new(512, true, false);
    copy(0, 0).begin_copy(&mut plain).unwrap();
    assert_eq!(kind(at(0, 0).load_shared(&mut plain)), Some(AccessErrorKind::Uninitialised));
    copy(0, 0).end_copy(&mut plain).unwrap();
    assert_eq!(at(0, 0).load_shared(&mut plain).unwrap()[..128], bytes_of_lanes(16)[..128]);
}
