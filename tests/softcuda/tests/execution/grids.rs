//! Cooperative grids.

use softcuda::check::{AccessErrorKind, FaultKind};
use softcuda::machine::{Launch, Options};

use crate::support::{Bench, schedules};

/// What nvcc makes of `cooperative_groups::grid_group::sync`, between a store and a load of another block's word.
const GRID_SYNC: &str = "
.version 7.8
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out, .param .u64 scratch)
{
    .reg .pred %p<8>;
    .reg .b32 %r<32>;
    .reg .b64 %rd<16>;
    ld.param.u64 %rd1, [out];
    ld.param.u64 %rd2, [scratch];
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %tid.x;
    mov.u32 %r4, %nctaid.x;
    mad.lo.u32 %r5, %r1, %r2, %r3;
    mul.wide.u32 %rd3, %r5, 4;
    add.s64 %rd4, %rd2, %rd3;
    st.global.u32 [%rd4], %r5;
    // grid.sync()
    mov.u32 %r6, %envreg2;
    cvt.u64.u32 %rd5, %r6;
    mov.u32 %r7, %envreg1;
    cvt.u64.u32 %rd6, %r7;
    shl.b64 %rd6, %rd6, 32;
    or.b64 %rd7, %rd6, %rd5;
    setp.ne.s64 %p1, %rd7, 0;
    @%p1 bra VALID;
    trap;
    VALID:
    barrier.sync 0;
    setp.ne.u32 %p2, %r3, 0;
    @%p2 bra WAITED;
    add.s64 %rd8, %rd7, 4;
    sub.u32 %r8, 0x80000001, %r4;
    setp.eq.u32 %p3, %r1, 0;
    selp.b32 %r9, %r8, 1, %p3;
    atom.release.gpu.global.add.u32 %r10, [%rd8], %r9;
    SPIN:
    ld.acquire.gpu.u32 %r11, [%rd8];
    xor.b32 %r12, %r11, %r10;
    setp.gt.s32 %p4, %r12, -1;
    @%p4 bra SPIN;
    WAITED:
    barrier.sync 0;
    // The word of the next block's thread.
    add.u32 %r13, %r5, %r2;
    mul.lo.u32 %r14, %r4, %r2;
    rem.u32 %r13, %r13, %r14;
    mul.wide.u32 %rd9, %r13, 4;
    add.s64 %rd10, %rd2, %rd9;
    ld.global.u32 %r15, [%rd10];
    add.s64 %rd11, %rd1, %rd3;
    st.global.u32 [%rd11], %r15;
    ret;
}";

/// `rounds` times: a block's word for its neighbour, a barrier, the neighbour's word, a barrier if `after`. The barrier
/// counts at `address`: of cooperative groups' or of the kernel's own.
fn rounds(rounds: u32, address: &str, before: bool, after: bool) -> String {
    let sync = |index: u32| {
        format!(
            "bar.sync 0;
             setp.ne.u32 %p1, %r3, 0;
             @%p1 bra WAITED{index};
             atom.add.release.gpu.u32 %r10, [%rd7], %r9;
             SPIN{index}:
             ld.acquire.gpu.u32 %r11, [%rd7];
             xor.b32 %r12, %r11, %r10;
             setp.gt.s32 %p2, %r12, -1;
             @%p2 bra SPIN{index};
             WAITED{index}:
             bar.sync 0;"
        )
    };
    let (before, after) = (if before { sync(0) } else { String::new() }, if after { sync(1) } else { String::new() });
    format!(
        ".version 7.8\n.target sm_80\n.address_size 64
         .global .align 8 .b32 own[2];
         .visible .entry k(.param .u64 out, .param .u64 scratch)
         {{
             .reg .pred %p<8>;
             .reg .b32 %r<32>;
             .reg .b64 %rd<16>;
             ld.param.u64 %rd1, [out];
             ld.param.u64 %rd2, [scratch];
             mov.u32 %r1, %ctaid.x;
             mov.u32 %r2, %ntid.x;
             mov.u32 %r3, %tid.x;
             mov.u32 %r4, %nctaid.x;
             mad.lo.u32 %r5, %r1, %r2, %r3;
             mul.wide.u32 %rd3, %r5, 4;
             add.s64 %rd4, %rd2, %rd3;
             add.s64 %rd11, %rd1, %rd3;
             add.u32 %r13, %r5, %r2;
             mul.lo.u32 %r14, %r4, %r2;
             rem.u32 %r13, %r13, %r14;
             mul.wide.u32 %rd9, %r13, 4;
             add.s64 %rd10, %rd2, %rd9;
             {address}
             sub.u32 %r8, 0x80000001, %r4;
             setp.eq.u32 %p3, %r1, 0;
             selp.b32 %r9, %r8, 1, %p3;
             mov.u32 %r20, 0;
             ROUND:
             add.u32 %r21, %r20, %r5;
             st.global.u32 [%rd4], %r21;
             {before}
             ld.global.u32 %r15, [%rd10];
             {after}
             add.u32 %r20, %r20, 1;
             setp.lt.u32 %p4, %r20, {rounds};
             @%p4 bra ROUND;
             st.global.u32 [%rd11], %r15;
             ret;
         }}"
    )
}

const WORKSPACE: &str =
    "mov.u32 %r6, %envreg2; mov.u32 %r7, %envreg1; mov.b64 %rd7, {%r6, %r7}; add.s64 %rd7, %rd7, 4;";
const OWN: &str = "mov.u64 %rd7, own; cvta.global.u64 %rd7, %rd7;";

#[test]
fn a_barrier_of_the_grid_orders_blocks() {
    for address in [WORKSPACE, OWN] {
        for options in schedules() {
            let bench = Bench::new(&rounds(3, address, true, true), options.clone());
            let found = launch(&bench, true, 4).unwrap_or_else(|kind| panic!("{options:?}: {kind:?}"));
            assert_eq!(found, (0..256).map(|i| (i + 64) % 256 + 2).collect::<Vec<_>>(), "{options:?}");
            for (before, after, count) in [(false, true, 2), (true, false, 2), (false, false, 1)] {
                let bench = Bench::new(&rounds(count, address, before, after), options.clone());
                let error = launch(&bench, true, 4).expect_err("blocks that are not ordered");
                assert!(
                    matches!(&error, FaultKind::Access(error) if error.kind == AccessErrorKind::GlobalRace),
                    "{options:?}: {error:?}"
                );
            }
        }
    }
}

/// However often blocks have met, what they do between is told apart.
#[test]
fn many_barriers_of_the_grid() {
    let options = Options { threads: 1, ..Options::default() };
    let bench = Bench::new(&rounds(600, WORKSPACE, true, true), options.clone());
    assert_eq!(launch(&bench, true, 3).map(|found| found[0]), Ok(64 + 599));
    // The last of many rounds lacks a barrier.
    let ptx = rounds(600, WORKSPACE, true, true).replace("ROUND:", "ROUND:\nsetp.eq.u32 %p5, %r20, 599;");
    let ptx = ptx.replace("st.global.u32 [%rd4], %r21;", "st.global.u32 [%rd4], %r21;\n@%p5 bra SKIP;");
    let ptx = ptx.replace("ld.global.u32 %r15", "SKIP:\nld.global.u32 %r15");
    let bench = Bench::new(&ptx, options);
    let error = launch(&bench, true, 3).expect_err("the last round races");
    assert!(matches!(&error, FaultKind::Access(error) if error.kind == AccessErrorKind::GlobalRace), "{error:?}");
}

fn launch(bench: &Bench, cooperative: bool, blocks: u32) -> Result<Vec<u32>, FaultKind> {
    let count = blocks as usize * 64;
    let (out, scratch) = (bench.zeros(count), bench.zeros(count));
    let parameters = [out.to_le_bytes(), scratch.to_le_bytes()].concat();
    let launch = Launch {
        kernel: "k",
        grid: [blocks, 1, 1],
        block: [64, 1, 1],
        shared: 0,
        parameters: &parameters,
        cooperative,
        shared_optin: None,
    };
    bench.launch_with(launch).map_err(|fault| fault.kind)?;
    Ok(bench.words(out, count))
}

#[test]
fn grid_sync() {
    let as_nvcc_writes_it = GRID_SYNC.replace("atom.release.gpu.global.add.u32", "atom.add.release.gpu.u32");
    assert_ne!(as_nvcc_writes_it, GRID_SYNC);
    for ptx in [GRID_SYNC, &as_nvcc_writes_it] {
        for options in schedules() {
            let bench = Bench::new(ptx, options.clone());
            let held = bench.machine.memory().allocated_bytes();
            let found = launch(&bench, true, 8).unwrap_or_else(|kind| panic!("{options:?}: {kind:?}"));
            assert_eq!(found, (0..512).map(|i| (i + 64) % 512).collect::<Vec<_>>(), "{options:?}");
            assert_eq!(bench.machine.memory().allocated_bytes(), held + 2 * 2048, "the workspace is freed");
        }
    }
}

#[test]
fn without_a_cooperative_launch_it_traps() {
    let bench = Bench::new(GRID_SYNC, Options { threads: 1, ..Options::default() });
    assert_eq!(launch(&bench, false, 8), Err(FaultKind::Trap));
}

#[test]
fn a_grid_that_does_not_fit() {
    let bench = Bench::new(GRID_SYNC, Options::default());
    let profile = bench.machine.profile();
    let fits = profile.occupancy(bench.module.kernel("k").unwrap(), 64, 0) * profile.multiprocessors;
    let refused = launch(&bench, true, fits + 1);
    assert!(matches!(refused, Err(FaultKind::Launch { code: 720, .. })), "{refused:?}");
}
