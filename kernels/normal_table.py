#!/usr/bin/env python3
"""Computes the table of the inverse normal distribution function that the default normal reads.

    kernels/normal_table.py            writes kernels/core/normal_table.inc
    kernels/normal_table.py --check    fails if what stands there differs

Wants mpmath. The same digits on every machine: everything is computed in 40 decimal digits and rounded once.

A row holds the coefficients of a cubic, lowest first, as the bits of four f32. Row 16·n + s is for the odd words v of 32
bits with n leading zeros whose four bits behind the leading one are s. Of m = v·2^n, these are the m from
2^31 + s·2^27 to e = 2^31 + (s + 1)·2^27, and the cubic in t = m - e is -Φ⁻¹(v / 2^33).

A cubic is the Chebyshev series of the function on its segment, cut behind the third term. Its highest coefficient is
rounded, the rest is fitted anew to what that leaves, and so on down. The last segment of octave 0 ends at v = 2^32, where
the function is 0: there the quadratic of the function / t is fitted, so that small values keep all their digits.
"""

import struct
import sys
from pathlib import Path

from mpmath import chebyt, cos, erfinv, mp, mpf, pi, sqrt

TABLE = Path(__file__).resolve().parent / "core/normal_table.inc"
OCTAVES, SEGMENTS, WIDTH = 32, 16, 2**27
DEGREE, NODES = 3, 24

mp.dps = 40


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    rows = [row(octave, segment) for octave in range(OCTAVES) for segment in range(SEGMENTS)]
    text = "".join(", ".join(f"{bits(c):#010x}" for c in cubic) + ",\n" for cubic in rows)
    if not sys.argv[1:]:
        TABLE.write_text(text)
    elif TABLE.read_text() != text:
        sys.exit(f"{TABLE} is not what {Path(__file__).name} computes")


def row(octave, segment):
    end = 2**31 + (segment + 1) * WIDTH
    quantile = lambda t: sqrt(2) * erfinv(1 - (end + t) / mpf(2) ** (32 + octave))
    if end == 2**32 and octave == 0:
        return [mpf(0)] + fit(lambda t: quantile(t) / t, DEGREE - 1)
    return fit(quantile, DEGREE)


def fit(function, degree):
    """Coefficients in f32 of a polynomial for t from -WIDTH to 0."""
    nodes = [cos((2 * k + 1) * pi / (2 * NODES)) for k in range(NODES)]
    places = [(x - 1) * WIDTH / 2 for x in nodes]
    values = [function(t) for t in places]
    coefficients = []
    for power in range(degree, -1, -1):
        highest = rounded(leading(nodes, values, power) / mpf(WIDTH // 2) ** power)
        coefficients.insert(0, highest)
        values = [value - highest * t**power for value, t in zip(values, places)]
    return coefficients


def leading(nodes, values, degree):
    """The highest coefficient, in x, of the Chebyshev series through `values`, cut behind `degree`."""
    series = sum(value * chebyt(degree, x) for value, x in zip(values, nodes)) * (2 if degree else 1) / NODES
    return series * mpf(2) ** max(degree - 1, 0)


def bits(value):
    return struct.unpack("<I", struct.pack("<f", float(value)))[0]


def rounded(value):
    return mpf(struct.unpack("<f", struct.pack("<f", float(value)))[0])


if __name__ == "__main__":
    main()
