"""Float arithmetic: every result is the exact one, rounded once."""

from . import floating as fp
from .edges import float_rows, floats, paired
from .floating import BF16, F16, F32, F64
from .writing import File, Form, Random

ROUNDINGS = ("rn", "rz", "rm", "rp")


def singles(file, opcode, operation, count, sat=True, plain=True, rows=()):
    """f32 in every rounding, with and without .ftz and .sat, and f64 in every rounding."""
    forms = [Form(f"{opcode}.{r}.f32", 32, fp.arithmetic(F32, operation, r)) for r in ROUNDINGS]
    if plain:
        forms.append(Form(f"{opcode}.f32", 32, fp.arithmetic(F32, operation)))
    first = len(hard_rows(F32, count))
    rows = hard_rows(F32, count) + list(rows) + float_rows(F32, count, 101)
    file.elementwise(f"{opcode}_f32", [32] * count, rows, forms, first)
    forms = [Form(f"{opcode}.{r}.ftz.f32", 32, fp.arithmetic(F32, operation, r, ftz=True)) for r in ROUNDINGS]
    file.elementwise(f"{opcode}_ftz_f32", [32] * count, rows, forms, first)
    if sat:
        forms = [
            Form(f"{opcode}.{r}{'.ftz' * z}.sat.f32", 32, fp.arithmetic(F32, operation, r, ftz=z, sat=True))
            for r, z in (("rn", 0), ("rz", 1), ("rp", 0))
        ]
        file.elementwise(f"{opcode}_sat_f32", [32] * count, rows, forms, first // 2)
    forms = [Form(f"{opcode}.{r}.f64", 64, fp.arithmetic(F64, operation, r)) for r in ROUNDINGS]
    rows = hard_rows(F64, count) + float_rows(F64, count, 102)
    file.elementwise(f"{opcode}_f64", [64] * count, rows, forms, first)


def hard_rows(form, count):
    """Ties, cancellations and results on both sides of the ends of the range."""
    one = fp.bias(form) << form.fraction_bits
    unit = 1 << form.fraction_bits
    tie = one - (form.fraction_bits + 1) * unit
    sign = fp.sign_bit(form)
    most = fp.infinity_bits(form) - 1
    last = most - form.fraction_bits * unit & ~(unit - 1)
    root = one - (fp.bias(form) // 2) * unit
    pairs = [
        (one, tie),
        (one + 1, tie),
        (one, tie + 1),
        (one, tie | sign),
        (one + 1, one | sign),
        (most, last),
        (most, last - unit),
        (most, last - unit - 1),
        (most | sign, last | sign),
        (most, most | sign),
        (root, root),
        (root + 3, root - 7),
        (root + 1 | sign, root - unit),
        (unit, one - unit),
        (unit + 1, one - unit),
        (unit | sign, one - 1),
        (3, one - unit),
        (1, one - unit),
        (1, one - unit + 1),
        (unit - 1, one + 1),
        (one + unit // 2, one + unit // 3),
        (one + 5 * unit + 1, one + unit // 2),
        (0, sign),
        (sign, sign),
        (most, one + 1),
        (one, one + unit + unit // 2),
    ]
    if count == 1:
        return [pair[:1] for pair in pairs]
    if count == 2:
        return pairs
    thirds = [0, sign, one, one | sign, tie, 1, most | sign]
    rows = [(a, b, thirds[i % len(thirds)]) for i, (a, b) in enumerate(pairs)]
    # (1 + u)^2 - 1 - 2u leaves u^2, which only a fused operation sees.
    rows.append((one + 1, one + 1, one + 2 | sign))
    rows.append((one + 1, one - 2, one | sign))
    # Three times an odd number is a tie one bit too long, which the least third operand decides.
    odd = fp.encode(form, fp.finite((2 << form.fraction_bits) // 3 + 2 | 1))
    three = one + unit + unit // 2
    rows += [(odd, three, 1), (odd, three, sign | 1), (odd | sign, three, 1), (odd, three, 0)]
    return rows


def halves(file, opcode, operation, count, names, plain=True):
    """f16 and bf16 and pairs of them; `names` says which of ftz, sat and relu f16 has, and relu bf16."""
    for form, kind in ((F16, "f16"), (BF16, "bf16")):
        rows = hard_rows(form, count) + float_rows(form, count, 103)
        modifiers = [""] + [name for name in names if form is F16 or name == "relu"]
        for pair in ("", "x2"):
            forms = []
            for modifier in modifiers:
                words = dict(ftz="ftz" in modifier, sat="sat" in modifier, relu="relu" in modifier)
                function = fp.arithmetic(form, operation, **words)
                code = f"{opcode}.rn{'.' * bool(modifier)}{modifier}.{kind}{pair}"
                forms.append(Form(code, 32 if pair else 16, fp.pairs(function) if pair else function))
            if plain:
                forms.append(Form(f"{opcode}.{kind}{pair}", 32 if pair else 16, forms[0].function))
            width = 32 if pair else 16
            first = len(hard_rows(form, count)) // (2 if pair else 1)
            file.elementwise(f"{opcode}_{kind}{pair}", [width] * count, paired(rows) if pair else rows, forms, first)


def two(opcode, operation):
    def write(file):
        singles(file, opcode, operation, 2)
        halves(file, opcode, operation, 2, ["ftz", "sat", "ftz.sat"])

    return write


def fused(file):
    singles(file, "mad", fp.fused, 3, plain=False)


def division(file):
    from .approximate import division_rows, full_division

    singles(file, "div", fp.divide, 2, sat=False, plain=False, rows=division_rows())
    full_division(file)


def change_of_sign(opcode):
    """abs and neg: the sign bit alone; what becomes of a NaN's bits is not specified."""

    def write(file):
        for form, kind, width in ((F32, "f32", 32), (F64, "f64", 64), (F16, "f16", 16), (BF16, "bf16", 16)):

            def run(word, ftz=False, form=form):
                word = fp.flush(form, word) if ftz else word
                return word & ~fp.sign_bit(form) if opcode == "abs" else word ^ fp.sign_bit(form)

            rows = [row for row in float_rows(form, 1, 104, 8) if not fp.is_nan(form, row[0])]
            ftz = [".ftz"] * (kind in ("f32", "f16"))
            forms = [Form(f"{opcode}{z}.{kind}", width, lambda a, z=z, f=run: f(a, bool(z))) for z in ["", *ftz]]
            file.elementwise(f"{opcode}_{kind}", [width], rows, forms)
            if width == 16:
                forms = [
                    Form(f"{opcode}{z}.{kind}x2", 32, fp.pairs(lambda a, z=z, f=run: f(a, bool(z)))) for z in ["", *ftz]
                ]
                file.elementwise(f"{opcode}_{kind}x2", [32], paired(rows), forms)
            if kind in ("f32", "f64"):
                nans = [(fp.canonical_nan(form),), (fp.canonical_nan(form) ^ 5,)]
                file.elementwise(
                    f"{opcode}_nan_{kind}", [width], nans, [Form(f"{opcode}.{kind}", width, lambda a: "nan")]
                )

    return write


def lesser_or_greater(opcode):
    def write(file):
        greater = opcode == "max"
        rules = {
            "f32": (F32, ["", "ftz", "NaN", "ftz.NaN"]),
            "f64": (F64, [""]),
            "f16": (F16, ["", "ftz", "NaN", "ftz.NaN"]),
            "bf16": (BF16, ["", "NaN"]),
        }
        for kind, (form, modifiers) in rules.items():
            rows = [(0, fp.sign_bit(form)), (fp.sign_bit(form), 0)]
            nans = floats(form)[-3:]
            rows += [(a, b) for a in nans for b in nans] + [(a, 5) for a in nans] + [(5, a) for a in nans]
            first = len(rows)
            rows += float_rows(form, 2, 105, 10, thin=4)
            for pair in ("", "x2") if form.bits == 16 else ("",):
                forms = []
                for modifier in modifiers:
                    function = fp.minimum_maximum(form, greater, "ftz" in modifier, "NaN" in modifier)
                    code = f"{opcode}{'.' * bool(modifier)}{modifier}.{kind}{pair}"
                    forms.append(Form(code, 32 if pair else form.bits, fp.pairs(function) if pair else function))
                width = 32 if pair else form.bits
                file.elementwise(f"{opcode}_{kind}{pair}", [width] * 2, paired(rows) if pair else rows, forms, first)

    return write


def beside_integers():
    """What the files of opcodes that have integers too get."""
    return {
        "add": two("add", fp.add),
        "sub": two("sub", fp.subtract),
        "mul": two("mul", fp.multiply),
        "mad": fused,
        "div": division,
        "abs": change_of_sign("abs"),
        "neg": change_of_sign("neg"),
        "min": lesser_or_greater("min"),
        "max": lesser_or_greater("max"),
    }


def files():
    fma = File("fma", "a * b + c, rounded once; .relu makes what is negative zero.", target="sm_90")
    singles(fma, "fma", fp.fused, 3, plain=False)
    halves(fma, "fma", fp.fused, 3, ["ftz", "sat", "ftz.sat", "relu", "ftz.relu"], plain=False)
    rcp = File("rcp", "The reciprocal.")
    singles(rcp, "rcp", fp.reciprocal, 1, sat=False, plain=False)
    sqrt = File("sqrt", "The square root.")
    random = Random(106)
    squares = [(0x3F800000 + random.bits(25),) for _ in range(30)]
    singles(sqrt, "sqrt", fp.square_root, 1, sat=False, plain=False, rows=squares)
    copysign = File("copysign", "The second operand with the sign of the first.")
    testp = File("testp", "What kind of number the operand is.")
    for form, kind in ((F32, "f32"), (F64, "f64")):
        sign = fp.sign_bit(form)
        copy = Form(f"copysign.{kind}", form.bits, lambda a, b, s=sign: a & s | b & ~s)
        rows = [row for row in float_rows(form, 2, 107, 8, thin=6) if not any(fp.is_nan(form, word) for word in row)]
        copysign.elementwise(f"copysign_{kind}", [form.bits] * 2, rows, [copy])

        def asked(question, form=form):
            def run(word):
                nan = fp.is_nan(form, word)
                infinite = word & (fp.sign_bit(form) - 1) == fp.infinity_bits(form)
                subnormal = fp.is_subnormal(form, word)
                return int(
                    {
                        "finite": not nan and not infinite,
                        "infinite": infinite,
                        "number": not nan,
                        "notanumber": nan,
                        "normal": not (nan or infinite or subnormal),
                        "subnormal": subnormal,
                    }[question]
                )

            return run

        questions = ("finite", "infinite", "number", "notanumber", "normal", "subnormal")
        # Zeros count as normal.
        rows = float_rows(form, 1, 108, 4)
        testp.elementwise(
            f"testp_{kind}", [form.bits], rows, [Form(f"testp.{q}.{kind}", 1, asked(q)) for q in questions]
        )
    return [fma, rcp, sqrt, copysign, testp]
