"""Array sizes that vary together, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdjax.errors import UsageError

Sizes = dict[str, int]
Spec = tuple[tuple[str | int, ...], ...]


def parsed(shapes: Sequence[Any] | None, args: Sequence[Any], varying: Sequence[int]) -> tuple[Spec, Sizes]:
    """The named axes of each argument, and what they are in the example.

    Raises:
        UsageError: a shape with another number of axes than its argument, or one name with two sizes.
    """
    if shapes is None:
        return tuple(tuple(np.shape(a)) if i in varying else () for i, a in enumerate(args)), {}
    if len(shapes) != len(args):
        raise UsageError(f"shapes has {len(shapes)} entries for {len(args)} arguments: give one for each")
    spec: list[tuple[str | int, ...]] = []
    sizes: Sizes = {}
    for place, (text, arg) in enumerate(zip(shapes, args, strict=True)):
        axes = _axes(place, text)
        if place not in varying:
            spec.append(())
            continue
        actual = np.shape(arg)
        if len(axes) != len(actual):
            raise UsageError(
                f"shapes[{place}] = {text!r} has {len(axes)} axes, the example's argument has {len(actual)}"
            )
        for axis, n in zip(axes, actual, strict=True):
            if isinstance(axis, int):
                if axis != n:
                    raise UsageError(f"shapes[{place}] = {text!r} says {axis} where the example has {n}")
            elif sizes.setdefault(axis, n) != n:
                raise UsageError(f"axis {axis!r} is {sizes[axis]} and {n} in the example: rename one of them")
        spec.append(axes)
    return tuple(spec), sizes


def _axes(place: int, shape: Any) -> tuple[str | int, ...]:
    """A shape as it may be written: "N D", "N, 3", ("N", "D"), None for a scalar."""
    if isinstance(shape, str):
        names = shape.replace(",", " ").split()
    else:
        names = [str(axis) for axis in (() if shape is None else np.ravel(np.array(shape, object)))]
    for name in names:
        if not (name.isdigit() or name.isidentifier()):
            raise UsageError(f"shapes[{place}] = {shape!r}: {name!r} names no axis: write it as in 'N D' or 'N 3'")
    return tuple(int(name) if name.isdigit() else name for name in names)


def held(spec: Spec, sizes: Sizes, fixed: Sequence[int]) -> tuple[Spec, Sizes]:
    """The same where some arguments are fixed: the names of their axes are of one size each, the example's."""
    gone = {axis for i in fixed for axis in spec[i] if isinstance(axis, str)}
    kept = {name: size for name, size in sizes.items() if name not in gone}
    return tuple(tuple(sizes[str(a)] if a in gone else a for a in axes) for axes in spec), kept


def shape_of(axes: tuple[str | int, ...], sizes: Sizes) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) else sizes[n] for n in axes)


def rows_name(spec: Spec, wrt: Sequence[int]) -> str | None:
    """The name that counts samples: the first axis of a data argument that no parameter has."""
    owned = {axis for i in wrt for axis in spec[i]}
    for i, axes in enumerate(spec):
        if i not in wrt and axes and isinstance(axes[0], str) and axes[0] not in owned:
            return axes[0]
    return next((axis for axes in spec for axis in axes if isinstance(axis, str)), None)


def plans(sizes: Sizes, rows: str | None) -> list[Sizes]:
    """Size assignments, small ones first: 1s, powers of two, a square, odd ones, a width past common blocks, and rows
    in full blocks, in one more than full blocks, and between."""
    if not sizes:
        return [{}]
    others = [name for name in sizes if name != rows]

    def plan(n: int, *widths: int) -> Sizes:
        chosen = {name: widths[i % len(widths)] for i, name in enumerate(others)}
        return {**chosen, **({rows: n} if rows is not None else {})}

    found = [plan(1, 1), plan(1, 2, 3), plan(2, 2), plan(4, 1, 2), plan(8, 3, 5), plan(3, 17, 3), dict(sizes)]
    found += [plan(67, 3, 2), plan(128, 3, 2), plan(129, 2, 3), plan(1027, 3, 2)]
    unique: list[Sizes] = []
    for entry in found:
        if entry not in unique:
            unique.append(entry)
    return unique
