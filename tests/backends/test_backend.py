"""Backends: opening, moving, viewing, and slots."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from portml.autograd import Tensor
from portml.backends import (
    Slot,
    available_backends,
    backend_of,
    device_of,
    dtype_kind,
    get_backend,
    library_of,
    namespace,
    observe,
    to,
    to_numpy,
)
from portml.errors import (
    ArgumentError,
    BackendUnavailableError,
    DtypeError,
    MixedBackendsError,
    RangeError,
    ShapeError,
    UnknownBackendError,
)


def test_numpy_is_always_available_and_the_default():
    assert "numpy" in available_backends()
    assert get_backend("numpy").host
    assert get_backend(get_backend("numpy")) is get_backend("numpy")


def test_an_unknown_backend_is_refused_and_the_known_ones_are_named():
    with pytest.raises(UnknownBackendError, match=r"'nonsense' is not known.*numpy, cupy, strict"):
        get_backend("nonsense")


def test_an_unknown_choice_of_kernels_is_refused():
    with pytest.raises(ArgumentError, match="'fused', 'pure' or 'agnostic', got 'quick'"):
        get_backend("numpy", kernels="quick")


@pytest.mark.parametrize(("variable", "value"), [("PORTML_BACKEND", "nonsense"), ("PORTML_KERNELS", "nonsense")])
def test_a_wrong_environment_variable_is_refused_by_its_value(variable, value):
    code = "import portml, numpy; portml.get_backend().kernels"
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, variable: value}, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert "'nonsense'" in run.stderr.splitlines()[-1]


def test_auto_opens_a_backend_that_answers():
    assert get_backend("auto").name in available_backends()


def test_a_device_that_numpy_has_not_is_refused():
    with pytest.raises(BackendUnavailableError, match="NumPy has only 'cpu'"):
        get_backend("numpy", device="gpu")


def test_arrays_come_back_as_they_went(backend, dtype):
    host = np.arange(6.0).reshape(2, 3)
    x = backend.asarray(host, dtype=dtype)
    assert device_of(x) == backend.device
    assert x.dtype == dtype
    np.testing.assert_array_equal(backend.to_numpy(x), host)
    np.testing.assert_array_equal(to_numpy(Tensor(x)), host)
    assert backend_of(x) is backend
    assert backend_of(Tensor(x)) is backend


def test_asarray_copies_only_where_it_must(backend):
    x = backend.asarray([1.0, 2.0])
    assert backend.asarray(x) is x or backend.to_numpy(backend.asarray(x)) is not None
    copied = backend.asarray(x, copy=True)
    copied[0] = 5.0
    np.testing.assert_array_equal(to_numpy(x), [1.0, 2.0])


def test_arrays_move_between_backends_and_back():
    x = np.arange(3.0)
    there = to(x, "strict")
    assert library_of(there).name == "strict"
    np.testing.assert_array_equal(to(there, "numpy"), x)
    assert to(there, "strict") is there


def test_a_ragged_list_is_refused(backend):
    with pytest.raises((DtypeError, ValueError)):
        backend.asarray([[1.0], [1.0, 2.0]])


def test_an_unknown_dtype_is_refused_by_name(backend):
    with pytest.raises(DtypeError, match="'float33' is no data type"):
        backend.asarray([1.0], dtype="float33")


def test_a_view_writes_through_to_the_flat_array(backend):
    flat = backend.zeros((10,), "float64")
    part = backend.view(flat, 2, (2, 3))
    part[...] = backend.asarray(np.arange(6.0).reshape(2, 3))
    part[1, 2] = 9.0
    np.testing.assert_array_equal(to_numpy(flat), [0, 0, 0, 1, 2, 3, 4, 9, 0, 0])
    assert backend.view(flat, 10, (0, 4)).shape == (0, 4)
    assert backend.view(flat, 3, ()).shape == ()


def test_the_public_backend_makes_generators():
    code = "import portml; print(portml.get_backend('numpy').random(7).random((2,), 'float64').tolist())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(np.random.Generator(np.random.Philox(7)).random(2).tolist())


def test_memory_is_counted_in_bytes(backend):
    used, total = backend.memory()
    assert 0 <= used <= total


def test_namespace_passes_scalars_and_none_over(backend):
    x = backend.asarray([1.0])
    assert namespace(None, 2.0, x, 1) is backend.xp


def test_namespace_of_nothing_is_refused():
    with pytest.raises(ArgumentError, match="expected at least one array, got float"):
        namespace(1.0)


def test_two_devices_of_one_library_are_not_mixed():
    strict = get_backend("strict")
    other = strict.xp.asarray([1.0], device=strict.xp.Device("device2"))
    with pytest.raises(MixedBackendsError, match=r"device1.*device2"):
        namespace(strict.asarray([1.0]), other)


def test_masked_arrays_and_matrices_are_refused():
    with pytest.raises(ArgumentError, match=r"MaskedArray.*pass numpy\.asarray"):
        namespace(np.ma.asarray([1.0]))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("float32", "float"), ("complex64", "complex"), ("int8", "int"), ("uint64", "uint"), ("bool", "bool")],
)
def test_dtype_kind_tells_what_a_dtype_holds(xp, name, kind):
    assert dtype_kind(getattr(xp, name)) == kind


def test_a_slot_holds_what_was_computed_and_keeps_its_array(backend):
    steps = iter([(0.1, 1.0), (0.05, 2.0)])
    slot = Slot(backend, lambda: next(steps), 2, "float32")
    array = slot.array
    slot.refill()
    np.testing.assert_allclose(to_numpy(array), [0.1, 1.0], rtol=1e-7)
    slot.refill()
    np.testing.assert_allclose(to_numpy(array), [0.05, 2.0], rtol=1e-7)
    assert slot.array is array


def test_refilling_a_slot_is_seen_at_the_doorway_as_a_write(backend):
    slot = Slot(backend, lambda: (1.0,), 1, "float64")
    seen = []
    with observe(lambda call: (seen.append((call.kernel.name, call.kernel.kind)), call.proceed())[1]):
        slot.refill()
    assert seen == [("fill_slot", "write")]


LARGEST = 2**64 - 1


def test_integers_keep_every_digit_in_the_type_asked_for(backend):
    x = backend.asarray([1, LARGEST], dtype="uint64")
    assert to_numpy(x).tolist() == [1, LARGEST]
    y = backend.asarray([2**62 + 1, -(2**63)], dtype=backend.xp.int64)
    assert to_numpy(y).tolist() == [2**62 + 1, -(2**63)]


@pytest.mark.parametrize(
    ("data", "dtype", "number"), [([1, 300], "int8", 300), (-1, "uint8", -1), ([0, 2**64], "uint64", 2**64)]
)
def test_an_integer_that_its_type_does_not_hold_is_refused_not_wrapped(backend, data, dtype, number):
    with pytest.raises(RangeError, match=f"data: got {number}, expected integers that fit into {dtype}"):
        backend.asarray(data, dtype=dtype)


@pytest.mark.parametrize(
    "data", ["a", ["a"], [1, "a"], [None], np.asarray(["a"]), np.asarray([1, None]), np.asarray([0], dtype="M8[s]")]
)
def test_what_holds_no_numbers_is_refused(backend, data):
    with pytest.raises(DtypeError, match="data: expected numbers"):
        backend.asarray(data)


def test_a_ragged_sequence_is_refused(backend):
    with pytest.raises(ShapeError, match="data: expected a regular shape, got a ragged list"):
        backend.asarray([[1.0], [2.0, 3.0]])


@pytest.mark.parametrize("name", ["sum", "e", "linalg", "object_", "nonsense"])
def test_a_name_that_is_no_data_type_is_refused(backend, name):
    with pytest.raises(DtypeError, match=f"dtype: '{name}' is no data type of the {backend.name} backend"):
        backend.zeros((2,), name)


def test_numbers_in_another_byte_order_are_taken(backend):
    x = backend.asarray(np.arange(3, dtype=">f4"))
    assert x.dtype == backend.dtype("float32")
    np.testing.assert_array_equal(to_numpy(x), [0.0, 1.0, 2.0])


def test_a_masked_array_is_refused_as_its_mask_would_be_lost(backend):
    with pytest.raises(ArgumentError, match=r"MaskedArray .* pass numpy\.asarray"):
        backend.asarray(np.ma.masked_array([1.0, 2.0], mask=[True, False]))
