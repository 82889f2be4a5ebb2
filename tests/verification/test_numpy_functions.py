"""NumPy's functions and ufuncs on arrays that are interpreted: what NumPy gives, with every argument, or a refusal."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special

import gdjax
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import NotSupported, Uninterpreted
from gdjax.verification.numbers.dual import Duals
from gdjax.verification.oracle import values_of
from gdjax.verification.programs import duck, standins, ufuncs
from gdjax.verification.programs.duck import lift
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.program import Program

rng = np.random.default_rng(3)
# Square, so that a transposed or a forgotten axis has a shape that fits; not symmetric, so that it shows.
A = rng.integers(-6, 7, (3, 3)) / 4 + np.diag([0.0, 3.0, -2.5])
B = rng.integers(-6, 7, (3, 3)) / 8 + 4 * np.eye(3)
C = rng.integers(-6, 7, (2, 3, 3)) / 4
V = np.array([0.5, -1.25, 2.0])
UNIT = np.array([0.25, -0.5, 0.75])

# What each is called with, besides `(A,)`: arrays that are interpreted, and others in the order of NumPy's.
CALLS: dict[Any, list[tuple[Any, ...]]] = {
    np.append: [(A, B), (V, V)],
    np.argsort: [(A,), (V,)],  # how equal ones lie is NumPy's own affair from 17 on
    np.diag: [(A,), (V,)],
    np.allclose: [(A, B), (A, A + 1e-12)],
    np.array_split: [(A, 2), (V, 2), (V, [1, 2])],
    np.average: [(A,), (C,)],
    np.bincount: [(np.array([2, 0, 2]), V), (np.array([1, 4]), V[:2])],
    np.broadcast_to: [(V, (3, 3))],
    np.clip: [(A,), (A, -0.5, 0.5), (A, None, 0.5), (A, V, V + 1)],
    np.column_stack: [((A, B),), ((V, V),)],
    np.compress: [(V > 0, A), ([True, False, True], A)],
    np.concatenate: [((A, B),), ((V, V),)],
    np.convolve: [(V, UNIT), (V, A[0, :2]), (A[0, :2], np.arange(1.0, 5)), (np.arange(5.0), A[1, :2])],
    np.copyto: [(A, B), (A, V)],
    np.correlate: [(V, UNIT), (V, A[0, :2]), (A[0, :2], np.arange(1.0, 4)), (A[0, :2], np.arange(1.0, 5))],
    np.corrcoef: [(A,), (V,)],
    np.cov: [(A,), (V,), (A, B)],
    np.cross: [(A, B), (A, V), (V, UNIT)],
    np.delete: [(A, 1), (A, [0, 2])],
    np.diagonal: [(A,), (C,)],
    np.dstack: [((A, B),), ((V, V),)],
    np.dot: [(A, B), (A, V), (V, A), (V, V), (C, A), (A, C), (2.0, A)],
    np.einsum: [
        ("ij,jk->ik", A, B),
        ("ij,ij", A, B),
        ("ij,jk", A, B),
        ("ji", A),
        ("bij,j->ib", C, V),
        ("ii", A),
        ("ii->i", A),
        ("iji,j", C[[0, 1, 0]], V),
        ("...ij,...jk", C, A),
        ("...ij,j->...i", C, V),
    ],
    np.expand_dims: [(A, 1), (A, (0, -1))],
    np.extract: [(A > 0, A), (A, A)],
    np.fill_diagonal: [(A, 2.5), (A, V), (C[0, :2], 0.5)],
    np.full_like: [(A, 2.5), (A, V)],
    np.hstack: [((A, B),), ((V, V),)],
    np.isclose: [(A, A.T), (A, A + 1e-9), (np.where(A > 0, np.inf, np.nan), np.where(A > 1, np.inf, np.nan))],
    np.kron: [(A, B), (V, A), (V, V), (C, V)],
    np.inner: [(A, B), (V, V), (A, V), (C, A), (A, C)],
    np.linalg.cholesky: [(B + np.triu(A, 1),)],
    np.linalg.det: [(A,), (C,)],
    np.linalg.inv: [(B,), (C + B,)],
    np.interp: [(A, np.array([0.0, 0.5]), V[:2]), (V, np.array([0.0, 0.5]), V[:2]), (V, V[:1], V[:1])],
    np.linalg.matrix_power: [(A, 3), (B, -2), (C, 0)],
    np.linalg.multi_dot: [((A, B, A),), ((A, B),)],
    np.linalg.norm: [(A,), (V,), (C,)],
    np.linalg.slogdet: [(A,), (-B,), (C,)],
    np.linalg.solve: [(B, A), (B, V), (B + C, V), (B, C), (B + C, C)],
    np.linalg.trace: [(A,), (C,)],
    np.matmul: [(A, B), (A, V), (V, A), (V, V), (C, A), (A, C), (C, C[::-1]), (C, V), (V, C), (C[:, None], C)],
    np.moveaxis: [(C, 0, 2)],
    np.pad: [(A, 1), (A, ((0, 2), (1, 0))), (V, 2), (A, 1, "reflect")],
    np.polyval: [(V, A), (V, UNIT)],
    np.percentile: [(A, 30.0), (V, [25.0, 50.0]), (C, 100)],
    np.piecewise: [(A, [A > 1, A < -1], [lambda x: x * x, -1.5, lambda x: x / 2]), (V, [V > 0], [2.0])],
    np.quantile: [(A, 0.3), (A, 0.0), (V, [0.25, 1.0]), (C, 0.75)],
    np.select: [([A > 1, A > 0], [A, B]), ([V > 0], [2 * V], 0.5)],
    np.outer: [(V, V), (A, V)],
    np.repeat: [(A, 2), (V, [1, 0, 2])],
    np.reshape: [(C, (9, 2)), (C, -1)],
    np.roll: [(A, 2), (A, (1, 2))],
    np.rollaxis: [(C, 2)],
    np.split: [(A, 3), (A, [1])],
    np.stack: [((A, B),)],
    np.swapaxes: [(C, 0, 2)],
    np.take: [(A, 1), (A, [2, 0])],
    np.take_along_axis: [(A, np.argsort(A, -1))],
    np.tensordot: [(A, B), (C, A)],
    np.tile: [(A, (2, 1))],
    np.trapezoid: [(A,), (C, V), (A, A)],
    np.vander: [(V,)],
    np.vdot: [(A, B), (V, V)],
    np.vstack: [((A, B),), ((V, V),)],
    np.where: [(A > 0, A, B), (V > 0, A, 0.5), (A > 0,), (V,)],
    np.nan_to_num: [(A,), (np.where(A > 0, np.inf, A),), (np.where(A > 0, np.nan, -np.inf),)],
}
# What may be said by name: for a parameter of every name that NumPy's functions have, all that NumPy may take.
VALUES: dict[str, list[Any]] = {
    "axis": [0, 1, -1, -2, (0, 1), (1, 0), None],
    "axis1": [1, -1], "axis2": [0, -1], "offset": [1, -1], "k": [3, -1], "start": [1], "source": [1],
    "destination": [0], "axes": [0, 1, (1, 0), ([0], [1]), ([-1], [0]), ([0, 1], [1, 0])],
    "keepdims": [True, 1, False], "where": [A > 0, V > 0], "initial": [0.5, -3.0], "ddof": [1], "correction": [1],
    "mean": [np.zeros((3, 1))], "weights": [np.abs(B), np.abs(V)], "returned": [True],
    "dtype": [np.float64, int, bool, complex], "out": [], "order": ["F", "C", "A"], "subok": [False], "shape": [(2, 2)],
    "device": ["cpu"], "casting": ["unsafe"], "optimize": [True], "signature": [], "copy": [True, False],
    "min": [-0.5], "max": [0.5], "a_min": [-0.5, None], "a_max": [0.5, None], "nan": [2.0], "posinf": [3.0],
    "neginf": [-3.0], "ord": [1, 2, -1, -2, 0, 3, np.inf, -np.inf, "fro", "nuc"], "n": [0, 2],
    "prepend": [0.5, A], "append": [0.5, A], "tol": [2.0], "upper": [True, False], "mode": ["wrap", "clip"],
    "x": [V, A], "y": [B], "rowvar": [True, False], "bias": [True, False], "fweights": [], "aweights": [],
    "N": [2, 4], "increasing": [True], "minlength": [2, 7], "left": [9.0], "right": [9.0], "period": [2.0],
    "to_end": [], "to_begin": [], "dx": [0.5], "axisa": [], "axisb": [], "axisc": [], "wrap": [True], "xp": [],
    "fp": [], "shift": [], "indices": [], "reps": [], "kwargs": [], "kind": ["stable", "heapsort"],
    "stable": [True], "descending": [True],
    "decimals": [0, 1, -1], "rtol": [0.5], "atol": [0.5], "equal_nan": [True], "default": [0.5],
    "overwrite_input": [True], "method": ["lower", "linear"], "interpolation": ["lower"], "args": [], "kw": [],
}  # fmt: skip

REGISTERED = [f for f in duck.FUNCTIONS if callable(f) and not isinstance(f, np.ufunc)]
FUNCTIONS = {f"{f.__module__}.{f.__name__}": f for f in (*REGISTERED, *duck._MOVES, *duck._VIEWS)}
UFUNCS = {f.__name__: f for f in (*ufuncs.PRIMITIVES, *duck.FUNCTIONS) if isinstance(f, np.ufunc)}
UFUNCS |= {n: getattr(scipy.special, n) for n in (*ufuncs.OF_SCIPY, *duck.FUNCTIONS) if isinstance(n, str)}


def arguments(function: Any, given: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """None, each, and each two of what may be said besides."""
    parameters = list(inspect.signature(function).parameters)
    free = parameters[len(given) :] if function is not np.einsum else parameters[1:]
    said = [(name, value) for name in free for value in VALUES[name]]
    yield {}
    for name, value in said:
        yield {name: value}
    for (one, x), (other, y) in combinations(said, 2):
        if one != other:
            yield {one: x, other: y}


def parts(value: Any) -> list[Any]:
    return [p for v in value for p in parts(v)] if isinstance(value, (tuple, list)) else [value]


def interpreted(function: Callable[..., Any], args: tuple[Any, ...]) -> list[Any] | None:
    """What it gives of interpreted arrays, in place of NumPy's float arrays; None where it is refused."""
    places: list[np.ndarray] = []

    def gathered(value: Any) -> Any:
        if isinstance(value, tuple) and any(isinstance(v, np.ndarray) for v in value):
            return tuple(map(gathered, value))
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            places.append(value)
            return len(places) - 1
        return value

    frame = tuple(map(gathered, args))

    def filled(value: Any, arrays: tuple[Any, ...], original: Any) -> Any:
        if isinstance(original, tuple) and value is not original:
            return tuple(filled(v, arrays, o) for v, o in zip(value, original, strict=True))
        return arrays[value] if isinstance(original, np.ndarray) and original.dtype.kind == "f" else value

    def program(*arrays: Any) -> Any:
        return function(*(filled(v, arrays, o) for v, o in zip(frame, args, strict=True)))

    # JAX would be asked first
    made = Program(program, tuple(range(len(places))))
    made.trace = lambda args: None
    try:
        return [ex.to_float(v) for v in values_of(made, tuple(places))]
    except Uninterpreted:
        return None


def agree(function: Callable[..., Any], args: tuple[Any, ...], said: str) -> bool:
    """Whether it is answered; an answer has to be NumPy's."""
    try:
        with np.errstate(all="ignore"):
            wanted = [np.asarray(p) for p in parts(function(*deepcopy(args)))]
    except Exception:  # noqa: BLE001 - NumPy refuses it, in many words
        return False
    found = interpreted(function, args)
    if found is None or any(w.dtype.kind == "c" for w in wanted):
        assert found is None, said
        return False
    assert [f.shape for f in found] == [w.shape for w in wanted], said
    for f, w in zip(found, wanted, strict=True):
        # NumPy rounds, on well-conditioned numbers
        np.testing.assert_allclose(f, w.astype(float), rtol=1e-12, atol=1e-13, err_msg=said)
    return True


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")  # since NumPy 2.5
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_gives_what_numpys_gives_or_refuses(name: str) -> None:
    function = FUNCTIONS[name]
    empty = "empty" in name
    for given in CALLS.get(function, [(A,), (C,), (V,)]):
        plain = 0
        for said in arguments(function, given):

            def called(*args: Any, said: dict[str, Any] = said) -> Any:
                out = function(*args, **said)
                out = args[0] if out is None else out  # in place
                return np.full_like(out, 0.5) if empty else out

            answered = agree(called, given, f"{name} of {[np.shape(g) for g in given]} with {said}")
            plain += answered and not said
        square = [g for g in given if np.ndim(g) > 1]
        assert plain or not square, f"{name} of {[np.shape(g) for g in given]} is not answered"


@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_a_ufunc_gives_what_numpys_gives_or_refuses(name: str) -> None:
    function = UFUNCS[name]
    answered = 0
    # SciPy's gammaln of a negative number is real, our logarithm of Gamma is not: such an input is left out
    for first in (A, UNIT, np.abs(A) + 1.5, A > 0)[2 * (name in ("gammaln", "betaln")) :]:
        args = (first, np.where(first, 1.5, -0.75) if first.dtype != bool else ~first)[: function.nin]
        for how in ({}, {"dtype": np.float64}, {"dtype": int, "casting": "unsafe"}) if first.dtype != bool else ({},):
            answered += agree(lambda *a, how=how: function(*a, **how), args, f"{name} of {args} with {how}")
        if first is A and function.nin == 2 and function.nout == 1 and function.signature is None:
            for how in ({}, {"axis": 1}, {"axis": None}, {"keepdims": True}, {"initial": 0.5}):
                agree(lambda a, how=how: function.reduce(a, **how), (A,), f"{name}.reduce with {how}")
            agree(lambda a, b: function.outer(a, b), (A, V), f"{name}.outer")
            for how in ({}, {"axis": 1}, {"axis": -1, "dtype": np.float64}):
                agree(lambda a, how=how: function.accumulate(a, **how), (A,), f"{name}.accumulate with {how}")
                for parts in ([0, 2], [1, 0, 2], [2, 2]):
                    agree(lambda a, how=how, p=parts: function.reduceat(a, p, **how), (A,), f"{name}.reduceat {parts}")
            for at in ([0, 2, 0], ([0, 0, 1], [1, 1, 2]), slice(None)):

                def added(a: Any, b: Any, at: Any = at) -> Any:
                    found = a.copy()
                    function.at(found, at, b)
                    return found

                agree(added, (A, V), f"{name}.at {at}")
    assert answered


HOW: list[dict[str, Any]] = [
    {}, {"axis": 1}, {"keepdims": True}, {"axis": 0, "keepdims": True}, {"ddof": 1}, {"axis": 1, "ddof": 1},
    {"order": "F"}, {"initial": 0.5}, {"where": A > 0}, {"min": -0.5}, {"dtype": int},
]  # fmt: skip
WRITE = {"tofile", "dump"}
METHODS = [n for n in dir(np.ndarray) if n[0] != "_" and n not in WRITE and callable(getattr(np.ndarray, n))]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_what_numpys_gives_or_refuses(name: str) -> None:
    first = [(), (0,), (1,), (-1,), ((0, 1),), ([0, 2],), (2,), (0.5,), (-0.5, 0.5), (0, 1), (A,), ("F",), (9,), (1, 0)]
    for args in first:
        for how in HOW:

            def called(a: Any, args: Any = args, how: Any = how) -> Any:
                out = getattr(a.copy(), name)(*args, **how)
                if out is None or isinstance(out, (bytes, dict)) or not hasattr(out, "__mul__"):
                    raise TypeError(f"{name} gives no array")
                return out

            agree(called, (A,), f"{name} of {args} with {how}")


def test_masked_division_into_an_array_is_followed() -> None:
    def ratio(a: Any, b: Any) -> Any:
        return np.divide(a, b, out=np.zeros_like(a), where=b > 0)

    assert agree(ratio, (A, A.T), "divide")


def test_what_is_assigned_goes_where_numpy_puts_it() -> None:
    def by_rows(a: Any) -> Any:
        b = a.copy()
        b[a[:, 0] > 0] = 0.5
        return b

    def by_index(a: Any, i: Any) -> Any:
        b = a.copy()
        b[i] = a[0]
        b[np.arange(3), i] -= 1
        return b

    def some(a: Any) -> Any:
        b = a.copy()
        b[:, :2][a[:, :2] > 0] = np.ones(int((A[:, :2] > 0).sum())) * np.arange(1.0, 1 + (A[:, :2] > 0).sum())
        return b

    assert agree(by_rows, (A,), "a mask of rows")
    assert agree(some, (A,), "as many numbers as the mask has")
    program = Program(by_index, (0, 1))
    program.trace = lambda args: None
    (found,) = values_of(program, (A, np.array([2, 0, 2])))
    np.testing.assert_array_equal(ex.to_float(found), by_index(A, np.array([2, 0, 2])))


def test_a_name_alone_makes_no_ufunc_numpys() -> None:
    numba = pytest.importorskip("numba")

    @numba.vectorize(["float64(float64)"])
    def exp(x):
        return 2 * x

    assert interpreted(exp.ufunc, (A,)) is None


def test_an_argument_without_a_rule_is_named() -> None:
    with pytest.raises(NotSupported, match=r"numpy\.linalg\.norm with ord=nuc"):
        np.linalg.norm(lift(Walk([Duals()]), A), "nuc")
    with pytest.raises(NotSupported, match=r"numpy\.average with returned="):
        np.average(lift(Walk([Duals()]), A), returned=True)


def test_every_argument_of_numpys_has_been_thought_of() -> None:
    for name, function in FUNCTIONS.items():
        stand_in = duck.FUNCTIONS.get(function)
        theirs = set(inspect.signature(function).parameters)
        if stand_in is not None:
            ours = list(inspect.signature(stand_in).parameters.values())[1:]
            if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()):
                ours = [p for p in ours if p.kind is not p.KEYWORD_ONLY]
            assert {p.name for p in ours} <= theirs, name


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.uint64])
def test_integers_go_round_as_numpys_do(dtype: Any) -> None:
    def products(y: Any) -> Any:
        return (y - dtype(2)) * (3 * y) + y**3

    def others(y: Any) -> Any:
        whole = np.concatenate([np.maximum(y, 1) - 2, np.where(y > 1, y, dtype(1)) - 2, y // 3 - 50])
        return whole + np.full_like(whole, 2.75) * np.dot(y, y) + np.pad(y, 3, constant_values=2.5)

    def in_place(y: Any) -> Any:
        found = np.zeros_like(y)
        found[:] = np.sqrt(y)
        found[y > 110] = 40.5
        found += 3 * y.astype(np.int64 if dtype == np.int8 else np.uint64)
        return found

    labels = np.array([0, 100, 120], dtype)
    for of in (products, others, in_place):
        program = Program(of, (0,))
        program.trace = lambda args: None
        (found,) = values_of(program, (labels,))
        np.testing.assert_array_equal(ex.to_float(found), of(labels).astype(float))


def test_integers_take_no_floats_in_place() -> None:
    y, w = ducks((np.array([1, 2], np.uint8), np.array([0.5, 1.5])), Walk([Duals()]))
    with pytest.raises(TypeError, match=r"numpy\.add of float64 into an array of uint8"):
        y += w


def test_a_piece_that_mixes_entries_is_refused() -> None:
    def cost(w: Any, x: Any) -> Any:
        return np.sum(np.piecewise(w * x, [w * x > 0], [lambda t: t * t - t.mean(), lambda t: -t]))

    def gradient(w: Any, x: Any) -> Any:
        z = w * x
        return (np.sum(np.where(z > 0, 2 * z * x, -x) - np.where(z > 0, x, 0)),)

    report = gdjax.verify(cost, gradient, (0.5, V), wrt=(0,), seconds=0.5)
    assert report.verdict != "pass"
    assert "a piece that mixes entries" in str(report)


LABELS = np.array([0, 2, 1, 1])
W, Q = A, C[:, :, :2]


def softmax(W: Any, X: Any, y: Any) -> Any:
    z = X @ W
    p = np.exp(z - z.max(1, keepdims=True))
    return (X.T @ (p / p.sum(1, keepdims=True) - np.eye(3)[y]),)


def scattered(W: Any, g: Any) -> Any:
    found = np.zeros_like(W)
    np.add.at(found, g, np.exp(W[g]))
    return found


def correlation(w: Any, x: Any) -> Any:
    a, b = w - w.mean(), x - x.mean()
    aa, bb, ab = a @ a, b @ b, a @ b
    return ((b / np.sqrt(aa * bb) - ab * a / (aa * np.sqrt(aa * bb))),)


# A cost in NumPy, its gradient by its first argument, and the arguments.
COSTS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "one-hot labels": (
        lambda W, X, y: np.sum(np.log(np.exp(X @ W).sum(1)) - (np.eye(3)[y] * (X @ W)).sum(1)),
        softmax,
        (W, A[[0, 1, 2, 0]], LABELS),
    ),
    "logaddexp.reduce": (
        lambda W, X, y: np.sum(np.logaddexp.reduce(X @ W, axis=1) - (X @ W)[np.arange(len(y)), y]),
        softmax,
        (W, A[[0, 1, 2, 0]], LABELS),
    ),
    "attention": (
        lambda q, k: np.sum((q @ k.swapaxes(-1, -2)) ** 2),
        lambda q, k: (2 * (q @ k.swapaxes(-1, -2)) @ k,),
        (Q, Q[::-1].copy()),
    ),
    "einsum": (
        lambda w, x: np.einsum("...i,i->...", x, w).sum() ** 2,
        lambda w, x: (2 * (x @ w).sum() * x.sum((0, 1)),),
        (V, C),
    ),
    "sort": (lambda w: np.sort(w) @ V, lambda w: (V[np.argsort(np.argsort(w))],), (V,)),
    "cumprod": (
        lambda w: np.cumprod(w).sum(),
        lambda w: (np.array([1 + w[1] + w[1] * w[2], w[0] + w[0] * w[2], w[0] * w[1]]),),
        (V,),
    ),
    "tril": (lambda w: np.sum(np.tril(w) ** 2), lambda w: (2 * np.tril(w),), (A,)),
    "pad": (
        lambda w: np.sum(np.diff(np.pad(w, 1)) ** 2),
        lambda w: (2 * (2 * w - np.pad(w, 1)[:-2] - np.pad(w, 1)[2:]),),
        (V,),
    ),
    "where, one argument": (
        lambda w, x: np.sum((w * x[np.where(x > 0)]) ** 2),
        lambda w, x: (2 * w * np.sum(x[x > 0] ** 2),),
        (0.5, V),
    ),
    "select": (
        lambda w, x: np.sum(w * np.select([x > 1, x > 0], [x * x, x], 0.5)),
        lambda w, x: (np.select([x > 1, x > 0], [x * x, x], 0.5),),
        (UNIT, V),
    ),
    "std": (
        lambda w, x: (x @ w).std() ** 2,
        lambda w, x: (2 / len(x) * (x - x.mean(0)).T @ ((x - x.mean(0)) @ w),),
        (V, A),
    ),
    "ndtr": (lambda w: scipy.special.ndtr(w).sum(), lambda w: (np.exp(-w * w / 2) / np.sqrt(2 * np.pi),), (V,)),
    "interp": (
        lambda w, x: np.sum(w * np.interp(x, [-1.0, 0.0, 0.5, 2.0], [1.0, 0.0, 3.0, 1.0])),
        lambda w, x: (np.interp(x, [-1.0, 0.0, 0.5, 2.0], [1.0, 0.0, 3.0, 1.0]),),
        (UNIT, V),
    ),
    "convolve": (
        lambda w, x: np.sum(np.convolve(w, x) ** 2),
        lambda w, x: (2 * np.correlate(np.convolve(w, x), x),),
        (V, np.array([0.5, -1.0])),
    ),
    "groups": (
        lambda w, x, g: np.sum(np.bincount(g, w * x, 3) ** 2) + np.sum(np.add.reduceat(w * x, [0, 2]) ** 2),
        lambda w, x, g: (
            2 * x * np.bincount(g, w * x, 3)[g] + 2 * x * np.repeat(np.add.reduceat(w * x, [0, 2]), [2, len(x) - 2]),
        ),
        (np.array([0.5, -1.25, 2.0, 1.0]), np.array([1.0, 0.5, -2.0, 3.0]), LABELS),
    ),
    "of integers alone, NumPy's own": (
        lambda w, x, y: np.sum(w * x * np.isin(y, [1, 2])) * len(np.unique(y)),
        lambda w, x, y: (x * np.isin(y, [1, 2]) * len(np.unique(y)),),
        (np.array([0.5, -1.25, 2.0, 1.0]), np.array([1.0, 0.5, -2.0, 3.0]), LABELS),
    ),
    "an embedding's gradient by add.at": (
        lambda W, g: np.sum(np.exp(W[g])),
        lambda W, g: (scattered(W, g),),
        (A, LABELS),
    ),
    "correlation": (
        lambda w, x: np.corrcoef(w, x)[0, 1],
        correlation,
        (np.array([0.5, -1.25, 2.0, 1.0]), np.array([1.0, 0.5, -2.0, 3.0])),
    ),
    "logcumsumexp": (
        lambda w: np.logaddexp.accumulate(w).sum(),
        lambda w: (np.exp(np.where(np.tri(len(w)) > 0, w - np.logaddexp.accumulate(w)[:, None], -np.inf)).sum(0),),
        (V,),
    ),
    "uint8": (
        lambda w, y: np.sum(np.exp(w) * (y - np.uint8(2))),
        lambda w, y: (np.exp(w) * (y - np.uint8(2)),),
        (V, np.array([0, 5, 3], np.uint8)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTS)
def test_a_cost_in_numpy_is_judged(name: str) -> None:
    """By its value where entries tie too, which has two derivatives there."""
    cost, gradient, args = COSTS[name]

    def judged(factor: float) -> str:
        def scaled(*args: Any) -> Any:
            return tuple(factor * g for g in gradient(*args))

        return gdjax.verify(cost, scaled, args, wrt=(0,), kinks="subgradient", seconds=0.5).verdict

    assert [judged(factor) for factor in (1.0, 1.5)] == ["pass", "fail"]


def test_a_method_that_sorts_does_so_in_place() -> None:
    def smallest(a: Any) -> Any:
        b = a.copy()
        b.sort(axis=0)
        return b[0]

    assert agree(smallest, (A,), "sort")


def test_what_pads_is_heeded() -> None:
    assert agree(lambda a: np.pad(a, 1, constant_values=2.5), (A,), "pad")
    assert not agree(lambda a: np.pad(a, 1, "mean"), (A,), "pad")


@pytest.mark.parametrize(
    ("cost", "named"),
    [
        (lambda w: scipy.special.logsumexp(w), "scipy.special.logsumexp"),
        (lambda w: np.unwrap(w).sum(), "numpy.unwrap"),
        (lambda w: np.exp(w).byteswap().sum(), "numpy.ndarray.byteswap"),
    ],
)  # fmt: skip
def test_a_function_that_is_not_covered_is_named(cost: Callable[..., Any], named: str) -> None:
    report = gdjax.verify(cost, lambda w: (w,), (V,), wrt=(0,), seconds=0.3)
    assert report.verdict != "pass"
    assert any(f"{named} is not covered" in f.message for f in report.findings), str(report)


def covered() -> dict[str, list[str]]:
    """The names of what is answered, by their module."""
    names = {f"numpy.{f}" for f in UFUNCS if hasattr(np, f)} | {
        f"scipy.special.{f}" for f in UFUNCS if not hasattr(np, f)
    }
    found: dict[str, list[str]] = {}
    for name in sorted(names | set(FUNCTIONS)):
        module, _, function = name.rpartition(".")
        found.setdefault(module, []).append(function)
    return found | {"math": sorted(standins._OF_PYTHON)}


def test_the_page_lists_what_is_covered() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verification.md").read_text()
    section = " ".join(page.partition("## What NumPy code may call")[2].partition("## ")[0].split())
    for module, names in covered().items():
        assert f"`{module}`: {', '.join(names)}." in section, module


def ducks(value: Any, walk: Walk) -> Any:
    """The arrays of arguments, interpreted."""
    if isinstance(value, np.ndarray):
        return duck.Duck(walk, walk.const(value), value.dtype)
    return tuple(ducks(v, walk) for v in value) if isinstance(value, tuple) else value


def of_dtype(value: Any, dtype: Any) -> Any:
    """The float arrays of arguments as others, most of whose entries are large."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        if dtype is bool:
            return value > 0
        whole = (36 * np.nan_to_num(value, posinf=3, neginf=-3)).astype(np.int64)
        return (abs(whole) if dtype == np.uint64 else whole).astype(dtype)
    return tuple(of_dtype(v, dtype) for v in value) if isinstance(value, tuple) else value


def alike(function: Callable[..., Any], args: tuple[Any, ...], said: str) -> bool:
    """Whether it is answered, with numbers and a dtype that are NumPy's."""
    walk = Walk([Duals()])
    whole, function = function, lambda *args: args[0] if (out := whole(*args)) is None else out  # in place
    try:
        with np.errstate(divide="raise", over="ignore", invalid="ignore"):  # integers by 0 are anything
            wanted = [np.asarray(p) for p in parts(function(*args))]
            finite = all(np.isfinite(w).all() for w in wanted)
    except Exception:  # noqa: BLE001 - NumPy refuses it, in many words
        return False
    try:
        found = parts(function(*ducks(args, walk)))
    except Uninterpreted:
        return False
    for f, w in zip(found, wanted, strict=True):
        if not isinstance(f, duck.Duck):
            np.testing.assert_array_equal(f, w, err_msg=said)
            continue
        (side,) = f.sides
        value = side.value if f.dtype == bool else ex.to_float(side.value)
        assert f.dtype.kind == w.dtype.kind, said
        assert f.shape == w.shape, said
        if w.dtype.kind == "f":
            digits = 50 * np.finfo(w.dtype).eps
            if finite:
                np.testing.assert_allclose(value, w, rtol=digits, atol=digits, err_msg=said)
        else:
            assert f.dtype == w.dtype, said
            np.testing.assert_array_equal(value, w if w.dtype == bool else w.astype(float), err_msg=said)
    return True


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")  # since NumPy 2.5
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.uint64, bool])
@pytest.mark.parametrize("name", sorted({**FUNCTIONS, **UFUNCS}))
def test_of_integers_and_booleans_a_function_gives_numpys_numbers_and_dtype(name: str, dtype: Any) -> None:
    function = FUNCTIONS.get(name, UFUNCS.get(name))
    calls = [(A, B)[: function.nin]] if isinstance(function, np.ufunc) else CALLS.get(function, [(A,), (C,), (V,)])
    for given in calls:
        args = of_dtype(given, dtype)
        # what an empty array holds is nobody's, and a matrix of booleans is singular
        if "empty" not in name and not (dtype is bool and "linalg" in name):
            alike(function, args, f"{name} of {args}")
        if isinstance(function, np.ufunc) and function.nin == 2 and function.nout == 1 and function.signature is None:
            alike(lambda a: function.reduce(a, axis=1), args[:1], f"{name}.reduce")
