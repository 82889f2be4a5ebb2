"""Methods, schedules, batches, validation and statuses, against plain Python, optax and closed forms."""

import numpy as np
import pytest

import gdjax
from gdjax import Neuron, Params, schedules
from gdjax.data.batches import batch_indices
from gdjax.engine.slab import Slab
from gdjax.errors import UsageError


def data(rows=200, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    return X, np.maximum(0, X @ np.arange(1.0, columns + 1) + 0.5) + 0.1 * rng.random(rows)


def straight(X, y, params, steps, update):
    """Steps of any update on equations 23 and 32, in plain NumPy."""
    w, b = params
    for t in range(steps):
        z = X @ w + b
        e = np.where(z > 0, z - y, 0.0)
        w, b = update(t, w, b, 2 / len(y) * (e @ X), 2 / len(y) * e.sum())
    return w, b


START = Params(np.array([0.3, -0.2, 0.1]), 0.2)
RAW = {"standardize": False, "tolerance": 0, "init": START}


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        (0.1, lambda t: 0.1),
        (schedules.step(0.2, every=10, decay=0.5), lambda t: 0.2 * 0.5 ** (t // 10)),
        (schedules.inverse(0.2, half=20), lambda t: 0.2 / (1 + t / 20)),
        (schedules.cosine(0.2, steps=150), lambda t: 0.1 * (1 + np.cos(np.pi * t / 150))),
    ],
)
def test_plain_descent_under_each_schedule(backend_name, schedule, rate):
    X, y = data()
    run = gdjax.fit(Neuron(), X, y, method="plain", learning_rate=schedule, steps=150, backend=backend_name, **RAW)
    w, b = straight(X, y, START, 150, lambda t, w, b, gw, gb: (w - rate(t) * gw, b - rate(t) * gb))
    np.testing.assert_allclose(run.weights, w, rtol=1e-12)
    assert run.bias == pytest.approx(b, rel=1e-12)
    assert run.steps == len(run.history) == 150


@pytest.mark.parametrize("method", ["plain", "momentum", "adam"])
def test_methods_are_those_of_optax_over_a_thousand_steps(backend_name, method):
    import jax
    import optax

    X, y = data()
    rate = 1e-4  # so small that none is at the optimum after all steps: there all methods agree
    theirs = {
        "plain": optax.sgd(rate),
        "momentum": optax.sgd(rate, momentum=0.9),
        "adam": optax.adam(rate),
    }[method]
    with jax.enable_x64(True):
        params = jax.tree.map(jax.numpy.asarray, tuple(START))
        state = theirs.init(params)

        def cost(at):
            return ((jax.nn.relu(X @ at[0] + at[1]) - y) ** 2).mean()

        @jax.jit
        def step(carry, _):
            at, now = carry
            updates, now = theirs.update(jax.grad(cost)(at), now, at)
            return (optax.apply_updates(at, updates), now), None

        (w, b), _ = jax.lax.scan(step, (params, state), length=1_000)[0]
    run = gdjax.fit(Neuron(), X, y, method=method, learning_rate=rate, steps=1_000, backend=backend_name, **RAW)
    np.testing.assert_allclose(run.weights, w, rtol=1e-9)
    assert run.bias == pytest.approx(float(b), rel=1e-9)


def test_each_epoch_sees_each_row_once():
    index = batch_indices(np.array([10, 7]), np.array([3, 3]), 4, 0, 6)
    assert index.shape == (6, 2, 4)
    for neuron, (length, an_epoch) in enumerate([(10, 3), (7, 2)]):
        for epoch in range(6 // an_epoch):
            rows = index[epoch * an_epoch : (epoch + 1) * an_epoch, neuron].ravel()
            assert sorted(rows[rows >= 0]) == list(range(length))
    assert (batch_indices(np.array([10, 7]), np.array([3, 3]), 4, 4, 2) == index[4:]).all()
    assert not (index[:3, 0] == batch_indices(np.array([10]), np.array([4]), 4, 0, 3)[:, 0]).all()


def test_a_mini_batch_step_is_the_update_on_its_rows(backend_name):
    X, y = data(rows=50)
    run = gdjax.fit(
        Neuron(), X, y, method="plain", learning_rate=0.05, steps=7, batch_size=16, seed=5, backend=backend_name, **RAW
    )
    w, b = START
    for rows in batch_indices(np.array([50]), np.array([5]), 16, 0, 7)[:, 0]:
        rows = rows[rows >= 0]
        w, b = straight(X[rows], y[rows], (w, b), 1, lambda t, w, b, gw, gb: (w - 0.05 * gw, b - 0.05 * gb))
    np.testing.assert_allclose(run.weights, w, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("method", ["nesterov", "adam"])
def test_going_on_is_as_if_never_stopped(backend_name, method, batch_size):
    X, y = data(rows=90)
    options = {"method": method, "batch_size": batch_size, "tolerance": 0, "backend": backend_name, "seed": 2}
    part = gdjax.fit(Neuron(), X, y, steps=130, **options)
    whole = gdjax.fit(Neuron(), X, y, steps=270, **options)
    again = part.continue_(X, y, steps=270)
    assert np.array_equal(again.weights, whole.weights)
    assert again.bias == whole.bias
    assert np.array_equal(again.history, whole.history)


@pytest.mark.parametrize(
    "schedule", [schedules.constant(0.1), schedules.step(every=50), schedules.cosine(0.1, steps=300, floor=0.1)]
)
def test_a_run_from_a_file_goes_on_under_its_schedule(tmp_path, schedule):
    X, y = data(rows=90)
    options = {"learning_rate": schedule, "tolerance": 0, "backend": "numpy"}
    gdjax.fit(Neuron(), X, y, steps=130, **options).save(tmp_path / "run")
    again = gdjax.load(tmp_path / "run").continue_(X, y, steps=270)
    assert np.array_equal(again.weights, gdjax.fit(Neuron(), X, y, steps=270, **options).weights)


def test_the_best_on_the_validation_set_is_given_back(backend_name):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 30))
    y = X[:, 0] + rng.normal(size=40)
    other = rng.normal(size=(400, 30))
    target = other[:, 0] + rng.normal(size=400)
    options = {"backend": backend_name, "method": "plain", "learning_rate": 0.002, "tolerance": 0, "steps": 20_000}
    early = gdjax.fit(Neuron("identity"), X, y, validation=(other, target), patience=5, **options)
    late = gdjax.fit(Neuron("identity"), X, y, **options)
    assert early.steps < late.steps
    assert early.reason.startswith(f"stopped at step {early.steps}: no better validation cost in 5 looks")

    def mse(run):
        return ((run.predict(other) - target) ** 2).mean()

    assert mse(early) == pytest.approx(early.validation_cost, rel=1e-12)
    assert mse(early) < mse(late)


def test_a_group_that_no_row_judges_is_trained_to_its_end(backend_name):
    """Patience ends what is looked at; without rows to look at it ended the others after its looks."""
    X, y = data(rows=120)
    groups, held = np.repeat(["a", "b"], 60), (X[:9], y[:9], np.repeat("a", 9))
    options = {"method": "plain", "learning_rate": 0.02, "backend": backend_name}
    with pytest.warns(UserWarning, match="validation: 1 of 2 groups have no row, such as 'b': nothing judges them"):
        run = gdjax.fit(Neuron("identity"), X, y, groups=groups, validation=held, patience=2, **options)
    alone = gdjax.fit(Neuron("identity"), X, y, groups=groups, **options)
    assert run.steps[0] <= alone.steps[0]
    assert (run.status[1], run.steps[1]) == (alone.status[1], alone.steps[1]) == ("converged", run.steps[1])
    assert np.array_equal(run.weights[1], alone.weights[1])
    assert np.isnan(run.validation_cost[1])
    strangers = (*held[:2], np.repeat("c", 9))
    with pytest.raises(gdjax.DataError, match="validation: no row is of a group that is trained"):
        gdjax.fit(Neuron("identity"), X, y, groups=groups, validation=strangers, **options)


def test_divergence_gives_back_finite_parameters_and_the_largest_stable_step(backend_name, root):
    table = np.loadtxt(root / "tests" / "data" / "norris.csv", delimiter=",", skiprows=1)
    X, y = table[:, 1:], table[:, 0]
    # 2 / L of the raw columns, L twice the largest eigenvalue of the Gram matrix
    augmented = np.c_[X, np.ones(len(X))]
    stable = 1 / np.linalg.eigvalsh(augmented.T @ augmented / len(X))[-1]
    assert stable == pytest.approx(3.4e-6, rel=0.05)
    options = {"method": "plain", "standardize": False, "backend": backend_name, "steps": 5_000}
    run = gdjax.fit(Neuron("identity"), X, y, learning_rate=1.05 * stable, **options)
    assert run.status == "diverged"
    assert f"the largest stable learning_rate is {stable:.4g}" in run.reason
    assert np.isfinite(run.weights).all()
    assert np.isfinite(run.bias)
    below = gdjax.fit(Neuron("identity"), X, y, learning_rate=0.95 * stable, **options)
    assert below.status == "max_steps"
    assert below.cost < run.cost


def test_a_start_far_above_is_no_divergence(backend_name):
    """A penalty or an `init` may put the first cost a million times over that of no model: the descent goes down."""
    X, y = data()
    options = {"backend": backend_name, "steps": 300}
    far = gdjax.fit(Neuron("identity"), X, y, init=Params(np.full(3, 1e6), 0.0), **options)
    solved = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y, rcond=None)[0]
    assert far.status == "converged"
    np.testing.assert_allclose([*far.weights, far.bias], solved, rtol=1e-8)
    sparse = gdjax.fit(Neuron("identity", l1=1e12), X, y, init=Params(np.ones(3), 0.0), **options)
    assert (sparse.status, sparse.weights.tolist()) == ("converged", [0, 0, 0])
    assert float(sparse.bias) == pytest.approx(y.mean(), rel=1e-9)
    heavy = gdjax.fit(Neuron(l2=1e10), X, y, **options)
    assert heavy.status == "max_steps"
    assert heavy.reason.startswith("not certified: condition number 1e+10 is over ")
    assert heavy.reason.endswith("lower l2, or raise tolerance")
    assert heavy.cost < 2 * y.var()


@pytest.mark.parametrize("method", ["plain", "momentum", "nesterov", "adam"])
def test_a_descent_from_far_above_that_ran_out_of_steps_is_no_divergence(backend_name, method):
    X, y = data()
    options = {"method": method, "learning_rate": 0.01, "backend": backend_name}
    start = Params(np.full(3, 1e6), 0.0)
    run = gdjax.fit(Neuron("identity"), X, y, init=start, steps=20, **options)
    assert (run.status, run.steps) == ("max_steps", 20)
    assert run.reason.startswith("not within tolerance 1e-09 after 20 steps")
    assert run.cost < ((X @ start.weights - y) ** 2).mean()
    heavy = gdjax.fit(Neuron("identity", l2=10), X, y, init=Params(np.full(3, 30.0), 0.0), steps=20, **options)
    assert heavy.status == "max_steps"


@pytest.mark.parametrize("rising", [False, True])
def test_a_rise_that_its_steps_end_before_all_bounds_is_divergence(backend_name, rising):
    X, y = data()
    rate, steps = (schedules.step(0.1, every=10, decay=20.0), 14) if rising else (2.0, 4)
    for start in (None, Params(np.full(3, 1e3), 0.0)):
        options = {"method": "plain", "learning_rate": rate, "init": start, "steps": steps, "backend": backend_name}
        run = gdjax.fit(Neuron("identity"), X, y, **options)
        assert (run.status, run.steps) == ("diverged", steps)
        assert run.reason.startswith(f"diverged at step {steps} with learning_rate ")
        assert ("lower learning_rate" in run.reason) == rising, "a rate that diverged is not said to be stable"


def test_a_rise_that_comes_down_again_is_no_divergence(backend_name):
    """Adam's steps are bounded by its rate: it swings, and arrives. Nor is a rise of exp's divergence by itself."""
    X, y = data()
    options = {"method": "adam", "learning_rate": 10.0, "backend": backend_name}
    part = gdjax.fit(Neuron("identity"), X, y, steps=5, **options)
    assert part.status == "max_steps"
    assert part.history[-1] > 2 * part.history.min()
    assert part.reason.startswith("at a cost of ")
    assert part.reason.endswith("lower learning_rate, or raise steps; the best parameters are given back")
    assert part.cost == pytest.approx(part.history.min(), rel=1e-12)
    whole = gdjax.fit(Neuron("identity"), X, y, steps=3_000, **options)
    assert whole.status == "converged"
    solved = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y, rcond=None)[0]
    np.testing.assert_allclose([*whole.weights, whole.bias], solved, rtol=1e-8)
    neuron, fast = Neuron("exp"), {**options, "method": "plain", "learning_rate": 3.0}
    assert gdjax.fit(neuron, X, np.exp(y / 4), steps=50, **fast).status == "diverged", "it has left all bounds"


@pytest.mark.parametrize("method", ["plain", "momentum"])
def test_no_rate_is_called_stable_where_the_curvature_has_no_bound(backend_name, method):
    """That of exp grows with its prediction: 0.01 diverges from one start and is slow from another."""
    X, y = data()
    options = {"method": method, "steps": 20, "backend": backend_name}
    counts, neuron = np.floor(np.maximum(y, 0)), Neuron("exp", "poisson")
    far = gdjax.fit(neuron, X, counts, init=Params(np.full(3, 5.0), 0.0), learning_rate=0.01, **options)
    assert far.status == "diverged"
    slow = gdjax.fit(neuron, X, counts, learning_rate=1e-4, **options)
    assert slow.status == "max_steps"
    # of a batch the curvature may be higher than of all rows
    small = gdjax.fit(Neuron("identity"), X, y, learning_rate=0.9, batch_size=1, **{**options, "steps": 2000})
    assert small.status == "diverged"
    for run in (far, slow, small):
        assert "stable" not in run.reason


def test_a_need_of_fewer_steps_than_were_taken_is_not_told(backend_name):
    X, y = data()
    options = {"method": "plain", "learning_rate": 0.1, "backend": backend_name}  # of a condition number near 1
    run = gdjax.fit(Neuron("identity"), X, y, steps=40, **options)
    assert run.status == "max_steps"
    assert run.reason.startswith("not within tolerance 1e-09 after 40 steps (within ")
    assert run.reason.endswith("): raise steps")
    few = gdjax.fit(Neuron("identity"), X, y, steps=5, **options)
    assert "): raise steps; condition number 1" in few.reason


def test_columns_of_other_scales_are_to_be_standardised_and_alike_ones_dropped(backend_name):
    X, y = data()
    scaled, alike = X * [1, 1e4, 1e-3] + [0, 1e4, 0], np.c_[X, X[:, 0] + 1e-5 * X[:, 1] ** 2]
    for neuron in (Neuron("identity"), Neuron(), Neuron("identity", "huber")):
        options = {"steps": 300, "backend": backend_name}
        run = gdjax.fit(neuron, scaled, y, standardize=False, **options)
        assert "pass standardize=True, as the columns differ in scale alone" in run.reason
        assert gdjax.fit(neuron, scaled, y, **options).status == "converged", "it is the remedy"
        for standardize in (True, False):
            run = gdjax.fit(neuron, alike, y, standardize=standardize, **options)
            assert run.status == "max_steps"
            assert "drop or combine near-collinear columns, add l2" in run.reason


@pytest.mark.parametrize(
    ("neuron", "far", "factor"),
    [(Neuron("identity", "huber"), 0.0, 1e4), (Neuron("sigmoid", "log_loss"), 1e3, 1), (Neuron("tanh"), 20.0, 1)],
)
def test_where_the_curve_is_flat_more_steps_are_the_remedy(backend_name, neuron, far, factor):
    """Far from the optimum a few rows, or none, have curvature: that says nothing of the columns."""
    X, y = data()
    y = {"identity": y * factor, "sigmoid": (X[:, 0] + 0.5 * X[:, 1] * y > 1) * 1.0, "tanh": np.tanh(y)}[
        neuron.formula.activation.name
    ]
    options = {"init": Params(np.full(3, far), 0.0), "backend": backend_name}
    run = gdjax.fit(neuron, X, y, steps=20, **options)
    assert run.status == "max_steps"
    assert run.reason.startswith("not within tolerance 1e-09 after 20 steps: raise steps")
    if far:
        assert gdjax.fit(neuron, X, y, steps=20_000, **options).status == "converged", "it is the remedy"


@pytest.mark.parametrize("rate", [1e-300, 1e-5, schedules.step(1e-4, every=100, decay=0.01)])
def test_a_rate_far_too_low_is_not_called_a_kink(backend_name, rate):
    X, y = data()
    run = gdjax.fit(Neuron(), X, y - 1, method="plain", learning_rate=rate, steps=1000, backend=backend_name)
    assert (run.status, run.steps) == ("max_steps", 1000)
    # 2 / L, L twice the largest eigenvalue of the Gram matrix of standardised columns and a bias
    standard = np.c_[(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))]
    stable = 1 / np.linalg.eigvalsh(standard.T @ standard / len(X))[-1]
    assert run.reason.endswith(f"raise learning_rate, of which {stable:.4g} is the largest stable")


@pytest.mark.parametrize("l2", [1e5, 1e6])
def test_a_relu_under_a_heavy_penalty_is_soon_at_ridge_regression(backend_name, l2):
    """Its steps are those of the penalty's curvature: from far away the bias did not arrive in 10,000 of them."""
    X, y = data(rows=50)
    run = gdjax.fit(Neuron(l2=l2), X, y, backend=backend_name)
    assert run.status == "converged"
    assert run.steps < 100
    standard, deviation = (X - X.mean(axis=0)) / X.std(axis=0), X.std(axis=0)
    ridge = np.linalg.solve(standard.T @ standard / 50 + l2 * np.eye(3), standard.T @ y / 50) / deviation
    np.testing.assert_allclose(run.weights, ridge, rtol=1e-8)  # y > 0, and so every gate is open
    assert run.bias == pytest.approx(y.mean() - ridge @ X.mean(axis=0), rel=1e-8)


@pytest.mark.parametrize("l1", [1e5, 1e30])
def test_a_start_that_is_the_optimum_is_certified_by_every_backend(backend_name, l1):
    """In float32 the rounding of a backend's own sum decided whether it saw it, or left and came to rest beside it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)).astype(np.float32)
    y = np.maximum(0, X @ np.array([1, 2, 3], np.float32) + np.float32(0.5))
    run = gdjax.fit(Neuron("identity", l1=l1), X, y, backend=backend_name)
    assert (run.status, run.steps, run.reason) == ("converged", 0, "")
    assert run.weights.tolist() == [0, 0, 0]
    assert run.bias == pytest.approx(y.astype(float).mean(), rel=1e-7)
    assert run.history.tolist() == [pytest.approx(y.astype(float).var(), rel=1e-6)]


def test_what_overflows_at_its_start_is_told_so(backend_name):
    X, y = data()
    narrow = [(1e20 * a).astype(np.float32) for a in (X, y)]  # whose squares are 1e40, and float32 ends at 3.4e38
    run = gdjax.fit(Neuron("identity"), narrow[0], narrow[1], backend=backend_name)
    assert run.status == "diverged"
    assert run.reason.startswith("the cost overflows float32 where it starts: rescale y, or take float64;")
    assert gdjax.fit(Neuron("identity"), *narrow, dtype="float64", backend=backend_name).status == "converged"
    given = gdjax.fit(Neuron("exp"), X, y, init=Params(np.full(3, 1e3), 0.0), backend=backend_name)
    assert given.reason == (
        "the cost overflows float64 where it starts: start nearer, by init; the starting parameters are given back"
    )


def test_a_start_that_the_dtype_cannot_hold_is_refused(backend_name):
    """In the columns that the descent sees: of small ones a weight may be large."""
    X, y = data()
    huge = Params(np.array([1e39, 0.0, 0.0]), 0.0)
    given = {"dtype": "float32", "init": huge, "backend": backend_name}
    with pytest.raises(UsageError, match=r"^init: .* beyond float32 in the .*: start nearer, or pass dtype='float64'$"):
        gdjax.fit(Neuron("identity"), X, y, **given)
    assert gdjax.fit(Neuron("identity"), X / 1e39, y, **given).status == "converged"


def test_a_group_whose_start_the_dtype_cannot_hold_stops_no_other(backend_name):
    X, y = data()
    both, which = np.concatenate([X, 1e39 * X]), np.repeat([0, 1], len(X))
    start = Params(np.ones(3), 0.0)
    given = {"groups": which, "dtype": "float32", "init": start, "backend": backend_name}
    run = gdjax.fit(Neuron("identity"), both, np.tile(y, 2), **given)
    assert run.status.tolist() == ["converged", "diverged"]
    assert run.reason[1].startswith(
        "the cost overflows float32 where it starts: start nearer, by init, or take float64;"
    )
    assert np.isfinite(run.weights).all()


def test_a_start_whose_size_overflows_is_not_certified(backend_name):
    """Its bound on the distance was infinite, and within an infinite size."""
    X, y = data()
    run = gdjax.fit(Neuron("identity"), X, y, init=Params(np.array([1e300, 0.0, 0.0]), 0.0), backend=backend_name)
    assert run.status == "diverged"
    assert run.reason.startswith("the cost overflows float64 where it starts: start nearer, by init;")
    np.testing.assert_allclose(run.weights, [1e300, 0, 0], rtol=1e-15)


def test_a_direction_small_beside_the_penalty_is_not_null(backend_name):
    """The bias moves by 1e-30 a step: it is not at the optimum, the mean, and nothing may say so."""
    X, y = data()
    for standardize in (True, False):
        run = gdjax.fit(
            Neuron("identity", l2=1e30), X, y, init=Params(np.zeros(3), 5.0), standardize=standardize, steps=200,
            backend=backend_name,
        )  # fmt: skip
        assert abs(run.bias - y.mean()) > 1
        assert run.status == "max_steps"


def test_a_dead_neuron_is_noticed(backend_name):
    X, y = data()
    run = gdjax.fit(Neuron(), X, -y - 1, backend=backend_name)
    assert (run.status, run.reason) == ("dead", "no positive y: the best ReLU is 0 everywhere")
    assert run.weights.tolist() == [0, 0, 0]
    shut = gdjax.fit(Neuron(), X, y, init=Params(np.zeros(3), -5.0), backend=backend_name)
    assert shut.status == "dead"
    assert "no gate is open" in shut.reason
    alive = gdjax.fit(Neuron(), X, y, backend=backend_name)
    assert alive.status == "converged"


def test_a_relu_start_lives_where_nearly_all_y_are_zero(backend_name):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(2_000, 4))
    y = np.maximum(0, X @ [1.0, -1.0, 0.5, 0.0] - 3.6)
    assert (y == 0).mean() > 0.98
    run = gdjax.fit(Neuron(), X, y, backend=backend_name)
    assert run.status == "converged"
    assert run.cost < 1e-12


def test_a_relu_of_constant_columns_is_the_mean(backend_name):
    run = gdjax.fit(Neuron(), np.full((4, 2), 7.0), np.array([0.0, 2.0, 3.0, 4.0]), backend=backend_name)
    assert (run.status, run.reason) == ("converged", "constant columns 'x0', 'x1': weight 0")
    assert run.bias == pytest.approx(2.25, rel=1e-12)


def test_weights_count_as_rows_do(backend_name):
    X, y = data(rows=60)
    weight = np.ones(60)
    weight[:20], weight[20:30] = 2, 0
    poisoned = X.copy()
    poisoned[20:30] = np.nan
    weighted = gdjax.fit(Neuron(), poisoned, y, sample_weight=weight, backend=backend_name)
    repeated = gdjax.fit(Neuron(), np.r_[X[:20], X[:20], X[30:]], np.r_[y[:20], y[:20], y[30:]], backend=backend_name)
    np.testing.assert_allclose(weighted.weights, repeated.weights, rtol=1e-8)
    assert weighted.cost == pytest.approx(repeated.cost, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_certificate_bounds_the_distance_to_least_squares(backend_name, dtype):
    tolerance = {"float32": 1e-4, "float64": 1e-9}[dtype]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(100, 5)) @ np.diag(10.0 ** rng.uniform(-2, 2, 5)) + 10.0 ** rng.uniform(-1, 1, 5)
        y = X @ rng.normal(size=5) + rng.normal(size=100)
        run = gdjax.fit(Neuron("identity"), X.astype(dtype), y.astype(dtype), backend=backend_name)
        X, y = X.astype(dtype).astype(float), y.astype(dtype).astype(float)
        exact = np.linalg.lstsq(np.c_[X, np.ones(100)], y, rcond=None)[0]
        scale = X.std(axis=0)
        assert run.status == "converged"
        apart = np.linalg.norm((run.weights - exact[:-1]) * scale) / np.linalg.norm(exact[:-1] * scale)
        assert apart <= 2 * tolerance


def test_float32_is_float32(backend_name):
    X, y = data()
    run = gdjax.fit(Neuron(), X.astype(np.float32), y, backend=backend_name)
    assert (run.dtype, run.status) == ("float32", "converged")
    assert gdjax.fit(Neuron(), X, y, dtype="float32", backend=backend_name).dtype == "float32"
    assert gdjax.fit(Neuron(), (9 * X).astype(int), y, backend=backend_name).dtype == "float64"


def test_without_a_bias(backend_name):
    X, y = data()
    X = X + 3
    run = gdjax.fit(Neuron("identity", bias=False), X, y, backend=backend_name)
    np.testing.assert_allclose(run.weights, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-8)
    assert run.bias == 0


def test_null_directions_are_certified_at_the_least_squares_cost(backend_name):
    rng = np.random.default_rng(6)
    one_hot = np.eye(4)[rng.integers(0, 4, 80)]
    X = np.c_[one_hot, one_hot[:, 0]]
    y = one_hot @ [1.0, 2.0, 3.0, 4.0] + 0.1 * rng.normal(size=80)
    run = gdjax.fit(Neuron("identity"), X, y, backend=backend_name)
    fitted = X @ np.linalg.lstsq(np.c_[X, np.ones(80)], y, rcond=None)[0][:-1]
    assert run.status == "converged"
    np.testing.assert_allclose(run.predict(X) - run.predict(X).mean(), fitted - fitted.mean(), atol=1e-8)


def test_absolute_error_nears_the_median(backend_name):
    y = np.array([1.0, 2.0, 3.0, 10.0, 200.0])
    run = gdjax.fit(Neuron("identity", "absolute_error"), np.zeros((5, 1)), y, backend=backend_name)
    assert run.status == "max_steps"
    assert "no curvature" in run.reason
    assert run.bias == pytest.approx(3.0, abs=0.01)


def test_a_step_and_the_reference_of_two_neurons_by_init(backend_name):
    X, y = data()
    run = gdjax.fit(
        Neuron(), np.r_[X, X], np.r_[y, y], groups=np.repeat([0, 1], len(y)), backend=backend_name, method="plain",
        learning_rate=0.1, steps=3, standardize=False, tolerance=0,
        init=Params(np.stack([START.weights, START.weights * 2]), np.array([0.2, 0.1])),
    )  # fmt: skip
    for k, start in enumerate([START, Params(START.weights * 2, 0.1)]):
        w, b = straight(X, y, start, 3, lambda t, w, b, gw, gb: (w - 0.1 * gw, b - 0.1 * gb))
        np.testing.assert_allclose(np.append(run.weights[k], run.bias[k]), np.append(w, b), rtol=1e-12)


def test_hessians_formed_one_by_one_tell_the_same(monkeypatch):
    # columns so alike that only the factor tells the curvature, each neuron's by its own penalty
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)) @ np.array([[1, 1, 0], [0, 1e-6, 0], [0, 0, 1]])
    y, given = X @ [1.0, 2.0, 3.0], {"l2": [1.0, 1e-3, 0.0], "steps": 200, "backend": "numpy"}
    bounds, bound = [], Slab.bound
    monkeypatch.setattr(Slab, "bound", lambda self: bounds.append(bound(self)) or bounds[-1])
    at_once = gdjax.sweep(Neuron("identity"), X, y, **given)
    monkeypatch.setattr("gdjax.engine.slab.MATRICES", 1)
    by_one = gdjax.sweep(Neuron("identity"), X, y, **given)
    assert at_once.condition[2] > 1e6 * at_once.condition[1]
    np.testing.assert_allclose(by_one.condition, at_once.condition, rtol=1e-6)
    np.testing.assert_allclose(bounds[1].condition, bounds[0].condition, rtol=1e-6)
