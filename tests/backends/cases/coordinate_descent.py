"""Cases of coordinate descent.

NaN are refused before any of these runs, and a comparison with NaN means something else in each language.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.coordinate_descent import coordinate_descent_columns, coordinate_descent_gram
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(coordinate_descent_gram, tolerance="reduction", nan=False)
def gram_cases(draw: Draw) -> Iterator[Case]:
    for features, l1, l2, positive in ((7, 3.0, 0.0, False), (7, 1.0, 2.5, True), (1, 0.5, 0.0, False)):
        x, y = draw.normal(20, features), draw.normal(20)
        statics = {"l1": l1, "l2": l2, "positive": positive, "tolerance": 1e-3}
        yield case(x.T @ x, x.T @ y, draw.normal(features), sweeps=3, **statics)
    x = draw.normal(20, 5)
    x[:, 2] = 0.0
    yield case(x.T @ x, x.T @ draw.normal(20), draw.normal(5), sweeps=2, **(statics | {"l1": 2.0}))
    # Columns at right angles: the second sweep moves nothing, and ends it.
    yield case(
        np.diag(draw.values(2.0, 4.0, 8.0)), draw.values(4.0, -8.0, 1.0), draw.values(0, 0, 0), sweeps=9, **statics
    )
    yield case(np.diag(draw.values(2.0, 4.0)), draw.values(4.0, 1.0), draw.values(0, 0), sweeps=0, **statics)
    # All weights become zero in the first sweep, and stay so in the second.
    yield case(np.diag(draw.values(2.0, 4.0)), draw.values(4.0, 1.0), draw.values(1, 0), **(statics | LARGE))
    yield case(draw.normal(0, 0), draw.normal(0), draw.normal(0), sweeps=0, **statics)


@cases(coordinate_descent_columns, tolerance="reduction", nan=False)
def column_cases(draw: Draw) -> Iterator[Case]:
    for samples, features, l1, l2, positive in (
        (5, 7, 1.0, 0.0, False),
        (33, 3, 1.0, 2.5, True),
        (1, 2, 0.1, 1, False),
    ):
        statics = {"l1": l1, "l2": l2, "positive": positive, "tolerance": 1e-3}
        yield case(draw.normal(features, samples), draw.normal(samples), draw.normal(features), sweeps=3, **statics)
    columns = draw.normal(4, 6)
    columns[1, :] = 0.0
    yield case(columns, draw.normal(6), draw.normal(4), sweeps=2, **statics)
    yield case(np.diag(draw.values(2.0, 4.0, 8.0)), draw.values(4, -8, 1), draw.values(0, 0, 0), sweeps=9, **statics)
    yield case(draw.normal(2, 6), draw.normal(6), draw.values(1, 0), **(statics | LARGE))
    yield case(columns, draw.normal(6), draw.normal(4), sweeps=0, **statics)


LARGE = {"l1": 100.0, "sweeps": 5, "tolerance": 0.25}
