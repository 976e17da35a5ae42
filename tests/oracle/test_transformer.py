"""Attention and transformer layers beside PyTorch's: state both ways, results, gradients, masks and options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from portml import nn
from portml.autograd import Tensor
from portml.backends import to_numpy
from portml.nn import functional
from tests.oracle.layer_oracle import drawn
from tests.tolerances import assert_close

N, L, S, E, H = 3, 5, 6, 8, 2
MASKS = np.random.default_rng(0)
LATER = np.triu(np.ones((L, L), bool), 1)
PADDING = np.asarray([[False] * 6, [False] * 4 + [True] * 2, [False, True] * 3])


def compare(ours: nn.Module, theirs: torch.nn.Module, inputs: list[np.ndarray], **masks: Any) -> float:
    """Load, run, pull back; the worst difference relative to the largest number."""
    torch.manual_seed(0)
    state = {name: value + torch.rand_like(value) / 4 for name, value in theirs.state_dict().items()}
    theirs.load_state_dict(state)
    assert ours.load_state_dict(state) == ([], [])
    assert list(ours.state_dict()) == list(state)
    theirs.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in ours.state_dict().items()})
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    here = [Tensor(x.copy(), requires_grad=True) for x in inputs]
    there = [torch.from_numpy(x.copy()).requires_grad_() for x in inputs]
    if masks.pop("itself", False):
        here, there = here * 3, there * 3
    given = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in masks.items()}
    results, expected = ours(*here, **masks), theirs(*there, **given)
    results, expected = (each if isinstance(each, tuple) else (each,) for each in (results, expected))
    worst = 0.0
    for one, other in zip(results, expected, strict=True):
        assert (one is None) == (other is None)
        if other is not None:
            worst = max(worst, difference(one, other, "reduction"))
    g = np.asarray(np.random.default_rng(1).normal(size=results[0].shape), inputs[0].dtype)
    results[0].backward(g)
    expected[0].backward(torch.from_numpy(g))
    for one, other in zip([*here, *ours.parameters()], [*there, *theirs.parameters()], strict=True):
        worst = max(worst, difference(one.grad, other.grad, "gradient"))
    return worst


def difference(one: Any, other: torch.Tensor, kind: str) -> float:
    actual, expected = to_numpy(one), other.detach().numpy()
    assert_close(actual, expected, kind)
    return float(np.abs(actual - expected).max(initial=0) / max(1.0, np.abs(expected).max(initial=0)))


ATTENTION = [
    {},
    {"bias": False},
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True},
    {"kdim": 7, "vdim": 4},
]
CALLS: list[dict[str, Any]] = [
    {},
    {"need_weights": False},
    {"average_attn_weights": False},
    {"key_padding_mask": PADDING},
    {"key_padding_mask": PADDING, "need_weights": False},
    {"attn_mask": MASKS.normal(size=(L, S))},
    {"attn_mask": MASKS.random((N * H, L, S)) < 0.3, "need_weights": False},
    {"attn_mask": MASKS.normal(size=(N * H, L, S)), "key_padding_mask": np.where(PADDING, -np.inf, 0)},
]


def typed(options: dict[str, Any], dtype: str) -> dict[str, Any]:
    real = (name for name, v in options.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f")
    return options | {name: options[name].astype(dtype) for name in real}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", ATTENTION, ids=str)
def test_multihead_attention_does_what_pytorchs_does(options: dict, batch_first: bool, dtype: str) -> None:
    for call in CALLS:
        theirs = torch.nn.MultiheadAttention(E, H, batch_first=batch_first, dtype=getattr(torch, dtype), **options)
        ours = nn.MultiheadAttention(E, H, batch_first=batch_first, dtype=dtype, **options)
        shapes = [(N, L, E), (N, S, options.get("kdim", E)), (N, S, options.get("vdim", E))]
        inputs = [drawn(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]
        inputs = inputs if batch_first else [np.ascontiguousarray(x.swapaxes(0, 1)) for x in inputs]
        compare(ours, theirs, inputs, **typed(call, dtype))


@pytest.mark.parametrize("need_weights", [False, True])
def test_self_attention_does_what_pytorchs_does(need_weights: bool) -> None:
    for mask in (None, LATER, np.where(LATER, -np.inf, 0.3)):
        theirs = torch.nn.MultiheadAttention(E, H, batch_first=True, dtype=torch.float64)
        ours = nn.MultiheadAttention(E, H, batch_first=True, dtype="float64")
        compare(ours, theirs, [drawn(N, L, E)], attn_mask=mask, need_weights=need_weights, itself=True)
        compare(ours, theirs, [drawn(L, E)], attn_mask=mask, need_weights=need_weights, itself=True)


LAYER = [
    {"norm_first": norm_first, "activation": activation, "bias": bias, "batch_first": batch_first}
    for norm_first in (False, True)
    for activation in ("relu", "gelu")
    for bias in (True, False)
    for batch_first in (False, True)
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", LAYER, ids=str)
def test_encoder_and_decoder_layers_do_what_pytorchs_do(options: dict, dtype: str) -> None:
    def oriented(*shapes: tuple[int, ...]) -> list[np.ndarray]:
        made = [drawn(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]
        return made if options["batch_first"] else [np.ascontiguousarray(x.swapaxes(0, 1)) for x in made]

    sizes = {"dim_feedforward": 11, "dropout": 0.0, **options}
    theirs: torch.nn.Module = torch.nn.TransformerEncoderLayer(E, H, dtype=getattr(torch, dtype), **sizes)
    ours: nn.Module = nn.TransformerEncoderLayer(E, H, dtype=dtype, **sizes)
    for masks in ({}, {"src_key_padding_mask": PADDING[:, :L]}, {"src_mask": LATER, "is_causal": True}):
        compare(ours, theirs, oriented((N, L, E)), **masks)
    theirs = torch.nn.TransformerDecoderLayer(E, H, dtype=getattr(torch, dtype), **sizes)
    ours = nn.TransformerDecoderLayer(E, H, dtype=dtype, **sizes)
    for masks in ({}, {"tgt_mask": LATER, "memory_key_padding_mask": PADDING}):
        compare(ours, theirs, oriented((N, L, E), (N, S, E)), **masks)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_stacks_do_what_pytorchs_do() -> None:
    sizes = {"dim_feedforward": 11, "dropout": 0.0, "batch_first": True}
    theirs = torch.nn.Transformer(E, H, 2, 3, norm_first=True, dtype=torch.float64, **sizes)
    ours = nn.Transformer(E, H, 2, 3, norm_first=True, dtype="float64", **sizes)
    later = nn.Transformer.generate_square_subsequent_mask(L).astype("float64")
    np.testing.assert_array_equal(later, torch.nn.Transformer.generate_square_subsequent_mask(L).numpy())
    compare(ours, theirs, [drawn(N, S, E), drawn(N, L, E, seed=3)], tgt_mask=later, src_key_padding_mask=PADDING)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_function_does_what_pytorchs_does(dtype: str) -> None:
    grid = [
        ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), {}),
        ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), {"is_causal": True}),
        ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), {"scale": 0.2, "attn_mask": MASKS.normal(size=(3, 5, 7))}),
        ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), {"attn_mask": MASKS.random((2, 1, 5, 7)) < 0.7}),
        ((2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, 6), {"enable_gqa": True}),
        ((3, 300, 4), (3, 300, 4), (3, 300, 2), {"is_causal": True}),
    ]
    for *shapes, options in grid:
        arrays = [drawn(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]
        given = typed(options, dtype)
        here = [Tensor(x.copy(), requires_grad=True) for x in arrays]
        there = [torch.from_numpy(x.copy()).requires_grad_() for x in arrays]
        y = functional.scaled_dot_product_attention(*here, **given)
        others = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in given.items()}
        expected = torch.nn.functional.scaled_dot_product_attention(*there, **others)
        difference(y, expected, "reduction")
        g = np.asarray(np.random.default_rng(1).normal(size=y.shape), dtype)
        y.backward(g)
        expected.backward(torch.from_numpy(g))
        for one, other in zip(here, there, strict=True):
            difference(one.grad, other.grad, "gradient")
