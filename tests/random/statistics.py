"""Tests of fit with closed-form critical values.  With fixed seeds they either always pass or always fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["chi_square_excess", "kolmogorov_smirnov_excess", "standard_normal_cdf"]

Samples = np.ndarray[Any, Any]

# Exceeded by chance once in a thousand.
KOLMOGOROV_QUANTILE = 1.9495
NORMAL_QUANTILE = 3.0902


def kolmogorov_smirnov_excess(samples: Samples, cdf: Callable[[Samples], Samples]) -> float:
    """Greatest distance between the samples' distribution and `cdf` over its critical value: above 1 is a misfit."""
    expected = cdf(np.sort(samples.astype(np.float64)))
    n = samples.size
    above = np.max(np.arange(1, n + 1) / n - expected)
    below = np.max(expected - np.arange(n) / n)
    return float(max(above, below) * math.sqrt(n) / KOLMOGOROV_QUANTILE)


def chi_square_excess(counts: Samples, expected: Samples) -> float:
    """Pearson's statistic of the counts over its critical value, by Wilson and Hilferty's cube: above 1 is a misfit."""
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    freedom = counts.size - 1
    spread = 2.0 / (9.0 * freedom)
    return statistic / (freedom * (1.0 - spread + NORMAL_QUANTILE * math.sqrt(spread)) ** 3)


def standard_normal_cdf(z: Samples) -> Samples:
    """Distribution function of a standard normal variable."""
    return np.asarray([0.5 * math.erfc(-each / math.sqrt(2.0)) for each in z.ravel()]).reshape(z.shape)
