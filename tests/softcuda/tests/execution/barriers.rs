//! Barriers of a block.

use softcuda::machine::Options;

use crate::support::{Bench, barrier_of, fault, kernel, outputs};

/// A tile through shared memory, turned around: the other warp's words are read.
#[test]
fn transposition() {
    let ptx = kernel(
        ".shared .align 4 .b8 tile[4096];",
        "mov.u32 %r1, tile;
         shl.b32 %r2, %r31, 2;
         add.u32 %r2, %r1, %r2;
         ld.global.u32 %r3, [%rd27];
         st.shared.u32 [%r2], %r3;
         bar.sync 0;
         and.b32 %r4, %r31, 31;
         shr.u32 %r5, %r31, 5;
         mad.lo.u32 %r6, %r4, 32, %r5;
         shl.b32 %r6, %r6, 2;
         add.u32 %r6, %r1, %r6;
         ld.shared.u32 %r7, [%r6];
         st.global.u32 [%rd28], %r7;
         ret;",
    );
    let input: Vec<u32> = (0..1024).map(|i| i * 31 + 7).collect();
    let expected: Vec<u32> = (0..1024).map(|i| input[i % 32 * 32 + i / 32]).collect();
    assert_eq!(outputs(&ptx, 1024, &input, 1024), expected);
}

/// A tree in shared memory; the loop's barrier is reached by all though half of the threads idle.
#[test]
fn reduction_in_a_tree() {
    let ptx = kernel(
        ".shared .align 4 .b8 s[1024];",
        "mov.u32 %r1, s;
         shl.b32 %r2, %r31, 2;
         add.u32 %r2, %r1, %r2;
         ld.global.u32 %r3, [%rd27];
         st.shared.u32 [%r2], %r3;
         mov.u32 %r4, 128;
         LOOP:
         bar.sync 0;
         setp.ge.u32 %p1, %r31, %r4;
         @%p1 bra SKIP;
         shl.b32 %r5, %r4, 2;
         add.u32 %r5, %r2, %r5;
         ld.shared.u32 %r6, [%r5];
         ld.shared.u32 %r7, [%r2];
         add.u32 %r7, %r7, %r6;
         st.shared.u32 [%r2], %r7;
         SKIP:
         shr.u32 %r4, %r4, 1;
         setp.ne.u32 %p2, %r4, 0;
         @%p2 bra LOOP;
         setp.ne.u32 %p3, %r31, 0;
         @%p3 ret;
         ld.shared.u32 %r8, [s];
         st.global.u32 [%rd30], %r8;
         ret;",
    );
    let input: Vec<u32> = (0..256).map(|i| i * i).collect();
    assert_eq!(outputs(&ptx, 256, &input, 1), [input.iter().sum::<u32>()]);
}

/// Two warps hand a value to two others through a named barrier, which the first do not wait at.
#[test]
fn producers_and_consumers() {
    let ptx = kernel(
        ".shared .align 4 .b8 s[256];",
        "mov.u32 %r1, s;
         and.b32 %r2, %r31, 63;
         shl.b32 %r2, %r2, 2;
         add.u32 %r2, %r1, %r2;
         setp.ge.u32 %p1, %r31, 64;
         @%p1 bra CONSUME;
         mul.lo.u32 %r3, %r31, 3;
         st.shared.u32 [%r2], %r3;
         barrier.arrive 5, 128;
         ret;
         CONSUME:
         barrier.sync 5, 128;
         ld.shared.u32 %r4, [%r2];
         st.global.u32 [%rd28+-256], %r4;
         ret;",
    );
    assert_eq!(outputs(&ptx, 128, &[0], 64), (0..64).map(|i| 3 * i).collect::<Vec<_>>());
}

#[test]
fn barriers_that_reduce() {
    let ptx = kernel(
        "",
        "rem.u32 %r1, %r31, 3;
         setp.eq.u32 %p1, %r1, 0;
         bar.red.popc.u32 %r2, 0, %p1;
         setp.lt.u32 %p2, %r31, 1000;
         bar.red.and.pred %p3, 0, %p2;
         bar.red.or.pred %p4, 0, !%p2;
         selp.u32 %r3, 1000, 0, %p3;
         selp.u32 %r4, 2000, 0, %p4;
         add.u32 %r2, %r2, %r3;
         add.u32 %r2, %r2, %r4;
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    assert_eq!(outputs(&ptx, 100, &[0], 100), [34 + 1000; 100]);
}

#[test]
fn threads_that_ended_count_as_arrived() {
    let ptx = kernel(
        "",
        "setp.ge.u32 %p1, %r31, 50;
         @%p1 ret;
         bar.sync 0;
         st.global.u32 [%rd28], 9;
         ret;",
    );
    let expected: Vec<u32> = (0..100).map(|i| if i < 50 { 9 } else { 0 }).collect();
    assert_eq!(outputs(&ptx, 100, &[0], 100), expected);
}

/// A warp may reach a barrier in parts; that is counted.
#[test]
fn divergent_arrival() {
    let ptx = kernel(
        "",
        "setp.lt.u32 %p1, %r31, 5;
         @%p1 bra LOW;
         barrier.sync 0;
         bra JOIN;
         LOW:
         barrier.sync 0;
         JOIN:
         st.global.u32 [%rd28], 1;
         ret;",
    );
    assert_eq!(outputs(&ptx, 64, &[0], 64), [1; 64]);
    let bench = Bench::new(&ptx, Options { threads: 1, ..Options::default() });
    let out = bench.zeros(64);
    let counters = bench.launch("k", 1, 64, &[out, out]).unwrap();
    assert_eq!((counters.block_barriers, counters.divergent_barriers), (1, 1));
}

#[test]
fn a_barrier_that_some_threads_never_reach() {
    // The others wait at another barrier.
    let body = "setp.lt.u32 %p1, %r31, 33;
         @%p1 bra LOW;
         bar.sync 1;
         ret;
         LOW:
         bar.sync 0;
         ret;";
    let stop = fault(&kernel("", body), 64);
    assert!(matches!(barrier_of(&stop), Some((0, 33, 64) | (1, 31, 64))), "{stop:?}");
}

#[test]
fn a_barrier_with_too_few_threads() {
    let stop = fault(&kernel("", "bar.sync 2, 96;\nret;"), 64);
    assert_eq!(barrier_of(&stop), Some((2, 64, 96)));
}
