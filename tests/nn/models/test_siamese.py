"""The siamese network measures how far apart two inputs fall."""

from __future__ import annotations

import numpy as np

from portml import nn, optim
from portml.backends import to_numpy
from portml.nn.models import SiameseNetwork


def test_the_distance_is_that_of_the_embeddings_and_the_same_both_ways(backend):
    model = SiameseNetwork(nn.Linear(4, 3, rng=0, backend=backend))
    draw = np.random.default_rng(0)
    a, b = (backend.asarray(draw.normal(size=(5, 4)), dtype="float32") for _ in range(2))
    expected = np.linalg.norm((to_numpy(a) - to_numpy(b)) @ to_numpy(model.embedding.weight).T, axis=1)
    np.testing.assert_allclose(to_numpy(model.distance(a, b)), expected, rtol=1e-4)
    np.testing.assert_allclose(to_numpy(model.distance(b, a)), expected, rtol=1e-4)


def test_training_draws_pairs_together_and_others_apart(backend):
    draw = np.random.default_rng(0)
    kinds = draw.normal(size=(2, 4))
    one, other = (kinds[which] + 0.1 * draw.normal(size=(20, 4)) for which in ([0, 1] * 10, [0, 1, 1, 0] * 5))
    different = np.array([0.0, 0.0, 1.0, 1.0] * 5)
    model = SiameseNetwork(nn.Linear(4, 2, rng=0, backend=backend))
    a, b, target = (backend.asarray(array, dtype="float32") for array in (one, other, different))
    steps, loss = optim.Adam(model.parameters(), lr=0.05), nn.ContrastiveLoss(margin=2.0)
    for _ in range(40):
        steps.zero_grad()
        loss(*model(a, b), target).backward()
        steps.step()
    distance = to_numpy(model.distance(a, b))
    assert distance[different == 0].max() < distance[different == 1].min()
