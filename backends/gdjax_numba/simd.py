"""The inner loops that a compiler does not find by itself: products in registers, and a transpose by shuffles.

Each is a function of its own in LLVM, written once however often it is called. The arrays are C-contiguous and of one
dtype; an offset is the element where a part starts, a stride the elements from one of its rows to the next. Nothing is
checked, and nothing allocated.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import extending
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.np import arrayobj

VECTOR_BYTES = 64
"""One AVX-512 register, two of AVX2, four of SSE or NEON: LLVM splits what the machine lacks."""

TALL, WIDE = (8, 2) if binding.get_host_cpu_features().get("avx512f") else (4, 1)
"""Rows and vectors whose sums a product of many rows keeps in registers: half of 32, or of 16 that are half as long."""

# what calls an intrinsic passes no typing context, and gets what LLVM returns
intrinsic: Any = extending.intrinsic
make_array: Any = arrayobj.make_array
declare: Any = cgutils.get_or_insert_function

INDEX = ir.IntType(64)
WORD = ir.IntType(32)


class _Code:
    """A function in LLVM under construction: `size` bytes an element, `lanes` elements a vector."""

    def __init__(self, builder: Any, bits: int) -> None:
        self.builder, self.bits, self.size = builder, bits, bits // 8
        self.lanes = VECTOR_BYTES // self.size
        self.scalar = ir.FloatType() if bits == 32 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        name = f"llvm.fma.v{self.lanes}f{bits}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        self._fma = declare(builder.module, kind, name)

    def load(self, base: Any, offset: Any) -> Any:
        """The vector at an element."""
        place = self.builder.bitcast(self.builder.gep(base, [offset]), self.vector.as_pointer())
        return self.builder.load(place, align=self.size)

    def store(self, value: Any, base: Any, offset: Any) -> None:
        """Writes a vector, or part of one, at an element."""
        place = self.builder.bitcast(self.builder.gep(base, [offset]), value.type.as_pointer())
        self.builder.store(value, place, align=self.size)

    def fetch(self, base: Any, offset: Any) -> None:
        """Asks for the line of an element, which may lie outside the array, in the second cache."""
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, WORD, WORD, WORD])
        to_read, second_cache, data = WORD(0), WORD(2), WORD(1)
        place = self.builder.bitcast(self.builder.gep(base, [offset]), byte)
        prefetch = declare(self.builder.module, kind, "llvm.prefetch.p0i8")
        self.builder.call(prefetch, [place, to_read, second_cache, data])

    def spread(self, base: Any, offset: Any) -> Any:
        """One element in all lanes."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        value = self.builder.load(self.builder.gep(base, [offset]))
        one = self.builder.insert_element(undefined, value, WORD(0))
        everywhere = ir.Constant(ir.VectorType(WORD, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, everywhere)

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        """x y + z, rounded once."""
        return self.builder.call(self._fma, [x, y, z])

    def loop(
        self, begin: Any, end: Any, stride: int, sums: list[Any], body: Callable[[Any, list[Any]], list[Any]]
    ) -> list[Any]:
        """for t in range(begin, end, stride), carrying vectors in registers: body(t, sums) -> sums."""
        builder = self.builder
        before = builder.block
        head, inside, done = (builder.append_basic_block(n) for n in ("head", "body", "done"))
        builder.branch(head)
        builder.position_at_end(head)
        t = builder.phi(INDEX)
        t.add_incoming(begin, before)
        carried = [builder.phi(self.vector) for _ in sums]
        for phi, start in zip(carried, sums, strict=True):
            phi.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed("<", t, end), inside, done)
        builder.position_at_end(inside)
        after = body(t, list(carried))
        t.add_incoming(builder.add(t, INDEX(stride)), builder.block)
        for phi, value in zip(carried, after, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return carried

    def total(self, parts: list[Any]) -> Any:
        """The sum of a power of two of vectors, in pairs."""
        while len(parts) > 1:
            parts = [self.builder.fadd(x, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def across(self, rows: list[Any]) -> Any:
        """The sums over the lanes of each of four vectors, as a vector of four.

        Each round joins two vectors into one whose halves of rows are added: half the shuffles of a transpose.
        """
        part = self.lanes // 2
        while part:
            low = [i for start in range(0, self.lanes, 2 * part) for i in range(start, start + part)]
            low += [self.lanes + i for i in low]
            left, right = (
                ir.Constant(ir.VectorType(WORD, self.lanes), places) for places in (low, [i + part for i in low])
            )
            # the last one is joined with itself
            rows = [
                self.builder.fadd(self.builder.shuffle_vector(x, y, left), self.builder.shuffle_vector(x, y, right))
                for x, y in zip(rows[::2], rows[1::2] or rows, strict=True)
            ]
            part //= 2
        return self.builder.shuffle_vector(rows[0], rows[0], ir.Constant(ir.VectorType(WORD, 4), [0, 1, 2, 3]))

    def transposed(self, rows: list[Any]) -> list[Any]:
        """As many vectors as each has lanes, transposed.

        Interleaving row m with row m + lanes / 2 turns the bits of every element's place around by one; log2(lanes)
        times of it exchange row and lane.
        """
        half = self.lanes // 2
        low, high = (
            ir.Constant(ir.VectorType(WORD, self.lanes), [x for i in range(a, a + half) for x in (i, self.lanes + i)])
            for a in (0, half)
        )
        for _ in range(self.lanes.bit_length() - 1):
            rows = [self.builder.shuffle_vector(rows[m], rows[m + half], k) for m in range(half) for k in (low, high)]
        return rows


def _call(
    context: Any, builder: Any, sig: Any, args: Any, name: str, arrays: dict[int, int], rest: list[int],
    write: Callable[[_Code, list[Any], list[Any]], None],
) -> Any:  # fmt: skip
    """Calls the function `name`, written by `write(code, pointers, integers)` where the module has none yet.

    arrays: argument of an array -> argument of its offset; rest: arguments that are integers.
    """
    bits = sig.args[next(iter(arrays))].dtype.bitwidth
    name = f"gdjax_{name}_f{bits}"
    scalar = ir.FloatType() if bits == 32 else ir.DoubleType()
    kind = ir.FunctionType(ir.VoidType(), [scalar.as_pointer()] * len(arrays) + [INDEX] * len(rest))
    found = builder.module.globals.get(name)
    if found is None:
        found = ir.Function(builder.module, kind, name)
        found.linkage = "linkonce_odr"
        found.attributes.add("noinline")
        inner = ir.IRBuilder(found.append_basic_block("entry"))
        write(_Code(inner, bits), list(found.args[: len(arrays)]), list(found.args[len(arrays) :]))
        inner.ret_void()

    def integer(i: int) -> Any:
        return context.cast(builder, args[i], sig.args[i], types.int64)

    def pointer(i: int) -> Any:
        return builder.gep(make_array(sig.args[i])(context, builder, args[i]).data, [integer(arrays[i])])

    builder.call(found, [pointer(i) for i in arrays] + [integer(i) for i in rest])
    return context.get_dummy_value()


def _one_dtype(*arrays: Any) -> None:
    if len({a.dtype for a in arrays}) > 1:
        raise TypingError(f"arrays of one dtype are needed, not {', '.join(str(a.dtype) for a in arrays)}")


def _product(
    code: _Code, a: Any, a_step: Any, b: Any, b_step: Any, count: Any, c: Any, c_step: Any, height: int, width: int,
    parts: int = 1, ahead: Any = None,
) -> None:  # fmt: skip
    """C[m, v] += sum_t A[m, t] B[t, v] for `height` m, `count` t, and `width` vectors v.

    Each sum is taken in `parts`, independent so that they hide the latency of the multiply-add; all stay in registers.
    Its order depends on `parts` and `count` alone, so that a row's bits do not depend on the rows beside it. What lies
    `ahead` in B is fetched for every second t.
    """
    builder = code.builder
    a_rows = [builder.mul(a_step, INDEX(m)) for m in range(height)]

    def terms(parts: int) -> Callable[[Any, list[Any]], list[Any]]:
        def body(t: Any, now: list[Any]) -> list[Any]:
            for u in range(parts):
                at = builder.add(t, INDEX(u))
                row = builder.mul(at, b_step)
                places = [builder.add(row, INDEX(v * code.lanes)) for v in range(width)]
                if ahead is not None and u % 2:
                    for place in places:
                        code.fetch(b, builder.add(place, ahead))
                right = [code.load(b, place) for place in places]
                for m in range(height):
                    left = code.spread(a, builder.add(a_rows[m], at))
                    for v in range(width):
                        slot = (u * height + m) * width + v
                        now[slot] = code.fma(left, right[v], now[slot])
            return now

        return body

    whole = builder.sub(count, builder.srem(count, INDEX(parts)))
    sums = code.loop(INDEX(0), whole, parts, [code.zero] * (parts * height * width), terms(parts))
    if parts > 1:
        sums = code.loop(whole, count, 1, sums[: height * width], terms(1)) + sums[height * width :]
    for m in range(height):
        for v in range(width):
            part = code.total([sums[(u * height + m) * width + v] for u in range(parts)])
            offset = builder.add(builder.mul(c_step, INDEX(m)), INDEX(v * code.lanes))
            code.store(builder.fadd(code.load(c, offset), part), c, offset)


@intrinsic
def panel(
    typing: Any, A: Any, a0: Any, a_row: Any, B: Any, b0: Any, b_row: Any, count: Any, C: Any, c0: Any, c_row: Any,
    rows: Any, vectors: Any,
) -> Any:  # fmt: skip
    """C[m, v] += sum_t A[m, t] B[t, v] for `rows` m, `count` t, and `vectors` times 64 bytes of v.

    `rows` and `vectors` are literals: their product of sums stays in registers.
    """
    _one_dtype(A, B, C)
    if not all(isinstance(n, types.IntegerLiteral) for n in (rows, vectors)):
        raise TypingError("panel: rows and vectors must be literal integers")
    height, width = rows.literal_value, vectors.literal_value

    def write(code: _Code, pointers: list[Any], integers: list[Any]) -> None:
        (a, b, c), (a_step, b_step, total, c_step) = pointers, integers
        _product(code, a, a_step, b, b_step, total, c, c_step, height, width)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        name = f"panel_{height}_{width}"
        return _call(context, builder, sig, args, name, {0: 1, 3: 4, 7: 8}, [2, 5, 6, 9], write)

    return types.void(A, a0, a_row, B, b0, b_row, count, C, c0, c_row, rows, vectors), generate


@intrinsic
def multiply_row(
    typing: Any, A: Any, a0: Any, B: Any, b0: Any, b_row: Any, count: Any, C: Any, c0: Any, vectors: Any, ahead: Any
) -> Any:
    """C[v] += sum_t A[t] B[t, v] for `count` t and `vectors` times 64 bytes of v.

    What lies `ahead` in B is fetched for every second t, unless that is None.
    """
    _one_dtype(A, B, C)
    fetching = not isinstance(ahead, types.NoneType)

    def write(code: _Code, pointers: list[Any], integers: list[Any]) -> None:
        (a, b, c), (b_step, total, vectors, *beyond) = pointers, integers
        builder = code.builder
        begin: Any = INDEX(0)
        for width, parts in ((4, 2), (2, 2), (1, 4)):

            def strip(v: Any, _: list[Any], width: int = width, parts: int = parts) -> list[Any]:
                at = builder.mul(v, INDEX(code.lanes))
                here, to = builder.gep(b, [at]), builder.gep(c, [at])
                _product(code, a, INDEX(0), here, b_step, total, to, INDEX(0), 1, width, parts, *beyond)
                return []

            end = builder.sub(vectors, builder.srem(vectors, INDEX(width)))
            code.loop(begin, end, width, [], strip)
            begin = end

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        name, rest = ("multiply_row_ahead", [4, 5, 8, 9]) if fetching else ("multiply_row", [4, 5, 8])
        return _call(context, builder, sig, args, name, {0: 1, 2: 3, 6: 7}, rest, write)

    return types.void(A, a0, B, b0, b_row, count, C, c0, vectors, ahead), generate


@intrinsic
def dots(
    typing: Any, A: Any, a0: Any, a_row: Any, B: Any, b0: Any, vectors: Any, C: Any, c0: Any, rows: Any, ahead: Any
) -> Any:
    """C[m] = sum_v A[m, v] B[v] for `rows` m, a multiple of four, over `vectors` times 64 bytes of v.

    What lies `ahead` in A is fetched for every second m: `multiply_row` fetches the other half.
    """
    _one_dtype(A, B, C)

    def write(code: _Code, pointers: list[Any], integers: list[Any]) -> None:
        (a, b, c), (a_step, total, rows, ahead) = pointers, integers
        builder = code.builder

        def four_rows(m: Any, _: list[Any]) -> list[Any]:
            starts = [builder.mul(a_step, builder.add(m, INDEX(i))) for i in range(4)]

            def body(v: Any, sums: list[Any]) -> list[Any]:
                at = builder.mul(v, INDEX(code.lanes))
                places = [builder.add(start, at) for start in starts]
                for place in places[::2]:
                    code.fetch(a, builder.add(place, ahead))
                right = code.load(b, at)
                return [code.fma(code.load(a, place), right, z) for place, z in zip(places, sums, strict=True)]

            code.store(code.across(code.loop(INDEX(0), total, 1, [code.zero] * 4, body)), c, m)
            return []

        code.loop(INDEX(0), rows, 4, [], four_rows)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(context, builder, sig, args, "dots", {0: 1, 3: 4, 6: 7}, [2, 5, 8, 9], write)

    return types.void(A, a0, a_row, B, b0, vectors, C, c0, rows, ahead), generate


@intrinsic
def transpose(typing: Any, A: Any, a0: Any, a_row: Any, B: Any, b0: Any, b_row: Any) -> Any:
    """B[v, m] = A[m, v] for m and v each 64 bytes wide."""
    _one_dtype(A, B)

    def write(code: _Code, pointers: list[Any], integers: list[Any]) -> None:
        (a, b), (a_step, b_step) = pointers, integers
        rows = [code.load(a, code.builder.mul(a_step, INDEX(m))) for m in range(code.lanes)]
        for v, row in enumerate(code.transposed(rows)):
            code.store(row, b, code.builder.mul(b_step, INDEX(v)))

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(context, builder, sig, args, "transpose", {0: 1, 3: 4}, [2, 5], write)

    return types.void(A, a0, a_row, B, b0, b_row), generate
