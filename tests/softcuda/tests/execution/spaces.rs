//! State spaces, windows, widths, vectors, parameters.

use softcuda::check::{AccessErrorKind, FaultKind};
use softcuda::machine::{Launch, Options};

use crate::support::{Bench, access_error, fault, kernel, outputs};

#[test]
fn local_memory_is_each_threads_own() {
    let ptx = kernel(
        "",
        ".local .align 8 .b8 mine[64];
         mov.u64 %rd1, mine;
         and.b32 %r1, %r31, 7;
         mul.wide.u32 %rd2, %r1, 8;
         add.s64 %rd3, %rd1, %rd2;
         st.local.u32 [%rd3], %r31;
         mad.lo.u32 %r2, %r31, 5, 1;
         st.local.u32 [%rd3+4], %r2;
         cvta.local.u64 %rd4, %rd3;
         ld.v2.u32 {%r3, %r4}, [%rd4];
         add.u32 %r3, %r3, %r4;
         st.global.u32 [%rd28], %r3;
         ret;",
    );
    assert_eq!(outputs(&ptx, 64, &[0], 64), (0..64).map(|i| 6 * i + 1).collect::<Vec<_>>());
    let past = kernel("", ".local .align 8 .b8 mine[64];\nst.local.u32 [mine+64], %r31;\nret;");
    let past = softcuda::front::parse(&past).is_ok().then(|| fault(&past, 32));
    assert!(past.is_none_or(|past| matches!(past.kind, FaultKind::Access(_))));
}

#[test]
fn generic_addresses_of_every_space() {
    let ptx = kernel(
        ".shared .align 4 .b8 s[512];
         .const .align 4 .b8 c[8] = {1, 2, 3, 4, 5, 6, 7, 8};",
        ".local .align 4 .b8 l[4];
         mov.u64 %rd1, l;
         cvta.local.u64 %rd1, %rd1;
         mov.u64 %rd2, s;
         cvta.shared.u64 %rd2, %rd2;
         add.s64 %rd2, %rd2, %rd29;
         mov.u64 %rd3, c;
         cvta.const.u64 %rd3, %rd3;
         rem.u32 %r1, %r31, 4;
         setp.eq.u32 %p1, %r1, 0;
         setp.eq.u32 %p2, %r1, 1;
         setp.eq.u32 %p3, %r1, 2;
         add.u32 %r2, %r31, 50;
         st.u32 [%rd1], %r2;
         add.u32 %r2, %r31, 90;
         st.u32 [%rd2], %r2;
         selp.b64 %rd4, %rd1, %rd27, %p1;
         selp.b64 %rd4, %rd2, %rd4, %p2;
         selp.b64 %rd4, %rd3, %rd4, %p3;
         ld.u32 %r3, [%rd4];
         isspacep.shared %p4, %rd4;
         isspacep.local %p5, %rd4;
         isspacep.global %p6, %rd4;
         selp.u32 %r4, 1, 0, %p4;
         selp.u32 %r5, 2, 0, %p5;
         selp.u32 %r6, 4, 0, %p6;
         add.u32 %r4, %r4, %r5;
         add.u32 %r4, %r4, %r6;
         shl.b32 %r4, %r4, 28;
         add.u32 %r3, %r3, %r4;
         st.u32 [%rd28], %r3;
         ret;",
    );
    let input: Vec<u32> = (0..128).map(|i| 1000 + i).collect();
    let expected: Vec<u32> = (0..128_u32)
        .map(|i| match i % 4 {
            0 => i + 50 + (2 << 28),
            1 => i + 90 + (1 << 28),
            2 => 0x0403_0201 + (4 << 28),
            _ => 1000 + i + (4 << 28),
        })
        .collect();
    assert_eq!(outputs(&ptx, 128, &input, 128), expected);
}

#[test]
fn widths_and_signs_of_loads() {
    let ptx = kernel(
        "",
        "ld.global.s8 %r1, [%rd27];
         ld.global.u8 %r2, [%rd27+1];
         ld.global.s16 %r3, [%rd27+2];
         ld.global.u16 %h1, [%rd27+2];
         ld.global.s8 %h2, [%rd27+3];
         ld.global.s8 %rd1, [%rd27];
         cvt.u32.u16 %r4, %h1;
         cvt.s32.s16 %r5, %h2;
         shr.u64 %rd1, %rd1, 32;
         cvt.u32.u64 %r6, %rd1;
         shl.b64 %rd2, %rd29, 3;
         sub.s64 %rd2, %rd2, %rd29;
         add.s64 %rd2, %rd2, %rd28;
         st.global.u32 [%rd2], %r1;
         st.global.u32 [%rd2+4], %r2;
         st.global.u32 [%rd2+8], %r3;
         st.global.u32 [%rd2+12], %r4;
         st.global.u32 [%rd2+16], %r5;
         st.global.u32 [%rd2+20], %r6;
         st.global.u8 [%rd2+24], %r1;
         st.global.u16 [%rd2+26], %r3;
         ret;",
    );
    let input = [0x8001_7f80_u32, 0x7fff_ff01];
    let expected: Vec<u32> = input
        .iter()
        .flat_map(|word| {
            let b = word.to_le_bytes();
            let s8 = |byte: u8| byte as i8 as i32 as u32;
            let half = u16::from_le_bytes([b[2], b[3]]);
            let high = if b[0] >= 128 { u32::MAX } else { 0 };
            let mix = u32::from(b[0]) | u32::from(half) << 16;
            [s8(b[0]), b[1].into(), half as i16 as i32 as u32, half.into(), s8(b[3]), high, mix, 0]
        })
        .collect();
    assert_eq!(outputs(&ptx, 2, &input, 16), expected);
}

#[test]
fn vectors() {
    let ptx = kernel(
        "",
        "shl.b64 %rd1, %rd29, 2;
         add.s64 %rd2, %rd31, %rd1;
         add.s64 %rd3, %rd30, %rd1;
         ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd2];
         ld.global.v2.u64 {%rd4, %rd5}, [%rd2];
         ld.global.v4.u16 {%h1, _, %h3, %h4}, [%rd2];
         cvt.u32.u64 %r5, %rd5;
         sub.u32 %r5, %r5, %r3;
         cvt.u32.u16 %r6, %h3;
         and.b32 %r7, %r2, 0xffff;
         sub.u32 %r6, %r6, %r7;
         or.b32 %r5, %r5, %r6;
         or.b32 %r1, %r1, %r5;
         st.global.v4.u32 [%rd3], {%r4, %r3, %r2, %r1};
         ret;",
    );
    let input: Vec<u32> = (0..128).map(|i| i * 0x0101_0123).collect();
    let expected: Vec<u32> = input.chunks(4).flat_map(|chunk| chunk.iter().rev().copied()).collect();
    assert_eq!(outputs(&ptx, 32, &input, 128), expected);
}

#[test]
fn dynamic_shared_memory_stands_behind_the_static() {
    let ptx = kernel(
        ".shared .align 4 .b8 fixed[20];
         .extern .shared .align 16 .b8 dynamic[];",
        "mov.u32 %r1, dynamic;
         mov.u32 %r2, fixed;
         sub.u32 %r3, %r1, %r2;
         shl.b32 %r4, %r31, 2;
         add.u32 %r4, %r1, %r4;
         st.shared.u32 [%r4], %r31;
         st.global.u32 [%rd28], %r3;
         mov.u32 %r5, %dynamic_smem_size;
         st.global.u32 [%rd28+128], %r5;
         ret;",
    );
    let bench = Bench::new(&ptx, Options { threads: 1, ..Options::default() });
    assert_eq!(bench.module.kernel("k").unwrap().static_shared, 20);
    let out = bench.zeros(64);
    let parameters = [out.to_le_bytes(), out.to_le_bytes()].concat();
    let launch = |shared| Launch {
        kernel: "k",
        grid: [1; 3],
        block: [32, 1, 1],
        shared,
        parameters: &parameters,
        cooperative: false,
        shared_optin: None,
    };
    bench.launch_with(launch(128)).unwrap();
    assert_eq!(bench.words(out, 64), [[32; 32], [128; 32]].concat());
    let stop = bench.launch_with(launch(64)).unwrap_err();
    assert!(matches!(stop.kind, FaultKind::Access(error) if error.kind == AccessErrorKind::OutOfBounds));
}

#[test]
fn variables_hold_their_initial_values() {
    let ptx = kernel(
        ".global .align 4 .u32 table[4] = {3, 1, 4, 1};
         .global .align 8 .u64 pointer = table;
         .const .align 4 .f32 half = 0.5;",
        "ld.global.u64 %rd1, [pointer];
         rem.u32 %r1, %r31, 4;
         mul.wide.u32 %rd2, %r1, 4;
         add.s64 %rd1, %rd1, %rd2;
         ld.global.u32 %r2, [%rd1];
         ld.const.f32 %f1, [half];
         cvt.rn.f32.u32 %f2, %r2;
         mul.rn.f32 %f2, %f2, %f1;
         st.global.f32 [%rd28], %f2;
         ret;",
    );
    let expected: Vec<u32> = (0..8).map(|i| [1.5_f32, 0.5, 2.0, 0.5][i % 4].to_bits()).collect();
    assert_eq!(outputs(&ptx, 8, &[0], 8), expected);
    let bench = Bench::new(&ptx, Options::default());
    let (address, size) = bench.module.global("table").unwrap();
    assert_eq!((bench.words(address, 4), size), (vec![3, 1, 4, 1], 16));
    assert!(bench.module.global("k").is_none());
    let held = bench.machine.memory().allocated_bytes();
    assert!(held > 0);
    let Bench { machine, module } = bench;
    drop(module);
    assert_eq!(machine.memory().allocated_bytes(), 0);
}

#[test]
fn parameters_of_every_width() {
    let ptx = "
.version 7.8
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out, .param .u8 small, .param .align 8 .b8 record[24], .param .f64 wide, .param .s16 s)
{
    .reg .b16 %h<4>;
    .reg .b32 %r<8>;
    .reg .b64 %rd<8>;
    ld.param.u64 %rd1, [out];
    ld.param.u8 %h1, [small];
    ld.param.u32 %r1, [record+16];
    ld.param.v2.u32 {%r2, %r3}, [record+8];
    ld.param.u64 %rd2, [wide];
    ld.param.s16 %r4, [s];
    mov.b64 %rd3, record;
    ld.param.u32 %r5, [%rd3+20];
    cvt.u32.u16 %r6, %h1;
    st.global.u32 [%rd1], %r6;
    st.global.u32 [%rd1+4], %r1;
    st.global.v2.u32 [%rd1+8], {%r2, %r3};
    st.global.u64 [%rd1+16], %rd2;
    st.global.u32 [%rd1+24], %r4;
    st.global.u32 [%rd1+28], %r5;
    ret;
}";
    let bench = Bench::new(ptx, Options::default());
    let info = bench.module.kernel("k").unwrap();
    assert_eq!(info.parameters, [(0, 8), (8, 1), (16, 24), (40, 8), (48, 2)]);
    assert_eq!(info.parameter_bytes, 50);
    let out = bench.zeros(8);
    let mut parameters = vec![0; 50];
    parameters[..8].copy_from_slice(&out.to_le_bytes());
    parameters[8] = 200;
    for (index, byte) in parameters[16..40].iter_mut().enumerate() {
        *byte = index as u8;
    }
    parameters[40..48].copy_from_slice(&1.5_f64.to_le_bytes());
    parameters[48..].copy_from_slice(&(-3_i16).to_le_bytes());
    let launch = Launch {
        kernel: "k",
        grid: [1; 3],
        block: [1; 3],
        shared: 0,
        parameters: &parameters,
        cooperative: false,
        shared_optin: None,
    };
    bench.launch_with(launch).unwrap();
    let wide = 1.5_f64.to_bits();
    let expected =
        [200, 0x1312_1110, 0x0b0a_0908, 0x0f0e_0d0c, wide as u32, (wide >> 32) as u32, -3_i32 as u32, 0x1716_1514];
    assert_eq!(bench.words(out, 8), expected);
}

#[test]
fn accesses_that_are_refused() {
    let wild = kernel("", "mov.u64 %rd1, 64;\nld.global.u32 %r1, [%rd1];\nret;");
    assert_eq!(access_error(&wild, 32), AccessErrorKind::OutOfBounds);
    let crooked = kernel("", "ld.global.u32 %r1, [%rd31+2];\nret;");
    assert_eq!(access_error(&crooked, 32), AccessErrorKind::Misaligned);
    let race = kernel(".shared .align 4 .b8 s[4];", "st.shared.u32 [s], %r31;\nret;");
    assert_eq!(access_error(&race, 64), AccessErrorKind::SharedRace);
    let unwritten = kernel(".shared .align 4 .b8 s[4];", "ld.shared.u32 %r1, [s];\nret;");
    assert_eq!(access_error(&unwritten, 32), AccessErrorKind::Uninitialised);
}

/// A quad register through memory and apart.
#[test]
fn registers_of_128_bits() {
    let ptx = kernel(
        "",
        ".reg .b128 %q<2>;
         shl.b64 %rd1, %rd29, 2;
         add.s64 %rd2, %rd31, %rd1;
         add.s64 %rd3, %rd30, %rd1;
         ld.global.b128 %q0, [%rd2];
         mov.b128 {%rd4, %rd5}, %q0;
         mov.b128 %q1, {%rd5, %rd4};
         st.global.b128 [%rd3], %q1;
         ret;",
    );
    let input: Vec<u32> = (0..16).collect();
    if softcuda::front::parse(&ptx).is_err() {
        return;
    }
    let expected: Vec<u32> = input.chunks(4).flat_map(|chunk| [chunk[2], chunk[3], chunk[0], chunk[1]]).collect();
    assert_eq!(outputs(&ptx, 4, &input, 16), expected);
}
