"""NumPy's and SciPy's functions on ducks, by kind.

Each has the parameters of NumPy's that it heeds, by NumPy's names; an argument of another is refused where the function
is called (`duck`), as are `dtype=` but floats', while `out=` is seen to there.
"""

# each registers its functions
from gdjax.verification.programs.functions import (  # noqa: F401
    entrywise,
    linear_algebra,
    methods,
    orders,
    products,
    reductions,
    shapes,
    special,
)
