"""The article, equation by equation: against exact rationals, and each hidden error must show."""

import dataclasses
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdjax.derivation import explain
from gdjax.equations import values
from gdjax.errors import DataError, UsageError
from gdjax.formulas import activations, losses
from gdjax.neuron import Neuron
from gdjax.params import Params

# Four samples, one with z = 0 exactly and one with a closed gate; every product and mean is exact in float64.
W, B = [2, -1], 1
X = [[1, 1], [0, 1], [-1, 2], [3, 0]]
Y = [1, 2, 3, -4]
ETA = Fraction(1, 4)


def exact() -> dict[int, object]:
    """The article's numbers by rational arithmetic, each straight from its formula."""
    n = Fraction(len(X))
    z = [sum(Fraction(w) * x for w, x in zip(W, row, strict=True)) + B for row in X]
    gate = [int(t > 0) for t in z]
    u = [max(Fraction(0), t) for t in z]
    v = [y - t for y, t in zip(Y, u, strict=True)]
    gated = [[g * x for x in row] for g, row in zip(gate, X, strict=True)]
    cost = sum(t * t for t in v) / n
    dw = [sum(2 * (z[i] - Y[i]) * X[i][j] for i in range(len(X)) if gate[i]) / n for j in range(2)]
    db = sum(2 * (z[i] - Y[i]) for i in range(len(X)) if gate[i]) / n
    graph = [max(Fraction(t), Fraction(0)) for t in (-2, -1, -0.5, 0, 0.5, 1, 2)]
    steps = [0, 0, 0, 0, 1, 1, 1]
    doubled = [2 * t for t in v]
    minus = [[-x for x in row] for row in gated]
    return {
        1: cost, 2: u, 3: gated, 4: [t - B for t in z], 5: None, 6: X, 7: None, 8: graph, 9: steps, 10: gated,
        11: gated, 12: gate, 13: cost, 14: None, 15: gated, 16: minus, 17: dw, 18: doubled, 19: dw, 20: dw, 21: dw,
        22: dw, 23: dw,
        24: [w - ETA * g for w, g in zip(W, dw, strict=True)], 25: None, 26: gate, 27: [-g for g in gate], 28: db,
        29: doubled, 30: db, 31: db, 32: db, 33: B - ETA * db,
        "5": [[1, 1]] * 4, "5'": [[[a, 0], [0, b]] for a, b in X], "7": X, "7'": [1] * 4, "14": u, "14'": v,
        "14''": cost,
    }  # fmt: skip


PARTS = {5: ("5", "5'"), 7: ("7", "7'"), 14: ("14", "14'", "14''"), 25: ("14", "14'", "14''")}


@pytest.fixture(scope="module")
def derivation():
    return explain(Neuron(), Params(W, B), X, Y, learning_rate=float(ETA))


@pytest.mark.parametrize("number", range(1, 34))
def test_each_equation_is_what_rational_arithmetic_says(derivation, number):
    rational = exact()
    lines = derivation[number]
    wanted = [rational[part] for part in PARTS[number]] if number in PARTS else [rational[number]] * len(lines)
    assert len(lines) == len(wanted)
    for line, value in zip(lines, wanted, strict=True):
        value = np.asarray(value, float)
        np.testing.assert_allclose(line.value, value, rtol=0, atol=0, err_msg=line.text)
        np.testing.assert_allclose(line.oracle, value, rtol=0, atol=0, err_msg=line.text)
        assert line.holds


def test_the_gate_is_closed_at_zero(derivation):
    assert [e.value[1] for e in derivation[12]] == [0.0]
    assert derivation[9][0].value[3] == 0.0


FORMULAS = [
    ("relu", "squared_error"), ("identity", "squared_error"), ("leaky_relu", "huber"), ("sigmoid", "log_loss"),
    ("exp", "poisson"), ("tanh", "squared_error"), ("softplus", "absolute_error"), ("sigmoid", "squared_error"),
    ("exp", "huber"), ("relu", "huber"),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "loss"), FORMULAS)
def test_the_chain_rule_holds_for_every_formula(activation, loss):
    rng = np.random.default_rng(3)
    rows, target = 3 * rng.standard_normal((40, 3)), rng.integers(0, 2, 40)
    derivation = explain(Neuron(activation, loss), Params(rng.standard_normal(3), 0.2), rows, target)
    assert derivation.holds, str(derivation)
    assert {e.number for e in derivation} == set(range(1, 34))
    assert derivation.article == ((activation, loss) == ("relu", "squared_error"))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=3, max_size=3),
    st.lists(st.sampled_from([0.1, 0.2, -0.3, 0.0, 1e-8, 7.0]), min_size=2, max_size=2),
    st.sampled_from([-0.3, 0.0, 0.1, 3.0]),
)
def test_rounding_beside_the_kink_is_no_failure(rows, weights, bias):
    assert explain(Neuron(), Params(weights, bias), rows, np.ones(len(rows))).holds


def test_a_sample_on_the_kink_by_rounding_holds():
    # 0.1 + 0.2 - 0.3 is 5.6e-17 or 0 by the order of the sum
    rows, target = np.tile([[0.1, 0.2, -0.3], [0.3, -0.2, -0.1]], (20, 1)), np.tile([1.0, -1.0], 20)
    derivation = explain(Neuron(), Params([1.0, 1.0, 1.0], 0.0), rows, target)
    assert derivation.holds, str(derivation)


SUBNORMAL = np.finfo(np.float64).smallest_subnormal


@pytest.mark.parametrize(("activation", "loss"), [*FORMULAS, ("identity", "absolute_error")])
def test_flushed_subnormals_hold(activation, loss):
    """XLA flushes to 0 what NumPy keeps: the features, the labels, a label beside a kink, products, outputs."""
    rows = [[0.0, SUBNORMAL], [-2e-308, 1e-160], [1.0, 0.0], [1e-300, 3e-308]]
    target = [0.0, 0.0, 1.0, 1.0] if loss == "log_loss" else [SUBNORMAL, 0.0, 1e-310, 2.5e-308]
    derivation = explain(Neuron(activation, loss), Params([-740.0, 1e-160], 2e-310), rows, target)
    assert derivation.holds, str(derivation)
    assert derivation[5][1].difference == 2e-308  # it did flush
    assert all(line.bound < 1e-300 for line in derivation[5] + derivation[6] + derivation[7])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_subnormals_of_any_dtype_hold(dtype):
    rows = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, np.finfo(dtype).smallest_subnormal]], dtype)
    derivation = explain(Neuron(), Params(np.array([0.1, 0.1], dtype), dtype(-0.3)), rows, np.ones(3, dtype))
    assert derivation.holds, str(derivation)
    assert (derivation[6][0].difference > 0) == (dtype is np.float64)


def test_flushing_excuses_nothing_larger():
    shrunken = activations.custom("shrunken", lambda z: z, lambda z: np.ones_like(z) * (1 - 1e-12))
    derivation = explain(Neuron(shrunken), Params([1.0, 1e-160], 0.0), [[1e-290, SUBNORMAL]], [1.0])
    assert {3, 15, 23} <= set(derivation.failed)


def failed(neuron: Neuron) -> set[int]:
    derivation = explain(neuron, Params(W, B), X, Y)
    assert not derivation.holds
    assert f"do not hold: {', '.join(map(str, derivation.failed))}" in str(derivation)
    return set(derivation.failed)


def test_a_wrong_slope_at_the_kink_shows_in_equation_9():
    open_at_zero = dataclasses.replace(
        activations.relu, build=lambda xp: (activations.relu(xp)[0], lambda z: xp.where(z >= 0, 1.0, 0.0))
    )
    assert failed(Neuron(open_at_zero)) == {3, 9, 23, 24, 32, 33}


def test_a_wrong_value_shows_in_equation_2():
    absolute = dataclasses.replace(activations.relu, build=lambda xp: (xp.abs, activations.relu(xp)[1]))
    assert {2, 8, 14} <= failed(Neuron(absolute))


def test_a_wrong_loss_slope_shows_in_equation_18():
    halved = losses.custom("half", lambda p, y: (p - y) ** 2, lambda p, y: p - y)
    assert {18, 29, 23, 32, 24, 33} <= failed(Neuron("identity", halved))


def test_a_custom_pair_that_is_right_holds():
    cube = activations.custom("cube", lambda z: z * z * z, lambda z: 3 * z * z)
    assert explain(Neuron(cube), Params(W, B), X, Y).holds


def test_a_step_uphill_shows_in_the_updates(monkeypatch):
    make_advance = values.make_advance

    def uphill(xp, rule):
        advance = make_advance(xp, rule)
        return lambda state, knobs, evaluate, factor: advance(state, knobs, evaluate, -factor)

    monkeypatch.setattr(values, "make_advance", uphill)
    assert failed(Neuron()) == {24, 33}


def test_a_lost_row_shows_in_the_gradients(monkeypatch):
    sums = values.block_sums

    def without_last_row(xp, pointwise, theta, rows, y, weight):
        return sums(xp, pointwise, theta, rows[:-1], y[:-1], weight[:, :-1])

    monkeypatch.setattr(values, "block_sums", without_last_row)
    assert failed(Neuron()) == {23, 24, 32, 33}


def test_text_names_every_number(derivation):
    text = str(derivation)
    for number in range(1, 34):
        assert f"\n{number:>2}  " in text
    assert "all 33 equations hold" in text
    assert not re.search(r"-0\.(?!\d)", text)


def test_latex_is_what_mathtext_reads(derivation):
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    general = explain(Neuron("leaky_relu", "huber"), Params(W, B), X, Y)
    for line in {e.latex for e in (*derivation, *general)}:
        parser.parse(f"${line}$".replace(r"\otimes", r"\otimes "))
    latex = derivation.to_latex()
    assert latex.count(r"\begin{gather*}") == latex.count(r"\end{gather*}") == len(derivation.equations)
    assert all(rf"\tag{{{number}}}" in latex for number in range(1, 34))


def test_json_is_strict_and_whole(derivation):
    def refuse(name):
        raise AssertionError(name)

    told = json.loads(derivation.to_json(), parse_constant=refuse)
    assert {e["number"] for e in told["equations"]} == set(range(1, 34))
    assert told["holds"] is True
    assert told["failed"] == []
    by_number = {e["number"]: e for e in told["equations"]}
    np.testing.assert_array_equal(by_number[22]["value"], derivation[22][0].value)


def test_what_overflows_does_not_hold_and_says_so():
    derivation = explain(Neuron(), Params([1e200], 0.0), [[1e200]], [0.0])
    assert not derivation.holds
    assert json.loads(derivation.to_json())["equations"][0]["value"] is None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"neuron": Neuron(l2=0.1)}, UsageError, "explain: the derivation has no penalty"),
        ({"neuron": Neuron(bias=False)}, UsageError, "explain: the derivation has a bias"),
        ({"X": [[1.0], [2.0]]}, DataError, "explain: 2 weights for 1 features"),
        ({"y": [1.0]}, DataError, r"explain: X of shape \(2, 2\) and y of shape \(1,\)"),
        ({"y": [1.0, np.nan]}, DataError, "explain: y holds NaN"),
        ({"X": [["a", "b"]] * 2}, DataError, "explain: X must be numbers"),
        ({"params": Params([1.0, 2.0], [0.0])}, DataError, "explain: bias has shape"),
        ({"X": np.zeros((60_000, 20))}, UsageError, "pass at most 50000 samples"),
    ],
)
def test_what_cannot_be_explained_is_one_line(change, error, message):
    given = {"neuron": Neuron(), "params": Params([1.0, 2.0], 0.0), "X": np.ones((2, 2)), "y": np.ones(2)} | change
    if len(given["X"]) > 2:
        given |= {"y": np.ones(60_000), "params": Params(np.ones(20), 0.0)}
    with pytest.raises(error, match=message) as caught:
        explain(given["neuron"], given["params"], given["X"], given["y"])
    assert "\n" not in str(caught.value)


def test_one_sample_is_enough():
    assert explain(Neuron(), Params([1.0, 2.0], 0.0), [1.0, 2.0], 3.0).samples == 1
