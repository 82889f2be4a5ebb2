"""Exact arithmetic, primitives and the oracle, against Fractions, mpmath and JAX."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.transcendental import FUNCTIONS
from gdjax.verification.oracle import Oracle, values_of
from gdjax.verification.programs import primitives
from gdjax.verification.programs.interpreter import NESTED
from gdjax.verification.programs.program import Program

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(FLOATS, min_size=1, max_size=4), st.lists(FLOATS, min_size=1, max_size=1))
def test_arithmetic_is_that_of_fractions(xs: list[float], ys: list[float]) -> None:
    a, b = ex.from_array(np.array(xs)), ex.from_array(np.array(ys))
    left, right = [Fraction(x) for x in xs], Fraction(ys[0])
    assert ex.to_fractions(ex.add(a, b)).tolist() == [x + right for x in left]
    assert ex.to_fractions(ex.multiply(a, b)).tolist() == [x * right for x in left]
    assert ex.to_fractions(ex.total(a, (0,)))[()] == sum(left)
    greater, equal = ex.compare(a, b)
    assert greater.tolist() == [x > right for x in left]
    assert equal.tolist() == [x == right for x in left]
    assert ex.to_float(a).tolist() == xs
    if right:
        quotient = ex.divide(a, b)
        if not quotient.mp:
            assert ex.to_fractions(quotient).tolist() == [x / right for x in left]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_slopes_are_those_of_a_difference_quotient(name: str) -> None:
    f = FUNCTIONS[name]
    points = {"acosh": (1.5, 3.0), "erf_inv": (-0.5, 0.25), "rsqrt": (0.5, 2.0), "lgamma": (0.5, 3.25)}
    h = ex.MP.mpf(2) ** -120
    for point in points.get(name, (0.25, 0.75)):
        x = ex.MP.mpf(point)
        quotient = (f.exact(x + h) - f.exact(x - h)) / (2 * h)
        assert abs(quotient - f.slope(x, f.exact(x))) < ex.MP.mpf(2) ** -200
        assert float(f.exact(x)) == pytest.approx(float(f.flt(np.array(point))), rel=1e-13)


UNARY: dict[str, Any] = {
    "abs": jnp.abs,
    "sign": jnp.sign,
    "neg": jnp.negative,
    "square": jnp.square,
    "exp": jnp.exp,
    "log1p": lambda x: jnp.log1p(x * x),
    "tanh": jnp.tanh,
    "logistic": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "sqrt": lambda x: jnp.sqrt(x * x + 1),
    "asin": lambda x: jnp.arcsin(x / 2),
    "acos": lambda x: jnp.arccos(x / 2),
    "atanh": lambda x: jnp.arctanh(x / 2),
    "polyval": lambda x: jnp.polyval(jnp.array([3.0, -1.0, 2.0]), x),
    "erf": jax.lax.erf,
    "lgamma": lambda x: jax.lax.lgamma(x * x + 1),
    "sort": jnp.sort,
    "cumsum": jnp.cumsum,
    "cumprod": jnp.cumprod,
    "cummax": jax.lax.cummax,
    "flip": jnp.flip,
    "pad": lambda x: jnp.pad(x, 2),
    "roll": lambda x: jnp.roll(x, 2),
    "max": jnp.max,
    "min": jnp.min,
    "prod": jnp.prod,
    "logsumexp": jax.nn.logsumexp,
    "softmax": jax.nn.softmax,
    "var": jnp.var,
    "gather": lambda x: x[jnp.array([2, 0, 2])],
    "scatter": lambda x: x.at[jnp.array([1, 1, 3])].add(x[:3]),
    "set": lambda x: x.at[1].set(x[0] * 2),
    "concatenate": lambda x: jnp.concatenate([x, x * x]),
    "outer": lambda x: jnp.outer(x, x),
    "clip": lambda x: jnp.clip(x, -0.5, 0.5),
    "where": lambda x: jnp.where(x > 0.1, x * x, -x),
    "scan": lambda x: jax.lax.scan(lambda c, t: (c * 0.5 + t * t, c), 0.0 * x[0], x),
    "cond": lambda x: jax.lax.cond(x[0] > 0, lambda: x * 2, lambda: x * x),
    "fori": lambda x: jax.lax.fori_loop(0, 3, lambda i, c: c * x, x),
    "while": lambda x: jax.lax.while_loop(lambda c: jnp.sum(c * c) < 50, lambda c: c * 2, x),
    "floor": lambda x: jnp.floor(x) * x,
    "rem": lambda x: jnp.fmod(x, 0.75),
    "pow": lambda x: (x * x + 1) ** x,
    "power": lambda x: x**3,
    "matmul": lambda x: jnp.outer(x, x) @ x,
    "einsum": lambda x: jnp.einsum("i,j,ij->j", x, x, jnp.ones((5, 5))),
    "reshape": lambda x: jnp.concatenate([x, x]).reshape(2, 5).T,
    "remat": jax.checkpoint(lambda x: jnp.sin(x) * x),
    "vmap": jax.vmap(lambda x: x * jnp.cos(x)),
    "arctan2": lambda x: jnp.arctan2(x, 2.0),
    "dynamic": lambda x: jax.lax.dynamic_slice(x, (1,), (3,)),
    "split": lambda x: jnp.split(x, [2])[1],
    "norm": jnp.linalg.norm,
    "argmax": lambda x: x[jnp.argmax(x)],
    "select": lambda x: jnp.select([x > 1, x > 0], [x, x * x], -x),
    "mean": jnp.mean,
    "expm1": jnp.expm1,
    "cbrt": jnp.cbrt,
    "asinh": jnp.arcsinh,
    "tile": lambda x: jnp.tile(x, 2),
    "log2": lambda x: jnp.log2(x * x + 1),
    "stop": lambda x: jax.lax.stop_gradient(x) * x,
    "squeeze": lambda x: x[None, :].squeeze(0),
    "triu": lambda x: jnp.triu(jnp.outer(x, x)),
}


@pytest.mark.parametrize("name", sorted(UNARY))
def test_the_oracle_agrees_with_autodiff_away_from_kinks(name: str) -> None:
    x = np.array([0.8125, -1.3125, 0.3125, 1.6875, -0.4375])

    def cost(x: Any) -> Any:
        leaves = jax.tree.leaves(UNARY[name](x))
        return sum(jnp.sum(leaf * (jnp.arange(leaf.size).reshape(leaf.shape) % 3 + 1)) for leaf in leaves)

    answer = Oracle(Program(cost, (0,)), (0,))((x,))
    with jax.enable_x64(True):
        wanted = jax.jacfwd(cost)(jnp.asarray(x))
    assert answer.kind == "smooth"
    traced = values_of(Program(jax.jacfwd(cost), (0,)), (x,))
    np.testing.assert_allclose(ex.to_float(answer.gradient[0]), wanted, rtol=1e-11, atol=1e-12)
    # autodiff's own program is followed too: bounds of rounding come from it
    np.testing.assert_allclose(ex.to_float(traced[0]), wanted, rtol=1e-11, atol=1e-12)


def test_the_primitives_with_rules_are_no_fewer_than_the_page_says() -> None:
    from jax.extend.core import Primitive
    from jax.extend.core import primitives as public

    named = {p.name for p in vars(public).values() if isinstance(p, Primitive)}
    assert len(named & {*primitives.RULES, *NESTED, "scan", "while", "cond", "custom_linear_solve"}) >= 115


def relu_cost(w: Any, b: Any, X: Any, y: Any) -> Any:
    return jnp.mean((y - jnp.maximum(0, X @ w + b)) ** 2)


SPELLINGS = {
    "maximum": relu_cost,
    "where": lambda w, b, X, y: jnp.mean((y - jnp.where(X @ w + b >= 0, X @ w + b, 0)) ** 2),
    "mask": lambda w, b, X, y: jnp.mean((y - (X @ w + b) * (X @ w + b >= 0)) ** 2),
    "abs": lambda w, b, X, y: jnp.mean((y - (X @ w + b + jnp.abs(X @ w + b)) / 2) ** 2),
    "numpy": lambda w, b, X, y: np.mean((y - np.maximum(0, X @ w + b)) ** 2),
    "sort": lambda w, b, X, y: jnp.mean((y - jnp.sort(jnp.stack([0 * (X @ w), X @ w + b]), axis=0)[1]) ** 2),
}


@pytest.mark.parametrize("spelling", sorted(SPELLINGS))
def test_the_kink_is_zero_however_it_is_spelled(spelling: str) -> None:
    """Rows on the kink, open and closed: the article's formula, in Fractions."""
    w, b = np.array([1.0, -1.0]), np.float64(0.0)
    X, y = np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 2.0], [3.0, 3.0]]), np.array([1.0, 2.0, 3.0, -2.0])
    answer = Oracle(Program(SPELLINGS[spelling], (0, 1, 2, 3)), (0, 1))((w, b, X, y))
    gw, gb = [Fraction(0), Fraction(0)], Fraction(0)
    for row, label in zip(X, y, strict=True):
        z = sum(Fraction(a) * Fraction(c) for a, c in zip(row, w, strict=True))
        if z > 0:
            gw = [g + Fraction(2, 4) * (z - Fraction(label)) * Fraction(c) for g, c in zip(gw, row, strict=True)]
            gb += Fraction(2, 4) * (z - Fraction(label))
    assert answer.kind == "kink"
    assert ex.to_fractions(answer.gradient[0]).tolist() == gw
    assert ex.to_fractions(answer.gradient[1])[()] == gb


@pytest.mark.parametrize(("second", "kind", "ends"), [(-1.0, "cancelling", None), (-2.0, "kink", [0.0, 6.0])])
def test_each_sample_may_take_a_side_of_its_own(second: float, kind: str, ends: list[float] | None) -> None:
    """relu(x.w) + s relu(-x.w): gates open or shut at 0 give 0 or x, and 0 or -s x. For s = -1 the sum is smooth, of
    slope x, and what the convention makes of each sample is no derivative."""
    cost = lambda w, X, s: jnp.sum(s * jnp.maximum(X @ w, 0))  # noqa: E731
    args = np.array([1.0, -1.0]), np.array([[2.0, 2.0], [-2.0, -2.0]]), np.array([1.0, second])
    found = [Oracle(Program(cost, (0, 1, 2)), (0,), kinks)(args).kind for kinks in ("zero", "jax")]
    assert found == (["cancelling", "smooth" if second == -1 else "kink"])
    answer = Oracle(Program(cost, (0, 1, 2)), (0,), "subgradient")(args)
    assert answer.kind == kind
    if ends is not None:
        assert answer.sides is not None
        assert sorted(ex.to_float(end[0]).tolist() for end in answer.sides) == [[end, end] for end in ends]


def test_a_function_that_only_looks_kinked_is_smooth() -> None:
    """max(z, 0) + log1p(exp(-|z|)) at z = 0 has derivative 1/2; autodiff of that text does not say so."""
    cost = lambda z: jnp.sum(jnp.maximum(z, 0) + jnp.log1p(jnp.exp(-jnp.abs(z))))  # noqa: E731
    answer = Oracle(Program(cost, (0,)), (0,))((np.zeros(2),))
    assert answer.kind == "smooth"
    assert ex.to_float(answer.gradient[0]).tolist() == [0.5, 0.5]


ORIGINAL = dict(primitives.RULES)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("max", primitives.RULES["min"]),
        ("sub", ORIGINAL["add"]),
        ("mul", primitives.RULES["add"]),
        ("reduce_sum", primitives.RULES["reduce_max"]),
        ("transpose", lambda A, p, a: a),
        ("select_n", lambda A, p, which, a, b: ORIGINAL["select_n"](A, p, which, b, a)),
        ("dot_general", lambda A, p, a, b: A.neg(ORIGINAL["dot_general"](A, p, a, b))),
        ("div", lambda A, p, a, b: a),
        ("exp", primitives.RULES["expm1"]),
        ("abs", lambda A, p, a: a),
    ],
)
def test_a_wrong_rule_shows(rule: str, wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation of the oracle: each broken rule makes it disagree with autodiff."""
    x = np.array([0.8125, -1.3125, 0.3125, 1.6875])

    def cost(x: Any) -> Any:
        pairs = (jnp.where(x > 0, x * x, 3 * x).reshape(2, 2).T - 1) @ x[:2]
        return jnp.sum(jnp.maximum(pairs, x[2:]) / 3.0) + jnp.sum(jnp.exp(x) * jnp.abs(x)) * x[0]

    def agrees() -> bool:
        answer = Oracle(Program(cost, (0,)), (0,))((x,))
        with jax.enable_x64(True):
            value, wanted = jax.value_and_grad(cost)(jnp.asarray(x))
        same = np.allclose(ex.to_float(answer.cost), value, rtol=1e-11)
        return same and np.allclose(ex.to_float(answer.gradient[0]), wanted, rtol=1e-11)

    assert agrees()
    monkeypatch.setitem(primitives.RULES, rule, wrong)
    assert not agrees()


def buffers(w: Any, X: Any) -> Any:
    """In place, through views and into `out`, as NumPy code does it."""
    total, scratch = np.zeros_like(w), np.empty_like(w)
    np.dot(X[0], X.T, out=scratch[: len(X)]) if len(X) == len(w) else np.dot(X[:, 0], X, out=scratch)
    total += scratch
    head = total[:2]
    head *= 3
    total[1:] -= 1
    tail = total.reshape(-1)[1:]
    total[2] = 7
    np.add(tail, head[0], out=tail)
    copy = total[[0, 1]]
    copy += 100
    e = X @ w
    closed = e <= 0
    e -= 1
    e[closed] = 0
    return total, e, X.T[1]


@pytest.mark.parametrize("rows", [3, 5])
def test_numpy_code_that_works_in_place_is_followed(rows: int) -> None:
    rng = np.random.default_rng(rows)
    args = rng.integers(-4, 5, 3).astype(float), rng.integers(-4, 5, (rows, 3)).astype(float)
    program = Program(buffers, (0, 1))
    found = values_of(program, args)
    assert program.way == "numpy"
    for value, wanted in zip(found, buffers(*args), strict=True):
        assert ex.to_float(value).tolist() == wanted.tolist()


def test_precision_is_beyond_float64() -> None:
    assert mpmath.mpf(2) ** -ex.PRECISION < mpmath.mpf(2) ** -390


def test_numbers_whose_digits_would_fill_the_memory_are_ordered_and_bounded() -> None:
    """exp(-1e308), of a masked logit, has more digits after its point than there are atoms."""
    exponents = np.linspace(-1e308, -1e307, 9)
    small = ex.apply(FUNCTIONS["exp"].exact, ex.from_array(exponents))
    both = ex.concatenate([ex.negative(small), small], 0)
    assert ex.order(both, 0).tolist() == [*range(8, -1, -1), *range(9, 18)]
    assert [np.sign(f) for f in ex.to_fractions(both)] == [-1] * 9 + [1] * 9
    assert not any(float(f) for f in ex.to_fractions(both))
    huge = ex.apply(FUNCTIONS["exp"].exact, ex.from_array(-exponents))
    assert min(ex.to_fractions(huge)) > Fraction(2) ** 1024
