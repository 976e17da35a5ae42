"""The recurrent classifier beside the same network of PyTorch's layers: logits and all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from portml import nn
from portml.backends import kernels_switched
from tests.tolerances import assert_close

pytestmark = pytest.mark.oracle

VOCABULARY, DIM, SIZE = 11, 6, 5


class Theirs(torch.nn.Module):
    """Packed sequences through PyTorch's layers, pooled by hand."""

    def __init__(self, cell: str, n_layers: int, bidirectional: bool, pooling: str) -> None:
        super().__init__()
        self.pooling, self.ways = pooling, 2 if bidirectional else 1
        self.embedding = torch.nn.Embedding(VOCABULARY, DIM, padding_idx=0)
        layer = getattr(torch.nn, cell.upper())
        self.recurrent = layer(DIM, SIZE, n_layers, batch_first=True, bidirectional=bidirectional)
        self.classifier = torch.nn.Linear(SIZE * self.ways, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        lengths = (tokens != 0).sum(1)
        packed = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
        y, end = self.recurrent(packed)
        states, _ = pad_packed_sequence(y, batch_first=True)
        counts = (tokens != 0)[:, : states.shape[1], None]
        if self.pooling == "mean":
            return self.classifier((states * counts).sum(1) / lengths[:, None])
        if self.pooling == "max":
            return self.classifier(states.masked_fill(~counts, -torch.inf).amax(1))
        h = end[0] if isinstance(end, tuple) else end
        return self.classifier(torch.cat([*h[-self.ways :]], 1))


@pytest.mark.parametrize("kernels", ["fused", "pure", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
@pytest.mark.parametrize(("n_layers", "bidirectional"), [(1, False), (1, True), (2, True)])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_logits_and_gradients(
    cell: str, n_layers: int, bidirectional: bool, pooling: str, dtype: str, kernels: str
) -> None:
    torch.manual_seed(0)
    theirs = Theirs(cell, n_layers, bidirectional, pooling).to(getattr(torch, dtype))
    options: dict[str, Any] = {"cell": cell, "bidirectional": bidirectional, "pooling": pooling, "dtype": dtype}
    ours = nn.models.RecurrentClassifier(VOCABULARY, 3, DIM, SIZE, n_layers, **options, rng=0)
    state = theirs.state_dict()
    assert ours.load_state_dict(state) == ([], [])
    assert list(ours.state_dict()) == list(state)
    tokens = np.asarray([[3, 4, 5, 6, 7], [1, 2, 0, 0, 0], [9, 10, 3, 3, 0]])
    labels = np.asarray([0, 2, 1])
    with kernels_switched(kernels, "numpy"):
        logits, expected = ours(tokens), theirs(torch.from_numpy(tokens))
        nn.CrossEntropyLoss()(logits, labels).backward()
        torch.nn.functional.cross_entropy(expected, torch.from_numpy(labels)).backward()
    assert_close(logits.value, expected.detach().numpy(), "reduction")
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(one.grad.value, other.grad.numpy(), "gradient")
