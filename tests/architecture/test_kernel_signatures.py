"""Every way to compute a kernel is called in one way."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from portml.backends import Kernel, kernel_table

KERNELS = list(kernel_table().values())
NAMES = [kernel.name for kernel in KERNELS]
STATIC = inspect.Parameter.KEYWORD_ONLY
Parameters = list[tuple[str, Any, Any]]


@pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
def test_only_statics_have_defaults(kernel: Kernel) -> None:
    for name, kind, default in parameters(kernel.body):
        assert kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL, STATIC), name
        assert kind == STATIC or default is inspect.Parameter.empty, f"{name} is an array, and has a default"


@pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
def test_the_function_that_is_called_has_the_bodys_signature_and_out(kernel: Kernel) -> None:
    *same, out = parameters(kernel.prepare())
    assert same == parameters(kernel.body)
    assert out == ("out", STATIC, None)


@pytest.mark.parametrize(
    ("kernel", "library"), [(kernel, library) for kernel in KERNELS for library in kernel.table], ids=str
)
def test_an_override_has_the_bodys_signature(kernel: Kernel, library: str) -> None:
    override = [parameter for parameter in parameters(kernel.table[library]) if parameter[0] != "out"]
    assert override == parameters(kernel.body)


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel.backward], ids=lambda kernel: kernel.name)
def test_the_kernels_of_a_gradient_take_what_the_kernel_takes(kernel: Kernel) -> None:
    body = parameters(kernel.body)
    if kernel.saving is not None:
        # A default belongs to the kernel that users call; the saving kernel is handed every static.
        assert [each[:2] for each in parameters(kernel.saving.agnostic)] == [each[:2] for each in body]
    assert kernel.backward is not None
    backward = parameters(kernel.backward.agnostic)
    arrays = [kind for _, kind, _ in body if kind != STATIC]
    if inspect.Parameter.VAR_POSITIONAL not in arrays:
        arrays = [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 2 + arrays  # the result's gradient, and what was saved
    assert [kind for _, kind, _ in backward if kind != STATIC] == arrays
    statics = {name for name, kind, _ in backward if kind == STATIC}
    assert statics == {"needs"} | {name for name, kind, _ in body if kind == STATIC}


def parameters(function: Callable[..., Any] | None) -> Parameters:
    """Name, kind and default of each parameter."""
    assert function is not None
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]
