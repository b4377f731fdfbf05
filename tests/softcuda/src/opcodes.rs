//! Every instruction the driver knows.
//!
//! One row an opcode: its name, its operands, its forms and what it does. The parser matches the modifiers of an
//! instruction against the forms; what matches none is refused. A form is a list of items in the order in which they are
//! written:
//!
//! - `a|b` is one of the modifiers `.a` and `.b`, and must stand there;
//! - `[a|b]` is the same, and may be missing;
//! - a word in capitals is a set of modifiers, see [`SETS`].
//!
//! So `[RND] [ftz] [sat] f32` of `add` is `add.f32`, `add.rn.f32`, `add.rz.ftz.sat.f32` and so on.
//!
//! Operands: `d` is written, `a b c` are read, `p q` are predicates, `[a]` is memory, `{!}` may be negated, `{}` may be
//! missing. Some modifiers say nothing about results and are accepted and dropped: cache operators and eviction
//! priorities, prefetch sizes, `.nc`, `.weak`, scopes, and `.uni` of calls and returns.

/// An instruction: see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Opcode {
    /// The word before the first dot.
    pub name: &'static str,
    /// The operands.
    pub operands: &'static str,
    /// The modifiers, one string a form.
    pub forms: &'static [&'static str],
    /// What it does.
    pub doc: &'static str,
}

/// Sets of modifiers that forms name in capitals.
pub const SETS: &[(&str, &str)] = &[
    ("RND", "rn|rz|rm|rp"),
    ("RNDI", "rni|rzi|rmi|rpi"),
    ("INT", "u16|u32|u64|s16|s32|s64"),
    ("INT32", "u32|u64|s32|s64"),
    ("INT8", "u8|u16|u32|u64|s8|s16|s32|s64"),
    ("UNSIGNED", "u8|u16|u32|u64"),
    ("BITS", "b16|b32|b64"),
    ("HALF", "f16|f16x2"),
    ("BHALF", "bf16|bf16x2"),
    ("SCALAR", "b16|b32|b64|u16|u32|u64|s16|s32|s64|f32|f64"),
    ("MEMORY", "b8|b16|b32|b64|u8|u16|u32|u64|s8|s16|s32|s64|f32|f64"),
    ("SPACE", "global|shared|shared::cta|local|const|param"),
    ("STORESPACE", "global|shared|shared::cta|local|param"),
    ("ATOMSPACE", "global|shared|shared::cta"),
    ("SCOPE", "cta|gpu|sys"),
    ("SEM", "relaxed|acquire|release|acq_rel"),
    ("LOADCACHE", "ca|cg|cs|lu|cv"),
    ("STORECACHE", "wb|cg|cs|wt"),
    ("EVICT", "L1::evict_normal|L1::evict_unchanged|L1::evict_first|L1::evict_last|L1::no_allocate"),
    ("PREFETCH", "L2::64B|L2::128B|L2::256B"),
    ("ORDER", "eq|ne|lt|le|gt|ge"),
    ("UNSIGNEDORDER", "lo|ls|hi|hs"),
    ("FLOATORDER", "eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan"),
    ("BOOL", "and|or|xor"),
];

macro_rules! opcodes {
    ($($name:literal $operands:literal [$($form:literal),+ $(,)?] $doc:literal;)+) => {
        /// The table.
        pub const OPCODES: &[Opcode] =
            &[$(Opcode { name: $name, operands: $operands, forms: &[$($form),+], doc: $doc }),+];
    };
}

opcodes! {
    // Moves.
    "mov" "d, a" ["pred|SCALAR|b128"] "copies; `{a, b}` on a side packs or unpacks parts of equal width";
    "ld" "d, [a]" [
        "[weak] [SPACE] [LOADCACHE] [PREFETCH] [v2|v4] MEMORY",
        "[weak] [SPACE] [EVICT] [PREFETCH] [v2|v4] MEMORY",
        "global [ca|cg|cs] nc [PREFETCH] [v2|v4] MEMORY",
        "global nc [EVICT] [PREFETCH] [v2|v4] MEMORY",
        "volatile [ATOMSPACE] [v2|v4] MEMORY",
        "relaxed|acquire SCOPE [ATOMSPACE] [EVICT] [PREFETCH] [v2|v4] MEMORY",
        "[weak] [SPACE] b128",
    ] "loads one, two or four values";
    "ldu" "d, [a]" ["[global] [v2|v4] MEMORY"] "loads what is the same for the whole warp";
    "st" "[a], b" [
        "[weak] [STORESPACE] [STORECACHE] [v2|v4] MEMORY",
        "[weak] [STORESPACE] [EVICT] [v2|v4] MEMORY",
        "volatile [ATOMSPACE] [v2|v4] MEMORY",
        "relaxed|release SCOPE [ATOMSPACE] [EVICT] [v2|v4] MEMORY",
        "[weak] [STORESPACE] b128",
    ] "stores one, two or four values";
    "cvta" "d, a" ["[to] SPACE u64"] "turns an address of a space into a generic one, or back";
    "isspacep" "p, a" ["SPACE"] "whether a generic address lies in a space";
    "prefetch" "[a]" ["[global|local] L1|L2", "global L2::evict_last|L2::evict_normal"] "does nothing";
    "prefetchu" "[a]" ["L1"] "does nothing";

    // Integers, and floats under the same name.
    "add" "d, a, b" ["INT", "sat s32", "cc INT32", "[RND] [ftz] [sat] f32", "[RND] f64", "[rn] [ftz] [sat] HALF",
        "[rn] BHALF"] "a + b; `.cc` writes the carry";
    "sub" "d, a, b" ["INT", "sat s32", "cc INT32", "[RND] [ftz] [sat] f32", "[RND] f64", "[rn] [ftz] [sat] HALF",
        "[rn] BHALF"] "a - b; `.cc` writes the borrow";
    "addc" "d, a, b" ["[cc] INT32"] "a + b + carry";
    "subc" "d, a, b" ["[cc] INT32"] "a - b - borrow";
    "mul" "d, a, b" ["lo|hi INT", "wide u16|u32|s16|s32", "[RND] [ftz] [sat] f32", "[RND] f64",
        "[rn] [ftz] [sat] HALF", "[rn] BHALF"] "a * b: the low or high half, or the whole product";
    "mul24" "d, a, b" ["lo|hi u32|s32"] "the low or high 32 bits of the 48-bit product of 24-bit values";
    "mad" "d, a, b, c" ["lo|hi INT", "wide u16|u32|s16|s32", "hi sat s32", "lo|hi cc INT32", "RND [ftz] [sat] f32",
        "RND f64"] "a * b + c; of floats, fused";
    "madc" "d, a, b, c" ["lo|hi [cc] INT32"] "a * b + c + carry";
    "mad24" "d, a, b, c" ["lo|hi u32|s32"] "mul24 plus c";
    "sad" "d, a, b, c" ["INT"] "|a - b| + c";
    "div" "d, a, b" ["INT", "RND [ftz] f32", "approx|full [ftz] f32", "RND f64"] "a / b";
    "rem" "d, a, b" ["INT"] "a % b, with the sign of a";
    "abs" "d, a" ["s16|s32|s64", "[ftz] f32", "f64", "[ftz] HALF", "BHALF"] "|a|";
    "neg" "d, a" ["s16|s32|s64", "[ftz] f32", "f64", "[ftz] HALF", "BHALF"] "-a";
    "min" "d, a, b" ["INT", "[ftz] [NaN] f32", "f64", "[ftz] [NaN] HALF", "[NaN] BHALF"]
        "the lesser; a NaN loses against a number, unless `.NaN`";
    "max" "d, a, b" ["INT", "[ftz] [NaN] f32", "f64", "[ftz] [NaN] HALF", "[NaN] BHALF"]
        "the greater; a NaN loses against a number, unless `.NaN`";
    "popc" "d, a" ["b32|b64"] "how many bits are set; d is u32";
    "clz" "d, a" ["b32|b64"] "how many leading bits are clear; d is u32";
    "bfind" "d, a" ["[shiftamt] INT32"] "where the highest bit that is not a sign stands; d is u32";
    "brev" "d, a" ["b32|b64"] "the bits in reverse";
    "bfe" "d, a, b, c" ["INT32"] "c bits of a from position b";
    "bfi" "d, a, b, c, d" ["b32|b64"] "b with its d bits from position c replaced by a";
    "dp4a" "d, a, b, c" ["u32|s32 u32|s32"] "the dot product of four bytes, plus c";

    // Bits.
    "and" "d, a, b" ["pred|BITS"] "a & b";
    "or" "d, a, b" ["pred|BITS"] "a | b";
    "xor" "d, a, b" ["pred|BITS"] "a ^ b";
    "not" "d, a" ["pred|BITS"] "!a";
    "cnot" "d, a" ["BITS"] "1 if a is 0, else 0";
    "lop3" "d, a, b, c, table" ["b32"] "any function of three bits, from its truth table";
    "shl" "d, a, b" ["BITS"] "a << b; 0 from the width on";
    "shr" "d, a, b" ["BITS|INT"] "a >> b; 0 or the sign from the width on";
    "shf" "d, a, b, c" ["l|r clamp|wrap b32"] "shifts the 64 bits b:a";
    "prmt" "d, a, b, c" ["b32 [f4e|b4e|rc8|ecl|ecr|rc16]"] "picks four of the eight bytes b:a";

    // Floats.
    "fma" "d, a, b, c" ["RND [ftz] [sat] f32", "RND f64", "rn [ftz] [sat] HALF", "rn [ftz] relu HALF",
        "rn [relu] BHALF"] "a * b + c, rounded once";
    "rcp" "d, a" ["RND [ftz] f32", "approx [ftz] f32", "RND f64", "approx ftz f64"] "1 / a";
    "sqrt" "d, a" ["RND [ftz] f32", "approx [ftz] f32", "RND f64"] "the square root";
    "rsqrt" "d, a" ["approx [ftz] f32", "approx [ftz] f64"] "1 / the square root";
    "sin" "d, a" ["approx [ftz] f32"] "the sine";
    "cos" "d, a" ["approx [ftz] f32"] "the cosine";
    "lg2" "d, a" ["approx [ftz] f32"] "the logarithm to base 2";
    "ex2" "d, a" ["approx [ftz] f32", "approx HALF", "approx ftz BHALF"] "2 to the power of a";
    "tanh" "d, a" ["approx f32", "approx HALF|BHALF"] "the hyperbolic tangent";
    "copysign" "d, a, b" ["f32|f64"] "b with the sign of a";
    "testp" "p, a" ["finite|infinite|number|notanumber|normal|subnormal f32|f64"] "what kind of number a is";

    // Comparisons, selections, conversions.
    "setp" "p{|q}, a, b{, {!}c}" [
        "eq|ne [BOOL] BITS",
        "ORDER [BOOL] s16|s32|s64",
        "ORDER|UNSIGNEDORDER [BOOL] u16|u32|u64",
        "FLOATORDER [BOOL] [ftz] f32|f16",
        "FLOATORDER [BOOL] f64|bf16",
    ] "compares; q, not of halves, is the opposite; both are combined with c";
    "set" "d, a, b{, {!}c}" [
        "eq|ne [BOOL] u32|s32|f32 BITS",
        "ORDER [BOOL] u32|s32|f32 s16|s32|s64",
        "ORDER|UNSIGNEDORDER [BOOL] u32|s32|f32 u16|u32|u64",
        "FLOATORDER [BOOL] [ftz] u32|s32|f32 f32",
        "FLOATORDER [BOOL] u32|s32|f32 f64",
        "FLOATORDER [BOOL] [ftz] f16 f16",
        "FLOATORDER [BOOL] [ftz] f16x2 f16x2",
        "FLOATORDER [BOOL] bf16 bf16",
        "FLOATORDER [BOOL] bf16x2 bf16x2",
    ] "compares; d is all ones or 1.0 if it holds, else 0; of pairs, each half";
    "selp" "d, a, b, p" ["SCALAR"] "a if p, else b";
    "slct" "d, a, b, c" ["SCALAR s32", "[ftz] SCALAR f32"] "a if c is not negative, else b";
    "cvt" "d, a{, b}" [
        "INT8 INT8",
        "sat s8 u8",
        "sat u8|s8|s16 u16",
        "sat u8|u16|s8|s16|s32 u32",
        "sat u8|u16|u32|s8|s16|s32|s64 u64",
        "sat UNSIGNED s8",
        "sat UNSIGNED|s8 s16",
        "sat UNSIGNED|s8|s16 s32",
        "sat UNSIGNED|s8|s16|s32 s64",
        "RNDI [ftz] [sat] INT8 f32",
        "RNDI [sat] INT8 f16|f64",
        "RNDI INT bf16",
        "RND [sat] f16|f32|f64 INT8",
        "RND bf16 INT",
        "[RNDI] [ftz] [sat] f32 f32",
        "[RNDI] [sat] f64 f64",
        "[RNDI] [sat] f16 f16",
        "RNDI bf16 bf16",
        "[ftz] [sat] f32 f16",
        "[ftz] f32 bf16",
        "[ftz] [sat] f64 f32",
        "[sat] f64 f16",
        "f64 bf16",
        "RND [ftz] [sat] f32 f64",
        "RND [ftz] [sat] f16 f32",
        "RND [sat] f16 f64",
        "RND bf16 f32|f64|f16",
        "RND f16 bf16",
        "rn|rz relu f16|bf16 f32",
        "rn|rz [relu] f16x2|bf16x2 f32",
        "rna tf32 f32",
        "rn|rz [relu] tf32 f32",
    ] "converts; `x2` packs a above b";

    // Control.
    "bra" "label" ["[uni]"] "branches";
    "brx" "a, table" ["idx [uni]"] "branches to the a-th label of a `.branchtargets` table";
    "call" "{(d), }function{, (a)}" ["[uni]"] "calls a function by name";
    "ret" "" ["[uni]"] "returns; ends the thread of a kernel";
    "exit" "" [""] "ends the thread";
    "trap" "" [""] "ends the kernel with an error";

    // Warps.
    "shfl" "d{|p}, a, b, c, mask" ["sync up|down|bfly|idx b32"] "reads a of another lane";
    "vote" "d, {!}p, mask" ["sync all|any|uni pred", "sync ballot b32"] "asks the lanes";
    "match" "d{|p}, a, mask" ["any sync b32|b64", "all sync b32|b64"] "which lanes hold the same a";
    "redux" "d, a, mask" ["sync add|min|max u32|s32", "sync and|or|xor b32"] "reduces over the lanes";
    "activemask" "d" ["b32"] "the lanes that run together";
    "nanosleep" "a" ["u32"] "lets another warp run";

    // Blocks and memory order.
    "bar" "{d, }a{, b}{, {!}p}" ["[cta] sync|arrive", "[cta] red popc u32", "[cta] red and|or pred", "warp sync"]
        "waits at barrier a for b threads or the whole block; `.warp` for the lanes of mask a";
    "barrier" "{d, }a{, b}{, {!}p}" ["[cta] sync|arrive [aligned]", "[cta] red popc [aligned] u32",
        "[cta] red and|or [aligned] pred"] "bar that a warp may reach in parts, unless `.aligned`";
    "membar" "" ["cta|gl|sys"] "orders memory";
    "fence" "" ["[sc|acq_rel] SCOPE", "acquire|release SCOPE"] "orders memory";
    "atom" "d, [a], b{, c}" [
        "[SEM] [SCOPE] [ATOMSPACE] and|or|xor|exch b32|b64",
        "[SEM] [SCOPE] [ATOMSPACE] cas b16|b32|b64",
        "[SEM] [SCOPE] [ATOMSPACE] add u32|s32|u64|f32|f64",
        "[SEM] [SCOPE] [ATOMSPACE] add noftz HALF|BHALF",
        "[SEM] [SCOPE] [ATOMSPACE] min|max u32|s32|u64|s64",
        "[SEM] [SCOPE] [ATOMSPACE] inc|dec u32",
        "add SEM SCOPE u32",
    ] "changes memory in one step and gives what stood there";
    "red" "[a], b" [
        "[relaxed|release] [SCOPE] [ATOMSPACE] and|or|xor b32|b64",
        "[relaxed|release] [SCOPE] [ATOMSPACE] add u32|s32|u64|f32|f64",
        "[relaxed|release] [SCOPE] [ATOMSPACE] add noftz HALF|BHALF",
        "[relaxed|release] [SCOPE] [ATOMSPACE] min|max u32|s32|u64|s64",
        "[relaxed|release] [SCOPE] [ATOMSPACE] inc|dec u32",
    ] "changes memory in one step";

    // Asynchronous copies and matrices.
    "cp" "{[a], [b], bytes{, source bytes}}" [
        "async ca|cg shared|shared::cta global [PREFETCH]",
        "async commit_group|wait_group|wait_all",
    ] "copies 4, 8 or 16 bytes from global to shared memory, seen after a wait";
    "ldmatrix" "{d..}, [a]" ["sync aligned m8n8 x1|x2|x4 [trans] shared|shared::cta b16"]
        "loads 8x8 matrices of 16-bit values, a row an address";
    "mma" "{d..}, {a..}, {b..}, {c..}" [
        "sync aligned m16n8k4|m16n8k8 row col f32 tf32 tf32 f32",
        "sync aligned m16n8k8|m16n8k16 row col f32 bf16 bf16 f32",
        "sync aligned m16n8k8|m16n8k16 row col f32 f16 f16 f32",
        "sync aligned m16n8k8|m16n8k16 row col f16 f16 f16 f16",
    ] "multiplies matrices spread over the warp, and adds c";
}

/// The row of an opcode.
pub fn find(name: &str) -> Option<&'static Opcode> {
    OPCODES.iter().find(|opcode| opcode.name == name)
}

/// An item of a form: modifiers of which one stands there.
#[derive(Clone, Debug)]
pub struct Item {
    /// It may be missing.
    pub optional: bool,
    /// The modifiers, without dots.
    pub choices: Vec<&'static str>,
}

/// The items of a form.
pub fn items(form: &'static str) -> Vec<Item> {
    form.split_whitespace()
        .map(|item| {
            let inner = item.strip_prefix('[').and_then(|item| item.strip_suffix(']'));
            Item { optional: inner.is_some(), choices: choices(inner.unwrap_or(item)) }
        })
        .collect()
}

fn choices(words: &'static str) -> Vec<&'static str> {
    words
        .split('|')
        .flat_map(|word| match SETS.iter().find(|(name, _)| *name == word) {
            Some((_, set)) => set.split('|').collect(),
            None => vec![word],
        })
        .collect()
}

impl Opcode {
    /// Whether the modifiers, in their order, are one of the forms.
    pub fn accepts(&self, modifiers: &[&str]) -> bool {
        self.forms.iter().any(|form| matches(form, modifiers))
    }

    /// Whether a form has this modifier.
    pub fn knows(&self, modifier: &str) -> bool {
        self.forms.iter().any(|form| form.split_whitespace().any(|item| stands_for(item, modifier)))
    }
}

fn matches(form: &str, modifiers: &[&str]) -> bool {
    let mut rest = modifiers.iter().peekable();
    for item in form.split_whitespace() {
        if rest.next_if(|modifier| stands_for(item, modifier)).is_none() && !item.starts_with('[') {
            return false;
        }
    }
    rest.next().is_none()
}

fn stands_for(item: &str, modifier: &str) -> bool {
    let words = item.trim_start_matches('[').trim_end_matches(']');
    words.split('|').any(|word| match SETS.iter().find(|(name, _)| *name == word) {
        Some((_, set)) => set.split('|').any(|choice| choice == modifier),
        None => word == modifier,
    })
}
