//! The grammar, a feature a test.

use softcuda::ir::{
    Address, CallArgument, FunctionId, Label, Operand, Operation, RelocationTarget, Space, Special, Symbol, Type,
};
use softcuda::valid;

use crate::support::{HEAD, body, kernel, load};

#[test]
fn variables() {
    let ptx = format!(
        "{HEAD}.global .align 4 .b8 bytes[6] = {{1, 0x2, 03, 0b100, -1}};
.const .f32 numbers[3] = {{0f3F800000, 2.0, -0.5}};
.visible .global .align 16 .v4 .f32 vectors[2];
.global .u16 grid[2][3] = {{{{1}}, {{4, 5, 6}}}};
.global .b64 open[] = {{1, 2, 3}}, more;
.global .align 8 .u64 places[4] = {{bytes, generic(bytes)+4, f, 0}};
.shared .align 8 .b8 block[100];
.extern .shared .align 16 .b8 rest[];
.func f() {{ ret; }}
"
    );
    // An initialiser names what stands before it.
    assert_eq!(load(&ptx).unwrap_err().message, "undeclared name `f`");
    let ptx = ptx.replacen(HEAD, &format!("{HEAD}.func f();\n"), 1);
    let module = load(&ptx).unwrap();
    let named = |name: &str| module.variables.iter().find(|variable| variable.name == name).unwrap();

    assert_eq!(named("bytes").init, [1, 2, 3, 4, 255]);
    assert_eq!((named("bytes").size, named("bytes").align), (6, 4));
    let numbers: Vec<f32> =
        named("numbers").init.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(numbers, [1.0, 2.0, -0.5]);
    assert_eq!(named("numbers").space, Space::Const);
    assert_eq!((named("vectors").size, named("vectors").element), (32, Type::F32));
    assert_eq!(named("grid").init, [1, 0, 0, 0, 0, 0, 4, 0, 5, 0, 6, 0]);
    assert_eq!((named("open").size, named("more").size), (24, 8));
    assert_eq!((named("rest").dynamic, named("rest").size, named("rest").align), (true, 0, 16));
    assert_eq!((named("block").space, named("block").dynamic), (Space::Shared, false));

    let places = &named("places").relocations;
    assert_eq!(places.iter().map(|place| place.offset).collect::<Vec<_>>(), [0, 8, 16]);
    assert_eq!((places[0].generic, places[0].addend), (false, 0));
    assert_eq!((places[1].generic, places[1].addend), (true, 4));
    assert!(matches!(places[1].target, RelocationTarget::Variable(0)));
    assert!(matches!(places[2].target, RelocationTarget::Function(FunctionId(0))));
}

#[test]
fn parameters_lie_behind_each_other() {
    let ptx = format!(
        "{HEAD}.weak .entry k(.param .u8 a, .param .align 8 .b8 b[12], .param .u64 .ptr .global .align 4 c,
.param .f32 d) .maxntid 128, 2 .minnctapersm 4 .maxnreg 32 {{ ret; }}
.entry exact() .reqntid 32 {{ ret; }}"
    );
    let module = load(&ptx).unwrap();
    let k = &module.functions[0];
    let layout: Vec<_> = k.parameters.iter().map(|one| (one.offset, one.size, one.align)).collect();
    assert_eq!(layout, [(0, 1, 1), (8, 12, 8), (24, 8, 8), (32, 4, 4)]);
    assert_eq!((k.max_threads, k.required_threads), (Some([128, 2, 1]), None));
    assert_eq!(module.functions[1].required_threads, Some([32, 1, 1]));
    assert!(k.is_kernel && !k.is_external);
}

#[test]
fn functions_and_calls() {
    let ptx = format!(
        "{HEAD}.extern .func (.param .b32 result) vprintf (.param .b64 format, .param .b64 values);
.func (.param .b32 r) twice(.param .b32 a);
.visible .entry k(.param .u64 out)
{{
.reg .b32 %r<4>;
.reg .b64 %d<4>;
{{ // callseq 0, 0
.param .b32 param0;
st.param.b32 [param0], 21;
.param .b32 retval0;
call.uni (retval0),
twice,
(
param0
);
ld.param.b32 %r1, [retval0];
}} // callseq 0
{{
.param .b64 param0; .param .b64 param1; .param .b32 retval0;
call (retval0), vprintf, (param0, param1);
}}
call (%r2), twice, (%r1);
call (%r2), twice, (7);
ret;
}}
.func (.param .b32 r) twice(.param .b32 a)
{{
.reg .b32 %r<3>;
ld.param.b32 %r1, [a];
add.s32 %r2, %r1, %r1;
st.param.b32 [r+0], %r2;
ret;
}}
"
    );
    let module = load(&ptx).unwrap();
    let [vprintf, twice, k] = &module.functions[..] else { panic!("three functions") };
    assert!(vprintf.is_external && !twice.is_external);
    assert_eq!(
        k.variables.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["param0", "retval0", "param0", "param1", "retval0"]
    );
    assert_eq!(
        k.body[1].operation,
        Operation::Call {
            function: FunctionId(1),
            results: vec![CallArgument::Variable(Symbol::Function(1))],
            arguments: vec![CallArgument::Variable(Symbol::Function(0))],
        }
    );
    assert_eq!(k.body[1].line, 14);
    let values = |index: usize| match &k.body[index].operation {
        Operation::Call { arguments, .. } => arguments[0],
        other => panic!("{other:?}"),
    };
    assert_eq!(values(3), CallArgument::Variable(Symbol::Function(2)));
    assert!(matches!(values(4), CallArgument::Value(Operand::Reg(_))));
    assert_eq!(values(5), CallArgument::Value(Operand::Bits(7)));
    let store = &twice.body[2].operation;
    assert!(matches!(
        store,
        Operation::Store { address: Address { base: Operand::Address(Symbol::Result(0), 0), offset: 0 }, .. }
    ));
}

#[test]
fn names_end_with_their_braces() {
    let function = body(
        "mov.u32 %r1, 1;
{ .reg .b16 %r1; mov.u16 %r1, 2; { .reg .b64 %r1; mov.u64 %r1, 3; } mov.u16 %r1, 4; }
mov.u32 %r1, 5;
{ .reg .pred p; setp.eq.u32 p, %r1, 0; @p bra after; bra in; in: }
after: ret;",
    )
    .unwrap();
    let types: Vec<_> = function
        .body
        .iter()
        .filter_map(|instruction| match instruction.operation {
            Operation::Mov { dst, .. } => Some(function.registers[dst.0 as usize].ty),
            _ => None,
        })
        .collect();
    assert_eq!(types, [Type::B32, Type::B16, Type::B64, Type::B16, Type::B32]);
    assert_eq!(body("{ .reg .b32 inner; } mov.u32 inner, 1;").unwrap_err().message, "undeclared register `inner`");
    assert_eq!(body("bra in; { in: ret; }").unwrap_err().message, "undeclared label `in`");
}

#[test]
fn registers_appear_when_they_are_used() {
    let function = body(".reg .f32 %x<1000000>, y; mov.f32 %x999999, y; mov.f32 %x0, %x999999;").unwrap();
    let names: Vec<_> = function.registers.iter().map(|register| register.name.as_str()).collect();
    assert_eq!(names, ["y", "%x999999", "%x0"]);
}

#[test]
fn labels_and_tables() {
    let function = body(
        "bra forward;
back: @%p1 bra.uni back;
table_1: .branchtargets forward, back;
brx.idx %r1, table_1;
proto: .callprototype (.param .b32 _) _ (.param .b64 _);
forward: bra end;
end:",
    )
    .unwrap();
    let index = |label: Label| function.labels[label.0 as usize].index;
    assert_eq!(function.branch_targets[0].iter().map(|&label| index(label)).collect::<Vec<_>>(), [3, 1]);
    assert!(matches!(function.body[2].operation, Operation::Brx { table: 0, .. }));
    let Operation::Bra { target, uniform } = function.body[1].operation else { panic!("a branch") };
    assert_eq!((index(target), uniform), (1, true));
    // A body that runs off its end ends with a `ret`.
    assert_eq!(function.body.len(), 5);
    assert_eq!(function.body[4].operation, Operation::Ret);
}

#[test]
fn an_end_without_ret_gets_one() {
    assert_eq!(body("").unwrap().body[0].operation, Operation::Ret);
    assert_eq!(body("@%p1 exit;").unwrap().body.len(), 2);
    assert_eq!(body("exit;").unwrap().body.len(), 1);
    assert_eq!(body("trap;").unwrap().body.len(), 1);
    assert_eq!(body("bar.sync 0;").unwrap().body[1].operation, Operation::Ret);
}

#[test]
fn what_is_skipped() {
    let ptx = format!(
        "{HEAD}// a comment
.file 1 \"x.cu\", 123, 456
.pragma \"nounroll\";
.entry k() {{
.loc 1 12 3
/* two
lines */ .pragma \"nounroll\";
.loc 1 13 3, function_name $L__info_string0, inlined_at 1 12 3
;;ret;
}}
.section .debug_str
{{
$L__info_string0:
.b8 107,0
}}
"
    );
    let module = load(&ptx).unwrap();
    assert_eq!(module.functions[0].body.len(), 1);
    assert_eq!(module.functions[0].body[0].line, 12);
    assert_eq!(module.line(12), ";;ret;");
}

#[test]
fn special_registers() {
    let source = |name: &str, width: u32| {
        let line = format!("mov.u{width} %{}1, {name};", if width == 32 { "r" } else { "d" });
        match crate::support::operation(&line) {
            Operation::Mov { src: Operand::Special(special), .. } => special,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(source("%tid.x", 32), Special::Tid(0));
    assert_eq!(source("%ntid.y", 32), Special::Ntid(1));
    assert_eq!(source("%ctaid.z", 32), Special::Ctaid(2));
    assert_eq!(source("%nctaid.x", 32), Special::Nctaid(0));
    assert_eq!(source("%laneid", 32), Special::LaneId);
    assert_eq!(source("%lanemask_lt", 32), Special::LaneMaskLt);
    assert_eq!(source("%envreg31", 32), Special::Env(31));
    assert_eq!(source("%clock", 32), Special::Clock);
    assert_eq!(source("%clock64", 64), Special::Clock64);
    assert_eq!(source("%globaltimer", 64), Special::GlobalTimer);
    assert_eq!(source("%gridid", 64), Special::GridId);
    assert_eq!(source("%dynamic_smem_size", 32), Special::DynamicSharedSize);
    assert_eq!(source("%total_smem_size", 32), Special::TotalSharedSize);
    assert_eq!(body("mov.u32 %r1, %envreg32;").unwrap_err().message, "undeclared register `%envreg32`");
    assert_eq!(crate::support::operation("mov.u32 %r1, WARP_SZ;"), crate::support::operation("mov.u32 %r1, 32;"));
}

#[test]
fn arithmetic_that_may_be_fused_is_listed() {
    let ptx = kernel(
        "add.f32 %f1, %f2, %f3;
add.rn.f32 %f1, %f2, %f3;
fma.rn.f32 %f1, %f2, %f3, %f4;
mul.ftz.f32 %f1, %f2, %f3;
sub.f64 %e1, %e2, %e3;
min.f32 %f1, %f2, %f3;
add.f16 %h1, %h2, %h3;
neg.f32 %f1, %f2;",
    );
    let found = valid::unpinned(&load(&ptx).unwrap());
    let lines: Vec<_> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(
        lines,
        [(20, "add.f32 %f1, %f2, %f3;"), (23, "mul.ftz.f32 %f1, %f2, %f3;"), (24, "sub.f64 %e1, %e2, %e3;")]
    );
}
