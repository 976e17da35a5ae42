"""What has no derivative says so, and names the way out; what has one keeps it beside what has none."""

from __future__ import annotations

import numpy as np
import pytest

from portml.autograd import Tensor, check_gradients
from portml.autograd.rules.table import rule
from portml.backends import Backend
from portml.backends import operations as xp
from portml.errors import ArgumentError, GradientError
from tests.autograd.rule_cases import REFUSED

HERMITIAN = np.asarray([[2.0, 0.3 + 0.4j, 0.1j], [0.3 - 0.4j, 1.0, 0.2], [-0.1j, 0.2, -1.0]])


def leaf(backend: Backend, value: object) -> Tensor:
    return Tensor(backend.asarray(value), requires_grad=True)


@pytest.mark.parametrize("name", REFUSED)
def test_unique_refuses_and_names_take(name: str) -> None:
    x = Tensor(np.asarray([2.0, 1.0, 2.0]), requires_grad=True)
    results = xp.operation(name).function(x)
    first = results[0] if isinstance(results, tuple) else results
    with pytest.raises(GradientError, match=rf"{name} has no derivative.*take"):
        xp.sum(first).backward()


def test_qr_of_a_tall_matrix_with_a_complete_q_is_refused(backend: Backend) -> None:
    q, _r = xp.linalg_qr(leaf(backend, [[1.0, 2.0], [0.5, 1.0], [2.0, 1.0]]), mode="complete")
    with pytest.raises(GradientError, match=r'linalg\.qr.*mode="reduced"'):
        xp.sum(q).backward()


def test_svd_with_full_matrices_that_are_not_square_is_refused(backend: Backend) -> None:
    _u, s, _vh = xp.linalg_svd(leaf(backend, [[1.0, 2.0], [0.5, 1.0], [2.0, 1.0]]))
    with pytest.raises(GradientError, match=r"linalg\.svd.*full_matrices=False, or svdvals"):
        xp.sum(s).backward()


def test_det_at_a_singular_matrix_has_no_second_derivative_here() -> None:
    x = Tensor(np.ones((2, 2)), requires_grad=True)
    with pytest.raises(GradientError, match=r"linalg\.det.*second derivative at a singular matrix"):
        xp.linalg_det(x).backward(create_graph=True)


@pytest.mark.parametrize("name", ["linalg_eigh", "linalg_eig"])
def test_a_function_of_the_phase_of_eigenvectors_is_refused_on_the_host(name: str) -> None:
    x = Tensor(HERMITIAN, requires_grad=True)
    _w, v = xp.operation(name).function(x)
    with pytest.raises(GradientError, match=r"depends on the phase of complex vectors.*abs\(v\)"):
        xp.sum(xp.imag(v)).backward()


def test_a_function_of_the_phase_of_singular_vectors_is_refused_on_the_host() -> None:
    u, _s, _vh = xp.linalg_svd(Tensor(HERMITIAN, requires_grad=True))
    with pytest.raises(GradientError, match=r"linalg\.svd.*phase"):
        xp.sum(xp.imag(u)).backward()


def test_a_function_of_the_phase_is_nan_on_a_device() -> None:
    from portml.backends import get_backend

    x = leaf(get_backend("strict"), HERMITIAN)
    xp.sum(xp.imag(xp.linalg_eigh(x)[1])).backward()
    assert np.isnan(x.grad.numpy()).any()


def test_eigenvalues_of_equal_size_are_differentiated_where_no_vector_is_used(backend: Backend) -> None:
    x = leaf(backend, np.eye(3))
    w, _v = xp.linalg_eigh(x)
    xp.sum(xp.square(w)).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.eye(3))


def test_singular_values_of_equal_size_and_zero_are_differentiated_where_no_vector_is_used(backend: Backend) -> None:
    x = leaf(backend, [[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    _u, s, _vh = xp.linalg_svd(x, full_matrices=False)
    xp.sum(xp.square(s)).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4.0, 0.0], [0.0, 4.0], [0.0, 0.0]])

    x = leaf(backend, [[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    _u, s, _vh = xp.linalg_svd(x, full_matrices=False)
    xp.sum(xp.square(s)).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4.0, 0.0], [0.0, 0.0], [0.0, 0.0]])


def test_vectors_of_equal_eigenvalues_have_no_finite_gradient() -> None:
    x = Tensor(np.eye(2), requires_grad=True)
    _w, v = xp.linalg_eigh(x)
    with np.errstate(all="ignore"):
        xp.sum(v * np.asarray([[1.0, 2.0], [3.0, 4.0]])).backward()
    assert not np.isfinite(x.grad.numpy()).all()


def test_the_gradient_of_a_singular_determinant_is_right_in_a_batch() -> None:
    batch = np.asarray([[[1.0, 2.0], [2.0, 4.0]], [[1.0, 2.0], [3.0, 5.0]], [[0.0, 0.0], [0.0, 3.0]]])
    check_gradients(xp.linalg_det, batch)


def test_imag_of_real_numbers_has_gradient_zero() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    xp.sum(xp.imag(x)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0.0, 0.0])


@pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning")
def test_sizes_without_axes_mean_the_last_axes_as_numpy_still_takes_them() -> None:
    z = np.ones((2, 3, 2)) * (1 + 0.5j)
    assert check_gradients(lambda z: xp.fft_fftn(z, s=(2, 3)), z)


def test_a_rule_for_each_array_argument_is_asked_for() -> None:
    with pytest.raises(ArgumentError, match="multiply has 2 array arguments, got 1 rules"):
        rule("multiply", lambda g, y, a, b: g)


@pytest.mark.parametrize(
    ("name", "shape", "statics"),
    [
        ("sum", (0, 3), {"axis": 0}),
        ("prod", (3, 0), {"axis": 1}),
        ("prod", (2, 3), {"axis": ()}),
        ("max", (0, 3), {"axis": 1}),
        ("cumulative_prod", (0,), {}),
        ("cumulative_prod", (0, 2), {"axis": 0, "include_initial": True}),
        ("cumulative_sum", (0,), {"include_initial": True}),
        ("sort", (0,), {}),
        ("tile", (2,), {"repetitions": (0,)}),
        ("linalg_diagonal", (2, 2), {"offset": -2}),
        ("linalg_vector_norm", (0,), {}),
        ("linalg_eig", (0, 2, 2), {}),
        ("linalg_eigh", (0, 0), {}),
        ("fft_rfft", (0, 4), {}),
        ("fft_irfft", (0, 4), {}),
    ],
)
def test_empty_arrays_have_empty_gradients(backend: Backend, name: str, shape: tuple[int, ...], statics: dict) -> None:
    x = leaf(backend, np.ones(shape) if name != "fft_irfft" else np.ones(shape, dtype=np.complex128))
    results = xp.operation(name).function(x, **statics)
    first = results[0] if isinstance(results, tuple) else results
    first.backward(xp.ones_like(first.value))
    assert x.grad.shape == x.shape
