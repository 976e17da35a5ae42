"""Gradients beside PyTorch's, at the points where choices are made, and for every operation that both have."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np
import pytest
import torch

from portml.autograd import Tensor
from portml.backends import operations as xp
from portml.backends.operations import operation
from tests.autograd.rule_cases import CASES, Case
from tests.autograd.special_points import POINTS, Point

_FFT = "fft ifft rfft irfft hfft ihfft fftn ifftn rfftn irfftn"
_LINALG = "det inv solve svdvals matrix_norm matrix_power"
_ELEMENTWISE = """acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 reciprocal sin sinh square
    sqrt tan tanh add subtract multiply divide pow atan2 hypot logaddexp maximum minimum matmul tril triu where"""
SAME_NAME = {
    **{f"fft_{name}": f"fft.{name}" for name in _FFT.split()},
    **{f"linalg_{name}": f"linalg.{name}" for name in _LINALG.split()},
    **{name: name for name in _ELEMENTWISE.split()},
}
"""Operations that take the same arguments in PyTorch."""
RENAMED = {"axis": "dim", "axes": "dim", "k": "diagonal"}
COMPARED = [case for case in CASES if case.name in SAME_NAME and case.wrapped is None]


@pytest.mark.parametrize("point", [point for point in POINTS if point.torch], ids=str)
def test_gradients_at_special_points_are_pytorchs_unless_said_otherwise(point: Point) -> None:
    given = [torch.tensor(a) if isinstance(a, list) else a for a in point.arguments]
    given = [a.to(torch.complex128 if a.is_complex() else torch.float64) if _floats(a) else a for a in given]
    leaves = [a.requires_grad_() for a in given if _floats(a)]
    names = dict(zip("abc", given, strict=False))
    result = eval(point.torch, {"torch": torch}, names)
    result.sum().backward() if not result.is_complex() else result.backward(torch.ones_like(result))
    found = [leaf.grad for leaf in leaves]
    same = all(
        gradient is not None and np.allclose(_numpy(gradient), expected, rtol=1e-9, atol=1e-12, equal_nan=True)
        for gradient, expected in zip(found, point.gradients, strict=True)
    )
    assert same != bool(point.differs), f"PyTorch gives {found}, the table {point.gradients}"


@pytest.mark.parametrize("case", COMPARED, ids=str)
def test_gradients_are_pytorchs(case: Case) -> None:
    inputs = case.inputs()
    tensors = [_portml(a) for a in inputs]
    result = operation(case.name).function(*tensors, **case.statics)
    cotangent = np.cos(np.arange(result.size)).reshape(result.shape).astype(str(result.dtype))
    cotangent = cotangent * (1 + 0.5j) if "complex" in str(result.dtype) else cotangent
    xp.multiply(result, 1).backward(cotangent)

    theirs = [_torch(a) for a in inputs]
    function = operator.attrgetter(SAME_NAME[case.name])(torch)
    statics = {RENAMED.get(name, name): value for name, value in case.statics.items()}
    expected = function(*_of_one_dtype(case.name, theirs), **statics)
    np.testing.assert_allclose(result.numpy(), _numpy(expected), rtol=1e-10, atol=1e-10)
    expected.backward(torch.as_tensor(cotangent))
    for tensor, leaf in zip(tensors, theirs, strict=True):
        if isinstance(tensor, Tensor) and tensor.requires_grad:
            np.testing.assert_allclose(tensor.grad.numpy(), _numpy(leaf.grad), rtol=1e-8, atol=1e-10)


SYMMETRIC = np.asarray([[3.0, 0.5, -0.2], [0.5, 2.0, 0.3], [-0.2, 0.3, 1.0]])
SQUARE = np.asarray([[2.0, 0.3, -0.5], [0.1, 1.0, 0.4], [-0.3, 0.2, -1.5]])
TALL = np.asarray([[1.0, 2.0], [0.5, -1.0], [2.0, 0.3]])
FACTORISATIONS: list[tuple[str, np.ndarray, dict[str, Any]]] = [
    ("cholesky", SYMMETRIC, {}),
    ("cholesky", SYMMETRIC, {"upper": True}),
    ("eigh", SYMMETRIC, {}),
    ("eigvalsh", SYMMETRIC, {}),
    ("qr", SQUARE, {"mode": "complete"}),
    ("qr", TALL, {"mode": "reduced"}),
    ("qr", TALL.T, {"mode": "reduced"}),
    ("slogdet", SQUARE, {}),
    ("slogdet", SQUARE + 0.3j * TALL @ TALL.T, {}),
    ("svd", SQUARE, {"full_matrices": True}),
    ("svd", TALL, {"full_matrices": False}),
    ("svd", TALL.T, {"full_matrices": False}),
    ("pinv", TALL, {}),
    ("pinv", SQUARE + 0.3j * TALL @ TALL.T, {}),
]


@pytest.mark.parametrize(("name", "a", "statics"), FACTORISATIONS)
def test_gradients_of_factorisations_are_pytorchs(name: str, a: np.ndarray, statics: dict[str, Any]) -> None:
    ours, theirs = Tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    if name == "pinv":
        results, expected = xp.linalg_pinv(ours, rtol=1e-10), torch.linalg.pinv(theirs, rtol=1e-10)
    else:
        results = operation(f"linalg_{name}").function(ours, **statics)
        expected = getattr(torch.linalg, name)(theirs, **statics)
    if isinstance(expected, torch.Tensor):
        results, expected = (results,), (expected,)
    if name in ("svd", "eigh"):  # vectors of either sign
        results, expected = map(xp.abs, results), map(torch.abs, expected)
    for i, (result, other) in enumerate(zip(results, expected, strict=True)):
        np.testing.assert_allclose(result.numpy(), _numpy(other), rtol=1e-10, atol=1e-12)
        cotangent = np.cos(np.arange(result.size) + i).reshape(result.shape).astype(str(result.dtype))
        result.backward(cotangent, retain_graph=True)
        if other.requires_grad:
            other.backward(torch.tensor(cotangent), retain_graph=True)
    np.testing.assert_allclose(ours.grad.numpy(), _numpy(theirs.grad), rtol=1e-9, atol=1e-11)


def _floats(a: object) -> bool:
    return isinstance(a, torch.Tensor) and (a.is_floating_point() or a.is_complex())


def _portml(a: object) -> object:
    return Tensor(a, requires_grad=a.dtype.kind in "fc") if isinstance(a, np.ndarray) else a


def _torch(a: object) -> object:
    return torch.tensor(a, requires_grad=a.dtype.kind in "fc") if isinstance(a, np.ndarray) else a


def _of_one_dtype(name: str, given: list[object]) -> list[object]:
    """Scalars as tensors where PyTorch takes only these, and all in the dtype of the result."""
    tensors = [a for a in given if _floats(a)]
    if len(given) == 1 or name in ("pow", "linalg_matrix_power"):
        return given
    dtype = functools.reduce(torch.promote_types, [a.dtype for a in tensors])
    return [
        a.to(dtype) if _floats(a) else torch.tensor(a, dtype=dtype) if isinstance(a, float | complex) else a
        for a in given
    ]


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().resolve_conj().resolve_neg().numpy()
