"""Integer arithmetic."""

from .edges import integer_rows
from .writing import File, Form, word


def value(kind, bits):
    """The number that bits are in a type such as s32."""
    width = int(kind[1:])
    bits &= (1 << width) - 1
    return bits - (1 << width) if kind[0] == "s" and bits >> (width - 1) else bits


def limits(kind):
    width = int(kind[1:])
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if kind[0] == "s" else (0, (1 << width) - 1)


def clamp(kind, number):
    low, high = limits(kind)
    return max(low, min(high, number))


def truncated(a, b):
    """The quotient, rounded toward zero."""
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def typed(kind, function):
    return lambda *operands: function(*(value(kind, operand) for operand in operands))


def by_width(file, forms, count, seed, smalls=(), extra=(), keep=lambda row: True):
    """A kernel a width of `forms`: (width, form) pairs whose operands all have that width."""
    for width in (16, 32, 64):
        chosen = [form for w, form in forms if w == width]
        if chosen:
            rows = [row for row in integer_rows([width] * count, seed + width, smalls=smalls) if keep(row)]
            file.elementwise(f"{file.opcode}_{width}", [width] * count, list(extra) + rows, chosen)


KINDS = ["u16", "s16", "u32", "s32", "u64", "s64"]


def simple(opcode, about, function, count, kinds=KINDS, keep=lambda row: True):
    """An instruction that is one function of numbers in every type."""
    file = File(opcode, about)
    forms = [(int(kind[1:]), Form(f"{opcode}.{kind}", int(kind[1:]), typed(kind, function))) for kind in kinds]
    by_width(file, forms, count, len(opcode), keep=keep)
    return file


def carry_chain(opcode, kind, width):
    """Whether an instruction with .cc sets the carry: seen by addc, or subc, of zeros."""
    reads = "subc" if opcode == "sub" else "addc"
    register = "%r90" if width == 32 else "%d90"
    operands = ", ".join("{%s}" % name for name in "abc"[: 3 if "mad" in opcode else 2])
    return f"{opcode}.cc.{kind} {register}, {operands};\n{reads}.{kind} {{d}}, 0, 0;"


def sums(opcode, sign, about, floats):
    file = File(opcode, about, target="sm_90")
    forms = [(int(k[1:]), Form(f"{opcode}.{k}", int(k[1:]), lambda a, b: a + sign * b)) for k in KINDS]
    forms.append((32, Form(f"{opcode}.sat.s32", 32, typed("s32", lambda a, b: clamp("s32", a + sign * b)))))
    for kind in ("u32", "s32", "u64", "s64"):
        width = int(kind[1:])
        forms.append((width, Form(f"{opcode}.cc.{kind}", width, lambda a, b: a + sign * b)))
        # A carry is 1; a borrow makes 0 - 0 - borrow all ones.
        carried = lambda a, b, w=width: (a + b) >> w if sign > 0 else -int(a < b)
        forms.append((width, Form(carry_chain(opcode, kind, width), width, carried)))
    by_width(file, forms, 2, 11)
    floats(file)
    return file


def with_carry(opcode, sets, about):
    """addc and subc: the third operand, 0 or 1, is put into the carry or borrow first."""
    file = File(opcode, about)
    sign = 1 if opcode == "addc" else -1
    for width in (32, 64):
        forms = []
        for kind in (f"u{width}", f"s{width}"):
            scratch = "%r90" if width == 32 else "%d90"
            # c + ~0 carries if c is 1; 0 - c borrows if c is 1.
            put = f"{sets}.cc.{kind} {scratch}, " + ("{c}, -1;\n" if sign > 0 else "0, {c};\n")
            forms.append(Form(put + f"{opcode}.{kind} {{d}}, {{a}}, {{b}};", width, lambda a, b, c: a + sign * (b + c)))
            again = put + f"{opcode}.cc.{kind} {{d}}, {{a}}, {{b}};\n"
            forms.append(Form(again, width, lambda a, b, c: a + sign * (b + c)))
            out = lambda a, b, c, w=width: (a + b + c) >> w if sign > 0 else -int(a < b + c)
            forms.append(Form(again + f"{opcode}.{kind} {{d}}, 0, 0;", width, out))
        rows = [(a, b, i % 2) for i, (a, b) in enumerate(integer_rows([width] * 2, 5, count=10))]
        rows += [(a, b, 1 - i % 2) for i, (a, b) in enumerate(integer_rows([width] * 2, 5, count=0))]
        file.elementwise(f"{opcode}_{width}", [width] * 3, rows, forms)
    return file


def multiplications(floats):
    file = File("mul", "The low half, the high half or all of a product; of floats the rounded product.", "sm_90")
    forms = []
    for kind in KINDS:
        width = int(kind[1:])
        forms.append((width, Form(f"mul.lo.{kind}", width, lambda a, b: a * b)))
        forms.append((width, Form(f"mul.hi.{kind}", width, typed(kind, lambda a, b, w=width: (a * b) >> w))))
        if width < 64:
            forms.append((width, Form(f"mul.wide.{kind}", 2 * width, typed(kind, lambda a, b: a * b))))
    by_width(file, forms, 2, 21)
    floats(file)
    return file


def multiply_adds(floats):
    file = File("mad", "The low half, the high half or all of a product, plus a third operand; of floats, fused.")
    forms = []
    for kind in KINDS:
        width = int(kind[1:])
        high = lambda a, b, c, w=width: ((a * b) >> w) + c
        forms.append((width, Form(f"mad.lo.{kind}", width, lambda a, b, c: a * b + c)))
        forms.append((width, Form(f"mad.hi.{kind}", width, typed(kind, high))))
        if width > 16:
            for half in ("lo", "hi"):
                forms.append(
                    (
                        width,
                        Form(
                            f"mad.{half}.cc.{kind}",
                            width,
                            typed(kind, high) if half == "hi" else lambda a, b, c: a * b + c,
                        ),
                    )
                )
                forms.append((width, Form(carry_chain(f"mad.{half}", kind, width), width, carry_of(half, kind))))
    high = lambda a, b, c: clamp("s32", ((a * b) >> 32) + c)
    forms.append((32, Form("mad.hi.sat.s32", 32, typed("s32", high))))
    by_width(file, forms, 3, 31)
    for width in (16, 32):
        wide = [
            Form(
                f"mad.wide.{k}{width} {{d}}, {{a}}, {{b}}, {{c}};",
                2 * width,
                lambda a, b, c, k=f"{k}{width}": value(k, a) * value(k, b) + c,
            )
            for k in "us"
        ]
        file.elementwise(
            f"mad_wide_{width}", [width, width, 2 * width], integer_rows([width, width, 2 * width], 33), wide
        )
    floats(file)
    return file


def carry_of(half, kind):
    """The carry of the last addition: of the product's half and the third operand, as unsigned numbers."""
    width = int(kind[1:])
    mask = (1 << width) - 1

    def carry(a, b, c):
        product = value(kind, a) * value(kind, b)
        part = (product if half == "lo" else product >> width) & mask
        return (part + c) >> width

    return carry


def multiply_adds_with_carry():
    file = File("madc", "A half of a product plus a third operand plus the carry, here the fourth operand.")
    for width in (32, 64):
        forms = []
        scratch = "%r90" if width == 32 else "%d90"
        for kind in (f"u{width}", f"s{width}"):
            put = f"add.cc.{kind} {scratch}, {{e}}, -1;\n"
            for half in ("lo", "hi"):
                part = lambda a, b, k=kind, h=half, w=width: (value(k, a) * value(k, b)) >> (w if h == "hi" else 0)
                total = lambda a, b, c, e, p=part: p(a, b) + c + e
                carry = lambda a, b, c, e, p=part, w=width: ((p(a, b) & ((1 << w) - 1)) + c + e) >> w
                code = put + f"madc.{half}.{kind} {{d}}, {{a}}, {{b}}, {{c}};"
                chained = put + f"madc.{half}.cc.{kind} {{d}}, {{a}}, {{b}}, {{c}};"
                forms += [Form(code, width, total), Form(chained, width, total)]
                forms.append(Form(chained + f"\naddc.{kind} {{d}}, 0, 0;", width, carry))
        rows = [(*row, i % 2) for i, row in enumerate(integer_rows([width] * 3, 41))]
        file.elementwise(f"madc_{width}", [width] * 4, rows, forms)
    return file


def low24(kind, bits):
    """The value of the low 24 bits."""
    bits &= 0xFFFFFF
    return bits - (1 << 24) if kind == "s32" and bits >> 23 else bits


def products24():
    rows = integer_rows([32, 32, 32], 51)
    rows += [(0x7FFFFF, 0x800000, 5), (0xFFFFFF, 0xFFFFFF, -1), (0x800000, 0x800000, 0), (0x1000001, 0x2000003, 9)]
    files = []
    for opcode, adds, about in (
        ("mul24", 0, "The low or high 32 of the 48 bits of a product of 24-bit numbers."),
        ("mad24", 1, "The low or high 32 of the 48 bits of a product of 24-bit numbers, plus c."),
    ):
        file, forms = File(opcode, about), []
        for kind in ("u32", "s32"):
            for half, shift in (("lo", 0), ("hi", 16)):
                run = lambda a, b, c=0, k=kind, s=shift: ((low24(k, a) * low24(k, b)) >> s) + c
                forms.append(Form(f"{opcode}.{half}.{kind}", 32, run))
        file.elementwise(f"{opcode}_32", [32] * (2 + adds), [row[: 2 + adds] for row in rows], forms)
        files.append(file)
    return files


def quotients(floats):
    """div and rem. What division by zero gives is not specified; here it ends the kernel."""
    keep = lambda row: row[1] != 0

    files = []
    for opcode, function, about in (
        ("div", truncated, "The quotient, of integers rounded toward zero."),
        ("rem", lambda a, b: a - b * truncated(a, b), "The remainder, with the sign of the dividend."),
    ):
        file = File(opcode, about)
        forms = [(int(k[1:]), Form(f"{opcode}.{k}", int(k[1:]), typed(k, function))) for k in KINDS]
        # The least number by -1 does not fit, and wraps.
        by_width(file, forms, 2, 61, keep=keep)
        for kind in ("u32", "s64"):
            register = "%r" if kind == "u32" else "%d"
            body = f"mov.b{kind[1:]} {register}1, 0;\nld.global.{kind} {register}2, [%in];\n"
            body += f"{opcode}.{kind} {register}3, {register}2, {register}1;\nst.global.{kind} [%out], {register}3;\n"
            file.kernel(
                f"{opcode}_{kind}_by_zero",
                body,
                [([word(6, int(kind[1:]))], [])],
                1,
                fault="division by zero",
                bits=int(kind[1:]),
            )
        if opcode == "div":
            floats(file)
        files.append(file)
    return files


def sums_of_bytes():
    file, forms = File("dp4a", "The dot product of four bytes, signed or not, plus c."), []
    for left in "us":
        for right in "us":
            run = lambda a, b, c, k=left, l=right: (
                c + sum(value(k + "8", a >> s) * value(l + "8", b >> s) for s in (0, 8, 16, 24))
            )
            forms.append(Form(f"dp4a.{left}32.{right}32", 32, run))
    rows = integer_rows([32] * 3, 71) + [
        (0x80808080, 0x80808080, -1),
        (0xFFFFFFFF, 0x7F7F7F7F, 3),
        (0x01020304, 0x10, 1),
    ]
    file.elementwise("dp4a_32", [32] * 3, rows, forms)
    return file


def files(floats):
    """All files of this module; `floats` adds the kernels of floats to those that have both."""
    result = [
        sums("add", 1, "The sum; .sat clamps, .cc writes the carry.", floats["add"]),
        sums("sub", -1, "The difference; .sat clamps, .cc writes the borrow.", floats["sub"]),
        with_carry("addc", "add", "The sum of two operands and the carry, here the third operand."),
        with_carry("subc", "sub", "The difference of two operands less the borrow, here the third operand."),
        multiplications(floats["mul"]),
        multiply_adds(floats["mad"]),
        multiply_adds_with_carry(),
        *products24(),
        *quotients(floats["div"]),
        simple("sad", "The absolute difference of two operands plus the third.", lambda a, b, c: abs(a - b) + c, 3),
        sums_of_bytes(),
    ]
    signed = ["s16", "s32", "s64"]
    for opcode, about, function in (
        ("abs", "The absolute value; of the least integer itself.", abs),
        ("neg", "The negated operand; of the least integer itself.", lambda a: -a),
    ):
        file = simple(opcode, about, function, 1, signed)
        file.target = "sm_90"
        floats[opcode](file)
        result.append(file)
    for opcode, function, about in (("min", min, "The lesser."), ("max", max, "The greater.")):
        file = simple(opcode, about + " A NaN loses against a number, unless .NaN stands; -0 is below +0.", function, 2)
        file.target = "sm_90"
        floats[opcode](file)
        result.append(file)
    return result
