//! Damaged text is refused or accepted, and never a panic.

use softcuda::{front, valid};

use crate::files::files;
use crate::support::{HEAD, kernel};

/// Parses, and checks what parsed.
fn survives(ptx: &str) {
    if let Ok(module) = front::parse(ptx)
        && valid::check(&module).is_ok()
    {
        valid::unpinned(&module);
    }
}

/// A small generator of numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// A shipped file that is not long: every truncation of it is parsed.
fn shipped() -> String {
    let (_, ptx) = files().into_iter().find(|(name, _)| name == "noise.ptx").unwrap();
    ptx
}

/// One kernel of a shipped file, and one text with a bit of everything.
fn samples() -> Vec<String> {
    let ptx = shipped();
    let end = ptx[ptx.find(".entry").unwrap()..].find("\n}").unwrap();
    let first = ptx[..ptx.find(".entry").unwrap() + end + 2].to_owned();
    let mixed = kernel(
        "table_end: .branchtargets done, again;
again: { .reg .b32 %inner; mov.u32 %inner, %tid.x; add.s32 %r1, %inner, -4; }
mov.b64 %d1, {%r1, %r2};
ld.global.v4.f32 {%f1, _, %f2, %f3}, [%d1+-16];
setp.lt.and.f32 %p1|%p2, %f1, 0f3F800000, !%p3;
@!%p1 bra again;
{ .param .b64 one; .param .b64 two; .param .b32 back; st.param.b64 [one], %d1;
call.uni (back), vprintf, (one, two); ld.param.b32 %r3, [back]; }
cp.async.cg.shared.global [tile], [%d2], 16;
mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f1,%f2,%f3,%f4}, {%r1,%r2}, {%r3}, {%f1,%f2,%f3,%f4};
brx.idx %r1, table_end;
done: ret;",
    );
    assert!(front::parse(&mixed).is_ok_and(|module| valid::check(&module).is_ok()));
    let data = format!(
        "{HEAD}.global .align 8 .b8 bytes[2][3] = {{{{1, 2}}, {{0x3}}}};\n.const .u64 where[2] = {{generic(bytes)+4, 7}};\n\
         .func (.param .b32 r) f(.param .align 8 .b8 p[12]) {{ st.param.b32 [r], 1; ret; }}\n"
    );
    assert!(front::parse(&data).is_ok_and(|module| valid::check(&module).is_ok()));
    vec![first, mixed, data]
}

#[test]
fn truncated_text() {
    let ptx = shipped();
    for end in (0..ptx.len()).step_by(50).filter(|&end| ptx.is_char_boundary(end)) {
        survives(&ptx[..end]);
    }
    for sample in samples() {
        for end in (0..sample.len()).filter(|&end| sample.is_char_boundary(end)) {
            survives(&sample[..end]);
        }
    }
}

#[test]
fn a_byte_changed() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let alphabet = b"0123456789abxrdfpuUs%$_.,;:{}[]()<>@!|+-= \n\"/*~";
    for sample in samples() {
        for _ in 0..2000 {
            let mut bytes = sample.clone().into_bytes();
            let at = numbers.below(bytes.len());
            bytes[at] = alphabet[numbers.below(alphabet.len())];
            survives(&String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn words_moved() {
    let mut numbers = Numbers(0x1234_5678_9ABC_DEF1);
    for sample in samples() {
        for _ in 0..2000 {
            let mut words: Vec<&str> = sample.split_inclusive([' ', ',', ';', '.', '\n']).collect();
            let (a, b) = (numbers.below(words.len()), numbers.below(words.len()));
            match numbers.below(3) {
                0 => words.swap(a, b),
                1 => words[a] = words[b],
                _ => drop(words.remove(a)),
            }
            survives(&words.concat());
        }
    }
}

#[test]
fn extremes() {
    let deep = "{".repeat(100_000);
    survives(&kernel(&deep));
    survives(&format!("{HEAD}.global .b8 x[1] = {deep};"));
    survives(&kernel(".reg .b32 %many<4294967295>; mov.b32 %many4294967294, 1;"));
    survives(&format!("{HEAD}.global .b8 x[9223372036854775807][9223372036854775807];"));
    survives(&format!("{HEAD}.global .b8 x[1099511627776];"));
    survives(&format!("{HEAD}.entry e(.param .align 65536 .b8 a[4294967295], .param .b8 b[4294967295]) {{ }}"));
    survives(&kernel("ld.param.u32 %r1, [packed+9223372036854775807];"));
    survives(&kernel("ld.param.u32 %r1, [packed+-9223372036854775808];"));
    survives(&kernel("ld.global.u32 %r1, [18446744073709551615];"));
    survives("");
    survives("\u{0}");
    survives(".version");
    survives("é");
}
