"""What users call: `gdjax.verify`, `verify_vjp`, the report, the command, the fixture."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gradient_adversarial_layers import local_level
from gradient_problems import PROBLEMS, SHAPES, example

import gdjax
from gdjax.errors import UsageError
from gdjax.verification import VerificationError, verify_formula
from gdjax.verification.child import Task, verified
from gdjax.verification.neurons import built_in
from gdjax.verification.verify import prepared, run

RELU = PROBLEMS["relu"]


def wrong(w, b, X, y):
    gw, gb = RELU.gradient(np)(w, b, X, y)
    return gw, 2 * gb


def test_a_report_says_what_is_wrong() -> None:
    report = gdjax.verify(RELU.cost, wrong, example(), shapes=SHAPES, seconds=2.0)
    assert report.verdict == "fail"
    assert report.component == "gradient[1] (d cost / d b)"
    assert report.term == "bias"
    space = {"gradient": wrong}
    exec(report.counterexample, space)
    assert not np.allclose(np.asarray(space["manual"][1]), space["exact"][1])
    with pytest.raises(VerificationError, match=r"gradient\[1\]"):
        report.raise_if_failed()


def test_a_pass_says_what_it_rests_on(tmp_path: Path) -> None:
    report = gdjax.verify(RELU.cost, RELU.gradient(np), example(), shapes=SHAPES)
    assert report.raise_if_failed() is report
    assert {b.of for b in report.coverage} == {"cost", "gradient"}
    assert all(not b.missing and "tie" in b.met for b in report.coverage)
    sizes = {(i.sizes["N"], i.sizes["D"]) for i in report.inputs}
    assert {(1, 1), (3, 17), (67, 3), (128, 3), (129, 2), (1027, 3)} <= sizes
    report.to_json(tmp_path / "report.json")
    loaded = json.loads((tmp_path / "report.json").read_text())
    assert loaded["verdict"] == "pass"
    assert loaded["oracles"][1].endswith("at tolerance zero")


def test_a_branch_that_is_not_met_is_inconclusive() -> None:
    def cost(x):
        return jnp.sum(jnp.where(x * x - 2 * x + 2 < 0.5, x, x * x))

    report = gdjax.verify(cost, lambda x: (2 * x,), (np.array([1.0, 2.0]),), wrt=(0,))
    assert report.verdict == "inconclusive"
    assert any("was never true" in f.message for f in report.findings)

    def impossible(x):
        return jnp.sum(jnp.where(x * x < 0, x, x * x))

    report = gdjax.verify(impossible, lambda x: (2 * x,), (np.array([1.0, 2.0]),), wrt=(0,))
    assert report.verdict == "pass", str(report)
    assert report.coverage[0].impossible == ("true",)


def test_an_unknown_primitive_is_inconclusive_and_named() -> None:
    def cost(x):
        return jnp.sum(jax.lax.bessel_i0e(x))

    report = gdjax.verify(cost, lambda x: (np.zeros_like(x),), (np.array([1.0, 2.0]),), wrt=(0,))
    assert report.verdict in ("inconclusive", "fail")
    assert any("bessel_i0e" in f.message for f in report.findings)


def test_a_black_box_is_judged_by_taylor() -> None:
    def cost(x):
        return sum(v**2 for v in np.asarray(x).tolist())

    assert gdjax.verify(cost, lambda x: (2 * x,), (np.array([1.0, 2.0]),), wrt=(0,)).verdict == "inconclusive"
    report = gdjax.verify(cost, lambda x: (2 * x + np.array([0, 0.1]),), (np.array([1.0, 2.0]),), wrt=(0,))
    assert report.verdict == "fail"
    assert report.component == "gradient[0][1] (d cost / d x[1])"
    compile(report.counterexample, "", "exec")


def test_a_slow_machine_tries_the_same_inputs() -> None:
    """Work is counted, not timed: a gradient that takes its time is judged on as much, and no more."""
    right = RELU.gradient(np)

    def slow(*args):
        time.sleep(0.005)
        return right(*args)

    quick, late = (gdjax.verify(RELU.cost, g, example(), shapes=SHAPES, seconds=0.3) for g in (right, slow))
    assert any("seconds= allows more" in f.message for f in quick.findings)
    assert [(i.label, i.sizes, i.outcome) for i in late.inputs] == [(i.label, i.sizes, i.outcome) for i in quick.inputs]
    assert late.verdict == quick.verdict


def test_large_inputs_of_a_loop_are_left_out_where_they_take_too_long() -> None:
    """A loop over scalars does much work on few numbers; smaller inputs foretell it, and the report says so."""
    args = (0.125, -0.25, np.arange(6.0) / 4 - 0.5)
    check = prepared(local_level, jax.jit(jax.grad(local_level, (0, 1))), args, shapes=("", "", "T"), seconds=0.5)
    report = run(check)
    assert report.verdict == "pass", str(report)
    # one input may take more than was foretold of it
    assert check.work.done < 4 * check.seconds
    assert max(i.sizes["T"] for i in report.inputs) < 1027
    assert any("seconds= allows more" in f.message for f in report.findings)


@pytest.mark.parametrize("gradient", [RELU.gradient(np), wrong])
def test_inputs_that_wait_change_nothing(gradient) -> None:
    """A gradient that is still being compiled for some shapes is judged as one that never was."""
    waits = {(128, 3), (2, 2), (129, 2), (8, 3)}
    order = []

    def noted(*args):
        order.append(args[2].shape)
        return gradient(*args)

    def report(ready):
        order.clear()
        check = prepared(RELU.cost, noted, example(), shapes=SHAPES)
        check.ready = ready
        return run(check), list(order)

    asked = []
    (plain, first), (late, second) = (
        report(lambda case: True),
        report(lambda case: asked.append(case) or len(asked) > 200 or np.shape(case.args[2]) not in waits),
    )
    assert first != second
    assert replace(late, seconds=0.0) == replace(plain, seconds=0.0)


def test_a_hang_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    from gdjax.verification import check

    monkeypatch.setattr(check, "_GRACE", 0.5)

    def sleeps(*args):
        time.sleep(0.1)
        return RELU.gradient(np)(*args)

    report = gdjax.verify(RELU.cost, sleeps, example(), shapes=SHAPES, seconds=0.01)
    assert report.verdict == "inconclusive"
    assert "still it was not done" in report.findings[-1].message


def test_a_branch_of_the_gradient_alone_is_driven_to() -> None:
    def gradient(x):
        return (jnp.where(jnp.abs(x) > 12345.0, 0.0, 2 * x),)

    report = gdjax.verify(lambda x: jnp.sum(x * x), jax.jit(gradient), (np.array([1.0, 2.0]),), wrt=(0,))
    assert report.verdict == "fail"


def test_kink_conventions() -> None:
    def cost(x):
        return jnp.sum(jnp.maximum(x, 0))

    args = (np.array([1.0, -2.0]),)
    for kinks, at_zero, verdict in (
        ("zero", 0.0, "pass"),
        ("zero", 0.5, "fail"),
        ("jax", 0.5, "pass"),
        ("jax", 0.0, "fail"),
        ("subgradient", 1.0, "pass"),
        ("subgradient", 1.5, "fail"),
    ):
        report = gdjax.verify(
            cost, lambda x, v=at_zero: (np.heaviside(x, v),), args, wrt=(0,), shapes=("D",), kinks=kinks, seconds=0.5
        )
        assert report.verdict == verdict, (kinks, at_zero, str(report))


def test_domains_are_kept() -> None:
    seen = []

    def cost(p, y):
        return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

    def gradient(p, y):
        seen.append((np.array(p), np.array(y)))
        return ((p - y) / (p * (1 - p)) / len(y),)

    args = (np.array([0.25, 0.5, 0.75]), np.array([0.0, 1.0, 1.0]))
    report = gdjax.verify(cost, gradient, args, wrt=(0,), shapes=("N", "N"), domain={0: (0.0, 1.0)})
    assert report.verdict == "pass", str(report)
    concrete = [(p, y) for p, y in seen if type(p) is type(y) is np.ndarray]
    assert all(((p > 0) & (p < 1)).all() for p, _ in concrete)
    assert all(np.isin(y, (0.0, 1.0)).all() for _, y in concrete if np.isfinite(y).all())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float16"}, "dtype"),
        ({"kinks": "left"}, "kinks"),
        ({"shapes": ("D",)}, "shapes"),
        ({"shapes": ("D", "", "N E", "D")}, "is 3 and 20"),
        ({"wrt": (9,)}, "wrt"),
        ({"domain": {0: "large"}}, "domain"),
    ],
)
def test_bad_use_is_named(change: dict, message: str) -> None:
    options = {"shapes": SHAPES, **change}
    with pytest.raises(UsageError, match=message):
        gdjax.verify(RELU.cost, wrong, example(), **options)


def test_a_gradient_that_overflows_is_told_so() -> None:
    """Though the exact one has more digits than Python spells."""

    def cost(z, y):
        z = z - z.max(1, keepdims=True)
        return -np.mean((z - np.log(np.exp(z).sum(1, keepdims=True)))[np.arange(len(y)), y])

    def gradient(z, y):
        e = np.exp(np.asarray(z))
        return ((e / e.sum(1, keepdims=True) - np.eye(3)[y]) / len(y),)

    z = np.array([[0.5, -1.0, 0.25], [1.5, 0.0, -0.5]])
    report = gdjax.verify(cost, gradient, (z, np.array([0, 2])), wrt=(0,), shapes=("N 3", "N"))
    assert report.verdict == "fail"
    assert "overflows or divides by zero where the exact one is finite" in str(report)


@pytest.mark.parametrize("kinks", ["zero", "subgradient"])
def test_a_mask_of_huge_logits_is_judged_and_told(kinks: str) -> None:
    """The exact gradient has entries such as exp(-1e308): a report once tried to spell them."""

    def cost(x):
        return jnp.sum(x * jnp.exp(jnp.where(jnp.arange(x.shape[0]) > 0, -1e308, x)))

    def judged(factor: float) -> gdjax.Report:
        def gradient(x):
            return (jnp.where(jnp.arange(x.shape[0]) > 0, 0.0, factor * (1 + x) * jnp.exp(x)),)

        return gdjax.verify(cost, gradient, (np.array([0.5, -1.0, 0.25]),), wrt=(0,), kinks=kinks, seconds=1.0)

    assert judged(1.0).verdict == "pass"
    report = judged(2.0)
    assert (report.verdict, report.component) == ("fail", "gradient[0][0] (d cost / d x[0])"), str(report)
    assert [c.nearest for c in report.components[1:]] == [0.0, 0.0]


def test_attention_under_a_mask_is_no_hang() -> None:
    """JAX computes its logits in float32 even of float64, so that its own gradient is right to float32 at best."""

    def cost(q, k, v):
        return jnp.sum(jax.nn.dot_product_attention(q, k, v, is_causal=True) ** 2)

    args = tuple(np.random.default_rng(0).normal(size=(3, 1, 3, 1, 1)))
    slope = jax.jit(jax.grad(cost, (0, 1, 2)))
    for factor, verdict in ((1.0, "pass"), (1.5, "fail")):

        def gradient(q, k, v, factor=factor):
            return tuple(factor * g for g in slope(q, k, v))

        report = gdjax.verify(cost, gradient, args, wrt=(0, 1, 2), seconds=0.6)
        assert report.verdict == verdict, str(report)


@pytest.mark.parametrize("xp", [np, jnp])
def test_a_dict_is_read_by_the_names_of_the_arguments(xp: Any) -> None:
    """Whatever its order, which is not that of its sorted keys; other keys are told."""

    def cost(w, b, x):
        return xp.sum((w * x + 2 * b) ** 2)

    def gradient(name, w, b, x):
        r = w * x + 2 * b
        return {name: 4 * r, "w": 2 * r * x}

    args = tuple(np.array([1.5, -0.25, 2.0]) + i for i in range(3))
    verdicts = [
        gdjax.verify(cost, lambda *a, name=name: gradient(name, *a), args, shapes=("D", "D", "D"), seconds=0.5)
        for name in ("b", "bias")
    ]
    assert verdicts[0].verdict == "pass", str(verdicts[0])
    assert verdicts[1].verdict == "fail"
    assert "a dict of 'bias', 'w': give a tuple, or the names" in str(verdicts[1])


def test_custom_rules() -> None:
    @jax.custom_vjp
    def gate(z):
        return jnp.maximum(z, 0) ** 2

    gate.defvjp(lambda z: (gate(z), z), lambda z, g: (2 * g * jnp.maximum(z, 0),))
    assert gdjax.verify_vjp(gate, (np.array([1.0, -2.0, 0.5]),), shapes=("N",)).verdict == "pass"

    @jax.custom_vjp
    def bad(z):
        return jnp.maximum(z, 0) ** 2

    bad.defvjp(lambda z: (bad(z), z), lambda z, g: (2 * g * z,))
    assert gdjax.verify_vjp(bad, (np.array([1.0, -2.0, 0.5]),), shapes=("N",)).verdict == "fail"

    @jax.custom_jvp
    def soft(z):
        return jnp.log1p(jnp.exp(z))

    soft.defjvp(lambda primals, tangents: (soft(*primals), tangents[0] * jax.nn.sigmoid(primals[0])))
    assert gdjax.verify_vjp(soft, (np.array([1.0, -2.0, 0.5]),), shapes=("N",)).verdict == "pass"


@pytest.mark.parametrize(("seven", "verdict"), [(1, "pass"), (7, "fail")])
def test_every_array_of_a_nest_is_looked_at(seven: int, verdict: str) -> None:
    @jax.custom_vjp
    def layer(p, x):
        return jnp.tanh(x @ p["w"] + p["b"])

    def forward(p, x):
        return layer(p, x), (p, x)

    def backward(kept, g):
        p, x = kept
        d = g * (1 - layer(p, x) ** 2)
        return {"w": seven * x.T @ d, "b": d.sum(0)}, d @ p["w"].T

    layer.defvjp(forward, backward)
    rng = np.random.default_rng(3)
    args = ({"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}, rng.normal(size=(4, 3)))
    for shapes in (None, ({"w": "D K", "b": "K"}, "N D")):
        report = gdjax.verify_vjp(layer, args, shapes=shapes, seconds=0.5)
        assert report.verdict == verdict, str(report)
    assert gdjax.verify_vjp(layer, args, wrt=(1,), seconds=0.5).verdict == "pass"
    with pytest.raises(UsageError, match="give a nest like the argument"):
        gdjax.verify_vjp(layer, args, shapes=("D K", "N D"))


def test_a_forward_pass_of_another_value_is_told() -> None:
    @jax.custom_vjp
    def total(x):
        return jnp.sum(jnp.exp(x))

    total.defvjp(lambda x: (2 * jnp.sum(jnp.exp(x)), x), lambda x, g: (g * jnp.exp(x),))
    report = gdjax.verify_vjp(total, (np.zeros(2),), seconds=0.5)
    assert report.verdict == "fail"
    assert "the rule's forward pass gives 4 where the function gives 2" in str(report)


def test_a_rule_whose_function_raises_at_a_size_is_told() -> None:
    @jax.custom_vjp
    def squares(w: Any, x: Any) -> Any:
        if len(x) == 1:
            raise ValueError("two rows at least")
        return jnp.sum((x @ w) ** 2)

    def back(kept: Any, cotangent: Any) -> Any:
        w, x = kept
        z = 2 * cotangent * (x @ w)
        return x.T @ z, jnp.outer(z, w)

    squares.defvjp(lambda w, x: (squares(w, x), (w, x)), back)
    report = gdjax.verify_vjp(squares, (np.ones(3), np.ones((4, 3))), shapes=("D", "N D"))
    assert "ValueError: two rows at least" in str(report)


def test_sizes_of_what_is_fixed_are_fixed() -> None:
    """A mask of minus infinities keeps the example's shape: what shares its axes does too, and the report says so."""

    def cost(S, M):
        return jnp.sum(jax.nn.softmax(S + M, axis=1)[:, 0] ** 2)

    mask = np.where(np.tri(4) > 0, 0.0, -np.inf)
    S = np.random.default_rng(5).normal(size=(4, 4))
    report = gdjax.verify(cost, jax.grad(cost, (0,)), (S, mask), wrt=(0,), shapes=("T T", "T T"), seconds=1.0)
    assert report.verdict == "pass", str(report)
    assert any("M is as in the example, and so is the size of T" in f.message for f in report.findings)


@pytest.mark.parametrize("xp", [np, jnp])
@pytest.mark.parametrize(("twice", "verdict"), [(True, "pass"), (False, "fail")])
def test_an_index_stays_within_the_axis_it_points_into(xp: Any, twice: bool, verdict: str) -> None:
    """However short that axis is made; rows that are met twice are still met twice."""

    def cost(w, i, x):
        return xp.sum((xp.exp(w)[i] * x) ** 2)

    def gradient(w, i, x):
        g = np.zeros_like(w)
        part = 2 * (np.exp(w)[i] * x) ** 2
        if twice:
            np.add.at(g, i, part)
        else:
            g[i] += part
        return (g,)

    rng = np.random.default_rng(7)
    args = (rng.normal(size=4), np.array([0, 3, 3, 1, 2]), rng.normal(size=5))
    report = gdjax.verify(cost, gradient, args, wrt=(0,), shapes=("V", "N", "N"), seconds=1.0)
    assert report.verdict == verdict, str(report)
    assert not any("raised" in f.message for f in report.findings)


def test_a_cost_of_no_scalar_is_told() -> None:
    gradient = jax.grad(lambda x: jnp.sum(x * x))
    args = (np.array([1.0, 2.0]),)
    with pytest.raises(UsageError, match=r"the cost returned shape \(2,\)"):
        gdjax.verify(lambda x: x * x, gradient, args, wrt=(0,))
    with pytest.raises(UsageError, match="the cost returned 2 arrays"):
        gdjax.verify(lambda x: (jnp.sum(x * x), x), gradient, args, wrt=(0,))


def test_a_tuple_of_arrays_is_passed_as_it_is() -> None:
    def cost(w, data):
        X, y = data
        return jnp.sum((X @ w - y) ** 2)

    rng = np.random.default_rng(6)
    data = (rng.normal(size=(5, 2)), rng.normal(size=5))
    report = gdjax.verify(cost, lambda w, d: (jax.grad(cost)(w, d),), (rng.normal(size=2), data), wrt=(0,), seconds=1.0)
    assert report.verdict == "pass", str(report)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_articles_neuron(backend_name: str, dtype: str) -> None:
    report = gdjax.verify(gdjax.Neuron(), backend=backend_name, dtype=dtype)
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("neuron", built_in(), ids=lambda n: f"{n.activation}-{n.loss}-{n.l2:g}-{n.l1:g}")
def test_every_built_in_formula(backend_name: str, neuron: gdjax.Neuron, dtype: str) -> None:
    report = gdjax.verify(neuron, backend=backend_name, dtype=dtype)
    assert report.verdict == "pass", str(report)


def test_a_users_wrong_slope_is_refused() -> None:
    from gdjax.formulas import activations

    def value(z):
        return z * (z > 0)

    bad = gdjax.Neuron(activation=activations.custom("mine", value, lambda z: 1.0 * (z >= 0), kinks=(0.0,)))
    good = gdjax.Neuron(activation=activations.custom("mine", value, lambda z: 1.0 * (z > 0), kinks=(0.0,)))
    assert verify_formula(good).verdict == "pass", str(verify_formula(good))
    assert verify_formula(bad).verdict == "fail"
    X, y = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0])
    with pytest.raises(VerificationError):
        gdjax.fit(bad, X, y, backend="numpy", steps=5)
    gdjax.fit(bad, X, y, backend="numpy", steps=5, verify=False)


MODULE = """
import numpy as np

def cost(w, b, X, y):
    return np.mean((y - np.maximum(0, X @ w + b)) ** 2)

def gradient(w, b, X, y):
    z = X @ w + b
    e = np.where(z > 0, z - y, 0)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()

def open_at_zero(w, b, X, y):
    z = X @ w + b
    e = np.where(z >= 0, z - y, 0)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()

def hangs(*args):
    while True:
        pass

def example():
    print("{\\"verdict\\": \\"pass\\"}")
    rng = np.random.default_rng(0)
    return rng.normal(size=2), 0.5, rng.normal(size=(8, 2)), rng.normal(size=8)
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MODULE)
    return tmp_path


def command(module: Path, gradient: str, *options: str) -> subprocess.CompletedProcess[str]:
    names = ["mine:cost", f"mine:{gradient}", "--args", "mine:example", "--app-dir", str(module)]
    program = "from gdjax.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "verify", *names, "--shapes", "D,,N D,N", *options],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


def test_the_command_tells_by_its_exit_code(module: Path) -> None:
    page = module / "page.html"
    done = command(module, "open_at_zero", "--json", "--html", str(page))
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["verdict"] == "fail"
    assert "in a process of its own" in done.stderr
    text = page.read_text()
    assert "<script" not in text
    assert "http://www.w3.org/2000/svg" in text
    assert text.count("http") == text.count("http://www.w3.org/2000/svg") + text.count("http-equiv")


def test_the_child_is_limited(module: Path) -> None:
    with pytest.raises(UsageError, match="took more than"):
        verified(Task("mine:cost", "mine:hangs", "mine:example", str(module)), time_limit=4)
    with pytest.raises(UsageError, match="has no 'absent'"):
        verified(Task("mine:cost", "mine:absent", "mine:example", str(module)))


def test_a_gradient_without_memory_is_not_called_wrong(module: Path) -> None:
    """What it would have given is not known; what it gives where there is memory is judged all the same."""

    def hungry(gradient: Any, least: int) -> Any:
        def inner(w: Any, b: Any, X: Any, y: Any) -> Any:
            if len(y) >= least:
                np.ones(10**13)  # 72 TiB
            return gradient(w, b, X, y)

        return inner

    options = {"shapes": SHAPES, "seconds": 1.0}
    for least in (0, 3):
        report = gdjax.verify(RELU.cost, hungry(RELU.gradient(np), least), example(), **options)
        assert report.verdict == "inconclusive"
        assert "the gradient ran out of memory" in str(report)
    assert gdjax.verify(RELU.cost, hungry(wrong, 3), example(), **options).verdict == "fail"
    (module / "hungry.py").write_text("import numpy as np\ndef gradient(w, b, X, y):\n    return np.ones(10**13)\n")
    done = verified(Task("mine:cost", "hungry:gradient", "mine:example", str(module)), memory_limit=4 << 30)
    assert done.verdict == "inconclusive"
    assert "the limit on its process is 4,294,967,296 bytes of address space; raise it, by --memory-limit" in done.text


def test_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        textwrap.dedent("""
            import numpy as np

            ARGS = (np.array([1.0, 2.0]),)

            def test_right(gradcheck):
                gradcheck(lambda x: (x * x).sum(), lambda x: (2 * x,), ARGS, wrt=(0,))

            def test_wrong(gradcheck):
                gradcheck(lambda x: (x * x).sum(), lambda x: (3 * x,), ARGS, wrt=(0,))
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(tmp_path)],
        capture_output=True, text=True, timeout=110, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "first wrong component: gradient[0][" in done.stdout


BROWSER = shutil.which("chromium-headless-shell")


@pytest.mark.skipif(BROWSER is None, reason="chromium-headless-shell is not installed")
def test_the_page_opens_in_a_browser(tmp_path: Path) -> None:
    report = gdjax.verify(RELU.cost, wrong, example(), shapes=SHAPES, seconds=1.0)
    report.to_html(tmp_path / "page.html")
    log = tmp_path / "net.json"
    done = subprocess.run(
        [str(BROWSER), "--no-sandbox", "--dump-dom", f"--log-net-log={log}", f"file://{tmp_path / 'page.html'}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Verification of" in done.stdout
    assert "<circle" in done.stdout
    assert "CONSOLE" not in done.stderr
    events = json.loads(log.read_text())["events"]
    urls = {e["params"]["url"] for e in events if "url" in e.get("params", {})}
    assert all(u.startswith(("file:", "data:", "about:")) for u in urls), urls


def test_jax_in_numpy_code_has_the_width_that_is_verified() -> None:
    """Where the code is followed by itself, too; and the report of it is the same in each process."""
    widths = set()

    @jax.jit
    @jax.grad
    def inner(x):
        widths.add(x.dtype.name)
        return jnp.sum(x**3)

    report = gdjax.verify(
        lambda x: np.sum(np.power(x, 3)), lambda x: (np.asarray(inner(x)),), (np.array([0.5, -1.0, 2.0]),), wrt=(0,)
    )
    assert report.verdict == "pass", str(report)
    assert widths == {"float64"}
    assert " at 0x" not in str(report)
