"""The formulas of a neuron in MathML Core, which browsers show without script or font."""

from html import escape

from gdjax.neuron import Neuron


def _i(name: str) -> str:
    return f"<mi>{escape(name)}</mi>"


def _o(sign: str) -> str:
    return f"<mo>{escape(sign)}</mo>"


def _n(number: float | int | str) -> str:
    return f"<mn>{escape(str(number))}</mn>"


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _sub(base: str, index: str) -> str:
    return f"<msub>{base}{index}</msub>"


def _over(top: str, bottom: str) -> str:
    return f"<mfrac>{top}{bottom}</mfrac>"


def _call(name: str, *arguments: str) -> str:
    inside = _o(",").join(arguments)
    return _row(f"<mi mathvariant='normal'>{escape(name)}</mi>", _o("("), inside, _o(")"))


def _sum(index: str) -> str:
    return f"<munder>{_o('∑')}{_i(index)}</munder>"


Z = _row(_i("w"), _o("·"), _sub(_i("x"), _i("i")), _o("+"), _i("b"))
Z_I, Y_I, P_I, S_I = (_sub(_i(name), _i("i")) for name in ("z", "y", "p", "s"))


def formulas(neuron: Neuron) -> list[tuple[str, str]]:
    """(what it is in words, MathML) of the model, its slope, its loss, the cost, and the gradient."""
    activation, loss = neuron.formula.activation, neuron.formula.loss
    lines = [
        ("pre-activation", _row(Z_I, _o("="), Z if neuron.bias else _row(_i("w"), _o("·"), _sub(_i("x"), _i("i"))))),
        ("prediction", _row(P_I, _o("="), _activation(activation.name, activation.parameters))),
        ("loss of a sample", _row(_sub(_i("ℓ"), _i("i")), _o("="), _loss(loss.name, loss.parameters))),
        ("cost", _row(_i("C"), _o("="), _mean(_sub(_i("ℓ"), _i("i"))), *_penalties(neuron))),
        ("derivative of a sample", _row(_sub(_i("r"), _i("i")), _o("="), _residual(neuron))),
        (
            "gradient",
            _row(_partial("w"), _o("="), _mean(_sub(_i("r"), _i("i")), _sub(_i("x"), _i("i"))), *_slopes(neuron)),
        ),
    ]
    if neuron.bias:
        lines.append(("", _row(_partial("b"), _o("="), _mean(_sub(_i("r"), _i("i"))))))
    return [(words, f'<math display="block">{formula}</math>') for words, formula in lines]


def _mean(*terms: str) -> str:
    return _over(_row(_sum("i"), S_I, *terms), _row(_sum("i"), S_I))


def _partial(name: str) -> str:
    return _over(_row(_o("∂"), _i("C")), _row(_o("∂"), _i(name)))


def _activation(name: str, parameters: tuple[float, ...]) -> str:
    if name == "relu":
        return _call("max", _n(0), Z_I)
    if name == "identity":
        return Z_I
    if name == "leaky_relu":
        return _call("max", _row(_n(f"{parameters[0]:g}"), _o("⁢"), Z_I), Z_I)
    if name == "sigmoid":
        return _over(_n(1), _row(_n(1), _o("+"), _power(_i("e"), _row(_o("−"), Z_I))))
    if name == "exp":
        return _power(_i("e"), Z_I)
    if name == "softplus":
        return _call("log", _row(_n(1), _o("+"), _power(_i("e"), Z_I)))
    return _call(name, Z_I)


def _power(base: str, exponent: str) -> str:
    return f"<msup>{base}{exponent}</msup>"


def _loss(name: str, parameters: tuple[float, ...]) -> str:
    error = _row(P_I, _o("−"), Y_I)
    if name == "squared_error":
        return _power(_row(_o("("), error, _o(")")), _n(2))
    if name == "absolute_error":
        return _row(_o("|"), error, _o("|"))
    if name == "log_loss":
        one = _row(_o("("), _n(1), _o("−"), Y_I, _o(")"))
        return _row(
            _o("−"), Y_I, _call("log", P_I), _o("−"), one, _call("log", _row(_n(1), _o("−"), P_I))
        )  # fmt: skip
    if name == "poisson":
        return _row(P_I, _o("−"), Y_I, _call("log", P_I))
    if name == "huber":
        return _row(_sub(_i("huber"), _n(f"{parameters[0]:g}")), _o("("), error, _o(")"))
    return _call(name, P_I, Y_I)


def _residual(neuron: Neuron) -> str:
    activation, loss = neuron.formula.activation.name, neuron.formula.loss
    error = _row(P_I, _o("−"), Y_I)
    if loss.link is not None:
        return error
    gate = {
        "relu": _row(_o("["), Z_I, _o(">"), _n(0), _o("]")),
        "identity": "",
    }.get(activation, _row(_power(_i(activation), _o("′")), _o("("), Z_I, _o(")")))
    if loss.name == "squared_error":
        return _row(_n(2), _o("("), error, _o(")"), gate)
    if loss.name == "absolute_error":
        return _row(_call("sign", error), gate)
    return _row(_power(_i(loss.name), _o("′")), _o("("), P_I, _o(","), Y_I, _o(")"), gate)


def _penalties(neuron: Neuron) -> list[str]:
    parts = []
    if neuron.l2:
        squares = _power(_row(_o("‖"), _i("w"), _o("‖")), _n(2))
        parts += [_o("+"), _n(f"{neuron.l2:g}"), squares]
    if neuron.l1:
        parts += [_o("+"), _n(f"{neuron.l1:g}"), _sub(_row(_o("‖"), _i("w"), _o("‖")), _n(1))]
    return parts


def _slopes(neuron: Neuron) -> list[str]:
    parts = []
    if neuron.l2:
        parts += [_o("+"), _n(2), _o("·"), _n(f"{neuron.l2:g}"), _i("w")]
    if neuron.l1:
        parts += [_o("+"), _n(f"{neuron.l1:g}"), _call("sign", _i("w"))]
    return parts
