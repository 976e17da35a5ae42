"""Penalties: the guide's formulas, their gradients, and which parameters they touch."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn, optim
from portml.backends import to_numpy
from portml.errors import ArgumentError, RangeError
from portml.nn.penalty import ElasticNetPenalty, L1Penalty, L2Penalty, parameters_named
from portml.train import Trainer


def network(backend):
    return nn.Sequential(nn.Linear(3, 4, rng=0, backend=backend), nn.Linear(4, 2, rng=1, backend=backend))


@pytest.mark.parametrize(
    ("make", "value", "slope"),
    [
        (L1Penalty, lambda w: 0.1 * np.abs(w).sum(), lambda w: 0.1 * np.sign(w)),
        (L2Penalty, lambda w: 0.1 * (w**2).sum(), lambda w: 0.2 * w),
        (
            ElasticNetPenalty,
            lambda w: 0.1 * (0.5 * np.abs(w).sum() + 0.5 * (w**2).sum()),
            lambda w: 0.1 * (0.5 * np.sign(w) + w),
        ),
    ],
)
def test_a_penalty_and_its_gradient_are_the_guides(backend, make, value, slope):
    model = network(backend)
    penalty = make(parameters_named(model, "*.weight"), 0.1)()
    weights = [to_numpy(model[i].weight) for i in (0, 1)]
    assert float(to_numpy(penalty.value)) == pytest.approx(sum(map(value, weights)), rel=1e-6)
    penalty.backward()
    for i, weight in enumerate(weights):
        np.testing.assert_allclose(to_numpy(model[i].weight.grad), slope(weight), rtol=1e-6)
        assert model[i].bias.grad is None


def test_the_trainer_adds_it_to_its_loss_and_shrinks_long_gradients():
    x, y = np.ones((8, 3), "float32"), np.zeros(8, dtype="int64")

    def trained(penalise=False, **options):
        model = network("numpy")
        if penalise:
            options["penalty"] = L2Penalty(model.parameters(), 0.5)
        trainer = Trainer(model, optim.SGD(model.parameters(), lr=1.0), nn.CrossEntropyLoss(), **options)
        return model, trainer.fit((x, y), epochs=1, batch_size=8).rows[0]["loss"]

    plain, loss = trained()
    penalised, more = trained(penalise=True)
    assert more - loss == pytest.approx(
        0.5 * sum((to_numpy(p) ** 2).sum() for p in network("numpy").parameters()), rel=1e-4
    )
    # The gradient of ½ Σ w² is w: at a learning rate of 1 it takes the first weights away.
    first = to_numpy(network("numpy")[0].weight)
    np.testing.assert_allclose(to_numpy(penalised[0].weight), to_numpy(plain[0].weight) - first, atol=1e-6)
    still, _ = trained(clip_norm=0.0)
    np.testing.assert_array_equal(to_numpy(still[0].weight), to_numpy(network("numpy")[0].weight))
    short, _ = trained(clip_norm=0.01)
    moved = sum(
        ((to_numpy(one) - to_numpy(other)) ** 2).sum()
        for one, other in zip(short.parameters(), network("numpy").parameters(), strict=True)
    )
    assert np.sqrt(moved) == pytest.approx(0.01, rel=1e-3)


def test_penalties_that_are_none_are_refused():
    model = network("numpy")
    with pytest.raises(RangeError, match="strength"):
        L1Penalty(model.parameters(), -1.0)
    with pytest.raises(RangeError, match="l1_ratio"):
        ElasticNetPenalty(model.parameters(), 1.0, 2.0)
    with pytest.raises(ArgumentError, match="at least one parameter"):
        L1Penalty([], 1.0)
    with pytest.raises(ArgumentError, match=r"'\*.gamma' fits no parameter of 0.weight"):
        parameters_named(model, "*.weight", "*.gamma")
