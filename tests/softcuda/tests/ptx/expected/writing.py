"""The files: kernels under comments that hold their operands and expected results.

    // kernel NAME block THREADS [grid BLOCKS] [bits 64] [cooperative]
    // in 0x1 0x2 out 0x3

What follows `in` lies in the buffer at the first parameter, what follows `out` is expected in the one at the second,
line after line, in words of 32 bits or as many as the head says. Instead of an expected number stands `nan32` or
`nan64` for any NaN of f32 or f64; `0x1..0x2` for floats in an interval, with an `h` before it for halves in a wider
word; or `any` where the PTX ISA leaves the result open. `// start` gives the words with which the second buffer
begins, and `// fault TEXT` says that the launch fails with that text.
"""

import os

from .floating import Unspecified

HEADER = ".version {version}\n.target {target}\n.address_size 64\n"
# Of a kernel: operands and results.
CELLS = 420
PREFIXES = {1: "%p", 16: "%h", 32: "%r", 64: "%d"}


class Random:
    """The same words everywhere: a 64-bit linear congruential generator, of which the upper bits are used."""

    def __init__(self, seed):
        self.state = seed * 0x9E3779B97F4A7C15 + 1

    def bits(self, count):
        value = 0
        for _ in range(0, count, 32):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
            value = value << 32 | self.state >> 32
        return value & ((1 << count) - 1)

    def below(self, limit):
        return self.bits(64) % limit


def interval(low, high, half=False):
    return f"{'h' * half}0x{low:x}..0x{high:x}"


def word(value, width=32):
    """A number as it is written; what is no number stands for itself."""
    return value if isinstance(value, str) else f"0x{value & ((1 << width) - 1):x}"


def halves(number):
    """A number of 64 bits as two words of 32."""
    return [number & 0xFFFFFFFF, number >> 32]


class Form:
    """An instruction with its operands, and a function from operands to the expected result.

    The code is an instruction's name, or a template: `{d}` is written, `{a} {b} {c} {e}` are the operands. Templates
    may use the scratch registers %p90 to %p99 and so on, which no operand is.
    """

    def __init__(self, code, width, function):
        self.code, self.width, self.function = code, width, function


def result(form, row):
    """What a form gives for a row of operands, as it is written or as a number."""
    try:
        found = form.function(*row)
    except Unspecified:
        return "any"
    if isinstance(found, str):
        return f"nan{form.width}" if found == "nan" else found
    return found & ((1 << form.width) - 1)


class File:
    def __init__(self, opcode, about, target="sm_80", globals="", version="7.8"):
        self.opcode, self.about, self.target = opcode, about, target
        self.globals, self.version, self.kernels, self.names = globals, version, [], set()

    def text(self):
        head = f"// {self.about}\n// Written by expectations.py, which says how these lines are read.\n"
        head += HEADER.format(version=self.version, target=self.target)
        if self.globals:
            head += "\n" + self.globals.strip("\n") + "\n"
        return head + "".join(self.kernels)

    def write(self, folder):
        with open(os.path.join(folder, self.opcode + ".ptx"), "w", encoding="ascii") as out:
            out.write(self.text())

    def kernel(self, name, body, lines, block, grid=1, fault=None, bits=32, start=(), cooperative=False):
        """A kernel with the buffers' addresses in %in and %out, the thread in %thread; `lines` are (in, out) words."""
        assert name not in self.names, name
        self.names.add(name)
        text = f"\n// kernel {name} block {block}"
        text += f" grid {grid}" * (grid != 1) + f" bits {bits}" * (bits != 32) + " cooperative" * cooperative + "\n"
        for given, expected in lines:
            words = (["in", *given] if given else []) + (["out", *expected] if expected else [])
            text += f"// {' '.join(words)}\n"
        if start:
            text += f"// start {' '.join(word(w) for w in start)}\n"
        if fault:
            text += f"// fault {fault}\n"
        text += f".visible .entry {name}(.param .u64 {name}_in, .param .u64 {name}_out)\n{{\n"
        text += "    .reg .pred %p<100>;\n    .reg .b16 %h<100>;\n    .reg .b32 %r<100>, %thread;\n"
        text += "    .reg .b64 %d<100>, %in, %out;\n"
        text += "    .reg .b128 %q<4>;\n" * (self.version >= "8.3")
        text += (
            f"    ld.param.u64 %in, [{name}_in];\n    ld.param.u64 %out, [{name}_out];\n    mov.u32 %thread, %tid.x;\n"
        )
        text += "".join(f"    {line.strip()}\n" for line in body.strip().splitlines())
        self.kernels.append(text + "    ret;\n}\n")

    def warp(self, name, body, rows):
        """A row a thread: its words of 32 bits are read into %r0 ..., and %r50 ... are stored."""
        given, expected = len(rows[0][0]), len(rows[0][1])
        code = ""
        if given:
            code += f"mad.wide.u32 %in, %thread, {4 * given}, %in;\n"
        code += f"mad.wide.u32 %out, %thread, {4 * expected}, %out;\n"
        code += "".join(f"ld.global.u32 %r{i}, [%in+{4 * i}];\n" for i in range(given))
        code += body.strip() + "\n"
        code += "".join(f"st.global.u32 [%out+{4 * i}], %r{50 + i};\n" for i in range(expected))
        lines = [([word(w) for w in a], [word(w) for w in b]) for a, b in rows]
        self.kernel(name, code, lines, len(rows))

    def elementwise(self, name, widths, rows, forms, first=0):
        """A thread a row of operands: every form applied to it, every result in a slot of 4 or of 8 bytes.

        The file stays small: of the rows after the first ones, which are all kept, some are left out.
        """
        slot = 64 if 64 in widths or any(form.width == 64 for form in forms) else 32
        lines, seen = [], set()
        for row in rows:
            row = tuple(value & ((1 << width) - 1) for value, width in zip(row, widths, strict=True))
            if row in seen:
                continue
            seen.add(row)
            results = [result(form, row) for form in forms]
            lines.append(([word(value, slot) for value in row], [word(value, slot) for value in results]))
        lines, rest = lines[:first], lines[first:]
        limit = max(CELLS // (len(widths) + len(forms)), 24)
        lines += rest if len(rest) <= limit else [rest[i * len(rest) // limit] for i in range(limit)]
        size = slot // 8
        code = f"mad.wide.u32 %in, %thread, {size * len(widths)}, %in;\n"
        code += f"mad.wide.u32 %out, %thread, {size * len(forms)}, %out;\n"
        operands = [f"{PREFIXES[width]}{i}" for i, width in enumerate(widths)]
        for i, (width, operand) in enumerate(zip(widths, operands)):
            if width == 1:
                code += f"ld.global.u32 %r99, [%in+{size * i}];\nsetp.ne.u32 {operand}, %r99, 0;\n"
            else:
                code += f"ld.global.u{width} {operand}, [%in+{size * i}];\n"
        for i, form in enumerate(forms):
            destination = f"{PREFIXES[form.width]}{10}"
            if ";" in form.code:
                names = dict(zip("abce", operands), d=destination)
                code += form.code.format(**names).strip() + "\n"
            else:
                code += f"{form.code} {destination}, {', '.join(operands)};\n"
            code += stored(destination, form.width, slot, size * i)
        self.kernel(name, code, lines, len(lines), bits=slot)


def stored(register, width, slot, offset):
    """Stores a result of any width in a slot, with zeros above."""
    code = ""
    if width == 1:
        code, register = f"selp.u32 %r98, 1, 0, {register};\n", "%r98"
    if width == 16:
        code, register = f"cvt.u32.u16 %r98, {register};\n", "%r98"
    if slot == 64 and width != 64:
        code, register = code + f"cvt.u64.u32 %d98, {register};\n", "%d98"
    return code + f"st.global.u{slot} [%out+{offset}], {register};\n"
