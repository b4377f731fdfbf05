//! Instructions with arms of their own in the interpreter, at the edges of their operands, in whole and in part of a warp.

use crate::support::{kernel, outputs};

const EDGES: [u32; 16] = [
    0,
    1,
    2,
    31,
    32,
    33,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x3f80_0000,
    0xbf80_0001,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_1234,
    0x0000_8000,
    0x4b00_0001,
];

/// Every pair of edges: 256 threads, of which the last 56 are in part of a warp.
fn pairs() -> Vec<(u32, u32)> {
    EDGES.iter().flat_map(|&a| EDGES.iter().map(move |&b| (a, b))).collect()
}

/// Runs an instruction on %r1, %r2 (and %f1, %f2, %rd1, %rd2 from them) into %r3.
fn check(text: &str, expected: impl Fn(u32, u32) -> u32) {
    let ptx = kernel(
        "",
        &format!(
            "add.s64 %rd1, %rd27, %rd29;
             ld.global.v2.u32 {{%r1, %r2}}, [%rd1];
             mov.b32 %f1, %r1;
             mov.b32 %f2, %r2;
             cvt.s64.s32 %rd1, %r1;
             cvt.u64.u32 %rd2, %r2;
             mov.u32 %r3, 77;
             rem.u32 %r4, %r31, 5;
             setp.ne.u32 %p1, %r4, 0;
             setp.lt.u32 %p2, %r31, 200;
             or.pred %p1, %p1, %p2;
             @!%p1 bra SKIP;
             {text}
             SKIP:
             st.global.u32 [%rd28], %r3;
             ret;"
        ),
    );
    let input: Vec<u32> = pairs().into_iter().flat_map(|(a, b)| [a, b]).collect();
    let expected: Vec<u32> = pairs()
        .into_iter()
        .enumerate()
        .map(|(index, (a, b))| if index >= 200 && index % 5 == 0 { 77 } else { expected(a, b) })
        .collect();
    let found = outputs(&ptx, 256, &input, 256);
    for (index, (a, b)) in pairs().into_iter().enumerate() {
        assert_eq!(
            found[index], expected[index],
            "{text} of {a:#x}, {b:#x}: {:#x} {:#x}",
            found[index], expected[index]
        );
    }
}

#[test]
fn words() {
    check("add.u32 %r3, %r1, %r2;", u32::wrapping_add);
    check("sub.s32 %r3, %r1, %r2;", u32::wrapping_sub);
    check("mul.lo.u32 %r3, %r1, %r2;", u32::wrapping_mul);
    check("mul.hi.u32 %r3, %r1, %r2;", |a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32);
    check("mul.hi.s32 %r3, %r1, %r2;", |a, b| ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32);
    check("mad.lo.s32 %r3, %r1, %r2, 5;", |a, b| a.wrapping_mul(b).wrapping_add(5));
    check("and.b32 %r3, %r1, %r2;", |a, b| a & b);
    check("or.b32 %r3, %r1, %r2;", |a, b| a | b);
    check("xor.b32 %r3, %r1, %r2;", |a, b| a ^ b);
    check("not.b32 %r3, %r1;", |a, _| !a);
    check("neg.s32 %r3, %r1;", |a, _| a.wrapping_neg());
    check("abs.s32 %r3, %r1;", |a, _| (a as i32).unsigned_abs());
    check("shl.b32 %r3, %r1, %r2;", |a, b| a.checked_shl(b).unwrap_or(0));
    check("shr.u32 %r3, %r1, %r2;", |a, b| a.checked_shr(b).unwrap_or(0));
    check("shr.s32 %r3, %r1, %r2;", |a, b| (a as i32 >> b.min(31)) as u32);
    check("min.u32 %r3, %r1, %r2;", u32::min);
    check("max.s32 %r3, %r1, %r2;", |a, b| (a as i32).max(b as i32) as u32);
    check("popc.b32 %r3, %r1;", |a, _| a.count_ones());
    check("clz.b32 %r3, %r1;", |a, _| a.leading_zeros());
    check("brev.b32 %r3, %r1;", |a, _| a.reverse_bits());
    check("lop3.b32 %r3, %r1, %r2, 0x12345678, 0xca;", |a, b| a & b | !a & 0x1234_5678);
    check("lop3.b32 %r3, %r1, %r2, 0x12345678, 0x96;", |a, b| a ^ b ^ 0x1234_5678);
}

#[test]
fn doubles() {
    let wide = |a: u32| i64::from(a as i32) as u64;
    let low = |value: u64| value as u32 ^ (value >> 32) as u32;
    let fold = "mov.b64 {%r5, %r6}, %rd3;\nxor.b32 %r3, %r5, %r6;";
    check(&format!("add.s64 %rd3, %rd1, %rd2;\n{fold}"), |a, b| low(wide(a).wrapping_add(b.into())));
    check(&format!("sub.s64 %rd3, %rd1, %rd2;\n{fold}"), |a, b| low(wide(a).wrapping_sub(b.into())));
    check(&format!("mul.lo.s64 %rd3, %rd1, %rd2;\n{fold}"), |a, b| low(wide(a).wrapping_mul(b.into())));
    check(&format!("mul.wide.u32 %rd3, %r1, %r2;\n{fold}"), |a, b| low(u64::from(a) * u64::from(b)));
    check(&format!("mul.wide.s32 %rd3, %r1, %r2;\n{fold}"), |a, b| {
        low((i64::from(a as i32) * i64::from(b as i32)) as u64)
    });
    check(&format!("mad.wide.u32 %rd3, %r1, %r2, %rd1;\n{fold}"), |a, b| {
        low((u64::from(a) * u64::from(b)).wrapping_add(wide(a)))
    });
    check(&format!("shl.b64 %rd3, %rd1, %r2;\n{fold}"), |a, b| low(wide(a).checked_shl(b).unwrap_or(0)));
    check(&format!("shr.u64 %rd3, %rd1, %r2;\n{fold}"), |a, b| low(wide(a).checked_shr(b).unwrap_or(0)));
    check(&format!("shr.s64 %rd3, %rd1, %r2;\n{fold}"), |a, b| low((wide(a) as i64 >> b.min(63)) as u64));
    check(&format!("mul.hi.u64 %rd3, %rd1, %rd2;\n{fold}"), |a, b| {
        low(((u128::from(wide(a)) * u128::from(b)) >> 64) as u64)
    });
    // 64-bit sums of words with a carry.
    check("add.cc.u32 %r5, %r1, %r2;\naddc.u32 %r3, %r1, 0;", |a, b| {
        a.wrapping_add(u32::from(a.checked_add(b).is_none()))
    });
    check("sub.cc.u32 %r5, %r1, %r2;\nsubc.u32 %r3, %r1, 0;", |a, b| a.wrapping_sub(u32::from(a < b)));
    check("mad.lo.cc.u32 %r5, %r1, %r2, %r1;\nmadc.hi.u32 %r3, %r1, %r2, 0;", |a, b| {
        ((u64::from(a) * u64::from(b) + u64::from(a)) >> 32) as u32
    });
}

fn float(value: f32) -> u32 {
    if value.is_nan() { 0x7fff_ffff } else { value.to_bits() }
}

#[test]
fn floats() {
    let of = |f: fn(f32, f32) -> f32| move |a: u32, b: u32| float(f(f32::from_bits(a), f32::from_bits(b)));
    let result = "mov.b32 %r3, %f3;";
    check(&format!("add.rn.f32 %f3, %f1, %f2;\n{result}"), of(|a, b| a + b));
    check(&format!("sub.rn.f32 %f3, %f1, %f2;\n{result}"), of(|a, b| a - b));
    check(&format!("mul.rn.f32 %f3, %f1, %f2;\n{result}"), of(|a, b| a * b));
    check(&format!("div.rn.f32 %f3, %f1, %f2;\n{result}"), of(|a, b| a / b));
    check(&format!("fma.rn.f32 %f3, %f1, %f2, %f1;\n{result}"), of(|a, b| a.mul_add(b, a)));
    check(&format!("sqrt.rn.f32 %f3, %f1;\n{result}"), of(|a, _| a.sqrt()));
    check(&format!("rcp.rn.f32 %f3, %f1;\n{result}"), of(|a, _| 1.0 / a));
    check(&format!("neg.f32 %f3, %f1;\n{result}"), |a, _| a ^ 1 << 31);
    check(&format!("abs.f32 %f3, %f1;\n{result}"), |a, _| a & !(1 << 31));
    check(&format!("cvt.rn.f32.u32 %f3, %r1;\n{result}"), |a, _| float(a as f32));
    check(&format!("cvt.rn.f32.s32 %f3, %r1;\n{result}"), |a, _| float(a as i32 as f32));
    check("cvt.rn.bf16.f32 %h1, %f1;\ncvt.u32.u16 %r3, %h1;", |a, _| {
        let a = f32::from_bits(a);
        if a.is_nan() { 0x7fff } else { half::bf16::from_f32(a).to_bits().into() }
    });
    check("cvt.rn.f16.f32 %h1, %f1;\ncvt.u32.u16 %r3, %h1;", |a, _| {
        let a = f32::from_bits(a);
        if a.is_nan() { 0x7fff } else { half::f16::from_f32(a).to_bits().into() }
    });
}

#[test]
fn comparisons() {
    type Test = fn(f32, f32) -> bool;
    let floats: [(&str, Test); 14] = [
        ("eq", |a, b| a == b),
        ("ne", |a, b| a.partial_cmp(&b).is_some_and(|order| order.is_ne())),
        ("lt", |a, b| a < b),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
        ("equ", |a, b| a.is_nan() || b.is_nan() || a == b),
        ("neu", |a, b| a != b),
        ("ltu", |a, b| a.is_nan() || b.is_nan() || a < b),
        ("leu", |a, b| a.is_nan() || b.is_nan() || a <= b),
        ("gtu", |a, b| a.is_nan() || b.is_nan() || a > b),
        ("geu", |a, b| a.is_nan() || b.is_nan() || a >= b),
        ("num", |a, b| !a.is_nan() && !b.is_nan()),
        ("nan", |a, b| a.is_nan() || b.is_nan()),
    ];
    for (name, holds) in floats {
        check(&format!("setp.{name}.f32 %p3, %f1, %f2;\nselp.u32 %r3, 1, 2, %p3;"), |a, b| {
            if holds(f32::from_bits(a), f32::from_bits(b)) { 1 } else { 2 }
        });
    }
    for (name, ordering) in [("lt", 0), ("le", 1), ("gt", 2), ("ge", 3), ("eq", 4), ("ne", 5)] {
        let holds = |order: std::cmp::Ordering| {
            [order.is_lt(), order.is_le(), order.is_gt(), order.is_ge(), order.is_eq(), order.is_ne()][ordering]
        };
        check(&format!("setp.{name}.u32 %p3, %r1, %r2;\nselp.u32 %r3, 1, 2, %p3;"), |a, b| {
            if holds(a.cmp(&b)) { 1 } else { 2 }
        });
        check(&format!("setp.{name}.s32 %p3, %r1, %r2;\nselp.u32 %r3, 1, 2, %p3;"), |a, b| {
            if holds((a as i32).cmp(&(b as i32))) { 1 } else { 2 }
        });
        check(&format!("setp.{name}.s64 %p3, %rd1, %rd2;\nselp.u32 %r3, 1, 2, %p3;"), |a, b| {
            if holds(i64::from(a as i32).cmp(&i64::from(b))) { 1 } else { 2 }
        });
        check(&format!("setp.{name}.u64 %p3, %rd1, %rd2;\nselp.u32 %r3, 1, 2, %p3;"), |a, b| {
            if holds((i64::from(a as i32) as u64).cmp(&u64::from(b))) { 1 } else { 2 }
        });
    }
}
