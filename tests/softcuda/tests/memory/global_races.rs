//! Races between blocks: told and not told.

use softcuda::check::Toucher;

use super::*;

const RACE: Option<AccessErrorKind> = Some(AccessErrorKind::GlobalRace);

fn with(test: impl FnOnce(&GlobalAccess<'_>, u64)) {
    let memory = device();
    let base = filled(&memory, 1 << 16);
    test(&GlobalAccess::new(&memory, true, true), base);
}

fn at(address: u64) -> Lanes {
    Lanes::at(4, |lane| address + lane * 4)
}

#[test]
fn both_accesses_are_told() {
    let memory = device();
    let base = filled(&memory, 4096);
    for (first, second) in [(0u64, 0u64), (256, 256), (4, 4), (60, 12), (0, 64), (4, 0)] {
        let global = GlobalAccess::new(&memory, true, true);
        at(base + first).by(3, 2, 11).store(&global).unwrap();
        at(base + second).by(3, 0, 12).load(&global).unwrap();
        let error = at(base + second).by(4, 1, 13).load(&global).unwrap_err();
        let lane = first.saturating_sub(second) / 4;
        let thread = 64 + (second + lane * 4 - first) as u32 / 4;
        let expected = AccessError {
            kind: AccessErrorKind::GlobalRace,
            address: base + second + lane * 4,
            bytes: 4,
            lane: Some(lane as u32),
            other: Some(Toucher { line: 11, block: [3, 0, 0], thread, wrote: true }),
            detail: memory.tell(base + second + lane * 4, 4),
        };
        assert_eq!(error, expected, "{first} {second}");
    }
    let global = GlobalAccess::new(&memory, true, true);
    let mut lanes = Lanes::at(16, |lane| base + lane * 16).by(9, 1, 5);
    lanes.place.block = [9, 8, 7];
    lanes.load(&global).unwrap();
    let error = at(base + 128).by(1, 0, 6).store(&global).unwrap_err();
    assert_eq!(error.other, Some(Toucher { line: 5, block: [9, 8, 7], thread: 40, wrote: false }));
}

#[test]
fn writes_of_two_blocks_in_any_order() {
    with(|global, base| {
        at(base).by(0, 0, 1).store(global).unwrap();
        assert_eq!(kind(at(base).by(1, 0, 1).store(global)), RACE);
        at(base + 4096).by(0, 0, 1).load(global).unwrap();
        at(base + 4096).by(1, 0, 1).load(global).unwrap();
        at(base + 4096).by(2, 0, 1).load(global).unwrap();
        for block in 0..3 {
            assert_eq!(kind(at(base + 4096).by(block, 0, 1).store(global)), RACE);
            assert_eq!(kind(at(base + 4160).by(block, 0, 1).only(2).store(global)), RACE);
            assert_eq!(kind(at(base + 4096).by(block, 0, 1).add_one(global)), RACE);
        }
    });
}

#[test]
fn what_is_no_race() {
    with(|global, base| {
        // One block's own accesses, any number of readers, neighbours down to single bytes.
        at(base).by(0, 0, 1).store(global).unwrap();
        at(base).by(0, 1, 1).load(global).unwrap();
        at(base + 4).by(0, 2, 1).store(global).unwrap();
        for block in 0..70 {
            Lanes::at(4, |_| base + 2048).by(block, 0, 1).load(global).unwrap();
            at(base + 2048).by(block, 0, 1).load(global).unwrap();
            at(base + 2052).by(block, 0, 1).load(global).unwrap();
            let mine = u64::from(block);
            Lanes::at(1, |lane| base + 4096 + mine * 33 + lane).by(block, 0, 1).store(global).unwrap();
            Lanes::at(2, |_| base + 8192 + mine * 2).by(block, 0, 1).store(global).unwrap();
            at(base + 16384 + mine * 124).only(!0 >> 1).by(block, 0, 1).store(global).unwrap();
            at(base + 16384 + mine * 124).only(!0 >> 1).by(block, 1, 1).load(global).unwrap();
        }
        for block in 0..70 {
            at(base + 32768).by(block, 0, 1).add_one(global).unwrap();
            Lanes::at(8, |_| base + 40960).by(block, 0, 1).add_one(global).unwrap();
        }
    });
}

#[test]
fn the_next_launch_and_a_grid_barrier_order() {
    let memory = device();
    let base = filled(&memory, 4096);
    let global = GlobalAccess::new(&memory, true, true);
    for block in 0..4 {
        at(base).by(block, 0, 1).store(&global).unwrap();
        at(base + 4 * u64::from(block)).by(block, 0, 1).load(&global).unwrap();
        global.grid_barrier();
    }
    at(base).by(5, 0, 1).store(&global).unwrap();
    let other = GlobalAccess::new(&memory, true, true);
    at(base).by(6, 0, 1).store(&other).unwrap();
    assert_eq!(kind(at(base).by(6, 0, 1).load(&global)), RACE);
    drop((other, global));
    at(base).by(7, 0, 1).store(&GlobalAccess::new(&memory, true, true)).unwrap();
}

#[test]
fn atomics_against_plain_accesses() {
    with(|global, base| {
        let one = |block: u32| Lanes::at(4, |_| base).only(1).by(block, 0, 1);
        let mut counters = Counters::default();
        let reduce = |block: u32, counters: &mut Counters| {
            global.reduce(&one(block).access(), &mut |_, old| Some(old + 1), counters)
        };
        reduce(0, &mut counters).unwrap();
        reduce(1, &mut counters).unwrap();
        for block in 0..3 {
            assert_eq!(kind(one(block).load(global)), RACE);
            assert_eq!(kind(one(block).store(global)), RACE);
            let strong = global.strong_load(&one(block + 10).access(), &mut [0; 1024], &mut counters);
            assert_eq!(kind(strong), None);
        }
    });
}

#[test]
fn the_last_block_may_read_what_all_wrote() {
    with(|global, base| {
        let ticket = || Lanes::at(4, |_| base + 8192).only(1);
        for block in 0..8 {
            at(base + 128 * u64::from(block)).by(block, 0, 1).store(global).unwrap();
            if block == 5 {
                assert_eq!(kind(at(base).by(block, 0, 2).load(global)), RACE, "before its ticket");
            }
            ticket().by(block, 0, 3).add_one(global).unwrap();
        }
        for block in 0..8 {
            at(base + 128 * block).by(7, 0, 4).load(global).unwrap();
        }
        ticket().by(7, 0, 5).store(global).unwrap();
        // The first block's ticket came before the others'.
        assert_eq!(kind(at(base + 128).by(0, 0, 6).load(global)), RACE);
    });
}

#[test]
fn a_flag_orders() {
    with(|global, base| {
        let flag = |block| Lanes::at(4, |_| base + 8192).only(1).by(block, 0, 1);
        let mut counters = Counters::default();
        at(base).by(0, 0, 1).store(global).unwrap();
        global.strong_store(&flag(0).access(), &[1; 1024], &mut counters).unwrap();
        at(base + 4096).by(0, 0, 1).store(global).unwrap();
        assert_eq!(kind(at(base).by(1, 0, 1).load(global)), RACE);
        let mut bytes = [0; 1024];
        global.strong_load(&flag(1).access(), &mut bytes, &mut counters).unwrap();
        assert_eq!(bytes[..4], [1; 4]);
        at(base).by(1, 0, 1).load(global).unwrap();
        assert_eq!(kind(at(base + 4096).by(1, 0, 1).load(global)), RACE);
    });
}
