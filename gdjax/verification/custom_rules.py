"""Verify the rule of a `jax.custom_vjp` or `jax.custom_jvp` function against the function itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.verification.check import Check
from gdjax.verification.programs.program import wide_floats
from gdjax.verification.telling.report import Finding, Report
from gdjax.verification.verify import prepared, run


def verify_vjp(
    f: Callable[..., Any],
    args: Sequence[Any],
    *,
    wrt: Sequence[int] | None = None,
    shapes: Sequence[Any] | None = None,
    dtype: str = "float64",
    kinks: str = "zero",
    domain: Any = None,
    seconds: float = 5.0,
) -> Report:
    """Whether the custom derivative rule of `f` is the derivative of what `f` computes.

    `f` is differentiated exactly by its own body; the rule is what `jax.vjp` gives, for cotangents of small integers of
    both signs. Outputs and arguments may be arrays or nests of them; every float array of a nest is differentiated.
    What the rule's forward pass gives has to be what `f` gives.

    Args:
        f: a function with a `jax.custom_vjp` or `jax.custom_jvp` rule, or that calls such functions.
        args: one example of its arguments.
        wrt: places of the arguments to differentiate; by default all float ones.
        shapes, dtype, kinks, domain, seconds: as in `gdjax.verify`; of a nest, `shapes` has one like it, or None for
            the example's sizes, and `domain` holds for each of its arrays.

    Raises:
        UsageError: no float argument, or an option that is out of range.

    >>> import jax, jax.numpy as jnp
    >>> @jax.custom_vjp
    ... def square(x):
    ...     return x * x
    >>> square.defvjp(lambda x: (x * x, x), lambda x, g: (3 * x * g,))
    >>> verify_vjp(square, (np.array([1.0, 2.0]),)).verdict
    'fail'
    """
    import jax
    import jax.numpy as jnp

    whole, args, owners = f, tuple(args), list(range(len(args)))
    if not all(map(_is_leaf, args)):
        leaves, tree = jax.tree.flatten(args, is_leaf=_is_leaf)
        owners = [i for i, a in enumerate(args) for _ in jax.tree.leaves(a, is_leaf=_is_leaf)]
        shapes = None if shapes is None else _shapes_of_leaves(shapes, args)
        domain = _domains_of_leaves(domain, owners)
        args = tuple(leaves)

        def f(*given: Any) -> Any:
            return whole(*jax.tree.unflatten(tree, given))

    floats = [i for i, a in enumerate(args) if not isinstance(a, (int, str)) and np.asarray(a).dtype.kind == "f"]
    places = tuple(i for i in floats if wrt is None or owners[i] in wrt)
    if not places:
        raise UsageError("verify_vjp: no argument is a float array: give floats where f is differentiated")

    def cost(*given: Any) -> Any:
        leaves = jax.tree.leaves(f(*given))
        return sum(jnp.sum(jnp.asarray(_cotangent(leaf, k)) * leaf) for k, leaf in enumerate(leaves))

    def gradient(*given: Any) -> Any:
        def moving(*values: Any) -> Any:
            whole = list(given)
            for place, value in zip(places, values, strict=True):
                whole[place] = value
            return f(*whole)

        out, back = jax.vjp(moving, *(jnp.asarray(given[i]) for i in places))
        leaves, tree = jax.tree.flatten(out)
        cotangents = [jnp.asarray(_cotangent(leaf, k)) for k, leaf in enumerate(leaves)]
        return back(jax.tree.unflatten(tree, cotangents))

    name = getattr(whole, "__name__", type(whole).__name__)
    check = prepared(cost, gradient, args, places, shapes, dtype, kinks, domain, seconds, f"rule of {name}")
    check.findings += _forward(f, places, check)
    return run(check)


def _forward(f: Callable[..., Any], places: Sequence[int], check: Check) -> list[Finding]:
    """The rule's forward pass gives the function's own values, at inputs of several sizes."""
    import jax

    half = np.sqrt(np.finfo(check.cases.dtype).eps)
    tried = [check.cases.drawn(plan, check.cases.rng(13, k)) for k, plan in enumerate(check.cases.plans[:6])]
    for args in (check.cases.example, *tried):
        with wide_floats(check.wide), np.errstate(all="ignore"):

            def moving(*values: Any, args: Any = args) -> Any:
                given = dict(zip(places, values, strict=True))
                return f(*(given.get(i, a) for i, a in enumerate(args)))

            try:
                plain = jax.tree.leaves(f(*args))
                ruled = jax.tree.leaves(jax.vjp(moving, *(args[i] for i in places))[0])
            except Exception:  # noqa: BLE001  a user's code: the run meets what it raises, and tells it
                continue
        for a, b in zip(plain, ruled, strict=True):
            if not np.allclose(a, b, rtol=half, atol=half * float(np.max(np.abs(a), initial=0.0)), equal_nan=True):
                ours, theirs = np.ravel(b)[0], np.ravel(a)[0]
                text = f"the rule's forward pass gives {ours:.6g} where the function gives {theirs:.6g}"
                return [Finding("contract", "fail", text)]
    return []


def _is_leaf(a: Any) -> bool:
    """No dict, tuple or list of arrays; a list of numbers is an array."""
    if isinstance(a, list):
        return all(not np.ndim(v) and _is_leaf(v) for v in a)
    return not isinstance(a, (dict, tuple))


def _shapes_of_leaves(shapes: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    import jax

    if len(shapes) != len(args):
        raise UsageError(f"shapes has {len(shapes)} entries for {len(args)} arguments: give one for each")
    found: list[Any] = []
    for i, (text, arg) in enumerate(zip(shapes, args, strict=True)):
        leaves = jax.tree.leaves(arg, is_leaf=_is_leaf)
        if text is None:
            found += [None] if _is_leaf(arg) else [" ".join(map(str, np.shape(leaf))) for leaf in leaves]
            continue
        texts = jax.tree.leaves(text, is_leaf=lambda t: isinstance(t, str))
        if len(texts) != len(leaves):
            raise UsageError(
                f"shapes[{i}] has {len(texts)} entries for {len(leaves)} arrays: give a nest like the argument"
            )
        found += texts
    return found


def _domains_of_leaves(domain: Any, owners: Sequence[int]) -> Any:
    if domain is None:
        return None
    given = domain if isinstance(domain, dict) else dict(enumerate(domain))
    return {k: given[i] for k, i in enumerate(owners) if given.get(i) is not None}


def _cotangent(leaf: Any, salt: int) -> np.ndarray[Any, Any]:
    """Small odd and even integers of both signs, none of them 0."""
    values = (np.arange(leaf.size) * 5 + salt) % 7 - 3
    return np.where(values >= 0, values + 1, values).reshape(leaf.shape).astype(leaf.dtype)
