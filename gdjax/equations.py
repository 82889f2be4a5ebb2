"""The 33 numbered equations of the derivation: each line's formula, its value by hand, and the same by JAX.

The numbers are the image numbers of Chi-Feng Wang, "Calculating Gradient Descent Manually" (2018), after Parr and
Howard, "The Matrix Calculus You Need For Deep Learning" (arXiv 1802.01528). The article's lines are those
of the ReLU under squared error. For any other activation and loss the same numbers hold what the chain rule makes of
them.

Hand and oracle share the bits of z = w.x + b, so that they never stand on two sides of a kink by rounding; from there
on the hand's side is NumPy and the derivation, the oracle's side `jax.jacobian` of values alone.

XLA on CPU flushes subnormal operands and results to 0, NumPy keeps them. So beside rounding, which is relative, each
operand and each intermediate may differ by up to the smallest normal number, times how far it moves the line's value.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gdjax.formulas import Formula, activations
from gdjax.params import Params
from gdjax.rule import Knobs, Rule, initial_state, make_advance
from gdjax.samples import Samples, block_sums

Array = Any

GRAPH = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
"""The z at which equations 8 and 9 draw the activation and its slope, the kink among them."""


class Line(NamedTuple):
    """One line of the derivation: formula, value by hand, value by JAX, and how large the terms behind them are."""

    number: int
    text: str
    latex: str
    hand: Array
    oracle: Array
    by: str
    scale: Array
    """Rounding is measured against this: 0 where both sides must be equal to the bit."""
    slack: Array = 0.0
    """What is allowed beside it."""
    gain: Array = 1.0
    """How far a change of one operand or intermediate moves the value: what flushing is measured against."""


class Hand(NamedTuple):
    """What is computed by hand, in NumPy float64, on N samples of D features."""

    w: np.ndarray
    b: np.ndarray
    X: np.ndarray
    y: np.ndarray
    z: np.ndarray
    u: np.ndarray
    """(N,) outputs."""
    slope: np.ndarray
    """(N,) the activation's hand-derived slope at z."""
    residual: np.ndarray
    """(N,) the formula's hand-derived d loss / dz."""
    size: np.ndarray
    """(N,) |w|.|x| + |b|: what w.x + b is rounded against."""
    cost: Params
    """The gradient of the cost as gdjax computes it, by its own sums."""
    step: Params
    """The parameters after one plain step of gdjax's update rule."""
    jump: np.ndarray
    """(N,) what the engine's own rounding of z makes of the residual: more than rounding only beside a kink."""
    flushed: np.ndarray
    """(N,) what flushing y, the prediction and their difference makes of the residual: a jump only at a loss's kink."""


class Oracle(NamedTuple):
    """The same by JAX, from values alone."""

    jax: Any
    activation: Callable[[Array], Array]
    loss: Callable[[Array, Array], Array]
    """Of z and y."""


def is_article(formula: Formula) -> bool:
    """Whether the formula is the article's own: ReLU and squared error."""
    return (formula.activation.name, formula.loss.name) == ("relu", "squared_error")


def make_oracle(jax: Any, formula: Formula) -> Oracle:
    """JAX's own activation and loss where it has them with our slope at the kinks, else our values alone."""
    jnp = jax.numpy
    if is_article(formula):
        return Oracle(jax, jax.nn.relu, lambda z, y: (y - jax.nn.relu(z)) ** 2)
    activation = formula.activation(jnp)[0]
    if activations.BUILT_IN.get(formula.activation.name) == formula.activation:
        theirs = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "softplus": jax.nn.softplus}
        activation = theirs.get(formula.activation.name, activation)
    value = formula.loss(jnp)[0]
    if formula.loss.link is not None:
        return Oracle(jax, activation, value)
    return Oracle(jax, activation, lambda z, y: value(activation(z), y))


def pre_activation(jax: Any, w: Array, b: Array, x: Array) -> Array:
    """z = sum(w * x) + b over the last axis, by one primitive for one sample, for all, and under differentiation."""
    return jax.numpy.sum(jax.numpy.multiply(w, x), axis=-1) + b


def make_hand(jax: Any, formula: Formula, params: Params, X: np.ndarray, y: np.ndarray, rate: float) -> Hand:
    """The hand's side, from the formula's own value and slope."""
    w, b = np.asarray(params.weights), np.asarray(params.bias)
    z = np.array(pre_activation(jax, w, b, X))
    value, slope = formula.activation(np)
    gradient, step = _engine(formula, w, b, X, y, rate)
    residual = formula.pointwise(np).slope
    return Hand(
        w=w,
        b=b,
        X=X,
        y=y,
        z=z,
        u=value(z),
        slope=slope(z),
        residual=residual(z, y),
        size=np.abs(X) @ np.abs(w) + np.abs(b),
        cost=gradient,
        step=step,
        jump=np.abs(residual((w[None] @ X.T)[0] + b, y) - residual(z, y)),
        flushed=_flushed(residual, z, y),
    )


def _flushed(slope: Callable[[Array, Array], Array], at: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far a slope moves where y, the prediction and their difference are flushed: as one change of y, thrice."""
    step = 4 * np.finfo(float).tiny
    here = slope(at, y)
    return np.maximum(np.abs(slope(at, y + step) - here), np.abs(slope(at, y - step) - here))


def _engine(
    formula: Formula, w: np.ndarray, b: np.ndarray, X: np.ndarray, y: np.ndarray, rate: float
) -> tuple[Params, Params]:
    theta = np.append(w, b)[None]
    one = np.ones(1)
    samples = Samples(X, y, np.ones((1, len(y))), np.full(1, float(len(y))))

    def evaluate(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sums = block_sums(np, formula.pointwise(np), at, X, y, samples.weight)
        cost, gradient = samples.mean(*sums)
        return cost, gradient

    rule = Rule("plain")
    knobs = Knobs(
        l1=0 * one,
        l2=0 * one,
        free=np.ones_like(theta),
        penalised=np.append(np.ones_like(w), 0.0),
        threshold=-one,
        floor=one,
        ceiling=np.inf * one,
        limit=np.ones(1, np.int32),
        shift=np.zeros_like(theta),
        scale=np.ones_like(theta),
    )
    after = make_advance(np, rule)(initial_state(np, rule, theta, rate * one), knobs, evaluate, np.float64(1))
    gradient = evaluate(theta)[1][0]
    return Params(gradient[:-1], gradient[-1]), Params(after.point[0, :-1], after.point[0, -1])


def walk(hand: Hand, oracle: Oracle, formula: Formula, rate: float) -> list[Line]:
    """All lines of the derivation in the order of their numbers; one number may hold several."""
    lines = [*_neuron(hand, oracle, formula), *_cost(hand, oracle, formula, rate)]
    return sorted(lines, key=lambda line: line.number)


def _neuron(h: Hand, o: Oracle, formula: Formula) -> list[Line]:
    """Equations 2 to 12: the neuron and its gradient, by the vector chain rule through v = w * x and u = sum(v)."""
    jax, jnp, article = o.jax, o.jax.numpy, is_article(formula)
    samples, features = h.X.shape
    z_of = partial(pre_activation, jax)
    value, slope = formula.activation(np)
    gate = (h.z > 0).astype(float) if article else h.slope

    def each(f: Callable[..., Array], *arguments: Array) -> Array:
        """f(x, ...) of each sample."""
        return jax.vmap(f)(h.X, *arguments)

    neuron_w = each(lambda x: jax.jacobian(lambda w: o.activation(z_of(w, h.b, x)))(h.w))
    neuron_b = each(lambda x: jax.jacobian(lambda b: o.activation(z_of(h.w, b, x)))(h.b))
    du_dw = each(lambda x: jax.jacobian(lambda w: jnp.sum(w * x))(h.w))
    a = "max(0, {})" if article else formula.activation.name + "({})"
    a_tex = r"\max(0, {})" if article else r"\mathrm{{" + formula.activation.name.replace("_", r"\_") + "}}({})"
    z_tex = r"w \cdot x + b"
    slope_scale = 0 * h.z if article else _slope_scale(h.z, h.u, h.slope)
    graph_scale = 0 * GRAPH if article else _slope_scale(GRAPH, value(GRAPH), slope(GRAPH))
    x_scale = slope_scale[:, None] * np.abs(h.X)
    spread = 1 + np.abs(h.z)
    x_gain = 1 + _times(spread, np.abs(h.X)) + np.abs(h.slope)[:, None]
    ones = np.ones(features)
    diagonal = h.X[:, :, None] * np.eye(features)
    shown = "0^T where w.x + b <= 0, x^T where w.x + b > 0" if article else "slope(w.x + b) x^T"
    shown_tex = r"[w \cdot x + b > 0] \, x^T" if article else r"\sigma'(w \cdot x + b) \, x^T"
    shown_b = "0 where w.x + b <= 0, 1 where w.x + b > 0" if article else "slope(w.x + b)"
    shown_b_tex = r"[w \cdot x + b > 0]" if article else r"\sigma'(w \cdot x + b)"
    jacobian = "jax.jacobian"
    return [
        Line(
            2,
            f"neuron(x) = {a.format('w.x + b')}",
            rf"\mathrm{{neuron}}(x) = {a_tex.format(z_tex)}",
            h.u,
            each(lambda x: o.activation(z_of(h.w, h.b, x))),
            "jax",
            0 * h.u if article else np.abs(h.u) * spread,
            gain=spread,
        ),
        Line(
            3,
            "d neuron/dw = (d neuron/dz)(dz/dw)",
            r"\frac{\partial\,\mathrm{neuron}}{\partial w} = \frac{\partial\,\mathrm{neuron}}{\partial z}"
            r"\frac{\partial z}{\partial w}",
            h.slope[:, None] * h.X,
            neuron_w,
            jacobian,
            x_scale,
            gain=x_gain,
        ),
        Line(
            4,
            "w.x = sum_j w_j x_j = sum(w * x)",
            r"w \cdot x = \sum_j w_j x_j = \mathrm{sum}(w \otimes x)",
            h.X @ h.w,
            each(lambda x: jnp.sum(h.w * x)),
            "jax",
            h.size,
            gain=1 + np.abs(h.w).max() + np.abs(h.X).max(axis=1),
        ),
        Line(
            5,
            "du/dv = 1^T",
            r"\frac{\partial u}{\partial v} = \vec{1}^T",
            np.broadcast_to(ones, h.X.shape),
            each(lambda x: jax.jacobian(jnp.sum)(h.w * x)),
            jacobian,
            0 * h.X,
        ),
        Line(
            5,
            "dv/dw = diag(x)",
            r"\frac{\partial v}{\partial w} = \mathrm{diag}(x)",
            diagonal,
            each(lambda x: jax.jacobian(lambda w: w * x)(h.w)),
            jacobian,
            0 * diagonal,
        ),
        Line(
            6,
            "du/dw = (du/dv)(dv/dw) = x^T",
            r"\frac{\partial u}{\partial w} = \frac{\partial u}{\partial v}\frac{\partial v}{\partial w} = x^T",
            np.einsum("j,njk->nk", ones, diagonal),
            du_dw,
            jacobian,
            0 * h.X,
        ),
        Line(
            7,
            "dz/dw = du/dw + db/dw = x^T + 0^T = x^T",
            r"\frac{\partial z}{\partial w} = \frac{\partial u}{\partial w} + \frac{\partial b}{\partial w}"
            r" = x^T + \vec{0}^T = x^T",
            h.X + 0,
            each(lambda x: jax.jacobian(lambda w: z_of(w, h.b, x))(h.w)),
            jacobian,
            0 * h.X,
        ),
        Line(
            7,
            "dz/db = du/db + db/db = 0 + 1 = 1",
            r"\frac{\partial z}{\partial b} = \frac{\partial u}{\partial b} + \frac{\partial b}{\partial b}"
            r" = 0 + 1 = 1",
            np.zeros(samples) + 1,
            each(lambda x: jax.jacobian(lambda b: z_of(h.w, b, x))(h.b)),
            jacobian,
            0 * h.z,
        ),
        Line(
            8,
            f"the graph of {a.format('z')} at z = {', '.join(f'{z:g}' for z in GRAPH)}",
            rf"z \mapsto {a_tex.format('z')}",
            value(GRAPH),
            o.activation(jnp.asarray(GRAPH)),
            "jax",
            0 * GRAPH if article else np.abs(value(GRAPH)) * (1 + np.abs(GRAPH)),
        ),
        Line(
            9,
            f"d {a.format('z')}/dz = "
            + ("0 where z <= 0, 1 where z > 0" if article else "slope(z)")
            + f", at z = {', '.join(f'{z:g}' for z in GRAPH)}",
            rf"\frac{{d}}{{dz}} {a_tex.format('z')} = " + ("[z > 0]" if article else r"\sigma'(z)"),
            slope(GRAPH),
            jax.vmap(jax.jacobian(o.activation))(jnp.asarray(GRAPH)),
            jacobian,
            graph_scale,
        ),
        *(
            Line(
                number,
                f"d neuron/dw = {shown}",
                rf"\frac{{\partial\,\mathrm{{neuron}}}}{{\partial w}} = {shown_tex}",
                gate[:, None] * h.X,
                neuron_w,
                jacobian,
                x_scale,
                gain=x_gain,
            )
            for number in (10, 11)
        ),
        Line(
            12,
            f"d neuron/db = {shown_b}",
            rf"\frac{{\partial\,\mathrm{{neuron}}}}{{\partial b}} = {shown_b_tex}",
            gate,
            neuron_b,
            jacobian,
            slope_scale,
            gain=spread,
        ),
    ]


def _cost(h: Hand, o: Oracle, formula: Formula, rate: float) -> list[Line]:
    """Equations 1 and 13 to 33: the cost, its gradient and the update."""
    return (_article_cost if is_article(formula) else _general_cost)(h, o, formula, rate)


class _Side(NamedTuple):
    """What differs between the derivation's two columns, with respect to w and to b."""

    name: str
    tex: str
    factor: np.ndarray
    """(N, D) the rows x_i^T, or (N,) ones."""
    row: str
    row_tex: str
    zero: str
    numbers: tuple[int, ...]
    du: Array
    """(N, D) or (N,) by JAX: the derivative of u."""
    gradient: Array
    """(D,) or () by JAX: the derivative of the cost."""
    engine: np.ndarray
    updated: np.ndarray
    point: np.ndarray


def _sides(h: Hand, o: Oracle, u: Callable[[Array], Array]) -> tuple[_Side, _Side]:
    jax = o.jax
    z_of = partial(pre_activation, jax)

    def cost(w: Array, b: Array) -> Array:
        return o.loss(z_of(w, b, h.X), h.y).mean()

    def du(argument: int) -> Array:
        return jax.vmap(lambda x: jax.jacobian(lambda w, b: u(z_of(w, b, x)), argument)(h.w, h.b))(h.X)

    gradients = jax.jacobian(cost, (0, 1))(h.w, h.b)
    ones = np.ones(len(h.y))
    return (
        _Side("w", "w", h.X, " x_i^T", r"\,x_i^T", "0^T", tuple(range(15, 25)), du(0), gradients[0], h.cost.weights,
              h.step.weights, h.w),
        _Side("b", "b", ones, "", "", "0", (*range(26, 32), 31, 31, 32, 33), du(1), gradients[1], h.cost.bias,
              h.step.bias, h.b),
    )  # fmt: skip


def _times(coefficient: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """(N,) times the rows (N, D), or times (N,)."""
    product: np.ndarray = _like(coefficient, factor) * factor
    return product


def _like(vector: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return vector[:, None] if factor.ndim == 2 else vector


def _article_cost(h: Hand, o: Oracle, formula: Formula, rate: float) -> list[Line]:
    jax = o.jax
    v, gate, count = h.y - h.u, h.z > 0, len(h.y)
    e = h.z - h.y
    z_of = partial(pre_activation, jax)
    outputs = o.activation(z_of(h.w, h.b, h.X))
    by_jax = h.y - outputs
    cost = np.mean(v * v)
    cost_gain = 1 + np.mean(np.abs(v))
    open_gates = r"\sum_{i:\,z_i > 0}"
    lines = [
        Line(
            number,
            "C(y, w, X, b) = (1/N) sum_i (y_i - max(0, w.x_i + b))^2",
            r"C(y, w, X, b) = \frac{1}{N} \sum_i (y_i - \max(0, w \cdot x_i + b))^2",
            np.mean((h.y - np.maximum(0, h.z)) ** 2),
            o.loss(z_of(h.w, h.b, h.X), h.y).mean(),
            "jax",
            cost,
            gain=cost_gain,
        )
        for number in (1, 13)
    ]
    for number in (14, 25):
        lines += [
            Line(number, "u(w, b, x) = max(0, w.x + b)", r"u(w, b, x) = \max(0, w \cdot x + b)", h.u, outputs, "jax",
                 0 * h.u),
            Line(number, "v(y, u) = y - u", "v(y, u) = y - u", v, by_jax, "jax", 0 * v),
            Line(number, "C(v) = (1/N) sum_i v_i^2", r"C(v) = \frac{1}{N} \sum_i v_i^2", cost, (by_jax**2).mean(),
                 "jax", cost, gain=cost_gain),
        ]  # fmt: skip
    dv2 = jax.vmap(jax.jacobian(lambda t: t**2))(v)
    for s in _sides(h, o, o.activation):
        n = s.numbers
        d, d_tex = f"dC/d{s.name}", rf"\frac{{\partial C}}{{\partial {s.tex}}}"
        gated = _times(gate.astype(float), s.factor)
        scale = np.mean(np.abs(_times(2 * (np.abs(h.z) + np.abs(h.y)) * gate, s.factor)), axis=0)
        gain = 1 + np.mean(np.abs(_like(v, s.factor)) + np.abs(s.factor), axis=0)
        opened = s.factor[gate]
        one = "1" if s.name == "b" else "x^T"
        cases_tex = r"[z > 0]" + ("" if s.name == "b" else r"\,x^T")
        z_i = r"w \cdot x_i + b"

        def line(
            number: int, text: str, latex: str, hand: Array, s: _Side = s, scale: Array = scale, gain: Array = gain
        ) -> Line:
            return Line(number, text, latex, hand, s.gradient, "jax.jacobian", scale, gain=gain)

        lines += [
            Line(
                n[0],
                f"du/d{s.name} = {s.zero} where z <= 0, {one} where z > 0",
                rf"\frac{{\partial u}}{{\partial {s.tex}}} = {cases_tex}",
                gated,
                s.du,
                "jax.jacobian",
                0 * gated,
            ),
            Line(
                n[1],
                f"dv/d{s.name} = 0 - du/d{s.name} = {s.zero} where z <= 0, -{one} where z > 0",
                rf"\frac{{\partial v}}{{\partial {s.tex}}} = 0 - \frac{{\partial u}}{{\partial {s.tex}}}"
                rf" = -{cases_tex}",
                0 - gated,
                _derivative_of_residual(h, o, s.name),
                "jax.jacobian",
                0 * gated,
            ),
            line(
                n[2],
                f"{d} = (1/N) sum_i (d(v_i^2)/dv_i)(dv_i/d{s.name})",
                rf"{d_tex} = \frac{{1}}{{N}} \sum_i \frac{{\partial v_i^2}}{{\partial v_i}}"
                rf"\frac{{\partial v_i}}{{\partial {s.tex}}}",
                np.mean(_times(2 * v, 0 - gated), axis=0),
            ),
            Line(n[3], "d(v^2)/dv = 2v", r"\frac{d v^2}{dv} = 2v", 2 * v, dv2, "jax.jacobian", 0 * v),
            line(
                n[4],
                f"{d} = (1/N) sum_i {s.zero} where z_i <= 0, -2 v_i{s.row} where z_i > 0",
                rf"{d_tex} = \frac{{1}}{{N}} \sum_i [z_i > 0] \, (-2 v_i){s.row_tex}",
                np.mean(np.where(_like(gate, s.factor), _times(-2 * v, s.factor), 0), axis=0),
            ),
            line(
                n[5],
                f"{d} = (1/N) sum_i {s.zero} where z_i <= 0, -2 (y_i - max(0, w.x_i + b)){s.row} where z_i > 0",
                rf"{d_tex} = \frac{{1}}{{N}} \sum_i [z_i > 0] \, (-2)(y_i - \max(0, {z_i})){s.row_tex}",
                np.mean(np.where(_like(gate, s.factor), _times(-2 * (h.y - np.maximum(0, h.z)), s.factor), 0), axis=0),
            ),
            line(
                n[6],
                f"{d} = (1/N) sum_i {s.zero} where z_i <= 0, 2 (w.x_i + b - y_i){s.row} where z_i > 0",
                rf"{d_tex} = \frac{{1}}{{N}} \sum_i [z_i > 0] \, 2 ({z_i} - y_i){s.row_tex}",
                np.mean(np.where(_like(gate, s.factor), _times(2 * e, s.factor), 0), axis=0),
            ),
            line(
                n[7],
                f"{d} = (2/N) sum over open gates (w.x_i + b - y_i){s.row}",
                rf"{d_tex} = \frac{{2}}{{N}} {open_gates} ({z_i} - y_i){s.row_tex}",
                2 / count * np.sum(_times(e[gate], opened), axis=0),
            ),
            line(
                n[8],
                f"{d} = (2/N) sum over open gates e_i{s.row}, e_i = w.x_i + b - y_i",
                rf"{d_tex} = \frac{{2}}{{N}} {open_gates} e_i{s.row_tex}, \quad e_i = {z_i} - y_i",
                2 / count * (e[gate] @ opened),
            ),
            *_computed(s, h, d, d_tex, rate, 2 / count * (e[gate] @ opened), scale, gain),
        ]
    return lines


def _derivative_of_residual(h: Hand, o: Oracle, name: str) -> Array:
    jax = o.jax
    argument = 0 if name == "w" else 1

    def residual(w: Array, b: Array, x: Array, y: Array) -> Array:
        return y - o.activation(pre_activation(jax, w, b, x))

    return jax.vmap(lambda x, y: jax.jacobian(residual, argument)(h.w, h.b, x, y))(h.X, h.y)


def _computed(
    s: _Side, h: Hand, d: str, d_tex: str, rate: float, gradient: np.ndarray, scale: np.ndarray, gain: np.ndarray
) -> list[Line]:
    """The gradient as gdjax computes it, the update, and gdjax's own step."""
    text = f"{s.name}_(t+1) = {s.name}_t - eta {d}, eta = {rate:g}"
    latex = rf"{s.tex}_{{t+1}} = {s.tex}_t - \eta {d_tex}, \quad \eta = {rate:g}"
    size = np.abs(s.point) + rate * scale
    after = s.point - rate * s.gradient
    flushed, jump = (np.mean(np.abs(_times(change, s.factor)), axis=0) for change in (h.flushed, h.jump))
    slack = flushed + jump
    step_gain = 1 + rate * gain
    return [
        Line(s.numbers[8], f"{d} as gdjax computes it", rf"{d_tex} \;\mathrm{{as\ computed}}", s.engine, s.gradient,
             "jax.jacobian", scale, slack, gain),
        Line(s.numbers[9], text, latex, s.point - rate * gradient, after, "jax.jacobian", size,
             rate * flushed, step_gain),
        Line(s.numbers[9], f"{s.name}_(t+1) after one plain step of gdjax",
             rf"{s.tex}_{{t+1}} \;\mathrm{{as\ computed}}", s.updated, after, "jax.jacobian", size, rate * slack,
             step_gain),
    ]  # fmt: skip


def _general_cost(h: Hand, o: Oracle, formula: Formula, rate: float) -> list[Line]:
    jax, linked = o.jax, formula.loss.link is not None
    z_of = partial(pre_activation, jax)
    name = formula.loss.name
    tex = r"\mathrm{" + name.replace("_", r"\_") + "}"
    value, slope = formula.loss(np)
    # a loss that is exact only from z takes u = z
    u, q = ("u = z" if linked else f"u = {formula.activation.name}(z)"), (h.z if linked else h.u)
    u_tex = "u = z" if linked else r"u = \sigma(z)"
    du_dz = np.ones_like(h.z) if linked else h.slope
    outer = value(q, h.y)
    dl_du = slope(q, h.y)
    theirs = formula.loss(jax.numpy)[0]
    dl_du_jax = jax.vmap(jax.jacobian(theirs))(q, h.y)
    each_cost = o.loss(z_of(h.w, h.b, h.X), h.y)
    u_of: Callable[[Array], Array] = (lambda z: z) if linked else o.activation
    spread = 1 + np.abs(h.z)
    slope_scale = 0 * h.z if linked else _slope_scale(h.z, h.u, h.slope)
    outer_scale = spread * (np.abs(outer) + np.abs(q) + np.abs(h.y))
    dl_scale = spread * np.abs(dl_du) + np.abs(q) + np.abs(h.y)
    # under a link, exp(z) - y cancels at the size of exp(z)
    if linked:
        dl_scale = dl_scale + np.abs(h.u)
        outer_scale = outer_scale + np.abs(h.u)
    r_scale = dl_scale * np.abs(du_dz) + np.abs(dl_du) * slope_scale + spread * np.abs(h.residual)
    dl_flushed = _flushed(slope, q, h.y)
    outer_gain = spread + np.abs(q) + np.abs(h.y) + np.abs(dl_du)
    r_gain = spread * (1 + np.abs(dl_du)) + outer_gain * np.abs(du_dz)
    lines = [
        Line(number, f"C = (1/N) sum_i {name}_i", rf"C = \frac{{1}}{{N}} \sum_i {tex}_i",
             np.mean(formula.pointwise(np).cost(h.z, h.y)), each_cost.mean(), "jax", np.mean(outer_scale),
             gain=np.mean(outer_gain))
        for number in (1, 13)
    ]  # fmt: skip
    for number in (14, 25):
        lines += [
            Line(number, u, u_tex, q, u_of(z_of(h.w, h.b, h.X)), "jax", np.abs(q) * spread, gain=spread),
            Line(number, f"L_i = {name}(u_i, y_i)", rf"L_i = {tex}(u_i, y_i)", outer, each_cost, "jax", outer_scale,
                 gain=outer_gain),
            Line(number, "C(L) = (1/N) sum_i L_i", r"C(L) = \frac{1}{N} \sum_i L_i", np.mean(outer), each_cost.mean(),
                 "jax", np.mean(outer_scale), gain=np.mean(outer_gain)),
        ]  # fmt: skip

    def sample_cost(w: Array, b: Array, x: Array, y: Array) -> Array:
        return o.loss(z_of(w, b, x), y)

    for argument, s in enumerate(_sides(h, o, u_of)):
        n = s.numbers
        d, d_tex = f"dC/d{s.name}", rf"\frac{{\partial C}}{{\partial {s.tex}}}"
        one, one_tex = ("", "") if s.name == "b" else (" x^T", r"\,x^T")
        du_text = f"du/d{s.name} = " + (("1" if s.name == "b" else "x^T") if linked else f"slope(z){one}")
        du_tex = rf"\frac{{\partial u}}{{\partial {s.tex}}} = " + (
            ("1" if s.name == "b" else "x^T") if linked else rf"\sigma'(z){one_tex}"
        )
        terms = _times(h.residual, s.factor)
        size = np.abs(s.factor)
        scale, slack = (np.mean(_times(change, size), axis=0) for change in (r_scale, h.flushed))
        dl_gain = 1 + _times(r_gain, size) + np.abs(_like(h.residual, s.factor))
        gain = np.mean(dl_gain, axis=0)
        r = "L'(z_i, y_i)" if linked else "L'(u_i, y_i) slope(z_i)"
        r_tex = "L'(z_i, y_i)" if linked else r"L'(u_i, y_i)\,\sigma'(z_i)"
        dl = jax.vmap(lambda x, y, a=argument: jax.jacobian(sample_cost, a)(h.w, h.b, x, y))(h.X, h.y)
        gradient = h.residual @ s.factor / len(h.y)
        lines += [
            Line(n[0], du_text, du_tex, _times(du_dz, s.factor), s.du, "jax.jacobian",
                 _times(slope_scale, size), gain=1 + _times(spread, size) + np.abs(_like(du_dz, s.factor))),
            Line(n[1], f"dL/d{s.name} = (dL/du)(du/d{s.name})",
                 rf"\frac{{\partial L}}{{\partial {s.tex}}} = \frac{{\partial L}}{{\partial u}}"
                 rf"\frac{{\partial u}}{{\partial {s.tex}}}",
                 _times(dl_du * du_dz, s.factor), dl, "jax.jacobian", _times(r_scale, size),
                 _times(dl_flushed * np.abs(du_dz), size), dl_gain),
            Line(n[2], f"{d} = (1/N) sum_i dL_i/d{s.name}",
                 rf"{d_tex} = \frac{{1}}{{N}} \sum_i \frac{{\partial L_i}}{{\partial {s.tex}}}",
                 np.mean(_times(dl_du * du_dz, s.factor), axis=0), s.gradient, "jax.jacobian", scale, slack, gain),
            Line(n[3], "dL/du = L'(u, y)", r"\frac{\partial L}{\partial u} = L'(u, y)", dl_du, dl_du_jax,
                 "jax.jacobian", dl_scale, dl_flushed, outer_gain),
            *(
                Line(number, f"{d} = (1/N) sum_i {r}{s.row}", rf"{d_tex} = \frac{{1}}{{N}} \sum_i {r_tex}{s.row_tex}",
                     np.mean(terms, axis=0), s.gradient, "jax.jacobian", scale,
                     slack, gain)
                for number in dict.fromkeys(n[4:8])
            ),
            Line(n[8], f"{d} = (1/N) sum_i r_i{s.row}, r_i = {r}",
                 rf"{d_tex} = \frac{{1}}{{N}} \sum_i r_i{s.row_tex}, \quad r_i = {r_tex}", gradient, s.gradient,
                 "jax.jacobian", scale, slack, gain),
            *_computed(s, h, d, d_tex, rate, gradient, scale, gain),
        ]  # fmt: skip
    return lines


def _slope_scale(z: np.ndarray, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Autodiff of a saturating value cancels at the size of the value: 1 - tanh^2."""
    scale: np.ndarray = (1 + np.abs(z)) * np.abs(slope) + np.abs(value)
    return scale
