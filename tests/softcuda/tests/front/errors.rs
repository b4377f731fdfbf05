//! What is refused, and how.

use crate::support::{HEAD, load, message};

#[test]
fn messages_name_the_line_and_its_text() {
    let ptx = format!("{HEAD}.entry k() {{\n  .reg .b32 %r<2>;\n\n    frob.u32 %r0, %r1; // comment\n}}\n");
    let error = load(&ptx).unwrap_err();
    assert_eq!(error.line, 7);
    assert_eq!(error.to_string(), "line 7: unknown instruction `frob`: frob.u32 %r0, %r1; // comment");
}

#[test]
fn instructions() {
    let table = [
        ("frob.u32 %r0, %r1;", "unknown instruction `frob`"),
        ("add.frob.u32 %r0, %r1, %r2;", "unknown modifier `.frob` of `add`"),
        ("add.rn.u32 %r0, %r1, %r2;", "`add.rn.u32` is no form of `add`"),
        ("add.ftz.rn.f32 %f0, %f1, %f2;", "`add.ftz.rn.f32` is no form of `add`"),
        ("add %r0, %r1, %r2;", "`add` is no form of `add`"),
        ("fma.f32 %f0, %f1, %f2, %f3;", "`fma.f32` is no form of `fma`"),
        ("shfl.idx.b32 %r0, %r1, %r2, %r3;", "`shfl.idx.b32` is no form of `shfl`"),
        ("wmma.load.a.sync.aligned.m16n16k16.row.f16 {%r0}, [%d1];", "unknown instruction `wmma`"),
        ("st.const.u32 [fixed], %r0;", "unknown modifier `.const` of `st`"),
        ("add.u32 %r0, %r1, %r2", "expected `;`, found `}`"),
        ("add.u32 %r0, %r1;", "expected `,`, found `;`"),
        ("add.u32 %r0, %r1, %r2, %r3;", "expected `;`, found `,`"),
        ("add.u32 %r0 %r1, %r2;", "expected `,`, found `%r1`"),
        ("add.u32 ;", "expected a register, found `;`"),
        (".frob;", "unknown directive `.frob` in a body"),
        ("%r1;", "unknown instruction `%r1`"),
        ("123;", "expected an instruction, found `123`"),
        ("#;", "an unexpected character '#'"),
        ("add.u32 %r0, %r1, 12q;", "a malformed number"),
        (".b32 . %r0;", "a `.` without a name"),
    ];
    for (line, expected) in table {
        // The end of a body is on the next line.
        if expected.ends_with("found `}`") {
            assert_eq!(crate::support::body(line).unwrap_err().message, expected);
        } else {
            assert_eq!(message(line), expected, "{line}");
        }
    }
}

#[test]
fn names() {
    let table = [
        ("add.u32 %r0, %r1, %r9;", "undeclared register `%r9`"),
        ("add.u32 %r09, %r1, %r2;", "undeclared register `%r09`"),
        ("add.u32 %r0, %r1, nothing;", "undeclared name `nothing`"),
        ("add.u32 %tid.x, %r1, %r2;", "`%tid` cannot be written"),
        ("mov.u32 %r1, %tid;", "expected `.x`, `.y` or `.z`, found `;`"),
        ("mov.u32 %r1, %tid.w;", "expected `.x`, `.y` or `.z`, found `.w`"),
        ("mov.u32 table, %r1;", "undeclared register `table`"),
        ("mov.u32 tile, %r1;", "`tile` is not a register"),
        ("bra nowhere;", "undeclared label `nowhere`"),
        ("bra tile;", "`tile` is not a label"),
        ("brx.idx %r1, tile;", "`tile` is no `.branchtargets` table"),
        ("call nothing;", "undeclared function `nothing`"),
        ("call table;", "`table` is not a function"),
        ("call (%r1), %d1, (%r2);", "indirect calls are not supported"),
        ("call kernel, (%d1, %d2);", "`kernel` is a kernel and cannot be called"),
        (".reg .b32 %r<4>;", "`%r` is declared twice"),
        (".reg .b32 %r7;", "`%r7` is declared twice"),
        (".reg .b32 tile;", "`tile` is declared twice"),
        (".reg .b8 %x;", "registers of type `.b8`"),
        (".reg .frob %x;", "expected the type of registers, found `.frob`"),
        ("here: here: ret;", "`here` is declared twice"),
    ];
    for (line, expected) in table {
        if line.starts_with("here") {
            assert_eq!(crate::support::body(line).unwrap_err().message, expected);
        } else {
            assert_eq!(message(line), expected, "{line}");
        }
    }
}

#[test]
fn types() {
    let table = [
        ("add.u32 %r0, %r1, %d2;", "`%d2` is `.b64` where `.u32` is expected"),
        ("add.u64 %r0, %d1, %d2;", "`%r0` is `.b32` where `.u64` is expected"),
        ("add.f32 %f0, %e1, %f2;", "`%e1` is `.f64` where `.f32` is expected"),
        ("add.u32 %f0, %r1, %r2;", "`%f0` is `.f32` where `.u32` is expected"),
        ("add.f16 %u0, %h1, %h2;", "`%u0` is `.u16` where `.f16` is expected"),
        ("mul.wide.u32 %r0, %r1, %r2;", "`%r0` is `.b32` where `.u64` is expected"),
        ("shl.b64 %d0, %d1, %d2;", "`%d2` is `.b64` where `.u32` is expected"),
        ("popc.b64 %d0, %d1;", "`%d0` is `.b64` where `.u32` is expected"),
        ("setp.eq.u32 %r0, %r1, %r2;", "`%r0` is `.b32` where `.pred` is expected"),
        ("setp.eq.u32 _, %r1, %r2;", "a comparison without a destination"),
        ("setp.eq.f16 %p0|%p1, %h1, %h2;", "a second predicate of a comparison of halves"),
        ("setp.eq.and.u32 %p0, %r1, %r2, %r3;", "`%r3` is `.b32` where `.pred` is expected"),
        ("selp.b32 %r0, %r1, %r2, %r3;", "`%r3` is `.b32` where `.pred` is expected"),
        ("@%r1 ret;", "`%r1` is `.b32` where `.pred` is expected"),
        ("mov.u32 %r0, %clock64;", "`%clock64` is `.u64` where `.u32` is expected"),
        ("mov.u64 %d0, %tid.x;", "`%tid.x` is `.u32` where `.u64` is expected"),
        ("add.u32 %r0, %tid.x, 1;", "`%tid.x`: only `mov` and `cvt` read it"),
        ("cvt.f32.f64 %f0, %e1;", "`cvt.f32.f64` is no form of `cvt`"),
        ("cvt.rn.f32.u32 %r0, %f1;", "`%f1` is `.f32` where `.u32` is expected"),
        ("ld.global.f32 %d0, [%d1];", "`%d0` is `.b64` where `.f32` is expected"),
        ("ld.global.u32 %h0, [%d1];", "`%h0` is `.b16` where `.u32` is expected"),
        ("ld.global.u32 %r0, [%r1];", "`%r1` is `.b32` where `.u64` is expected"),
        ("ld.shared.u32 %r0, [%h1];", "`%h1` is `.b16` where `.u64` is expected"),
        ("atom.global.add.u32 %d0, [%d1], %r2;", "`%d0` is `.b64` where `.u32` is expected"),
        ("mov.b64 %d0, {%r1, %d2};", "`%d2` is `.b64` where `.b32` is expected"),
        ("mov.u64 %d0, {%r1, %r2};", "parts of a value that is not `.b32`, `.b64` or `.b128`"),
        ("mov.b32 %r0, {%r1, %r2, %r3};", "3 parts of a value of 32 bits"),
        ("add.u64 %d0, %d1, table;", "an address where a value is expected"),
        ("mov.f64 %e0, table;", "an address where a value is expected"),
        ("mov.u32 %r0, table;", "the address of `table` in 32 bits"),
        ("cvta.shared.u64 %d0, table;", "`table` is in `.global`, not in `.shared`"),
    ];
    for (line, expected) in table {
        assert_eq!(message(line), expected, "{line}");
    }
}

#[test]
fn immediates() {
    let table = [
        ("mov.u64 %d0, 18446744073709551616;", "a malformed number `18446744073709551616`"),
        ("mov.u64 %d0, 09;", "a malformed number `09`"),
        ("mov.u64 %d0, 0x;", "a malformed number `0x`"),
        ("mov.f32 %f0, 0f3F8000;", "a malformed number `0f3F8000`"),
        ("mov.f64 %e0, 0d3FF;", "a malformed number `0d3FF`"),
        ("mov.f32 %f0, 1;", "an integer where a `.f32` value is expected"),
        ("mov.u32 %r0, 1.0;", "a float literal where a `.u32` value is expected"),
        ("mov.b64 %d0, 0f3F800000;", "a float literal where a `.b64` value is expected"),
        ("add.f16 %h0, %h1, 1.0;", "a float literal where a `.f16` value is expected"),
        ("lop3.b32 %r0, %r1, %r2, %r3, 256;", "a truth table of 256: not 0 to 255"),
        ("lop3.b32 %r0, %r1, %r2, %r3, %r4;", "expected a number, found `%r4`"),
        ("cp.async.wait_group -1;", "-1 groups to leave pending"),
        ("cp.async.cg.shared.global [tile], [%d1], 8;", "a copy of 8 bytes: `.cg` copies 16"),
        ("cp.async.ca.shared.global [tile], [%d1], 12;", "a copy of 12 bytes: `.ca` copies 4, 8 or 16"),
        ("cp.async.ca.shared.global [tile], [%d1], 8, 9;", "9 source bytes of a copy of 8"),
        ("bar.sync 16;", "barrier 16: a block has 16"),
        ("bar.sync 0, 33;", "a barrier of 33 threads: not whole warps"),
        ("bar.arrive 0;", "expected `,` and the count of threads, found `;`"),
    ];
    for (line, expected) in table {
        assert_eq!(message(line), expected, "{line}");
    }
}

#[test]
fn memory() {
    let table = [
        ("ld.global.u32 %r0, [tile];", "`tile` is in `.shared`, and the access is `.global`"),
        ("ld.u32 %r0, [tile];", "`tile` is in `.shared`, and the access is `.generic`"),
        ("ld.shared.u32 %r0, [tile+2];", "`tile+2` is not a multiple of the 4 bytes accessed"),
        ("ld.local.u64 %d0, [12];", "`12` is not a multiple of the 8 bytes accessed"),
        ("ld.global.u64 %d0, [16];", "a number for an address in `.global`: only `.local` has them"),
        ("ld.global.v2.u16 {%h0, %r1}, [%d1];", "a vector of registers of many widths"),
        ("nanosleep.u32 %d1;", "the time is no register of 32 bits and no number"),
        ("ld.shared.v4.f32 {%f0, %f1, %f2, %f3}, [tile+8];", "`tile+8` is not a multiple of the 16 bytes accessed"),
        ("ld.global.v2.f32 {%f0, %f1, %f2}, [%d1];", "3 values where 2 are expected"),
        ("ld.global.v4.u64 {%d0, %d1, %d2, %d3}, [%d4];", "a vector of 32 bytes: at most 16"),
        ("ld.global.f32 {%f0, %f1}, [%d1];", "expected a register, found `{`"),
        ("ld.param.u64 %d0, [packed+64];", "bytes 64 to 72 of `packed`, which has 64"),
        ("ld.param.u64 %d0, [out+-8];", "bytes -8 to 0 of `out`, which has 8"),
        ("st.param.u64 [out], %d0;", "`out` is a parameter and cannot be written"),
        ("ld.global.u32 %r0, %d1;", "expected `[`, found `%d1`"),
        ("ld.global.u32 %r0, [%d1;", "expected `]`, found `;`"),
        ("ld.global.u32 %r0, [%tid.x];", "an address that is no register or variable"),
        ("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r0}, [tile];", "1 values where 2 are expected"),
        (
            "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r0}, {%r1}, {%f0,%f1,%f2,%f3};",
            "1 values where 2 are expected",
        ),
        (".shared .b8 big[300000];", "`big` has 300000 bytes: a `.shared` variable has at most 232448"),
        (".local .align 3 .b8 odd[4];", "an alignment of 3: not a power of two up to 65536"),
        (".local .b8 odd[];", "`odd[]` has no size"),
        (".local .b8 odd[0];", "an array with a dimension that is not positive, or too many"),
        (".local .b8 odd = 1;", "an initialiser: only `.global` and `.const` variables have one"),
    ];
    for (line, expected) in table {
        assert_eq!(message(line), expected, "{line}");
    }
}

#[test]
fn calls() {
    let with = |lines: &str| {
        let ptx = format!(
            "{HEAD}.extern .func missing;
.extern .func vprintf;
.func (.param .b32 r) f(.param .b64 a, .param .align 4 .b8 b[8]) {{ ret; }}
.entry k() {{
.reg .b32 %r<4>; .reg .b64 %d<4>; .param .b32 back; .param .b64 one; .param .b8 two[8]; .param .b8 odd[7];
{lines}
}}"
        );
        load(&ptx).unwrap_err().message
    };
    assert_eq!(with("call missing;"), "`missing` is not defined");
    assert_eq!(with("call vprintf;"), "`vprintf` is declared with parameters that it does not have");
    assert_eq!(with("call (back), f, (one);"), "1 arguments of `f`, which has 2");
    assert_eq!(with("call f, (one, two);"), "0 results of `f`, which has 1");
    assert_eq!(with("call (back), f, (one, odd);"), "`odd` has 7 bytes and `b` 8");
    assert_eq!(with("call (back), f, (one, %r1);"), "a value for `b`, which has 8 bytes");
    assert_eq!(with("call (back), f, (%r1, two);"), "`%r1` is `.b32` where `.b64` is expected");
    assert_eq!(with("call (1), f, (one, two);"), "a result that is no register or variable");
    assert_eq!(with("mov.u64 %d1, one;"), "the address of `one`, a parameter of a call or a result");
}

#[test]
fn modules() {
    let table = [
        ("", "line 1: expected `.version`, found the end of the text: "),
        (".version 12", "line 1: expected a version such as 7.8, found `12`: .version 12"),
        (".version 7.8\n.target x", "line 2: unknown target `x`: .target x"),
        (".version 7.9\n.target sm_80", "line 1: unknown version 7.9: .version 7.9"),
        (".version 7.8\n.target sm_81", "line 2: unknown target sm_81: .target sm_81"),
        (".version 7.8\n.target sm_80\n.address_size 32", "line 3: an address size other than 64: .address_size 32"),
        ("/* ...", "line 1: a comment without an end: /* ..."),
        (".version 7.8\n.target sm_80\n.file 1 \"x", "line 3: a string without an end: .file 1 \"x"),
    ];
    for (ptx, expected) in table {
        assert_eq!(load(ptx).unwrap_err().to_string(), expected);
    }
}

#[test]
fn directives() {
    let table = [
        (".frob x;", "unknown directive `.frob`"),
        ("frob", "expected a directive, found `frob`"),
        (".global .u32 x = 1.0;", "a float literal where a `.u32` value is expected"),
        (".global .b8 x[2] = {1, 2, 3};", "more values than the 2 elements"),
        (".global .b8 x[2] = {y};", "an address in an element of type `.b8`, which does not hold one"),
        (".global .u64 x = y;", "undeclared name `y`"),
        (".global .b8 x[];", "`x[]` has no size"),
        (".extern .global .b8 x[4];", "`x` is defined in another module: linking is not supported"),
        (".global .u32 x; .global .u32 x;", "`x` is declared twice"),
        (".global .pred x;", "expected a type, found `.pred`"),
        (".global .u32 x", "expected `;`, found the end of the text"),
        (".entry (.param .u32 r) k() { ret; }", "a kernel has no results"),
        (".entry k();", "the kernel `k` has no body"),
        (".entry k(.u32 x) { ret; }", "expected `.param`, found `.u32`"),
        (".entry k(.param .u32 x, .param .u32 x) { ret; }", "`x` is declared twice"),
        (".entry k() .maxntid 0 { ret; }", "a count of threads that is not positive"),
        (".entry k() .frob { ret; }", "unknown directive `.frob` of a kernel"),
        (".func f(.reg .u32 x) { ret; }", "parameters in registers are not supported"),
        (".func f() { ret; } .func f() { ret; }", "`f` is defined twice"),
        (".func f(); .func f(.param .u32 x) { ret; }", "`f` is declared with other parameters before"),
        (".entry k() { ret;", "expected an instruction, found the end of the text"),
        (".entry k(.param .b8 x[40000]) { ret; }", "parameters of more than 32764 bytes"),
    ];
    for (directive, expected) in table {
        let error = load(&format!("{HEAD}{directive}")).unwrap_err();
        assert_eq!(error.message, expected, "{directive}");
        assert_eq!(error.line, 4);
    }
}
