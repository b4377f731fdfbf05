//! Shuffles, votes, matches, reductions, and lanes that wait for each other.

use softcuda::check::FaultKind;

use crate::support::{fault, kernel, outputs};

/// `shfl` by its definition in the PTX ISA.
fn shuffled(mode: &str, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (amount, clamp, segment) = (b & 31, c & 31, c >> 8 & 31);
    let max = (lane & segment) | (clamp & !segment);
    let min = lane & segment;
    let (source, valid) = match mode {
        "up" => (lane as i32 - amount as i32, lane as i32 - amount as i32 >= max as i32),
        "down" => ((lane + amount) as i32, lane + amount <= max),
        "bfly" => ((lane ^ amount) as i32, lane ^ amount <= max),
        _ => ((min | amount & !segment) as i32, (min | amount & !segment) <= max),
    };
    (if valid { source as u32 } else { lane }, valid)
}

#[test]
fn shuffles_of_all_modes() {
    for mode in ["up", "down", "bfly", "idx"] {
        for segment in [0, 0b10000, 0b11000, 0b11100, 0b11110] {
            for amount in [0, 1, 2, 5, 16, 31] {
                let clamp = if mode == "up" { 0 } else { 31 };
                let c = segment << 8 | clamp;
                let ptx = kernel(
                    "",
                    &format!(
                        "mad.lo.u32 %r1, %r31, 7, 3;
                         shfl.sync.{mode}.b32 %r2|%p1, %r1, {amount}, {c}, 0xffffffff;
                         selp.u32 %r3, 0x10000, 0, %p1;
                         add.u32 %r2, %r2, %r3;
                         st.global.u32 [%rd28], %r2;
                         ret;"
                    ),
                );
                let expected: Vec<u32> = (0..64)
                    .map(|thread| {
                        let (source, valid) = shuffled(mode, thread % 32, amount, c);
                        (thread / 32 * 32 + source) * 7 + 3 + if valid { 0x10000 } else { 0 }
                    })
                    .collect();
                assert_eq!(outputs(&ptx, 64, &[0], 64), expected, "{mode} {amount} {c:#x}");
            }
        }
    }
}

/// Halves of a warp shuffle in different branches, with masks of their own.
#[test]
fn divergent_shuffles() {
    let ptx = kernel(
        "",
        "setp.lt.u32 %p1, %r31, 16;
         @%p1 bra LOW;
         shfl.sync.bfly.b32 %r1, %r31, 1, 31, 0xffff0000;
         bra JOIN;
         LOW:
         shfl.sync.idx.b32 %r1, %r31, 5, 31, 0x0000ffff;
         JOIN:
         st.global.u32 [%rd28], %r1;
         ret;",
    );
    assert_eq!(outputs(&ptx, 32, &[0], 32), (0..32).map(|i| if i < 16 { 5 } else { i ^ 1 }).collect::<Vec<_>>());
}

/// One instruction, two masks in one warp.
#[test]
fn two_masks_at_one_instruction() {
    let ptx = kernel(
        "",
        "setp.lt.u32 %p1, %r31, 12;
         selp.u32 %r1, 0xfff, 0xfffff000, %p1;
         redux.sync.add.u32 %r2, %r31, %r1;
         shfl.sync.down.b32 %r3, %r31, 0, 31, %r1;
         add.u32 %r2, %r2, %r3;
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    let low: u32 = (0..12).sum();
    let high: u32 = (12..32).sum();
    assert_eq!(outputs(&ptx, 32, &[0], 32), (0..32).map(|i| i + if i < 12 { low } else { high }).collect::<Vec<_>>());
}

/// Lanes arrive late: those that took a longer way are waited for.
#[test]
fn late_lanes_are_waited_for() {
    let ptx = kernel(
        "",
        "mov.u32 %r1, 0;
         LOOP:
         setp.ge.u32 %p1, %r1, %r31;
         @%p1 bra OUT;
         add.u32 %r1, %r1, 1;
         bra LOOP;
         OUT:
         mul.lo.u32 %r2, %r1, %r1;
         bar.warp.sync 0xffffffff;
         shfl.sync.bfly.b32 %r3, %r2, 31, 31, 0xffffffff;
         st.global.u32 [%rd28], %r3;
         ret;",
    );
    assert_eq!(outputs(&ptx, 32, &[0], 32), (0..32).map(|i| (31 - i) * (31 - i)).collect::<Vec<_>>());
}

/// `bar.warp.sync` of one warp at two instructions.
#[test]
fn warp_barriers_in_both_branches() {
    let ptx = kernel(
        ".shared .align 4 .b8 s[128];",
        "mov.u32 %r5, s;
         shl.b32 %r6, %r31, 2;
         add.u32 %r5, %r5, %r6;
         and.b32 %r1, %r31, 1;
         setp.eq.u32 %p1, %r1, 0;
         st.shared.u32 [%r5], %r31;
         @%p1 bra EVEN;
         bar.warp.sync 0xffffffff;
         ld.shared.u32 %r2, [%r5+-4];
         bra JOIN;
         EVEN:
         bar.warp.sync 0xffffffff;
         ld.shared.u32 %r2, [%r5+4];
         JOIN:
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    assert_eq!(outputs(&ptx, 32, &[0], 32), (0..32).map(|i| i ^ 1).collect::<Vec<_>>());
}

#[test]
fn votes() {
    let ptx = kernel(
        "",
        "setp.lt.u32 %p1, %r31, 40;
         and.b32 %r9, %r31, 1;
         setp.eq.u32 %p6, %r9, 1;
         vote.sync.ballot.b32 %r1, %p6, 0xffffffff;
         vote.sync.all.pred %p2, %p1, 0xffffffff;
         vote.sync.any.pred %p3, %p1, 0xffffffff;
         vote.sync.uni.pred %p4, %p1, 0xffffffff;
         vote.sync.any.pred %p5, !%p1, 0xffffffff;
         selp.u32 %r2, 1, 0, %p2;
         selp.u32 %r3, 2, 0, %p3;
         selp.u32 %r4, 4, 0, %p4;
         selp.u32 %r5, 8, 0, %p5;
         add.u32 %r2, %r2, %r3;
         add.u32 %r2, %r2, %r4;
         add.u32 %r2, %r2, %r5;
         xor.b32 %r2, %r2, %r1;
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    let flags = |thread: u32| match thread / 32 {
        0 => 1 + 2 + 4,
        1 => 2 + 8,
        _ => 4 + 8,
    };
    assert_eq!(outputs(&ptx, 96, &[0], 96), (0..96).map(|i| flags(i) ^ 0xaaaa_aaaa).collect::<Vec<_>>());
}

#[test]
fn matches() {
    let ptx = kernel(
        "",
        "rem.u32 %r1, %r31, 5;
         match.any.sync.b32 %r2, %r1, 0xffffffff;
         cvt.u64.u32 %rd1, %r1;
         match.all.sync.b64 %r3|%p1, %rd1, 0xffffffff;
         mov.u64 %rd2, 77;
         match.all.sync.b64 %r4|%p2, %rd2, 0xffffffff;
         xor.b32 %r2, %r2, %r3;
         selp.u32 %r5, 1, 0, %p1;
         selp.u32 %r6, 0, 1, %p2;
         or.b32 %r5, %r5, %r6;
         not.b32 %r4, %r4;
         or.b32 %r5, %r5, %r4;
         st.global.u32 [%rd28], %r2;
         st.global.u32 [%rd28+128], %r5;
         ret;",
    );
    let same = |lane: u32| (0..32).filter(|other| other % 5 == lane % 5).fold(0_u32, |mask, other| mask | 1 << other);
    let expected: Vec<u32> = (0..32).map(same).chain([0; 32]).collect();
    assert_eq!(outputs(&ptx, 32, &[0], 64), expected);
}

#[test]
fn reductions() {
    for (op, ty, expected) in [
        ("add", "u32", (0..32).map(|i| i * i - 100).sum::<i32>() as u32),
        ("min", "s32", -100_i32 as u32),
        ("max", "s32", 31 * 31 - 100),
        ("min", "u32", 0),
        ("max", "u32", -19_i32 as u32),
        ("and", "b32", (0..32).map(|i| i * i - 100).fold(-1, |a, b| a & b) as u32),
        ("or", "b32", (0..32).map(|i| i * i - 100).fold(0, |a, b| a | b) as u32),
        ("xor", "b32", (0..32).map(|i| i * i - 100).fold(0, |a, b| a ^ b) as u32),
    ] {
        let ptx = kernel(
            "",
            &format!(
                "mul.lo.u32 %r1, %r31, %r31;
                 sub.u32 %r1, %r1, 100;
                 redux.sync.{op}.{ty} %r2, %r1, 0xffffffff;
                 st.global.u32 [%rd28], %r2;
                 ret;"
            ),
        );
        assert_eq!(outputs(&ptx, 32, &[0], 32), [expected; 32], "{op}.{ty}");
    }
}

#[test]
fn lanes_that_ended_are_not_waited_for() {
    let ptx = kernel(
        "",
        "setp.ge.u32 %p1, %r31, 20;
         @%p1 bra END;
         vote.sync.ballot.b32 %r1, 1, 0xffffffff;
         st.global.u32 [%rd28], %r1;
         END:
         ret;",
    );
    let expected: Vec<u32> = (0..32).map(|i| if i < 20 { 0xfffff } else { 0 }).collect();
    assert_eq!(outputs(&ptx, 32, &[0], 32), expected);
}

#[test]
fn a_mask_that_is_never_complete() {
    let body = "setp.lt.u32 %p1, %r31, 4;
         @%p1 bra LOW;
         vote.sync.ballot.b32 %r1, 1, 0xffffffff;
         ret;
         LOW:
         vote.sync.ballot.b32 %r1, 1, 0xffffffff;
         ret;";
    let stop = fault(&kernel("", body), 32);
    assert!(matches!(stop.kind, FaultKind::UnsatisfiedMask { mask: u32::MAX, .. }), "{stop:?}");
    assert_eq!(stop.text, "vote.sync.ballot.b32 %r1, 1, 0xffffffff;");
}

#[test]
fn a_lane_that_its_mask_does_not_name() {
    let stop = fault(&kernel("", "vote.sync.ballot.b32 %r1, 1, 0x7fffffff;\nret;"), 32);
    assert!(matches!(stop.kind, FaultKind::UnsatisfiedMask { mask: 0x7fff_ffff, .. }), "{stop:?}");
    assert_eq!(stop.thread, [31, 0, 0]);
}

#[test]
fn a_shuffle_from_a_lane_that_takes_no_part() {
    let body = "setp.ge.u32 %p1, %r31, 30;
         @%p1 bra END;
         shfl.sync.idx.b32 %r1, %r31, 31, 31, 0x3fffffff;
         END:
         ret;";
    let stop = fault(&kernel("", body), 32);
    assert_eq!(stop.kind, FaultKind::ShuffleSource { lane: 0, source: 31 });
}

#[test]
fn special_registers() {
    let ptx = kernel(
        "",
        "mov.u32 %r1, %laneid;
         mov.u32 %r2, %warpid;
         mov.u32 %r3, %lanemask_lt;
         mov.u32 %r4, %lanemask_ge;
         mov.u32 %r5, %ntid.x;
         mov.u32 %r6, %lanemask_le;
         mov.u32 %r7, %lanemask_gt;
         mad.lo.u32 %r1, %r2, 32, %r1;
         sub.u32 %r1, %r1, %r31;
         xor.b32 %r3, %r3, %r4;
         not.b32 %r3, %r3;
         or.b32 %r1, %r1, %r3;
         xor.b32 %r6, %r6, %r7;
         not.b32 %r6, %r6;
         or.b32 %r1, %r1, %r6;
         sub.u32 %r5, %r5, 96;
         or.b32 %r1, %r1, %r5;
         mov.u32 %r8, %envreg1;
         or.b32 %r1, %r1, %r8;
         mov.u32 %r9, WARP_SZ;
         sub.u32 %r9, %r9, 32;
         or.b32 %r1, %r1, %r9;
         st.global.u32 [%rd28], %r1;
         ret;",
    );
    assert_eq!(outputs(&ptx, 96, &[0], 96), [0; 96]);
}
