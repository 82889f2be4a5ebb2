"""cost_and_gradient: one look at the cost and its hand-derived gradient."""

from typing import Any

import numpy as np

from gdjax.data.arrays import floating, real
from gdjax.data.checked import near_one, row_weights
from gdjax.discovery import DEFAULT
from gdjax.discovery import backend as find_backend
from gdjax.errors import DataError, UsageError
from gdjax.neuron import Neuron
from gdjax.params import Params
from gdjax.protocol import Backend
from gdjax.samples import Samples
from gdjax.stream import Stream


def cost_and_gradient(
    neuron: Neuron, params: Params, X: Any, y: Any, *, sample_weight: Any = None, backend: str | Backend = DEFAULT
) -> tuple[Any, Params]:
    """The cost of `neuron` at `params` and its hand-derived gradient, in raw columns.

    C = sum_i s_i loss_i / sum_i s_i + l2 sum_j w_j^2 + l1 sum_j |w_j|; dC/dw = sum_i s_i d_i x_i / sum_i s_i + 2 l2 w +
    l1 sign(w) and dC/db = sum_i s_i d_i / sum_i s_i, d_i = d loss_i / dz_i by the chain rule; sign(0) = 0.

    Args:
        params: weights (D,) and bias (), or (K, D) and (K,).
        X, y: (N, D) and (N,), or what `backend.asarray` gave, which is not copied again.
        sample_weight: (N,) finite, >= 0, not all 0.
        backend: a name, computing in float32 where X is float32 or narrower, else in float64; or an instance.

    Returns:
        cost () or (K,), and `Params` of gradients shaped as `params`, arrays of the backend.

    Raises:
        DataError: shapes that do not fit, or weights that are none.
        UsageError: `params` of another kind.

    >>> cost, gradient = cost_and_gradient(
    ...     Neuron(), Params(np.array([1.0]), 0.0), np.array([[2.0]]), np.array([1.0]), backend="numpy"
    ... )
    >>> float(cost), gradient.weights.tolist(), float(gradient.bias)
    (1.0, [4.0], 2.0)
    """
    narrow = isinstance(getattr(X, "dtype", None), np.dtype) and floating(X.dtype) and X.dtype.itemsize <= 4
    engine = find_backend(backend, ("float32" if narrow else "float64") if isinstance(backend, str) else None)
    try:
        weights, bias = (np.asarray(part, engine.dtype) for part in params)
    except (TypeError, ValueError) as error:
        what = str(error).partition("\n")[0]
        raise UsageError(f"params: {what}: pass gdjax.Params(weights, bias) of numbers") from error
    single = weights.ndim == 1
    X, y = _put(engine, X, "X", 2), _put(engine, y, "y", 1)
    fit = X.ndim == 2 and y.shape == X.shape[:1] and weights.shape[-1:] == X.shape[1:]
    if not fit or weights.ndim not in (1, 2) or bias.shape != weights.shape[:-1]:
        raise DataError(
            f"X {tuple(X.shape)}, y {tuple(y.shape)}, weights {weights.shape}, bias {bias.shape}: "
            "need (N, D), (N,), and (D,) and () or (K, D) and (K,)"
        )
    if not len(X):
        raise DataError("X has no row: pass at least one sample")
    theta = np.concatenate([np.atleast_2d(weights), np.atleast_1d(bias)[:, None]], axis=1)
    weight = np.ones(len(X)) if sample_weight is None else near_one(row_weights(sample_weight, len(X)))
    samples = Samples(X, y, engine.asarray(weight[None]), engine.asarray(weight.sum(keepdims=True)))
    cost, gradient = engine.cost_and_gradient(neuron.formula, engine.asarray(theta), samples)
    # on the host: outside its own calls a backend may know no float64
    w = theta[:, :-1]
    costs = engine.to_numpy(cost) + neuron.l2 * (w * w).sum(axis=1) + neuron.l1 * np.abs(w).sum(axis=1)
    slopes = engine.to_numpy(gradient).copy()
    slopes[:, :-1] += 2 * neuron.l2 * w + neuron.l1 * np.sign(w)
    if not neuron.bias:
        slopes[:, -1] = 0
    at = 0 if single else slice(None)
    return engine.asarray(costs[at]), Params(engine.asarray(slopes[at, :-1]), engine.asarray(slopes[at, -1]))


def _put(engine: Backend, x: Any, name: str, ndim: int) -> Any:
    """`x` on the backend, row by row, so that its layout changes no bit; integers become its dtype."""
    if isinstance(x, np.ndarray | Stream) or not hasattr(x, "dtype"):
        x = np.asarray(real(x, name, ndim), order="C")
        return engine.asarray(x if x.dtype.kind == "f" else x.astype(np.float64))
    return engine.asarray(x)
