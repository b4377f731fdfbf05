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
have a loop of single elements), and of those the longest; its instructions are those on the longest way from its head back to
its head that avoids cold blocks and, where there are accesses of several elements, blocks that store single ones. Parameters
an iteration are the bytes stored on that way divided by the bytes that one parameter stores, itself and its states; a
remainder is an error. What runs once a block is not counted: a block has 64 parameters a thread.

Of a step of k copies of a tensor, a parameter is an element of one copy. A way round the main loop takes a run of elements of
every copy. It passes loops over the copies, in one of which there may be another. NESTS lists them: it is an error if a loop
there is not found, or one is passed that is not there. Each is counted as the longest way round it, k times, divided by the
copies that it takes a round: 1, or 4 where nvcc unrolled it. The way round the main loop then has c0 + c1 k + c2 k^2
instructions for run k parameters, and the table gives c1 + c2 k + c0/k, each divided by the run. This is what a thread executes
where k is 4 and every copy has a gradient. Not counted are the code for a remainder of k divided by 4, which takes more a copy,
and the wider loops for sums of more than 4, which take less.

Of a perturbation, an estimate and what adapts a search, the way round the main loop passes the loop over the terms once, and in it the code that draws a counter: the
count is that of one term, and of directions that of one of them. A warp that draws signs goes round that code twice for a term, and the other seven of a block not at all.

Of a step by a gradient that is drawn, the count is that of the update, without the loop that draws, which is that of an estimate. Rules
whose arithmetic is heavy take single elements there, and none is counted.

Kernels that run once a step and tensor are not counted, nor are those that only tests launch, nor those of linear algebra.
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

# The most registers that a rule's kernels may take: with up to two state arrays, and with more. What ticks has few threads.
REGISTERS, REGISTERS_MANY_STATES = 72, 96
# The same where the gradient is drawn, and more in f64: BLOCKS_OF_DRAWN in optim/drawn.cuh.
REGISTERS_OF_DRAWN = {4: 64, 3: 80, 2: 128}

# Kernels that only tests launch, those of linear algebra and of noises of low rank, which step no parameters or tiles of them, and
# those of learned optimizers, whose loops are over neurons: the README has a table of them.
NOISE_OF_TESTS = ("noise_words", "noise_normals_of_words")
LINEAR_ALGEBRA = ("basis_", "eigen_", "jacobi_", "kron_", "polar_", "poly_", "reduce_", "root_", "spd_", "syrk_", "warm_")
NOT_COUNTED = ("fmath_", "lattice_", "lopt_", "low_rank_", "shape_", "sep_cma_step_size", *NOISE_OF_TESTS, *LINEAR_ALGEBRA)

# State arrays that the main loop of a kernel of no rule writes. Of Entropy-SGD, which has one copy, it is the walker's step
# inside its loop, which leaves two of the four alone.
STATES_WRITTEN = {"entropy_sgd": 2, "gt_adam": 4, "noise_normals": 0, "replicated_sgd": 0, "replicated_sgd_mean": 0}
# A sum of squares is one, beside a sum.
STATES_WRITTEN |= {
    f"{kernel}_{distribution}{kind}": int(kind == "_squares")
    for distribution in ("normal", "rademacher", "uniform")
    for kernel, kind in (("perturb", ""), ("perturb", "_stochastic"), ("estimate", ""), ("estimate", "_squares"))
}

# Deviations are one, beside a mean; separable CMA-ES writes a path beside it, then a path and variances beside deviations.
STATES_WRITTEN |= {"directions": 0, "search_sample": 0, "search_adapt": 1, "sep_cma_path": 1, "sep_cma_variance": 2}

# The loops over the copies that are inside a loop: the kind of each, the first of KINDS among its accesses; how many such
# accesses a copy takes; the loops inside it. A sum loads the address and the run of each copy. A copy stores its parameter and
# its states. GTAdam first brings two numbers of each agent into shared memory, then mixes for every agent those of all.
KINDS = ("STG", "STS", "LDS", "LDG")
NESTS = {
    "gt_adam": {"STS": (2, {}), "STG": (5, {"LDS": (2, {})})},
    "replicated_sgd": {"LDG": (2, {}), "STG": (1, {})},
    "replicated_sgd_mean": {"LDG": (2, {})},
}
COPIES_A_ROUND = (1, 4)

# ptxas may leave a loop by a CALL to a label of the same kernel.
JUMPS = ("BRA", "CALL")
ARITHMETIC = {"add", "sub", "mul", "mad", "fma", "div", "rcp", "sqrt", "atom", "red"}


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    ptxas, nvdisasm = (tool(name) for name in ("ptxas", "nvdisasm"))
    files = sorted((KERNELS / "ptx").glob("*.ptx"))
    library = (KERNELS / "ptx" / "library.ptx").read_text()
    failures = [message for file in files for message in inexact(file)]

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(file, target) for target in TARGETS for file in files]
        reports = list(pool.map(lambda job: assemble(ptxas, nvdisasm, library, *job, Path(folder)), jobs))
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


def assemble(ptxas, nvdisasm, library, file, target, folder):
    """What ptxas says of a file, by kernel, and for the disassembled targets what its SASS shows."""
    cubin, text = folder / f"{file.stem}.{target}.cubin", file.read_text()
    if not text.startswith(".version"):
        # It goes on where the functions that it calls end.
        text = library + text
    (whole := cubin.with_suffix(".ptx")).write_text(text)
    run = subprocess.run([ptxas, "-v", f"-arch={target}", whole, "-o", cubin], capture_output=True, text=True)
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
            if name in report["kernels"]:
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

    def widths(self, blocks, opcode):
        """The bytes of every access."""
        return [width(code[2]) for code in self.opcodes(blocks) if code[2].split(".")[0] == opcode]

    def stored(self, blocks):
        return self.widths(blocks, "STG")

    def kind(self, blocks):
        return next((kind for kind in KINDS if self.widths(blocks, kind)), None)

    def heads(self):
        return sorted({target for block in self.blocks for target in self.next[block] if target <= block})

    def main_loop(self, real, single):
        """The longest hot way round the loop that stores the most, in accesses of more than one element of `real` bytes. Where
        there is no such loop, a thread takes one element at a time: the first loop that stores `single` bytes."""
        singles = {block for block in self.blocks if any(size <= real for size in self.stored([block]))}
        ways = [way for head in self.heads() if (way := self.longest_way(head, singles)) and self.stored(way)]
        if ways:
            return max(ways, key=lambda way: (sum(self.stored(way)), self.length(way)))
        ways = (way for head in self.heads() if (way := self.longest_way(head)))
        return next((way for way in ways if sum(self.stored(way)) == single), None)

    def main_loop_of_copies(self, nest):
        """What `way_round` says of the loop that holds `nest` and stores the widest accesses; None where there is none."""
        found = [each for head in self.heads() if (each := self.way_round(head, nest)) and self.stored(each[1])]
        return max(found, key=lambda each: min(self.stored(each[1])), default=None)

    def way_round(self, head, nest):
        """The instructions of a way round a loop, by powers of the number of copies, and its blocks with those of the loops
        inside; None where the loop does not hold `nest`, or a way round it passes another loop."""
        body, inner, counts, blocks = self.body(head), {}, [0, 0, 0], []
        for kind, (accesses, nest_inside) in nest.items():
            loops = {at: loop for at in self.heads() if (loop := self.body(at)) < body and self.kind(loop) == kind}
            copies = {at: len(self.widths(loop, kind)) / accesses for at, loop in loops.items()}
            at = max((at for at in loops if copies[at] in COPIES_A_ROUND), key=copies.get, default=None)
            if at is None or (found := self.way_round(at, nest_inside)) is None:
                return None
            inner[at] = loops[at]
            counts = [counts[0], *(mine + its / copies[at] for mine, its in zip(counts[1:], found[0]))]
            blocks += found[1]
        # What has the kind of a loop but is in none is for a remainder of the copies, or another loop over them.
        cold = {block for block in body.difference(*inner.values()) if self.kind([block]) in nest}
        way = self.longest_way(head, cold | (self.blocks.keys() - body), inner)
        if way is None or set(way).intersection(self.heads()) != {head, *inner}:
            return None
        way = [block for block in way if block not in inner]
        return [counts[0] + self.count(way), *counts[1:]], way + blocks

    def body(self, head):
        """The blocks of a loop: those on a way from its head back to it."""
        body, pending = {head}, [block for block in self.blocks if block >= head and head in self.next[block]]
        while pending:
            block = pending.pop()
            if block not in body:
                body.add(block)
                pending += [before for before in self.blocks if block in self.next[before]]
        return body

    def longest_way(self, head, cold=frozenset(), inner={}):
        """The longest way from `head` back to it through hot blocks; None where there is none. Of the loops `inner`, blocks by
        head, it has the heads alone."""
        best, pending = {}, set()

        def way_from(block):
            if block in best:
                return best[block]
            if block in pending or block in cold or self.is_cold(block):
                return None
            pending.add(block)
            loop = inner.get(block)
            targets = {to for each in loop for to in self.next[each]} - loop if loop else self.next[block]
            ways = [[] if target == head else way_from(target) for target in sorted(targets)]
            ways = [way for way in ways if way is not None]
            pending.discard(block)
            longest = max(ways, key=self.length, default=None)
            best[block] = None if longest is None else [block] + longest
            return best[block]

        return way_from(head)

    def length(self, way):
        return sum(self.blocks[block] - block for block in way)

    def count(self, way):
        return sum(opcode != "NOP" for _, _, opcode, _ in self.opcodes(way))


def width(opcode):
    """Bytes of a load's or store's access."""
    for part, size in (("128", 16), ("64", 8), ("U16", 2), ("S16", 2), ("16", 2), ("U8", 1), ("S8", 1)):
        if part in opcode.split("."):
            return size
    return 4


def layout(file):
    """The twelve words of `<rule>_layout`. nvcc writes its bytes and leaves zeros at the end out."""
    line = re.search(rf"\.visible \.global .* {file.stem}_layout\[48\] = \{{(.*)\}};", file.read_text())
    return struct.unpack("<12I", bytes(int(byte) for byte in line[1].split(",")).ljust(48, b"\0"))


def header():
    return [
        "| kernel | registers sm_80, sm_90 | shared memory | spills | bytes a load, a store | SASS a parameter sm_80, sm_90 |",
        "|---|---|---|---|---|---|",
    ]


def table_rows(file, reports, failures):
    # `assemble` has failed on every spill: the column says what holds for all targets.
    is_rule = (KERNELS / f"rules/{file.stem}.cuh").exists()
    for name in re.findall(r"\.entry (\w+)\(", file.read_text()):
        kernels = [reports[target]["kernels"][name] for target in DISASSEMBLED]
        registers = [kernel["registers"] for kernel in kernels]
        family = re.sub(r"(_(f32|bf16|f16|f64))+$", "", name)
        is_counted = "_tick_" not in name and not name.startswith(NOT_COUNTED)
        if is_counted and not is_rule and family not in STATES_WRITTEN:
            sys.exit(f"{name}: STATES_WRITTEN says nothing of {family}")
        states = layout(file)[STATES_FIELD] if is_rule else STATES_WRITTEN.get(family)
        if is_rule and "_tick_" not in name and max(registers) > (limit := most_registers(name, states)):
            failures.append(f"{name}: {max(registers)} registers, more than {limit}")
        row = [name, ", ".join(map(str, registers)), kernels[0]["shared"], 0, "", ""]
        if is_counted:
            # Rules name what they write first, perturbations last.
            types = [word for word in name.split("_") if word in BYTES]
            written = types[-1 if name.startswith("perturb_") else 0] if types else "f32"
            found = [sass_a_parameter(name, kernel["sass"], BYTES[written], states, NESTS.get(family)) for kernel in kernels]
            row[4:] = found[0][0], ", ".join(count for _, count in found if count)
        yield "".join(f"| {cell} " if cell != "" else "| " for cell in row) + "|"


def most_registers(name, states):
    """Of a rule's kernel."""
    if "_drawn_" in name:
        return REGISTERS_OF_DRAWN[4 - (states > 2) - name.endswith("f64")]
    return REGISTERS if states <= 2 else REGISTERS_MANY_STATES


def sass_a_parameter(name, sass, parameter, states, nest):
    """The widths of the main loop's accesses, and its instructions a parameter of so many bytes, as the table has them."""
    single = parameter + states * max(parameter, 4)
    if nest:
        counts, blocks = sass.main_loop_of_copies(nest) or sys.exit(f"{name}: no loop holds the loops over its copies")
        # The parameter is the narrowest of the arrays, and a copy is stored alone.
        run = min(sass.stored(blocks)) // parameter
        terms = [("", counts[1]), (" k", counts[2]), ("/k", counts[0])]
    else:
        blocks = sass.main_loop(max(parameter, 4), single)
        if blocks is None and "_drawn_" in name:
            return "", ""
        if blocks is None:
            sys.exit(f"{name}: no loop stores parameters")
        run = sum(sass.stored(blocks)) // single
        terms = [("", sass.count(blocks))]
    if run == 0 or sum(sass.stored(blocks)) != run * single:
        sys.exit(f"{name}: the main loop stores {sum(sass.stored(blocks))} bytes, no multiple of a parameter's")
    widths = [sorted(set(sass.widths(blocks, opcode)), reverse=True) for opcode in ("LDG", "STG")]
    accesses = ", ".join(" ".join(map(str, sizes)) or "none" for sizes in widths)
    return accesses, " + ".join(f"{count / run:.1f}{power}" for power, count in terms if count)


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
