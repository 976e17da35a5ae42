"""Cases of kernels: inputs on which every body of a kernel must agree with its agnostic twin.

Each kernel needs some, and a test fails for a kernel that has none.  Write them in ``tests/backends/cases/<topic>.py``;
every module of that folder is collected.  A generator draws NumPy arrays and yields `case`::

    from portml.backends.kernels.normalisation import layer_norm
    from tests.backends.kernel_cases import Draw, case, cases

    @cases(layer_norm, tolerance="reduction")
    def layer_norm_cases(draw: Draw):
        yield case(draw.normal(5, 7), draw.normal(7), draw.normal(7), axes=(1,), eps=1e-5)
        yield case(draw.normal(5, 7), None, None, axes=(1,), eps=1e-5)
        yield case(draw.normal(0, 7), draw.normal(7), draw.normal(7), axes=(1,), eps=1e-5)

From these, and for float32 and float64, the tests make all their comparisons: NumPy's override with the twin, strict
with NumPy, CUDA glue and source executed on the host with the twin, CuPy with NumPy, ``out=`` with the pure call.  Two
things come by themselves:

- *NaN*: the first non-empty case is repeated with a NaN in each floating-point array in turn, and the NaN of the
  results must stand at the same places.  Say ``nan=False`` where that makes no sense.
- *Gradients*: the kernels declared by ``kernel.gradient(saving=..., backward=...)`` get cases made from the forward
  ones, with every gradient wanted and with each one alone.  Cases written by hand for such a kernel take their place.

A kernel that updates state is also called with ``out=`` its own arguments: ``@cases(adam_step, in_place=(0, 2, 3))``
says that the results replace the arguments 0, 2 and 3.

Choose odd sizes (7, 33, 257), something empty, something that does not divide by a block of 256 threads, every static.
Small is enough: a case takes a millisecond.

Several kernels of one signature share a generator: ``@cases(relu, gelu, elu)``.  Another module may add to the cases of
a kernel with ``@more_cases(relu)``, such as arrays so long that a CUDA kernel goes another way.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from portml.backends import Backend, Kernel, kernel_table

__all__ = ["DTYPES", "Case", "Draw", "KernelCases", "all_kernel_cases", "case", "cases", "mapped", "more_cases"]

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Case:
    """One call of a kernel: NumPy arrays, None, numbers or tuples of such by position, and statics."""

    arguments: tuple[Any, ...]
    statics: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        described = [*map(_described, self.arguments), *(f"{name}={value!r}" for name, value in self.statics.items())]
        return f"({', '.join(described)})"

    def on(self, backend: Backend) -> Case:
        """The same call with fresh arrays of a backend."""
        return Case(
            tuple(mapped(lambda array: backend.asarray(array, copy=True), each) for each in self.arguments),
            self.statics,
        )


def case(*arguments: Any, **statics: Any) -> Case:
    """One call of a kernel."""
    return Case(arguments, statics)


class Draw:
    """Draws inputs of one dtype, always the same ones.

    Attributes
    ----------
    dtype : str
        "float32" or "float64".
    """

    def __init__(self, name: str, dtype: str) -> None:
        self.dtype = dtype
        self._generator = np.random.default_rng(zlib.crc32(name.encode()))

    def normal(self, *shape: int) -> np.ndarray[Any, Any]:
        """Standard normal numbers."""
        return np.asarray(self._generator.standard_normal(shape), dtype=self.dtype)

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray[Any, Any]:
        """Numbers between two bounds."""
        return np.asarray(self._generator.uniform(low, high, shape), dtype=self.dtype)

    def values(self, *numbers: float) -> np.ndarray[Any, Any]:
        """These very numbers, for edges and special values."""
        return np.asarray(numbers, dtype=self.dtype)

    def integers(self, low: int, high: int, *shape: int, dtype: str = "int64") -> np.ndarray[Any, Any]:
        """Integers from `low` up to but without `high`."""
        return np.asarray(self._generator.integers(low, high, shape), dtype=dtype)

    def booleans(self, *shape: int) -> np.ndarray[Any, Any]:
        """True and False."""
        return np.asarray(self._generator.integers(0, 2, shape), dtype=bool)

    def permutation(self, *shape: int) -> np.ndarray[Any, Any]:
        """Different numbers in no order, far enough apart that no rounding makes two of them equal."""
        size = int(np.prod(shape))
        return np.asarray(self._generator.permutation(size).reshape(shape) / 8 - size / 16, dtype=self.dtype)


Generator: TypeAlias = Callable[[Draw], Iterator[Case]]


@dataclass(frozen=True)
class KernelCases:
    """The cases of one kernel.

    Attributes
    ----------
    generate : callable
        ``generate(draw)`` yields `Case`.
    tolerance : str
        A kind of `tests.tolerances.TOLERANCES`, or "exact".
    nan : bool
        Whether a case is repeated with NaN.
    in_place : tuple of int
        Which argument each result may be written over; empty if none may.
    """

    name: str
    generate: Generator
    tolerance: str
    nan: bool
    in_place: tuple[int, ...] = ()

    @cache  # noqa: B019  # the table of cases lives as long as the process
    def drawn(self, dtype: str) -> list[Case]:
        """The cases in one dtype, those with a NaN last; infinities are meant, so NumPy need not warn of them."""
        with np.errstate(all="ignore"):
            found = list(self.generate(Draw(self.name, dtype)))
        return found + (list(_poisoned(found)) if self.nan else [])


def cases(
    *kernels: Any, tolerance: str = "elementwise", nan: bool = True, in_place: tuple[int, ...] = ()
) -> Callable[[Generator], Generator]:
    """Declare the cases of one or more kernels.

    Parameters
    ----------
    *kernels : kernel functions
    tolerance : {"elementwise", "reduction", "gradient", "exact"}
    nan : bool
        Whether to add cases with NaN.
    in_place : tuple of int
        Which argument each result may be written over.
    """

    def declare(generate: Generator) -> Generator:
        for function in kernels:
            made: Kernel = function.kernel
            if made.name in _CASES:
                raise ValueError(f"the kernel {made.name} has cases already; add to them with more_cases")
            _CASES[made.name] = KernelCases(made.name, generate, tolerance, nan, in_place)
        return generate

    return declare


def more_cases(*kernels: Any) -> Callable[[Generator], Generator]:
    """Add to the cases of kernels; what `cases` says of tolerance, NaN and writing in place holds for these too."""

    def declare(generate: Generator) -> Generator:
        for function in kernels:
            _MORE.setdefault(function.kernel.name, []).append(generate)
        return generate

    return declare


@cache
def all_kernel_cases() -> dict[str, KernelCases]:
    """The cases of every kernel that has some, by its name, those of gradients included."""
    package = importlib.import_module("tests.backends.cases")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    table = kernel_table()  # after the cases, whose modules may bring kernels of their own
    found = {
        name: replace(each, generate=_chained(each.generate, *_MORE.get(name, ()))) for name, each in _CASES.items()
    }
    for forward in tuple(found.values()):
        for derived in _gradient_cases(table[forward.name], forward):
            found.setdefault(derived.name, derived)
    return found


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """`function` of each array in a value or nested tuples of them; anything else stays as it is."""
    if isinstance(value, tuple):
        return tuple(mapped(function, each) for each in value)
    is_array = hasattr(value, "shape")  # NumPy's scalars, which are Python's floats too, stand for arrays
    return function(value) if is_array else value


_CASES: dict[str, KernelCases] = {}
_MORE: dict[str, list[Generator]] = {}


def _chained(*generators: Generator) -> Generator:
    return lambda draw: itertools.chain.from_iterable(generate(draw) for generate in generators)


def _gradient_cases(made: Kernel, forward: KernelCases) -> Iterator[KernelCases]:
    if made.saving is not None:
        yield KernelCases(made.saving.kernel.name, forward.generate, forward.tolerance, forward.nan)
    if made.backward is not None:
        generate = _backward_cases(made, forward.generate)
        yield KernelCases(made.backward.kernel.name, generate, "gradient", forward.nan)


def _backward_cases(made: Kernel, generate: Generator) -> Generator:
    """Cases of a backward kernel: the forward twin runs, a gradient of the result is drawn."""

    def derived(draw: Draw) -> Iterator[Case]:
        assert made.body is not None
        for forward in generate(draw):
            if made.saving is None:
                y = saved = made.body(*forward.arguments, **forward.statics)
            else:
                y, saved = made.saving.agnostic(*forward.arguments, **forward.statics)
            g = mapped(lambda array: draw.normal(*array.shape), y)
            for needs in _needs(forward.arguments):
                yield Case((g, mapped(np.asarray, saved), *forward.arguments), {"needs": needs, **forward.statics})

    return derived


def _needs(arguments: Sequence[Any]) -> Iterator[tuple[bool, ...]]:
    real = [isinstance(argument, np.ndarray) and argument.dtype.kind == "f" for argument in arguments]
    yield tuple(real)
    if sum(real) > 1:
        for wanted, is_real in enumerate(real):
            if is_real:
                yield tuple(position == wanted for position in range(len(real)))


def _poisoned(found: Sequence[Case]) -> Iterator[Case]:
    """The first case that has a number in every array, with a NaN in each floating-point array in turn."""
    for original in found:
        places = [
            position
            for position, argument in enumerate(original.arguments)
            if isinstance(argument, np.ndarray) and argument.dtype.kind == "f"
        ]
        if places and all(original.arguments[place].size for place in places):
            for place in places:
                poisoned = original.arguments[place].copy()
                poisoned.flat[poisoned.size // 2] = np.nan
                yield Case((*original.arguments[:place], poisoned, *original.arguments[place + 1 :]), original.statics)
            return


def _described(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        nan = " with NaN" if argument.dtype.kind == "f" and np.isnan(argument).any() else ""
        return f"{argument.dtype}{list(argument.shape)}{nan}"
    if isinstance(argument, tuple):
        return f"({', '.join(map(_described, argument))})"
    return repr(argument)
