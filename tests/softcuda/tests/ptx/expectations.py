"""Writes the vectors beside it: for every opcode a PTX file with operands and expected results in its comments.

    python3 tests/softcuda/tests/ptx/expectations.py

Results come from the semantics in the PTX ISA, written here with integers, fractions and decimals alone: a float
operation is the exact value, rounded once; an approximate one an interval; what lanes do together is said lane by
lane. Where the ISA leaves a result open, any will do. `expected/writing.py` says how files are read.
The same files come out on every machine.
"""

import os

from expected import (
    approximate,
    asynchronous,
    atomic,
    bits,
    block,
    compare,
    control,
    convert,
    float,
    integer,
    matrix,
    memory,
    warp,
)


def files():
    beside = float.files()
    named = {file.opcode: file for file in beside}
    approximate.beside_exact(named["rcp"], named["sqrt"])
    result = integer.files(float.beside_integers()) + bits.files() + beside + approximate.files() + compare.files()
    result += (
        convert.files()
        + memory.files()
        + [asynchronous.copies()]
        + warp.files()
        + block.files()
        + control.files()
        + matrix.files()
    )
    result.append(atomic.each("atom", "Changes a word and gives what stood there."))
    result.append(atomic.each("red", "Changes a word."))
    return result


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    written = files()
    names = {file.opcode + ".ptx" for file in written}
    assert len(names) == len(written), "two files of one name"
    for name in os.listdir(folder):
        if name.endswith(".ptx") and name not in names:
            os.remove(os.path.join(folder, name))
    for file in written:
        file.write(folder)


if __name__ == "__main__":
    main()
