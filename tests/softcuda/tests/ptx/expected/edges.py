"""Operands: edge values, pairs and triples of them, and a few random ones."""

from .floating import bias, canonical_nan, infinity_bits, sign_bit
from .writing import Random


def integers(width):
    top = 1 << (width - 1)
    return [0, 1, 2, 7, top - 1, top, top + 1, 2 * top - 1, 2 * top - 2, int("55" * (width // 8), 16)]


def integer_rows(widths, seed, count=24, smalls=()):
    """Edge values of every operand against those of the others, thinned out, then random ones.

    Random operands are of random magnitude; those in `smalls` are below 80: shift counts, positions.
    """
    random = Random(seed)
    lists = [integers(width) for width in widths]
    for at in smalls:
        lists[at] = [0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, (1 << widths[at]) - 1]
    rows = []
    if len(widths) == 1:
        rows = [(value,) for value in lists[0]]
    else:
        for i, a in enumerate(lists[0]):
            for j, b in enumerate(lists[1]):
                if (i + j) % 2 == 0 or i < 2:
                    rest = [values[(i * 3 + j * 5 + 2 * k) % len(values)] for k, values in enumerate(lists[2:])]
                    rows.append((a, b, *rest))
    for _ in range(count):
        row = [random.bits(width) >> random.below(width) for width in widths]
        row = [value if random.below(2) else -value for value in row]
        for at in smalls:
            row[at] = random.below(80)
        rows.append(tuple(row))
    return rows


def floats(form):
    """Zeros, subnormals, the ends of the normal range, near and at 1, halves, large integers, infinities, NaN."""
    one = bias(form) << form.fraction_bits
    unit = 1 << form.fraction_bits
    large = one + (form.fraction_bits << form.fraction_bits)
    positive = [
        0,
        1,
        unit // 2 + 1,
        unit - 1,
        unit,
        unit + 1,
        one // 2,
        one - 1,
        one,
        one + 1,
        one + unit // 2,
        one + unit,
        one + unit + unit // 4,
        large,
        large + 1,
        infinity_bits(form) - 1,
        infinity_bits(form),
    ]
    negative = [value | sign_bit(form) for value in positive]
    nans = [canonical_nan(form), infinity_bits(form) + 1, infinity_bits(form) + unit // 2 | sign_bit(form)]
    return [value for pair in zip(positive, negative) for value in pair] + nans


def float_rows(form, count, seed, random_rows=24, thin=5):
    """Rows of `count` operands: edge values against each other, thinned out, then close random ones."""
    random, edges = Random(seed), floats(form)
    rows = []
    if count == 1:
        rows = [(value,) for value in edges]
    else:
        for i, a in enumerate(edges):
            for j, b in enumerate(edges):
                if (3 * i + 2 * j) % (thin * 3) == 0:
                    rows.append((a, b, *[edges[(i * 5 + j * 7 + 3) % len(edges)]] * (count - 2)))
    for _ in range(random_rows):
        row = []
        for _ in range(count):
            exponent = bias(form) + random.below(9) - 4
            fraction = random.bits(form.fraction_bits)
            row.append(random.below(2) * sign_bit(form) | exponent << form.fraction_bits | fraction)
        rows.append(tuple(row))
    return rows


def paired(rows):
    """Rows of halves as rows of pairs: each row below the one after the next."""
    count = len(rows)
    return [tuple(high << 16 | low for low, high in zip(rows[i], rows[(i + 3) % count])) for i in range(count)]
