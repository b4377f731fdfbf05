"""Asynchronous copies."""

from .writing import File, word


def copies():
    """A copy is seen by its thread after the wait, by others after a barrier; a source cut short leaves zeros."""
    file = File("cp", "Copies of 4, 8 and 16 bytes from global to shared memory.")
    cases = (
        ("ca", "shared", 4, None),
        ("ca", "shared", 8, None),
        ("ca", "shared", 16, None),
        ("cg", "shared", 16, None),
        ("ca", "shared::cta", 16, 5),
        ("cg", "shared", 16, 0),
        ("ca", "shared", 8, 3),
        ("ca", "shared", 4, 4),
        ("cg", "shared", 16, 12),
    )
    for i, (cache, space, size, source) in enumerate(cases):
        kept = size if source is None else source
        body = """
            .shared .align 16 .b8 room[1024];
            mad.wide.u32 %in, %thread, 16, %in;
            mad.wide.u32 %out, %thread, 16, %out;
            mov.u32 %r1, room;
            mad.lo.u32 %r2, %thread, 16, %r1;
            mov.u32 %r3, -1;
            st.shared.v4.u32 [%r2], {%r3, %r3, %r3, %r3};
            """
        operands = f"[%r2], [%in], {size}" + (f", {source}" if source is not None else "")
        body += f"cp.async.{cache}.{space}.global {operands};\n"
        waits = (
            "cp.async.wait_all;\n",
            "cp.async.commit_group;\ncp.async.wait_group 0;\n",
            "cp.async.commit_group;\ncp.async.commit_group;\ncp.async.wait_group 1;\n",
        )
        body += waits[i % 3]
        body += "bar.sync 0;\nxor.b32 %r4, %thread, 33;\nmad.lo.u32 %r5, %r4, 16, %r1;\n"
        body += "ld.shared.v4.u32 {%r6, %r7, %r8, %r9}, [%r5];\nst.global.v4.u32 [%out], {%r6, %r7, %r8, %r9};\n"
        rows = [bytes((3 * t + 29 * i + 1) % 256 for i in range(16)) for t in range(64)]
        words_of = lambda data: [word(int.from_bytes(data[i : i + 4], "little")) for i in range(0, 16, 4)]
        got = [rows[t ^ 33][:kept] + bytes(size - kept) + b"\xff" * (16 - size) for t in range(64)]
        short = "" if source is None else f"_of_{source}"
        name = f"cp_{cache}_{space.replace('::', '_')}_{size}{short}"
        file.kernel(name, body, [(words_of(a), words_of(b)) for a, b in zip(rows, got)], 64)
    # The last group may still be under way: what it brings must not be read.
    body = """
        .shared .align 16 .b8 room[32];
        mov.u32 %r1, room;
        cp.async.ca.shared.global [%r1], [%in], 16;
        cp.async.commit_group;
        cp.async.ca.shared.global [%r1+16], [%in], 16;
        cp.async.commit_group;
        cp.async.wait_group 1;
        ld.shared.u32 %r2, [%r1];
        ld.shared.u32 %r3, [%r1+16];
        add.u32 %r2, %r2, %r3;
        st.global.u32 [%out], %r2;
        """
    file.kernel("cp_not_waited_for", body, [(["0x1", "0x2", "0x3", "0x4"], [])], 1, fault="a copy in flight")
    return file
