//! Atomics, asynchronous copies, matrices in shared memory, blocks on several host threads.

use softcuda::check::{AccessErrorKind, FaultKind};
use softcuda::machine::Options;

use crate::support::{Bench, access_error, fault, kernel, outputs};

#[test]
fn atomics_give_every_old_value_once() {
    let ptx = kernel(
        ".shared .align 8 .b8 s[16];",
        "setp.ne.u32 %p1, %r31, 0;
         mov.u64 %rd1, 0;
         @!%p1 st.shared.u64 [s], %rd1;
         @!%p1 st.shared.u64 [s+8], %rd1;
         bar.sync 0;
         atom.shared.add.u32 %r1, [s], 1;
         red.shared.max.u32 [s+4], %r31;
         mov.f32 %f1, 0f3E800000;
         red.shared.add.f32 [s+8], %f1;
         bar.sync 0;
         mul.wide.u32 %rd2, %r1, 4;
         add.s64 %rd3, %rd30, %rd2;
         atom.global.add.u32 %r2, [%rd3], 1;
         @%p1 ret;
         ld.shared.u32 %r3, [s+4];
         st.global.u32 [%rd30+1024], %r3;
         ld.shared.u32 %r3, [s+8];
         st.global.u32 [%rd30+1028], %r3;
         ret;",
    );
    let mut expected = vec![1; 256];
    expected.extend([255, 64.0_f32.to_bits()]);
    assert_eq!(outputs(&ptx, 256, &[0], 258), expected);
}

#[test]
fn atomic_operations() {
    for (op, ty, start, with, expected) in [
        ("add", "u32", 5, 7, 12),
        ("min", "s32", 5, -7_i32 as u32, -7_i32 as u32),
        ("max", "u32", 5, -7_i32 as u32, -7_i32 as u32),
        ("and", "b32", 12, 10, 8),
        ("or", "b32", 12, 10, 14),
        ("xor", "b32", 12, 10, 6),
        ("exch", "b32", 12, 10, 10),
        ("inc", "u32", 5, 5, 0),
        ("inc", "u32", 4, 5, 5),
        ("dec", "u32", 0, 9, 9),
        ("dec", "u32", 10, 9, 9),
        ("dec", "u32", 3, 9, 2),
        ("add", "f32", 1.5_f32.to_bits(), 2.25_f32.to_bits(), 3.75_f32.to_bits()),
        ("add", "f32", 1, 1, 0),
        ("add.noftz", "f16x2", 0x3c00_4000, 0x3c00_3c00, 0x4000_4200),
        ("cas", "b32", 12, 12, 99),
        ("cas", "b32", 12, 13, 12),
    ] {
        let value = if op == "cas" { "%r2, 99" } else { "%r2" };
        let ptx = kernel(
            "",
            &format!(
                "ld.global.u32 %r2, [%rd31+4];
                 atom.global.{op}.{ty} %r1, [%rd31], {value};
                 ld.global.u32 %r3, [%rd31];
                 st.global.u32 [%rd30], %r1;
                 st.global.u32 [%rd30+4], %r3;
                 ret;"
            ),
        );
        assert_eq!(outputs(&ptx, 1, &[start, with], 2), [start, expected], "{op}.{ty}");
    }
}

/// Copies happen when they are waited for, oldest groups first.
#[test]
fn asynchronous_copies() {
    let copy = |wait: &str| {
        kernel(
            ".shared .align 16 .b8 s[1024];",
            &format!(
                "mov.u32 %r1, s;
                 shl.b32 %r2, %r31, 4;
                 add.u32 %r2, %r1, %r2;
                 shl.b64 %rd1, %rd29, 2;
                 add.s64 %rd2, %rd31, %rd1;
                 cp.async.cg.shared.global [%r2], [%rd2], 16;
                 cp.async.commit_group;
                 cp.async.ca.shared.global [%r2+512], [%rd2], 8, 4;
                 cp.async.commit_group;
                 {wait}
                 ld.shared.v4.u32 {{%r3, %r4, %r5, %r6}}, [%r2];
                 add.u32 %r3, %r3, %r6;
                 st.global.u32 [%rd28], %r3;
                 cp.async.wait_all;
                 ld.shared.v2.u32 {{%r7, %r8}}, [%r2+512];
                 st.global.u32 [%rd28+128], %r7;
                 st.global.u32 [%rd28+256], %r8;
                 ret;"
            ),
        )
    };
    let input: Vec<u32> = (0..128).map(|i| i * 3 + 1).collect();
    let mut expected: Vec<u32> = (0..32).map(|i| input[4 * i] + input[4 * i + 3]).collect();
    expected.extend((0..32).map(|i| input[4 * i]));
    expected.extend([0; 32]);
    assert_eq!(outputs(&copy("cp.async.wait_group 1;"), 32, &input, 96), expected);
    assert_eq!(outputs(&copy("cp.async.wait_all;"), 32, &input, 96), expected);
    assert_eq!(access_error(&copy(""), 32), AccessErrorKind::CopyInFlight);
    assert_eq!(access_error(&copy("cp.async.wait_group 2;"), 32), AccessErrorKind::CopyInFlight);
    let forgotten = kernel(
        ".shared .align 16 .b8 s[1024];",
        "cp.async.ca.shared.global [s], [%rd31], 4;\ncp.async.commit_group;\nret;",
    );
    assert_eq!(fault(&forgotten, 1).kind, FaultKind::CopiesPending { groups: 1 });
}

/// A word handed from one warp to another through global memory, with a flag.
#[test]
fn flags_order_warps() {
    let handed = |set: &str, get: &str| {
        kernel(
            ".shared .align 4 .b8 s[4];\n.global .align 4 .b32 flag;",
            &format!(
                "mov.u32 %r1, 0;
                 setp.eq.u32 %p1, %r31, 0;
                 @%p1 st.shared.u32 [s], %r1;
                 bar.sync 0;
                 setp.eq.u32 %p2, %r31, 32;
                 mov.u32 %r2, 1;
                 mov.u32 %r3, 77;
                 @%p2 bra GET;
                 @!%p1 ret;
                 st.global.u32 [%rd30], %r3;
                 {set}
                 ret;
                 GET:
                 {get}
                 setp.eq.u32 %p3, %r4, 0;
                 @%p3 bra GET;
                 ld.global.u32 %r5, [%rd30];
                 st.global.u32 [%rd30+4], %r5;
                 ret;"
            ),
        )
    };
    let (release, acquire) = ("st.release.gpu.global.u32 [flag], %r2;", "ld.acquire.gpu.global.u32 %r4, [flag];");
    for (set, get) in [
        (release, acquire),
        ("st.volatile.global.u32 [flag], %r2;", "ld.volatile.global.u32 %r4, [flag];"),
        ("red.release.gpu.global.add.u32 [flag], 1;", "atom.acquire.gpu.global.add.u32 %r4, [flag], 0;"),
        ("atom.shared.exch.b32 %r6, [s], 1;", "atom.shared.or.b32 %r4, [s], 0;"),
    ] {
        assert_eq!(outputs(&handed(set, get), 64, &[0], 2), [77, 77], "{set}");
    }
    for (set, get) in [("st.global.u32 [flag], %r2;", acquire), (release, "ld.global.u32 %r4, [flag];")] {
        assert_eq!(access_error(&handed(set, get), 64), AccessErrorKind::GlobalRace, "{set}");
    }
    // A reduction's block learns nothing from it.
    let blind = handed("red.global.add.u32 [flag], 1;", "red.global.add.u32 [flag], 1; mov.u32 %r4, 1;");
    assert_eq!(access_error(&blind, 64), AccessErrorKind::GlobalRace);
}

/// Between the issue of a copy and its wait nobody touches the destination.
#[test]
fn copies_in_flight() {
    let copied = |before: &str, between: &str| {
        kernel(
            ".shared .align 16 .b8 s[512];",
            &format!(
                "mov.u32 %r1, s;
                 shl.b32 %r2, %r31, 2;
                 add.u32 %r2, %r1, %r2;
                 xor.b32 %r3, %r2, 4;
                 st.shared.u32 [%r2], %r31;
                 bar.sync 0;
                 {before}
                 cp.async.ca.shared.global [%r2], [%rd27], 4;
                 {between}
                 cp.async.wait_all;
                 bar.sync 0;
                 ld.shared.u32 %r4, [%r3];
                 st.global.u32 [%rd28], %r4;
                 ret;"
            ),
        )
    };
    let input: Vec<u32> = (0..64).map(|i| i * 5 + 1).collect();
    let expected: Vec<u32> = (0..64).map(|i| input[i ^ 1]).collect();
    assert_eq!(outputs(&copied("", ""), 64, &input, 64), expected);
    assert_eq!(outputs(&copied("ld.shared.u32 %r5, [%r2];", ""), 64, &input, 64), expected, "its own read before");
    for (before, between, first, second) in [
        ("", "ld.shared.u32 %r5, [%r2];", "ld.shared.u32 %r5", "cp.async.ca"),
        ("", "st.shared.u32 [%r2], %r31;", "st.shared.u32 [%r2]", "cp.async.ca"),
        ("", "atom.shared.add.u32 %r5, [%r2], 1;", "atom.shared", "cp.async.ca"),
        ("", "bar.sync 0; ld.shared.u32 %r5, [%r3];", "ld.shared.u32 %r5", "cp.async.ca"),
        ("", "cp.async.ca.shared.global [%r2], [%rd27], 4;", "cp.async.ca", "cp.async.ca"),
    ] {
        let fault = fault(&copied(before, between), 64);
        let FaultKind::Access(error) = &fault.kind else { panic!("{fault:?}") };
        assert_eq!(error.kind, AccessErrorKind::CopyInFlight, "{fault:?}");
        assert!(fault.text.contains(first), "{fault:?}");
        assert!(fault.other_text.as_ref().is_some_and(|text| text.contains(second)), "{fault:?}");
    }
    // A neighbour that reads before races with the issue, one that reads after meets the copy in flight.
    assert_eq!(access_error(&copied("ld.shared.u32 %r5, [%r3];", ""), 64), AccessErrorKind::SharedRace);
}

/// An 8 × 8 matrix of halves read both ways, and its product with itself on the tensor cores.
#[test]
fn matrices() {
    let ptx = kernel(
        ".shared .align 16 .b8 s[128];",
        "mov.u32 %r1, s;
         shl.b32 %r2, %r31, 2;
         add.u32 %r2, %r1, %r2;
         ld.global.u32 %r3, [%rd27];
         st.shared.u32 [%r2], %r3;
         bar.warp.sync 0xffffffff;
         and.b32 %r4, %r31, 7;
         shl.b32 %r4, %r4, 4;
         add.u32 %r4, %r1, %r4;
         ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r5}, [%r4];
         ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r6}, [%r4];
         st.global.u32 [%rd28], %r5;
         mov.u32 %r7, 0;
         mov.f32 %f1, 0f00000000;
         mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f2, %f3, %f4, %f5}, {%r5, %r7}, {%r6}, {%f1, %f1, %f1, %f1};
         shl.b64 %rd1, %rd29, 1;
         add.s64 %rd2, %rd30, %rd1;
         st.global.v2.f32 [%rd2+128], {%f2, %f3};
         ret;",
    );
    let at = |row: usize, column: usize| ((row * 5 + column * 3) % 7) as f32;
    let half = |value: f32| u32::from(half::f16::from_f32(value).to_bits());
    let input: Vec<u32> =
        (0..32).map(|lane| half(at(lane / 4, lane % 4 * 2)) | half(at(lane / 4, lane % 4 * 2 + 1)) << 16).collect();
    let mut expected = input.clone();
    for lane in 0..32 {
        for column in [lane % 4 * 2, lane % 4 * 2 + 1] {
            // B's fragment of the transposed matrix is the matrix itself.
            let sum: f32 = (0..8).map(|k| at(lane / 4, k) * at(k, column)).sum();
            expected.push(sum.to_bits());
        }
    }
    assert_eq!(outputs(&ptx, 32, &input, 96), expected);
}

/// Several host threads do what one does.
#[test]
fn blocks_on_several_threads() {
    let ptx = kernel(
        "",
        "mov.u32 %r1, %ctaid.x;
         mov.u32 %r2, %ntid.x;
         mad.lo.u32 %r3, %r1, %r2, %r31;
         mul.wide.u32 %rd1, %r3, 4;
         add.s64 %rd2, %rd30, %rd1;
         st.global.u32 [%rd2], %r3;
         red.global.add.u32 [%rd31], %r3;
         ret;",
    );
    let mut counters = Vec::new();
    for threads in [1, 2, 4] {
        let bench = Bench::new(&ptx, Options { threads, ..Options::default() });
        let (out, sum) = (bench.zeros(64 * 70), bench.zeros(1));
        counters.push(bench.launch("k", 64, 70, &[out, sum]).unwrap());
        assert_eq!(bench.words(out, 64 * 70), (0..64 * 70).collect::<Vec<_>>());
        assert_eq!(bench.words(sum, 1), [(0..64 * 70).sum::<u32>()]);
    }
    assert_eq!(counters[0], counters[1]);
    assert_eq!(counters[0], counters[2]);
}
