"""A backend: an array library on a device, and what a training script asks of it.

`get_backend` opens one by name.  After construction the data decides: algorithms follow the arrays they are given, and
there is no ambient current backend.
"""

from __future__ import annotations

import importlib
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from portml.backends.doorway import unrepeatable
from portml.backends.kernel import Kernel, kernels_in_use, use_kernels
from portml.backends.namespaces import Array, dtype_kind, is_tensor, library_of
from portml.errors import (
    BackendUnavailableError,
    DtypeError,
    MissingDependencyError,
    RangeError,
    ShapeError,
    UnknownBackendError,
)

__all__ = [
    "Backend",
    "Memory",
    "available_backends",
    "backend_of",
    "get_backend",
    "register_generator",
    "to",
    "to_numpy",
]

# Each module has `open_backend(device=None) -> Backend`, which raises where the library or the device is missing.
_MODULES = {
    "numpy": "portml.backends._numpy",
    "cupy": "portml.backends._cupy",
    "strict": "portml.backends._strict",
}
# Names of data types that a backend may have; a namespace has functions and constants as well.
_DTYPES = frozenset(
    {"bool", "complex64", "complex128", "float16", "float32", "float64"}
    | {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
)
_OPENED: dict[tuple[str, str | None], Backend] = {}
_generator: Callable[..., Any] | None = None


class Memory(NamedTuple):
    """Memory of a device in bytes."""

    used: int
    total: int


class Backend(ABC):
    """An array library on one device.

    Subclasses say how arrays come and go; the rest is the standard's own.

    Attributes
    ----------
    name : str
        "numpy", "cupy" or "strict": the name under which kernels are overridden.
    xp : module
        The Array API namespace.
    device : object
        The device in the library's own words.
    host : bool
        Whether reading a value costs nothing; only there are checks made that depend on data.
    """

    name: str
    xp: Any
    device: Any
    host: bool = False
    # Operations of the standard, by name, that the library itself does not let write where they are told.
    _writers: ClassVar[Mapping[str, Callable[..., None]]] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"<backend {self.name} on {self.device}, {self.kernels} kernels>"

    @property
    def kernels(self) -> str:
        """Which bodies run on this backend's arrays: "fused", "pure" or "agnostic"."""
        return kernels_in_use(self.name)

    def asarray(self, data: Any, dtype: Any = None, copy: bool | None = None) -> Array:
        """Bring `data` to this backend's device.

        Parameters
        ----------
        data : array of any backend, Tensor, Python scalar or sequence
            A Tensor gives its value, without its history.
        dtype : str or dtype, optional
            As a name ("float32") or in the library's own words.  None keeps the data's.
        copy : bool, optional
            True always copies, None copies where needed.

        Returns
        -------
        array on this backend

        Raises
        ------
        DtypeError
            If `data` holds no numbers, or `dtype` is no data type of this backend.
        RangeError
            If a sequence holds an integer that its data type does not.
        ShapeError
            If a sequence is ragged.
        """
        data = _raw(data)
        wanted = self.dtype(dtype)
        if self._owns(data):
            if not copy and wanted in (None, data.dtype) and data.device == self.device:
                return data
            return self.xp.asarray(data, dtype=wanted, device=self.device, copy=copy)
        return self._from_host(_host_array(data, wanted), wanted)

    def writer(self, kernel: Kernel, implementation: Callable[..., Any]) -> Callable[..., Any] | None:
        """The same call taking ``out=``, an array to write its result to; None if there is none.

        Parameters
        ----------
        kernel : Kernel
        implementation : callable
            What runs for arrays of this backend.
        """
        if kernel.writes_out(implementation) or hasattr(implementation, "nin"):
            return implementation
        return self._writers.get(kernel.name) if kernel.body is None else None

    @abstractmethod
    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """Copy an array of this backend to the host; waits for the device."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""

    def mark(self) -> Any:
        """A moment in the order of this device's work; see `seconds_between`."""
        return time.perf_counter()

    def seconds_between(self, first: Any, second: Any) -> float:
        """Seconds of the device between two moments that `mark` gave; waits for the second."""
        return float(second - first)

    @abstractmethod
    def memory(self) -> Memory:
        """Memory of the device, in bytes."""

    def view(self, flat: Array, offset: int, shape: tuple[int, ...]) -> Array:
        """A view of ``flat[offset:offset + prod(shape)]`` in that shape: writing to it writes to `flat`.

        The standard does not promise views; every backend here does, and a test holds it to that.
        """
        size = 1
        for length in shape:
            size *= length
        # Of nothing there is no view; array-api-strict would refuse one.
        return self.xp.reshape(flat[offset : offset + size], shape, copy=False if size else None)

    def random(self, seed: int) -> Any:
        """A `portml.random.Generator` that draws on this backend."""
        if _generator is None:
            raise MissingDependencyError("no generator is registered; import portml.random first")
        return _generator(seed, backend=self)

    def dtype(self, dtype: Any) -> Any:
        """A data type in the library's own words; names such as "float32" are looked up, None stays None."""
        if not isinstance(dtype, str):
            return dtype
        found = getattr(self.xp, dtype, None) if dtype in _DTYPES else None
        if found is None:
            raise DtypeError(f"dtype: {dtype!r} is no data type of the {self.name} backend; try 'float32' or 'int64'")
        return found

    def empty(self, shape: int | tuple[int, ...], dtype: Any = "float32") -> Array:
        """An array of that shape with no particular values."""
        return self.xp.empty(shape, dtype=self.dtype(dtype), device=self.device)

    def zeros(self, shape: int | tuple[int, ...], dtype: Any = "float32") -> Array:
        """An array of zeros."""
        return self.xp.zeros(shape, dtype=self.dtype(dtype), device=self.device)

    def full(self, shape: int | tuple[int, ...], value: float, dtype: Any = "float32") -> Array:
        """An array full of one value."""
        return self.xp.full(shape, value, dtype=self.dtype(dtype), device=self.device)

    @abstractmethod
    def _owns(self, data: Any) -> bool:
        """Whether `data` is an array of this backend's library."""

    @abstractmethod
    def _from_host(self, data: np.ndarray[Any, Any], dtype: Any) -> Array:
        """Copy a host array to the device."""


def get_backend(name: str | Backend | None = None, *, kernels: str | None = None, device: Any = None) -> Backend:
    """Open a backend.

    Parameters
    ----------
    name : {"numpy", "cupy", "strict", "auto"} or Backend, optional
        "auto" takes CuPy where a GPU answers, else NumPy.  None takes ``$PORTML_BACKEND``, else "numpy".
    kernels : {"fused", "pure", "agnostic"}, optional
        Which bodies run on this backend's arrays, from now on and in the whole process, as arrays do not carry the
        choice.  None leaves it as it is ("fused", or ``$PORTML_KERNELS``).
    device : object, optional
        A device in the library's own words; None takes its default.

    Returns
    -------
    Backend

    Raises
    ------
    UnknownBackendError
        If there is no backend of that name.
    BackendUnavailableError
        If its library or its device does not answer; the message says what to install.
    """
    if isinstance(name, Backend):
        opened = name
    else:
        name = name or os.environ.get("PORTML_BACKEND") or "numpy"
        if name == "auto":
            name = "cupy" if "cupy" in available_backends() else "numpy"
        if name not in _MODULES:
            raise UnknownBackendError(f"backend: {name!r} is not known; choose one of {', '.join(_MODULES)} or auto")
        opened = _open(name, device)
    if kernels is not None:
        use_kernels(kernels, opened.name)
    return opened


def available_backends() -> tuple[str, ...]:
    """Names of the backends whose library is installed and whose device answers."""
    found = []
    for name in _MODULES:
        try:
            _open(name, None)
        except (BackendUnavailableError, MissingDependencyError):
            continue
        found.append(name)
    return tuple(found)


def backend_of(array: Array) -> Backend:
    """The backend, device included, on which an array or Tensor lives."""
    array = _raw(array)
    library = library_of(array)
    if library.name not in _MODULES:
        raise UnknownBackendError(f"{library.name} arrays have no backend object; move them with portml.backends.to")
    return _open(library.name, array.device if library.has_devices else None)


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """Copy an array or Tensor of any backend to the host, explicitly; waits for the device."""
    unrepeatable("to_numpy copies numbers to the host")
    x = _raw(x)
    library = library_of(x)
    if library.name in _MODULES:
        return backend_of(x).to_numpy(x)
    return np.from_dlpack(x)


def to(x: Array, backend: str | Backend) -> Array:
    """Move an array to a backend; a Tensor gives its value there, without its history.

    Nothing is copied if it is there already.
    """
    return get_backend(backend).asarray(x)


def register_generator(factory: Callable[..., Any]) -> None:
    """Say what `Backend.random` makes; the room of random numbers stands above this one."""
    global _generator
    _generator = factory


def _open(name: str, device: Any) -> Backend:
    # By the device's name: CuPy's devices cannot be keys.
    wanted = None if device is None else str(device)
    opened = _OPENED.get((name, wanted))
    if opened is None:
        opened = importlib.import_module(_MODULES[name]).open_backend(device)
        # The default device and the same one by its name are one backend.
        opened = _OPENED.setdefault((name, str(opened.device)), opened)
        _OPENED[name, wanted] = opened
    return opened


def _raw(x: Any) -> Any:
    return x.value if is_tensor(x) else x


def _host_array(data: Any, wanted: Any) -> np.ndarray[Any, Any]:
    """`data` as a NumPy array of numbers; arrays of other backends are copied to the host first."""
    if isinstance(data, np.ndarray | np.generic):
        if isinstance(data, np.ndarray):
            library_of(data)  # refuses subclasses: numpy.asarray would drop a mask
        array = np.asarray(data)
    elif isinstance(data, bool | int | float | complex | Sequence):
        array = _array_of_numbers(data, wanted)
    else:
        array = to_numpy(data)
    if array.dtype.kind not in "biufc":
        raise DtypeError(f"data: expected numbers that a data type holds, got {array.dtype}; encode them as such first")
    # Devices take the bytes in the order of the host only.
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _array_of_numbers(data: Any, wanted: Any) -> np.ndarray[Any, Any]:
    """A Python number or nested sequence as an array, integers kept to the last digit."""
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"data: expected a regular shape, got a ragged {type(data).__name__}") from error
    kind = None if wanted is None else dtype_kind(wanted)
    if array.dtype.kind in "fO" and kind in ("int", "uint"):
        # Small and large integers together would have become floating-point numbers, which lose digits.
        exact = np.asarray(data, dtype=object)
        if all(isinstance(number, Integral) for number in exact.flat):
            array = exact
    if array.dtype.kind in "iuO" and kind in ("int", "uint"):
        return _checked_integers(array, wanted)
    return array


def _checked_integers(array: np.ndarray[Any, Any], wanted: Any) -> np.ndarray[Any, Any]:
    """Integers as they are, or RangeError if the data type does not hold one of them."""
    numpys = np.dtype(next(name for name in _DTYPES if re.search(rf"\b{name}\b", str(wanted))))
    limits = np.iinfo(numpys)
    for number in (array.min(), array.max()) if array.size else ():
        if not limits.min <= int(number) <= limits.max:
            raise RangeError(
                f"data: got {number}, expected integers that fit into {numpys}: from {limits.min} to {limits.max}"
            )
    return array.astype(numpys)
