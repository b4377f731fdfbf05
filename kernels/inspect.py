#!/usr/bin/env python3
"""Assembles every PTX in kernels/ptx for the supported targets, and tabulates what ptxas and nvdisasm say.

    kernels/inspect.py            writes the table in kernels/README.md
    kernels/inspect.py --check    fails if the table there differs

Fails on a PTX that ptxas refuses or warns about, on a spill or a stack frame, on more registers than a rule may take, and
on float arithmetic that is approximate, flushes, or leaves its rounding to ptxas. Wants the tools of kernels/toolchain.sh,
or ptxas and nvdisasm beside NVCC, under CUDA_HOME or on PATH; no GPU.

How "instructions a parameter" is counted. The SASS of a kernel is cut into basic blocks. A block that calls is cold: the
calls are the slow paths of division and root, taken for operands near the ends of the exponent range. The main loop
is the one that stores the most bytes an iteration in accesses of several elements (steps with something around the rule
have a loop of single elements); its instructions are those on the longest way from its head back to
its head that avoids cold blocks. Parameters an iteration are the bytes stored on that way divided by the bytes that one
parameter stores, itself and its states; a remainder is an error. What runs once a block is not counted: a block has 64
parameters a thread.
"""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KERNELS = Path(__file__).resolve().parent
README = KERNELS / "README.md"
BEGIN, END = "<!-- inspect.py writes from here -->", "<!-- to here -->"

TARGETS = ["sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
DISASSEMBLED = ["sm_80", "sm_90"]
BYTES = {"f32": 4, "bf16": 2, "f16": 2, "f64": 8}
STATES_FIELD = 7

# The most registers that a rule's kernels may take: with up to two state arrays, and with more.
REGISTERS, REGISTERS_MANY_STATES = 72, 96

# ptxas may leave a loop by a CALL to a label of the same kernel.
JUMPS = ("BRA", "CALL")
ARITHMETIC = {"add", "sub", "mul", "mad", "fma", "div", "rcp", "sqrt", "atom", "red"}


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    ptxas, nvdisasm = (tool(name) for name in ("ptxas", "nvdisasm"))
    files = sorted((KERNELS / "ptx").glob("*.ptx"))
    failures = [message for file in files for message in inexact(file)]

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(file, target) for target in TARGETS for file in files]
        reports = list(pool.map(lambda job: assemble(ptxas, nvdisasm, *job, Path(folder)), jobs))
    failures += [message for report in reports for message in report["failures"]]
    if failures:
        sys.exit("\n".join(failures))

    by_job = dict(zip(jobs, reports))
    rows = [row for file in files for row in table_rows(file, {t: by_job[file, t] for t in DISASSEMBLED}, failures)]
    update_readme("\n".join(header() + rows), check=bool(sys.argv[1:]))
    if failures:
        sys.exit("\n".join(failures))
    print(f"{len(files)} PTX files assemble for {', '.join(TARGETS)} without a spill or a stack frame")


def tool(name):
    """The tool beside NVCC, else under CUDA_HOME, else on PATH, else in target/cuda-toolchain."""
    folders = []
    if "NVCC" in os.environ:
        folders.append(str(Path(os.environ["NVCC"]).parent))
    if "CUDA_HOME" in os.environ:
        folders.append(f"{os.environ['CUDA_HOME']}/bin")
    folders += [os.environ.get("PATH", ""), str(KERNELS.parent / "target/cuda-toolchain/cuda/bin")]
    found = shutil.which(name, path=os.pathsep.join(folders))
    return found or sys.exit(f"there is no {name}: run kernels/toolchain.sh, or set NVCC or CUDA_HOME")


def inexact(file):
    """Float instructions whose result is not pinned by their text."""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        words = [word for word in line.split() if word[0] not in "@{"]
        parts = words[0].rstrip(";").split(".") if words else [""]
        if not any(part.startswith(("f16", "bf16", "f32", "f64")) for part in parts):
            continue
        loose = {"approx", "full", "ftz"} & set(parts)
        if loose or parts[0] in ARITHMETIC and "rn" not in parts:
            yield f"{file.name}:{number}: `{line.strip()}` is not pinned to one result"


def assemble(ptxas, nvdisasm, file, target, folder):
    """What ptxas says of a file, by kernel, and for the disassembled targets what its SASS shows."""
    cubin = folder / f"{file.stem}.{target}.cubin"
    run = subprocess.run([ptxas, "-v", f"-arch={target}", file, "-o", cubin], capture_output=True, text=True)
    said = run.stdout + run.stderr
    if run.returncode != 0 or "warning" in said or "error" in said:
        return {"failures": [f"{file.name}: ptxas for {target} said:\n{said}"]}

    report = {"failures": [], "kernels": {}}
    for part in said.split("Compiling entry function '")[1:]:
        name = part.split("'")[0]
        number = lambda pattern: int((re.search(pattern, part) or ["", "0"])[1])
        report["kernels"][name] = {"registers": number(r"Used (\d+) registers"), "shared": number(r"(\d+) bytes smem")}
        for what in ("stack frame", "spill stores", "spill loads"):
            if size := number(rf"(\d+) bytes {what}"):
                report["failures"].append(f"{name} for {target}: {size} bytes {what}")
    if target in DISASSEMBLED:
        sass = subprocess.run([nvdisasm, "-c", cubin], capture_output=True, text=True, check=True).stdout
        for name, instructions in functions(sass).items():
            report["kernels"][name]["sass"] = Sass(instructions)
    return report


def functions(sass):
    """The instructions of every kernel: (labels before it, predicated, opcode, operands)."""
    kernels, labels, current = {}, [], None
    for line in sass.splitlines():
        if name := re.match(r"\s*\.text\.(\w+):", line):
            current = kernels[name[1]] = []
        elif label := re.match(r"\s*(\.L_\w+|\$\S+):\s*$", line):
            labels.append(label[1])
        elif code := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(@\S+\s+)?([A-Z][\w.]*)\s*(.*?)\s*;", line):
            if current is not None:
                current.append((labels, bool(code[1]), code[2], code[3]))
                labels = []
    return kernels


def is_local(operands):
    return "`(.L_" in operands


class Sass:
    """A kernel's control flow."""

    def __init__(self, instructions):
        self.instructions = instructions
        place = {label: i for i, (labels, *_) in enumerate(instructions) for label in labels}
        starts = {0} | set(place.values())
        for i, (_, _, opcode, _) in enumerate(instructions):
            if opcode.split(".")[0] in JUMPS + ("EXIT", "RET"):
                starts.add(i + 1)
        starts = sorted(i for i in starts if i < len(instructions))
        self.blocks = dict(zip(starts, starts[1:] + [len(instructions)]))
        self.next = {start: self.successors(end, place) for start, end in self.blocks.items()}

    def successors(self, end, place):
        _, predicated, opcode, operands = self.instructions[end - 1]
        follow = [end] if end in self.blocks else []
        kind = opcode.split(".")[0]
        if kind in JUMPS and is_local(operands):
            target = place[re.search(r"`\((\S+)\)", operands)[1]]
            conditional = predicated or re.match(r"!?U?P\d", operands)
            return [target] + (follow if conditional else [])
        if kind in ("EXIT", "RET"):
            return follow if predicated else []
        return follow

    def is_cold(self, block):
        _, _, opcode, operands = self.instructions[self.blocks[block] - 1]
        return opcode.startswith("CALL") and not is_local(operands)

    def opcodes(self, blocks):
        return [one for block in blocks for one in self.instructions[block : self.blocks[block]]]

    def widths(self, way, opcode):
        found = {width(code[2]) for code in self.opcodes(way) if code[2].split(".")[0] == opcode}
        return " ".join(map(str, sorted(found, reverse=True)))

    def main_loop(self, real, single):
        """The longest hot way round the loop that stores the most, in accesses of more than one element of `real` bytes. Where
        there is no such loop, a thread takes one element at a time: that loop stores `single` bytes."""
        heads = {target for block in self.blocks for target in self.next[block] if target <= block}
        ways = [way for head in sorted(heads) if (way := self.longest_way(head))]
        several = [way for way in ways if any(size > real for size in self.stored(way))]
        ways = several or [way for way in ways if sum(self.stored(way)) == single]
        return max(ways, key=lambda way: sum(self.stored(way))) if ways else sys.exit("no loop stores parameters")

    def longest_way(self, head):
        """The longest way from `head` back to it through hot blocks; None where there is none."""
        best, pending = {}, set()

        def way_from(block):
            if block in best:
                return best[block]
            if block in pending or self.is_cold(block):
                return None
            pending.add(block)
            ways = [[] if target == head else way_from(target) for target in self.next[block]]
            ways = [way for way in ways if way is not None]
            pending.discard(block)
            longest = max(ways, key=self.length, default=None)
            best[block] = None if longest is None else [block] + longest
            return best[block]

        return way_from(head)

    def length(self, way):
        return sum(self.blocks[block] - block for block in way)

    def stored(self, way):
        """The bytes of every store."""
        return [width(opcode) for _, _, opcode, _ in self.opcodes(way) if opcode.split(".")[0] == "STG"]

    def count(self, way):
        return sum(opcode != "NOP" for _, _, opcode, _ in self.opcodes(way))


def width(opcode):
    """Bytes of a load's or store's access."""
    for part, size in (("128", 16), ("64", 8), ("U16", 2), ("S16", 2), ("16", 2), ("U8", 1), ("S8", 1)):
        if part in opcode.split("."):
            return size
    return 4


def layout(file):
    """The ten words of `<rule>_layout`. nvcc writes its bytes and leaves zeros at the end out."""
    line = re.search(rf"\.visible \.global .* {file.stem}_layout\[40\] = \{{(.*)\}};", file.read_text())
    return struct.unpack("<10I", bytes(int(byte) for byte in line[1].split(",")).ljust(40, b"\0"))


def header():
    return [
        "| kernel | registers sm_80, sm_90 | shared memory | spills | bytes a load, a store | SASS a parameter sm_80, sm_90 |",
        "|---|---|---|---|---|---|",
    ]


def table_rows(file, reports, failures):
    # `assemble` has failed on every spill: the column says what holds for all targets.
    is_rule = (KERNELS / f"rules/{file.stem}.cuh").exists()
    states = layout(file)[STATES_FIELD] if is_rule else None
    for name in re.findall(r"\.entry (\w+)\(", file.read_text()):
        kernels = [reports[target]["kernels"][name] for target in DISASSEMBLED]
        most = max(kernel["registers"] for kernel in kernels)
        if is_rule and most > (limit := REGISTERS if states <= 2 else REGISTERS_MANY_STATES):
            failures.append(f"{name}: {most} registers, more than {limit}")
        first = kernels[0]
        registers = ", ".join(str(kernel["registers"]) for kernel in kernels)
        if "_tick_" in name or not is_rule:
            yield f"| {name} | {registers} | {first['shared']} | 0 | | |"
            continue
        parameter = BYTES[name.split("_")[-2]]
        real = max(parameter, 4)
        sass = [kernel["sass"] for kernel in kernels]
        ways = [each.main_loop(real, parameter + states * real) for each in sass]
        counts = []
        for each, way in zip(sass, ways):
            parameters, rest = divmod(sum(each.stored(way)), parameter + states * real)
            if parameters == 0 or rest != 0:
                sys.exit(f"{name}: the main loop stores {sum(each.stored(way))} bytes, no multiple of a parameter's")
            counts.append(f"{each.count(way) / parameters:.1f}")
        widths = ", ".join(sass[0].widths(ways[0], opcode) for opcode in ("LDG", "STG"))
        yield f"| {name} | {registers} | {first['shared']} | 0 | {widths} | {', '.join(counts)} |"


def update_readme(table, check):
    text = README.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    fresh = f"{text[:start]}\n{table}\n{text[end:]}"
    if not check:
        README.write_text(fresh)
    elif fresh != text:
        sys.exit("the table in kernels/README.md is old: run kernels/inspect.py")


if __name__ == "__main__":
    main()
