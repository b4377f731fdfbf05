//! Branches, loops and early ends, lane by lane different.

use softcuda::check::FaultKind;
use softcuda::machine::Options;

use crate::support::{Bench, fault, kernel, outputs, schedules};

#[test]
fn nested_branches() {
    let ptx = kernel(
        "",
        "mov.u32 %r1, 0;
         and.b32 %r2, %r31, 1;
         setp.eq.u32 %p1, %r2, 0;
         @%p1 bra EVEN;
         setp.gt.u32 %p2, %r31, 10;
         @%p2 bra HIGH;
         mov.u32 %r1, 100;
         bra JOIN;
         HIGH:
         mov.u32 %r1, 200;
         bra JOIN;
         EVEN:
         setp.lt.u32 %p2, %r31, 20;
         @!%p2 bra JOIN;
         mov.u32 %r1, 300;
         JOIN:
         add.u32 %r1, %r1, %r31;
         st.global.u32 [%rd28], %r1;
         ret;",
    );
    let expected: Vec<u32> = (0..64)
        .map(|i| {
            i + match i {
                _ if i % 2 == 1 => {
                    if i > 10 {
                        200
                    } else {
                        100
                    }
                }
                _ if i < 20 => 300,
                _ => 0,
            }
        })
        .collect();
    assert_eq!(outputs(&ptx, 64, &[0], 64), expected);
}

/// The Collatz length of every thread's number: loops of different lengths.
#[test]
fn loops_of_different_lengths() {
    let ptx = kernel(
        "",
        "add.u32 %r1, %r31, 1;
         mov.u32 %r2, 0;
         LOOP:
         setp.eq.u32 %p1, %r1, 1;
         @%p1 bra DONE;
         and.b32 %r3, %r1, 1;
         setp.eq.u32 %p2, %r3, 0;
         @%p2 bra HALF;
         mad.lo.u32 %r1, %r1, 3, 1;
         bra NEXT;
         HALF:
         shr.u32 %r1, %r1, 1;
         NEXT:
         add.u32 %r2, %r2, 1;
         bra LOOP;
         DONE:
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    let length = |mut n: u32| {
        let mut steps = 0;
        while n != 1 {
            n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
        steps
    };
    assert_eq!(outputs(&ptx, 100, &[0], 100), (1..=100).map(length).collect::<Vec<_>>());
}

/// Reconvergence: after a divergent branch the warp is one again, and counted so.
#[test]
fn branches_are_counted() {
    let ptx = kernel(
        "",
        "setp.lt.u32 %p1, %r31, 7;
         @%p1 bra LOW;
         mov.u32 %r1, 1;
         bra JOIN;
         LOW:
         mov.u32 %r1, 2;
         JOIN:
         st.global.u32 [%rd28], %r1;
         ret;",
    );
    let bench = Bench::new(&ptx, Options { threads: 1, ..Options::default() });
    let out = bench.zeros(32);
    let counters = bench.launch("k", 1, 32, &[out, out]).unwrap();
    assert_eq!(counters.divergent_branches, 1);
    assert_eq!(counters.warp_instructions.global, 1, "the store is one instruction of the whole warp");
    assert_eq!(counters.thread_instructions.global, 32);
    assert_eq!((counters.blocks, counters.warps, counters.launches), (1, 1, 1));
    // A guarded instruction counts the lanes whose guard holds.
    assert_eq!(counters.warp_instructions.moves, 3);
    assert_eq!(counters.thread_instructions.moves, 64);
    assert_eq!(counters.thread_instructions.control, 7 + 25 + 32);
}

#[test]
fn early_exits_and_guarded_instructions() {
    let ptx = kernel(
        "",
        "setp.ge.u32 %p1, %r31, 40;
         @%p1 ret;
         setp.eq.u32 %p2, %r31, 3;
         @%p2 exit;
         and.b32 %r1, %r31, 3;
         setp.eq.u32 %p3, %r1, 0;
         mov.u32 %r2, 5;
         @%p3 mov.u32 %r2, 6;
         @!%p3 add.u32 %r2, %r2, %r31;
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    let expected: Vec<u32> = (0..64)
        .map(|i| match i {
            3 | 40.. => 0,
            _ if i % 4 == 0 => 6,
            _ => 5 + i,
        })
        .collect();
    assert_eq!(outputs(&ptx, 64, &[0], 64), expected);
}

#[test]
fn indexed_branches() {
    let ptx = kernel(
        "",
        "rem.u32 %r1, %r31, 3;
         ts: .branchtargets A, B, C;
         brx.idx %r1, ts;
         A: mov.u32 %r2, 10; bra JOIN;
         B: mov.u32 %r2, 20; bra JOIN;
         C: mov.u32 %r2, 30;
         JOIN:
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    assert_eq!(outputs(&ptx, 40, &[0], 40), (0..40).map(|i| 10 * (i % 3 + 1)).collect::<Vec<_>>());
}

/// A comparison may write the predicate that guards it, and one that it reads.
#[test]
fn setp_over_its_own_operands() {
    let ptx = kernel(
        "",
        "setp.lt.u32 %p1, %r31, 16;
         setp.lt.u32 %p2, %r31, 8;
         @%p1 setp.ge.and.u32 %p2|%p1, %r31, 4, %p2;
         selp.u32 %r1, 1, 0, %p1;
         selp.u32 %r2, 2, 0, %p2;
         add.u32 %r1, %r1, %r2;
         st.global.u32 [%rd28], %r1;
         ret;",
    );
    let expected: Vec<u32> = (0..32)
        .map(|i| {
            let (mut p1, mut p2) = (i < 16, i < 8);
            if p1 {
                (p2, p1) = (i >= 4 && p2, i < 4 && p2);
            }
            u32::from(p1) + 2 * u32::from(p2)
        })
        .collect();
    assert_eq!(outputs(&ptx, 32, &[0], 32), expected);
}

/// Every lane takes a lock that one holds at a time: the holder must run while the others spin.
#[test]
fn spin_lock_in_a_warp() {
    let ptx = kernel(
        "",
        "SPIN:
         atom.global.cas.b32 %r1, [%rd31], 0, 1;
         setp.ne.u32 %p1, %r1, 0;
         @%p1 bra SPIN;
         atom.global.add.u32 %r2, [%rd30], 0;
         add.u32 %r2, %r2, 1;
         atom.global.exch.b32 %r3, [%rd30], %r2;
         membar.gl;
         atom.global.exch.b32 %r3, [%rd31], 0;
         ret;",
    );
    for options in schedules() {
        let bench = Bench::new(&ptx, options.clone());
        let (out, lock) = (bench.zeros(1), bench.zeros(1));
        bench.launch("k", 3, 96, &[out, lock]).unwrap_or_else(|fault| panic!("{options:?}: {fault:?}"));
        assert_eq!(bench.words(out, 1), [3 * 96], "{options:?}");
    }
}

#[test]
fn endless_loops_end() {
    let stop = fault(&kernel("", "LOOP: bra LOOP;"), 32);
    assert!(matches!(stop.kind, FaultKind::TooLong { .. }), "{stop:?}");
    assert_eq!(stop.text, "LOOP: bra LOOP;");
}

/// A block that waits for what another one would have done, had it not stopped, ends with it.
#[test]
fn a_block_that_waits_for_one_that_stopped_ends() {
    let ptx = kernel(
        "",
        "mov.u32 %r1, %ctaid.x;
         setp.ne.u32 %p1, %r1, 0;
         @%p1 bra SPIN;
         WAIT:
         ld.acquire.gpu.global.u32 %r2, [%rd30];
         setp.eq.u32 %p2, %r2, 0;
         @%p2 bra WAIT;
         trap;
         SPIN:
         mov.u32 %r3, 1;
         st.release.gpu.global.u32 [%rd30], %r3;
         LOOP:
         ld.acquire.gpu.global.u32 %r2, [%rd31];
         setp.eq.u32 %p2, %r2, 0;
         @%p2 bra LOOP;
         ret;",
    );
    let (ended, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Block 0 stops only when block 1 has begun to wait for it, which alone would take hours to end.
        let bench = Bench::new(&ptx, Options { threads: 2, instruction_limit: 1 << 40, ..Options::default() });
        let (begun, never) = (bench.zeros(1), bench.zeros(1));
        ended.send(bench.launch("k", 2, 1, &[begun, never]).map(drop)).unwrap();
    });
    let stop = wait.recv_timeout(std::time::Duration::from_secs(60)).expect("an end").unwrap_err();
    assert_eq!((stop.kind, stop.block), (FaultKind::Trap, [0, 0, 0]));
}

#[test]
fn trap_names_its_thread() {
    let stop = fault(&kernel("", "setp.ne.u32 %p1, %r31, 37;\n@%p1 ret;\ntrap;"), 64);
    assert_eq!((stop.kind, stop.text.as_str(), stop.thread), (FaultKind::Trap, "trap;", [37, 0, 0]));
}

#[test]
fn division_by_zero_is_a_fault() {
    let stop = fault(&kernel("", "mov.u32 %r1, 0;\ndiv.u32 %r2, %r31, %r1;\nret;"), 32);
    assert_eq!(stop.kind, FaultKind::DivisionByZero);
}
