"""What the JAX backend does on an accelerator, run on CPU: its walk as it is, its kernel by Pallas' interpreter."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.formulas import Formula
from gdjax.neuron import Neuron
from gdjax.protocol import Backend, Chunk
from gdjax.rule import Knobs, Rule, initial_state
from gdjax.samples import Samples
from gdjax.verification.neurons import built_in
from gdjax_jax import backend as jax_backend
from gdjax_jax import fused, programs, sums, walks

RELU = Neuron("relu").formula


def cost_of_relu(at: jax.Array, X: jax.Array, y: jax.Array, weight: jax.Array) -> jax.Array:
    """The sum over rows, written for `jax.grad` alone."""
    error = jax.nn.relu(X @ at[:-1] + at[-1]) - y
    return (weight * error * error).sum()


def own(K: int, N: int, D: int, dtype: str) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng([K, N, D])
    X, y, weight = rng.normal(size=(K, N, D)), rng.random((K, N)), rng.random((K, N))
    return tuple(a.astype(dtype) for a in (rng.normal(size=(K, D + 1)) / np.sqrt(D), X, y, weight))


def kernel_sums(formula: Formula, *arrays: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    places = options.pop("places", np.arange(len(arrays[0]), dtype=np.int32))
    kernel = jax.jit(partial(fused.fused_sums, formula.pointwise(jnp), interpret=True, **options))
    cost, gradient = kernel(*arrays, places)
    return np.asarray(cost), np.asarray(gradient)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("K", "N", "D"), [(1, 1, 1), (1, 20_001, 33), (3, 67, 7), (700, 30, 3), (2, 1025, 100), (1, 9, 4096)]
)
def test_the_kernel_s_sums_agree_with_autodiff(K: int, N: int, D: int, dtype: str) -> None:
    with jax.enable_x64(dtype == "float64"):
        arrays = own(K, N, D, dtype)
        wanted = jax.vmap(jax.value_and_grad(cost_of_relu))(*arrays)
        for found, exact in zip(kernel_sums(RELU, *arrays), map(np.asarray, wanted), strict=True):
            np.testing.assert_allclose(found, exact, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(exact).max())


def test_the_kernel_reads_the_samples_of_the_places_it_is_told() -> None:
    theta, X, y, weight = own(5, 67, 3, "float32")
    places = np.array([4, -1, 0, 2, 2], np.int32)
    cost, gradient = kernel_sums(RELU, theta, X, y, weight, places=places)
    assert cost[1] == 0
    assert not gradient[1].any()
    for neuron in (0, 2, 3, 4):
        at = places[neuron]
        one = kernel_sums(RELU, theta[neuron, None], X[at, None], y[at, None], weight[at, None])
        np.testing.assert_allclose(cost[neuron], one[0][0], rtol=1e-6)
        np.testing.assert_allclose(gradient[neuron], one[1][0], rtol=1e-5, atol=1e-5)


def test_autodiff_goes_through_the_kernel() -> None:
    """Of the parameters, the data, and the gradient itself."""
    theta, X, y, weight = own(3, 67, 4, "float64")
    places = np.array([2, -1, 0], np.int32)

    def by_kernel(*arrays: Any) -> Any:
        cost, gradient = fused.fused_sums(RELU.pointwise(jnp), *arrays, places, interpret=True)
        return jnp.sum(cost * jnp.arange(1.0, 4)) + jnp.sum(gradient**2)

    def plainly(theta: Any, X: Any, y: Any, weight: Any) -> Any:
        total = 0.0
        for neuron, place in ((0, 2), (2, 0)):
            cost, gradient = jax.value_and_grad(cost_of_relu)(theta[neuron], X[place], y[place], weight[place])
            total += (neuron + 1) * cost + jnp.sum(gradient**2)
        return total

    with jax.enable_x64(True):
        found, wanted = (jax.grad(f, (0, 1, 2, 3))(theta, X, y, weight) for f in (by_kernel, plainly))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-9)


def test_rows_of_another_fold_may_be_infinite_under_the_kernel() -> None:
    theta, X, y, weight = own(1, 67, 3, "float32")
    X[0, 5], weight[0, 5] = 1e30, 0
    cost, gradient = kernel_sums(Neuron("exp").formula, theta, X, y, weight, folds=True)
    without = [np.delete(a, 5, axis=1) for a in (X, y, weight)]
    np.testing.assert_allclose(cost, kernel_sums(Neuron("exp").formula, theta, *without)[0], rtol=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernel_of_each_built_in_formula_lowers_for_cuda(dtype: str) -> None:
    def described(*shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    fused.unwarned()
    device = jax.sharding.AbstractDevice("NVIDIA H100 80GB HBM3", None, "gpu")  # JAX 0.11 asks which
    mesh = jax.sharding.AbstractMesh((1,), ("x",), abstract_device=device)
    with jax.enable_x64(dtype == "float64"), jax.sharding.use_abstract_mesh(mesh):
        places = jax.ShapeDtypeStruct((4,), np.int32)
        for neuron in built_in():
            kernel = jax.jit(partial(fused.fused_sums, neuron.formula.pointwise(jnp)))
            arguments = (described(4, 101), described(9, 1000, 100), described(9, 1000), described(9, 1000), places)
            text = kernel.trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()
            assert "triton" in text


def test_whether_the_kernel_compiles_is_asked_of_the_device() -> None:
    """On CPU JAX runs Pallas in its interpreter alone."""
    for device in (*jax.devices(), *jax.devices("cpu")):
        assert fused.fusable(RELU, "float32", device) == (device.platform == "gpu")


@pytest.mark.parametrize(("rows", "columns"), [(506, 13), (442, 10), (1024, 3), (178, 26), (9, 4096), (1, 1)])
def test_the_kernel_s_warps_are_a_power_of_two(rows: int, columns: int) -> None:
    """As Triton asks: a tile of 506 rows by 13 once got three."""
    shapes = ((1, columns + 1), (1, rows, columns), (1, rows), (1, rows))
    kernel = jax.jit(partial(fused.fused_sums, RELU.pointwise(jnp)))
    device = jax.sharding.AbstractDevice("NVIDIA H100 80GB HBM3", None, "gpu")
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((1,), ("x",), abstract_device=device)):
        described = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
        fused.unwarned()
        lowered = kernel.trace(*described, jax.ShapeDtypeStruct((1,), np.int32)).lower(lowering_platforms=("cuda",))
    assert set(re.findall(r"num_warps = (\d+)", lowered.as_text())) <= {"1", "2", "4"}
    assert "num_warps" in lowered.as_text()


@pytest.fixture(params=["products", "kernel"])
def accelerator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The backend, made to walk as on an accelerator, in pieces small enough that there are several."""
    walk = walks.ACCELERATOR._replace(
        block_bytes=1 << 15, tile_bytes=1 << 16, tile_neurons=16, fused=request.param == "kernel"
    )
    monkeypatch.setattr(sums, "one_block", lambda *_: False)  # of a CPU's, which the data are
    for module in (programs, jax_backend):
        monkeypatch.setattr(module, "walk_for", lambda *_: walk)
    monkeypatch.setattr(sums, "fused_sums", partial(fused.fused_sums, interpret=True))
    jax.clear_caches()
    return gdjax.backend("jax", dtype="float64")


DESCENTS: dict[str, dict[str, Any]] = {
    "nesterov": {},
    "sparse": {"neuron": Neuron("identity", l1=0.01)},
    "mini batches": {"method": "adam", "batch_size": 8, "learning_rate": 0.05, "steps": 30},
    "no whole chunk": {"steps": 137, "tolerance": 0.0},
}


def problem(layout: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3_000, 5))
    y = np.maximum(X @ np.arange(5.0), 0) + rng.random(3_000)
    return {"X": X, "y": y, "groups": np.repeat(np.arange(60), 50) if layout == "groups" else None}


@pytest.mark.parametrize("layout", ["one neuron", "groups"])
@pytest.mark.parametrize("given", DESCENTS.values(), ids=DESCENTS)
def test_its_descents_are_numpy_s(accelerator: Backend, layout: str, given: dict[str, Any]) -> None:
    options = {"neuron": Neuron("relu"), **problem(layout), **given}
    ours, wanted = (gdjax.fit(**options, backend=backend) for backend in (accelerator, "numpy"))
    assert np.array_equal(ours.status, wanted.status)
    np.testing.assert_allclose(ours.weights, wanted.weights, rtol=0, atol=1e-7)
    np.testing.assert_allclose(ours.steps, wanted.steps, atol=2)


@pytest.mark.parametrize("layout", ["one neuron", "groups"])
def test_it_takes_the_steps_of_a_chunk_and_no_more(accelerator: Backend, layout: str) -> None:
    """As where a run goes on whose steps end between two looks, with none to stop it but their number."""
    data, count = problem(layout), 60 if layout == "groups" else 1
    X, y = (data[name].reshape(count, -1, *data[name].shape[1:]) for name in ("X", "y"))
    weight, rule = np.ones_like(y), Rule("nesterov")
    arrays = (X, y, weight, weight.sum(1)) if layout == "groups" else (X[0], y[0], weight, weight.sum(1))
    each, wide = np.ones(count), np.ones((count, 6))
    limit = np.full(count, 10_000, np.int32)
    knobs = Knobs(0 * each, 0 * each, wide, np.ones(6), -each, each, 1e30 * each, limit, 0 * wide, wide)
    found, wanted = (
        backend.descend(
            RELU, rule, Samples(*map(backend.asarray, arrays)), np.arange(count),
            initial_state(np, rule, 0.1 * wide, 0.05 * each), knobs, Chunk(np.ones(7), trace=True),
        )
        for backend in (accelerator, gdjax.backend("numpy"))
    )  # fmt: skip
    for ours, numpys in zip((*found[0], found[1]), (*wanted[0], wanted[1]), strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=1e-9)


def test_its_sweeps_are_numpy_s(accelerator: Backend) -> None:
    data = problem("one neuron")
    options = {"l2": [0.0, 0.01, 0.1], "learning_rate": [0.01, 0.02, 0.05], "steps": 150}
    ours, wanted = (
        gdjax.sweep(Neuron("relu"), data["X"], data["y"], **options, backend=backend)
        for backend in (accelerator, "numpy")
    )
    np.testing.assert_allclose(ours.weights, wanted.weights, rtol=0, atol=1e-7)


def test_beside_others_a_neuron_gets_the_bits_that_it_gets_alone(accelerator: Backend) -> None:
    data = problem("groups")
    whole = gdjax.fit(Neuron("relu"), **data, backend=accelerator, steps=250)
    some = data["groups"] < 3
    few = gdjax.fit(Neuron("relu"), **{k: v[some] for k, v in data.items()}, backend=accelerator, steps=250)
    assert np.array_equal(few.weights, whole.weights[:3])
    assert np.array_equal(few.cost, whole.cost[:3])
