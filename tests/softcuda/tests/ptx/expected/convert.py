"""cvt: between integers, between floats, and between both."""

from . import floating as fp
from .edges import float_rows, integer_rows
from .floating import BF16, F16, F32, F64, TF32
from .integer import clamp, limits, value
from .writing import File, Form, Random

KINDS = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")
FORMATS = {"f16": F16, "bf16": BF16, "f32": F32, "f64": F64}
ROUNDINGS = ("rn", "rz", "rm", "rp")
INTEGRAL = {"rni": "rn", "rzi": "rz", "rmi": "rm", "rpi": "rp"}


def register(kind):
    return max(int(kind.lstrip("bfsu")), 16)


def extended(kind, number):
    """A result in its register: 8 bits are extended by their sign, or zeros."""
    return value(kind, number)


def between_integers(file):
    for source in KINDS:
        forms = []
        for target in KINDS:
            run = lambda a, s=source, t=target: extended(t, value(s, a))
            forms.append(Form(f"cvt.{target}.{source}", register(target), run))
            low, high = limits(source)
            fits = limits(target)[0] <= low and high <= limits(target)[1]
            wider = int(target[1:]) > int(source[1:])
            if not fits and not wider:
                run = lambda a, s=source, t=target: clamp(t, value(s, a))
                forms.append(Form(f"cvt.sat.{target}.{source}", register(target), run))
        width = register(source)
        rows = integer_rows([width], 401, 20) + [
            (n,) for n in (0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, -128, -129)
        ]
        if width == 64:
            rows += [(n,) for n in (2**31 - 1, 2**31, 2**32 - 1, 2**32, -(2**31), -(2**31) - 1)]
        file.elementwise(f"cvt_from_{source}", [width], rows, forms)


def to_integer(form, kind, rounding, ftz=False):
    """Rounded, then clamped. Of a NaN 0, but the top bit alone if f64 or a 64-bit type takes part."""

    def run(word):
        number = fp.decode(form, fp.flush(form, word) if ftz else word)
        low, high = limits(kind)
        if number.kind == "nan":
            return extended(kind, 1 << (int(kind[1:]) - 1)) if form is F64 or kind in ("s64", "u64") else 0
        if number.kind == "infinite":
            return low if number.negative else high
        rounded = fp.round_to_integer(number.magnitude, number.negative, INTEGRAL[rounding])
        return clamp(kind, -rounded if number.negative else rounded)

    return run


def integral_rows(form):
    """Halves between integers, and the limits of the integer types."""
    rows = []
    for number in (
        0.5,
        1.5,
        2.5,
        0.75,
        127.5,
        128.5,
        255.5,
        256,
        32767.5,
        65535.5,
        65536,
        2**31,
        2**31 - 1,
        2**32,
        2**63,
        2**64,
        2**63 - 2**40,
        2**64 - 2**41,
        129,
        0.25,
        3,
    ):
        for sign in (1, -1):
            rows.append((fp.encode(form, fp.finite(fp.Fraction(number) * sign), "rz"),))
    return rows


def between_both(file):
    for source, form in FORMATS.items():
        rows = integral_rows(form) + float_rows(form, 1, 402, 10)
        kinds = KINDS if source != "bf16" else KINDS[2:]
        for mode in INTEGRAL:
            forms = [Form(f"cvt.{mode}.{k}.{source}", register(k), to_integer(form, k, mode)) for k in kinds]
            file.elementwise(f"cvt_{mode}_integer_{source}", [form.bits], rows, forms)
        if source != "bf16":
            forms = [Form(f"cvt.rzi.sat.{k}.{source}", register(k), to_integer(form, k, "rzi")) for k in kinds]
            if source == "f32":
                forms += [Form(f"cvt.rpi.ftz.{k}.f32", register(k), to_integer(form, k, "rpi", True)) for k in kinds]
            file.elementwise(f"cvt_sat_integer_{source}", [form.bits], rows, forms)
    for source in KINDS:
        forms = []
        for target, form in FORMATS.items():
            if target == "bf16" and source in ("u8", "s8"):
                continue
            for rounding in ROUNDINGS:
                run = lambda a, s=source, f=form, r=rounding: fp.encode(f, fp.finite(value(s, a)), r)
                forms.append(Form(f"cvt.{rounding}.{target}.{source}", form.bits, run))
            if target != "bf16":
                run = lambda a, s=source, f=form: fp.saturate(f, fp.encode(f, fp.finite(value(s, a))))
                forms.append(Form(f"cvt.rn.sat.{target}.{source}", form.bits, run))
        width = register(source)
        close = (
            [
                (n << s | t,)
                for n in (0x1000001, 0x1000003, 0x801, 0x803, 0x101, 0x103)
                for s in (0, 1, 4, 20)
                for t in (0, 1)
            ]
            + [(sign * (2**62 + 2**38 + 1),) for sign in (1, -1)]
            + [(65504,), (65519,), (65520,), (2**53 + 1,), (2**53 + 3,), (2**24 - 1,)]
        )
        file.elementwise(f"cvt_float_{source}", [width], close + integer_rows([width], 403, 10), forms, len(close))


def narrowed(source, target, rounding, ftz=False, sat=False, relu=False):
    """From one float format to another, rounded once."""

    def run(word):
        if ftz and source is F32:
            word = fp.flush(F32, word)
        number = fp.decode(source, word)
        result = fp.encode(target, number, rounding)
        if ftz and target is F32:
            if (
                number.kind == "finite"
                and 0 < number.magnitude < fp.Fraction(1, 2**126)
                and not fp.is_subnormal(F32, result)
            ):
                if result & 0x7FFFFFFF:
                    raise fp.Unspecified("whether flushing looks before or after rounding")
            result = fp.flush(F32, result)
        if sat:
            return fp.saturate(target, result)
        if relu and number.kind != "nan" and result & fp.sign_bit(target):
            if result == fp.sign_bit(target):
                raise fp.Unspecified("which zero -0 becomes")
            return 0
        if number.kind == "nan" and target in (F32, F64):
            # The payload of a NaN that is only moved to a wider format is not specified.
            return "nan"
        return result

    return run


def narrow_rows(source, target):
    """Around ties and ends of the target's range."""
    random, rows = Random(404), []
    for word in (
        1,
        2,
        3,
        1 << target.fraction_bits,
        (1 << target.fraction_bits) + 1,
        fp.infinity_bits(target) - 1,
        fp.bias(target) << target.fraction_bits,
        (fp.bias(target) << target.fraction_bits) + 1,
        0,
    ):
        below, above = fp.decode(target, word).magnitude, fp.decode(target, word + 1).magnitude
        if above is None:
            above = 2 * below - fp.decode(target, word - 1).magnitude
        for part in (fp.Fraction(1, 2), fp.Fraction(1, 4), fp.Fraction(3, 4)):
            for sign in (1, -1):
                number = fp.finite((below + (above - below) * part) * sign)
                rows.append((fp.encode(source, number),))
                rows.append((fp.encode(source, number) + 1,))
    for _ in range(10):
        rows.append((fp.encode(source, fp.finite(fp.Fraction(random.bits(52), 1 << random.below(60)))),))
    return [row for row in rows if not fp.is_nan(source, row[0])]


def between_floats(file):
    def rounded(source, target, roundings, modifiers):
        a, b = FORMATS[source], FORMATS[target]
        forms = []
        for rounding in roundings:
            for modifier in modifiers:
                words = dict(ftz="ftz" in modifier, sat="sat" in modifier, relu="relu" in modifier)
                if "relu" in modifier and rounding not in ("rn", "rz"):
                    continue
                dots = "".join("." + part for part in (rounding, *modifier.split(), target, source) if part)
                forms.append(Form(f"cvt{dots}", b.bits, narrowed(a, b, rounding or "rn", **words)))
        rows = (narrow_rows(a, b) if a.bits > b.bits or {source, target} == {"f16", "bf16"} else []) + float_rows(
            a, 1, 405, 8
        )
        file.elementwise(f"cvt_{target}_{source}", [a.bits], rows, forms, 60)

    rounded("f32", "f16", ROUNDINGS, ["", "ftz", "sat", "relu"])
    rounded("f64", "f16", ROUNDINGS, ["", "sat"])
    rounded("f32", "bf16", ROUNDINGS, ["", "relu"])
    rounded("f64", "bf16", ROUNDINGS, [""])
    rounded("f16", "bf16", ROUNDINGS, [""])
    rounded("bf16", "f16", ROUNDINGS, [""])
    rounded("f64", "f32", ROUNDINGS, ["", "ftz", "sat"])
    rounded("f16", "f32", [""], ["", "ftz", "sat"])
    rounded("bf16", "f32", [""], ["", "ftz"])
    rounded("f32", "f64", [""], ["", "ftz", "sat"])
    rounded("f16", "f64", [""], ["", "sat"])
    rounded("bf16", "f64", [""], [""])


def to_integral(file):
    """A float rounded to an integer that stays a float; .sat is applied after."""

    def integral(form, mode, ftz=False, sat=False):
        def run(word):
            word = fp.flush(form, word) if ftz else word
            number = fp.decode(form, word)
            if number.kind == "finite":
                whole = fp.round_to_integer(number.magnitude, number.negative, INTEGRAL[mode])
                word = fp.encode(form, fp.Value("finite", number.negative, fp.Fraction(whole)))
            if sat:
                return fp.saturate(form, word)
            return {F64: "nan", F32: "nan"}.get(form, fp.canonical_nan(form)) if number.kind == "nan" else word

        return run

    for kind, form in FORMATS.items():
        modifiers = {"f32": ["", "ftz", "sat", "ftz.sat"], "bf16": [""]}.get(kind, ["", "sat"])
        forms = [
            Form(f"cvt.{mode}{'.' * bool(m)}{m}.{kind}.{kind}", form.bits, integral(form, mode, "ftz" in m, "sat" in m))
            for mode in INTEGRAL
            for m in modifiers
        ]
        if kind != "bf16":
            forms.append(Form(f"cvt.sat.{kind}.{kind}", form.bits, lambda a, f=form: fp.saturate(f, a)))
        rows = integral_rows(form) + float_rows(form, 1, 406, 8)
        file.elementwise(f"cvt_integral_{kind}", [form.bits], rows, forms, 30)


def packed(file):
    """Two f32 to a pair, the first above the second; and tf32, a word of f32 whose last 13 bits are 0."""
    for kind, form in (("f16", F16), ("bf16", BF16)):
        forms = []
        for rounding in ("rn", "rz"):
            for relu in (False, True):
                one = narrowed(F32, form, rounding, relu=relu)
                run = lambda a, b, f=one: f(a) << 16 | f(b)
                forms.append(Form(f"cvt.{rounding}{'.relu' * relu}.{kind}x2.f32", 32, run))
        rows = narrow_rows(F32, form) + float_rows(F32, 1, 407, 8)
        rows = [(a, rows[(i + 4) % len(rows)][0]) for i, (a,) in enumerate(rows)]
        file.elementwise(f"cvt_{kind}x2", [32, 32], rows, forms, 30)
    forms = []
    for rounding in ("rna", "rn", "rz"):
        for relu in (False, True) if rounding != "rna" else (False,):
            one = narrowed(F32, TF32, rounding, relu=relu)
            # All that a tf32 NaN must be is a NaN.
            run = lambda a, f=one: "nan" if fp.is_nan(F32, a) else f(a) << 13
            forms.append(Form(f"cvt.{rounding}{'.relu' * relu}.tf32.f32", 32, run))
    file.elementwise("cvt_tf32", [32], narrow_rows(F32, TF32) + float_rows(F32, 1, 408, 8), forms, 60)


def files():
    file = File("cvt", "Conversions: see the kernels' names.", target="sm_90")
    for part in (between_integers, between_both, between_floats, to_integral, packed):
        part(file)
    return [file]
