//! Calls.

use softcuda::check::FaultKind;
use softcuda::machine::{Machine, Options, Profile};

use crate::support::{fault, kernel, outputs};

const FUNCTIONS: &str = "
.func (.param .b32 result) square_plus(.param .b32 a, .param .b64 b)
{
    .reg .pred %p<2>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<2>;
    ld.param.u32 %r1, [a];
    ld.param.u64 %rd1, [b];
    setp.gt.u32 %p1, %r1, 20;
    @%p1 bra BIG;
    mul.lo.u32 %r2, %r1, %r1;
    cvt.u32.u64 %r3, %rd1;
    add.u32 %r2, %r2, %r3;
    st.param.b32 [result], %r2;
    ret;
    BIG:
    st.param.b32 [result], 1;
    ret;
}
.func (.param .b32 result) twice(.param .b32 a)
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<2>;
    ld.param.u32 %r1, [a];
    mov.u64 %rd1, 5;
    {
        .param .b32 x;
        .param .b64 y;
        .param .b32 z;
        st.param.b32 [x], %r1;
        st.param.b64 [y], %rd1;
        call.uni (z), square_plus, (x, y);
        ld.param.b32 %r2, [z];
    }
    {
        .param .b32 x;
        .param .b64 y;
        .param .b32 z;
        st.param.b32 [x], 2;
        st.param.b64 [y], %rd1;
        call.uni (z), square_plus, (x, y);
        ld.param.b32 %r3, [z];
    }
    mad.lo.u32 %r2, %r3, 1000, %r2;
    st.param.b32 [result], %r2;
    ret;
}";

#[test]
fn nested_and_divergent_calls() {
    let ptx = kernel(
        FUNCTIONS,
        "mov.u32 %r2, 0;
         setp.eq.u32 %p1, %r31, 7;
         @%p1 bra SKIP;
         {
         .param .b32 a;
         .param .b32 b;
         st.param.b32 [a], %r31;
         call.uni (b), twice, (a);
         ld.param.b32 %r2, [b];
         }
         SKIP:
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    let square_plus = |a: u32| if a > 20 { 1 } else { a * a + 5 };
    let expected: Vec<u32> = (0..64).map(|i| if i == 7 { 0 } else { 9000 + square_plus(i) }).collect();
    assert_eq!(outputs(&ptx, 64, &[0], 64), expected);
}

#[test]
fn guarded_calls() {
    let ptx = kernel(
        FUNCTIONS,
        "mov.u32 %r2, 3;
         setp.lt.u32 %p1, %r31, 9;
         {
         .param .b32 a;
         .param .b32 b;
         st.param.b32 [a], %r31;
         st.param.b32 [b], 3;
         @!%p1 call (b), twice, (a);
         ld.param.b32 %r2, [b];
         }
         st.global.u32 [%rd28], %r2;
         ret;",
    );
    let square_plus = |a: u32| if a > 20 { 1 } else { a * a + 5 };
    let expected: Vec<u32> = (0..64).map(|i| if i < 9 { 3 } else { 9000 + square_plus(i) }).collect();
    assert_eq!(outputs(&ptx, 64, &[0], 64), expected);
}

#[test]
fn recursion_is_refused() {
    let ptx = kernel(".func again() { call again; ret; }", "call again; ret;");
    let error = Machine::new(Profile::small(), Options::default()).load(&ptx).unwrap_err();
    assert!(error.message.contains("recursion"), "{error}");
}

#[test]
fn printf_and_assert() {
    let ptx = kernel(
        ".extern .func (.param .b32 result) vprintf(.param .b64 format, .param .b64 values);
         .extern .func __assertfail(.param .b64 message, .param .b64 file, .param .b32 line, .param .b64 function, .param .b64 size);
         .global .align 1 .b8 text[16] = {37, 100, 32, 37, 46, 50, 102, 32, 37, 108, 108, 117, 10, 0};",
        ".local .align 8 .b8 values[24];
         mov.u64 %rd1, values;
         setp.ne.u32 %p1, %r31, 5;
         @%p1 bra SKIP;
         st.local.u32 [%rd1], 0xfffffff9;
         mov.f64 %rd2, 0d3FF8000000000000;
         st.local.u64 [%rd1+8], %rd2;
         st.local.u64 [%rd1+16], 1099511627776;
         cvta.local.u64 %rd3, %rd1;
         mov.u64 %rd4, text;
         cvta.global.u64 %rd4, %rd4;
         {
         .param .b64 a;
         .param .b64 b;
         .param .b32 c;
         st.param.b64 [a], %rd4;
         st.param.b64 [b], %rd3;
         call.uni (c), vprintf, (a, b);
         ld.param.b32 %r1, [c];
         }
         st.global.u32 [%rd28], %r1;
         SKIP:
         ret;",
    )
    .replace("mov.f64 %rd2", "mov.b64 %rd2");
    let expected: Vec<u32> = (0..32).map(|i| if i == 5 { 3 } else { 0 }).collect();
    assert_eq!(outputs(&ptx, 32, &[0], 32), expected);

    let ptx = kernel(
        ".extern .func __assertfail(.param .b64 message, .param .b64 file, .param .b32 line, .param .b64 function, .param .b64 size);
         .global .align 1 .b8 text[4] = {111, 104, 0, 0};",
        "mov.u64 %rd4, text;
         mov.u64 %rd5, 1;
         {
         .param .b64 a;
         .param .b64 b;
         .param .b32 c;
         .param .b64 d;
         .param .b64 e;
         st.param.b64 [a], %rd4;
         st.param.b64 [b], %rd4;
         st.param.b32 [c], 3;
         st.param.b64 [d], %rd4;
         st.param.b64 [e], %rd5;
         call.uni __assertfail, (a, b, c, d, e);
         }
         ret;",
    );
    assert_eq!(fault(&ptx, 32).kind, FaultKind::Trap);
}
