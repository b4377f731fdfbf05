"""What the lanes of a warp do together."""

from .integer import value
from .writing import File, Random

LANES = range(32)
FULL = 0xFFFFFFFF


def shuffled(mode, lane, b, c):
    """The source lane, and whether it is in range: c has a bound in bits 0 to 4, a mask of segments in 8 to 12."""
    segment = c >> 8 & 31
    top = (lane & segment) | (c & 31 & ~segment)
    low = lane & segment
    b &= 31
    if mode == "up":
        source, valid = lane - b, lane - b >= top
    elif mode == "down":
        source, valid = lane + b, lane + b <= top
    elif mode == "bfly":
        source, valid = lane ^ b, lane ^ b <= top
    else:
        source = low | (b & ~segment)
        valid = source <= top
    return (source, 1) if valid else (lane, 0)


def shuffles():
    file = File("shfl", "Reads a register of another lane; the predicate says whether that lane was in range.")
    held = lambda lane: (lane * 0x01010101 + 0x80C0E0F0) & FULL
    for mode in ("up", "down", "bfly", "idx"):
        # Whole warp, halves, eights, pairs; clamped where the type wants it, and cut in the middle.
        ends = [0] if mode == "up" else [31]
        bounds = ends + [s << 8 | e for s in (0x10, 0x18, 0x1E, 0x1F) for e in ends] + [5, 0x0803, 0x1004, 20]
        for c in bounds:
            amounts = (0, 1, 6, 16, 33)
            body, rows = "", []
            for j, b in enumerate(amounts):
                body += f"shfl.sync.{mode}.b32 %r{50 + 2 * j}|%p1, %r0, {b}, 0x{c:x}, -1;\n"
                body += f"selp.u32 %r{51 + 2 * j}, 1, 0, %p1;\n"
            for lane in LANES:
                got = []
                for b in amounts:
                    source, valid = shuffled(mode, lane, b, c)
                    got += [held(source), valid]
                rows.append(([held(lane)], got))
            file.warp(f"shfl_{mode}_bound_{c:x}", body, rows)
    random, rows = Random(601), []
    picks = [random.below(64) for _ in LANES]
    rows = [([held(lane), picks[lane], 0x1F], [held(picks[lane] % 32)]) for lane in LANES]
    file.warp("shfl_idx_registers", "shfl.sync.idx.b32 %r50, %r0, %r1, %r2, 0xffffffff;\n", rows)
    # Even lanes among themselves, then odd ones: only members of the mask take part.
    body = """
        and.b32 %r1, %thread, 1;
        setp.eq.u32 %p1, %r1, 0;
        @%p1 shfl.sync.bfly.b32 %r50, %r0, 2, 31, 0x55555555;
        @!%p1 shfl.sync.bfly.b32 %r50, %r0, 4, 31, 0xaaaaaaaa;
        """
    file.warp("shfl_by_halves", body, [([held(l)], [held(l ^ (4 if l & 1 else 2))]) for l in LANES])
    # A last warp of 5 threads: the mask names them alone.
    file.warp(
        "shfl_short_warp",
        "shfl.sync.down.b32 %r50|%p1, %r0, 1, 4, 0x1f;\nselp.u32 %r51, 1, 0, %p1;\n",
        [([held(l)], [held(min(l + 1, 4)), int(l < 4)]) for l in range(5)],
    )
    return file


def votes():
    file = File("vote", "All, any, none or all alike, and the ballot of the lanes in the mask.")
    cases = [0, FULL, 1, 0x7FFFFFFF, 0x0F0FA234]
    for name, members in (("all", FULL), ("odd", 0xAAAAAAAA), ("low", 0x0000FFFF)):
        body, got = "", {lane: [] for lane in LANES}
        if members != FULL:
            body = f"mov.u32 %r90, 0x{members:x};\nshr.u32 %r91, %r90, %thread;\nand.b32 %r91, %r91, 1;\n"
            body += "setp.eq.u32 %p90, %r91, 0;\nmov.u32 %r92, 0;\n"
        slot, text = 50, ""
        for i, _ in enumerate(cases):
            text += f"shr.u32 %r80, %r{i}, %thread;\nand.b32 %r80, %r80, 1;\nsetp.ne.u32 %p1, %r80, 0;\n"
            for question in ("all", "any", "uni", "!all", "ballot", "!ballot"):
                negated, question = "!" * question.startswith("!"), question.lstrip("!")
                if question == "ballot":
                    text += f"vote.sync.ballot.b32 %r{slot}, {negated}%p1, 0x{members:x};\n"
                else:
                    text += (
                        f"vote.sync.{question}.pred %p2, {negated}%p1, 0x{members:x};\nselp.u32 %r{slot}, 1, 0, %p2;\n"
                    )
                bits = (~cases[i] if negated else cases[i]) & members
                result = {
                    "all": int(bits == members),
                    "any": int(bits != 0),
                    "uni": int(bits in (0, members)),
                    "ballot": bits,
                }[question]
                for lane in LANES:
                    got[lane].append(result if members >> lane & 1 else 0)
                slot += 1
        if members != FULL:
            clear = "".join(f"mov.u32 %r{n}, 0;\n" for n in range(50, slot))
            text = clear + body + "@%p90 bra done;\n" + text + "done:\n"
        file.warp(f"vote_{name}", text, [(cases, got[lane]) for lane in LANES])
    return file


def matches():
    file = File("match", "The lanes that hold the same value; with all, all lanes or none.")
    for width in (32, 64):
        for name, values in (
            ("groups", [l // 3 % 4 for l in LANES]),
            ("same", [7] * 32),
            ("own", list(LANES)),
            ("one", [5] * 31 + [6]),
            ("upper", [(l & 1) << (width - 1) | 9 for l in LANES]),
        ):
            for members in (FULL, 0x00FF00FF):
                inside = [lane for lane in LANES if members >> lane & 1]
                rows = []
                for lane in LANES:
                    group = sum(1 << l for l in inside if values[l] == values[lane])
                    alike = all(values[l] == values[inside[0]] for l in inside)
                    got = [group, members * alike, int(alike), members * alike]
                    given = [values[lane] & FULL, values[lane] >> 32]
                    rows.append((given, got if members >> lane & 1 else [0] * 4))
                operand = "%r0" if width == 32 else "%d1"
                body = "" if width == 32 else "mov.b64 %d1, {%r0, %r1};\n"
                body += "".join(f"mov.u32 %r{n}, 0;\n" for n in range(50, 54))
                body += f"mov.u32 %r90, 0x{members:x};\nshr.u32 %r91, %r90, %thread;\nand.b32 %r91, %r91, 1;\n"
                body += "setp.eq.u32 %p90, %r91, 0;\n@%p90 bra done;\n"
                body += f"match.any.sync.b{width} %r50, {operand}, 0x{members:x};\n"
                body += f"match.all.sync.b{width} %r51|%p1, {operand}, 0x{members:x};\nselp.u32 %r52, 1, 0, %p1;\n"
                body += f"match.all.sync.b{width} %r53, {operand}, 0x{members:x};\ndone:\n"
                file.warp(f"match_{width}_{name}_{members:x}", body, rows)
    return file


def reductions():
    file = File("redux", "Reduces a register over the lanes in the mask.")
    random = Random(602)
    data = {
        "random": [random.bits(32) for _ in LANES],
        "small": [l - 16 & FULL for l in LANES],
        "edges": [(0, 1, 0x7FFFFFFF, 0x80000000, FULL)[l % 5] for l in LANES],
        "ones": [FULL] * 32,
    }
    fold = {
        "add.u32": sum,
        "add.s32": sum,
        "min.u32": min,
        "max.u32": max,
        "min.s32": lambda v: min(v, key=lambda n: value("s32", n)),
        "max.s32": lambda v: max(v, key=lambda n: value("s32", n)),
        "and.b32": lambda v: sum(all(n >> i & 1 for n in v) << i for i in range(32)),
        "or.b32": lambda v: sum(any(n >> i & 1 for n in v) << i for i in range(32)),
        "xor.b32": lambda v: sum(sum(n >> i & 1 for n in v) % 2 << i for i in range(32)),
    }
    for name, values in data.items():
        for members in (FULL, 0x80000001, 0x00010000, 0x13579BDF):
            body = "".join(f"mov.u32 %r{50 + i}, 0;\n" for i in range(len(fold)))
            body += f"mov.u32 %r90, 0x{members:x};\nshr.u32 %r91, %r90, %thread;\nand.b32 %r91, %r91, 1;\n"
            body += "setp.eq.u32 %p90, %r91, 0;\n@%p90 bra done;\n"
            body += (
                "".join(f"redux.sync.{op} %r{50 + i}, %r0, 0x{members:x};\n" for i, op in enumerate(fold)) + "done:\n"
            )
            inside = [values[l] for l in LANES if members >> l & 1]
            got = [function(inside) for function in fold.values()]
            rows = [([values[l]], got if members >> l & 1 else [0] * len(fold)) for l in LANES]
            file.warp(f"redux_{name}_{members:x}", body, rows)
    return file


def others():
    """activemask holds at least the lane that asks and no lane that has left; which others is not promised."""
    active = File("activemask", "The lanes that run together: the asking one among them, ended ones not.")
    body = """
        setp.ge.u32 %p1, %thread, 20;
        mov.u32 %r51, 0;
        mov.u32 %r50, 1;
        @%p1 bra done;
        activemask.b32 %r1;
        shr.u32 %r50, %r1, %thread;
        and.b32 %r50, %r50, 1;
        and.b32 %r51, %r1, 0xfff00000;
        done:
        """
    active.warp("activemask_own_lane", body, [([], [1, 0])] * 32)
    sleep = File("nanosleep", "A pause: nothing changes, and another warp may run.")
    sleep.warp(
        "nanosleep_changes_nothing",
        "nanosleep.u32 20;\nnanosleep.u32 %r0;\nmov.u32 %r50, %r0;\n",
        [([n], [n]) for n in (0, 1, 100, 1000)],
    )
    # The second warp waits for the word that the first sets after it slept.
    body = """
        .shared .align 4 .b32 flag;
        mov.u32 %r1, 0;
        setp.ne.u32 %p1, %thread, 0;
        @%p1 bra started;
        st.volatile.shared.u32 [flag], %r1;
        started:
        bar.sync 0;
        mov.u32 %r50, 0;
        setp.eq.u32 %p2, %thread, 32;
        @%p2 bra waits;
        @%p1 bra done;
        nanosleep.u32 50;
        atom.shared.exch.b32 %r2, [flag], 77;
        bra done;
        waits:
        atom.shared.add.u32 %r50, [flag], 0;
        setp.ne.u32 %p3, %r50, 0;
        @%p3 bra done;
        nanosleep.u32 10;
        bra waits;
        done:
        """
    sleep.warp("nanosleep_lets_others_run", body, [([], [77 if t == 32 else 0]) for t in range(64)])
    return [active, sleep]


def files():
    return [shuffles(), votes(), matches(), reductions(), *others()]
