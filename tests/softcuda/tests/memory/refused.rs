//! Every way to be refused, with all that is said.

use super::*;

#[test]
fn out_of_bounds_with_where() {
    let memory = device();
    let base = memory.allocate(4096).unwrap();
    let global = GlobalAccess::new(&memory, false, true);
    let error = Lanes::at(4, |lane| base + 4096 - 64 + lane * 4 + 8).load(&global).unwrap_err();
    let detail = format!("right behind the 4096-byte allocation at {base:#x}");
    let address = base + 4096;
    let expected = AccessError {
        kind: AccessErrorKind::OutOfBounds,
        address,
        bytes: 4,
        lane: Some(14),
        other: None,
        detail: detail.clone(),
    };
    assert_eq!(error, expected);
    let one = |address: u64| Lanes::at(8, |_| address).only(1 << 5).store(&global).unwrap_err();
    assert_eq!(one(base + 4104).detail, format!("8 bytes behind the 4096-byte allocation at {base:#x}"));
    assert_eq!(one(base - 16).detail, format!("16 bytes before the 4096-byte allocation at {base:#x}"));
    assert_eq!(one(base - 16).lane, Some(5));
    assert_eq!(one(0).detail, "a null pointer");
    assert_eq!(one(1 << 20).detail, "not an address of device memory");
    assert_eq!(one(u64::MAX - 7).kind, AccessErrorKind::OutOfBounds);
    let odd = memory.allocate(12).unwrap();
    let error = one(odd + 8);
    assert_eq!(error.detail, format!("4 of 8 bytes behind the 12-byte allocation at {odd:#x}"));
}

#[test]
fn use_after_free() {
    let memory = device();
    let base = memory.allocate(64).unwrap();
    memory.free(base).unwrap();
    let global = GlobalAccess::new(&memory, true, true);
    let error = Lanes::at(4, |lane| base + lane * 4).only(0xf0).store(&global).unwrap_err();
    let detail = format!("16 bytes into the 64-byte allocation at {base:#x}, freed");
    let kind = AccessErrorKind::UseAfterFree;
    assert_eq!(error, AccessError { kind, address: base + 16, bytes: 4, lane: Some(4), other: None, detail });
    assert_eq!(memory.read(base, &mut [0]).unwrap_err().kind, kind);
    assert_eq!(memory.free(base).unwrap_err().kind, kind);
    assert_eq!(memory.free(base + 4).unwrap_err().kind, AccessErrorKind::NotAnAllocation);
}

#[test]
fn misaligned() {
    let memory = device();
    let base = filled(&memory, 4096);
    let global = GlobalAccess::new(&memory, true, true);
    for bytes in [2, 4, 8, 16, 32] {
        let shift = u64::from(bytes) / 2;
        let error = Lanes::at(bytes, |lane| base + shift + lane * u64::from(bytes)).load(&global).unwrap_err();
        assert_eq!((error.kind, error.address, error.lane), (AccessErrorKind::Misaligned, base + shift, Some(0)));
    }
    let mut shared = SharedMemory::new(64, true, true);
    let error = Lanes::at(4, |_| 6).only(2).store_shared(&mut shared).unwrap_err();
    let expected = AccessError {
        kind: AccessErrorKind::Misaligned,
        address: 6,
        bytes: 4,
        lane: Some(1),
        other: None,
        detail: "not a multiple of 4".to_owned(),
    };
    assert_eq!(error, expected);
    let mut shared = SharedMemory::new(64, true, true);
    let error = Lanes::at(4, |lane| 4 * lane).load_shared(&mut shared).unwrap_err();
    assert_eq!((error.kind, error.lane), (AccessErrorKind::Uninitialised, Some(0)));
    let error = Lanes::at(4, |lane| 4 * lane).store_shared(&mut shared).unwrap_err();
    assert_eq!((error.kind, error.lane), (AccessErrorKind::OutOfBounds, Some(16)));
    assert_eq!(error.detail, "right behind the 64 bytes of shared memory");
}

#[test]
fn uninitialised_until_written() {
    let memory = device();
    let base = memory.allocate(4096).unwrap();
    let global = GlobalAccess::new(&memory, true, true);
    memory.write(base, &[1; 2048]).unwrap();
    memory.fill(base + 2048, &[1, 2], 512).unwrap();
    let at = |start: u64| Lanes::at(4, |lane| base + start + lane * 4);
    for start in (0..3072).step_by(128) {
        at(start).load(&global).unwrap();
    }
    let error = at(3008).load(&global).unwrap_err();
    let detail = format!("byte 0 of 4 was never written, 3072 bytes into the 4096-byte allocation at {base:#x}");
    let kind = AccessErrorKind::Uninitialised;
    assert_eq!(error, AccessError { kind, address: base + 3072, bytes: 4, lane: Some(16), other: None, detail });
    // One byte of a word.
    Lanes::at(1, |_| base + 3073).only(1).store(&global).unwrap();
    assert_eq!(at(3072).only(1).load(&global).unwrap_err().detail[..11], *"byte 0 of 4");
    Lanes::at(1, |lane| base + 3072 + lane).only(1).store(&global).unwrap();
    assert_eq!(at(3072).only(1).load(&global).unwrap_err().detail[..11], *"byte 2 of 4");
    at(3072).store(&global).unwrap();
    at(3008).load(&global).unwrap();
    // A copy takes it along, in both directions of an overlap.
    memory.copy(base + 100, base, 3000).unwrap();
    assert_eq!((memory.initialised(base, 3200), memory.initialised(base, 3201)), (true, false));
    let other = memory.allocate(4096).unwrap();
    memory.copy(other + 6, base + 3100, 200).unwrap();
    assert!(memory.initialised(other + 6, 100) && !memory.initialised(other + 6, 101));
    memory.fill(base + 3190, &[1], 110).unwrap();
    memory.copy(base + 3190, base + 3290, 20).unwrap();
    assert!(memory.initialised(base + 3190, 10) && !memory.initialised(base + 3200, 1));
    // Host reads do not ask.
    let mut bytes = [0; 4];
    memory.read(base + 4000, &mut bytes).unwrap();
    assert_eq!(bytes, [0xCD; 4]);
    let unchecked = GlobalAccess::new(&memory, false, true);
    assert_eq!(at(3900).load(&unchecked).unwrap()[..4], [0xCD; 4]);
}
