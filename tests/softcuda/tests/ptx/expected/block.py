"""Barriers of blocks and warps, fences, and matrices in shared memory."""

from .writing import File

ROOM = ".shared .align 16 .b8 room[4096];\nmov.u32 %r40, room;\nmad.lo.u32 %r41, %thread, 4, %r40;\n"


def exchanged(wait, partner):
    """Every thread stores its word, waits, and reads the word of a partner."""
    return (
        ROOM
        + f"st.shared.u32 [%r41], %r0;\n{wait}\nxor.b32 %r42, %thread, {partner};\n"
        + "mad.lo.u32 %r43, %r42, 4, %r40;\nld.shared.u32 %r50, [%r43];\n"
    )


def swapped(count, partner):
    return [([3 * t + 1000], [3 * (t ^ partner) + 1000]) for t in range(count)]


def questions(prefix, aligned):
    """The reducing barriers: how many predicates hold, whether all do, whether any does."""
    body, expected = "", []
    for i, bound in enumerate((0, 1, 40, 95, 96)):
        body += f"setp.lt.u32 %p1, %thread, {bound};\n"
        for op, negated in (("popc", 0), ("popc", 1), ("and", 0), ("and", 1), ("or", 0), ("or", 1)):
            at = f"%r{50 + len(expected)}"
            holds = 96 - bound if negated else bound
            source = "!" * negated + "%p1"
            threads = ", 96" if i % 2 else ""
            if op == "popc":
                body += f"{prefix}.red.popc{aligned}.u32 {at}, {i + 1}{threads}, {source};\n"
                expected.append(holds)
            else:
                body += f"{prefix}.red.{op}{aligned}.pred %p2, {i + 1}{threads}, {source};\nselp.u32 {at}, 1, 0, %p2;\n"
                expected.append(int(holds == 96 if op == "and" else holds > 0))
    return body, [([], expected)] * 96


def barriers():
    result = []
    for opcode, forms in (
        ("bar", ["bar.sync 0;", "bar.cta.sync 1;", "bar.sync 2, 128;", "bar.sync %r44;"]),
        (
            "barrier",
            [
                "barrier.sync 0;",
                "barrier.cta.sync 1, 128;",
                "barrier.sync.aligned 15;",
                "barrier.cta.sync.aligned %r44;",
            ],
        ),
    ):
        file = File(
            opcode,
            "Waits for a block, a part of it, or asks its threads." + " For lanes of a warp too." * (opcode == "bar"),
        )
        for i, wait in enumerate(forms):
            file.warp(f"{opcode}_sync_{i}", "mov.u32 %r44, 7;\n" + exchanged(wait, 65), swapped(128, 65))
        # The first warp only arrives; the second waits for both.
        cta = ".cta" if opcode == "bar" else ""
        wait = "barrier.cta.arrive 3, 64;" if opcode == "barrier" else f"bar{cta}.arrive 3, 64;"
        body = (
            ROOM
            + "setp.ge.u32 %p1, %thread, 32;\nmov.u32 %r50, 5;\n@%p1 bra waits;\n"
            + f"st.shared.u32 [%r41], %r0;\n{wait}\nbra done;\nwaits:\n{opcode}.sync 3, 64;\n"
            + "ld.shared.u32 %r50, [%r41+-128];\ndone:\n"
        )
        file.warp(f"{opcode}_arrive", body, [([t + 7], [5 if t < 32 else t - 32 + 7]) for t in range(64)])
        # Half of the block passes a barrier that the other half does not reach.
        body = (
            "setp.ge.u32 %p1, %thread, 64;\nadd.u32 %r50, %r0, 1;\n@%p1 bra done;\n"
            + exchanged(f"{opcode}.sync 4, 64;", 33)
            + "done:\n"
        )
        file.warp(
            f"{opcode}_of_a_part",
            body,
            [([3 * t + 1000], [3 * (t ^ 33) + 1000 if t < 64 else 3 * t + 1001]) for t in range(128)],
        )
        body, rows = questions(opcode, "")
        file.warp(f"{opcode}_red", body, rows)
        if opcode == "barrier":
            body, rows = questions(opcode, ".aligned")
            file.warp("barrier_red_aligned", body, rows)
            # Lanes of one warp come to the barrier from two places.
            body = (
                ROOM
                + "and.b32 %r44, %thread, 1;\nsetp.eq.u32 %p1, %r44, 0;\nst.shared.u32 [%r41], %r0;\n@%p1 bra even;\n"
                + "barrier.sync 5;\nbra on;\neven:\nbarrier.sync 5;\non:\nxor.b32 %r42, %thread, 33;\n"
                + "mad.lo.u32 %r43, %r42, 4, %r40;\nld.shared.u32 %r50, [%r43];\n"
            )
            file.warp("barrier_in_parts", body, swapped(64, 33))
        else:
            file.warp("bar_warp", exchanged("bar.warp.sync 0xffffffff;", 1), swapped(64, 1))
            body = (
                ROOM
                + "and.b32 %r44, %thread, 1;\nsetp.eq.u32 %p1, %r44, 0;\nmov.u32 %r50, 3;\n@%p1 bra done;\n"
                + "st.shared.u32 [%r41], %r0;\nmov.u32 %r45, 0xaaaaaaaa;\nbar.warp.sync %r45;\n"
                + "xor.b32 %r42, %thread, 2;\n"
                + "mad.lo.u32 %r43, %r42, 4, %r40;\nld.shared.u32 %r50, [%r43];\ndone:\n"
            )
            file.warp(
                "bar_warp_odd_lanes", body, [([3 * t + 1000], [3 * (t ^ 2) + 1000 if t & 1 else 3]) for t in range(32)]
            )
        # A barrier that one warp never reaches is not passed.
        body = f"setp.lt.u32 %p1, %thread, 32;\n@%p1 {opcode}.sync 0, 64;\n@!%p1 {opcode}.sync 1, 64;\n"
        file.kernel(f"{opcode}_never_passed", body, [], 64, fault="never passed")
        result.append(file)
    return result


def fences():
    """A block writes and raises a flag, the other waits for the flag and reads."""
    result = []
    forms = {"membar": ["gl", "sys"], "fence": ["acq_rel.gpu", "sc.gpu", "acq_rel.sys", "sc.sys", "gpu", "sys"]}
    for opcode, kinds in forms.items():
        globals = "".join(
            f".global .align 4 .b32 flag_{k.replace('.', '_')};\n.global .align 4 .b32 data_{k.replace('.', '_')};\n"
            for k in kinds
        )
        file = File(opcode, "Orders what a thread writes before what it writes later.", globals=globals)
        for kind in kinds:
            fence, name = f"{opcode}.{kind};", kind.replace(".", "_")
            body = f"""
                mov.u32 %r1, %ctaid.x;
                setp.ne.u32 %p1, %r1, 0;
                @%p1 bra waits;
                mov.u32 %r2, 1234;
                st.global.u32 [data_{name}], %r2;
                {fence}
                mov.u32 %r3, 1;
                st.volatile.global.u32 [flag_{name}], %r3;
                bra done;
                waits:
                ld.volatile.global.u32 %r4, [flag_{name}];
                setp.eq.u32 %p2, %r4, 0;
                @%p2 bra waits;
                {fence}
                ld.global.u32 %r5, [data_{name}];
                st.global.u32 [%out], %r5;
                done:
                """
            file.kernel(f"{opcode}_{name}", body, [([], ["0x000004d2"])], 1, 2, cooperative=True)
        local = f"{opcode}.cta;" if opcode == "membar" else "fence.acq_rel.cta;\nfence.sc.cta;\nfence.cta;"
        file.warp(f"{opcode}_cta", local + "\nmov.u32 %r50, %r0;\n", [([n], [n]) for n in (5, 6)])
        result.append(file)
    return result


def matrices_in_shared():
    """Lane 8 i + r has the address of row r of matrix i. Lane t gets elements 2 (t mod 4) and the next of row t / 4."""
    file = File("ldmatrix", "8x8 matrices of 16-bit values, a row an address; or transposed ones.")
    element = lambda matrix, row, column: (0x1000 * matrix + 0x100 * row + 0x11 * column + 0x8421) & 0xFFFF
    for count in (1, 2, 4):
        for transposed in (False, True):
            for space in ("shared", "shared::cta"):
                if space != "shared" and count != 2:
                    continue
                form = f"ldmatrix.sync.aligned.m8n8.x{count}{'.trans' * transposed}.{space}.b16"
                # Rows stand 48 bytes apart, those of lane n in place n * 5 mod 32.
                body = ".shared .align 16 .b8 room[1536];\nmov.u32 %r40, room;\nmul.lo.u32 %r41, %thread, 5;\n"
                body += "and.b32 %r41, %r41, 31;\nmad.lo.u32 %r41, %r41, 48, %r40;\n"
                body += "st.shared.v4.u32 [%r41], {%r0, %r1, %r2, %r3};\nbar.warp.sync 0xffffffff;\n"
                body += f"{form} {{{', '.join(f'%r{50 + i}' for i in range(count))}}}, [%r41];\n"
                rows = []
                for lane in range(32):
                    line = [element(lane // 8, lane % 8, c) for c in range(8)]
                    given = [line[2 * i + 1] << 16 | line[2 * i] for i in range(4)]
                    got = []
                    for matrix in range(count):
                        places = [(lane // 4, 2 * (lane % 4) + i) for i in (0, 1)]
                        low, high = (element(matrix, *(place[::-1] if transposed else place)) for place in places)
                        got.append(high << 16 | low)
                    rows.append((given, got))
                file.warp(f"ldmatrix_x{count}{'_trans' * transposed}_{space.replace('::', '_')}", body, rows)
    return file


def files():
    return [*barriers(), *fences(), matrices_in_shared()]
