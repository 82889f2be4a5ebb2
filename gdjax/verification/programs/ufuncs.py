"""Which ufuncs of NumPy and SciPy are one primitive."""

from __future__ import annotations

from typing import Any

import numpy as np

PRIMITIVES: dict[Any, str] = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div", np.negative: "neg", np.power: "pow",
    np.float_power: "pow", np.square: "square", np.fmod: "rem", np.positive: "copy", np.conjugate: "copy",
    np.maximum: "max", np.minimum: "min", np.absolute: "abs", np.fabs: "abs", np.sign: "sign",
    np.greater: "gt", np.greater_equal: "ge", np.less: "lt", np.less_equal: "le", np.equal: "eq", np.not_equal: "ne",
    np.logical_and: "and", np.logical_or: "or", np.logical_not: "not", np.logical_xor: "xor",
    np.bitwise_and: "and", np.bitwise_or: "or", np.invert: "not", np.bitwise_xor: "xor",
    np.isnan: "is_nan", np.isfinite: "is_finite",
    np.floor: "floor", np.ceil: "ceil", np.trunc: "trunc", np.rint: "round",
    np.exp: "exp", np.exp2: "exp2", np.expm1: "expm1", np.log: "log", np.log2: "log2", np.log10: "log10",
    np.log1p: "log1p", np.sqrt: "sqrt", np.cbrt: "cbrt",
    np.sin: "sin", np.cos: "cos", np.tan: "tan", np.arcsin: "asin", np.arccos: "acos", np.arctan: "atan",
    np.arctan2: "atan2", np.sinh: "sinh", np.cosh: "cosh", np.tanh: "tanh", np.arcsinh: "asinh",
    np.arccosh: "acosh", np.arctanh: "atanh",
}  # fmt: skip

# Of `scipy.special`, which is imported by those who use it.
OF_SCIPY = {
    "expit": "logistic", "erf": "erf", "erfc": "erfc", "erfinv": "erf_inv", "gammaln": "lgamma", "psi": "digamma",
}  # fmt: skip
