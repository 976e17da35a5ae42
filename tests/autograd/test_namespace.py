"""The Tensor's namespace: the standard's names and parameters, Tensors out, on every library."""

from __future__ import annotations

import ast
import functools
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import array_api_compat
import array_api_compat.numpy
import numpy as np
import pytest

import portml.autograd.namespace as numpy_namespace
from portml.autograd import Tensor, check_gradients, no_grad
from portml.autograd.namespaces import tensor_namespace
from portml.autograd.parameter import Parameter
from portml.backends import get_backend, library_of, namespace, observe, operations
from portml.backends.numpy_standard import NUMPY_STANDARD
from portml.errors import ArgumentError, GradientError, MixedBackendsError
from tests.autograd import standard
from tests.tolerances import assert_close

GROUPS = {"": standard.FUNCTIONS, "linalg": standard.LINALG, "fft": standard.FFT}
EVERY_FUNCTION = [(group, name) for group, functions in GROUPS.items() for name in functions]
STUB = Path(numpy_namespace.__file__).with_suffix(".pyi")


# --- names and parameters -------------------------------------------------------------------------------------------


def test_the_namespace_has_every_name_of_the_standard_and_no_other():
    assert {*numpy_namespace.__all__} == {
        *standard.FUNCTIONS, *standard.CONSTANTS, *standard.DTYPES, "linalg", "fft",
    }  # fmt: skip
    assert {*numpy_namespace.linalg.__all__} == {*standard.LINALG}
    assert {*numpy_namespace.fft.__all__} == {*standard.FFT}
    assert {*numpy_namespace.__all__} < {*dir(numpy_namespace)}


@pytest.mark.parametrize(("group", "name"), EVERY_FUNCTION)
def test_parameters_are_those_of_the_standard(group, name):
    assert parameters_of(member(numpy_namespace, group, name)) == parameters_of(declared(GROUPS[group][name]))


@pytest.mark.parametrize("name", standard.METHODS)
def test_methods_of_a_tensor_take_what_the_standard_says(name):
    method = getattr(Tensor(np.ones(3)), name)
    expected = parameters_of(declared(standard.METHODS[name]))
    # Our own last parameter of an operation, ``out=``, is no business of the standard's.
    assert [kind for _, kind, _ in parameters_of(method, without="out")] == [kind for _, kind, _ in expected]


@pytest.mark.parametrize("name", standard.INFO)
def test_information_is_asked_for_as_the_standard_says(name):
    info = numpy_namespace.__array_namespace_info__()
    assert parameters_of(getattr(info, name)) == parameters_of(declared(standard.INFO[name]))


def test_a_tensor_has_the_attributes_of_the_standard(backend):
    x = Tensor(backend.zeros((2, 3)))
    for name in standard.ATTRIBUTES:
        assert hasattr(x, name)


def test_the_stub_lists_what_is_there():
    stub = stubbed()
    assert {*stub[""]} - {"__array_api_version__", "__array_namespace_info__"} == {*numpy_namespace.__all__}
    assert {*stub["linalg"]} == {*numpy_namespace.linalg.__all__}
    assert {*stub["fft"]} == {*numpy_namespace.fft.__all__}


@pytest.mark.parametrize(("group", "name"), EVERY_FUNCTION)
def test_the_stub_has_the_parameters_that_are_there(group, name):
    stub = stubbed()[group][name]
    assert parameters_of(declared(stub)) == parameters_of(member(numpy_namespace, group, name))


# --- computing ------------------------------------------------------------------------------------------------------

# How each function is called where it is not simply on its arrays; `d` has arrays of several kinds.
CALLS = {
    "astype": lambda f, d: f(d.x, d.float32),
    "bitwise_invert": lambda f, d: f(d.i),
    "broadcast_arrays": lambda f, d: f(d.x, d.row),
    "broadcast_to": lambda f, d: f(d.row, (2, 3)),
    "clip": lambda f, d: f(d.x, 0.2, max=d.row),
    "concat": lambda f, d: f([d.x, d.x], axis=1),
    "diff": lambda f, d: f(d.x, prepend=d.x),
    "empty_like": lambda f, d: d.zeroed(f(d.x)),
    "expand_dims": lambda f, d: f(d.x, axis=0),
    "full_like": lambda f, d: f(d.x, 2.0),
    "isin": lambda f, d: f(d.i, d.i),
    "meshgrid": lambda f, d: f(d.row, d.row, indexing="ij"),
    "moveaxis": lambda f, d: f(d.x, 0, 1),
    "permute_dims": lambda f, d: f(d.x, (1, 0)),
    "repeat": lambda f, d: f(d.x, 2, axis=0),
    "reshape": lambda f, d: f(d.x, (3, 2)),
    "roll": lambda f, d: f(d.x, 1, axis=0),
    "searchsorted": lambda f, d: f(d.row, d.row, side="right"),
    "squeeze": lambda f, d: f(d.column, axis=1),
    "stack": lambda f, d: f([d.x, d.x], axis=1),
    "take": lambda f, d: f(d.x, d.indices, axis=1),
    "take_along_axis": lambda f, d: f(d.x, d.along, axis=1),
    "tensordot": lambda f, d: f(d.x, d.x, axes=((0, 1), (0, 1))),
    "tile": lambda f, d: f(d.x, (2, 1)),
    "unstack": lambda f, d: f(d.x, axis=1),
    "where": lambda f, d: f(d.b, d.x, 1.0),
    "linalg.diagonal": lambda f, d: f(d.square, offset=1),
    "linalg.matrix_power": lambda f, d: f(d.square, 3),
    "linalg.matrix_rank": lambda f, d: f(d.square, rtol=1e-3),
    "linalg.outer": lambda f, d: f(d.row, d.row),
    "linalg.pinv": lambda f, d: f(d.square),
    "linalg.trace": lambda f, d: f(d.square, offset=-1),
    "cumulative_sum": lambda f, d: f(d.x, axis=1, include_initial=True),
    "cumulative_prod": lambda f, d: f(d.x, axis=1),
    "acosh": lambda f, d: f(d.square + 1.0),
    "matmul": lambda f, d: f(d.square, d.square),
    "linalg.matmul": lambda f, d: f(d.square, d.square),
    "linalg.tensordot": lambda f, d: f(d.x, d.x, axes=2),
    "fft.hfft": lambda f, d: f(d.c, n=4),
    "fft.ifft": lambda f, d: f(d.c),
    "fft.ifftn": lambda f, d: f(d.c),
    "fft.irfft": lambda f, d: f(d.c, n=4),
    "fft.irfftn": lambda f, d: f(d.c, s=(2, 4), axes=(0, 1)),
    "fft.fft": lambda f, d: f(d.c),
    "fft.fftn": lambda f, d: f(d.c, axes=(0,)),
    "imag": lambda f, d: f(d.c),
    "real": lambda f, d: f(d.c),
    "conj": lambda f, d: f(d.c),
}
ON_INTEGERS = {"bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor"}
ON_TRUTH = {"logical_and", "logical_not", "logical_or", "logical_xor"}
ON_SQUARES = {
    "cholesky", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matrix_norm", "qr", "slogdet", "solve", "svd",
    "svdvals",
}  # fmt: skip
CREATION = {
    "arange", "asarray", "empty", "eye", "from_dlpack", "full", "linspace", "ones", "zeros", "fftfreq", "rfftfreq",
}  # fmt: skip
ABOUT_TYPES = {"broadcast_shapes", "can_cast", "finfo", "iinfo", "isdtype", "result_type"}
SHAPE_DEPENDS_ON_DATA = {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"}
COMPUTING = [
    f"{group}.{name}".lstrip(".")
    for group, name in EVERY_FUNCTION
    if name not in CREATION | ABOUT_TYPES | SHAPE_DEPENDS_ON_DATA
]


@pytest.mark.parametrize("name", COMPUTING)
def test_a_function_gives_the_librarys_values_as_tensors_from_tensors_and_from_raw_arrays(backend, name):
    group, _, own = name.rpartition(".")
    raw, tensors = data(backend), data(backend, Tensor)
    ours = member(tensor_namespace(library_of(raw.x)), group, own)
    expected = whatever_the_version(name, call(name, standard_of(backend, name), raw))
    for arguments in (tensors, raw):
        results = call(name, ours, arguments)
        assert all(type(result) is Tensor for result in (results if isinstance(results, tuple) else (results,)))
        assert_close(values(results), values(expected))


@pytest.mark.parametrize("name", sorted(SHAPE_DEPENDS_ON_DATA))
def test_a_shape_that_depends_on_data_is_found_on_the_host(name):
    x = np.asarray([2, 0, 1, 2])
    results = getattr(numpy_namespace, name)(Tensor(x))
    assert_close(values(results), values(standard_of(get_backend("numpy"), name)(x)))


def test_results_keep_the_names_that_the_standard_gives_them():
    x = numpy_namespace.asarray([[2.0, 1.0], [1.0, 3.0]])
    linalg = numpy_namespace.linalg
    assert linalg.eigh(x)._fields == linalg.eig(x)._fields == ("eigenvalues", "eigenvectors")
    assert linalg.qr(x)._fields == ("Q", "R")
    assert linalg.slogdet(x)._fields == ("sign", "logabsdet")
    assert linalg.svd(x)._fields == ("U", "S", "Vh")
    assert numpy_namespace.unique_all(x)._fields == ("values", "indices", "inverse_indices", "counts")
    assert numpy_namespace.unique_counts(x)._fields == ("values", "counts")
    assert numpy_namespace.unique_inverse(x)._fields == ("values", "inverse_indices")


def test_named_results_carry_gradients(backend):
    x = Tensor(backend.asarray([[2.0, 1.0], [1.0, 3.0]]), requires_grad=True)
    namespace(x).linalg.slogdet(x).logabsdet.backward()
    assert_close(x.grad.value, backend.asarray([[0.6, -0.2], [-0.2, 0.4]]), "gradient")


def test_functions_give_tensors_under_no_grad_too(backend):
    weight, x = Parameter(backend.asarray([1.0, 2.0])), backend.asarray([3.0, 4.0])
    xp = namespace(weight)
    with no_grad():
        assert type(xp.multiply(x, weight)) is Tensor
        assert type(xp.concat([x, weight])) is Tensor


def test_scalars_alone_are_refused():
    with pytest.raises(ArgumentError, match="at least one array"):
        numpy_namespace.add(1, 2)


def test_lists_are_refused_where_the_standard_has_arrays():
    with pytest.raises(ArgumentError, match="expected an array, got list"):
        numpy_namespace.sum([1.0, 2.0])


# --- where NumPy departs from the standard --------------------------------------------------------------------------


@pytest.mark.parametrize("stable", [True, False])
def test_descending_order_is_sorted_and_stable(stable):
    x = numpy_namespace.asarray([[3, 1, 3, 2], [0, 0, 1, 0]])
    np.testing.assert_array_equal(
        numpy_namespace.sort(x, descending=True, stable=stable).value, [[3, 3, 2, 1], [1, 0, 0, 0]]
    )
    order = numpy_namespace.argsort(x, descending=True).value
    np.testing.assert_array_equal(order, [[0, 2, 3, 1], [2, 0, 1, 3]])


def test_clip_keeps_the_data_type_and_writes_into_no_bound():
    x, least = np.asarray([-7, 0, 7], dtype=np.int8), np.asarray([-300, 1, 2])
    clipped = numpy_namespace.clip(Tensor(x), least, 5)
    assert clipped.dtype == np.int8
    np.testing.assert_array_equal(clipped.value, [-7, 1, 5])
    np.testing.assert_array_equal(least, [-300, 1, 2])


def test_eigenvalues_are_always_complex():
    x = numpy_namespace.asarray([[2.0, 0.0], [0.0, 3.0]], dtype=numpy_namespace.float32)
    eigenvalues, eigenvectors = numpy_namespace.linalg.eig(x)
    assert eigenvalues.dtype == eigenvectors.dtype == numpy_namespace.linalg.eigvals(x).dtype == np.complex64


def test_the_default_tolerance_of_pinv_is_the_standards():
    nearly_singular = np.asarray([[1.0, 0.0], [0.0, 3e-16]])
    np.testing.assert_array_equal(numpy_namespace.linalg.pinv(Tensor(nearly_singular)).value, [[1.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("z", "expected"),
    [
        (complex("inf+infj"), complex("inf+nanj")),
        (complex("-inf+infj"), complex(-1, 0)),
        (complex("inf+0j"), complex("inf+0j")),
        (complex("nan+0j"), complex("nan+0j")),
        (1e-12 + 1e-12j, 1e-12 + 1e-12j),
        (-0.0 + 0j, 0j),
    ],
)
def test_expm1_knows_complex_infinities(z, expected):
    with np.errstate(invalid="ignore"):
        y = numpy_namespace.expm1(numpy_namespace.asarray([z]))
    np.testing.assert_allclose(y.value, [expected], rtol=1e-11)


def test_every_departure_of_numpy_is_an_operation():
    names = {*operations.operation_names(), *operations.creation_names()}
    assert {*NUMPY_STANDARD} <= names


# --- creating -------------------------------------------------------------------------------------------------------


def test_creation_is_on_the_default_device_unless_told_otherwise(backend):
    xp = namespace(Tensor(backend.zeros((2,))))
    calls = [
        lambda **where: xp.zeros((2, 3), **where),
        lambda **where: xp.ones(2, **where),
        lambda **where: xp.full((2,), 7, **where),
        lambda **where: xp.empty((2, 0), **where),
        lambda **where: xp.eye(2, 3, k=1, **where),
        lambda **where: xp.arange(1, 7, 2, **where),
        lambda **where: xp.linspace(0.0, 1.0, 5, **where),
        lambda **where: xp.fft.fftfreq(4, **where),
        lambda **where: xp.fft.rfftfreq(4, d=0.5, **where),
        lambda **where: xp.asarray([1.0, 2.0], **where),
    ]
    default = xp.__array_namespace_info__().default_device()
    for create in calls:
        assert create().device == default
        created = create(device=backend.device)
        assert type(created) is Tensor
        assert created.device == backend.device
        assert created.dtype in backend.xp.__array_namespace_info__().dtypes().values()


def test_created_values_are_the_librarys(backend):
    xp, raw = namespace(Tensor(backend.zeros((2,)))), backend.xp
    where = {"device": backend.device}
    assert_close(xp.arange(4, **where).value, raw.arange(4, **where))
    assert_close(xp.eye(2, k=-1, dtype=raw.float32, **where).value, raw.eye(2, k=-1, dtype=raw.float32, **where))
    assert_close(
        xp.linspace(0, 1, num=4, endpoint=False, **where).value, raw.linspace(0, 1, 4, endpoint=False, **where)
    )
    assert_close(xp.full((2, 2), 1.5, **where).value, raw.full((2, 2), 1.5, **where))
    frequencies = [0.0, 0.25, -0.5, -0.25]
    assert_close(
        xp.fft.fftfreq(4, dtype=raw.float32, **where).value, raw.asarray(frequencies, dtype=raw.float32, **where)
    )


@pytest.mark.parametrize("name", ["empty_like", "full_like", "ones_like", "zeros_like"])
def test_what_is_like_another_stays_on_its_device(backend, name):
    x = Tensor(backend.asarray([[1, 2, 3]]))
    xp = namespace(x)
    arguments = (1.0,) if name == "full_like" else ()
    like = getattr(xp, name)(x, *arguments, dtype=xp.float32, device=None)
    assert (like.device, like.shape, like.dtype) == (x.device, x.shape, xp.float32)


def test_creation_passes_the_doorway(backend):
    xp = namespace(Tensor(backend.zeros((2,))))
    seen = []

    def watch(call):
        seen.append((call.kernel.name, call.kernel.kind, call.arguments, call.statics["device"]))
        return call.proceed()

    with observe(watch):
        xp.zeros((2,), device=backend.device)
        xp.asarray([1.0], device=backend.device)
    assert seen == [("zeros", "fresh", (), backend.device), ("asarray", "fresh", (), backend.device)]


def test_asarray_keeps_the_history_of_a_tensor(backend):
    x = Tensor(backend.asarray([1.0, 2.0]), requires_grad=True)
    xp = namespace(x)
    assert xp.asarray(x) is x
    xp.sum(xp.asarray(x * x, dtype=xp.float32, copy=True)).backward()
    assert_close(x.grad.value, backend.asarray([2.0, 4.0]))


def test_asarray_copies_when_it_is_told_to(backend):
    raw = backend.asarray([1.0, 2.0])
    xp = namespace(Tensor(raw))
    assert xp.asarray(raw).value is raw
    for given in (raw, Tensor(raw)):
        copied = xp.asarray(given, copy=True)
        copied.value[...] = 7.0
    assert_close(raw, backend.asarray([1.0, 2.0]))
    assert xp.asarray(raw, copy=False).value is raw
    with pytest.raises(ArgumentError, match="cannot avoid a copy from"):
        xp.asarray(raw, dtype=xp.float32, copy=False)


def test_asarray_refuses_a_tensor_of_another_library():
    foreign = Tensor(get_backend("strict").asarray([1.0]))
    with pytest.raises(MixedBackendsError, match=r"Tensor\.to\('numpy'\)"):
        numpy_namespace.asarray(foreign)


def test_asarray_takes_what_numpy_takes():
    np.testing.assert_array_equal(numpy_namespace.asarray(memoryview(b"ab")).value, [97, 98])
    np.testing.assert_array_equal(numpy_namespace.asarray(np.float32(1.5)).value, 1.5)
    np.testing.assert_array_equal(numpy_namespace.asarray([[1, 2], [3, 4]]).value, [[1, 2], [3, 4]])


def test_from_dlpack_shares_memory_and_refuses_a_history():
    raw = np.asarray([1.0, 2.0])
    x = numpy_namespace.from_dlpack(Tensor(raw))
    assert type(x) is Tensor
    assert np.shares_memory(x.value, raw)
    assert not np.shares_memory(numpy_namespace.from_dlpack(raw, copy=True).value, raw)
    with pytest.raises(GradientError, match="detach"):
        numpy_namespace.from_dlpack(Tensor(raw, requires_grad=True))


# --- data types -----------------------------------------------------------------------------------------------------


def test_questions_about_types_take_tensors_and_their_types(backend):
    x = Tensor(backend.asarray([1.0], dtype="float32"), requires_grad=True)
    n = Tensor(backend.asarray([1], dtype="int16"))
    xp = namespace(x)
    assert xp.finfo(x) == xp.finfo(x.dtype) == xp.finfo(xp.float32)
    assert (xp.finfo(x).bits, xp.finfo(x).dtype) == (32, xp.float32)
    assert {type(limit) for limit in xp.finfo(x)[1:5]} == {float}
    assert xp.iinfo(n).max == xp.iinfo(n.dtype).max == 2**15 - 1
    assert xp.result_type(x, xp.float64) == xp.float64
    assert xp.result_type(n, xp.int32, 1) == xp.int32
    assert xp.can_cast(x, xp.float64)
    assert not xp.can_cast(x, xp.int32)
    assert xp.isdtype(x.dtype, ("integral", "real floating"))
    assert xp.broadcast_shapes(x.shape, (3, 1)) == (3, 1)


def test_the_library_tells_of_its_devices_and_types(backend):
    info = namespace(Tensor(backend.zeros((1,)))).__array_namespace_info__()
    assert backend.device in info.devices()
    assert isinstance(info.devices(), tuple)
    assert info.dtypes(kind="bool") == {"bool": backend.xp.bool}
    assert info.capabilities()["boolean indexing"] is True
    assert info.default_dtypes(device=info.default_device())["real floating"] == backend.xp.float64


# --- one namespace for each library ---------------------------------------------------------------------------------


def test_tensors_of_a_library_share_one_namespace(backend):
    x = Tensor(backend.zeros((2,)))
    assert x.__array_namespace__() is namespace(x) is namespace(x, 1.0, x.value)
    assert x.__array_namespace__() is array_api_compat.array_namespace(x)
    assert x.__array_namespace__().exp is numpy_namespace.exp
    assert (namespace(x) is numpy_namespace) is (backend.name == "numpy")


def test_versions_of_the_standard_up_to_2025_are_given():
    x = Tensor(np.ones(2))
    assert x.__array_namespace__(api_version="2022.12") is numpy_namespace
    assert numpy_namespace.__array_api_version__ == "2025.12"
    with pytest.raises(ArgumentError, match="2031"):
        x.__array_namespace__(api_version="2031.12")


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(numpy_namespace, "cast")
    with pytest.raises(AttributeError, match="no attribute 'einsum'"):
        numpy_namespace.einsum  # noqa: B018 - the access is what is tested


def test_a_function_that_the_library_lacks_is_an_attribute_error():
    class Incomplete:
        exp = staticmethod(np.exp)

    library = SimpleNamespace(name="incomplete", xp=Incomplete)
    xp = tensor_namespace(library)
    assert xp.exp is numpy_namespace.exp
    assert not hasattr(xp, "sin")


def test_extensions_can_be_imported_like_modules():
    source = "import portml.autograd.namespace.linalg as linalg, portml.autograd.namespace as xp; assert linalg.det"
    subprocess.run([sys.executable, "-c", source], check=True, cwd=Path(__file__).parents[2])


def test_importing_the_namespace_makes_no_function_and_loads_no_compatibility_layer():
    source = """
import sys, portml.autograd.namespace as xp
assert "exp" not in vars(xp) and "qr" not in vars(xp.linalg)
assert "exp" in dir(xp) and xp.exp and "exp" in vars(xp)
assert "array_api_compat" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", source], check=True, cwd=Path(__file__).parents[2])


# --- code written for the standard ----------------------------------------------------------------------------------


def log_likelihood(x, mean, spread):
    """Of a normal distribution, as a user of the standard writes it: the namespace of its arrays and nothing else."""
    xp = array_api_compat.array_namespace(x, mean, spread)
    lower = xp.linalg.cholesky(spread @ xp.matrix_transpose(spread))
    white = xp.linalg.solve(lower, xp.matrix_transpose(x - mean))
    log_det = 2 * xp.sum(xp.log(xp.linalg.diagonal(lower)))
    constant = x.shape[1] * xp.log(xp.asarray(2 * xp.pi, dtype=x.dtype, device=array_api_compat.device(x)))
    return -0.5 * (xp.sum(xp.square(white)) + x.shape[0] * (log_det + constant))


def test_code_written_for_the_standard_is_differentiated(backend):
    x = np.random.default_rng(0).normal(size=(5, 2))
    mean, spread = np.asarray([0.3, -0.2]), np.asarray([[2.0, 0.4], [0.1, 1.0]])
    arguments = [Tensor(backend.asarray(given), requires_grad=True) for given in (x, mean, spread)]
    log_likelihood(*arguments).backward()
    precision = np.linalg.inv(spread @ spread.T)
    pulled = (x - mean) @ precision
    expected = -pulled, pulled.sum(axis=0), (pulled.T @ pulled - len(x) * precision) @ spread
    for argument, gradient in zip(arguments, expected, strict=True):
        assert_close(argument.grad.value, backend.asarray(gradient), "gradient")


def test_its_gradient_is_right_to_second_order():
    arguments = (np.asarray([[0.1, 0.2], [0.3, -0.4]]), np.asarray([0.3, -0.2]), np.asarray([[2.0, 0.4], [0.1, 1.0]]))
    assert check_gradients(log_likelihood, arguments, order=2)


# --- what the tests are made of -------------------------------------------------------------------------------------


def member(xp, group, name):
    return getattr(getattr(xp, group) if group else xp, name)


def declared(parameters):
    """A function that takes these parameters, written as in a ``def``."""
    scope = {}
    exec(f"def function({parameters}): ...", scope)
    return scope["function"]


def parameters_of(function, without=""):
    return [
        ("*" if parameter.kind is parameter.VAR_POSITIONAL else parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != without
    ]


@functools.cache
def stubbed():
    """Names and parameters in the stub: of the module under "", of each class under its name."""
    found = {"": {}}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found[""][node.name] = ast.unparse(without_annotations(node.args))
        elif isinstance(node, ast.AnnAssign):
            found[""][node.target.id] = None
        elif isinstance(node, ast.ClassDef):
            found[""][node.name] = None
            found[node.name] = {
                function.name: ast.unparse(without_annotations(function.args))
                for function in node.body
                if isinstance(function, ast.FunctionDef)
            }
    return found


def without_annotations(arguments):
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg]
    for argument in filter(None, every):
        argument.annotation = None
    return arguments


def data(backend, wrap=lambda x: x):
    """Arrays of several kinds for `CALLS`."""
    x = np.asarray([[0.1, 0.5, 0.9], [0.7, 0.3, 0.2]])
    arrays = {
        "x": x,
        "row": np.asarray([0.4, 0.6, 0.8]),
        "column": np.asarray([[0.4], [0.6]]),
        "square": np.asarray([[2.0, 0.5, 0.1], [0.5, 3.0, 0.2], [0.1, 0.2, 4.0]]),
        "c": np.asarray([[1.0 + 2.0j, 0.5 - 1.0j, 2.0], [0.0 + 1.0j, 1.0, 3.0 - 2.0j]]),
        "i": np.asarray([[1, 2, 3], [4, 5, 6]]),
        "b": np.asarray([[True, False, True], [False, False, True]]),
        "indices": np.asarray([2, 0]),
        "along": np.asarray([[0, 2], [1, 1]]),
    }
    found = {name: wrap(backend.asarray(array)) for name, array in arrays.items()}
    return SimpleNamespace(**found, float32=backend.xp.float32, zeroed=lambda x: x * 0)


def call(name, function, arguments):
    if name in CALLS:
        return CALLS[name](function, arguments)
    own = name.rpartition(".")[2]
    if own in ON_SQUARES:
        given = arguments.square
    elif own in ON_INTEGERS:
        given = arguments.i
    elif own in ON_TRUTH:
        given = arguments.b
    else:
        given = arguments.x
    count = sum(p.kind is p.POSITIONAL_ONLY for p in inspect.signature(member_of_numpy(name)).parameters.values())
    return function(*[given] * count)


def member_of_numpy(name):
    group, _, own = name.rpartition(".")
    return member(numpy_namespace, group, own)


def whatever_the_version(name, result):
    """A result as the standard has it: older NumPy gives a Python int for a count, and eigenvalues real if they are."""
    if isinstance(result, tuple):
        return tuple(whatever_the_version(name, part) for part in result)
    if isinstance(result, int):
        return np.asarray(result)
    real = isinstance(result, np.ndarray) and result.dtype.kind == "f"
    return result.astype(np.complex128) if real and name in ("linalg.eig", "linalg.eigvals") else result


def standard_of(backend, name):
    """The library's own function as the standard has it; for NumPy that of array-api-compat."""
    group, _, own = name.rpartition(".")
    xp = array_api_compat.numpy if backend.name == "numpy" else backend.xp
    return member(xp, group, own)


def values(results):
    """Raw values of a result that must be Tensors, or are raw themselves."""
    if isinstance(results, tuple | list):
        return tuple(map(values, results))
    return results.value if isinstance(results, Tensor) else results
