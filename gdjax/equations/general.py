"""Equations 1 and 13 to 33 for any other activation and loss: what the chain rule makes of them."""

from collections.abc import Callable
from functools import partial

import numpy as np

from gdjax.equations.sides import computed, sides
from gdjax.equations.values import Array, Hand, Line, Oracle, like, pre_activation, slope_scale_of, times, when_flushed
from gdjax.formulas import Formula


def general_cost(h: Hand, o: Oracle, formula: Formula, rate: float) -> list[Line]:
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
    slope_scale = 0 * h.z if linked else slope_scale_of(h.z, h.u, h.slope)
    outer_scale = spread * (np.abs(outer) + np.abs(q) + np.abs(h.y))
    dl_scale = spread * np.abs(dl_du) + np.abs(q) + np.abs(h.y)
    # under a link, exp(z) - y cancels at the size of exp(z)
    if linked:
        dl_scale = dl_scale + np.abs(h.u)
        outer_scale = outer_scale + np.abs(h.u)
    r_scale = dl_scale * np.abs(du_dz) + np.abs(dl_du) * slope_scale + spread * np.abs(h.residual)
    dl_flushed = when_flushed(slope, q, h.y)
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

    for argument, s in enumerate(sides(h, o, u_of)):
        n = s.numbers
        d, d_tex = f"dC/d{s.name}", rf"\frac{{\partial C}}{{\partial {s.tex}}}"
        one, one_tex = ("", "") if s.name == "b" else (" x^T", r"\,x^T")
        du_text = f"du/d{s.name} = " + (("1" if s.name == "b" else "x^T") if linked else f"slope(z){one}")
        du_tex = rf"\frac{{\partial u}}{{\partial {s.tex}}} = " + (
            ("1" if s.name == "b" else "x^T") if linked else rf"\sigma'(z){one_tex}"
        )
        terms = times(h.residual, s.factor)
        size = np.abs(s.factor)
        scale, slack = (np.mean(times(change, size), axis=0) for change in (r_scale, h.flushed))
        dl_gain = 1 + times(r_gain, size) + np.abs(like(h.residual, s.factor))
        gain = np.mean(dl_gain, axis=0)
        r = "L'(z_i, y_i)" if linked else "L'(u_i, y_i) slope(z_i)"
        r_tex = "L'(z_i, y_i)" if linked else r"L'(u_i, y_i)\,\sigma'(z_i)"
        dl = jax.vmap(lambda x, y, a=argument: jax.jacobian(sample_cost, a)(h.w, h.b, x, y))(h.X, h.y)
        gradient = h.residual @ s.factor / len(h.y)
        lines += [
            Line(n[0], du_text, du_tex, times(du_dz, s.factor), s.du, "jax.jacobian",
                 times(slope_scale, size), gain=1 + times(spread, size) + np.abs(like(du_dz, s.factor))),
            Line(n[1], f"dL/d{s.name} = (dL/du)(du/d{s.name})",
                 rf"\frac{{\partial L}}{{\partial {s.tex}}} = \frac{{\partial L}}{{\partial u}}"
                 rf"\frac{{\partial u}}{{\partial {s.tex}}}",
                 times(dl_du * du_dz, s.factor), dl, "jax.jacobian", times(r_scale, size),
                 times(dl_flushed * np.abs(du_dz), size), dl_gain),
            Line(n[2], f"{d} = (1/N) sum_i dL_i/d{s.name}",
                 rf"{d_tex} = \frac{{1}}{{N}} \sum_i \frac{{\partial L_i}}{{\partial {s.tex}}}",
                 np.mean(times(dl_du * du_dz, s.factor), axis=0), s.gradient, "jax.jacobian", scale, slack, gain),
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
            *computed(s, h, d, d_tex, rate, gradient, scale, gain),
        ]  # fmt: skip
    return lines
