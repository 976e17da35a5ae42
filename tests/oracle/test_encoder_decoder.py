"""The encoder and decoder beside one built from PyTorch's parts: logits, loss by symbol and every gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from portml import nn
from portml.backends import operations, to_numpy
from tests.tolerances import assert_close

SOURCE = np.asarray([[3, 4, 5, 0, 0], [8, 1, 2, 3, 4], [7, 7, 6, 0, 0]])
TARGET = np.asarray([[1, 3, 4, 2], [1, 5, 2, 0], [1, 6, 5, 4]])
EXPECTED = np.asarray([[3, 4, 2, 6], [5, 2, 0, 0], [6, 5, 4, 2]])
DIM, LONGEST = 8, 12


class Twin(torch.nn.Module):
    """The same model in PyTorch's words."""

    def __init__(self, shared: bool, positions: str, **options: Any) -> None:
        super().__init__()
        self.source_embedding = torch.nn.Embedding(9, DIM, padding_idx=0)
        self.target_embedding = self.source_embedding if shared else torch.nn.Embedding(7, DIM, padding_idx=0)
        self.learned = positions == "learned"
        if self.learned:
            self.source_positions, self.target_positions = (torch.nn.Embedding(LONGEST, DIM) for _ in range(2))
        self.transformer = torch.nn.Transformer(DIM, 2, 1, 2, 16, 0.0, batch_first=True, **options)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        later = torch.ones(target.shape[1], target.shape[1]).triu(1).bool()
        decoded = self.transformer(
            self.placed(self.source_embedding(source), "source_positions"),
            self.placed(self.target_embedding(target), "target_positions"),
            tgt_mask=later,
            src_key_padding_mask=source == 0,
            tgt_key_padding_mask=target == 0,
            memory_key_padding_mask=source == 0,
        )
        return decoded @ self.target_embedding.weight.T

    def placed(self, x: torch.Tensor, positions: str) -> torch.Tensor:
        x = x * math.sqrt(DIM)
        if self.learned:
            return x + getattr(self, positions).weight[: x.shape[1]]
        angles = torch.arange(x.shape[1]).double()[:, None] / 10000 ** (torch.arange(0, DIM, 2).double() / DIM)
        return x + torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(x.shape[1], DIM).to(x.dtype)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("options", [{"norm_first": True}, {"norm_first": False, "activation": "gelu"}], ids=str)
def test_an_encoder_and_decoder_do_what_pytorchs_do(options: dict, positions: str, shared: bool, dtype: str) -> None:
    torch.manual_seed(0)
    theirs = Twin(shared, positions, **options).to(getattr(torch, dtype))
    ours = nn.models.EncoderDecoder(
        9, None if shared else 7, DIM, 2, (1, 2), 16, LONGEST, positions=positions, dropout=0.0, dtype=dtype, **options
    )
    state = {name: to_numpy(value) for name, value in ours.state_dict().items()}
    report = theirs.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    assert (report.missing_keys, report.unexpected_keys) == ([], [])
    logits = ours(SOURCE, TARGET)
    expected = theirs(torch.from_numpy(SOURCE), torch.from_numpy(TARGET))
    assert_close(to_numpy(logits), expected.detach().numpy(), "reduction")
    n_symbols = logits.shape[-1]
    loss = nn.CrossEntropyLoss(ignore_index=0, label_smoothing=0.1)
    value = loss(operations.reshape(logits, (-1, n_symbols)), EXPECTED.reshape(-1))
    wanted = torch.nn.functional.cross_entropy(
        expected.reshape(-1, n_symbols), torch.from_numpy(EXPECTED.reshape(-1)), ignore_index=0, label_smoothing=0.1
    )
    assert_close(to_numpy(value), wanted.detach().numpy(), "reduction")
    value.backward()
    wanted.backward()
    gradients = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(gradients)
    for name, parameter in ours.named_parameters():
        assert_close(to_numpy(parameter.grad), gradients[name].grad.numpy(), "gradient")
