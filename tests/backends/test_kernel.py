"""Dispatch: which body runs, for which arrays, and what a kernel refuses."""

from __future__ import annotations

import inspect
import pickle
import sys
from typing import Any

import numpy as np
import pytest

from portml.backends import _numba, get_backend, kernel_table, kernels_switched, namespace
from portml.backends.kernel import Kernel, Signature
from portml.backends.kernels.linear import linear
from portml.errors import ArgumentError, DtypeError, MixedBackendsError, ShapeError
from tests.tolerances import assert_close


def made(body: Any, **options: Any) -> Any:
    """A kernel of its own, outside the table that other tests enumerate."""
    return Kernel(body.__name__, body, Signature.of(body), **options).function


def scaled_sum(x: Any, y: Any, *, factor: float = 1.0) -> Any:
    return namespace(x, y).sum(x * factor + y, axis=0)


def test_the_body_runs_where_no_override_is_registered(backend, dtype):
    k = made(scaled_sum)
    x = backend.asarray(np.arange(6.0).reshape(3, 2), dtype=dtype)
    assert_close(k(x, x, factor=2.0), backend.asarray([18.0, 27.0], dtype=dtype))


def test_an_override_runs_on_its_own_library_only(backend):
    k = made(scaled_sum)

    @k.on("numpy")
    def _(x, y, *, factor=1.0):
        return np.full(2, -1.0)

    x = backend.asarray(np.ones((3, 2)))
    expected = [-1.0, -1.0] if backend.name == "numpy" else [6.0, 6.0]
    with kernels_switched("fused", backend.name):
        assert_close(k(x, x), backend.asarray(expected))


def test_agnostic_mode_runs_the_body_and_fused_mode_the_override_again():
    k = made(scaled_sum)
    k.on("numpy")(lambda x, y, *, factor=1.0: "override")
    x = np.ones((3, 2))
    with kernels_switched("fused", "numpy"):
        assert k(x, x) == "override"
        with kernels_switched("agnostic", "numpy"):
            np.testing.assert_array_equal(k(x, x), [6.0, 6.0])
        assert k(x, x) == "override"


def test_a_compiled_override_stands_before_numpys_own_unless_kernels_are_pure():
    k = made(scaled_sum)
    k.on("numpy")(lambda x, y, *, factor=1.0: "plain")
    k.on("numba")(lambda x, y, *, factor=1.0: "compiled")
    x = np.ones((3, 2))
    with kernels_switched("fused", "numpy"):
        assert k(x, x) == "compiled"
        with kernels_switched("pure", "numpy"):
            assert k(x, x) == "plain"
    with kernels_switched("agnostic", "numpy"):
        np.testing.assert_array_equal(k(x, x), [6.0, 6.0])


def test_a_numba_that_cannot_be_imported_is_told_once_and_done_without(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(_numba, "find_spec", lambda name: object())
    _numba.installed.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="Numba is installed but cannot be used"):
            assert not _numba.installed()
        assert not _numba.installed()
    finally:
        _numba.installed.cache_clear()


def test_an_override_registered_later_replaces_what_was_cached():
    k = made(scaled_sum)
    x = np.ones((3, 2))
    k(x, x)
    with kernels_switched("fused", "numpy"):
        k.on("numpy")(lambda x, y, *, factor=1.0: "override")
        assert k(x, x) == "override"


def test_out_of_a_twin_is_a_copy_of_the_result_into_the_buffer(backend):
    k = made(scaled_sum)
    x = backend.asarray(np.ones((3, 2)))
    buffer = backend.zeros((2,), "float64")
    assert k(x, x, out=buffer) is buffer
    assert_close(buffer, k(x, x))


def test_out_is_handed_to_an_override_that_takes_it():
    k = made(scaled_sum)
    seen = []

    @k.on("numpy")
    def _(x, y, *, factor=1.0, out=None):
        seen.append(out)
        result = scaled_sum(x, y, factor=factor)
        return result if out is None else np.copyto(out, result)

    buffer = np.zeros(2)
    with kernels_switched("fused", "numpy"):
        assert k(np.ones((3, 2)), np.ones((3, 2)), out=buffer) is buffer
    assert seen == [buffer] or seen[0] is buffer
    np.testing.assert_array_equal(buffer, [6.0, 6.0])


@pytest.mark.parametrize(
    ("buffer", "error"),
    [(np.zeros(3), ShapeError), (np.zeros(2, np.float32), DtypeError), ((np.zeros(2),), ShapeError)],
)
def test_out_that_does_not_fit_is_refused_and_not_written(buffer, error):
    k = made(scaled_sum)
    with pytest.raises(error, match="scaled_sum: out="):
        k(np.ones((3, 2)), np.ones((3, 2)), out=buffer)
    assert not np.any(np.asarray(buffer))


def test_mixed_backends_are_refused_and_both_are_named():
    with pytest.raises(MixedBackendsError, match=r"numpy and strict.*portml\.backends\.to"):
        linear(np.ones((2, 3)), get_backend("strict").asarray(np.ones((4, 3))), None)


def test_what_is_no_array_is_refused_with_its_type():
    with pytest.raises(ArgumentError, match="expected an array, got list"):
        linear([[1.0]], np.ones((1, 1)), None)


def test_a_body_whose_arrays_have_defaults_is_refused():
    def body(x: Any, y: Any = None) -> Any:
        return x

    with pytest.raises(ArgumentError, match="'y' must be a plain array or a keyword-only static"):
        made(body)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ArgumentError, match="kind must be one of"):
        made(scaled_sum, kind="new")


def test_a_kernel_shows_its_bodys_signature_and_documentation():
    parameters = inspect.signature(linear).parameters
    assert list(parameters) == [*inspect.signature(linear.agnostic).parameters, "out"]
    assert linear.__doc__ == linear.agnostic.__doc__
    assert linear.__module__ == "portml.backends.kernels.linear"


def test_kernels_are_pickled_by_name():
    assert pickle.loads(pickle.dumps(linear)) is linear


def test_every_kernel_says_a_known_kind_and_has_a_docstring():
    table = kernel_table()
    assert {k.kind for k in table.values()} <= {"out", "view", "write", "fresh"}
    assert [name for name, k in table.items() if not (k.function.__doc__ or "").strip()] == []
