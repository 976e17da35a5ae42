"""A Tensor among Python's and NumPy's protocols: operators, conversions, copies, threads, memory."""

from __future__ import annotations

import asyncio
import copy
import gc
import operator
import pickle
import threading
import weakref

import numpy as np
import pytest

import portml.autograd.namespace as numpy_namespace
from portml.autograd import Tensor, enable_grad, grad_enabled, no_grad
from portml.autograd.parameter import Parameter
from portml.backends import get_backend, namespace, to_numpy
from portml.backends.kernel import Kernel, Signature
from portml.errors import ArgumentError, DtypeError, GradientError, MixedBackendsError, ShapeError
from tests.tolerances import assert_close

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
IN_PLACE = [
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod, operator.ipow,
    operator.imatmul,
]  # fmt: skip


def tensor(backend, values, requires_grad=False, dtype="float64"):
    return Tensor(backend.asarray(values, dtype=dtype), requires_grad)


# --- operators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operate", ARITHMETIC + COMPARISONS, ids=lambda operate: operate.__name__)
def test_an_operator_gives_what_it_gives_on_raw_arrays(backend, operate):
    a, b = backend.asarray([1.0, 2.0, 3.0]), backend.asarray([2.0, 2.0, 2.0])
    expected = operate(a, b)
    for result in (operate(Tensor(a), Tensor(b)), operate(Tensor(a), b), operate(Tensor(a), 2.0)):
        assert type(result) is Tensor
        assert_close(result.value, expected)
    assert_close(operate(2.0, Tensor(a)).value, operate(2.0, a))


@pytest.mark.parametrize("operate", BITWISE, ids=lambda operate: operate.__name__)
def test_a_bitwise_operator_gives_what_it_gives_on_raw_arrays(backend, operate):
    a, b = backend.asarray([6, 5, 4]), backend.asarray([1, 2, 3])
    assert_close(operate(Tensor(a), Tensor(b)).value, operate(a, b))
    assert_close(operate(9, Tensor(b)).value, operate(9, b))


@pytest.mark.parametrize("operate", [operator.neg, operator.pos, abs], ids=["neg", "pos", "abs"])
def test_a_sign_gives_what_it_gives_on_raw_arrays(backend, operate):
    a = backend.asarray([-1.0, 2.0])
    assert_close(operate(Tensor(a)).value, operate(a))


def test_inversion_and_products_of_matrices_give_what_they_give_on_raw_arrays(backend):
    a = backend.asarray([[1.0, 2.0], [3.0, 4.0]])
    assert_close((Tensor(a) @ Tensor(a)).value, a @ a)
    assert_close((~Tensor(backend.asarray([1, -3]))).value, backend.asarray([-2, 2]))


@pytest.mark.parametrize("operate", [*ARITHMETIC, operator.matmul], ids=lambda operate: operate.__name__)
def test_a_numpy_array_on_the_left_leaves_the_operation_to_the_tensor(operate):
    a, b = np.asarray([1.0, 2.0, 3.0]), np.asarray([2.0, 2.0, 2.0])
    result = operate(a, Tensor(b))
    assert type(result) is Tensor
    assert_close(result.value, operate(a, b))


def test_a_numpy_scalar_on_the_left_leaves_the_operation_to_the_tensor():
    x = Tensor(np.asarray([1.0, 2.0]), requires_grad=True)
    result = np.float64(3.0) * x
    assert type(result) is Tensor
    result.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.value, [3.0, 3.0])


def test_a_comparison_with_a_numpy_array_on_the_left_gives_a_tensor():
    result = np.asarray([1.0, 3.0]) < Tensor(np.asarray([2.0, 2.0]))
    assert type(result) is Tensor
    np.testing.assert_array_equal(result.value, [True, False])


def test_gradients_flow_through_reflected_operators(backend):
    x = tensor(backend, [2.0, 4.0], requires_grad=True)
    y = (1.0 - x) + 8.0 / x + 2.0**x
    y.backward(backend.asarray([1.0, 1.0]))
    at = np.asarray([2.0, 4.0])
    assert_close(x.grad.value, backend.asarray(-1.0 - 8.0 / at**2 + 2.0**at * np.log(2.0)), "gradient")


@pytest.mark.parametrize("other", ["2", None, [1.0, 2.0], object(), {}], ids=lambda other: type(other).__name__)
def test_what_is_no_operand_is_left_to_the_other_side(other):
    x = Tensor(np.ones(2))
    for name in ("__add__", "__radd__", "__iadd__", "__lt__", "__eq__", "__matmul__"):
        assert getattr(x, name)(other) is NotImplemented
    with pytest.raises(TypeError):
        x + other
    assert (x == other) is False


def test_the_other_sides_reflected_operator_is_asked():
    class Answer:
        def __rmul__(self, other):
            return "answer"

    assert Tensor(np.ones(2)) * Answer() == "answer"


def test_operands_of_two_libraries_are_refused():
    with pytest.raises(MixedBackendsError, match=r"portml\.backends\.to"):
        Tensor(np.ones(2)) + Tensor(get_backend("strict").asarray([1.0, 1.0]))


def test_numpys_functions_refuse_a_tensor():
    x = Tensor(np.ones(2))
    with pytest.raises(TypeError):
        np.exp(x)
    raw = np.ones(2)
    with pytest.raises(TypeError):
        raw += x


def test_a_raw_array_times_a_tensor_works_inside_a_kernel(backend):
    x, scale = tensor(backend, [1.0, 2.0], requires_grad=True), backend.asarray([3.0, 5.0])
    y = Kernel("scaled_square", scaled_square, Signature.of(scaled_square)).function(scale, x)
    y.backward(backend.asarray([1.0, 1.0]))
    assert_close(y.value, backend.asarray([3.0, 20.0]))
    assert_close(x.grad.value, backend.asarray([6.0, 20.0]))


def scaled_square(scale, x):
    """scale * x**2, a raw array on the left: kernels lift it when a Tensor stands beside it."""
    return scale * (x * x)


# --- operators in place -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operate", IN_PLACE, ids=lambda operate: operate.__name__)
def test_an_operator_in_place_gives_what_the_plain_one_gives(backend, operate):
    a, b = backend.asarray([[1.0, 2.0], [3.0, 4.0]]), backend.asarray([[2.0, 1.0], [1.0, 2.0]])
    expected = getattr(operator, operate.__name__.removeprefix("i"))(a, b)
    for other in (b, Tensor(b)):
        x = same = Tensor(a)
        x = operate(x, other)
        assert x is same
        assert_close(x.value, expected)
    assert_close(a, backend.asarray([[1.0, 2.0], [3.0, 4.0]]))


def test_gradients_flow_through_operators_in_place(backend):
    x = tensor(backend, [1.0, 2.0], requires_grad=True)
    y = x * 2.0
    z = y * y
    y += 1.0
    y *= x
    (y + z).backward(backend.asarray([1.0, 1.0]))
    at = np.asarray([1.0, 2.0])
    assert_close(x.grad.value, backend.asarray((4.0 * at + 1.0) + 8.0 * at), "gradient")


def test_a_leaf_is_changed_in_place_inside_no_grad_only(backend):
    x = tensor(backend, [1.0, 2.0], requires_grad=True)
    raw = x.value
    with pytest.raises(GradientError, match="no_grad"):
        x += 1.0
    used = x * x
    with no_grad():
        x -= tensor(backend, [0.5, 0.5])
    assert x.value is raw
    assert_close(raw, backend.asarray([0.5, 1.5]))
    with pytest.raises(GradientError, match="written in place"):
        used.backward(backend.asarray([1.0, 1.0]))


def test_a_frozen_parameter_is_changed_in_its_own_array_and_takes_no_history(backend):
    frozen = Parameter(backend.asarray([1.0, 2.0]), requires_grad=False)
    raw = frozen.value
    frozen += 1.0
    frozen[0] = 7.0
    assert frozen.value is raw
    assert_close(raw, backend.asarray([7.0, 3.0]))
    with pytest.raises(GradientError, match="written in place"):
        frozen += tensor(backend, [1.0, 2.0], requires_grad=True)


def test_an_operator_in_place_changes_neither_shape_nor_data_type(backend):
    x, n = tensor(backend, [1.0, 2.0]), tensor(backend, [1, 2], dtype="int32")
    with pytest.raises(ShapeError, match=r"expected a result of shape \(2,\), got \(3, 2\)"):
        x += backend.zeros((3, 2), "float64")
    with pytest.raises(DtypeError, match="expected a result of"):
        n += tensor(backend, [1, 2], dtype="int64")
    assert_close(x.value, backend.asarray([1.0, 2.0]))
    assert_close(n.value, backend.asarray([1, 2], dtype="int32"))


# --- Python's conversions ---------------------------------------------------------------------------------------------


@pytest.mark.transfers("converting to a Python number reads the value")
def test_a_tensor_of_one_element_becomes_a_python_number(backend):
    assert bool(tensor(backend, 2.0)) is True
    assert int(tensor(backend, 2.5)) == 2
    assert float(tensor(backend, 2.5, requires_grad=True)) == 2.5
    assert complex(tensor(backend, 2.5)) == 2.5 + 0j
    assert operator.index(tensor(backend, 3, dtype="int64")) == 3
    assert [0, 10, 20][tensor(backend, 2, dtype="int64")] == 20


def test_only_integers_are_indices():
    for value in (np.float64(2.0), np.asarray(2.0)):
        with pytest.raises(TypeError):
            operator.index(Tensor(value))


def test_the_value_comes_to_the_host_when_it_is_asked_for(backend):
    x = tensor(backend, [[1.5]], requires_grad=True)
    assert x.item() == 1.5
    assert x.numpy().tolist() == [[1.5]]
    with pytest.raises(ShapeError, match="one element"):
        tensor(backend, [1.0, 2.0]).item()


def test_a_tensor_is_a_sequence_along_its_first_axis(backend):
    x = tensor(backend, [[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2
    first, second = x
    (first * second).backward(backend.asarray([1.0, 1.0]))
    assert_close(x.grad.value, backend.asarray([[3.0, 4.0], [1.0, 2.0]]))
    with pytest.raises(ShapeError):
        len(tensor(backend, 1.0))
    with pytest.raises(ShapeError):
        iter(tensor(backend, 1.0))


def test_a_scalar_of_numpy_becomes_an_array_that_can_be_written():
    x = Tensor(np.float32(2.0), requires_grad=True)
    assert isinstance(x.value, np.ndarray)
    with no_grad():
        x += 1.0
    assert (x.item(), x.dtype, x.shape) == (3.0, np.float32, ())


def test_transposes_are_those_of_the_standard(backend):
    x = tensor(backend, np.arange(6.0).reshape(1, 2, 3))
    assert_close(x.mT.value, backend.asarray(np.arange(6.0).reshape(1, 2, 3).swapaxes(1, 2)))
    assert x[0, ...].T.shape == (3, 2)
    with pytest.raises(ShapeError, match="matrix"):
        _ = x.T


@pytest.mark.transfers("moving to another device is what is tested")
def test_a_tensor_moves_to_a_device_with_its_history(backend):
    x = tensor(backend, [1.0, 2.0], requires_grad=True)
    y = x.to_device(x.device) * 3.0
    y.backward(backend.asarray([1.0, 1.0]))
    assert_close(x.grad.value, backend.asarray([3.0, 3.0]))
    with pytest.raises(ArgumentError, match="stream"):
        x.to_device(x.device, stream=1)


# --- identity ---------------------------------------------------------------------------------------------------------


def test_a_tensor_is_hashed_by_identity(backend):
    x, y = tensor(backend, [1.0]), tensor(backend, [1.0])
    names = {x: "x", y: "y"}
    assert (names[x], names[y], len({x, y, x})) == ("x", "y", 2)


def test_repr_tells_the_value_and_where_it_came_from():
    x = Tensor(np.asarray([1.0, 2.0]), requires_grad=True)
    assert repr(x) == "Tensor(array([1., 2.]), requires_grad=True)"
    assert repr(x + 1.0) == "Tensor(array([2., 3.]), from add)"
    assert repr(x.detach()) == "Tensor(array([1., 2.]))"
    assert repr(numpy_namespace.linalg.slogdet(numpy_namespace.eye(2).requires_grad_()).sign).endswith(
        "linalg_slogdet)"
    )
    assert repr(Parameter(np.asarray([1.0]))).startswith("Parameter(")


# --- NumPy ------------------------------------------------------------------------------------------------------------


def test_numpy_takes_an_untracked_tensor_and_shares_its_memory():
    raw = np.asarray([1.0, 2.0])
    assert np.asarray(Tensor(raw)) is raw
    assert np.asarray(Tensor(raw), dtype=np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(Tensor(raw), copy=True), raw)
    assert np.shares_memory(np.from_dlpack(Tensor(raw)), raw)
    assert np.asarray(numpy_namespace.sum(Tensor(raw))) == 3.0


def test_numpy_is_refused_a_tracked_tensor():
    x = Tensor(np.asarray([1.0, 2.0]), requires_grad=True)
    for convert in (np.asarray, np.from_dlpack, lambda x: np.asarray([x, x])):
        with pytest.raises(GradientError, match="detach"):
            convert(x * 2.0)


def test_numpy_is_refused_a_tensor_on_a_device():
    with pytest.raises(DtypeError, match=r"Tensor\.numpy\(\)"):
        np.asarray(Tensor(get_backend("strict").asarray([1.0])))


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_a_copy_has_its_own_value_on_the_same_device_and_its_own_gradient(backend, copied, requires_grad):
    x = tensor(backend, [1.0, 2.0], requires_grad, dtype="float32")
    y = copied(x)
    assert_close(y.value, backend.asarray([1.0, 2.0], dtype="float32"))
    assert y.requires_grad is requires_grad
    y.value[0] = 9.0
    assert_close(x.value, backend.asarray([1.0, 2.0], dtype="float32"))
    if requires_grad:
        (y * y).backward(backend.asarray([1.0, 1.0], dtype="float32"))
        assert x.grad is None


def test_a_deep_copy_of_a_structure_keeps_a_tensor_that_is_there_twice_one():
    x = Tensor(np.ones(2), requires_grad=True)
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert first is not x


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_was_computed_is_not_copied_without_its_history(copied):
    y = Tensor(np.ones(2), requires_grad=True) * 2.0
    with pytest.raises(GradientError, match="detach"):
        copied(y)
    copied(y.detach())


def test_functions_of_the_namespace_can_be_pickled():
    for function in (numpy_namespace.exp, numpy_namespace.zeros, numpy_namespace.linalg.solve, numpy_namespace.asarray):
        assert pickle.loads(pickle.dumps(function)) is function


# --- threads and tasks ------------------------------------------------------------------------------------------------


def test_modes_of_two_threads_do_not_meet():
    together = threading.Barrier(2)
    found = {}

    def without():
        with no_grad():
            together.wait(timeout=10)
            found["without"] = (Tensor(np.ones(2), requires_grad=True) * 2.0).requires_grad
            with enable_grad():
                found["again"] = grad_enabled()
            together.wait(timeout=10)

    def within():
        together.wait(timeout=10)
        found["within"] = (Tensor(np.ones(2), requires_grad=True) * 2.0).requires_grad
        together.wait(timeout=10)

    threads = [threading.Thread(target=target) for target in (without, within)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert found == {"without": False, "again": True, "within": True}
    assert grad_enabled()


def test_modes_of_two_tasks_do_not_meet():
    async def without(turn):
        with no_grad():
            turn.set()
            await asyncio.sleep(0)
            return grad_enabled()

    async def within(turn):
        await turn.wait()
        return grad_enabled()

    async def both():
        turn = asyncio.Event()
        return await asyncio.gather(without(turn), within(turn))

    assert asyncio.run(both()) == [False, True]


def test_a_mode_is_left_when_an_error_leaves_it():
    with pytest.raises(ZeroDivisionError), no_grad():
        _ = 1 / 0
    assert grad_enabled()


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_collector():
    """Only reference counts free memory while the test runs."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def written(x):
    y = x * 1.0
    y[0] = x[1]
    y += x
    return y


COMPUTATIONS = {
    "arithmetic": lambda x: (x * x + 2.0) / x,
    "index": lambda x: x[1:],
    "iteration": lambda x: next(iter(x)),
    "in place": written,
    "named results": lambda x: numpy_namespace.linalg.svd(x * numpy_namespace.reshape(x, (-1, 1))).S,
    "reduction": lambda x: numpy_namespace.sum(numpy_namespace.stack([x, x])),
    "conversion": lambda x: numpy_namespace.asarray(x, dtype=numpy_namespace.float32),
}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", COMPUTATIONS)
def test_a_computation_dies_with_the_last_reference_to_its_result(name):
    raw = np.asarray([1.0, 2.0])
    x = Tensor(raw, requires_grad=True)
    intermediate = x * 3.0
    remembered = [weakref.ref(intermediate.value), weakref.ref(x), weakref.ref(raw)]
    y = COMPUTATIONS[name](intermediate)
    del intermediate, raw
    assert remembered[0]() is not None or name == "index", "the record holds what its gradient needs"
    y.backward(np.ones(y.shape, dtype=y.dtype))
    assert x.grad is not None
    del x, y
    assert [reference() for reference in remembered] == [None, None, None]


@pytest.mark.usefixtures("no_collector")
def test_a_computation_that_is_never_walked_back_dies_too():
    x = Tensor(np.asarray([1.0, 2.0]), requires_grad=True)
    y = written(x)
    value, result = weakref.ref(x.value), weakref.ref(y)
    del x, y
    assert value() is None
    assert result() is None


@pytest.mark.usefixtures("no_collector")
def test_a_namespace_keeps_no_array(backend):
    x = tensor(backend, [1.0, 2.0], requires_grad=True)
    namespace(x).exp(x)
    remembered = weakref.ref(x)
    del x
    assert remembered() is None


def test_to_numpy_takes_a_tensor(backend):
    np.testing.assert_array_equal(to_numpy(tensor(backend, [1.0, 2.0], requires_grad=True)), [1.0, 2.0])
