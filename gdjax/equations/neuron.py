"""Equations 2 to 12: the neuron and its gradient."""

from collections.abc import Callable
from functools import partial

import numpy as np

from gdjax.equations.values import Array, Hand, Line, Oracle, is_article, pre_activation, slope_scale_of, times
from gdjax.formulas import Formula

GRAPH = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
"""The z at which equations 8 and 9 draw the activation and its slope, the kink among them."""


def neuron(h: Hand, o: Oracle, formula: Formula) -> list[Line]:
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
    slope_scale = 0 * h.z if article else slope_scale_of(h.z, h.u, h.slope)
    graph_scale = 0 * GRAPH if article else slope_scale_of(GRAPH, value(GRAPH), slope(GRAPH))
    x_scale = slope_scale[:, None] * np.abs(h.X)
    spread = 1 + np.abs(h.z)
    x_gain = 1 + times(spread, np.abs(h.X)) + np.abs(h.slope)[:, None]
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
