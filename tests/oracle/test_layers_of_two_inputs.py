"""Bilinear forms, cosines and distances beside PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from portml import nn
from tests.oracle.layer_oracle import compare_layers, drawn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)], ids=str)
def test_a_bilinear_form_does_what_pytorchs_does(batch: tuple[int, ...], bias: bool, dtype: str) -> None:
    theirs = torch.nn.Bilinear(3, 5, 4, bias=bias, dtype=getattr(torch, dtype))
    ours = nn.Bilinear(3, 5, 4, bias=bias, rng=0, dtype=dtype)
    compare_layers(ours, theirs, [drawn(*batch, 3, dtype=dtype), drawn(*batch, 5, dtype=dtype, seed=1)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_a_cosine_does_what_pytorchs_does(dim: int, dtype: str) -> None:
    inputs = [drawn(4, 3, dtype=dtype), drawn(4, 3, dtype=dtype, seed=1)]
    compare_layers(nn.CosineSimilarity(dim), torch.nn.CosineSimilarity(dim), inputs)
    compare_layers(nn.CosineSimilarity(dim), torch.nn.CosineSimilarity(dim), [inputs[0][:, None], inputs[1]])
    inputs[0][...] = 0  # a vector without direction
    compare_layers(nn.CosineSimilarity(dim), torch.nn.CosineSimilarity(dim), inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"p": 1.0}, {"p": 3.0, "keepdim": True}, {"eps": 1e-2}], ids=str)
def test_a_distance_does_what_pytorchs_does(options: dict[str, Any], dtype: str) -> None:
    inputs = [drawn(4, 3, dtype=dtype), drawn(4, 3, dtype=dtype, seed=1)]
    compare_layers(nn.PairwiseDistance(**options), torch.nn.PairwiseDistance(**options), inputs)
    compare_layers(nn.PairwiseDistance(**options), torch.nn.PairwiseDistance(**options), [inputs[0], inputs[0]])
