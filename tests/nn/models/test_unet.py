"""U-Net gives an output for every pixel, and its bridges carry what pooling loses."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn, optim
from portml.backends import to_numpy
from portml.errors import ArgumentError, ShapeError


def test_the_output_has_the_size_of_the_input(backend):
    model = nn.models.UNet(2, 3, (4, 8, 16), rng=0, backend=backend)
    x = backend.asarray(np.random.default_rng(0).normal(size=(2, 2, 8, 12)), dtype="float32")
    assert tuple(model(x).shape) == (2, 3, 8, 12)


def test_it_learns_to_mark_bright_pixels():
    images = np.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype("float32")
    bright = (images > 0.5).astype("float32")
    model = nn.models.UNet(1, 1, (8, 16), rng=0)
    steps, loss = optim.Adam(model.parameters(), lr=0.02), nn.BCEWithLogitsLoss()
    for _ in range(60):
        steps.zero_grad()
        loss(model(images), bright).backward()
        steps.step()
    found = to_numpy(model(images).value) > 0
    assert np.mean(found == (bright > 0)) > 0.95


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ShapeError, match=r"divisible by 4, got \(1, 1, 6, 8\)"):
        nn.models.UNet(rng=0)(np.zeros((1, 1, 6, 8), "float32"))
    with pytest.raises(ArgumentError, match="widths"):
        nn.models.UNet(widths=())
