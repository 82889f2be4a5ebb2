"""Gradient checkers side by side on the mutation suite: bugs caught and alarms on correct gradients.

    python benchmarks/checkers.py [--checkers gdjax,jax,torch,scipy,autograd,taylor] [--dtype float64] [--part 1/3]

Each of the others gets what its documentation asks for: one random point, its own default tolerances (scipy returns an
error; sqrt(eps) relative to the gradient is allowed), the parameters as inputs and the data closed over.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "verification"))

Case = tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]


class NotApplicable(Exception):
    """The checker is not installed, or cannot be given this case."""


def prepared(
    cost: Callable[..., Any], gradient: Callable[..., Any], args: tuple[Any, ...], dtype: Any, wrt: tuple[int, ...]
) -> Case:
    """The cost and gradient of the parameters alone, at the example."""
    import jax

    values = [cast(a, dtype) for a in args]

    def filled(params: Any) -> list[Any]:
        places = dict(zip(wrt, params, strict=True))
        return [np.asarray(places[k], dtype) if k in places else copy.deepcopy(v) for k, v in enumerate(values)]

    def f(*params: Any) -> Any:
        with jax.enable_x64(dtype == np.float64):
            return np.asarray(cost(*filled(params)))[()]

    def g(*params: Any) -> Any:
        with jax.enable_x64(dtype == np.float64), np.errstate(all="ignore"):
            out = gradient(*filled(params))
            out = tuple(out.values()) if isinstance(out, dict) else out if isinstance(out, tuple) else (out,)
            return tuple(np.asarray(o) for o in out)

    return f, g, tuple(values[k] for k in wrt)


def cast(a: Any, dtype: Any) -> Any:
    """An argument in that dtype, if it is of floats; a word or a nest stays what it is."""
    if isinstance(a, (str, dict, tuple)):
        return a
    return np.asarray(a, dtype) if np.asarray(a).dtype.kind == "f" else np.asarray(a)


def by_scipy(f: Any, g: Any, params: Any, dtype: Any) -> bool:
    from scipy.optimize import check_grad

    shapes = [p.shape for p in params]
    ends = np.cumsum([int(np.prod(s)) for s in shapes])[:-1]

    def split(x: Any) -> Any:
        return [part.reshape(s) for part, s in zip(np.split(x, ends), shapes, strict=True)]

    def flat(x: Any) -> Any:
        return np.concatenate([np.ravel(o) for o in g(*split(x))]).astype(float)

    x = np.concatenate([p.ravel() for p in params]).astype(float)
    step = np.sqrt(np.finfo(dtype).eps)
    error = check_grad(lambda x: float(f(*split(x))), flat, x, epsilon=float(step))
    return bool(error <= step * max(1.0, float(np.linalg.norm(flat(x)))))


def by_jax(f: Any, g: Any, params: Any, dtype: Any) -> bool:
    import jax
    from jax.test_util import check_grads

    with jax.enable_x64(dtype == np.float64):
        out = jax.ShapeDtypeStruct((), dtype)
        shapes = [jax.ShapeDtypeStruct(p.shape, dtype) for p in params]

        @jax.custom_vjp
        def h(*p: Any) -> Any:
            return jax.pure_callback(lambda *q: np.asarray(f(*q), dtype), out, *p)

        def backward(p: Any, c: Any) -> Any:
            grads = jax.pure_callback(lambda *q: tuple(np.asarray(o, dtype) for o in g(*q)), tuple(shapes), *p)
            return tuple(c * o for o in grads)

        h.defvjp(lambda *p: (h(*p), p), backward)
        check_grads(h, tuple(params), order=1, modes=("rev",))
    return True


def by_torch(f: Any, g: Any, params: Any, dtype: Any) -> bool:
    try:
        import torch
    except ImportError as error:
        raise NotApplicable("torch is not installed") from error

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *p: Any) -> Any:
            ctx.save_for_backward(*p)
            return torch.tensor(f(*(q.detach().numpy() for q in p)))

        @staticmethod
        def backward(ctx: Any, c: Any) -> Any:
            grads = g(*(q.detach().numpy() for q in ctx.saved_tensors))
            return tuple(c * torch.from_numpy(np.array(o)) for o in grads)

    return bool(torch.autograd.gradcheck(Function.apply, [torch.tensor(p, requires_grad=True) for p in params]))


def by_autograd(f: Any, g: Any, params: Any, dtype: Any) -> bool:
    try:
        from autograd.extend import defvjp, primitive
        from autograd.test_util import check_grads
    except ImportError as error:
        raise NotApplicable("autograd is not installed") from error
    h = primitive(lambda *p: float(f(*p)))
    defvjp(h, *[lambda ans, *p, k=k: lambda c: np.asarray(c * g(*p)[k], float) for k in range(len(params))])
    points = [np.asarray(p, float) for p in params]
    check_grads(h, modes=["rev"], order=1)(*(p if p.ndim else float(p) for p in points))
    return True


def by_taylor(f: Any, g: Any, params: Any, dtype: Any) -> bool:
    """|f(x + h d) - f(x) - h g.d| must shrink like h^2."""
    rng = np.random.default_rng(0)
    directions = [rng.standard_normal(p.shape) for p in params]
    steps = 0.01 * 0.5 ** np.arange(4)
    slope = sum(float(np.sum(o * d)) for o, d in zip(g(*params), directions, strict=True))
    base = float(f(*params))
    ends = [float(f(*((p + h * d).astype(dtype) for p, d in zip(params, directions, strict=True)))) for h in steps]
    rest = np.abs([e - base - h * slope for e, h in zip(ends, steps, strict=True)])
    with np.errstate(all="ignore"):
        return bool(np.min(np.log2(rest[:-1] / rest[1:])) > 1.9)


OTHERS = {"jax": by_jax, "torch": by_torch, "scipy": by_scipy, "autograd": by_autograd, "taylor": by_taylor}
NAMES = {
    "gdjax": "`gdjax.verify`",
    "jax": "`jax.test_util.check_grads`",
    "torch": "`torch.autograd.gradcheck`",
    "scipy": "`scipy.optimize.check_grad`",
    "autograd": "`autograd.test_util.check_grads`",
    "taylor": "a Taylor test",
}


def passes(checker: str, item: Any, gradient: Callable[..., Any], dtype: str) -> bool:
    args = item.args()
    if checker == "gdjax":
        from gdjax.verification.verify import checked

        report = checked(item.cost, gradient, args, item.wrt, item.shapes, dtype, item.kinks, item.domain)
        return report.verdict == "pass"
    f, g, params = prepared(item.cost, gradient, args, np.dtype(dtype).type, item.wrt)
    try:
        return OTHERS[checker](f, g, params, np.dtype(dtype).type)
    except NotApplicable:
        raise
    except Exception:  # noqa: BLE001
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkers", default=",".join(NAMES))
    parser.add_argument("--dtype", default="float64,float32")
    parser.add_argument("--part", default="1/1", help="every n-th bug and gradient from the k-th on: counts add up")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    from gradient_adversarial_kernels import KERNELS_BUGS, KERNELS_RIGHT
    from gradient_adversarial_layers import LAYERS_BUGS, LAYERS_RIGHT
    from gradient_adversarial_numpy import NUMPY_BUGS, NUMPY_RIGHT
    from gradient_bugs import BUGS
    from gradient_late import LATE_BUGS, LATE_RIGHT
    from gradient_networks import NETWORKS_BUGS, NETWORKS_RIGHT
    from gradient_right import RIGHT
    from gradient_statistics import STATISTICS_BUGS, STATISTICS_RIGHT
    from gradient_unseen import UNSEEN_BUGS, UNSEEN_RIGHT

    bugs = [
        *BUGS, *LATE_BUGS, *UNSEEN_BUGS, *STATISTICS_BUGS, *NETWORKS_BUGS, *LAYERS_BUGS, *KERNELS_BUGS, *NUMPY_BUGS
    ]  # fmt: skip
    rights = [
        *RIGHT, *LATE_RIGHT, *UNSEEN_RIGHT, *STATISTICS_RIGHT, *NETWORKS_RIGHT, *LAYERS_RIGHT, *KERNELS_RIGHT,
        *NUMPY_RIGHT,
    ]  # fmt: skip
    first, parts = map(int, options.part.split("/"))
    bugs, rights = bugs[first - 1 :: parts], rights[first - 1 :: parts]
    print(f"{len(bugs)} bugs written by hand, {len(rights)} correct gradients.\n")
    print("| checker | dtype | bugs caught | alarms on correct gradients | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for checker in options.checkers.split(","):
        for dtype in options.dtype.split(","):
            started = time.perf_counter()
            try:
                caught = sum(not passes(checker, bug, bug.make(), dtype) for bug in bugs)
                alarms = sum(not passes(checker, right, right.gradient, dtype) for right in rights)
            except NotApplicable as error:
                print(f"| {NAMES[checker]} | {dtype} | {error} | | |", flush=True)
                continue
            took = time.perf_counter() - started
            print(
                f"| {NAMES[checker]} | {dtype} | {caught} of {len(bugs)} | {alarms} of {len(rights)} | {took:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
