//! Counts against closed forms.

use super::*;

fn sectors(lanes: Lanes) -> (u64, u64) {
    let memory = device();
    let base = filled(&memory, 1 << 16);
    let mut lanes = lanes;
    lanes.addresses.iter_mut().for_each(|address| *address += base);
    let mut counters = Counters::default();
    let global = GlobalAccess::new(&memory, true, true);
    global.load(&lanes.access(), &mut [0; 1024], &mut counters).unwrap();
    global.store(&lanes.access(), &[0; 1024], &mut counters).unwrap();
    assert_eq!(counters.global_read, counters.global_written);
    let traffic = counters.global_read;
    assert_eq!(traffic.requests, 1);
    assert_eq!(traffic.bytes, u64::from(lanes.mask.count_ones() * lanes.bytes));
    (traffic.sectors, traffic.ideal_sectors)
}

#[test]
fn strides_touch_more_sectors() {
    for stride in 1..=32 {
        let expected = if stride < 8 { (31 * 4 * stride + 4u64).div_ceil(32) } else { 32 };
        assert_eq!(sectors(Lanes::at(4, |lane| lane * 4 * stride)), (expected, 4), "stride {stride}");
    }
}

#[test]
fn adjacent_lanes_touch_the_ideal_number() {
    for bytes in [1, 2, 4, 8, 16, 32] {
        let expected = u64::from(bytes);
        assert_eq!(sectors(Lanes::at(bytes, |lane| lane * u64::from(bytes))), (expected, expected), "{bytes}");
        let shifted = Lanes::at(bytes, |lane| (lane + 1) * u64::from(bytes));
        let more = u64::from(bytes < 32);
        assert_eq!(sectors(shifted), (expected + more, expected), "{bytes}, misaligned");
        let half = Lanes::at(bytes, |lane| lane * u64::from(bytes)).only(0xffff_0000);
        assert_eq!(sectors(half), (expected.div_ceil(2), expected.div_ceil(2)), "{bytes}, half a warp");
    }
}

#[test]
fn shared_bytes_count_once() {
    assert_eq!(sectors(Lanes::at(4, |_| 64)), (1, 1));
    assert_eq!(sectors(Lanes::at(4, |lane| lane % 16 * 4)), (2, 2));
    assert_eq!(sectors(Lanes::at(4, |lane| (31 - lane) * 4)), (4, 4));
    assert_eq!(sectors(Lanes::at(4, |lane| lane / 16 * 4096 + lane % 16 * 4)), (4, 4));
    // A pair in two loads: every sector twice.
    assert_eq!(sectors(Lanes::at(4, |lane| lane * 8)), (8, 4));
}

#[test]
fn atomics_are_counted_by_lanes() {
    let memory = device();
    let base = filled(&memory, 4);
    let mut counters = Counters::default();
    let global = GlobalAccess::new(&memory, true, true);
    let lanes = Lanes::at(4, |_| base).only(0xff);
    global.atomic(&lanes.access(), &mut |_, _| None, &mut counters).unwrap();
    assert_eq!(counters, Counters { global_atomics: 8, ..Counters::default() });
}

fn wavefronts(lanes: Lanes) -> (u64, u64) {
    let mut shared = SharedMemory::new(1 << 17, false, true);
    let mut counters = Counters::default();
    shared.load(&lanes.access(), &mut [0; 1024], &mut counters).unwrap();
    assert_eq!(counters.shared.requests, 1);
    (counters.shared.wavefronts, counters.shared.ideal_wavefronts)
}

#[test]
fn strides_meet_in_banks() {
    for stride in 1..=64u64 {
        let conflicts = 1 << stride.trailing_zeros().min(5);
        assert_eq!(wavefronts(Lanes::at(4, |lane| lane * 4 * stride)), (conflicts, 1), "stride {stride}");
    }
}

#[test]
fn padding_a_tile_parts_the_banks() {
    assert_eq!(wavefronts(Lanes::at(4, |lane| lane * 32 * 4)), (32, 1), "a column of a 32 by 32 tile");
    assert_eq!(wavefronts(Lanes::at(4, |lane| lane * 33 * 4)), (1, 1), "a column of a 32 by 33 tile");
    assert_eq!(wavefronts(Lanes::at(8, |lane| lane * 33 * 8)), (2, 2), "the same of f64");
    assert_eq!(wavefronts(Lanes::at(8, |lane| lane * 32 * 8)), (32, 2), "the same of f64, not padded");
}

#[test]
fn wide_lanes_go_in_parts() {
    assert_eq!(wavefronts(Lanes::at(8, |lane| lane * 8)), (2, 2));
    assert_eq!(wavefronts(Lanes::at(16, |lane| lane * 16)), (4, 4));
    assert_eq!(wavefronts(Lanes::at(32, |lane| lane * 32)), (8, 8));
    assert_eq!(wavefronts(Lanes::at(16, |lane| lane * 16).only(0xff)), (1, 1));
    assert_eq!(wavefronts(Lanes::at(16, |lane| lane * 32)), (8, 4));
    assert_eq!(wavefronts(Lanes::at(16, |lane| lane * 16).only(0x0101_0101)), (4, 4));
}

#[test]
fn one_word_is_broadcast() {
    assert_eq!(wavefronts(Lanes::at(4, |_| 128)), (1, 1));
    assert_eq!(wavefronts(Lanes::at(1, |lane| lane)), (1, 1));
    assert_eq!(wavefronts(Lanes::at(2, |lane| lane * 2)), (1, 1));
    assert_eq!(wavefronts(Lanes::at(4, |lane| lane % 2 * 128)), (2, 1));
    assert_eq!(wavefronts(Lanes::at(16, |_| 128)), (4, 4));
}

#[test]
fn counters_add_up() {
    let memory = device();
    let base = filled(&memory, 4096);
    let global = GlobalAccess::new(&memory, true, true);
    let mut counters = Counters::default();
    global.load(&Lanes::at(4, |lane| base + lane * 4).access(), &mut [0; 1024], &mut counters).unwrap();
    let mut sum = counters.clone();
    sum += &counters;
    sum += counters;
    assert_eq!((sum.global_read.requests, sum.global_read.bytes, sum.global_read.sectors), (3, 384, 12));
    assert!(sum.to_json().contains("\"ideal_sectors\": 12"));
}
