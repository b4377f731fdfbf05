//! Every form of the table is an instruction that parses and passes its checks.
//!
//! With `SOFTCUDA_FORMS` the instructions are written to that file, for `ptxas -arch=sm_90` to judge.

use softcuda::opcodes::{Item, OPCODES, items};

use crate::support::{kernel, load};

/// Modifier lists of a form: all of them if they are few, else each modifier at least once.
fn expansions(items: &[Item]) -> Vec<Vec<&'static str>> {
    let options: Vec<Vec<Option<&'static str>>> = items
        .iter()
        .map(|item| {
            let choices = item.choices.iter().map(|&choice| Some(choice));
            item.optional.then_some(None).into_iter().chain(choices).collect()
        })
        .collect();
    let product: usize = options.iter().map(Vec::len).product();
    let mut lists = Vec::new();
    if product <= 500 {
        for mut index in 0..product {
            let pick = |options: &Vec<Option<&'static str>>| {
                let choice = options[index % options.len()];
                index /= options.len();
                choice
            };
            lists.push(options.iter().map(pick).collect::<Vec<_>>());
        }
    } else {
        for (at, choices) in options.iter().enumerate() {
            for &choice in choices {
                let mut list: Vec<_> = options.iter().map(|options| options[0]).collect();
                list[at] = choice;
                lists.push(list);
            }
        }
    }
    lists.into_iter().map(|list| list.into_iter().flatten().collect()).collect()
}

fn width(name: &str) -> Option<u32> {
    Some(match name {
        "pred" => 1,
        "b8" | "u8" | "s8" => 8,
        "b16" | "u16" | "s16" | "f16" | "bf16" => 16,
        "b32" | "u32" | "s32" | "f32" | "f16x2" | "bf16x2" | "tf32" => 32,
        "b64" | "u64" | "s64" | "f64" => 64,
        "b128" => 128,
        _ => return None,
    })
}

fn register(width: u32, index: usize) -> String {
    let prefix = match width {
        1 => "%p",
        8 | 16 => "%h",
        32 => "%r",
        64 => "%d",
        _ => "%q",
    };
    format!("{prefix}{index}")
}

fn space(words: &[&str]) -> &'static str {
    let has = |word: &str| words.contains(&word);
    match () {
        () if has("shared") || has("shared::cta") => "[tile+16]",
        () if has("local") => "[stack+16]",
        () if has("const") => "[fixed+16]",
        () if has("param") => "[packed+16]",
        () if has("global") => "[table+16]",
        () => "[%d8]",
    }
}

fn fragments(words: &[&str], widths: &[u32]) -> String {
    let k = if words.contains(&"m16n8k4") {
        4
    } else if words.contains(&"m16n8k8") {
        8
    } else {
        16
    };
    let input = if words.contains(&"tf32") { 32 } else { 16 };
    let f32s = words.contains(&"f32");
    let list = |count: u32, prefix: &str| {
        let list: Vec<_> = (0..count).map(|index| format!("{prefix}{index}")).collect();
        format!("{{{}}}", list.join(", "))
    };
    let sums = if f32s { list(4, "%f") } else { list(2, "%r") };
    let (a, b) = (16 * k * input / 1024, 8 * k * input / 1024);
    assert_eq!(widths.len(), 4);
    format!("{sums}, {}, {}, {sums}", list(a, "%r"), list(b, "%r"))
}

/// Operands for an instruction.
fn operands(name: &str, words: &[&str]) -> String {
    let has = |word: &str| words.contains(&word);
    let widths: Vec<u32> = words.iter().filter_map(|word| width(word)).collect();
    let (first, last) = (widths.first().copied().unwrap_or(32), widths.last().copied().unwrap_or(32));
    let all = |widths: &[u32]| {
        let names: Vec<_> = widths.iter().enumerate().map(|(index, &width)| register(width, index)).collect();
        names.join(", ")
    };
    let lanes = |start: usize| {
        let count = if has("v4") {
            4
        } else if has("v2") {
            2
        } else {
            return register(last, start);
        };
        let names: Vec<_> = (0..count).map(|index| register(last, index + start)).collect();
        format!("{{{}}}", names.join(", "))
    };
    let combined = ["and", "or", "xor"].iter().any(|word| has(word));
    match name {
        "mov" | "abs" | "neg" | "not" | "cnot" | "brev" | "rcp" | "sqrt" | "rsqrt" | "sin" | "cos" | "lg2" | "ex2"
        | "tanh" => all(&[last, last]),
        "popc" | "clz" | "bfind" => all(&[32, last]),
        "ld" | "ldu" => format!("{}, {}", lanes(0), space(words)),
        "st" if has("param") => format!("[passed+16], {}", lanes(0)),
        "st" => format!("{}, {}", space(words), lanes(0)),
        "cvta" => "%d0, %d1".into(),
        "isspacep" => "%p0, %d1".into(),
        "prefetch" | "prefetchu" => space(words).into(),
        "mul" | "mad" if has("wide") => {
            let wide = all(&[2 * last, last, last]);
            if name == "mad" { format!("{wide}, {}", register(2 * last, 3)) } else { wide }
        }
        "add" | "sub" | "addc" | "subc" | "mul" | "mul24" | "div" | "rem" | "min" | "max" | "and" | "or" | "xor"
        | "copysign" => all(&[last; 3]),
        "mad" | "madc" | "mad24" | "sad" | "fma" => all(&[last; 4]),
        "bfe" => all(&[last, last, 32, 32]),
        "bfi" => all(&[last, last, last, 32, 32]),
        "dp4a" | "prmt" | "shf" => all(&[32; 4]),
        "lop3" => "%r0, %r1, %r2, %r3, 0x96".into(),
        "shl" | "shr" => all(&[last, last, 32]),
        "testp" => all(&[1, last]),
        "setp" if has("f16") || has("bf16") => {
            format!("%p0, {}{}", all(&[last, last]), if combined { ", !%p2" } else { "" })
        }
        "setp" => format!("%p0|%p1, {}{}", all(&[last, last]), if combined { ", !%p2" } else { "" }),
        "set" => format!("{}{}", all(&[first, last, last]), if combined { ", %p2" } else { "" }),
        "selp" => all(&[last, last, last, 1]),
        "slct" => all(&[first, first, first, last]),
        "cvt" if has("f16x2") || has("bf16x2") => all(&[32; 3]),
        "cvt" => all(&[first, last]),
        "bra" => "end".into(),
        "brx" => "%r1, targets".into(),
        "call" => "(returned), vprintf, (first, second)".into(),
        "ret" | "exit" | "trap" | "membar" | "fence" => String::new(),
        "shfl" => "%r0|%p0, %r1, %r2, %r3, -1".into(),
        "vote" => if has("ballot") { "%r0, !%p1, %r2" } else { "%p0, %p1, %r2" }.into(),
        "match" => format!("%r0{}, {}, %r2", if has("all") { "|%p0" } else { "" }, register(last, 1)),
        "redux" => "%r0, %r1, %r2".into(),
        "activemask" | "nanosleep" => "%r0".into(),
        "bar" if has("warp") => "%r0".into(),
        "bar" | "barrier" if has("red") => format!("{}, 1, 64, !%p1", if has("popc") { "%r0" } else { "%p0" }),
        "bar" | "barrier" => "1, 64".into(),
        "atom" if has("cas") => format!("{}, {}, {}", register(last, 0), space(words), all(&[last, last])),
        "atom" => format!("{}, {}, {}", register(last, 0), space(words), register(last, 1)),
        "red" => format!("{}, {}", space(words), register(last, 1)),
        "cp" if has("wait_group") => "1".into(),
        "cp" if has("ca") || has("cg") => "[tile+16], [table+32], 16, %r1".into(),
        "cp" => String::new(),
        "ldmatrix" => {
            let list = if has("x4") {
                "{%r0, %r1, %r2, %r3}"
            } else if has("x2") {
                "{%r0, %r1}"
            } else {
                "{%r0}"
            };
            format!("{list}, [tile+32]")
        }
        "mma" => fragments(words, &widths),
        _ => panic!("no operands for `{name}`"),
    }
}

#[test]
fn every_form_is_accepted() {
    let mut lines = Vec::new();
    for opcode in OPCODES {
        for form in opcode.forms {
            for words in expansions(&items(form)) {
                assert!(opcode.accepts(&words), "{}: {words:?}", opcode.name);
                // Two copies of 64 bits fit in a vector.
                if words.contains(&"v4") && words.last().and_then(|word| width(word)) == Some(64) {
                    continue;
                }
                let dotted: String = words.iter().map(|word| format!(".{word}")).collect();
                lines.push(format!("{}{dotted} {};", opcode.name, operands(opcode.name, &words)));
            }
        }
    }
    let around = "targets: .branchtargets end;
.param .b32 returned; .param .b64 first; .param .b64 second; .param .align 16 .b8 passed[64];";
    for line in &lines {
        let ptx = kernel(&format!("{around}\n{line}\nend: ret;"));
        if let Err(error) = load(&ptx) {
            panic!("{error}");
        }
    }
    assert!(lines.len() > 2000, "{}", lines.len());
    if let Ok(path) = std::env::var("SOFTCUDA_FORMS") {
        std::fs::write(path, kernel(&format!("{around}\n{}\nend: ret;", lines.join("\n")))).unwrap();
    }
}

#[test]
fn names_are_sorted_into_one_row_each() {
    for (index, opcode) in OPCODES.iter().enumerate() {
        assert!(OPCODES[..index].iter().all(|other| other.name != opcode.name), "{} twice", opcode.name);
        assert!(!opcode.doc.is_empty());
    }
}
