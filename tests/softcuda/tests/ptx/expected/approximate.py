"""Approximate instructions: the true value, widened by the error that the PTX ISA allows.

The ISA gives errors as ulps of the correctly rounded result, or relative to or absolute from the value; tables of
special operands are exact. Where it promises nothing, nothing is asked. True values have 60 decimal digits.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction

from . import floating as fp
from .edges import float_rows
from .floating import BF16, F16, F32, F64
from .writing import File, Form, Random, interval

DIGITS = Context(prec=80, rounding=ROUND_HALF_EVEN, Emax=999999, Emin=-999999)
# Above what 80 digits leave of any result here, below any error bound.
SLACK = Fraction(1, 2**150)


def decimal(number):
    return DIGITS.divide(Decimal(number.numerator), Decimal(number.denominator))


def pi():
    """By Machin: 16 atan(1/5) - 4 atan(1/239), in units of 2^-600."""

    def arctangent(inverse):
        term, total, n = (1 << 600) // inverse, 0, 0
        while term:
            total += (-1) ** n * (term // (2 * n + 1))
            term //= inverse * inverse
            n += 1
        return total

    return Fraction(16 * arctangent(5) - 4 * arctangent(239), 1 << 600)


PI = pi()


def cosine(x):
    """The series, after the angle is brought into [-pi, pi]."""
    x -= round(x / (2 * PI)) * 2 * PI
    square = Fraction(int(x * x * 2**400), 2**400)
    term = total = Fraction(1)
    for n in range(1, 60):
        term = Fraction(int(-term * square / ((2 * n - 1) * (2 * n)) * 2**400), 2**400)
        total += term
    return total


def sine(x):
    return cosine(x - PI / 2)


def exponential(x):
    with localcontext(DIGITS):
        return Fraction(decimal(x).exp())


def power_of_two(x):
    # Far beyond what any format here holds a power stays beyond it.
    x = max(min(x, Fraction(400)), Fraction(-400))
    whole = round(x)
    with localcontext(DIGITS):
        rest = Fraction((decimal(x - whole) * Decimal(2).ln()).exp())
    return rest * Fraction(2) ** whole


def logarithm(x):
    with localcontext(DIGITS):
        return Fraction(decimal(x).ln() / Decimal(2).ln())


def tangent(x):
    """tanh: for small x by its series, where the quotient would cancel."""
    if abs(x) < Fraction(1, 2**20):
        return x - x**3 / 3 + 2 * x**5 / 15
    if abs(x) > 60:
        return Fraction(1 if x > 0 else -1) * (1 - Fraction(1, 2**140))
    square = exponential(2 * x)
    return (square - 1) / (square + 1)


def root(x):
    return fp.square_root("rn", fp.finite(x)).magnitude


def ordered(form, word):
    return -(word & (fp.sign_bit(form) - 1)) if word & fp.sign_bit(form) else word


def stepped(form, word, steps):
    """So many floats up or down; not across zero or beyond infinity."""
    place = ordered(form, word) + steps
    negative = bool(word & fp.sign_bit(form))
    place = min(max(-place if negative else place, 0), fp.infinity_bits(form))
    return place | (fp.sign_bit(form) if negative else 0)


def within_ulps(form, value, ulps, ftz=False):
    nearest = fp.encode(form, value)
    low, high = sorted((stepped(form, nearest, -ulps), stepped(form, nearest, ulps)), key=lambda w: ordered(form, w))
    if ftz:
        low, high = fp.flush(form, low), fp.flush(form, high)
    return interval(low, high, form.bits == 16)


def approximation(form, special, function, bound, ftz=False):
    """`special` gives the value for a decoded operand, or None; else `bound` gives ulps, or an error of the value."""

    def run(word):
        if ftz:
            word = fp.flush(form, word)
        operand = fp.decode(form, word)
        value = fp.NAN if operand.kind == "nan" else special(operand)
        if value is not None:
            bits = fp.encode(form, value)
            if fp.is_nan(form, bits):
                # f32 results that are NaN are the canonical one.
                return "nan" if form is F64 else bits
            return fp.flush(form, bits) if ftz else bits
        x = fp.signed(operand)
        exact = function(x)
        error = bound(x, exact)
        if isinstance(error, int):
            return within_ulps(form, fp.finite(exact), error, ftz)
        low, high = exact - error - SLACK * abs(exact), exact + error + SLACK * abs(exact)
        ends = [fp.encode(form, fp.finite(number)) for number in (low, high)]
        if ftz:
            ends = [fp.flush(form, end) for end in ends]
        return interval(*ends, form.bits == 16)

    return run


def constants(zero=None, minus_zero=None, infinite=None, minus_infinite=None, negative=None):
    """The table of an instruction: values at the special operands, and of all negative numbers."""

    def special(operand):
        if fp.is_zero(operand):
            return minus_zero if operand.negative else zero
        if operand.kind == "infinite":
            return minus_infinite if operand.negative else infinite
        return negative if operand.negative else None

    return special


INF, MINUS_INF, NAN = fp.infinity(False), fp.infinity(True), fp.NAN
ZERO, MINUS_ZERO, ONE, MINUS_ONE = fp.finite(0), fp.finite(0, True), fp.finite(1), fp.finite(-1)


def relative(exponent):
    """A relative error of 2^exponent, a fraction of tenths, rounded up."""
    factor = power_of_two(Fraction(exponent)) * (1 + SLACK)
    return lambda _x, value: abs(value) * factor


def logarithm_bound(x, value):
    return Fraction(1, 2**22) * (1 if Fraction(1, 2) < x < 2 else abs(value))


def angle_bound(x, _value):
    if abs(x) > 100 * PI:
        raise fp.Unspecified("no error is promised")
    return power_of_two(Fraction(-205 if abs(x) <= 2 * PI else -147, 10))


def hyperbolic_bound(x, value):
    if abs(x) < Fraction(1, 2**126):
        # Subnormals pass through.
        return 0
    return abs(value) * Fraction(1, 2**11)


def angle_rows():
    random = Random(201)
    rows = [(0x40490FDB,), (0xC0490FDB,), (0x3FC90FDB,), (0x40C90FDB,), (0x41C90FDB,), (0x439D0000,), (0xC2C80000,)]
    return rows + [(random.below(2) << 31 | 0x3C000000 + random.below(0x07800000),) for _ in range(30)]


def power_rows():
    random = Random(202)
    rows = [
        (word,)
        for word in (
            0x43000000,
            0x42FFFFFF,
            0xC3160000,
            0xC3150000,
            0xC3168000,
            0xC2FC0000,
            0xC2FC8000,
            0x40400000,
            0xC0A00000,
            0x7F000000,
            0xFF000000,
            0x43010000,
            0xC3800000,
        )
    ]
    return rows + [(random.below(2) << 31 | 0x3C000000 + random.below(0x06800000),) for _ in range(30)]


def single(opcode, about, special, function, bound, rows=(), ftz=True, target="sm_80"):
    file = File(opcode, about, target)
    singles(file, special, function, bound, rows, ftz)
    return file


def singles(file, special, function, bound, rows=(), ftz=True):
    for modifier in ["", ".ftz"] if ftz else [""]:
        form = Form(
            f"{file.opcode}.approx{modifier}.f32", 32, approximation(F32, special, function, bound, ftz=bool(modifier))
        )
        name = f"{file.opcode}_approx{modifier.replace('.', '_')}_f32"
        file.elementwise(name, [32], list(rows) + float_rows(F32, 1, 203, 20), [form])


def halves(file, special, function, kinds):
    """Each half by itself and in both places of a pair. `kinds` are (type, format, modifier, bound)."""
    for kind, form, modifier, bound in kinds:
        rows = float_rows(form, 1, 204, 24)
        run = approximation(form, special, function, bound, ftz=modifier == ".ftz")
        code = f"{file.opcode}.approx{modifier}.{kind}"
        file.elementwise(f"{file.opcode}_{kind}", [16], rows, [Form(code, 16, run)])
        packed = "mov.b32 %r90, {{{a}, {b}}};\n" + code + "x2 %r91, %r90;\n"
        forms = [
            Form(packed + "mov.b32 {{{d}, %h90}}, %r91;", 16, lambda a, b, f=run: (f(b), f(a))[1]),
            Form(packed + "mov.b32 {{%h90, {d}}}, %r91;", 16, lambda a, b, f=run: (f(a), f(b))[1]),
        ]
        rows = [(a, rows[(i + 5) % len(rows)][0]) for i, (a,) in enumerate(rows)]
        file.elementwise(f"{file.opcode}_{kind}x2", [16, 16], rows, forms)


def division_rows():
    """Divisors around 2^126 and 2^-126."""
    return [
        (a, b)
        for a in (0x3F800000, 0xC0400000, 0x7F7FFFFF, 0x7F800000, 0)
        for b in (0x7E800000, 0x7E800001, 0x7F7FFFFF, 0xFF000000, 0x00800000, 0x00400000)
    ]


def full_division(file):
    def quotient(full, ftz):
        def run(a, b):
            if ftz:
                a, b = fp.flush(F32, a), fp.flush(F32, b)
            x, y = fp.decode(F32, a), fp.decode(F32, b)
            if not full and y.kind == "finite" and x.kind != "nan":
                if 2**126 < y.magnitude:
                    return fp.canonical_nan(F32) if x.kind == "infinite" else "0x80000000..0x00000000"
                if 0 < y.magnitude < Fraction(1, 2**126):
                    raise fp.Unspecified("no error is promised")
            exact = fp.divide("rn", x, y)
            if exact.kind != "finite" or exact.magnitude == 0:
                return fp.encode(F32, exact)
            return within_ulps(F32, exact, 2, ftz)

        return run

    rows = division_rows() + float_rows(F32, 2, 205, 20)
    for full in (False, True):
        for ftz in (False, True):
            name = f"{'full' if full else 'approx'}{'.ftz' * ftz}.f32"
            file.elementwise(
                f"div_{name.replace('.', '_')}", [32, 32], rows, [Form(f"div.{name}", 32, quotient(full, ftz))]
            )


def upper_words(file, special, function):
    """f64 with .ftz: only upper words are read and written. No error is given: two units of the last place here."""

    def run(word):
        word = fp.flush(F64, word & ~0xFFFFFFFF)
        operand = fp.decode(F64, word)
        value = fp.NAN if operand.kind == "nan" else special(operand)
        if value is not None:
            return "nan" if value.kind == "nan" else fp.encode(F64, value)
        bits = fp.encode(F64, fp.finite(function(fp.signed(operand)))) & ~0xFFFFFFFF
        ends = sorted((bits - (2 << 32), bits + (3 << 32)), key=lambda w: ordered(F64, w))
        if any(end & (fp.sign_bit(F64) - 1) < 3 << 52 for end in ends):
            raise fp.Unspecified("a result near the subnormals")
        return interval(*ends)

    lower = Form("%s.approx.ftz.f64 %%d90, {a};\nmov.b64 {{{d}, %%r90}}, %%d90;" % file.opcode, 32, lambda a: 0)
    file.elementwise(
        f"{file.opcode}_approx_ftz_f64",
        [64],
        float_rows(F64, 1, 206, 20),
        [Form(f"{file.opcode}.approx.ftz.f64", 64, run), lower],
    )


def beside_exact(rcp, sqrt):
    """The approximate forms of instructions that have exact ones."""
    special = constants(INF, MINUS_INF, ZERO, MINUS_ZERO)
    singles(rcp, special, lambda x: 1 / x, lambda x, value: 1)
    upper_words(rcp, special, lambda x: 1 / x)
    singles(sqrt, constants(ZERO, MINUS_ZERO, INF, NAN, NAN), root, relative(-23))


def files():
    one_over = constants(INF, MINUS_INF, ZERO, NAN, NAN)
    inverse_root = lambda x: 1 / root(x)
    rsqrt = single("rsqrt", "The reciprocal of the square root.", one_over, inverse_root, relative(Fraction(-229, 10)))
    upper_words(rsqrt, one_over, inverse_root)
    few = lambda x, value: value / 2**50
    file64 = approximation(F64, one_over, inverse_root, few)
    rsqrt.elementwise("rsqrt_approx_f64", [64], float_rows(F64, 1, 207, 20), [Form("rsqrt.approx.f64", 64, file64)])

    ex2_special = constants(ONE, ONE, INF, ZERO)
    ex2 = single(
        "ex2",
        "Two to the power of the operand.",
        ex2_special,
        power_of_two,
        lambda x, value: 2,
        power_rows(),
        target="sm_90",
    )
    halves(ex2, ex2_special, power_of_two, [("f16", F16, "", relative(Fraction(-99, 10)))])
    halves(ex2, ex2_special, power_of_two, [("bf16", BF16, ".ftz", relative(-7))])

    tanh_special = constants(ZERO, MINUS_ZERO, ONE, MINUS_ONE)
    tanh = single(
        "tanh",
        "The hyperbolic tangent.",
        tanh_special,
        tangent,
        hyperbolic_bound,
        angle_rows(),
        ftz=False,
        target="sm_90",
    )
    absolute = power_of_two(Fraction(-10987, 1000)) * (1 + SLACK)
    halves(
        tanh,
        tanh_special,
        tangent,
        [("f16", F16, "", lambda x, value: absolute), ("bf16", BF16, "", lambda x, value: Fraction(1, 256))],
    )
    return [
        rsqrt,
        ex2,
        tanh,
        single("sin", "The sine.", constants(ZERO, MINUS_ZERO, NAN, NAN), sine, angle_bound, angle_rows()),
        single("cos", "The cosine.", constants(ONE, ONE, NAN, NAN), cosine, angle_bound, angle_rows()),
        single(
            "lg2",
            "The logarithm to base 2.",
            constants(MINUS_INF, MINUS_INF, INF, NAN, NAN),
            logarithm,
            logarithm_bound,
        ),
    ]
