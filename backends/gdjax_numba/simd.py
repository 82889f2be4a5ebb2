"""The inner loops that a compiler does not find by itself: products in registers, and a transpose by shuffles."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

VECTOR_BYTES = 64
"""One AVX-512 register, two of AVX2, four of SSE or NEON: LLVM splits what the machine lacks."""


@intrinsic  # type: ignore[untyped-decorator]
def panel(
    typing: Any, A: Any, a0: Any, a_row: Any, B: Any, b0: Any, b_row: Any, count: Any, C: Any, c0: Any, c_row: Any,
    rows: Any, vectors: Any,
) -> Any:  # fmt: skip
    """C[m, v] += sum_t A[m, t] B[t, v] for `rows` m, `count` t, and `vectors` times 64 bytes of v.

    A, B, C are arrays of one dtype, C-contiguous; a0, b0, c0 the element where each part starts, a_row, b_row, c_row the
    elements from one row to the next. `rows` and `vectors` are literals: their product of sums stays in registers.
    The order of each sum depends on `vectors` and `count` alone, so that a row's bits do not depend on the rows beside it.
    Nothing is checked.
    """
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(vectors, types.IntegerLiteral)):
        raise TypingError("panel: rows and vectors must be literal integers")
    if not (A.dtype == B.dtype == C.dtype):
        raise TypingError("panel: one dtype for all three")
    signature = types.void(A, a0, a_row, B, b0, b_row, count, C, c0, c_row, rows, vectors)
    height, width = rows.literal_value, vectors.literal_value
    # independent sums hide the latency of the multiply-add
    ways = max(1, 4 // width)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        scalar = context.get_value_type(A.dtype)
        lanes = VECTOR_BYTES // (A.dtype.bitwidth // 8)
        vector = ir.VectorType(scalar, lanes)
        index = ir.IntType(64)
        size = A.dtype.bitwidth // 8

        def integer(i: int) -> Any:
            return context.cast(builder, args[i], sig.args[i], types.int64)

        def pointer(i: int, offset: Any) -> Any:
            return builder.gep(make_array(sig.args[i])(context, builder, args[i]).data, [offset])

        a, b, c = pointer(0, integer(1)), pointer(3, integer(4)), pointer(7, integer(8))
        a_step, b_step, c_step, total = integer(2), integer(5), integer(9), integer(6)

        def at(base: Any, offset: Any) -> Any:
            return builder.gep(base, [offset])

        def load(base: Any, offset: Any) -> Any:
            place = builder.bitcast(at(base, offset), vector.as_pointer())
            return builder.load(place, align=size)

        def spread(value: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            return builder.shuffle_vector(one, undefined, mask)

        name = f"llvm.fma.v{lanes}f{A.dtype.bitwidth}"
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        zero = ir.Constant(vector, [0.0] * lanes)
        a_rows = [builder.mul(a_step, index(m)) for m in range(height)]

        def loop(begin: Any, end: Any, stride: int, sums: list[Any], ways: int) -> list[Any]:
            """for t in range(begin, end, stride), `ways` of them at once, carrying the sums in registers."""
            before = builder.block
            head, body, done = (builder.append_basic_block(n) for n in ("panel.head", "panel.body", "panel.done"))
            builder.branch(head)
            builder.position_at_end(head)
            t = builder.phi(index)
            t.add_incoming(begin, before)
            carried = [builder.phi(vector) for _ in sums]
            for phi, start in zip(carried, sums, strict=True):
                phi.add_incoming(start, before)
            builder.cbranch(builder.icmp_signed("<", t, end), body, done)
            builder.position_at_end(body)
            now = list(carried)
            for u in range(ways):
                tu = builder.add(t, index(u))
                row = builder.mul(tu, b_step)
                right = [load(b, builder.add(row, index(v * lanes))) for v in range(width)]
                for m in range(height):
                    left = spread(builder.load(at(a, builder.add(a_rows[m], tu))))
                    for v in range(width):
                        slot = (u * height + m) * width + v
                        now[slot] = builder.call(fma, [left, right[v], now[slot]])
            t.add_incoming(builder.add(t, index(stride)), builder.block)
            for phi, value in zip(carried, now, strict=True):
                phi.add_incoming(value, builder.block)
            builder.branch(head)
            builder.position_at_end(done)
            return carried

        whole = builder.sub(total, builder.srem(total, index(ways)))
        sums = loop(index(0), whole, ways, [zero] * (ways * height * width), ways)
        if ways > 1:
            rest = loop(whole, total, 1, sums[: height * width], 1)
            sums = rest + sums[height * width :]
        for m in range(height):
            for v in range(width):
                parts = [sums[(u * height + m) * width + v] for u in range(ways)]
                while len(parts) > 1:
                    parts = [builder.fadd(x, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
                offset = builder.add(builder.mul(c_step, index(m)), index(v * lanes))
                place = builder.bitcast(at(c, offset), vector.as_pointer())
                builder.store(builder.fadd(builder.load(place, align=size), parts[0]), place, align=size)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def transpose(typing: Any, A: Any, a0: Any, a_row: Any, B: Any, b0: Any, b_row: Any) -> Any:
    """B[v, m] = A[m, v] for m and v each 64 bytes wide, by shuffles of registers; arguments as for `panel`."""
    if A.dtype != B.dtype:
        raise TypingError("transpose: one dtype for both")

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = VECTOR_BYTES // (A.dtype.bitwidth // 8)
        vector = ir.VectorType(context.get_value_type(A.dtype), lanes)
        index = ir.IntType(64)

        def integer(i: int) -> Any:
            return context.cast(builder, args[i], sig.args[i], types.int64)

        def place(array: int, first: Any, step: Any, m: int) -> Any:
            base = make_array(sig.args[array])(context, builder, args[array]).data
            offset = builder.add(first, builder.mul(step, index(m)))
            return builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())

        size = A.dtype.bitwidth // 8
        a0, a_step, b0, b_step = (integer(i) for i in (1, 2, 4, 5))
        rows = [builder.load(place(0, a0, a_step, m), align=size) for m in range(lanes)]
        for v, row in enumerate(_transposed(builder, rows)):
            builder.store(row, place(3, b0, b_step, v), align=size)
        return context.get_dummy_value()

    return types.void(A, a0, a_row, B, b0, b_row), generate


@intrinsic  # type: ignore[untyped-decorator]
def dots(typing: Any, A: Any, a0: Any, a_row: Any, B: Any, vectors: Any, C: Any, c0: Any) -> Any:
    """C[c0 + m] = sum_v A[m, v] B[v] for as many rows m as a vector has lanes, over `vectors` times 64 bytes of v."""
    if not (A.dtype == B.dtype == C.dtype):
        raise TypingError("dots: one dtype for all three")

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = VECTOR_BYTES // (A.dtype.bitwidth // 8)
        vector = ir.VectorType(context.get_value_type(A.dtype), lanes)
        index = ir.IntType(64)
        size = A.dtype.bitwidth // 8

        def integer(i: int) -> Any:
            return context.cast(builder, args[i], sig.args[i], types.int64)

        def place(array: int, offset: Any) -> Any:
            base = make_array(sig.args[array])(context, builder, args[array]).data
            return builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())

        a0, a_step, total, c0 = (integer(i) for i in (1, 2, 4, 6))
        name = f"llvm.fma.v{lanes}f{A.dtype.bitwidth}"
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)

        def row(m: int) -> Any:
            """One row's sums, lane by lane; one stream at a time is what the machine fetches ahead best."""
            before = builder.block
            head, body, done = (builder.append_basic_block(n) for n in ("dots.head", "dots.body", "dots.done"))
            start = builder.add(a0, builder.mul(a_step, index(m)))
            builder.branch(head)
            builder.position_at_end(head)
            i, held = builder.phi(index), builder.phi(vector)
            i.add_incoming(index(0), before)
            held.add_incoming(ir.Constant(vector, [0.0] * lanes), before)
            builder.cbranch(builder.icmp_signed("<", i, total), body, done)
            builder.position_at_end(body)
            at = builder.mul(i, index(lanes))
            left = builder.load(place(0, builder.add(start, at)), align=size)
            right = builder.load(place(3, at), align=size)
            held.add_incoming(builder.call(fma, [left, right, held]), body)
            i.add_incoming(builder.add(i, index(1)), body)
            builder.branch(head)
            builder.position_at_end(done)
            return held

        parts = _transposed(builder, [row(m) for m in range(lanes)])
        while len(parts) > 1:
            parts = [builder.fadd(x, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        builder.store(parts[0], place(5, c0), align=size)
        return context.get_dummy_value()

    return types.void(A, a0, a_row, B, vectors, C, c0), generate


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """As many vectors as each has lanes, transposed.

    Interleaving row m with row m + lanes / 2 turns the bits of every element's place around by one; log2(lanes) times of it
    exchange row and lane.
    """
    lanes = len(rows)
    half = lanes // 2
    word = ir.VectorType(ir.IntType(32), lanes)
    low = ir.Constant(word, [x for i in range(half) for x in (i, lanes + i)])
    high = ir.Constant(word, [x for i in range(half, lanes) for x in (i, lanes + i)])
    for _ in range(lanes.bit_length() - 1):
        rows = [builder.shuffle_vector(rows[m], rows[m + half], mask) for m in range(half) for mask in (low, high)]
    return rows
