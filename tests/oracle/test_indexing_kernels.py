"""Rows by number beside PyTorch's embedding, index_add, one_hot and scatter_add."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from portml.backends import Backend
from portml.backends.kernels.indexing import pad
from portml.backends.kernels.rows import embedding, embedding_backward, index_add, one_hot, scatter_along_axis
from tests.tolerances import assert_close

generator = np.random.default_rng(0)


@pytest.mark.parametrize("padding_idx", [None, 0, 3])
@pytest.mark.parametrize("shape", [(33,), (4, 7), (0,)], ids=str)
@pytest.mark.parametrize("columns", [3, 40])
def test_embedding_agrees_with_pytorch(
    backend: Backend, padding_idx: int | None, shape: tuple[int, ...], columns: int
) -> None:
    indices, weight = generator.integers(0, 5, shape), generator.standard_normal((5, columns))
    tensor = torch.tensor(weight, requires_grad=True)
    expected = torch.nn.functional.embedding(torch.tensor(indices), tensor, padding_idx=padding_idx)
    g = generator.standard_normal(expected.shape)
    expected.backward(torch.tensor(g))
    indices, weight = backend.asarray(indices), backend.asarray(weight)
    y = embedding(indices, weight, padding_idx=padding_idx)
    assert_close(y, expected.detach().numpy(), "exact", same_backend=False)
    _, dweight = embedding_backward(
        backend.asarray(g), y, indices, weight, needs=(False, True), padding_idx=padding_idx
    )
    assert_close(dweight, tensor.grad.numpy(), "gradient", same_backend=False)


@pytest.mark.parametrize("columns", [1, 40])
@pytest.mark.parametrize("n", [1, 7, 100])
def test_index_add_agrees_with_pytorch(backend: Backend, columns: int, n: int) -> None:
    values, indices = generator.standard_normal((65, columns)), generator.integers(0, n, 65)
    expected = torch.zeros((n, columns), dtype=torch.float64).index_add_(0, torch.tensor(indices), torch.tensor(values))
    actual = index_add(backend.asarray(values), backend.asarray(indices), n=n)
    assert_close(actual, expected.numpy(), "reduction", same_backend=False)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_along_axis_agrees_with_pytorch(backend: Backend, axis: int) -> None:
    values, shape = generator.standard_normal((3, 4, 5)), [3, 4, 5]
    shape[axis] = 6
    indices = generator.integers(0, 6, values.shape)
    expected = torch.zeros(shape, dtype=torch.float64).scatter_add_(axis, torch.tensor(indices), torch.tensor(values))
    actual = scatter_along_axis(backend.asarray(values), backend.asarray(indices), axis=axis, shape=tuple(shape))
    assert_close(actual, expected.numpy(), "reduction", same_backend=False)


def test_one_hot_agrees_with_pytorch(backend: Backend) -> None:
    indices = generator.integers(0, 5, (3, 4))
    expected = torch.nn.functional.one_hot(torch.tensor(indices), 6)
    actual = one_hot(backend.asarray(indices), n=6, dtype="int64")
    assert_close(actual, expected.numpy(), "exact", same_backend=False)


def test_pad_agrees_with_pytorch(backend: Backend) -> None:
    x = generator.standard_normal((2, 3))
    expected = torch.nn.functional.pad(torch.tensor(x), [1, 2, 0, 3], value=1.5)
    actual = pad(backend.asarray(x), widths=((0, 3), (1, 2)), value=1.5)
    assert_close(actual, expected.numpy(), "exact", same_backend=False)
