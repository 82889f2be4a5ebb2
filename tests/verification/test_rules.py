"""Rules of factorisations, windows, scatters and orders: their values and derivatives are JAX's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from gradient_statistics import intensities, intensities_args, of_phases

import gdjax
from gdjax.verification.numbers import exact as ex
from gdjax.verification.oracle import Oracle, values_of
from gdjax.verification.programs.program import Program
from gdjax.verification.verify import prepared, run

rng = np.random.default_rng(51)
A = rng.normal(size=(2, 4, 4))
S = A @ A.transpose(0, 2, 1) + np.eye(4)
B = rng.normal(size=(2, 4, 3))
X = rng.normal(size=(4, 4, 7, 6))
PLACES = np.array([0, 1, 0, 2])
lax = jax.lax


def convolved(*shape: int, **options: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    options = {"window_strides": (1, 1), "padding": "VALID", **options}
    return lambda x, w: lax.conv_general_dilated(x, w, **options), (X, rng.normal(size=shape))


def pooled(first: float, join: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: lax.reduce_window(x, first, join, (1, 1, 3, 2), (1, 1, 2, 2), "SAME")


CASES = {
    "cholesky": (jnp.linalg.cholesky, (S,)),
    "solve": (jnp.linalg.solve, (A, B)),
    "solve a vector": (jnp.linalg.solve, (A[0], B[0, :, 0])),
    "inv": (jnp.linalg.inv, (A,)),
    "det": (jnp.linalg.det, (A,)),
    "slogdet": (jnp.linalg.slogdet, (A,)),
    "lu": (jax.scipy.linalg.lu, (A[0],)),
    "cho_solve": (lambda a, b: jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(a), True), b), (S[0], B[0])),
    "triangular, right": (
        lambda a, b: lax.linalg.triangular_solve(a, b, lower=True, transpose_a=True, unit_diagonal=True),
        (A, B.transpose(0, 2, 1)),
    ),
    "diagonal": (jnp.diag, (A[0],)),
    "convolution": convolved(6, 4, 3, 2, window_strides=(2, 1), padding=((1, 2), (0, 1)), rhs_dilation=(2, 1)),
    "convolution, transposed": convolved(6, 4, 3, 2, padding=((1, 1), (0, 2)), lhs_dilation=(2, 3)),
    "convolution, cropped": convolved(6, 4, 3, 2, padding=((-1, 0), (2, -1))),
    "convolution, groups of features": convolved(6, 2, 3, 2, feature_group_count=2),
    "convolution, groups of samples": convolved(6, 4, 3, 2, batch_group_count=2),
    "convolution, channels last": convolved(3, 2, 6, 5, padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")),
    "mean pooling": (pooled(0.0, lax.add), (X,)),
    "largest of windows": (pooled(-np.inf, lax.max), (X,)),
    "smallest of windows": (pooled(np.inf, lax.min), (X,)),
    "top_k": (lambda x: lax.top_k(x, 2), (A,)),
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, 1, reverse=True), (A,)),
    "largest of segments": (lambda x: jax.ops.segment_max(x, PLACES, 3), (A[0],)),
    "smallest scattered": (lambda x, u: jnp.asarray(x).at[PLACES].min(u), (A[0], A[1])),
    "interpolation": (lambda y: jnp.interp(A[0, 0], np.array([-2.0, -0.5, 0.25, 3.0]), y), (A[1, 0],)),
    "interpolation, of places": (lambda x: jnp.interp(x, np.array([-9.0, -0.5, 0.25, 9.0]), A[1, 0]), (A[0, 0],)),
    "places found": (lambda w, x: w[jnp.searchsorted(np.array([-0.5, 0.0, 0.5]), x)] * x, (A[0, 0], A[0, 1])),
    "percentile": (lambda x: jnp.percentile(x, 30.0, axis=1), (A[0],)),
    "median": (lambda x: jnp.median(x, axis=0), (A[0],)),
    "unique numbers": (lambda w: w[:3] * jnp.unique(PLACES, size=3, return_counts=True)[1], (A[0, 0],)),
    "sum of segments": (lambda x: jax.ops.segment_sum(x, PLACES, 3), (A[0],)),
    "sort by two keys": (lambda x: lax.sort((jnp.asarray(PLACES), x), num_keys=2)[1], (A[0, 0],)),
    "order by two keys": (lambda x: x[jnp.lexsort((x, PLACES))], (A[0, 0],)),
    "reshape of turned axes": (lambda x: lax.reshape(x, (8, 4), (2, 0, 1)), (A,)),
}
for _lower in (True, False):
    for _turned in (0, 1):
        CASES[f"triangular {_lower} {_turned}"] = (
            lambda a, b, lower=_lower, turned=_turned: jax.scipy.linalg.solve_triangular(
                a, b, lower=lower, trans=turned
            ),
            (A[0], B[0]),
        )


@pytest.mark.parametrize("name", sorted(CASES))
def test_rules_are_those_of_jax(name: str) -> None:
    """Values, the derivatives of the walk, and the walk of JAX's own derivative."""
    f, args = CASES[name]

    def cost(*given: Any) -> Any:
        leaves = [leaf for leaf in jax.tree.leaves(f(*given)) if leaf.dtype.kind == "f"]
        return sum(jnp.sum(jnp.sin(jnp.arange(leaf.size) + 1.0) * leaf.reshape(-1)) for leaf in leaves)

    places = tuple(range(len(args)))
    with jax.enable_x64(True):
        values = [np.asarray(v) for v in jax.tree.leaves(f(*map(jnp.asarray, args)))]
        gradient = [np.asarray(g) for g in jax.grad(cost, places)(*map(jnp.asarray, args))]
    # rounding alone, on well-conditioned data
    close = {"rtol": 1e-11, "atol": 1e-12}
    for found, value in zip(values_of(Program(f, places), args, limit=1e3), values, strict=True):
        np.testing.assert_allclose(ex.to_float(found), value, **close)
    answer = Oracle(Program(cost, places), places, limit=1e3)(args)
    assert answer.kind == "smooth"
    back = values_of(Program(jax.grad(cost, places), places), args, limit=1e3)
    for found, again, g in zip(answer.gradient, back, gradient, strict=True):
        np.testing.assert_allclose(ex.to_float(found), g, **close)
        np.testing.assert_allclose(ex.to_float(again), g, **close)


SMALL = np.array([0, 1, 3, 7, 200, 255], np.uint8)
OF_INTEGERS: dict[str, Callable[..., Any]] = {
    "difference": lambda k: k - jnp.asarray(2, k.dtype),
    "sum": lambda k: k + k,
    "product": lambda k: k * k,
    "power": lambda k: k**3,
    "minus": lambda k: -k,
    "converted": lambda k: k.astype(jnp.int8),
    "converted, to more bits": lambda k: (-k.astype(jnp.int64)).astype(jnp.uint16),
    "summed": lambda k: jnp.sum(k, dtype=k.dtype),
    "prefixes": lambda k: jnp.cumsum(k, dtype=k.dtype),
    "inner product": lambda k: k @ k,
    "and": lambda k: k & jnp.asarray(6, k.dtype),
    "or, xor": lambda k: (k | jnp.asarray(8, k.dtype)) ^ jnp.asarray(5, k.dtype),
    "not": lambda k: ~k,
    "shifts": lambda k: (k << 3) + (k >> 1),
    "bits counted": lambda k: lax.population_count(k) + lax.clz(k),
    "and of truths": lambda k: (k > 1) & ~(k > 9) ^ (k == 3),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint32, np.int64])
@pytest.mark.parametrize("name", OF_INTEGERS)
def test_integers_are_those_of_jax(name: str, dtype: Any) -> None:
    """Those of few bits go round; of all, bits are bits."""
    given = SMALL.astype(dtype)
    with jax.enable_x64(True):
        wanted = np.asarray(OF_INTEGERS[name](jnp.asarray(given)))
    (found,) = values_of(Program(OF_INTEGERS[name], (0,)), (given,))
    np.testing.assert_array_equal(ex.to_float(found), wanted.astype(np.float64))


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.int32, jnp.uint32])
def test_floats_beyond_the_integers_become_their_ends(dtype: Any) -> None:
    def f(x):
        return x.astype(dtype).astype(float)

    given = np.array([0.0, 2.75, -3.5, 127.5, 300.0, -1e4, 1e12, -1e12, np.inf, -np.inf, np.nan])
    with jax.enable_x64(True):
        wanted = np.asarray(f(jnp.asarray(given)))
    (found,) = values_of(Program(f, (0,)), (given,))
    np.testing.assert_array_equal(ex.to_float(found), wanted)


def test_a_cost_of_unsigned_integers() -> None:
    """0 - 2 is 254, as the cost says; of what takes it for -2 the verdict is "fail"."""

    def cost(w, y):
        return jnp.sum(jnp.exp(w) * (y.astype(jnp.uint8) - jnp.uint8(2)))

    def signed(w, y):
        return jnp.sum(jnp.exp(w) * (y - 2.0))

    args = (A[0, 0, :3], np.array([0.0, 1.0, 3.0]))
    found = [gdjax.verify(cost, jax.grad(of, (0,)), args, wrt=(0,), seconds=0.3) for of in (cost, signed)]
    assert [report.verdict for report in found] == ["pass", "fail"], str(found[0])


def test_a_nan_is_the_last_in_total_order() -> None:
    held, sought = np.array([-1.0, 0.0, 2.0, np.nan, np.nan]), np.array([np.nan, 0.0, 1.0, -2.0, np.inf])
    for side in ("left", "right"):
        for method in ("scan", "compare_all"):

            def f(x, y, side=side, method=method):
                return jnp.searchsorted(x, y, side=side, method=method)

            (found,) = values_of(Program(f, (0, 1)), (held, sought))
            np.testing.assert_array_equal(ex.to_float(found), np.searchsorted(held, sought, side), method)


def test_what_is_not_finite_has_no_integer_below() -> None:
    (found,) = values_of(Program(lambda x: jnp.floor(1 / x), (0,)), (np.array([0.0, 2.0, -0.375]),))
    np.testing.assert_array_equal(ex.to_float(found), [np.inf, 0.0, -3.0])


def numpy_likelihood(m: Any, c: Any, y: Any) -> Any:
    K = np.outer(y, y) + c * np.eye(len(y))
    r = y - m
    return 0.5 * r @ np.linalg.solve(K, r) + 0.5 * np.linalg.slogdet(K)[1] + np.trace(np.linalg.inv(K))


def spd(a: Any) -> Any:
    return a @ a.T + 5 * jnp.eye(len(a))


FACTORED = {
    "inv": lambda a: jnp.sum(jnp.linalg.inv(a + 9 * jnp.eye(len(a))) ** 2),
    "cholesky": lambda a: jnp.sum(jnp.log(jnp.diag(jnp.linalg.cholesky(spd(a))))),
    "solve": lambda a: jnp.sum(jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(spd(a)), a[0])),
    "logpdf": lambda a: jax.scipy.stats.multivariate_normal.logpdf(a[0], a[1], spd(a)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FACTORED)
def test_a_wrong_gradient_that_is_not_seen_fails_through_a_factorisation(name: str, dtype: str) -> None:
    """Of code that cannot be traced any operation may round, but no constant that it lays out: else a pivot may be 0,
    every bound is infinite, and nothing is compared."""
    cost = FACTORED[name]
    gradient = jax.grad(cost)
    place = (rng.integers(-8, 9, (3, 3)) / 4 + 0.125).astype(dtype)

    def scaled(factor: float) -> str:
        def opaque(a):
            return (np.asarray(gradient(a)) * a.dtype.type(factor),)

        return gdjax.verify(cost, opaque, (place,), wrt=(0,), dtype=dtype, seconds=1.0).verdict

    assert [scaled(factor) for factor in (1.0, 2.0)] == ["pass", "fail"]


def opaque(gradient: Callable[..., Any]) -> Callable[..., Any]:
    """One that nobody can look into, of the dtype that it is given."""

    def called(*args):
        return tuple(np.asarray(g, args[0].dtype) for g in gradient(*(np.array(np.asarray(a)) for a in args)))

    return called


def cross_entropy(z, y):
    z = z - z.max(1, keepdims=True)
    return -np.mean((z - np.log(np.exp(z).sum(1, keepdims=True)))[np.arange(len(y)), y])


def of_cross_entropy(z, y):
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    p /= len(y)
    return (p,)


def by_sign(w, x):
    s = np.sum(w * x)
    return s**2 if s > 0 else s**3


def of_by_sign(w, x):
    s = np.sum(w * x)
    return ((2 * s if s > 0 else 3 * s**2) * x,)


def inverses(a):
    return np.sum(np.linalg.inv(a) ** 2)


def of_inverses(a):
    i = np.linalg.inv(a)
    return (-2 * i.T @ i @ i.T,)


LABELS = (rng.normal(size=(4, 3)), np.array([0, 2, 1, 1]))
DECIDED = {
    "an index": (cross_entropy, of_cross_entropy, LABELS, ("N 3", "N")),
    "a branch": (by_sign, of_by_sign, (rng.normal(size=4), rng.normal(size=4)), ("N", "N")),
    "a pivot": (inverses, of_inverses, (A[0, :3, :3],), None),
    "a determinant": (
        lambda a: np.linalg.slogdet(a).logabsdet, lambda a: (np.linalg.inv(a).T,), (A[0, :3, :3],), None
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", DECIDED)
def test_what_data_decide_in_numpy_code_is_bounded_as_it_was_decided(name: str, dtype: str) -> None:
    """Where a cancellation, or an ill-conditioned matrix, leaves few digits, no right gradient is called wrong, and one
    that is off by a part in a thousand is."""
    cost, gradient, args, shapes = DECIDED[name]

    def judged(factor: float, of: Callable[..., Any]) -> Any:
        scaled = of(lambda *given: tuple(g * factor for g in gradient(*given)))
        return gdjax.verify(cost, scaled, args, wrt=(0,), shapes=shapes, dtype=dtype, seconds=0.5)

    for of in (opaque, lambda g: g):
        report = judged(1.0, of)
        wrong = [f for f in report.findings if f.severity == "fail"]
        # a Python branch cannot be walked on both sides of a kink
        kinked = name == "a branch" and all("at a kink" in f.message for f in report.findings if f.severity != "note")
        assert not wrong, str(report)
        assert report.verdict == "pass" or kinked, str(report)
        assert judged(1.001, of).verdict == "fail"


NUMPYS = {
    "diff from a number": lambda x: np.diff(x, prepend=0.5),
    "diff to an array, along rows": lambda x: np.diff(x, 2, axis=1, append=x[:, :1]),
    "trace of a diagonal aside": lambda x: np.trace(x, offset=1),
    "trace of other axes": lambda x: np.trace(x[:, :, None] * x[:, None, :], axis1=1, axis2=2),
    "trace of matrices": lambda x: np.linalg.trace(x[:, :, None] * x[:, None, :], offset=-1),
    "upper cholesky": lambda x: np.linalg.cholesky(x @ x.T + np.eye(len(x)), upper=True),
}


@pytest.mark.parametrize("name", NUMPYS)
def test_arguments_of_numpys_functions_are_heeded(name: str) -> None:
    program = Program(NUMPYS[name], (0,))
    (found,) = values_of(program, (A[0],))
    assert program.way == "numpy"
    np.testing.assert_allclose(ex.to_float(found), NUMPYS[name](A[0]), rtol=1e-12)


def test_truths_in_doubt_join_along_any_axis() -> None:
    def cost(x):
        both = jnp.concatenate([x, x], axis=1)
        return jnp.sum(jnp.where(jnp.concatenate([x > 0, x < 1], axis=1), 1.0, 2.0) * both**2)

    report = gdjax.verify(cost, lambda x: (jax.grad(cost)(x),), (np.ones((2, 2)) / 8,), wrt=(0,), seconds=1.0)
    assert report.verdict == "pass", str(report)


def test_numpys_linear_algebra_is_followed() -> None:
    args = (np.array([0.5, -1.0, 2.0]), np.float64(1.5), np.array([1.0, 2.0, -0.5]))

    def gradient(m, c, y):
        K = np.outer(y, y) + c * np.eye(len(y))
        inverse = np.linalg.inv(K)
        a = inverse @ (y - m)
        return -a, 0.5 * (np.trace(inverse) - a @ a) - (inverse * inverse).sum()

    with jax.enable_x64(True):
        steps = [np.eye(1, 4, k)[0] * 1e-6 for k in range(4)]
        wanted = [
            (
                numpy_likelihood(args[0] + s[:3], args[1] + s[3], args[2])
                - numpy_likelihood(args[0] - s[:3], args[1] - s[3], args[2])
            )
            / 2e-6
            for s in steps
        ]
    program = Program(numpy_likelihood, (0, 1, 2))
    answer = Oracle(program, (0, 1))(args)
    assert program.way == "numpy"
    np.testing.assert_allclose(np.append(*map(ex.to_float, answer.gradient)), wanted, rtol=1e-7)
    report = gdjax.verify(numpy_likelihood, gradient, args, shapes=("N", "", "N"))
    assert report.verdict == "pass", str(report)
    assert "the gradient's own formula in the same arithmetic, at tolerance zero" in report.oracles


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("two", "verdict"), [(2.0, "inconclusive"), (1.0, "fail")])
def test_a_cost_without_rules_is_judged_in_float64(two: float, verdict: str, dtype: str) -> None:
    """A correct gradient is never called wrong for the rounding of a cost in float32."""
    report = gdjax.verify(intensities, of_phases(two), intensities_args(), shapes=("N", "", "N"), dtype=dtype)
    assert report.verdict == verdict, str(report)
    assert any("fft" in f.message for f in report.findings)


def test_labels_of_minus_one_and_one_stay_so() -> None:
    """A gradient may use that y * y is 1; a label of 0 or 1/2 would be none."""
    seen = set()

    def cost(w, X, y):
        return jnp.sum(jnp.log1p(jnp.exp(-y * (X @ w))))

    def gradient(w, X, y):
        seen.update(np.unique(y).tolist())
        return (X.T @ (1 / (1 + np.exp(-X @ w)) - (y + 1) / 2),)

    X, y = rng.normal(size=(5, 2)), np.array([1.0, -1.0, -1.0, 1.0, 1.0])
    gdjax.verify(cost, gradient, (np.ones(2), X, y), wrt=(0,), shapes=("D", "N D", "N"))
    assert {v for v in seen if not np.isnan(v)} == {-1.0, 1.0}


def test_a_nan_that_a_sort_puts_last_hides_nothing() -> None:
    def cost(x, y):
        return jnp.sum(jnp.sort((x - y) ** 2)[:2])

    def gradient(x, y):
        r = x - y
        g = np.zeros_like(x)
        kept = np.argsort(r**2, kind="stable")[:2]
        g[kept] = 2 * r[kept]
        return (g,)

    args = (rng.normal(size=5), rng.normal(size=5))
    report = gdjax.verify(cost, gradient, args, wrt=(0,), kinks="subgradient")
    assert report.verdict == "pass", str(report)


def test_what_intervals_cannot_follow_may_be_anything() -> None:
    """Other comparisons of that program are still proved impossible."""

    def cost(w, rows, y):
        p = jnp.zeros(3).at[jnp.argsort(rows)].add(w)
        inner = jax.lax.cond(jnp.sum(y) > 0, lambda v: v, lambda v: 2 * v, p)
        return jnp.sum(jnp.where(w * w < 0, 1.0, 0.0)) + jnp.sum(inner**2)

    program = Program(cost, (0, 1, 2))
    from gdjax.verification.coverage import Coverage
    from gdjax.verification.inputs.domain import NAMED

    coverage = Coverage("cost", program)
    args = (np.ones(3), np.array([2, 0, 1]), np.ones(2))
    coverage.reach(args, (NAMED["real"], NAMED["count"], NAMED["nonnegative"]))
    by_op = {site.split()[0]: outcomes for site, outcomes in coverage.possible.items()}
    assert by_op["lt"] == {False}
    assert by_op["gt"] == {True, False}


def test_a_cost_is_taken_at_its_word() -> None:
    """Its series is off where the derivative that JAX gives of it is not, and the two differ."""
    norm = jax.scipy.stats.norm

    def cost(w, b, X, y):
        return -jnp.mean(norm.logcdf(X @ w + b - y))

    gradient = jax.jit(jax.grad(cost, (0, 1)))
    args = (np.ones(1), np.float64(-24.0), np.zeros((1, 1)), np.zeros(1))
    assert gdjax.verify(cost, gradient, args, seconds=1.0).verdict == "fail"
    with jax.enable_x64(True):
        slope = float(jax.grad(norm.logcdf)(-24.0))
    with mpmath.workdps(40):
        true = float(mpmath.npdf(-24) / mpmath.ncdf(-24))
    assert 1e-10 < abs(slope / true - 1) < 3e-9


def test_the_comparisons_of_a_user_s_own_determinant_are_branches() -> None:
    """Only those that JAX's make of pivots are none."""

    @jax.jit
    def det(w):
        return jnp.sum(jnp.where(w > 2, w * w, 4 * w - 4))

    def cost(w, b):
        return det(w) + b * b

    report = gdjax.verify(cost, jax.grad(cost, (0, 1)), (np.array([1.0, 3.0]), np.float64(0.5)))
    assert report.verdict == "pass", str(report)
    assert any(branch.site.startswith("gt") for branch in report.coverage if branch.of == "cost")


def test_sizes_that_take_too_long_are_left_out() -> None:
    """The others are judged, and the report says from which size on."""

    def cost(c, s, y):
        K = jnp.outer(y, y) + jnp.exp(c) * jnp.eye(len(y))
        return jnp.linalg.slogdet(K)[1] + s * s

    def gradient(c, s, y):
        n, square = len(y), y @ y
        return y.dtype.type(n - 1) + np.exp(c) / (np.exp(c) + square), 2 * s

    args = (np.float64(0.5), np.float64(1.0), np.arange(1.0, 5.0) / 4)
    check = prepared(cost, gradient, args, shapes=("", "", "N"))
    check.oracle.limit = 0.5
    report = run(check)
    assert report.verdict == "pass", str(report)
    assert {1, 3} <= {i.sizes["N"] for i in report.inputs} <= set(range(128))
    assert any("or more may take too much exact work" in f.message for f in report.findings)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_fractional_power_is_judged_at_zero(dtype: str) -> None:
    """Where a loss |r|^1.5 is smooth, and code that cannot be traced may go wrong."""

    def cost(w, x):
        return jnp.sum(x * jnp.abs(w) ** 1.5)

    def judged(at_zero: float) -> str:
        def opaque(w, x):
            slope = np.where(w == 0, at_zero, 1.5 * np.sign(w) * np.sqrt(np.abs(w)) * x)
            return (np.array([float(v) for v in slope], w.dtype),)

        return gdjax.verify(cost, opaque, (A[0, 0], A[0, 1]), wrt=(0,), shapes=("D", "D"), dtype=dtype).verdict

    assert [judged(slope) for slope in (0.0, 1.0)] == ["pass", "fail"]


@pytest.mark.parametrize(
    "wrong_where",
    [lambda n, d: n % 16 == 0, lambda n, d: n % 128 == 0, lambda n, d: n > 64, lambda n, d: d > 8, lambda n, d: d > 16],
    ids=["blocks of 16", "blocks of 128", "a second block", "nine columns", "17 columns"],
)
def test_code_that_cannot_be_traced_is_tried_past_its_blocks(wrong_where: Any) -> None:
    """A kernel's last block, full or not, of rows or of columns, whatever the example's size."""

    def cost(w, X, y):
        return np.mean(np.log1p(np.exp(-y * (X @ w))))

    def gradient(w, X, y):
        p = 1 / (1 + np.exp(y * (X @ w)))
        g = np.array([float(v) for v in -X.T @ (p * y) / len(y)])
        return (1.5 * g if wrong_where(*X.shape) else g,)

    args = np.array([0.5, -0.25, 1.0]), np.arange(18.0).reshape(6, 3) / 8 - 1, np.array([1.0, -1, 1, 1, -1, -1])
    report = gdjax.verify(cost, gradient, args, wrt=(0,), shapes=("D", "N D", "N"))
    assert report.verdict == "fail", str(report)


NARROW = {
    "bfloat16": lambda X, w: (X.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)).astype(X.dtype),
    "float16": lambda X, w: jax.nn.sigmoid((X @ w).astype(jnp.float16)).astype(X.dtype),
    "float32": lambda X, w: jnp.tanh(X.astype(jnp.float32) @ w.astype(jnp.float32)).astype(X.dtype),
    "bits": lambda X, w: jax.lax.reduce_precision(X @ w, 8, 7),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NARROW)
def test_a_cost_that_rounds_to_fewer_digits_may_do_so(name: str, dtype: str) -> None:
    """JAX's own gradient of it is right, to these digits, and half as much again is wrong."""

    def cost(w, X, y):
        return jnp.mean((NARROW[name](X, w) - y) ** 2)

    slope = jax.jit(jax.grad(cost))
    args = (A[0, 0], A[1], A[0, 1])

    def judged(factor: float) -> str:
        def gradient(w, X, y):
            return (factor * slope(w, X, y),)

        report = gdjax.verify(cost, gradient, args, wrt=(0,), shapes=("D", "N D", "N"), dtype=dtype, seconds=1.0)
        return report.verdict

    assert [judged(factor) for factor in (1.0, 1.5)] == ["pass", "fail"]
