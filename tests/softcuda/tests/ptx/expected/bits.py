"""Bits: counting, moving, shifting, picking."""

from .edges import integer_rows
from .integer import by_width, value
from .writing import File, Form

WIDTHS = (16, 32, 64)


def ones(width):
    return (1 << width) - 1


def shift_amount(amount, width):
    """Shift counts are unsigned 32-bit numbers; from the width on all bits are gone."""
    return min(amount, width)


def logic():
    result = []
    for opcode, function, about in (
        ("and", lambda a, b: a & b, "Both bits."),
        ("or", lambda a, b: a | b, "Either bit."),
        ("xor", lambda a, b: a ^ b, "One of the two bits."),
    ):
        file = File(opcode, about)
        by_width(file, [(w, Form(f"{opcode}.b{w}", w, function)) for w in WIDTHS], 2, 81)
        file.elementwise(
            f"{opcode}_pred", [1, 1], [(a, b) for a in (0, 1) for b in (0, 1)], [Form(f"{opcode}.pred", 1, function)]
        )
        result.append(file)
    file = File("not", "Every bit inverted.")
    by_width(file, [(w, Form(f"not.b{w}", w, lambda a: ~a)) for w in WIDTHS], 1, 82)
    file.elementwise("not_pred", [1], [(0,), (1,)], [Form("not.pred", 1, lambda a: 1 - a)])
    result.append(file)
    file = File("cnot", "1 if the operand is 0, else 0.")
    by_width(file, [(w, Form(f"cnot.b{w}", w, lambda a: int(a == 0))) for w in WIDTHS], 1, 83)
    result.append(file)

    def lookup(table):
        return lambda a, b, c: sum(
            (table >> ((a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1)) & 1) << i for i in range(32)
        )

    file = File("lop3", "Any function of three bits: bit 4a + 2b + c of the table.")
    tables = (0x00, 0x01, 0x02, 0x08, 0x10, 0x1B, 0x40, 0x80, 0x96, 0xCA, 0xE8, 0xF0, 0xCC, 0xAA, 0xFE, 0xFF)
    forms = [Form(f"lop3.b32 {{d}}, {{a}}, {{b}}, {{c}}, 0x{t:02x};", 32, lookup(t)) for t in tables]
    file.elementwise("lop3_32", [32] * 3, integer_rows([32] * 3, 84, 8) + [(0xF0F0F0F0, 0xCCCCCCCC, 0xAAAAAAAA)], forms)
    return result + [file]


def counts():
    result = []

    def leading(a, width):
        return width - a.bit_length()

    def highest(kind, a, shift):
        width = int(kind[1:])
        number = value(kind, a)
        bits = (~number if number < 0 else number) & ones(width)
        if bits == 0:
            return ones(32)
        return leading(bits, width) if shift else bits.bit_length() - 1

    powers = {w: [(1 << i,) for i in range(0, w, 5)] + [(ones(w) >> i,) for i in range(0, w, 7)] for w in (32, 64)}
    for opcode, function, about in (
        ("popc", lambda a, w: bin(a).count("1"), "How many bits are set."),
        ("clz", leading, "How many leading bits are clear."),
        ("brev", lambda a, w: int(f"{a:0{w}b}"[::-1], 2), "The bits in reverse."),
    ):
        file = File(opcode, about)
        for width in (32, 64):
            form = Form(f"{opcode}.b{width}", width if opcode == "brev" else 32, lambda a, w=width, f=function: f(a, w))
            file.elementwise(f"{opcode}_{width}", [width], integer_rows([width], 85) + powers[width], [form])
        result.append(file)
    file = File("bfind", "Where the highest bit stands that is not a sign; -1 if there is none.")
    for width in (32, 64):
        forms = [
            Form(f"bfind.{s}{k}{width}", 32, lambda a, k=f"{k}{width}", s=s: highest(k, a, s))
            for k in "us"
            for s in ("", "shiftamt.")
        ]
        negative = [(~p[0],) for p in powers[width]]
        file.elementwise(f"bfind_{width}", [width], integer_rows([width], 86) + powers[width] + negative, forms)
    return result + [file]


def fields():
    """Positions and lengths are the low 8 bits of their operands."""
    extract = File("bfe", "Bits of a from a position on; beyond the top, signed types repeat the field's highest bit.")
    insert = File("bfi", "b with bits from a position on replaced by the low bits of a.")

    def extracted(kind, a, position, length):
        width = int(kind[1:])
        position, length = position & 255, length & 255
        sign = 0
        if kind[0] == "s" and length:
            sign = a >> min(position + length - 1, width - 1) & 1
        return sum((a >> position + i & 1 if i < length and position + i < width else sign) << i for i in range(width))

    def inserted(width, a, b, position, length):
        position, length = position & 255, length & 255
        for i in range(min(length, max(width - position, 0))):
            b = b & ~(1 << position + i) | (a >> i & 1) << position + i
        return b

    for width in (32, 64):
        forms = [Form(f"bfe.{k}{width}", width, lambda a, p, l, k=f"{k}{width}": extracted(k, a, p, l)) for k in "us"]
        rows = integer_rows([width, 32, 32], 87 + width, count=60, smalls=(1, 2))
        rows += [
            (ones(width), 0, width),
            (1 << width - 1, width - 1, 1),
            (1 << width - 1, width, 1),
            (ones(width), 0, 255),
        ]
        extract.elementwise(f"bfe_{width}", [width, 32, 32], rows, forms)
        form = Form(f"bfi.b{width}", width, lambda a, b, p, l, w=width: inserted(w, a, b, p, l))
        rows = integer_rows([width, width, 32, 32], 88 + width, count=60, smalls=(2, 3))
        insert.elementwise(f"bfi_{width}", [width, width, 32, 32], rows, [form])
    return [extract, insert]


def shifts():
    left = File("shl", "Bits moved up; 0 from the width on.")
    right = File("shr", "Bits moved down; 0, or of signed types the sign, from the width on.")
    for width in WIDTHS:
        rows = integer_rows([width, 32], 91, smalls=(1,))
        left.elementwise(
            f"shl_{width}",
            [width, 32],
            rows,
            [Form(f"shl.b{width}", width, lambda a, n, w=width: a << shift_amount(n, w))],
        )
        forms = [
            Form(
                f"shr.{k}{width}",
                width,
                lambda a, n, k=k, w=width: value(f"{'s' if k == 's' else 'u'}{w}", a) >> shift_amount(n, w),
            )
            for k in "bus"
        ]
        right.elementwise(f"shr_{width}", [width, 32], rows, forms)
    funnel = File("shf", "64 bits b:a shifted left, the upper half kept, or right, the lower half kept.")
    forms = []
    for mode in ("clamp", "wrap"):
        amount = (lambda n: min(n, 32)) if mode == "clamp" else (lambda n: n % 32)
        forms.append(Form(f"shf.l.{mode}.b32", 32, lambda a, b, n, f=amount: (b << 32 | a) << f(n) >> 32))
        forms.append(Form(f"shf.r.{mode}.b32", 32, lambda a, b, n, f=amount: (b << 32 | a) >> f(n)))
    funnel.elementwise("shf_32", [32] * 3, integer_rows([32] * 3, 92, smalls=(2,)), forms)
    return [left, right, funnel]


def permutations():
    file, forms = File("prmt", "Four of the eight bytes b:a, by four selectors or by a mode and two bits."), []

    def bytes_of(a, b):
        return [(b << 32 | a) >> 8 * i & 255 for i in range(8)]

    def selected(a, b, c):
        result = 0
        for i in range(4):
            selector = c >> 4 * i & 15
            byte = bytes_of(a, b)[selector & 7]
            result |= (byte if selector < 8 else 255 * (byte >> 7)) << 8 * i
        return result

    # The bytes picked, lowest first, for the values 0 to 3 of the low two bits of c.
    modes = {
        "f4e": ["0123", "1234", "2345", "3456"],
        "b4e": ["0765", "1076", "2107", "3210"],
        "rc8": ["0000", "1111", "2222", "3333"],
        "ecl": ["0123", "1123", "2223", "3333"],
        "ecr": ["0000", "0111", "0122", "0123"],
        "rc16": ["0101", "2323", "0101", "2323"],
    }
    forms.append(Form("prmt.b32", 32, selected))
    for mode, picks in modes.items():
        run = lambda a, b, c, p=picks: sum(bytes_of(a, b)[int(d)] << 8 * i for i, d in enumerate(p[c & 3]))
        forms.append(Form(f"prmt.b32.{mode}", 32, run))
    rows = [(0x83828180 ^ 0x80, 0x87868584 ^ 0x8000, c) for c in range(4)]
    controls = (0x3210, 0x7654, 0x0123, 0xFEDC, 0xBA98, 0x8080, 0x7777, 0xFFFFFFFF, 0x12345678, 0x5410, 0x8888)
    rows += [(0x12F45678, 0x9ABCDE7F, c) for c in controls] + integer_rows([32] * 3, 93, 30)
    file.elementwise("prmt_32", [32] * 3, rows, forms)
    return [file]


def files():
    return logic() + counts() + fields() + shifts() + permutations()
