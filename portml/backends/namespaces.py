"""Which library an array belongs to: a cached answer by type, 0.2 µs for three arrays.

A *library* is an Array API namespace with a name (``"numpy"``, ``"cupy"``, ``"strict"``, or the module name of any
other library that follows the standard).  Kernels are overridden by that name.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from portml.errors import ArgumentError, MixedBackendsError

__all__ = ["Array", "Library", "device_of", "dtype_kind", "is_tensor", "library_of", "namespace", "register_library"]

Array: TypeAlias = Any
"""An array of any library that follows the Array API standard, or a `portml.autograd.Tensor`."""


@dataclass(eq=False)
class Library:
    """An array library as the shim sees it.

    Attributes
    ----------
    name : str
        The name under which kernels are overridden.
    xp : module
        Its Array API namespace.
    has_devices : bool
        Whether two of its arrays can live on different devices, so that mixing must be looked for.
    overrides : str or None
        The package that registers its kernels, a topic when the first kernel of that topic meets one of its arrays.
    compiler : str or None
        The name of overrides that are compiled on the spot and stand before its own, where that compiler is installed.
    """

    name: str
    xp: Any
    has_devices: bool = False
    overrides: str | None = None
    compiler: str | None = None

    def load_overrides(self, topic: str) -> None:
        """Import the overrides of a topic, where there are any."""
        if self.overrides is not None:
            importlib.import_module(self.overrides).load(topic)

    def load_compiled(self, topic: str) -> None:
        """Import the compiled kernels of a topic, where there are any."""
        if self.compiler is not None:
            importlib.import_module(f"portml.backends._{self.compiler}").load(topic)


NUMPY = Library("numpy", np, overrides="portml.backends._numpy", compiler="numba")

_KINDS: dict[type, dict[Any, str]] = {}
_SCALARS = frozenset({bool, int, float, complex, type(None)})
_BY_TYPE: dict[type, Library] = {
    np.ndarray: NUMPY,
    np.memmap: NUMPY,
    # Reductions of NumPy give scalars of these types where the standard has zero-dimensional arrays.
    **{scalar: NUMPY for scalar in np.sctypeDict.values() if issubclass(scalar, np.number | np.bool_)},
}
# Modules that register their own library when imported, by the root of the array type's module.
_REGISTERING = {"cupy": "portml.backends._cupy", "array_api_strict": "portml.backends._strict"}


def namespace(*arrays: Array) -> Any:
    """The Array API namespace of the arrays; Python scalars and None are passed over.

    Parameters
    ----------
    *arrays : arrays, Python scalars or None

    Returns
    -------
    module
        A Tensor's own namespace if there is a Tensor among the arrays, else that of their library.

    Raises
    ------
    MixedBackendsError
        If the arrays belong to different libraries or devices.
    ArgumentError
        If something is no array, or no argument is one.
    """
    library: Library | None = None
    first: Any = None
    for array in arrays:
        kind = type(array)
        found = _BY_TYPE.get(kind)
        if found is None:
            if kind in _SCALARS:
                continue
            if is_tensor(array):
                return array.__array_namespace__()
            found = _discover(array)
        if library is None:
            library, first = found, array
        elif found is not library:
            raise MixedBackendsError(
                f"the arguments mix {library.name} and {found.name} arrays; "
                f"move one with portml.backends.to(x, {library.name!r})"
            )
        elif library.has_devices and array.device != first.device:
            raise MixedBackendsError(
                f"the arguments mix arrays on {first.device} and {array.device}; "
                "move one with portml.backends.to(x, backend) of the other's device"
            )
    if library is None:
        raise ArgumentError(f"expected at least one array, got {_types(arrays)}; make one with Backend.asarray")
    return library.xp


def library_of(*arrays: Array) -> Library:
    """The library of raw arrays: `namespace`, and the name under which kernels are overridden."""
    for array in arrays:
        found = _BY_TYPE.get(type(array))
        if found is not None:
            namespace(*arrays)
            return found
    namespace(*arrays)
    return next(_BY_TYPE[type(array)] for array in arrays if type(array) in _BY_TYPE)


def device_of(array: Array) -> Any:
    """The device of an array, in the words of its own library (``"cpu"`` for NumPy); what creation functions take."""
    return array.device


def dtype_kind(dtype: Any) -> str:
    """What a data type of any library holds: "bool", "int", "uint", "float", "complex" or "other"."""
    kinds = _KINDS.setdefault(type(dtype), {})  # apart by library: theirs warn when compared with each other
    found = kinds.get(dtype)
    if found is None:
        words = str(dtype).lower()
        found = next((kind for kind in ("complex", "float", "uint", "int", "bool") if kind in words), "other")
        kinds[dtype] = found
    return found


def is_tensor(array: Any) -> bool:
    """Whether `array` answers for itself when a kernel is called with it, as a Tensor does."""
    return hasattr(type(array), "__portml_evaluate__")


def register_library(array_type: type, library: Library) -> None:
    """Say that arrays of `array_type` belong to `library`."""
    _BY_TYPE[array_type] = library


def _discover(array: Any) -> Library:
    """Find the library of an array type that was not met before, and remember it."""
    kind = type(array)
    root = kind.__module__.partition(".")[0]
    if root in _REGISTERING:
        importlib.import_module(_REGISTERING[root])
        if kind in _BY_TYPE:
            return _BY_TYPE[kind]
    if isinstance(array, np.ndarray):
        raise ArgumentError(
            f"{kind.__name__} is a subclass of numpy.ndarray with rules of its own; pass numpy.asarray(x) instead"
        )
    library = _foreign_library(array)
    if library is None:
        raise ArgumentError(f"expected an array, got {kind.__name__}; make one with Backend.asarray")
    register_library(kind, library)
    return library


def _foreign_library(array: Any) -> Library | None:
    """Any other library that follows the standard, by itself or through array-api-compat."""
    if hasattr(array, "__array_namespace__"):
        xp = array.__array_namespace__()
    else:
        from array_api_compat import array_namespace

        try:
            xp = array_namespace(array)
        except TypeError:
            return None
    root = type(array).__module__.partition(".")[0]
    known = next((library for library in _BY_TYPE.values() if library.name == root), None)
    return known or Library(root, xp, has_devices=True)


def _types(arrays: tuple[Any, ...]) -> str:
    return ", ".join(type(array).__name__ for array in arrays) or "nothing"
