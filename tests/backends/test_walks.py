"""However the data is walked, in blocks, ranges, threads or devices, the sums are those of the whole."""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import gdjax
from gdjax.formulas import Formula
from gdjax.machine.blas import one_blas_thread
from gdjax.neuron import Neuron
from gdjax.protocol import Backend
from gdjax.samples import Samples

RELU = Neuron("relu").formula


@pytest.fixture
def backend(backend_name: str) -> Backend:
    return gdjax.backend(backend_name, dtype="float64")


def data(backend: Backend, N: int, D: int, K: int = 1, order: str = "C") -> tuple[np.ndarray, Samples]:
    rng = np.random.default_rng([N, D, K])
    X = np.asarray(rng.normal(size=(N, D)), order=order)
    y, weight = rng.random(N), rng.random((1, N))
    theta = rng.normal(size=(K, D + 1)) / np.sqrt(D)
    return theta, Samples(*map(backend.asarray, (X, y, weight, weight.sum(axis=1))))


def evaluated(backend: Backend, formula: Formula, theta: np.ndarray, samples: Samples) -> list[np.ndarray]:
    return [backend.to_numpy(a) for a in backend.cost_and_gradient(formula, backend.asarray(theta), samples)]


def by_autodiff(theta: np.ndarray, samples: Samples) -> list[np.ndarray]:
    """Cost and gradient of a ReLU neuron under squared error, written for `jax.grad` alone."""
    import jax

    with jax.enable_x64(True):
        return [np.array(a) for a in compiled_autodiff()(theta, *map(np.asarray, samples[:3]))]


@cache
def compiled_autodiff() -> Callable[..., Any]:
    """One program a shape: a primitive at a time, each shape would compile some forty."""
    import jax

    def cost(at: jax.Array, X: jax.Array, y: jax.Array, weight: jax.Array) -> jax.Array:
        error = jax.nn.relu(X @ at[:-1] + at[-1]) - y
        return (weight[0] * error * error).sum() / weight.sum()

    return jax.jit(jax.vmap(jax.value_and_grad(cost), (0, None, None, None)))


@pytest.mark.parametrize("K", [1, 6])
@pytest.mark.parametrize(("N", "D"), [(1, 1), (5, 3), (9001, 1), (4099, 7), (5003, 33), (2, 48), (1025, 500)])
def test_odd_shapes_agree_with_autodiff(backend: Backend, N: int, D: int, K: int) -> None:
    theta, samples = data(backend, N, D, K)
    for found, wanted in zip(evaluated(backend, RELU, theta, samples), by_autodiff(theta, samples), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("weights", [1, 3])
@pytest.mark.parametrize("K", [1, 5, 70])
@pytest.mark.parametrize(("N", "D"), [(1, 1), (9001, 3), (40_007, 50)])
def test_each_neuron_has_the_y_and_the_weights_of_its_set(
    backend: Backend, N: int, D: int, K: int, weights: int
) -> None:
    theta, one = data(backend, N, D, K)
    rng = np.random.default_rng([N, weights])
    y, weight, fold = rng.random((3, N)), rng.integers(0, 4, (weights, N)) + 1.0, rng.integers(0, 3, K)
    total = np.broadcast_to(weight.sum(axis=1), 3)
    samples = Samples(one.X, *map(backend.asarray, (y, weight, total, fold.astype(np.int32))))
    found = evaluated(backend, RELU, theta, samples)
    for f in np.unique(fold):
        own = Samples(np.asarray(one.X), y[f], weight[[f % weights]], total[[f]])
        for part, wanted in zip(found, by_autodiff(theta, own), strict=True):
            np.testing.assert_allclose(part[fold == f], wanted[fold == f], rtol=1e-12, atol=1e-13)


def test_fortran_order_changes_nothing(backend: Backend) -> None:
    c, f = (evaluated(backend, RELU, *data(backend, 3001, 33, order=order)) for order in "CF")
    for left, right in zip(c, f, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-13)


@pytest.mark.parametrize(("N", "D"), [(300_007, 9), (60_007, 70)])
def test_many_ranges_add_up_exactly(backend: Backend, N: int, D: int) -> None:
    # small integers and a power of two: exact in any order, so a row lost or taken twice shows
    rng = np.random.default_rng(1)
    X, y = rng.integers(-2, 3, (N, D)).astype(float), rng.integers(0, 4, N).astype(float)
    theta = rng.integers(-2, 3, (1, D + 1)).astype(float)
    samples = Samples(*map(backend.asarray, (X, y, np.ones((1, N)), np.array([2.0**19]))))
    cost, gradient = evaluated(backend, RELU, theta, samples)
    z = (X @ theta[0, :-1] + theta[0, -1]).astype(int)
    residual = np.where(z > 0, 2 * (z - y.astype(int)), 0)
    assert cost[0] == float(Fraction(int(((np.maximum(z, 0) - y.astype(int)) ** 2).sum()), 2**19))
    wanted = [Fraction(int(v), 2**19) for v in (*(residual @ X.astype(int)), residual.sum())]
    np.testing.assert_array_equal(gradient[0], np.array([float(v) for v in wanted]))


def test_nothing_of_size_rows_by_neurons_is_stored() -> None:
    backend = gdjax.backend("numpy", dtype="float64")
    theta, samples = data(backend, 60_000, 4, K=256)
    tracemalloc.start()
    evaluated(backend, RELU, theta, samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000 * 256 * 8 / 4


@pytest.mark.parametrize(("N", "D"), [(100_003, 64), (16_000, 100)])
def test_one_neuron_on_jax_copies_no_block(N: int, D: int) -> None:
    jax = pytest.importorskip("jax")
    from gdjax_jax.lone import BY_ALL_CORES
    from gdjax_jax.sums import evaluator

    backend = gdjax.backend("jax", dtype="float32", device="cpu")
    theta, samples = data(backend, N, D)
    with jax.enable_x64(False):
        step = jax.jit(lambda theta, samples: evaluator(RELU, theta, samples)(theta))
        program = step.lower(backend.asarray(theta), samples).compile()
    # of the rows after the last whole block, fewer than a block
    assert program.memory_analysis().temp_size_in_bytes < BY_ALL_CORES.bytes


@pytest.mark.parametrize("walk", ["BY_ALL_CORES", "BY_ONE_CORE"])
@pytest.mark.parametrize("N", [257, 70_003])
def test_one_neuron_on_jax_may_have_fewer_rows_than_a_block(N: int, walk: str) -> None:
    jax = pytest.importorskip("jax")
    from gdjax_jax import lone

    theta, samples = data(gdjax.backend("jax", dtype="float64", device="cpu"), N, 1)
    with jax.enable_x64(True):
        pointwise, at = RELU.pointwise(jax.numpy), jax.numpy.array(theta)
        sums = lone.lone_sums(pointwise, getattr(lone, walk), at, *samples[:3], None)
    for found, wanted in zip(sums, by_autodiff(theta, samples), strict=True):
        np.testing.assert_allclose(found / samples.total, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("rows", "neurons"), [(300, 2), (5000, 300), (70_000, 1)])
def test_a_gradient_on_jax_may_be_part_of_a_program_of_the_users(rows: int, neurons: int) -> None:
    jax = pytest.importorskip("jax")
    backend = gdjax.backend("jax", dtype="float64")
    theta, samples = data(backend, rows, 5, neurons)
    with jax.enable_x64(True):
        ways = {
            "all is traced": jax.jit(lambda theta, samples: backend.cost_and_gradient(RELU, theta, samples)),
            "the parameters are": lambda theta, samples: jax.jit(
                lambda at: backend.cost_and_gradient(RELU, at, samples)
            )(theta),
            "nothing is": lambda theta, samples: jax.jit(lambda: backend.cost_and_gradient(RELU, theta, samples))(),
            "autodiff goes through": lambda theta, samples: (
                backend.cost_and_gradient(RELU, theta, samples)[0],
                jax.grad(lambda at: backend.cost_and_gradient(RELU, at, samples)[0].sum())(theta),
            ),
        }
        found = {name: way(theta, samples) for name, way in ways.items()}
    for name, parts in found.items():
        for part, wanted in zip(parts, by_autodiff(theta, samples), strict=True):
            np.testing.assert_allclose(part, wanted, rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize(("N", "K"), [(300, 3), (150_000, 64)])
def test_a_slope_may_be_one_number(backend: Backend, N: int, K: int) -> None:
    linear = gdjax.activations.custom("linear", lambda z: z, lambda z: 1.0)
    excess = gdjax.losses.custom("excess", lambda p, y: p - y, lambda p, y: 1.0)
    theta, samples = data(backend, N, 5, K)
    X, y, weight, total = map(backend.to_numpy, samples[:4])
    cost, gradient = evaluated(backend, Formula(linear, excess), theta, samples)
    share = weight[0] / total
    np.testing.assert_allclose(cost, theta[:, :-1] @ (share @ X) + theta[:, -1] - share @ y, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, np.tile([*(share @ X), 1.0], (K, 1)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("N", "K"), [(200_003, 1), (50_001, 70)])
def test_threads_do_not_show(N: int, K: int, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = gdjax.backend("numpy", dtype="float32")
    theta, samples = data(backend, N, 33, K)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr("gdjax.machine.threads.cores", lambda threads=threads: threads)
        found.append(evaluated(backend, RELU, theta.astype(np.float32), samples))
    for other in found[1:]:
        for left, right in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("D", [33, 50])
def test_numba_threads_do_not_show(D: int) -> None:
    numba = pytest.importorskip("numba")
    backend = gdjax.backend("numba", dtype="float32")
    theta, samples = data(backend, 200_003, D)
    whole = numba.get_num_threads()
    both = evaluated(backend, RELU, theta, samples)
    numba.set_num_threads(1)
    try:
        alone = evaluated(backend, RELU, theta, samples)
    finally:
        numba.set_num_threads(whole)
    for left, right in zip(both, alone, strict=True):
        np.testing.assert_array_equal(left, right)


def test_concurrent_calls_agree_and_blas_is_given_back(backend: Backend) -> None:
    theta, samples = data(backend, 80_001, 33, 2)
    before = blas_threads()
    wanted = evaluated(backend, RELU, theta, samples)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: evaluated(backend, RELU, theta, samples), range(12)):
            for left, right in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(left, right)
    assert blas_threads() == before


def blas_threads() -> list[int]:
    """What NumPy's BLAS is set to."""
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return [library["num_threads"] for library in found if "numpy" in library["filepath"]]


def test_blas_limits_nest() -> None:
    before = blas_threads()
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == [1]
        assert blas_threads() == [1]
    assert blas_threads() == before


def test_blas_limits_hold_whoever_comes_and_leaves_first() -> None:
    before = blas_threads()
    with threadpool_limits(2, "blas"), ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        ours, theirs = one_blas_thread(), one_blas_thread()
        one.submit(ours.__enter__).result()
        assert blas_threads() == [1]
        two.submit(theirs.__enter__).result()
        one.submit(ours.__exit__, None, None, None).result()
        assert blas_threads() == [1]
        two.submit(theirs.__exit__, None, None, None).result()
        assert blas_threads() == [2]
    assert blas_threads() == before


DEVICES = """
import jax, numpy as np
from gdjax.neuron import Neuron
from gdjax.samples import Samples
from gdjax_jax import JaxBackend
rng = np.random.default_rng(0)
X, y, weight = rng.normal(size=(200_000, 9)), rng.random(200_000), rng.random((1, 200_000))
theta = rng.normal(size=(3, 10))
found = []
for backend in (JaxBackend(), JaxBackend(device="cpu:0")):
    samples = Samples(*map(backend.asarray, (X, y, weight, weight.sum(axis=1))))
    found.append(backend.cost_and_gradient(Neuron("relu").formula, backend.asarray(theta), samples))
    print(len(samples.X.sharding.device_set), end=" ")
for a, b in zip(*found):
    np.testing.assert_allclose(a, b, rtol=1e-12)
sets = (rng.random((3, 200_000)), weight, np.full(3, weight.sum()), np.array([2, 0, 1]))
found = []
for backend in (JaxBackend(), JaxBackend(device="cpu:0")):
    samples = Samples(*map(backend.asarray, (X, *sets)))
    found.append(backend.cost_and_gradient(Neuron("relu").formula, backend.asarray(theta), samples))
for a, b in zip(*found):
    np.testing.assert_allclose(a, b, rtol=1e-12)
# 600,001 rows stay on one device, and two targets of them come back to it
y, weight = rng.random((2, 600_001)), np.ones((1, 600_001))
samples = Samples(*map(JaxBackend().asarray, (y.T[:, :1].copy(), y, weight, np.full(2, 600_001.0), np.array([1, 0]))))
cost, _ = JaxBackend().cost_and_gradient(Neuron("identity").formula, np.array([[1.0, 0], [1, 0]]), samples)
np.testing.assert_allclose(cost, [np.mean((y[0] - y[1]) ** 2), 0], rtol=1e-12)
print(len(samples.y.sharding.device_set), len(cost.sharding.device_set), "agree")
"""


def test_rows_on_two_devices_give_the_gradient_of_one() -> None:
    pytest.importorskip("jax")
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", DEVICES], env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.stdout.strip() == "2 1 2 1 agree", done.stderr[-2000:]


@pytest.mark.parametrize(("kind", "bits"), [("bfloat16", 8), ("float16", 11)])
def test_narrow_data_costs_its_rounding_and_no_more(kind: str, bits: int) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    from gdjax_jax import JaxBackend

    narrow = JaxBackend("float32", narrow=True)
    theta, wide = data(gdjax.backend("numpy", dtype="float64"), 4001, 16)
    X = wide.X.astype(getattr(ml_dtypes, kind, kind))
    samples = Samples(narrow.asarray(X), *map(narrow.asarray, wide[1:4]))
    assert samples.X.dtype == X.dtype
    found = evaluated(narrow, RELU, theta, samples)[1]
    rounded = by_autodiff(theta, wide._replace(X=X.astype(np.float64)))[1]
    exact = by_autodiff(theta, wide)[1]
    np.testing.assert_allclose(found, rounded, rtol=2e-5, atol=1e-6)
    scale = np.abs(exact).max()
    assert 0 < np.abs(rounded - exact).max() <= 4 * 2.0**-bits * scale


@pytest.mark.parametrize("way", ["folded", "raw", "groups"])
@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_a_fit_keeps_narrow_data(kind: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    from gdjax_jax import JaxBackend

    seen = set()

    class Watched(JaxBackend):
        def descend(self, formula: Any, rule: Any, samples: Samples, *rest: Any) -> Any:
            seen.add(str(samples.X.dtype))
            return super().descend(formula, rule, samples, *rest)

    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)).astype(getattr(ml_dtypes, kind, kind))
    wide = X.astype(np.float32)
    y = np.maximum(wide @ np.float32([1, 2, -1]), 0)
    options: dict[str, Any] = {"groups": np.arange(300) // 100} if way == "groups" else {}
    if way == "folded":
        monkeypatch.setattr("gdjax.engine.slab.COPY_BYTES", 0)
    else:
        options["standardize"] = False
    run = gdjax.fit(gdjax.Neuron(), X, y, backend=Watched("float32", narrow=True), **options)
    assert seen == {kind}
    other = gdjax.fit(gdjax.Neuron(), wide, y, backend=JaxBackend("float32"), **options)
    assert run.counts() == other.counts() == {"converged": run.models}
    np.testing.assert_allclose(run.weights, other.weights, rtol=2e-4)  # each is within 1e-4 of the optimum


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_narrow_data_is_float32_s_numbers(kind: str, backend_name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).astype(getattr(ml_dtypes, kind, kind))
    y = rng.random(60).astype(X.dtype)
    runs = [
        gdjax.fit(gdjax.Neuron(), *(a.astype(dtype) for a in (X, y)), standardize=False, backend=backend_name)
        for dtype in (X.dtype, np.float32)
    ]
    assert runs[0].dtype == "float32"
    np.testing.assert_array_equal(runs[0].weights, runs[1].weights)
    np.testing.assert_array_equal(runs[0].predict(X), runs[1].predict(X.astype(np.float32)))
