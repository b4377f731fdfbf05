//! What is allocated where, and host copies.

use std::collections::HashSet;

use softcuda::memory::DEVICE_BASE;

use super::*;

#[test]
fn aligned_apart_and_fresh() {
    let memory = device();
    let mut end = DEVICE_BASE;
    for bytes in [1, 256, 4096, 4097, 0, 1 << 20] {
        let base = memory.allocate(bytes).unwrap();
        assert_eq!(base.trailing_zeros(), 8, "{base:#x}");
        assert!(base >= end + if end == DEVICE_BASE { 0 } else { 4096 });
        end = base + bytes;
        let mut content = vec![0; bytes as usize];
        memory.read(base, &mut content).unwrap();
        assert!(content.iter().all(|byte| *byte == 0xCD));
        assert_eq!(memory.allocation(base), Some((base, bytes)));
        if bytes > 0 {
            assert_eq!(memory.allocation(end - 1), Some((base, bytes)));
            assert_eq!(memory.allocation(end), None);
        }
    }
    assert_eq!(memory.allocated_bytes(), 1 + 256 + 4096 + 4097 + (1 << 20));
}

#[test]
fn the_limit_holds() {
    let memory = DeviceMemory::with_reserve(10_000, 1 << 30);
    let first = memory.allocate(6000).unwrap();
    assert_eq!(memory.allocate(4001), None);
    memory.allocate(4000).unwrap();
    assert_eq!(memory.allocate(1), None);
    memory.free(first).unwrap();
    assert_eq!(memory.allocated_bytes(), 4000);
    assert!(memory.allocate(6000).is_some());
    assert_eq!(DeviceMemory::with_reserve(1 << 40, 1 << 20).allocate(1 << 21), None);
    let large = DeviceMemory::new(80 << 30);
    assert!(large.allocate(1 << 20).is_some());
    assert_eq!(large.allocate(80 << 30), None);
}

#[test]
fn addresses_come_again_only_after_the_range_wraps() {
    let reserve = 1 << 20;
    let memory = DeviceMemory::with_reserve(1 << 30, reserve);
    let kept = filled(&memory, 100_000);
    let mut seen = HashSet::new();
    let mut wraps = 0;
    let mut previous = 0;
    for round in 0..200u64 {
        let bytes = 1 + round * 977 % 60_000;
        let base = memory.allocate(bytes).unwrap();
        if base < previous {
            wraps += 1;
            seen.clear();
        }
        previous = base;
        assert!(seen.insert(base), "{base:#x} twice");
        assert!(base + bytes + 4096 <= DEVICE_BASE + reserve);
        assert!(base >= kept + 100_000 + 4096 || base + bytes + 4096 <= kept);
        let mut content = vec![0; bytes as usize];
        memory.read(base, &mut content).unwrap();
        assert!(content.iter().all(|byte| *byte == 0xCD) && (!memory.initialised(base, 1)));
        memory.fill(base, &[1], bytes).unwrap();
        memory.free(base).unwrap();
        assert_eq!(kind(memory.write(base, &[1])), Some(AccessErrorKind::UseAfterFree));
    }
    assert!(wraps >= 3);
    let mut content = vec![0; 100_000];
    memory.read(kept, &mut content).unwrap();
    assert!(content.iter().all(|byte| *byte == 7));
}

#[test]
fn copies_and_fills_of_the_host() {
    let memory = device();
    let base = memory.allocate(10_001).unwrap();
    let content: Vec<u8> = (0..10_001u32).map(|index| ((index * 31) >> 3) as u8).collect();
    memory.write(base, &content).unwrap();
    let mut model = content.clone();
    for (to, from, bytes) in [(1, 0, 9000), (0, 3, 9990), (5000, 4999, 5001), (17, 17, 100), (7000, 2, 3001)] {
        memory.copy(base + to as u64, base + from as u64, bytes as u64).unwrap();
        model.copy_within(from..from + bytes, to);
        let mut now = vec![0; 10_001];
        memory.read(base, &mut now).unwrap();
        assert!(now == model, "{to} {from} {bytes}");
    }
    for (at, pattern, count) in [(3, &[9][..], 10), (6, &[1, 2], 5), (8, &[1, 2, 3, 4], 7), (2, &[5, 6], 0)] {
        memory.fill(base + at as u64, pattern, count).unwrap();
        let bytes = pattern.repeat(count as usize);
        model[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    let mut part = vec![0; 99];
    memory.read(base + 1, &mut part).unwrap();
    assert_eq!(part, model[1..100]);
    assert_eq!(kind(memory.fill(base + 2, &[1, 2, 3, 4], 1)), Some(AccessErrorKind::Misaligned));
    assert_eq!(kind(memory.write(base + 1, &content)), Some(AccessErrorKind::OutOfBounds));
    assert_eq!(kind(memory.copy(base, base + 1, 10_001)), Some(AccessErrorKind::OutOfBounds));
}
