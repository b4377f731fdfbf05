"""IEEE 754 arithmetic on exact fractions.

A value is a NaN, an infinity or a sign with an exact magnitude; an operation gives the exact value and only then
rounds it once to a format. Nothing here uses the floats of Python.
"""

from collections import namedtuple
from fractions import Fraction
from math import isqrt

Format = namedtuple("Format", "bits exponent_bits fraction_bits")
F16 = Format(16, 5, 10)
BF16 = Format(16, 8, 7)
TF32 = Format(19, 8, 10)
F32 = Format(32, 8, 23)
F64 = Format(64, 11, 52)

Value = namedtuple("Value", "kind negative magnitude")
NAN = Value("nan", False, None)


class Unspecified(Exception):
    """The PTX ISA does not say what the result is: any is as good."""


def infinity(negative):
    return Value("infinite", negative, None)


def finite(number, negative_zero=False):
    number = Fraction(number)
    return Value("finite", number < 0 or (number == 0 and negative_zero), abs(number))


def signed(value):
    return -value.magnitude if value.negative else value.magnitude


def is_zero(value):
    return value.kind == "finite" and value.magnitude == 0


def bias(form):
    return (1 << (form.exponent_bits - 1)) - 1


def sign_bit(form):
    return 1 << (form.bits - 1)


def infinity_bits(form):
    return ((1 << form.exponent_bits) - 1) << form.fraction_bits


def canonical_nan(form):
    return sign_bit(form) - 1


def is_nan(form, word):
    return (word & (sign_bit(form) - 1)) > infinity_bits(form)


def is_subnormal(form, word):
    return 0 < (word & (sign_bit(form) - 1)) < (1 << form.fraction_bits)


def decode(form, word):
    negative = bool(word & sign_bit(form))
    fraction = word & ((1 << form.fraction_bits) - 1)
    exponent = (word & (sign_bit(form) - 1)) >> form.fraction_bits
    if exponent == (1 << form.exponent_bits) - 1:
        return NAN if fraction else infinity(negative)
    if exponent:
        fraction += 1 << form.fraction_bits
    scale = max(exponent, 1) - bias(form) - form.fraction_bits
    return Value("finite", negative, Fraction(fraction) * Fraction(2) ** scale)


def floor_log2(magnitude):
    """The largest e with 2^e <= magnitude."""
    e = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    return e if Fraction(2) ** e <= magnitude else e - 1


def round_to_integer(magnitude, negative, rounding):
    """The magnitude of a rounded number. rn: ties to even; na: ties away; z: toward 0; m, p: down, up."""
    whole, rest = divmod(magnitude.numerator, magnitude.denominator)
    half = 2 * rest - magnitude.denominator
    up = {
        "rn": half > 0 or (half == 0 and whole % 2 == 1),
        "rna": half >= 0,
        "rz": False,
        "rm": rest > 0 and negative,
        "rp": rest > 0 and not negative,
    }[rounding]
    return whole + up


def encode(form, value, rounding="rn"):
    if value.kind == "nan":
        return canonical_nan(form)
    sign = sign_bit(form) if value.negative else 0
    if value.kind == "infinite":
        return sign | infinity_bits(form)
    if value.magnitude == 0:
        return sign
    lowest = 1 - bias(form)
    exponent = max(floor_log2(value.magnitude), lowest)
    unit = Fraction(2) ** (exponent - form.fraction_bits)
    # Where rounding carries into the next binade, the sum below carries into the exponent.
    units = round_to_integer(value.magnitude / unit, value.negative, rounding)
    bits = units + ((exponent - lowest) << form.fraction_bits)
    if bits >= infinity_bits(form):
        stays = rounding == "rz" or rounding == ("rp" if value.negative else "rm")
        bits = infinity_bits(form) - stays
    return sign | bits


def negate(x):
    return x._replace(negative=not x.negative) if x.kind != "nan" else NAN


def add(rounding, x, y):
    if "nan" in (x.kind, y.kind):
        return NAN
    if x.kind == y.kind == "infinite":
        return x if x.negative == y.negative else NAN
    if "infinite" in (x.kind, y.kind):
        return x if x.kind == "infinite" else y
    total = signed(x) + signed(y)
    if total == 0:
        both_zero = x.magnitude == 0 and x.negative == y.negative
        return finite(0, x.negative if both_zero else rounding == "rm")
    return finite(total)


def subtract(rounding, x, y):
    return add(rounding, x, negate(y))


def multiply(_rounding, x, y):
    if "nan" in (x.kind, y.kind):
        return NAN
    negative = x.negative != y.negative
    if "infinite" in (x.kind, y.kind):
        return NAN if is_zero(x) or is_zero(y) else infinity(negative)
    return Value("finite", negative, x.magnitude * y.magnitude)


def fused(rounding, x, y, z):
    return add(rounding, multiply(rounding, x, y), z)


def divide(_rounding, x, y):
    if "nan" in (x.kind, y.kind):
        return NAN
    negative = x.negative != y.negative
    if x.kind == "infinite":
        return NAN if y.kind == "infinite" else infinity(negative)
    if y.kind == "infinite":
        return finite(0, negative)
    if y.magnitude == 0:
        return NAN if x.magnitude == 0 else infinity(negative)
    return Value("finite", negative, x.magnitude / y.magnitude)


def reciprocal(rounding, x):
    return divide(rounding, finite(1), x)


def square_root(_rounding, x):
    if x.kind == "nan" or is_zero(x):
        return x
    if x.negative:
        return NAN
    if x.kind == "infinite":
        return x
    # 2^1600 makes 263 bits and more of the least f64; a trailing bit stands for whatever is cut off.
    scaled = x.magnitude * 2**1600
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    root = isqrt(whole)
    return finite(Fraction(2 * root + (root * root != whole or rest != 0), 2**801))


def flush(form, word):
    """.ftz: a subnormal becomes a zero of its sign."""
    return word & sign_bit(form) if is_subnormal(form, word) else word


def saturate(form, word):
    """.sat: into [0, 1]; NaN becomes +0."""
    if is_nan(form, word):
        return 0
    if word == sign_bit(form):
        raise Unspecified("which zero -0 becomes")
    if word & sign_bit(form):
        return 0
    return min(word, bias(form) << form.fraction_bits)


def arithmetic(form, operation, rounding="rn", ftz=False, sat=False, relu=False):
    """A function of words from an operation on values."""

    def run(*words):
        if ftz:
            words = [flush(form, word) for word in words]
        exact = operation(rounding, *(decode(form, word) for word in words))
        result = encode(form, exact, rounding)
        if ftz:
            tiny = exact.kind == "finite" and 0 < exact.magnitude < Fraction(2) ** (1 - bias(form))
            if tiny and not is_subnormal(form, result) and result & (sign_bit(form) - 1):
                raise Unspecified("whether flushing looks before or after rounding")
            result = flush(form, result)
        if sat:
            result = saturate(form, result)
        if relu and result & sign_bit(form) and not is_nan(form, result):
            if result == sign_bit(form):
                raise Unspecified("which zero -0 becomes")
            result = 0
        if form is F64 and is_nan(form, result):
            return "nan"
        return result

    return run


def pairs(function):
    """The function of halves on both halves of words of 32 bits."""

    def run(*words):
        low = function(*(word & 0xFFFF for word in words))
        high = function(*(word >> 16 for word in words))
        return high << 16 | low

    return run


def minimum_maximum(form, greater, ftz=False, nan=False):
    """min and max: a NaN loses unless `nan`, and -0 is less than +0."""

    def key(word):
        return -(word & (sign_bit(form) - 1)) - 1 if word & sign_bit(form) else word

    def run(a, b):
        if ftz:
            a, b = flush(form, a), flush(form, b)
        nans = [is_nan(form, word) for word in (a, b)]
        if all(nans) or (nan and any(nans)):
            return "nan" if form is F64 else canonical_nan(form)
        if any(nans):
            return b if nans[0] else a
        return (max if greater else min)(a, b, key=key)

    return run
