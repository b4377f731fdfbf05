"""mma: D = A B + C of matrices whose elements lie in the registers of a warp as the PTX ISA draws them.

Sums are exact here in any order and for any way to align products: elements are small multiples of powers of two.
"""

from fractions import Fraction

from . import floating as fp
from .floating import BF16, F16, F32, TF32
from .writing import File, Random

LANES = range(32)
FORMATS = {"f16": F16, "bf16": BF16, "tf32": TF32}


def halves_a(k, lane, i):
    group, within = lane >> 2, lane & 3
    if k == 8:
        return group + 8 * (i >= 2), within * 2 + (i & 1)
    return group + 8 * (i in (2, 3, 6, 7)), within * 2 + (i & 1) + 8 * (i >= 4)


def halves_b(k, lane, i):
    return (lane & 3) * 2 + (i & 1) + 8 * (i >= 2), lane >> 2


def tf32_a(k, lane, i):
    return (lane >> 2) + 8 * (i in (1, 3)), (lane & 3) + 4 * (i >= 2)


def tf32_b(k, lane, i):
    return (lane & 3) + 4 * i, lane >> 2


def place_c(lane, i):
    return (lane >> 2) + 8 * (i >= 2), (lane & 3) * 2 + (i & 1)


def fragment(count, form, pick):
    """The registers of a lane: two halves each, the first lowest, or one wider element."""
    words = [fp.encode(form, pick(i)) if form is not TF32 else fp.encode(TF32, pick(i)) << 13 for i in range(count)]
    if form.bits == 16:
        return [words[i + 1] << 16 | words[i] for i in range(0, count, 2)]
    return words


def product(a, b, c, k):
    """An element: the sum of exact products, of which NaN and infinities are those of IEEE sums."""
    total = c
    for i in range(k):
        total = fp.add("rn", total, fp.multiply("rn", a[i], b[i]))
    return total


def case(file, name, shape, kinds, a, b, c):
    k = int(shape.split("k")[1])
    out_kind, in_kind = kinds
    form = FORMATS[in_kind]
    sums = {"f16": F16, "f32": F32}[out_kind]
    narrow = form.bits == 16
    place_a, place_b = (halves_a, halves_b) if narrow else (tf32_a, tf32_b)
    count_a, count_b = 16 * k // 32, 8 * k // 32
    rows = []
    for lane in LANES:
        given = fragment(count_a, form, lambda i: a[place_a(k, lane, i)[0]][place_a(k, lane, i)[1]])
        given += fragment(count_b, form, lambda i: b[place_b(k, lane, i)[0]][place_b(k, lane, i)[1]])
        given += fragment(4, sums, lambda i: c[place_c(lane, i)[0]][place_c(lane, i)[1]])

        def element(i):
            row, column = place_c(lane, i)
            return product(a[row], [b[n][column] for n in range(k)], c[row][column], k)

        got = fragment(4, sums, element)
        if sums is F32:
            got = ["nan32" if fp.is_nan(F32, bits) else bits for bits in got]
        rows.append((given, got))
    at, groups = 0, []
    sizes = [count_a // (2 if narrow else 1), count_b // (2 if narrow else 1), 2 if sums is F16 else 4]
    for size in sizes:
        groups.append("{" + ", ".join(f"%r{at + i}" for i in range(size)) + "}")
        at += size
    result = "{" + ", ".join(f"%r{50 + i}" for i in range(sizes[2])) + "}"
    code = (
        f"mma.sync.aligned.{shape}.row.col.{out_kind}.{in_kind}.{in_kind}.{out_kind} {result}, {', '.join(groups)};\n"
    )
    file.warp(f"mma_{shape}_{out_kind}_{in_kind}_{name}", code, rows)


def numbers(random, rows, columns, scale):
    return [[fp.finite(Fraction(random.below(2 * scale + 1) - scale, 4)) for _ in range(columns)] for _ in range(rows)]


def files():
    file = File("mma", "A product of matrices spread over a warp, plus a third.")
    shapes = [("m16n8k4", ("f32", "tf32")), ("m16n8k8", ("f32", "tf32"))]
    shapes += [(s, k) for s in ("m16n8k8", "m16n8k16") for k in (("f32", "bf16"), ("f32", "f16"), ("f16", "f16"))]
    for i, (shape, kinds) in enumerate(shapes):
        k, random = int(shape.split("k")[1]), Random(700 + i)
        form = FORMATS[kinds[1]]
        # Sums of f16 stay below 11 bits.
        scale = 6 if kinds[0] == "f16" else 30
        a, b, c = numbers(random, 16, k, scale), numbers(random, k, 8, scale), numbers(random, 16, 8, 60)
        case(file, "sums", shape, kinds, a, b, c)
        # One nonzero element in every row of A: rows of B come out, each at its place; with all bits, then.
        one = fp.finite(1)
        zero = fp.finite(0)
        picks = [[one if column == (5 * row + 3) % k else zero for column in range(k)] for row in range(16)]
        places = [[fp.finite(8 * row + column + 1) for column in range(8)] for row in range(k)]
        case(file, "places", shape, kinds, picks, places, [[zero] * 8 for _ in range(16)])
        full = lambda: fp.finite(
            Fraction(random.bits(form.fraction_bits) | 1 << form.fraction_bits | 1, 1 << form.fraction_bits)
        )
        picks = [[full() if column == (5 * row + 3) % k else zero for column in range(k)] for row in range(16)]
        places = [[full() for _ in range(8)] for _ in range(k)]
        case(file, "whole_significands", shape, kinds, picks, places, [[zero] * 8 for _ in range(16)])
        special = [fp.infinity(False), fp.infinity(True), fp.NAN, zero, one]
        a = [row[:] for row in numbers(random, 16, k, scale)]
        b = [row[:] for row in numbers(random, k, 8, scale)]
        c = [row[:] for row in numbers(random, 16, 8, 60)]
        for n in range(5):
            a[2 * n + 1][(3 * n) % k] = special[n]
            b[(2 * n + 1) % k][n] = special[(n + 1) % 5]
            c[3 * n][7 - n] = special[(n + 2) % 5]
        case(file, "infinities", shape, kinds, a, b, c)
    return [file]
