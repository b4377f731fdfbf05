#!/usr/bin/env python3
"""Computes the table of the inverse normal distribution function that the default normal reads.

    kernels/normal_table.py            writes kernels/core/normal_table.inc
    kernels/normal_table.py --check    fails if what stands there differs

Wants mpmath. The same digits on every machine: everything is computed in 40 decimal digits and rounded once.

A row holds the coefficients of a cubic, lowest first, as the bits of four f32. Row 16·n + s is for the numbers f in f32 from
2^n·(1 + s/16) to e = 2^n·(1 + (s + 1)/16). The cubic in t = (f - e) / 2^n is -Φ⁻¹(f / 2^32). The rows of n = 31 are zeros: of
them 2^31 alone occurs.

A cubic is the Chebyshev series of the function on its segment, cut behind the third term. Its highest coefficient is
rounded, the rest is fitted anew to what that leaves, and so on down. The last segment of octave 30 ends at f = 2^31, where
the function is 0: there the quadratic of the function / t is fitted, so that small values keep all their digits.

Rounding may leave a cubic beginning a unit in the last place above the end of the one before. Its slope then becomes a little
flatter, and the values of the whole table are in order.
"""

import struct
import sys
from pathlib import Path

from mpmath import chebyt, cos, erfinv, mp, mpf, pi, sqrt

TABLE = Path(__file__).resolve().parent / "core/normal_table.inc"
OCTAVES, SEGMENTS = 32, 16
WIDTH = mpf(1) / SEGMENTS
STEP = mpf(2) ** -23  # between neighbouring t
DEGREE, NODES = 3, 24
TILTS = 8  # a unit in the last place of a value is tried in as many parts

mp.dps = 40


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    rows = [row(octave, segment) for octave in range(OCTAVES - 1) for segment in range(SEGMENTS)]
    rows = in_order(rows) + [[mpf(0)] * (DEGREE + 1)] * SEGMENTS
    text = "".join(", ".join(f"{bits(c):#010x}" for c in cubic) + ",\n" for cubic in rows)
    if not sys.argv[1:]:
        TABLE.write_text(text)
    elif TABLE.read_text() != text:
        sys.exit(f"{TABLE} is not what {Path(__file__).name} computes")


def row(octave, segment):
    end = 1 + (segment + 1) * WIDTH
    quantile = lambda t: sqrt(2) * erfinv(1 - (end + t) / mpf(2) ** (31 - octave))
    if end == 2 and octave == OCTAVES - 2:
        return [mpf(0)] + fit(lambda t: quantile(t) / t, DEGREE - 1)
    return fit(quantile, DEGREE)


def fit(function, degree):
    """Coefficients in f32 of a polynomial for t from -WIDTH to 0."""
    nodes = [cos((2 * k + 1) * pi / (2 * NODES)) for k in range(NODES)]
    places = [(x - 1) * WIDTH / 2 for x in nodes]
    values = [function(t) for t in places]
    coefficients = []
    for power in range(degree, -1, -1):
        highest = rounded(leading(nodes, values, power) / (WIDTH / 2) ** power)
        coefficients.insert(0, highest)
        values = [value - highest * t**power for value, t in zip(values, places)]
    return coefficients


def leading(nodes, values, degree):
    """The highest coefficient, in x, of the Chebyshev series through `values`, cut behind `degree`."""
    series = sum(value * chebyt(degree, x) for value, x in zip(values, nodes)) * (2 if degree else 1) / NODES
    return series * mpf(2) ** max(degree - 1, 0)


def in_order(rows):
    """The rows, those tilted that would begin above the end of the row before."""
    ordered = rows[:1]
    for cubic in rows[1:]:
        bound = evaluated(ordered[-1], -STEP)
        tilt = (evaluated(cubic, -WIDTH) - bound) / WIDTH / TILTS
        tilts = ([cubic[0], rounded(cubic[1] + k * tilt)] + cubic[2:] for k in range(2 * TILTS))
        ordered.append(next(each for each in tilts if evaluated(each, -WIDTH) <= bound))
    return ordered


def evaluated(cubic, t):
    value = cubic[3]
    for coefficient in reversed(cubic[:3]):
        value = rounded(value * t + coefficient)
    return value


def bits(value):
    return struct.unpack("<I", struct.pack("<f", float(value)))[0]


def rounded(value):
    return mpf(struct.unpack("<f", struct.pack("<f", float(value)))[0])


if __name__ == "__main__":
    main()
