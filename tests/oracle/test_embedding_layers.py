"""Tables of vectors beside PyTorch's, one by one and in bags."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from portml import nn
from tests.oracle.layer_oracle import compare_layers, drawn

RNG = np.random.default_rng(0)
EMBEDDING: list[dict[str, Any]] = [
    {}, {"padding_idx": 2}, {"padding_idx": -1}, {"max_norm": 1.0}, {"max_norm": 0.7, "norm_type": 1.0},
    {"max_norm": 1.0, "norm_type": 3.0, "padding_idx": 0}, {"scale_grad_by_freq": True},
    {"scale_grad_by_freq": True, "padding_idx": 3}, {"max_norm": 1.0, "norm_type": float("inf")},
]  # fmt: skip
BAGS: list[dict[str, Any]] = [
    {"mode": mode, **options}
    for mode in ("sum", "mean", "max")
    for options in ({}, {"padding_idx": 2}, {"max_norm": 1.0})
]
OFFSETS = {"plain": [0, 3, 4], "empty bags": [0, 0, 2, 2, 5, 12], "one": [0], "all empty after": [0, 12, 12]}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", EMBEDDING, ids=str)
def test_an_embedding_does_what_pytorchs_does(options: dict[str, Any], dtype: str) -> None:
    for shape in ((6,), (3, 4), (2, 1, 5), (0,)):
        theirs = torch.nn.Embedding(9, 4, **options, dtype=getattr(torch, dtype))
        ours = nn.Embedding(9, 4, **options, rng=0, dtype=dtype)
        compare_layers(ours, theirs, [RNG.integers(0, 9, shape)], steps=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", BAGS, ids=str)
def test_bags_do_what_pytorchs_do(options: dict[str, Any], dtype: str) -> None:
    for offsets in OFFSETS.values():
        for include_last in (False, True):
            given = np.asarray([*offsets, 12] if include_last else offsets)
            ours, theirs = bags_of(options | {"include_last_offset": include_last}, dtype)
            compare_layers(ours, theirs, [RNG.integers(0, 9, 12), given], steps=1)
    for shape in ((3, 4), (5, 1), (1, 7)):
        compare_layers(*bags_of(options, dtype), [RNG.integers(0, 9, shape)], steps=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding_idx", [None, 3])
def test_weighted_bags_do_what_pytorchs_do(padding_idx: int | None, dtype: str) -> None:
    for shape, offsets in (((12,), [0, 0, 5]), ((3, 4), None)):
        ours, theirs = bags_of({"mode": "sum", "padding_idx": padding_idx}, dtype)
        given = None if offsets is None else np.asarray(offsets)
        arrays = [RNG.integers(0, 9, shape), drawn(*shape, dtype=dtype)]
        if given is None:
            compare_layers(_Weighted(ours), _TheirsWeighted(theirs), arrays, steps=1)
        else:
            compare_layers(_Weighted(ours), _TheirsWeighted(theirs), [*arrays, given], steps=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding_idx", [None, 3])
def test_gradients_of_bags_are_divided_by_frequency_as_those_of_pytorchs_rows(
    padding_idx: int | None, dtype: str
) -> None:
    # Not as its bags: up to 2.13 those divide by the count of another symbol on the CPU (its issue 190063).
    for offsets in OFFSETS.values():
        options = {"scale_grad_by_freq": True, "padding_idx": padding_idx}
        ours = nn.EmbeddingBag(9, 4, mode="sum", **options, rng=0, dtype=dtype)
        theirs = _TheirsSummed(9, 4, **options, dtype=getattr(torch, dtype))
        compare_layers(ours, theirs, [RNG.integers(0, 9, 12), np.asarray(offsets)], steps=1)


def test_given_vectors_are_frozen_unless_they_are_to_be_learnt() -> None:
    rows = drawn(5, 3)
    for ours, theirs in ((nn.Embedding, torch.nn.Embedding), (nn.EmbeddingBag, torch.nn.EmbeddingBag)):
        for freeze in (True, False):
            one = ours.from_pretrained(rows.copy(), freeze=freeze, padding_idx=1)
            other = theirs.from_pretrained(torch.from_numpy(rows.copy()), freeze=freeze, padding_idx=1)
            assert [each.requires_grad for each in one.parameters()] == [not freeze]
            compare_layers(one, other, [RNG.integers(0, 5, (2, 4))], steps=1)


def bags_of(options: dict[str, Any], dtype: str) -> tuple[nn.Module, torch.nn.Module]:
    theirs = torch.nn.EmbeddingBag(9, 4, **options, dtype=getattr(torch, dtype))
    return nn.EmbeddingBag(9, 4, **options, rng=0, dtype=dtype), theirs


class _Weighted(nn.Module):
    """Takes the factors as the second of three inputs."""

    def __init__(self, bags: nn.Module) -> None:
        self.bags = bags

    def forward(self, indices: Any, factors: Any, offsets: Any = None) -> Any:
        return self.bags(indices, offsets, per_sample_weights=factors)


class _TheirsSummed(torch.nn.Embedding):
    """Rows that are looked up one by one and added up."""

    def forward(self, indices: Any, offsets: Any) -> Any:
        bags = torch.searchsorted(offsets, torch.arange(len(indices)), right=True) - 1
        rows = super().forward(indices)
        if self.padding_idx is not None:
            rows = rows * (indices != self.padding_idx)[:, None]
        return torch.zeros(len(offsets), 4, dtype=rows.dtype).index_add(0, bags, rows)


class _TheirsWeighted(torch.nn.Module):
    def __init__(self, bags: torch.nn.Module) -> None:
        super().__init__()
        self.bags = bags

    def forward(self, indices: Any, factors: Any, offsets: Any = None) -> Any:
        return self.bags(indices, offsets, per_sample_weights=factors)
