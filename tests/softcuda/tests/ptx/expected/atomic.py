"""atom and red: one thread a word for results, many threads a word for sums that no order changes."""

from functools import reduce
from operator import or_, xor

from . import floating as fp
from .edges import float_rows, integers, paired
from .floating import BF16, F16, F32, F64
from .integer import value
from .writing import File, word


def operations():
    """(name, type, function of old and operand) of every operation but cas."""
    result = []
    for width in (32, 64):
        for name, function in (
            ("and", lambda a, b: a & b),
            ("or", lambda a, b: a | b),
            ("xor", lambda a, b: a ^ b),
            ("exch", lambda a, b: b),
        ):
            result.append((name, f"b{width}", function))
        for kind in (f"u{width}", f"s{width}"):
            if kind != "s64":
                result.append(("add", kind, lambda a, b: a + b))
            result.append(("min", kind, lambda a, b, k=kind: min(value(k, a), value(k, b))))
            result.append(("max", kind, lambda a, b, k=kind: max(value(k, a), value(k, b))))
    result.append(("inc", "u32", lambda a, b: 0 if a >= b else a + 1))
    result.append(("dec", "u32", lambda a, b: b if a == 0 or a > b else a - 1))
    result.append(("add", "f64", fp.arithmetic(F64, fp.add)))
    result.append(("add", "f32", fp.arithmetic(F32, fp.add)))
    for kind, form in (("f16", F16), ("bf16", BF16)):
        function = fp.arithmetic(form, fp.add)
        result.append(("add.noftz", kind, function))
        result.append(("add.noftz", kind + "x2", fp.pairs(function)))
    return result


def width_of(kind):
    return 32 if kind.endswith("x2") else int(kind.lstrip("busf"))


def rows_of(kind):
    if "f" not in kind:
        edges = integers(width_of(kind))
        rows = [(a, b) for i, a in enumerate(edges) for j, b in enumerate(edges) if (i + j) % 3 == 0 or i == j]
        return rows + [(5, 5), (4, 5), (6, 5)]
    form = {"f1": F16, "bf": BF16, "f3": F32, "f6": F64}[kind[:2]]
    rows = float_rows(form, 2, 501, 12)
    return paired(rows) if kind.endswith("x2") else rows


def results(kind, rows, function):
    """Rows with their result, of those that have a specified one."""
    mask, kept = (1 << width_of(kind)) - 1, []
    for row in rows:
        row = [operand & mask for operand in row]
        try:
            after = function(*row)
        except fp.Unspecified:
            continue
        after = "nan64" if after == "nan" else after & mask
        if kind != "f32" or not fp.is_nan(F32, after):
            kept.append((row, after))
    return kept


def applied(file, title, instruction, kind, space, kept):
    """A thread a row: its word in global or shared memory before the instruction (of atom) and after."""
    width = width_of(kind)
    register = {16: "%h", 32: "%r", 64: "%d"}[width]
    widen = {16: "cvt.u64.u16", 32: "cvt.u64.u32", 64: "mov.b64"}[width]
    count, returns = len(kept[0][0]), file.opcode == "atom"
    given = "".join(f"ld.global.b{width} {register}{1 + i}, [%in+{8 * i}];\n" for i in range(count))
    operands = ", ".join(f"{register}{2 + i}" for i in range(count - 1))
    if space == "global":
        body, place = "mov.u64 %d50, scratch;\nmad.wide.u32 %d50, %thread, 8, %d50;\n", "[%d50]"
    else:
        body = ".shared .align 16 .b8 room[2048];\nmov.u32 %r50, room;\nmad.lo.u32 %r50, %thread, 8, %r50;\n"
        place = "[%r50]"
    body += f"mad.wide.u32 %in, %thread, {8 * count}, %in;\nmad.wide.u32 %out, %thread, {16 if returns else 8}, %out;\n"
    if "%d51" in instruction:
        body += "cvta.global.u64 %d51, %d50;\n"
        instruction, target = instruction.replace("%d51", ""), "[%d51]"
    else:
        target = place
    body += given + f"st.{space}.b{width} {place}, {register}1;\n"
    body += (
        f"{instruction} {register}30, {target}, {operands};\n" if returns else f"{instruction} {target}, {operands};\n"
    )
    body += f"ld.{space}.b{width} {register}31, {place};\n"
    if returns:
        body += f"{widen} %d60, {register}30;\nst.global.u64 [%out], %d60;\n"
    body += f"{widen} %d61, {register}31;\nst.global.u64 [%out+{8 if returns else 0}], %d61;\n"
    lines = [([word(w, 64) for w in row], [word(row[0], 64)] * returns + [word(after, 64)]) for row, after in kept]
    file.kernel(title, body, lines, len(lines), bits=64)


def each(opcode, about):
    file = File(opcode, about, "sm_90", ".global .align 16 .b8 scratch[2048];")
    # %d51 marks a generic address.
    orders = ["%d51", "relaxed.gpu.global.", "global.", "%d51relaxed.cta.", "global."]
    orders += (
        ["%d51acquire.gpu.", "acq_rel.sys.global."] if opcode == "atom" else ["%d51release.sys.", "release.gpu.global."]
    )
    for i, (name, kind, function) in enumerate(operations()):
        if opcode == "red" and name == "exch":
            continue
        title = f"{opcode}_{name.replace('.', '_')}_{kind}"
        kept = results(kind, rows_of(kind), function)
        # In global memory subnormals of f32 are flushed, in shared memory they are not.
        flushed = results(kind, rows_of(kind), fp.arithmetic(F32, fp.add, ftz=True)) if kind == "f32" else kept
        generic, order = (orders[i % len(orders)].startswith("%d51"), orders[i % len(orders)].removeprefix("%d51"))
        applied(file, title + "_global", f"{opcode}.{order}{name}.{kind}" + "%d51" * generic, kind, "global", flushed)
        order = ("shared.", "shared::cta.", "relaxed.cta.shared.")[i % 3]
        applied(file, title + "_shared", f"{opcode}.{order}{name}.{kind}", kind, "shared", kept)
    if opcode == "atom":
        for i, kind in enumerate(("b16", "b32", "b64")):
            edges = integers(width_of(kind))
            rows = [(a, b, c) for a, b, c in zip(edges, edges[3:] + edges[:3], edges[5:] + edges[:5])]
            rows += [(a, a, c) for a, _, c in rows]
            kept = results(kind, rows, lambda a, b, c: c if a == b else a)
            applied(
                file,
                f"atom_cas_{kind}_global",
                f"atom.{('global.', '', 'acquire.gpu.global.')[i]}cas.{kind}" + "%d51" * (i == 1),
                kind,
                "global",
                kept,
            )
            applied(file, f"atom_cas_{kind}_shared", f"atom.shared.cas.{kind}", kind, "shared", kept)
    contended(file, opcode)
    return file


def contended(file, opcode):
    """96 threads of each of 3 blocks on one word: sums, extremes and bits that no order changes."""
    threads, blocks = 96, 3
    operands = [2 * n + 1 for n in range(threads * blocks)]
    cases = [
        ("add.u32", 0, sum(operands)),
        ("max.s32", 0, max(operands)),
        ("min.u32", 0xFFFFFFFF, min(operands)),
        ("or.b32", 0, reduce(or_, operands)),
        ("xor.b32", 0, reduce(xor, operands)),
        ("inc.u32", 0, len(operands) % 100),
    ]
    body = "mov.u32 %r1, %ctaid.x;\nmad.lo.u32 %r2, %r1, 96, %thread;\nmad.lo.u32 %r2, %r2, 2, 1;\n"
    for i, (name, _, _) in enumerate(cases):
        operand = "%r2" if name != "inc.u32" else "99"
        destination = f"%r{10 + i}, " if opcode == "atom" else ""
        body += f"{opcode}.global.{name} {destination}[%out+{4 * i}], {operand};\n"
    start = [before for _, before, _ in cases]
    lines = [([], [word(after) for _, _, after in cases])]
    file.kernel(f"{opcode}_contended", body, lines, threads, blocks, start=start)
