"""Autoencoders give back what they were given, through a narrow code."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn, optim
from portml.backends import to_numpy
from portml.errors import ArgumentError
from portml.nn.models import Autoencoder, VariationalAutoencoder, VariationalOutput, negative_evidence_lower_bound
from portml.random import Generator


def test_data_of_two_dimensions_goes_through_a_code_of_two():
    draw = np.random.default_rng(0)
    x = (draw.normal(size=(200, 2)) @ draw.normal(size=(2, 10))).astype("float32")
    model = Autoencoder([10, 2], rng=0)
    steps, loss = optim.Adam(model.parameters(), lr=0.05), nn.MSELoss()
    for _ in range(400):
        steps.zero_grad()
        loss(model(x), x).backward()
        steps.step()
    assert float(to_numpy(loss(model(x), x).value)) < 0.01 * x.var()
    assert tuple(model.encode(x).shape) == (200, 2)


def test_the_bound_is_the_papers_formula(backend):
    draw = np.random.default_rng(0)
    logits, mean, log_variance = draw.normal(size=(4, 6)), draw.normal(size=(4, 2)), draw.normal(size=(4, 2))
    target = draw.uniform(size=(4, 6))
    output = VariationalOutput(*(backend.asarray(array) for array in (logits, mean, log_variance)))
    found = negative_evidence_lower_bound(output, backend.asarray(target.reshape(4, 2, 3)))
    p = 1 / (1 + np.exp(-logits))
    reconstruction = -np.sum(target * np.log(p) + (1 - target) * np.log(1 - p), axis=1)
    divergence = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)
    assert float(to_numpy(found)) == pytest.approx(np.mean(reconstruction + divergence), rel=1e-12)


def test_the_gradient_reaches_every_parameter_through_the_drawn_code(backend):
    model = VariationalAutoencoder(6, 5, 2, rng=0, backend=backend)
    x = backend.asarray(np.random.default_rng(0).uniform(size=(3, 6)), dtype="float32")
    negative_evidence_lower_bound(model(x), x).backward()
    assert all(np.any(to_numpy(parameter.grad) != 0) for parameter in model.parameters())


def test_codes_are_drawn_in_training_and_are_the_mean_in_evaluation(backend):
    model = VariationalAutoencoder(6, 5, 2, rng=0, backend=backend)
    x = backend.asarray(np.random.default_rng(0).uniform(size=(3, 6)), dtype="float32")
    first, second = (to_numpy(model(x).logits) for _ in range(2))
    assert np.all(first != second)
    model.eval()
    rest = model(x)
    np.testing.assert_allclose(to_numpy(rest.logits), to_numpy(model.decoder(rest.mean)), rtol=1e-6)


def test_samples_are_probabilities_and_the_same_for_a_seed(backend):
    model = VariationalAutoencoder(6, 5, 2, rng=0, backend=backend).eval()
    samples = to_numpy(model.sample(7, Generator(1, backend)))
    assert samples.shape == (7, 6)
    assert np.all((samples > 0) & (samples < 1))
    np.testing.assert_array_equal(samples, to_numpy(model.sample(7, Generator(1, backend))))


def test_a_code_of_nothing_is_refused():
    with pytest.raises(ArgumentError, match="n_latent"):
        VariationalAutoencoder(6, 5, 0)
