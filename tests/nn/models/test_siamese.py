"""The siamese network measures how far apart two inputs fall."""

from __future__ import annotations

import numpy as np

from portml import nn
from portml.backends import to_numpy
from portml.nn.models import SiameseNetwork


def test_the_distance_is_that_of_the_embeddings_and_the_same_both_ways(backend):
    model = SiameseNetwork(nn.Linear(4, 3, rng=0, backend=backend))
    draw = np.random.default_rng(0)
    a, b = (backend.asarray(draw.normal(size=(5, 4)), dtype="float32") for _ in range(2))
    expected = np.linalg.norm((to_numpy(a) - to_numpy(b)) @ to_numpy(model.embedding.weight).T, axis=1)
    np.testing.assert_allclose(to_numpy(model(a, b)), expected, rtol=1e-4)
    np.testing.assert_allclose(to_numpy(model(b, a)), expected, rtol=1e-4)


def test_equal_inputs_have_a_gradient_that_is_finite(backend):
    model = SiameseNetwork(nn.Linear(4, 3, rng=0, backend=backend))
    x = backend.asarray(np.ones((2, 4)), dtype="float32")
    distance = model(x, x)
    assert np.all(to_numpy(distance) < 1e-3)
    distance[0].backward()
    assert np.all(np.isfinite(to_numpy(model.embedding.weight.grad)))
