"""Every rule of differentiation against central differences, on every backend, and at its special points."""

from __future__ import annotations

import contextlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from portml.autograd import Tensor, check_gradients
from portml.backends import Backend, get_backend, observe, to_numpy
from portml.backends import operations as xp
from portml.backends.operations import operation, operation_table
from portml.errors import GradientError
from tests.autograd.rule_cases import CASES, REFUSED, Case
from tests.autograd.special_points import POINTS, Point
from tests.no_hidden_transfer import permitted
from tests.tolerances import assert_close

CASES_OF: dict[str, list[Case]] = defaultdict(list)
for _case in CASES:
    CASES_OF[_case.name].append(_case)

DIFFERENTIABLE = [name for name, kernel in operation_table().items() if kernel.differentiable]
STEPS = {"ceil", "floor", "round", "trunc", "floor_divide"}
"""Whose gradients are zero: a factor does not make them wrong."""
ZERO_FLOWS = {("copysign", 1), ("nextafter", 1)}


def test_every_differentiable_operation_has_a_rule_and_a_case() -> None:
    table = operation_table()
    without_rule = [name for name in DIFFERENTIABLE if table[name].rules is None and table[name].joint_rule is None]
    assert without_rule == []
    assert set(DIFFERENTIABLE) == set(CASES_OF) | set(REFUSED)


def test_no_two_cases_are_the_same() -> None:
    assert len({(str(case), case.wrapped) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("name", sorted(CASES_OF))
def test_gradients_agree_with_central_differences_to_second_order(name: str) -> None:
    for case in CASES_OF[name]:
        with _noted(case):
            check_gradients(case, case.inputs(), order=2)


@pytest.mark.parametrize("name", sorted(CASES_OF))
def test_second_derivatives_stay_on_their_device(name: str, backend: Backend) -> None:
    for case in CASES_OF[name]:
        inputs = [backend.asarray(given) if hasattr(given, "dtype") else given for given in case.inputs()]
        with _noted(case), permitted() if case.waits else contextlib.nullcontext():
            check_gradients(case, inputs, order=2, directional=True)


@pytest.mark.parametrize("name", sorted(set(CASES_OF) - STEPS))
def test_a_gradient_that_is_wrong_by_two_percent_is_noticed(name: str) -> None:
    for position in _flows(name):
        with _spoilt(name, position, lambda gradient: xp.multiply(gradient, 1.02)):
            assert any(_is_refused(case, order=1) for case in CASES_OF[name]), f"argument {position}"


@pytest.mark.parametrize("name", sorted(set(CASES_OF) - STEPS))
def test_a_rule_that_loses_its_history_is_noticed(name: str) -> None:
    for position in _flows(name):
        with _spoilt(name, position, lambda gradient: Tensor(gradient) if isinstance(gradient, Tensor) else gradient):
            assert any(_is_refused(case, order=2) for case in CASES_OF[name]), f"argument {position}"


@pytest.mark.parametrize("name", sorted(CASES_OF))
def test_gradients_keep_backend_and_dtype_and_equal_those_of_numpy(name: str, backend: Backend, dtype: Any) -> None:
    single = "32" in str(dtype)
    for case in CASES_OF[name]:
        with _noted(case), permitted() if case.waits else contextlib.nullcontext():
            expected = _gradients(case, get_backend("numpy"), single=False)
            found = _gradients(case, backend, single)
            for tensor, one in found:
                assert tensor.dtype == one.dtype
                assert tensor.device == one.device
            precise = [
                backend.asarray(to_numpy(one).astype(to_numpy(two).dtype))
                for (_, one), (_, two) in zip(expected, found, strict=True)
            ]
            assert_close([one for _, one in found], precise, "gradient")


def test_a_conversion_gives_the_gradient_the_data_type_of_what_was_converted(backend: Backend) -> None:
    x = Tensor(backend.asarray([1.0, 2.0], dtype="float32"), requires_grad=True)
    y = xp.astype(x, backend.xp.float64)
    xp.sum(xp.multiply(y, y)).backward()
    assert_close(x.grad.value, backend.asarray([2.0, 4.0], dtype="float32"))


@pytest.mark.parametrize("name", sorted(CASES_OF))
def test_an_observer_changes_no_gradient(name: str) -> None:
    numpy = get_backend("numpy")
    for case in CASES_OF[name]:
        expected = [one for _, one in _gradients(case, numpy, single=False)]
        with observe(lambda call: call.proceed()), _noted(case):
            assert_close([one for _, one in _gradients(case, numpy, single=False)], expected, "exact")


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_gradients_at_special_points(point: Point, backend: Backend) -> None:
    inputs = [_leaf(backend, argument) for argument in point.arguments]
    with warnings.catch_warnings():
        if _infinite(point):
            warnings.simplefilter("ignore", RuntimeWarning)
        result = operation(point.name).function(*inputs, **point.statics)
        result.backward(xp.ones_like(result.value))
    leaves = [leaf for leaf in inputs if isinstance(leaf, Tensor) and leaf.requires_grad]
    for leaf, expected in zip(leaves, point.gradients, strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=1e-9, atol=1e-12)


def _gradients(case: Case, backend: Backend, single: bool) -> list[tuple[Tensor, Any]]:
    """The arguments that are differentiated, and the gradients of a weighted sum of squares of the results."""
    inputs = [
        _leaf(backend, argument, single) if hasattr(argument, "dtype") else argument for argument in case.inputs()
    ]
    results = case(*inputs)
    total = None
    for i, result in enumerate(results if isinstance(results, tuple) else (results,)):
        weights = np.cos(np.arange(result.size) + i).reshape(result.shape) + 0.3
        weighted = xp.multiply(result, backend.asarray(weights.astype("float32" if single else "float64")))
        if "complex" in str(result.dtype):
            weighted = xp.add(xp.real(weighted), xp.imag(weighted))
        part = xp.sum(xp.square(weighted))
        total = part if total is None else xp.add(total, part)
    leaves = [leaf for leaf in inputs if isinstance(leaf, Tensor) and leaf.requires_grad]
    total.backward()
    return [(leaf, leaf.grad.value) for leaf in leaves]


def _leaf(backend: Backend, argument: Any, single: bool = False) -> Any:
    """A list or NumPy array as a Tensor; Python scalars as they are."""
    if not isinstance(argument, list | np.ndarray):
        return argument
    host = np.asarray(argument)
    fractions = host.dtype.kind in "fc"
    if single and fractions:
        host = host.astype({"f": "float32", "c": "complex64"}[host.dtype.kind])
    return Tensor(backend.asarray(host), requires_grad=fractions)


def _infinite(point: Point) -> bool:
    """Whether a division by zero is what is expected."""
    return not all(np.isfinite(gradient).all() for gradient in point.gradients)


def _is_refused(case: Case, order: int) -> bool:
    try:
        check_gradients(case, case.inputs(), order=order)
    except GradientError:
        return True
    return False


def _flows(name: str) -> list[int]:
    """Positions of the arguments to which a gradient flows, not always zero, in some case."""
    positions = {
        i
        for case in CASES_OF[name]
        for i, argument in enumerate(case.inputs())
        if isinstance(argument, np.ndarray) and argument.dtype.kind in "fc"
    }
    return sorted(position for position in positions if (name, position) not in ZERO_FLOWS)


@contextlib.contextmanager
def _spoilt(name: str, position: int, spoil: Callable[[Any], Any]) -> Iterator[None]:
    """The rule for one argument of an operation made wrong."""
    kernel = operation(name)
    rules, joint = kernel.rules, kernel.joint_rule
    if rules is not None:
        rule = rules[position]
        assert rule is not None
        kernel.rules = (*rules[:position], lambda *a, **s: spoil(rule(*a, **s)), *rules[position + 1 :])
    else:
        assert joint is not None
        kernel.joint_rule = lambda *a, **s: [
            spoil(gradient) if i == position and gradient is not None else gradient
            for i, gradient in enumerate(joint(*a, **s))
        ]
    try:
        yield
    finally:
        kernel.rules, kernel.joint_rule = rules, joint


@contextlib.contextmanager
def _noted(case: Case) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"in the case {case}")
        raise
