"""Comparisons and selections."""

from . import floating as fp
from .edges import float_rows, floats, integer_rows, paired
from .floating import BF16, F16, F32, F64
from .integer import value
from .writing import File, Form

INTEGER_ORDERS = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
UNSIGNED_NAMES = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
FLOAT_ORDERS = ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"]
BOOLEANS = {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b}


def order(name, kind):
    """Whether an order holds between operands of a type. The orders with u hold if an operand is NaN, others do not."""
    kind, _, ftz = kind.partition(" ")
    form = {"f32": F32, "f64": F64, "f16": F16, "bf16": BF16}.get(kind)
    if form is None:
        test = INTEGER_ORDERS[UNSIGNED_NAMES.get(name, name)]
        return lambda a, b: test(value(kind, a), value(kind, b))

    def run(a, b):
        if ftz:
            a, b = fp.flush(form, a), fp.flush(form, b)
        nan = fp.is_nan(form, a) or fp.is_nan(form, b)
        if name in ("num", "nan"):
            return nan == (name == "nan")
        if nan:
            return len(name) == 3
        key = lambda word: -(word & (fp.sign_bit(form) - 1)) if word & fp.sign_bit(form) else word
        return INTEGER_ORDERS[name[:2]](key(a), key(b))

    return run


def width_of(kind):
    return int(kind.split()[0].lstrip("bfsu"))


def orders_of(kind):
    if "f" in kind:
        return FLOAT_ORDERS
    if kind[0] == "b":
        return ["eq", "ne"]
    return list(INTEGER_ORDERS) + (list(UNSIGNED_NAMES) if kind[0] == "u" else [])


def rows_of(kind):
    if "f" not in kind:
        rows = integer_rows([width_of(kind)] * 2, 301, 8)
        return rows + [(a, a) for a, _ in rows[::9]]
    form = {"f32": F32, "f64": F64, "f16": F16, "bf16": BF16}[kind.split()[0]]
    edges = floats(form)
    return float_rows(form, 2, 302, 6, 6) + [(a, a) for a in edges[::3]] + [(0, fp.sign_bit(form)), (1, 0), (0, 1)]


def predicates():
    file = File("setp", "Compares; the second predicate is the opposite; both may be combined with a third.", "sm_90")
    for kind in (
        "b16",
        "b32",
        "b64",
        "u16",
        "s16",
        "u32",
        "s32",
        "u64",
        "s64",
        "f32",
        "f64",
        "f16",
        "bf16",
        "f32 ftz",
        "f16 ftz",
    ):
        width = width_of(kind)
        typed = ".".join(reversed(kind.split()))
        forms = [Form(f"setp.{o}.{typed}", 1, order(o, kind)) for o in orders_of(kind)]
        name = f"setp_{kind.replace(' ', '_')}"
        file.elementwise(name, [width] * 2, rows_of(kind), forms)
        if " " in kind:
            continue
        combined = []
        for i, (boolean, join) in enumerate(BOOLEANS.items()):
            o = orders_of(kind)[i % len(orders_of(kind))]
            holds = order(o, kind)
            for negated in (0, 1):
                code = f"setp.{o}.{boolean}.{typed} %s, {{a}}, {{b}}, {'!' * negated}{{c}};"
                third = lambda c, n=negated: c ^ n
                first = lambda a, b, c, j=join, h=holds, t=third: j(int(h(a, b)), t(c))
                second = lambda a, b, c, j=join, h=holds, t=third: j(int(not h(a, b)), t(c))
                combined.append(Form(code % "{d}", 1, first))
                if "f16" not in kind:
                    combined += [Form(code % "{d}|%p90", 1, first), Form(code % "%p90|{d}", 1, second)]
        rows = [(*row, bit) for row in rows_of(kind)[::3] for bit in (0, 1)]
        file.elementwise(name + "_combined", [width, width, 1], rows, combined)
    return file


def values():
    file = File("set", "Compares; the result is all ones or 1.0 if the order holds, else 0.", "sm_90")
    for kind in ("b16", "b32", "b64", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "f32 ftz"):
        width, forms = width_of(kind), []
        ftz = ".ftz" * kind.endswith("ftz")
        for i, o in enumerate(orders_of(kind)):
            for j, (result, true) in enumerate((("u32", 0xFFFFFFFF), ("s32", 0xFFFFFFFF), ("f32", 0x3F800000))):
                if i % 3 == j or i < 2:
                    holds = order(o, kind)
                    forms.append(
                        Form(f"set.{o}{ftz}.{result}.{kind.split()[0]}", 32, lambda a, b, h=holds, t=true: t * h(a, b))
                    )
        file.elementwise(f"set_{kind.replace(' ', '_')}", [width] * 2, rows_of(kind)[::2], forms)
        if not ftz:
            forms = []
            for i, (boolean, join) in enumerate(BOOLEANS.items()):
                o = orders_of(kind)[-1 - i % 2]
                for n in (0, 1):
                    run = lambda a, b, c, h=order(o, kind), j=join, n=n: 0xFFFFFFFF * j(int(h(a, b)), c ^ n)
                    code = f"set.{o}.{boolean}.u32.{kind} {{d}}, {{a}}, {{b}}, {'!' * n}{{c}};"
                    forms.append(Form(code, 32, run))
            rows = [(*row, bit) for row in rows_of(kind)[::4] for bit in (0, 1)]
            file.elementwise(f"set_{kind}_combined", [width, width, 1], rows, forms)
    for kind, one in (("f16", 0x3C00), ("bf16", 0x3F80), ("f16 ftz", 0x3C00)):
        base, ftz = kind.split()[0], ".ftz" * kind.endswith("ftz")
        forms, packed = [], []
        for o in FLOAT_ORDERS:
            run = lambda a, b, h=order(o, kind), t=one: t * h(a, b)
            forms.append(Form(f"set.{o}{ftz}.{base}.{base}", 16, run))
            packed.append(Form(f"set.{o}{ftz}.{base}x2.{base}x2", 32, fp.pairs(run)))
        combined, both = [], []
        for i, (boolean, join) in enumerate(BOOLEANS.items()):
            for n in (0, 1):
                o = FLOAT_ORDERS[2 + 3 * i + n]
                run = lambda a, b, c, h=order(o, kind), j=join, n=n, t=one: t * j(int(h(a, b)), c ^ n)
                code = f"set.{o}.{boolean}{ftz}.{base}%s.{base}%s {{d}}, {{a}}, {{b}}, {'!' * n}{{c}};"
                combined.append(Form(code % ("", ""), 16, run))
                halves = lambda a, b, c, f=run: f(a >> 16, b >> 16, c) << 16 | f(a & 0xFFFF, b & 0xFFFF, c)
                both.append(Form(code % ("x2", "x2"), 32, halves))
        name = f"set_{kind.replace(' ', '_')}"
        rows = rows_of(kind)[::3]
        file.elementwise(name + "_combined", [16, 16, 1], [(*row, bit) for row in rows for bit in (0, 1)], combined)
        file.elementwise(
            name + "_pairs_combined", [32, 32, 1], [(*row, bit) for row in paired(rows) for bit in (0, 1)], both
        )
        file.elementwise(name, [16] * 2, rows_of(kind)[::2], forms)
        file.elementwise(name + "_pairs", [32] * 2, paired(rows_of(kind)[::2]), packed)
    return file


SCALARS = ("b16", "b32", "b64", "u16", "u32", "u64", "s16", "s32", "s64", "f32", "f64")


def selections():
    selp = File("selp", "The first operand if the predicate holds, else the second.")
    slct = File("slct", "The first operand if the third is not negative, else the second; of a NaN the second.")
    for width in (16, 32, 64):
        kinds = [kind for kind in SCALARS if width_of(kind) == width]
        rows = [(*row, i % 2) for i, row in enumerate(integer_rows([width] * 2, 303, 6)[::3])]
        selp.elementwise(
            f"selp_{width}",
            [width, width, 1],
            rows,
            [Form(f"selp.{kind}", width, lambda a, b, p: a if p else b) for kind in kinds],
        )
        first, second = 0x1234567890ABCDEF & ((1 << width) - 1), 0x7EDCBA0987654321 & ((1 << width) - 1)
        rows = [(first, second, c) for c in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)]
        rows += [(second, first, c) for c in (0, 0x80000001)]
        slct.elementwise(
            f"slct_{width}_s32",
            [width, width, 32],
            rows,
            [Form(f"slct.{kind}.s32", width, lambda a, b, c: b if c >> 31 else a) for kind in kinds],
        )

        def by_float(a, b, c):
            number = fp.decode(F32, c)
            below = number.kind == "nan" or (number.negative and number.magnitude != 0)
            return b if below else a

        rows = [(first, second, c) for c in floats(F32)]
        for ftz in (False, True):
            run = lambda a, b, c, z=ftz: by_float(a, b, fp.flush(F32, c) if z else c)
            forms = [Form(f"slct{'.ftz' * ftz}.{kind}.f32", width, run) for kind in kinds]
            slct.elementwise(f"slct_{width}{'_ftz' * ftz}_f32", [width, width, 32], rows, forms)
    return [selp, slct]


def files():
    return [predicates(), values(), *selections()]
