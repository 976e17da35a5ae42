"""The residual network has the paper's sizes, and learns."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn, optim
from portml.backends import to_numpy
from portml.errors import ArgumentError
from tests.tolerances import assert_close


def test_resnet20_has_the_papers_number_of_parameters():
    model = nn.models.ResNet(rng=0)
    # 0.27 million in the paper; the 1×1 shortcuts and the scale and shift of each normalisation are counted here.
    assert sum(parameter.value.size for parameter in model.parameters()) == 272_474
    assert len(model.layers) == 9


def test_each_stage_halves_the_image_and_the_head_gives_logits(backend):
    model = nn.models.ResNet(5, 1, (1, 1), (4, 8), stem_stride=2, rng=0, backend=backend)
    x = backend.asarray(np.random.default_rng(0).normal(size=(2, 1, 28, 28)), dtype="float32")
    inner = model.stem(x)
    assert tuple(inner.shape) == (2, 4, 14, 14)
    assert tuple(model.layers(inner).shape) == (2, 8, 7, 7)
    assert tuple(model(x).shape) == (2, 5)


def test_a_block_adds_to_its_input(backend):
    block = nn.models.BasicBlock(3, 3, rng=nn.initialisation.generator_for(0, backend))
    block.bn2.weight.assign(backend.zeros((3,), "float32"))
    x = backend.asarray(np.abs(np.random.default_rng(1).normal(size=(2, 3, 5, 5))), dtype="float32")
    assert block.downsample is None
    assert_close(block(x).value, x, "elementwise")


def test_it_learns_which_side_is_bright():
    draw = np.random.default_rng(0)
    labels = np.arange(32) % 2
    images = draw.normal(size=(32, 1, 8, 8)).astype("float32")
    images[labels == 1, :, :, 4:] += 2
    model = nn.models.ResNet(2, 1, (1, 1), (4, 8), rng=0)
    steps, loss = optim.SGD(model.parameters(), lr=0.05, momentum=0.9), nn.CrossEntropyLoss()
    for _ in range(40):
        steps.zero_grad()
        loss(model(images), labels).backward()
        steps.step()
    model.eval()
    assert np.mean(np.argmax(to_numpy(model(images).value), axis=1) == labels) == 1


def test_stages_without_widths_are_refused():
    with pytest.raises(ArgumentError, match="blocks, widths"):
        nn.models.ResNet(blocks=(1, 1), widths=(4,))
