//! Every rule stands twice, in `src/rules` and in `kernels/rules`: with the same fields, and with the same statements
//! in the same order. What the languages write differently (types, suffixes, `return`, struct literals) is dropped.

use std::fs;
use std::path::Path;

macro_rules! modules {
    ($($module:ident :: $settings:ident { $($names:tt)* }),* $(,)?) => {
        const RULES: &[&str] = &[$(stringify!($module)),*];
    };
}
gradus::for_each_rule!(modules);

#[test]
fn rules_are_twins() {
    for rule in RULES {
        let rust = read(&format!("src/rules/{rule}.rs"));
        let cuda = read(&format!("kernels/rules/{rule}.cuh"));
        if let Err(difference) = compare_rules(&rust, &cuda) {
            panic!("{rule}: {difference}");
        }
    }
}

#[test]
fn common_words_are_twins() {
    for (rust, cuda, names) in [
        ("src/fmath/mod.rs", "kernels/core/fmath.cuh", &["powi", "sign"][..]),
        (
            "src/rules/common.rs",
            "kernels/rules/common.cuh",
            &[
                "l2",
                "keep",
                "eps_inside",
                "eps_outside",
                "quotient",
                "clamp",
                "warmed_up",
                "average_weight",
                "rectification_length",
                "rectification",
            ],
        ),
    ] {
        let (rust, cuda) = (tokens(&read(rust)), tokens(&read(cuda)));
        for name in names {
            if let Err(difference) = compare_function(&rust, &cuda, name) {
                panic!("{difference}");
            }
        }
    }
}

#[test]
fn what_surrounds_a_rule_is_a_twin() {
    let rust = tokens(&(read("src/step/mod.rs") + &read("src/step/schedule.rs")));
    let cuda = tokens(&read("kernels/optim/around.cuh"));
    let compared = compare_records(&rust, &cuda, &["Hyper", "Carry", "Scalars"]);
    if let Err(difference) = compared.and_then(|()| compare_functions(&rust, &cuda)) {
        panic!("{difference}");
    }
}

#[test]
fn methods_of_several_copies_are_twins() {
    for method in ["replicated_sgd", "gt_adam", "entropy_sgd"] {
        let rust = tokens(&read(&format!("src/ensemble/{method}.rs")));
        let cuda = tokens(&read(&format!("kernels/optim/{method}.cuh")));
        let compared = compare_records(&rust, &cuda, &["Hyper", "Scalars", "State"]);
        if let Err(difference) = compared.and_then(|()| compare_functions(&rust, &cuda)) {
            panic!("{method}: {difference}");
        }
    }
}

#[test]
fn planted_differences_are_noticed() {
    let rust = read("src/rules/adamw.rs");
    let cuda = read("kernels/rules/adamw.cuh");
    for (from, to, place) in [
        ("fma(s.one_minus_beta1, d - state.m", "fma(s.one_minus_beta2, d - state.m", "update"),
        ("fma(-s.step_size", "fma(s.step_size", "update"),
        ("d - state.m", "state.m - d", "update"),
        ("T d = fma(s.l2, p, g);", "T d = g;", "update"),
        ("state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);", "", "update"),
        ("powi(h.beta2, t)", "powi(h.beta1, t)", "tick"),
        ("1.0 / sqrt(bias2)", "1.0f / sqrt(bias1)", "tick"),
        ("h.lr / bias1,", "h.lr / bias1, .extra = 0.0,", "tick"),
        ("T m, v;", "T v, m;", "State"),
        ("lr, beta1, beta2", "lr, beta2, beta1", "Hyper"),
        ("inverse_root_bias2, eps, step_size;", "inverse_root_bias2, step_size, eps;", "Scalars"),
        ("struct Carry {}", "struct Carry { double mu_product; }", "Carry"),
    ] {
        assert!(cuda.contains(from), "adamw.cuh has no `{from}`");
        let difference = compare_rules(&rust, &cuda.replace(from, to)).expect_err(from);
        assert!(difference.starts_with(place), "`{from}` → `{to}` gave: {difference}");
    }
}

#[test]
fn spellings_of_the_same_are_no_difference() {
    let rust = "fn f<T: Real>(t: u64) -> T { let mut a: T = real(0.5); let b = (t - 1) as f64; // comment
        while a < b { a *= real::<T>(2.0_f64); }
        if a > 1.0 { a = x; } Scalars { a, b: t as f64, } }";
    let cuda =
        "template <class T> static __device__ T f(uint64_t t) { T a = real<T>(0.5f); const double b = double(t - 1);
        while (a < b) { a *= real<T>(2.0); }
        if (a > 1.0) { a = x; } /* comment */ return { .a = a, .b = double(t) }; }";
    assert_eq!(compare_function(&tokens(rust), &tokens(cuda), "f"), Ok(()));
}

type Token = String;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first difference between a rule's twins.
fn compare_rules(rust: &str, cuda: &str) -> Result<(), String> {
    let (rust, cuda) = (tokens(rust), tokens(cuda));
    compare_records(&rust, &cuda, &["Hyper", "Carry", "Scalars", "State"])?;
    ["tick", "update"].into_iter().try_for_each(|name| compare_function(&rust, &cuda, name))?;
    compare_functions(&rust, &cuda)
}

fn compare_records(rust: &[Token], cuda: &[Token], records: &[&str]) -> Result<(), String> {
    for record in records {
        let (left, right) = (rust_fields(rust, record), cuda_fields(cuda, record));
        if left != right {
            return Err(format!("{record}\n  Rust: {}\n  CUDA: {}", left.join(", "), right.join(", ")));
        }
    }
    Ok(())
}

/// Compares every function that CUDA defines.
fn compare_functions(rust: &[Token], cuda: &[Token]) -> Result<(), String> {
    functions(cuda).into_iter().try_for_each(|(name, _)| compare_function(rust, cuda, name))
}

fn compare_function(rust: &[Token], cuda: &[Token], name: &str) -> Result<(), String> {
    let left = body(rust, name).map(|body| statements(&normal_rust(body)));
    let right = body(cuda, name).map(|body| statements(&normal_cuda(body)));
    let (Some(left), Some(right)) = (&left, &right) else {
        let side = if left.is_none() { "Rust" } else { "CUDA" };
        return Err(format!("{name}\n  {side} has none"));
    };
    for i in 0..left.len().max(right.len()) {
        let at = |side: &[String]| side.get(i).cloned().unwrap_or("(the end)".to_owned());
        if at(left) != at(right) {
            return Err(format!("{name}, statement {}\n  Rust: {}\n  CUDA: {}", i + 1, at(left), at(right)));
        }
    }
    Ok(())
}

/// Names, numbers and operators; comments and numbers' suffixes are dropped.
fn tokens(text: &str) -> Vec<Token> {
    const PAIRS: &[&str] = &["::", "->", "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/=", "<<", ">>"];
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").expect("a comment ends") + 2
        } else if is_word(first) {
            word_length(rest)
        } else {
            PAIRS.iter().find(|pair| rest.starts_with(**pair)).map_or(first.len_utf8(), |pair| pair.len())
        };
        if !rest.starts_with("//") && !rest.starts_with("/*") && !first.is_whitespace() {
            tokens.push(plain_number(&rest[..length]).to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

fn is_word(first: char) -> bool {
    first.is_alphanumeric() || first == '_'
}

/// The length of the name or number that `text` starts with.
fn word_length(text: &str) -> usize {
    let number = text.starts_with(|c: char| c.is_ascii_digit());
    let bytes = text.as_bytes();
    let continues = |i: usize| match bytes[i] {
        b'.' => number && bytes.get(i + 1).is_some_and(u8::is_ascii_digit),
        b'-' | b'+' => number && bytes[i - 1] == b'e',
        byte => byte == b'_' || byte.is_ascii_alphanumeric(),
    };
    (1..bytes.len()).find(|&i| !continues(i)).unwrap_or(bytes.len())
}

fn plain_number(word: &str) -> &str {
    let decimal = word.starts_with(|c: char| c.is_ascii_digit()) && !word.starts_with("0x");
    if decimal { word.split(['_', 'f', 'u', 'U']).next().expect("split gives a first part") } else { word }
}

/// The tokens inside the brackets that open at `open`.
fn inside(tokens: &[Token], open: usize) -> &[Token] {
    &tokens[open + 1..closing(tokens, open)]
}

fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "(" | "{" | "[" => depth += 1,
            ")" | "}" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    panic!("`{}` is not closed", tokens[open]);
}

fn find(tokens: &[Token], pattern: &[&str]) -> Option<usize> {
    tokens.windows(pattern.len()).position(|window| window == pattern)
}

/// A record's fields in Rust. `settings!` makes `Hyper` of the settings; a record that is not written has none.
fn rust_fields<'a>(tokens: &'a [Token], record: &str) -> Vec<&'a str> {
    let settings = if record == "Hyper" { find(tokens, &["settings", "!", "{"]) } else { None };
    let Some(start) = settings.or_else(|| find(tokens, &["struct", record, "{"])) else { return Vec::new() };
    if settings.is_some() {
        let fields = inside(tokens, start + 2).windows(3).filter(|window| window[0] == "pub" && window[2] == ":");
        return fields.map(|window| window[1].as_str()).collect();
    }
    inside(tokens, start + 2).iter().filter(|token| *token != ",").map(String::as_str).collect()
}

fn cuda_fields<'a>(tokens: &'a [Token], record: &str) -> Vec<&'a str> {
    let Some(start) = find(tokens, &["struct", record, "{"]) else { return Vec::new() };
    let fields = inside(tokens, start + 2).iter().map(String::as_str);
    fields.filter(|token| ![",", ";", "double", "T"].contains(token)).collect()
}

/// Every function's name and its place: after `fn`, or after `__device__` before the first bracket.
fn functions(tokens: &[Token]) -> Vec<(&str, usize)> {
    let place = |i: usize| match tokens[i].as_str() {
        "fn" => Some(i + 1),
        "__device__" => Some(i + tokens[i..].iter().position(|token| token == "(")? - 1),
        _ => None,
    };
    (0..tokens.len()).filter_map(place).map(|place| (tokens[place].as_str(), place)).collect()
}

fn body<'a>(tokens: &'a [Token], name: &str) -> Option<&'a [Token]> {
    let (_, place) = functions(tokens).into_iter().find(|(found, _)| *found == name)?;
    let parameters = place + tokens[place..].iter().position(|token| token == "(")?;
    let after = closing(tokens, parameters);
    let open = after + tokens[after..].iter().position(|token| token == "{")?;
    Some(inside(tokens, open))
}

fn normal_rust(body: &[Token]) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut i = 0;
    while i < body.len() {
        let next = |n: usize| body.get(i + n).map_or("", String::as_str);
        match body[i].as_str() {
            "return" => i += 1,
            // let mut name: Type =
            "let" => {
                let name = i + 1 + usize::from(next(1) == "mut");
                out.push(body[name].clone());
                i = name + 1 + if body[name + 1] == ":" { 2 } else { 0 };
            }
            // ::<T>
            "::" if next(1) == "<" => i += 4,
            "as" => {
                let start = cast_start(&out);
                let to = if next(1) == "f64" { "double".to_owned() } else { next(1).replace('u', "uint") + "_t" };
                if out[start] == "(" {
                    out.insert(start, to);
                } else {
                    let operand = out.split_off(start);
                    out.extend([to, "(".to_owned()]);
                    out.extend(operand);
                    out.push(")".to_owned());
                }
                i += 2;
            }
            // Name { field: value, same }
            name if next(1) == "{" && name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase) => {
                out.push("{".to_owned());
                for field in fields(inside(body, i + 1)) {
                    out.push(field[0].clone());
                    out.push("=".to_owned());
                    let value = if field.len() == 1 { field } else { &field[2..] };
                    out.extend(normal_rust(value));
                    out.push(",".to_owned());
                }
                out.push("}".to_owned());
                i = closing(body, i + 1) + 1;
            }
            token => {
                out.push(token.to_owned());
                i += 1;
            }
        }
    }
    out
}

/// Where the operand of a cast starts that ends `tokens`: a bracket, or a name and its fields.
fn cast_start(tokens: &[Token]) -> usize {
    let last = tokens.len() - 1;
    if tokens[last] == ")" {
        return (0..last)
            .rev()
            .find(|&open| tokens[open] == "(" && closing(tokens, open) == last)
            .expect("brackets match");
    }
    let named = |token: &Token| token == "." || token.starts_with(is_word);
    (0..last).rev().find(|&i| !named(&tokens[i])).map_or(0, |i| i + 1)
}

fn normal_cuda(body: &[Token]) -> Vec<Token> {
    let types = ["T", "double", "bool", "uint64_t", "auto"];
    let mut out: Vec<Token> = Vec::new();
    let mut unbracketed = Vec::new();
    for (i, token) in body.iter().enumerate() {
        let before = if i > 0 { body[i - 1].as_str() } else { "" };
        let next = body.get(i + 1).map_or("", String::as_str);
        let declares = types.contains(&token.as_str()) && next.starts_with(is_word);
        let argument =
            |i: usize| i > 0 && body[i - 1] == "<" && types.contains(&body[i].as_str()) && body[i + 1] == ">";
        let template = argument(i) || i + 1 < body.len() && argument(i + 1) || i > 0 && argument(i - 1);
        if token == "(" && ["if", "while"].contains(&before) {
            unbracketed.extend([i, closing(body, i)]);
        }
        let designator = token == "." && ["{", ","].contains(&before);
        let dropped = ["return", "const"].contains(&token.as_str());
        if !(declares || template || designator || dropped || unbracketed.contains(&i)) {
            out.push(token.clone());
        }
    }
    out
}

/// A struct literal's fields: what stands between commas that are in no bracket.
fn fields(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (i, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "(" | "{" | "[" => depth += 1,
            ")" | "}" | "]" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&tokens[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// One text a statement, field or block edge. Separators are dropped: a last expression has no semicolon in Rust.
fn statements(tokens: &[Token]) -> Vec<String> {
    let (mut all, mut current, mut depth) = (Vec::new(), Vec::new(), 0);
    for token in tokens.iter().map(String::as_str).chain([";"]) {
        depth += i32::from(token == "(") - i32::from(token == ")");
        if token == ";" || token == "," && depth == 0 || token == "{" || token == "}" {
            all.push(std::mem::take(&mut current).join(" "));
        } else {
            current.push(token);
        }
        if token == "{" || token == "}" {
            all.push(token.to_owned());
        }
    }
    all.retain(|statement| !statement.is_empty());
    all
}
