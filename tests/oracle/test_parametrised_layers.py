"""Weight and spectral normalisation beside PyTorch's: names, what is learnt, and how singular vectors are followed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations as theirs_of

from portml import nn
from tests.oracle.layer_oracle import compare_layers, drawn

LAYERS: dict[str, tuple[tuple[Any, ...], tuple[int, ...]]] = {
    "Linear": ((7, 5), (4, 7)),
    "Conv2d": ((3, 4, 3), (2, 3, 5, 5)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dim", [0, 1, None, -1])
@pytest.mark.parametrize("name", LAYERS)
def test_weight_normalisation_does_what_pytorchs_does(name: str, dim: int | None, dtype: str) -> None:
    arguments, shape = LAYERS[name]
    theirs = theirs_of.weight_norm(getattr(torch.nn, name)(*arguments, dtype=getattr(torch, dtype)), dim=dim)
    ours = nn.weight_norm(getattr(nn, name)(*arguments, rng=0, dtype=dtype), dim=dim)
    compare_layers(ours, theirs, [drawn(*shape, dtype=dtype)])


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"n_power_iterations": 3}, {"dim": 1}], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_spectral_normalisation_does_what_pytorchs_does(
    name: str, options: dict[str, Any], dtype: str, training: bool
) -> None:
    arguments, shape = LAYERS[name]
    theirs = theirs_of.spectral_norm(getattr(torch.nn, name)(*arguments, dtype=getattr(torch, dtype)), **options)
    ours = nn.spectral_norm(getattr(nn, name)(*arguments, rng=0, dtype=dtype), **options, rng=0)
    compare_layers(ours.train(training), theirs.train(training), [drawn(*shape, dtype=dtype)])


def test_a_tied_weight_is_saved_under_each_name_and_learnt_once_as_in_pytorch() -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 4)).double()
    theirs[2].weight = theirs[0].weight
    ours = nn.Sequential(nn.Linear(4, 4, rng=0, dtype="float64"), nn.Tanh(), nn.Linear(4, 4, rng=0, dtype="float64"))
    ours[2].weight = ours[0].weight
    # Alike under each name: a state that says two things of one weight has no meaning.
    state = theirs.state_dict()
    assert ours.load_state_dict(state) == ([], [])
    assert list(ours.state_dict()) == list(state)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    x = drawn(3, 4)
    ours(x).backward(np.ones((3, 4)))
    theirs(torch.from_numpy(x)).backward(torch.ones(3, 4, dtype=torch.float64))
    np.testing.assert_allclose(ours[0].weight.grad.numpy(), theirs[0].weight.grad.numpy(), rtol=1e-12)
