"""Recurrent layers and cells beside PyTorch's: state dictionaries, results, states at the end, all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from portml import nn
from portml.autograd import Tensor
from portml.backends import kernels_switched, operations
from tests.oracle.module_oracle import TOLERANCES, _difference, _note

pytestmark = [pytest.mark.oracle, pytest.mark.parametrize("dtype", ["float32", "float64"])]

STEPS, SAMPLES, FEATURES, SIZE = 6, 4, 3, 5
KINDS: dict[str, dict[str, Any]] = {
    "RNN": {},
    "RNN relu": {"nonlinearity": "relu"},
    "LSTM": {},
    "LSTM projected": {"proj_size": 2},
    "GRU": {},
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"num_layers": 2, "batch_first": True},
    {"bidirectional": True},
    {"num_layers": 3, "bidirectional": True, "batch_first": True},
    {"num_layers": 2, "dropout": 1.0},
]
BODIES = ["fused", "pure", "agnostic"]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # PyTorch's own concern
@pytest.mark.parametrize("kernels", BODIES)
@pytest.mark.parametrize("form", ["plain", "states", "lengths", "single"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_layers(kind: str, options: dict[str, Any], form: str, kernels: str, dtype: str) -> None:
    name = kind.partition(" ")[0]
    ours = getattr(nn, name)(FEATURES, SIZE, **options, **KINDS[kind], rng=0, dtype=dtype)
    theirs = getattr(torch.nn, name)(FEATURES, SIZE, **options, **KINDS[kind], dtype=getattr(torch, dtype))
    _exchange(ours, theirs)
    lengths = [3, STEPS, 1, 4] if form == "lengths" else None
    n_states = (2 if name == "LSTM" else 1) if form in ("states", "lengths", "single") else 0
    arrays = _arrays(options, n_states, form == "single", dtype, KINDS[kind].get("proj_size", SIZE))

    here = [Tensor(each.copy(), requires_grad=True) for each in arrays]
    there = [torch.from_numpy(each.copy()).requires_grad_() for each in arrays]
    with kernels_switched(kernels, "numpy"):
        y, end = ours(here[0], _state(name, here[1:]), lengths=lengths)
        expected, expected_end = _torch_result(theirs, there[0], _state(name, there[1:]), lengths, options)
        results = [y, *(end if isinstance(end, tuple) else (end,))]
        others = [expected, *(expected_end if isinstance(expected_end, tuple) else (expected_end,))]
        worst = max(_difference(one.value, other, dtype) for one, other in zip(results, others, strict=True))
        slopes = [np.asarray(np.random.default_rng(i).normal(size=each.shape), dtype) for i, each in enumerate(others)]
        total = sum((operations.sum(one * slope) for one, slope in zip(results, slopes, strict=True)), 0.0)
        total.backward()
        torch.autograd.backward(others, [torch.from_numpy(slope) for slope in slopes])
    pairs = [*zip(here, there, strict=True), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    worst = max(worst, *(_difference(one.grad.value, other.grad, dtype) for one, other in pairs))
    assert worst <= TOLERANCES[dtype]
    _note(ours, f"{form}\t{dtype}", worst)


@pytest.mark.parametrize("kernels", BODIES)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "projected" not in kind])
def test_cells(kind: str, bias: bool, single: bool, kernels: str, dtype: str) -> None:
    name = kind.partition(" ")[0] + "Cell"
    ours = getattr(nn, name)(FEATURES, SIZE, bias, **KINDS[kind], rng=0, dtype=dtype)
    theirs = getattr(torch.nn, name)(FEATURES, SIZE, bias, **KINDS[kind], dtype=getattr(torch, dtype))
    _exchange(ours, theirs)
    rng = np.random.default_rng(0)
    first = () if single else (SAMPLES,)
    arrays = [rng.normal(size=(*first, FEATURES)), *rng.normal(size=(2 if "LSTM" in name else 1, *first, SIZE))]
    here = [Tensor(each.astype(dtype), requires_grad=True) for each in arrays]
    there = [torch.from_numpy(each.astype(dtype)).requires_grad_() for each in arrays]
    with kernels_switched(kernels, "numpy"):
        state, expected = _state(name, here[1:]), _state(name, there[1:])
        for _ in range(3):
            state, expected = ours(here[0], state), theirs(there[0], expected)
        results = state if isinstance(state, tuple) else (state,)
        others = expected if isinstance(expected, tuple) else (expected,)
        worst = max(_difference(one.value, other, dtype) for one, other in zip(results, others, strict=True))
        sum(operations.sum(one * (k + 1.0)) for k, one in enumerate(results)).backward()
        sum((one * (k + 1.0)).sum() for k, one in enumerate(others)).backward()
    pairs = [*zip(here, there, strict=True), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    worst = max(worst, *(_difference(one.grad.value, other.grad, dtype) for one, other in pairs))
    assert worst <= TOLERANCES[dtype]
    _note(ours, dtype, worst)


def _exchange(ours: Any, theirs: Any) -> None:
    """Load PyTorch's state here, and the very same there again."""
    state = theirs.state_dict()
    assert ours.load_state_dict(state) == ([], [])
    assert list(ours.state_dict()) == list(state)
    theirs.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in ours.state_dict().items()})


def _arrays(options: dict[str, Any], n_states: int, single: bool, dtype: str, shown: int = SIZE) -> list[Any]:
    rng = np.random.default_rng(0)
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    x = rng.normal(size=(STEPS, SAMPLES, FEATURES))
    states = [rng.normal(size=(rows, SAMPLES, width)) for width in (shown, SIZE)[:n_states]]
    if single:
        x, states = x[:, 0], [each[:, 0] for each in states]
    elif options.get("batch_first"):
        x = x.transpose(1, 0, 2)
    return [np.ascontiguousarray(each, dtype) for each in (x, *states)]


def _state(name: str, states: list[Any]) -> Any:
    if not states:
        return None
    return tuple(states) if "LSTM" in name else states[0]


def _torch_result(theirs: Any, x: Any, state: Any, lengths: list[int] | None, options: dict[str, Any]) -> Any:
    if lengths is None:
        return theirs(x, state)
    first = options.get("batch_first", False)
    packed, end = theirs(pack_padded_sequence(x, lengths, batch_first=first, enforce_sorted=False), state)
    return pad_packed_sequence(packed, batch_first=first, total_length=STEPS)[0], end
