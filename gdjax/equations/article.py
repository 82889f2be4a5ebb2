"""Equations 1 and 13 to 33 for the ReLU under squared error, line by line."""

from functools import partial

import numpy as np

from gdjax.equations.sides import Side, computed, sides
from gdjax.equations.values import Array, Hand, Line, Oracle, like, pre_activation, times
from gdjax.formulas import Formula


def article_cost(h: Hand, o: Oracle, formula: Formula, rate: float) -> list[Line]:
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
    for s in sides(h, o, o.activation):
        n = s.numbers
        d, d_tex = f"dC/d{s.name}", rf"\frac{{\partial C}}{{\partial {s.tex}}}"
        gated = times(gate.astype(float), s.factor)
        scale = np.mean(np.abs(times(2 * (np.abs(h.z) + np.abs(h.y)) * gate, s.factor)), axis=0)
        gain = 1 + np.mean(np.abs(like(v, s.factor)) + np.abs(s.factor), axis=0)
        opened = s.factor[gate]
        one = "1" if s.name == "b" else "x^T"
        cases_tex = r"[z > 0]" + ("" if s.name == "b" else r"\,x^T")
        z_i = r"w \cdot x_i + b"

        def line(
            number: int, text: str, latex: str, hand: Array, s: Side = s, scale: Array = scale, gain: Array = gain
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
                np.mean(times(2 * v, 0 - gated), axis=0),
            ),
            Line(n[3], "d(v^2)/dv = 2v", r"\frac{d v^2}{dv} = 2v", 2 * v, dv2, "jax.jacobian", 0 * v),
            line(
                n[4],
                f"{d} = (1/N) sum_i {s.zero} where z_i <= 0, -2 v_i{s.row} where z_i > 0",
                rf"{d_tex} = \frac{{1}}{{N}} \sum_i [z_i > 0] \, (-2 v_i){s.row_tex}",
                np.mean(np.where(like(gate, s.factor), times(-2 * v, s.factor), 0), axis=0),
            ),
            line(
                n[5],
                f"{d} = (1/N) sum_i {s.zero} where z_i <= 0, -2 (y_i - max(0, w.x_i + b)){s.row} where z_i > 0",
                rf"{d_tex} = \frac{{1}}{{N}} \sum_i [z_i > 0] \, (-2)(y_i - \max(0, {z_i})){s.row_tex}",
                np.mean(np.where(like(gate, s.factor), times(-2 * (h.y - np.maximum(0, h.z)), s.factor), 0), axis=0),
            ),
            line(
                n[6],
                f"{d} = (1/N) sum_i {s.zero} where z_i <= 0, 2 (w.x_i + b - y_i){s.row} where z_i > 0",
                rf"{d_tex} = \frac{{1}}{{N}} \sum_i [z_i > 0] \, 2 ({z_i} - y_i){s.row_tex}",
                np.mean(np.where(like(gate, s.factor), times(2 * e, s.factor), 0), axis=0),
            ),
            line(
                n[7],
                f"{d} = (2/N) sum over open gates (w.x_i + b - y_i){s.row}",
                rf"{d_tex} = \frac{{2}}{{N}} {open_gates} ({z_i} - y_i){s.row_tex}",
                2 / count * np.sum(times(e[gate], opened), axis=0),
            ),
            line(
                n[8],
                f"{d} = (2/N) sum over open gates e_i{s.row}, e_i = w.x_i + b - y_i",
                rf"{d_tex} = \frac{{2}}{{N}} {open_gates} e_i{s.row_tex}, \quad e_i = {z_i} - y_i",
                2 / count * (e[gate] @ opened),
            ),
            *computed(s, h, d, d_tex, rate, 2 / count * (e[gate] @ opened), scale, gain),
        ]
    return lines


def _derivative_of_residual(h: Hand, o: Oracle, name: str) -> Array:
    jax = o.jax
    argument = 0 if name == "w" else 1

    def residual(w: Array, b: Array, x: Array, y: Array) -> Array:
        return y - o.activation(pre_activation(jax, w, b, x))

    return jax.vmap(lambda x, y: jax.jacobian(residual, argument)(h.w, h.b, x, y))(h.X, h.y)
