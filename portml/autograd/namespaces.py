"""The Tensor's Array API namespaces: one for each library, each member made when it is first asked for.

A function of a namespace takes Tensors, raw arrays and Python scalars, and gives Tensors.  Those that compute are
shared by all namespaces, as they follow their arguments; those that create arrays belong to one library.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from portml.autograd import standard_functions as functions
from portml.backends import operations
from portml.backends.namespaces import NUMPY, Library
from portml.errors import ArgumentError

__all__ = ["API_VERSION", "NamespaceInfo", "define", "tensor_namespace"]

API_VERSION = "2025.12"
"""The version of the standard that the namespaces follow; it contains what earlier versions promise."""

_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", API_VERSION)
_NUMPY_NAMESPACE = "portml.autograd.namespace"
_MADE: dict[str, ModuleType] = {}

_CONSTANTS = ("e", "inf", "nan", "newaxis", "pi")
_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64", "complex64", "complex128",
)  # fmt: skip
_FROM_THE_LIBRARY = (*_CONSTANTS, *_DTYPES, "broadcast_shapes", "isdtype")
_ABOUT_TYPES = {
    "can_cast": functions.can_cast_of,
    "finfo": functions.finfo_of,
    "iinfo": functions.iinfo_of,
    "result_type": functions.result_type_of,
}
_IN_LINALG_TOO = ("matmul", "matrix_transpose", "tensordot", "vecdot")
_NOT_IN_THE_STANDARD = frozenset({"alias", "cast", "to_device"})

Members = dict[str, Callable[[], Any]]


def tensor_namespace(library: Library, api_version: str | None = None) -> ModuleType:
    """The Array API namespace of Tensors whose values belong to a library.

    Its functions of creation create on that library.  As the standard says, they create on the library's default device
    unless they are told ``device=``; that of a Tensor at hand is ``device_of(x)``.  The ``*_like`` functions stay on
    the device of their argument.

    Parameters
    ----------
    library : Library
    api_version : str, optional
        A version of the standard, at most "2025.12".

    Returns
    -------
    module
        `portml.autograd.namespace` for NumPy's arrays, a module like it for those of others.

    Raises
    ------
    ArgumentError
        If that version of the standard is not known.
    """
    if api_version is not None and api_version not in _VERSIONS:
        raise ArgumentError(f"api_version: expected one of {', '.join(_VERSIONS)}, got {api_version!r}")
    made = _MADE.get(library.name)
    if made is None:
        if library is NUMPY:
            made = importlib.import_module(_NUMPY_NAMESPACE)
        else:
            made = ModuleType(f"{_NUMPY_NAMESPACE}({library.name})")
            define(made, library)
        _MADE[library.name] = made
    return made


def define(module: ModuleType, library: Library) -> None:
    """Make a module the Tensor namespace of a library; its members are made when they are first asked for."""
    module.__dict__["__array_api_version__"] = API_VERSION
    module.__dict__["__array_namespace_info__"] = lambda: NamespaceInfo(library)
    extensions = {name: _extension(name, library, module.__name__) for name in functions.EXTENSIONS}
    module.__dict__.update(extensions)
    _give(module, _members(library, module.__name__), *extensions)
    module.__doc__ = module.__doc__ or f"The Array API namespace of Tensors with {library.name} values."


class NamespaceInfo:
    """What a library says of its devices and data types, as `__array_namespace_info__` gives it."""

    def __init__(self, library: Library) -> None:
        self._info = library.xp.__array_namespace_info__()

    def capabilities(self) -> dict[str, Any]:
        """What the library can do that the standard leaves open."""
        return dict(self._info.capabilities())

    def default_device(self) -> Any:
        """Where arrays are created unless ``device=`` says otherwise."""
        return self._info.default_device()

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The data types of arrays created without ``dtype=``, by kind."""
        return dict(self._info.default_dtypes(device=device))

    def dtypes(self, *, device: Any = None, kind: str | tuple[str, ...] | None = None) -> dict[str, Any]:
        """The data types of a device, by name."""
        return dict(self._info.dtypes(device=device, kind=kind))

    def devices(self) -> tuple[Any, ...]:
        """All devices."""
        return tuple(self._info.devices())


def _members(library: Library, module: str) -> Members:
    """For each name of the main namespace what makes its value."""
    members: Members = {}
    members |= {name: partial(getattr, library.xp, name) for name in _FROM_THE_LIBRARY}
    members |= {name: partial(make, library.xp) for name, make in _ABOUT_TYPES.items()}
    members |= _functions("", library, module)
    members["asarray"] = partial(functions.asarray_of, library)
    return members


def _functions(extension: str, library: Library, module: str) -> Members:
    """The functions of an extension of the standard, or of the main namespace (``""``)."""
    members: Members = {}
    for name in operations.operation_names():
        group, own = functions.split_name(name)
        if group == extension and name not in _NOT_IN_THE_STANDARD:
            members[own] = partial(functions.computing, name, library)
    for name in operations.creation_names():
        group, own = functions.split_name(name)
        if group == extension:
            members[own] = partial(functions.creating, name, library, module)
    return members


def _extension(extension: str, library: Library, parent: str) -> ModuleType:
    module = ModuleType(f"{parent}.{extension}", f"The extension ``{extension}`` of the Array API standard on Tensors.")
    members = _functions(extension, library, module.__name__)
    if extension == "linalg":
        members |= {name: partial(functions.computing, name, library) for name in _IN_LINALG_TOO}
    _give(module, members)
    if parent in sys.modules:  # so that it can be imported like numpy.linalg
        sys.modules[module.__name__] = module
    return module


def _give(module: ModuleType, members: Members, *others: str) -> None:
    """Let a module make its members when they are asked for; it has the others already."""

    def get_member(name: str) -> Any:
        if name not in members:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        value = module.__dict__[name] = members[name]()
        return value

    module.__dict__["__getattr__"] = get_member
    module.__dict__["__dir__"] = lambda: sorted({*members, *vars(module)})
    module.__dict__["__all__"] = sorted([*members, *others])
