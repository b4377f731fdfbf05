"""Branches, calls and ends."""

from .writing import File

ROWS = list(range(37))


def branches():
    bra = File("bra", "Branches, of all lanes or some.")
    bra.warp(
        "bra_some",
        """
        mov.u32 %r50, 1;
        setp.lt.u32 %p1, %r0, 10;
        @%p1 bra small;
        @!%p1 bra large;
        mov.u32 %r50, 9;
        small:
        add.u32 %r50, %r50, 100;
        bra joined;
        large:
        add.u32 %r50, %r50, 1000;
        joined:
        add.u32 %r50, %r50, %r0;
        """,
        [([n], [n + (101 if n < 10 else 1001)]) for n in ROWS],
    )
    bra.warp(
        "bra_loop",
        """
        mov.u32 %r50, 0;
        mov.u32 %r51, 0;
        mov.u32 %r1, %r0;
        again:
        setp.eq.u32 %p1, %r1, 0;
        @%p1 bra out_of_it;
        add.u32 %r50, %r50, %r1;
        and.b32 %r2, %r1, 1;
        setp.eq.u32 %p2, %r2, 0;
        @%p2 bra even;
        add.u32 %r51, %r51, 1;
        even:
        sub.u32 %r1, %r1, 1;
        bra again;
        out_of_it:
        """,
        [([n], [n * (n + 1) // 2, (n + 1) // 2]) for n in ROWS],
    )
    bra.warp(
        "bra_uniform",
        """
        mov.u32 %r50, 1;
        bra.uni over;
        mov.u32 %r50, 2;
        over:
        setp.ge.u32 %p1, %ntid.x, 1;
        @%p1 bra.uni further;
        mov.u32 %r50, 3;
        further:
        """.replace("setp.ge.u32 %p1, %ntid.x, 1", "mov.u32 %r1, %ntid.x;\nsetp.ge.u32 %p1, %r1, 1"),
        [([], [1])] * 37,
    )
    brx = File("brx", "Branches to a label of a table.")
    for name, uniform in (("brx_some", ""), ("brx_uniform", ".uni")):
        rows = [([n % 4 if not uniform else 2], [(10, 21, 30, 41)[n % 4 if not uniform else 2]]) for n in ROWS]
        brx.warp(
            name,
            f"""
            table: .branchtargets zero, one, two, one_and_on;
            mov.u32 %r50, 0;
            brx.idx{uniform} %r0, table;
            zero:
            mov.u32 %r50, 10;
            bra done;
            one:
            mov.u32 %r50, 20;
            add.u32 %r50, %r50, 1;
            bra done;
            two:
            mov.u32 %r50, 30;
            bra done;
            one_and_on:
            mov.u32 %r50, 41;
            done:
            """,
            rows,
        )
    return [bra, brx]


FUNCTIONS = """
.func (.param .b32 sum) add_three(.param .b32 x, .param .b32 y, .param .b32 z)
{
    .reg .b32 %x, %y, %z;
    ld.param.u32 %x, [x];
    ld.param.u32 %y, [y];
    ld.param.u32 %z, [z];
    add.u32 %x, %x, %y;
    add.u32 %x, %x, %z;
    st.param.u32 [sum], %x;
    ret;
}
.func (.param .b32 total) triangle(.param .b32 limit)
{
    .reg .pred %p;
    .reg .b32 %n, %t;
    ld.param.u32 %n, [limit];
    mov.u32 %t, 0;
again:
    setp.eq.u32 %p, %n, 0;
    @%p bra done;
    add.u32 %t, %t, %n;
    sub.u32 %n, %n, 1;
    bra again;
done:
    st.param.u32 [total], %t;
    ret;
}
.func (.param .align 8 .b8 pair[16]) quotient(.param .b64 number, .param .b32 divisor)
{
    .reg .b64 %a, %b, %q;
    .reg .b32 %d;
    ld.param.u64 %a, [number];
    ld.param.u32 %d, [divisor];
    cvt.u64.u32 %b, %d;
    div.u64 %q, %a, %b;
    st.param.b64 [pair], %q;
    rem.u64 %q, %a, %b;
    st.param.b64 [pair+8], %q;
    ret;
}
.func put(.param .b64 place, .param .b32 what)
{
    .reg .pred %p;
    .reg .b64 %a;
    .reg .b32 %w;
    ld.param.u64 %a, [place];
    ld.param.u32 %w, [what];
    setp.gt.u32 %p, %w, 20;
    @%p ret;
    st.global.u32 [%a], %w;
    ret.uni;
}
"""


def three(call, second):
    """A call of add_three for %r0, a second register and what `call` stores."""
    return (
        "{\n.param .b32 x;\n.param .b32 y;\n.param .b32 z;\n.param .b32 sum;\nst.param.b32 [x], %r0;\n"
        + f"st.param.b32 [y], {second};\n{call}ld.param.b32 %r50, [sum];\n}}\n"
    )


def calls():
    call = File("call", "Calls functions, with registers or memory for parameters and results.", globals=FUNCTIONS)
    call.warp(
        "call_three",
        three("st.param.b32 [z], 5;\ncall (sum), add_three, (x, y, z);\n", "%r1"),
        [([n, 3 * n], [4 * n + 5]) for n in ROWS],
    )
    call.warp(
        "call_memory",
        """
        {
        .param .b32 argument;
        .param .b32 result;
        st.param.b32 [argument], %r0;
        call.uni (result), triangle, (argument);
        ld.param.b32 %r50, [result];
        }
        """,
        [([n], [n * (n + 1) // 2]) for n in ROWS],
    )
    call.warp(
        "call_wide",
        """
        {
        .param .b64 number;
        .param .b32 divisor;
        .param .align 8 .b8 result[16];
        mov.b64 %d1, {%r0, %r1};
        st.param.b64 [number], %d1;
        st.param.b32 [divisor], %r2;
        call (result), quotient, (number, divisor);
        ld.param.b64 %d2, [result];
        ld.param.b64 %d3, [result+8];
        mov.b64 {%r50, %r51}, %d2;
        mov.b64 {%r52, %r53}, %d3;
        }
        """,
        [
            ([low, high, by], [q & 0xFFFFFFFF, q >> 32, r, 0])
            for low, high, by in ((7, 0, 2), (0, 1, 3), (0xFFFFFFFF, 0xFFFFFFFF, 10), (5, 9, 0xFFFFFFFF))
            for q, r in [divmod(high << 32 | low, by)]
        ],
    )
    some = three("st.param.b32 [z], %r0;\ncall (sum), add_three, (x, y, z);\n", "%r0")
    call.warp(
        "call_some_lanes",
        "mov.u32 %r50, 7;\nsetp.lt.u32 %p1, %r0, 12;\n@!%p1 bra others;\n" + some + "others:\n",
        [([n], [3 * n if n < 12 else 7]) for n in ROWS],
    )
    ret = File("ret", "Returns from a function; of a kernel, ends the thread.", globals=FUNCTIONS)
    ret.warp(
        "ret_from_function",
        """
        {
        .param .b64 place;
        .param .b32 what;
        mov.u32 %r1, 99;
        st.global.u32 [%out], %r1;
        st.param.b64 [place], %out;
        st.param.b32 [what], %r0;
        call put, (place, what);
        ld.global.u32 %r50, [%out];
        }
        """,
        [([n], [n if n <= 20 else 99]) for n in ROWS],
    )
    finish = """
        mov.u32 %r50, 1;
        st.global.u32 [%out], %r50;
        setp.lt.u32 %p1, %r0, 9;
        @%p1 {end};
        mov.u32 %r50, 2;
        """
    rows = [([n], [1 if n < 9 else 2]) for n in ROWS]
    ret.warp("ret_from_kernel", finish.replace("{end}", "ret"), rows)
    ret.warp(
        "ret_uniform", "mov.u32 %r50, 4;\nst.global.u32 [%out], %r50;\nret.uni;\nmov.u32 %r50, 5;\n", [([], [4])] * 37
    )
    leave = File(
        "exit",
        "Ends the thread, also in a function.",
        globals="""
.func leaves(.param .b32 x)
{
    .reg .pred %p;
    .reg .b32 %x;
    ld.param.u32 %x, [x];
    setp.ge.u32 %p, %x, 30;
    @%p exit;
    ret;
}
""",
    )
    leave.warp("exit_from_kernel", finish.replace("{end}", "exit"), rows)
    leave.warp(
        "exit_from_function",
        """
        mov.u32 %r50, 1;
        st.global.u32 [%out], %r50;
        {
        .param .b32 x;
        st.param.b32 [x], %r0;
        call leaves, (x);
        }
        mov.u32 %r50, 2;
        """,
        [([n], [1 if n >= 30 else 2]) for n in ROWS],
    )
    # Those that wait for a barrier wait for no ended thread.
    leave.warp(
        "exit_before_barrier",
        """
        mov.u32 %r50, 1;
        st.global.u32 [%out], %r50;
        setp.ge.u32 %p1, %thread, 32;
        @%p1 exit;
        bar.sync 0;
        mov.u32 %r50, 2;
        """,
        [([], [1 if n >= 32 else 2]) for n in range(64)],
    )
    trap = File("trap", "Ends the kernel with an error.")
    trap.kernel("trap_all", "trap;\n", [], 32, fault="trap")
    trap.kernel("trap_one", "setp.ne.u32 %p1, %thread, 3;\n@%p1 bra done;\ntrap;\ndone:\n", [], 32, fault="trap")
    trap.warp("trap_none", "setp.gt.u32 %p1, %thread, 99;\n@%p1 trap;\nmov.u32 %r50, 5;\n", [([], [5])] * 32)
    return [call, ret, leave, trap]


def files():
    return branches() + calls()
