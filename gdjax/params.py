"""Parameters: where a neuron is."""

from typing import Any, NamedTuple


class Params(NamedTuple):
    """Weights (D,) and a bias (), or (K, D) and (K,) for K neurons; also the shape of a gradient in them."""

    weights: Any
    bias: Any
