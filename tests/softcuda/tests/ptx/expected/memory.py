"""Moves and memory: registers, spaces, vectors, addresses."""

from .integer import value
from .writing import File, Form, halves, word

TYPES = ("b8", "b16", "b32", "b64", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64")
PATTERN = 0x8192A3B4C5D6E7F8
ROWS = [(PATTERN,), (0x7F80FF01FE02FD03,), (0,), (2**64 - 1,)]
REGISTER = {8: "%h", 16: "%h", 32: "%r", 64: "%d"}


def bits(kind):
    return int(kind[1:])


def loaded(kind, number, width):
    """A value in a register of a width: extended by the sign of signed types, else by zeros."""
    return value(kind.replace("b", "u").replace("f", "u"), number) & ((1 << width) - 1)


def moves():
    file = File(
        "mov",
        "Copies; several parts are packed into one register, the first lowest, or taken out of one.",
        globals=".global .align 8 .b32 words[4] = {1, 2, 3, 4};",
        version="8.3",
    )
    for width in (16, 32, 64):
        kinds = [k for k in TYPES if bits(k) == width and k != "b8"]
        rows = [(row[0] >> 5,) for row in ROWS]
        file.elementwise(f"mov_{width}", [width], rows, [Form(f"mov.{k}", width, lambda a: a) for k in kinds])
    file.elementwise("mov_pred", [1], [(0,), (1,)], [Form("mov.pred", 1, lambda a: a)])
    pack = [Form("mov.b32 {d}, {{{a}, {b}}};", 32, lambda a, b: b << 16 | a)]
    file.elementwise("mov_pack_b32", [16, 16], [(0x1234, 0x89AB), (0xFFFF, 0), (0, 0xFFFF)], pack)
    pack = [Form("mov.b64 {d}, {{{a}, {b}, {c}, {e}}};", 64, lambda a, b, c, e: e << 48 | c << 32 | b << 16 | a)]
    file.elementwise("mov_pack_4", [16] * 4, [(0x1234, 0x89AB, 0xFFFF, 7), (1, 2, 3, 0x8000)], pack)
    pack = [Form("mov.b64 {d}, {{{a}, {b}}};", 64, lambda a, b: b << 32 | a)]
    file.elementwise("mov_pack_b64", [32, 32], [(0x12345678, 0x89ABCDEF), (0xFFFFFFFF, 0)], pack)
    unpack = [
        Form("mov.b32 {{{d}, %h90}}, {a};", 16, lambda a: a),
        Form("mov.b32 {{%h90, {d}}}, {a};", 16, lambda a: a >> 16),
    ]
    file.elementwise("mov_unpack_b32", [32], [(0x12345678,), (0xFFFF0000,)], unpack)
    unpack = [
        Form("mov.b64 {{{d}, %r90}}, {a};", 32, lambda a: a),
        Form("mov.b64 {{%r90, {d}}}, {a};", 32, lambda a: a >> 32),
    ]
    for i in range(4):
        parts = ", ".join("{d}" if j == i else f"%h9{j}" for j in range(4))
        unpack.append(Form(f"mov.b64 {{{{{parts}}}}}, {{a}};", 16, lambda a, i=i: a >> 16 * i))
    file.elementwise("mov_unpack_b64", [64], ROWS, unpack)
    file.kernel(
        "mov_b128",
        """
        ld.global.u64 %d1, [%in];
        ld.global.u64 %d2, [%in+8];
        mov.b128 %q0, {%d1, %d2};
        mov.b128 %q1, %q0;
        mov.b128 {%d3, %d4}, %q1;
        st.global.u64 [%out], %d4;
        st.global.u64 [%out+8], %d3;
        """,
        [([word(PATTERN, 64), word(7, 64)], [word(7, 64), word(PATTERN, 64)])],
        1,
        bits=64,
    )
    file.warp(
        "mov_numbers",
        """
        mov.u32 %r50, -1;
        mov.b32 %r51, 0f3fc00000;
        mov.b64 %d1, 0dbff8000000000000;
        mov.b64 {%r52, %r53}, %d1;
        mov.u64 %d2, words;
        ld.global.u32 %r54, [%d2+8];
        mov.u16 %h1, -2;
        cvt.u32.u16 %r55, %h1;
        mov.u32 %r56, %laneid;
        mov.u32 %r57, %ntid.x;
        mov.u32 %r58, %ctaid.x;
        mov.u32 %r59, %nctaid.x;
        mov.u32 %r60, %lanemask_lt;
        mov.u32 %r61, %lanemask_ge;
        mov.u32 %r62, %lanemask_eq;
        """,
        [
            (
                [],
                [
                    0xFFFFFFFF,
                    0x3FC00000,
                    0,
                    0xBFF80000,
                    3,
                    0xFFFE,
                    i % 32,
                    40,
                    0,
                    1,
                    (1 << i % 32) - 1,
                    0xFFFFFFFF & -(1 << i % 32),
                    1 << i % 32,
                ],
            )
            for i in range(40)
        ],
    )
    return file


SPACES = """
.global .align 16 .b8 space_global[4096];
.const .align 16 .b8 space_const[64] = {%s};
""" % ", ".join(str((37 * i + 11) % 256) for i in range(64))
TABLE = [(37 * i + 11) % 256 for i in range(64)]


def at(offset, size):
    return int.from_bytes(bytes(TABLE[offset : offset + size]), "little")


def loads():
    file = File(
        "ld",
        "Loads, from every space, of every type; narrow signed types are extended by their sign.",
        "sm_80",
        SPACES,
        "8.3",
    )
    forms = []
    for kind in TYPES:
        for width in (16, 32, 64):
            floating = kind[0] == "f" and bits(kind) != width
            if width >= bits(kind) and not floating:
                code = f"ld.{{space}}{kind} {{{{d}}}}, [{{address}}];"
                forms.append((code, width, lambda a, k=kind, w=width: loaded(k, a, w)))
    names = {
        "": "%in",
        "global.": "%in",
        "volatile.global.": "%in",
        "relaxed.gpu.global.": "%in",
        "acquire.sys.": "%in",
        "global.nc.": "%in",
        "global.ca.": "%in",
        "weak.": "%in",
    }
    for i, (space, address) in enumerate(names.items()):
        chosen = [
            Form(code.format(space=space, address=address), w, f) for code, w, f in forms[i % 3 :: 1 if i < 2 else 3]
        ]
        file.elementwise(f"ld_{space.replace('.', '_')}types", [64], ROWS, chosen)
    for name, size, count in (
        ("v2_u8", 1, 2),
        ("v4_u8", 1, 4),
        ("v2_u16", 2, 2),
        ("v4_s16", 2, 4),
        ("v2_b32", 4, 2),
        ("v4_f32", 4, 4),
        ("v2_u64", 8, 2),
        ("v2_f64", 8, 2),
    ):
        register = REGISTER[8 * size]
        parts = ", ".join(f"{register}{20 + i}" for i in range(count))
        vector, kind = name.split("_")
        body = f"mad.wide.u32 %in, %thread, 16, %in;\nmad.wide.u32 %out, %thread, {8 * count}, %out;\n"
        body += f"ld.global.{vector}.{kind} {{{parts}}}, [%in];\n"
        for i in range(count):
            source = f"{register}{20 + i}"
            if size < 4:
                body += f"cvt.u64.u16 %d60, {source};\n"
            elif size == 4:
                body += f"cvt.u64.u32 %d60, {source};\n"
            body += f"st.global.u64 [%out+{8 * i}], {'%d60' if size < 8 else source};\n"
        lines = []
        for thread in range(3):
            data = bytes((91 * i + 7 * thread + 200) % 256 for i in range(16))
            given = [word(int.from_bytes(data[8 * i : 8 * i + 8], "little"), 64) for i in range(2)]
            got = [int.from_bytes(data[size * i : size * i + size], "little") for i in range(count)]
            lines.append((given, [word(g, 64) for g in got]))
        file.kernel(f"ld_{name}", body, lines, 3, bits=64)
    constant = [(("u8", 5), 1), (("s8", 2), 1), (("u16", 6), 2), (("s16", 4), 2), (("b32", 12), 4), (("u32", 60), 4)]
    body, expected = "", []
    for i, ((kind, offset), size) in enumerate(constant):
        body += f"ld.const.{kind} %r{50 + i}, [space_const+{offset}];\n"
        expected.append(loaded(kind, at(offset, size), 32))
    body += "mov.u64 %d1, space_const;\nmad.wide.u32 %d1, %thread, 4, %d1;\nld.const.u32 %r56, [%d1];\n"
    body += "ld.const.v2.u16 {%h1, %h2}, [%d1];\ncvt.u32.u16 %r57, %h2;\n"
    file.warp("ld_const", body, [([], [*expected, at(4 * t, 4), at(4 * t + 2, 2)]) for t in range(4)])
    both = [word(PATTERN, 64), word(0x0123456789ABCDEF, 64)]
    for space, place in (("", "%in"), ("global.", "%in"), ("const.", "space_const+16")):
        given = both if place == "%in" else []
        got = both if given else [word(at(16, 8), 64), word(at(24, 8), 64)]
        body = f"ld.{space}b128 %q0, [{place}];\nmov.b128 {{%d1, %d2}}, %q0;\nst.global.v2.u64 [%out], {{%d1, %d2}};\n"
        file.kernel(f"ld_{space.replace('.', '_')}b128", body, [(given, got)], 1, bits=64)
    file.warp(
        "ld_param",
        """
        ld.param.u32 %r1, [ld_param_out];
        ld.param.u32 %r2, [ld_param_out+4];
        ld.param.v2.u32 {%r3, %r4}, [ld_param_out];
        ld.param.u16 %r5, [ld_param_out];
        ld.param.u64 %d1, [ld_param_out];
        mov.b64 {%r6, %r7}, %d1;
        xor.b32 %r50, %r1, %r6;
        xor.b32 %r51, %r2, %r7;
        xor.b32 %r52, %r1, %r3;
        xor.b32 %r53, %r2, %r4;
        and.b32 %r8, %r1, 0xffff;
        xor.b32 %r54, %r8, %r5;
        """,
        [([], [0] * 5)],
    )
    return file


def stores():
    file = File("st", "Stores, to every space, of every type; narrow types store the low bits.", "sm_80", SPACES, "8.3")
    kinds = [k for k in TYPES]
    modes = ["", "global.", "volatile.global.", "relaxed.gpu.global.", "release.sys.", "global.cg.", "weak.global.wb."]
    for i, mode in enumerate(modes):
        body = "mad.wide.u32 %in, %thread, 8, %in;\nmad.wide.u32 %out, %thread, 112, %out;\nld.global.u64 %d1, [%in];\n"
        body += "cvt.u32.u64 %r1, %d1;\ncvt.u16.u64 %h1, %d1;\nmov.u64 %d2, 0;\n"
        body += "".join(f"st.global.u64 [%out+{8 * j}], %d2;\n" for j in range(len(kinds)))
        for j, kind in enumerate(kinds):
            register = {8: "%h1", 16: "%h1", 32: "%r1", 64: "%d1"}[bits(kind)]
            if bits(kind) == 8 and i % 2:
                register = "%r1"
            body += f"st.{mode}{kind} [%out+{8 * j}], {register};\n"
        lines = [([word(a, 64)], [word(a & ((1 << bits(k)) - 1), 64) for k in kinds]) for (a,) in ROWS]
        file.kernel(f"st_{mode.replace('.', '_')}types", body, lines, len(ROWS), bits=64)
    # A value is stored as a vector at 16 bytes and read back in words.
    for space, prepare in (
        ("shared", ".shared .align 16 .b8 room[512];\nmov.u32 %r40, room;\nmad.lo.u32 %r40, %thread, 16, %r40;\n"),
        (
            "shared::cta",
            ".shared .align 16 .b8 cta_room[512];\nmov.u32 %r40, cta_room;\nmad.lo.u32 %r40, %thread, 16, %r40;\n",
        ),
        ("local", ".local .align 16 .b8 own[16];\nmov.u32 %r40, own;\n"),
        ("global", "mov.u64 %d40, space_global;\nmad.wide.u32 %d40, %thread, 16, %d40;\n"),
    ):
        address = "%d40" if space == "global" else "%r40"
        for vector, kind, size in (
            ("v4", "u8", 1),
            ("v2", "u16", 2),
            ("v4", "b32", 4),
            ("v2", "f64", 8),
            ("v4", "s16", 2),
        ):
            count = int(vector[1])
            register = {1: "%h", 2: "%h", 4: "%r", 8: "%d"}[size]
            body = prepare + "mov.u32 %r1, 0;\n"
            body += "".join(f"st.{space}.u32 [{address}+{4 * i}], %r1;\n" for i in range(4))
            body += f"mad.wide.u32 %in, %thread, {8 * count}, %in;\n"
            for i in range(count):
                body += f"ld.global.u64 %d20, [%in+{8 * i}];\n"
                body += {1: "cvt.u16.u64", 2: "cvt.u16.u64", 4: "cvt.u32.u64", 8: "mov.b64"}[
                    size
                ] + f" {register}{20 + i + (size == 8)}, %d20;\n"
            parts = ", ".join(f"{register}{20 + i + (size == 8)}" for i in range(count))
            body += f"st.{space}.{vector}.{kind} [{address}], {{{parts}}};\n"
            body += "mad.wide.u32 %out, %thread, 16, %out;\n"
            body += "".join(
                f"ld.{space}.u32 %r{30 + i}, [{address}+{4 * i}];\nst.global.u32 [%out+{4 * i}], %r{30 + i};\n"
                for i in range(4)
            )
            lines = []
            for thread in range(3):
                numbers = [(PATTERN * (i + 3 * thread + 1)) & (2**64 - 1) for i in range(count)]
                data = b"".join((n & ((1 << 8 * size) - 1)).to_bytes(size, "little") for n in numbers).ljust(16, b"\0")
                got = [word(int.from_bytes(data[4 * i : 4 * i + 4], "little")) for i in range(4)]
                lines.append(([word(w) for n in numbers for w in halves(n)], got))
            file.kernel(f"st_{space.replace('::', '_')}_{vector}_{kind}", body, lines, 3)
    both = [word(PATTERN, 64), word(0x0123456789ABCDEF, 64)]
    for space in ("", "global.", "shared."):
        place = "room" if space == "shared." else "%out"
        body = ".shared .align 16 .b8 room[16];\n" * (place == "room")
        body += f"ld.global.v2.u64 {{%d1, %d2}}, [%in];\nmov.b128 %q0, {{%d1, %d2}};\nst.{space}b128 [{place}], %q0;\n"
        if place == "room":
            body += "ld.shared.v2.u64 {%d3, %d4}, [room];\nst.global.v2.u64 [%out], {%d3, %d4};\n"
        file.kernel(f"st_{space.replace('.', '_')}b128", body, [(both, both)], 1, bits=64)
    return file


def uniform_loads():
    file = File("ldu", "Loads what is the same for the whole warp.")
    file.kernel(
        "ldu_types",
        """
        mad.wide.u32 %out, %thread, 32, %out;
        ldu.global.u32 %r1, [%in];
        ldu.global.s16 %r2, [%in+2];
        ldu.global.u8 %r3, [%in+7];
        ldu.global.v2.u32 {%r4, %r5}, [%in+8];
        ldu.f32 %r6, [%in+12];
        ldu.global.b64 %d1, [%in+8];
        mov.b64 {%r7, %r8}, %d1;
        st.global.u32 [%out], %r1;
        st.global.u32 [%out+4], %r2;
        st.global.u32 [%out+8], %r3;
        st.global.u32 [%out+12], %r4;
        st.global.u32 [%out+16], %r5;
        st.global.u32 [%out+20], %r6;
        st.global.u32 [%out+24], %r7;
        st.global.u32 [%out+28], %r8;
        """,
        [([word(w) for w in (0x89AB4567, 0xFE000000, 3, 0x40400000)], [])]
        + [([], [word(w) for w in (0x89AB4567, 0xFFFF89AB, 0xFE, 3, 0x40400000, 0x40400000, 3, 0x40400000)])] * 32,
        32,
    )
    return file


def addresses():
    globals = SPACES + ".const .align 4 .b32 other[2] = {5, 6};\n"
    cvta = File(
        "cvta", "An address of a space made generic reads the same; back again it is the same.", "sm_80", globals
    )
    isspacep = File("isspacep", "Whether a generic address lies in a space.", "sm_80", globals)
    prepare = """
        .shared .align 16 .b8 room[64];
        .local .align 16 .b8 own[64];
        mov.u64 %d1, space_global;
        mov.u64 %d2, room;
        mov.u64 %d3, own;
        mov.u64 %d4, other;
        mov.u32 %r1, 41;
        mov.u32 %r2, 42;
        mov.u32 %r3, 43;
        st.global.u32 [%d1+4], %r1;
        st.shared.u32 [%d2+4], %r2;
        st.local.u32 [%d3+4], %r3;
        cvta.global.u64 %d11, %d1;
        cvta.shared.u64 %d12, %d2;
        cvta.local.u64 %d13, %d3;
        cvta.const.u64 %d14, %d4;
        """
    body = prepare + "".join(f"ld.u32 %r{49 + i}, [%d1{i}+4];\n" for i in range(1, 5))
    for i, space in enumerate(("global", "shared", "local", "const"), 1):
        body += (
            f"cvta.to.{space}.u64 %d2{i}, %d1{i};\nsetp.eq.u64 %p1, %d2{i}, %d{i};\nselp.u32 %r{53 + i}, 1, 0, %p1;\n"
        )
    cvta.warp("cvta_there_and_back", body, [([], [41, 42, 43, 6, 1, 1, 1, 1])])
    body, expected = prepare, []
    spaces = ("global", "shared", "local", "const")
    # What is constant here lies in global memory too, and is not asked for.
    for i, held in enumerate(spaces[:3], 1):
        for asked in (*spaces[:3], "shared::cta"):
            body += f"isspacep.{asked} %p1, %d1{i};\nselp.u32 %r{50 + len(expected)}, 1, 0, %p1;\n"
            expected.append(int(held == asked.split(":")[0]))
    isspacep.warp("isspacep_spaces", body, [([], expected)])
    return [cvta, isspacep]


def hints():
    prefetch = File("prefetch", "A hint: nothing changes.")
    prefetchu = File("prefetchu", "A hint: nothing changes.")
    lines = [([7], [7]), ([9], [9])]
    prefetch.warp(
        "prefetch_hints",
        """
        .local .align 4 .b8 own[16];
        prefetch.global.L1 [%in];
        prefetch.global.L2 [%in];
        prefetch.local.L1 [own];
        prefetch.local.L2 [own];
        prefetch.L1 [%in];
        prefetch.L2 [%in];
        prefetch.global.L2::evict_last [%in];
        prefetch.global.L2::evict_normal [%in];
        mov.u32 %r50, %r0;
        """,
        lines,
    )
    prefetchu.warp("prefetchu_hints", "prefetchu.L1 [%in];\nmov.u32 %r50, %r0;\n", lines)
    return [prefetch, prefetchu]


def files():
    return [moves(), loads(), stores(), uniform_loads(), *addresses(), *hints()]
