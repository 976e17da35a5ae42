"""Cases of the perceptron's rule.

NaN are refused before it runs, and a comparison with NaN means something else in each language.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.perceptron import perceptron_pass
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(perceptron_pass, tolerance="reduction", nan=False)
def perceptron_cases(draw: Draw) -> Iterator[Case]:
    for samples, features, outputs in ((33, 7, 3), (5, 3, 1), (0, 3, 2)):
        x, signs = draw.normal(samples, features), np.sign(draw.normal(samples, outputs))
        order = np.argsort(draw.normal(samples)).astype(np.int64)
        rates = draw.uniform(0.1, 2.0, samples, outputs)
        for fit_intercept in (True, False):
            # From zero on, as in every fit: a margin of zero counts as wrong.
            weights, intercept = draw.normal(outputs, features) * 0, draw.normal(outputs) * 0
            yield case(x, signs, rates, order, weights, intercept, fit_intercept=fit_intercept)
        yield case(x, signs, rates, order, draw.normal(outputs, features), draw.normal(outputs), fit_intercept=True)
