from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from portml.backends import Backend, to_numpy
from portml.classical.platt_scaling import coupled_probabilities, fit_sigmoid, sigmoid_probability


def test_the_sigmoid_is_that_of_the_largest_likelihood(backend: Backend) -> None:
    draws = np.random.default_rng(0)
    decisions = draws.standard_normal(80)
    positive = draws.random(80) < 1 / (1 + np.exp(-2 * decisions + 0.5))
    n = positive.sum()
    targets = np.where(positive, (n + 1) / (n + 2), 1 / (80 - n + 2))

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * decisions + ab[1]
        return float((targets * np.logaddexp(0, z) + (1 - targets) * np.logaddexp(0, -z)).sum())

    found = fit_sigmoid(backend.asarray(decisions), backend.asarray(positive))
    np.testing.assert_allclose(found, minimize(loss, [0.0, 0.0], tol=1e-10).x, atol=1e-4)


def test_separated_decisions_give_finite_sigmoids(backend: Backend) -> None:
    decisions = backend.asarray(np.concatenate([np.full(5, -1e6), np.full(5, 1e6)]))
    a, b = fit_sigmoid(decisions, decisions > 0)
    p = to_numpy(sigmoid_probability(decisions, a, b))
    assert np.isfinite(p).all()
    assert (p[5:] > p[:5]).all()


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_pairs_that_agree_give_their_own_probabilities_back(backend: Backend, n_classes: int) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(n_classes), 20)
    pairs = [(i, j) for i in range(n_classes) for j in range(i + 1, n_classes)]
    pairwise = np.stack([p[:, i] / (p[:, i] + p[:, j]) for i, j in pairs], axis=1)
    found = to_numpy(coupled_probabilities(backend.asarray(pairwise), n_classes))
    np.testing.assert_allclose(found, p, atol=1e-6)
