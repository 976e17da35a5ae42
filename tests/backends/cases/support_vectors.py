from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import support_vectors
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(support_vectors.radial_basis, tolerance="gradient")
def radial_basis_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(7, 5), draw.normal(33, 5), gamma=0.3)
    yield case(draw.normal(33, 3) + 100, draw.normal(7, 3) + 100, gamma=0.5)
    yield case(draw.normal(5, 257), draw.normal(1, 257), gamma=0.01)
    yield case(draw.normal(300, 2), draw.normal(300, 2), gamma=1.5)
    yield case(draw.normal(0, 3), draw.normal(7, 3), gamma=1.0)
    yield case(draw.normal(6, 5).T, draw.normal(4, 12)[:, ::2], gamma=1.0)


@cases(support_vectors.radial_basis_sum, tolerance="gradient")
def radial_basis_sum_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(7, 5), draw.normal(33, 5), draw.normal(33, 1), gamma=0.3)
    yield case(draw.normal(300, 2), draw.normal(301, 2), draw.normal(301, 3), gamma=1.5)
    yield case(draw.normal(0, 3), draw.normal(7, 3), draw.normal(7, 1), gamma=1.0)
    yield case(draw.normal(4, 3), draw.normal(0, 3), draw.normal(0, 2), gamma=1.0)


@cases(support_vectors.sequential_minimal_optimisation, tolerance="steps", nan=False)
def sequential_minimal_optimisation_cases(draw: Draw) -> Iterator[Case]:
    for n, copies, steps in ((7, 1, 0), (7, 1, 200), (33, 1, 12), (257, 1, 9), (300, 2, 8), (20, 2, 12)):
        samples, y = draw.normal(n, 4), np.sign(draw.normal(n)).astype(draw.dtype)
        matrix = support_vectors.radial_basis.agnostic(samples, samples, gamma=0.2)
        side = np.repeat(y if copies == 1 else draw.values(1, -1), n if copies == 2 else 1)
        highest, lowest = np.where(side > 0, side, 0 * side), np.where(side < 0, side, 0 * side)
        gradient = y if copies == 1 else np.concatenate([draw.normal(n)] * 2) - draw.values(0.1) * side
        yield case(matrix, gradient, lowest, highest, tolerance=1e-3, max_steps=steps)
    alike = np.ones((6, 6), draw.dtype)  # all samples the same: no curvature at all
    y = draw.values(1, -1, 1, -1, 1, -1)
    yield case(alike, y, np.minimum(y, 0) * 3, np.maximum(y, 0) * 5, tolerance=1e-3, max_steps=10)
    yield case(alike[:0, :0], y[:0], y[:0], y[:0], tolerance=1e-3, max_steps=3)


@cases(support_vectors.kernel_weighted_sum, tolerance="gradient")
def kernel_weighted_sum_cases(draw: Draw) -> Iterator[Case]:
    for shape in ((7, 33), (257, 5), (3, 0), (0, 3)):
        weights = draw.integers(-1, 2, shape[0]) * draw.normal(shape[0])
        yield case(draw.normal(*shape), weights.astype("float64"))
    yield case(draw.normal(9, 4), draw.normal(9))


@cases(support_vectors.dual_coordinate_descent, tolerance="steps", nan=False)
def dual_coordinate_descent_cases(draw: Draw) -> Iterator[Case]:
    for n, n_features, passes, squared in ((7, 3, 4, False), (33, 2, 2, True), (5, 257, 3, True), (0, 3, 2, False)):
        x, y = draw.normal(n, n_features), np.sign(draw.normal(n)).astype(draw.dtype)
        if n == 7:
            x[2] = 0
        bounds = np.full(n, np.inf if squared else 0.5, draw.dtype)
        shifts = np.full(n, 1.0 if squared else 0.0, draw.dtype)
        orders = np.stack([(np.arange(n) * 2 + turn) % max(n, 1) for turn in range(passes)])
        yield case(x, y, bounds, shifts, np.zeros(n, draw.dtype), np.zeros(n_features, draw.dtype), orders)
    yield case(
        *[draw.normal(4, 2), *[draw.values(1, -1, 1, -1)] * 3, draw.normal(4), draw.normal(2)],
        draw.integers(0, 4, 0, 4),
    )
