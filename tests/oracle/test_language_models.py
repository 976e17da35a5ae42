"""Language models beside PyTorch's of the same parameters: state both ways, logits, gradients, steps of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import torch_language_models
from portml import nn, optim
from portml.backends import kernels_switched, operations
from tests.oracle.module_oracle import TOLERANCES, compare_modules

pytestmark = [pytest.mark.oracle, pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "gpt"])]

VOCABULARY, LENGTH, SAMPLES = 11, 9, 4
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, VOCABULARY, (3, SAMPLES, LENGTH + 1))


def pair(name: str, dtype: str) -> tuple[Any, Any]:
    """Our model and PyTorch's, each with weights of its own."""
    if name == "gpt":
        ours: Any = nn.models.GPT(VOCABULARY, LENGTH, 8, 2, 3, rng=0, dtype=dtype)
        theirs: Any = torch_language_models.GPT(VOCABULARY, LENGTH, 8, 2, 3)
    else:
        ours = nn.models.RecurrentLanguageModel(VOCABULARY, 6, 10, 2, name, rng=0, dtype=dtype)
        theirs = torch_language_models.RecurrentLanguageModel(VOCABULARY, 6, 10, 2, name)
    return ours, theirs.to(getattr(torch, dtype))


def hand_over(ours: Any, theirs: Any) -> None:
    """The weights of ours, which grow a little so that what they say differs, to PyTorch's."""
    for parameter in ours.parameters():
        parameter.assign(parameter.value * 3)
    theirs.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in ours.state_dict().items()})


@pytest.mark.parametrize("kernels", ["fused", "pure", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_and_gradients_are_pytorchs(name: str, dtype: str, kernels: str) -> None:
    ours, theirs = pair(name, dtype)
    hand_over(ours, theirs)
    with kernels_switched(kernels, "numpy"):
        compare_modules(ours, theirs, [TOKENS[0, :, :-1]], dtype)
        compare_modules(ours, theirs, [TOKENS[1, :1, :1]], dtype, tolerance=TOLERANCES[dtype] * 2)  # adds to the first


def test_weights_of_pytorch_are_read_by_name(name: str) -> None:
    ours, theirs = pair(name, "float64")
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    compare_modules(ours, theirs, [TOKENS[0, :, :-1]], "float64")


def test_three_steps_of_training_lead_to_the_same_weights(name: str) -> None:
    ours, theirs = pair(name, "float64")
    hand_over(ours, theirs)
    adam = optim.AdamW(ours.parameters(), lr=1e-2, weight_decay=0.1)
    other = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    loss = nn.CrossEntropyLoss()
    for tokens in TOKENS:
        inputs, targets = tokens[:, :-1], tokens[:, 1:].reshape(-1)
        adam.zero_grad()
        here = loss(operations.reshape(ours(inputs), (-1, VOCABULARY)), targets)
        here.backward()
        norm = optim.clip_grad_norm_(ours.parameters(), 0.5)
        adam.step()
        other.zero_grad()
        logits = theirs(torch.from_numpy(inputs)).flatten(0, 1)
        there = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets))
        there.backward()
        their_norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        other.step()
        assert float(norm) == pytest.approx(their_norm.item(), rel=1e-9)
        assert here.item() == pytest.approx(there.item(), rel=1e-9)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-6, atol=1e-8, err_msg=key)
