"""Separability: whether a logistic regression has a finite optimum."""

import numpy as np

LINEAR_PROGRAM = 1 << 22
"""Numbers in X up to which separability is decided by linear programming."""


def separable(X: np.ndarray, y: np.ndarray, bias: bool) -> bool:
    """Whether some plane has all y = 1 on one side and all y = 0 on the other: a feasible linear program."""
    from scipy.optimize import linprog

    columns = np.concatenate([X, np.full((len(X), 1), float(bias))], axis=1).astype(np.float64)
    sign = (2.0 * y - 1.0)[:, None]
    answer = linprog(np.zeros(columns.shape[1]), A_ub=-sign * columns, b_ub=-np.ones(len(X)), bounds=(None, None))
    return bool(answer.status == 0)
