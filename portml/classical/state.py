"""A fitted estimator as plain data and arrays, and back: what a file can hold without code in it.

Only estimators of `portml.classical` and the few records that they learn are known; a file that names anything else is
refused, so that reading one runs no code but portml's own.

====================  ==========================================
in the structure      stands for
====================  ==========================================
null, number, text    itself
list                  a list
``{"tuple": ...}``    a tuple
``{"dict": ...}``     a dict, as pairs
``{"array": name}``   the array of that name
``{"objects": ...}``  an array of text or of objects on the host
``{"scalar": ...}``   a number of NumPy with its type
``{"kernel": ...}``   a kernel function with its settings
``{"generator"...}``  a generator of random numbers, where it stands
``{"record": ...}``   a record, such as a tree, field by field
``{"estimator"...}``  an estimator: parameters and what it learnt
====================  ==========================================
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from portml import classical
from portml.backends import Array, Backend, backend_of, get_backend
from portml.backends.kernels.support_vectors import radial_basis
from portml.classical import host
from portml.classical.estimator import Estimator, parameter_names
from portml.classical.kernel_functions import linear_kernel, polynomial_kernel, sigmoid_kernel
from portml.errors import ArgumentError, CheckpointError, DtypeError, PortmlError
from portml.random import Generator

__all__ = ["estimator_of", "state_of"]

_RECORDS = {
    "BoostedTree": "portml.classical.histogram_gradient_boosting",
    "Moments": "portml.classical.standard_scaler",
    "Tree": "portml.classical.tree",
}
_MORE_ESTIMATORS = {"TablePipeline": "portml.classical.table_pipeline"}
_KERNELS: dict[str, Callable[..., Array]] = {
    "linear": linear_kernel,
    "poly": polynomial_kernel,
    "rbf": radial_basis,
    "sigmoid": sigmoid_kernel,
}
_LEARNT = re.compile(r"[A-Za-z][A-Za-z0-9_]*_|_[A-Za-z][A-Za-z0-9_]*")
_WHERE = "_fitted_on"
_LEFT_OUT = {_WHERE, "_sklearn_output_config"}


def state_of(estimator: Estimator) -> tuple[Any, dict[str, Array]]:
    """Take a fitted estimator apart.

    Parameters
    ----------
    estimator : Estimator

    Returns
    -------
    structure : object
        Of lists, dicts, text, numbers and None, as JSON holds them.
    arrays : dict of str to array
        What the structure refers to; an array that occurs twice is there once.

    Raises
    ------
    DtypeError
        If it has a parameter or learnt something that is no data, such as a function.
    """
    writing = _Writing()
    return writing.estimator(estimator, type(estimator).__name__), writing.arrays


def estimator_of(structure: Any, arrays: Mapping[str, Array], backend: Backend | str = "numpy") -> Any:
    """Put a fitted estimator together again.

    Parameters
    ----------
    structure, arrays
        As `state_of` gave them.
    backend : Backend or str
        Where its arrays are to be; estimators that were given a `backend` get this one.

    Raises
    ------
    CheckpointError
        If they are no such state, or name a class that is not known.
    """
    reading = _Reading(arrays, get_backend(backend) if isinstance(backend, str) else backend)
    try:
        estimator = reading.value(structure)
    except CheckpointError:
        raise
    except (PortmlError, KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"structure: expected the state of an estimator; {type(error).__name__}: {error}"
        ) from error
    if not isinstance(estimator, Estimator):
        raise CheckpointError(
            f"structure: expected the state of an estimator, got that of a {type(estimator).__name__}"
        )
    return estimator


class _Writing:
    """Gathers arrays while values become structure."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._names: dict[int, str] = {}
        self._on: str | None = None

    def estimator(self, estimator: Estimator, path: str) -> dict[str, Any]:
        name = type(estimator).__name__
        if _estimator_class(name) is not type(estimator):
            raise DtypeError(f"{path}: expected an estimator of portml.classical, got {type(estimator).__qualname__}")
        outer, self._on = self._on, getattr(estimator, _WHERE, (None, None))[0] or self._on
        parameters = estimator.get_params(deep=False)
        if isinstance(parameters.get("backend"), Backend):
            parameters["backend"] = parameters["backend"].name
        parameters = {key: each.item() if host.is_scalar(each) else each for key, each in parameters.items()}
        learnt = {
            name: value
            for name, value in vars(estimator).items()
            if name not in parameters and name not in _LEFT_OUT and _LEARNT.fullmatch(name)
        }
        structure = {
            "estimator": name,
            "parameters": self._named(parameters, path),
            "learnt": self._named(learnt, path),
            "fitted": hasattr(estimator, _WHERE),
        }
        self._on = outer
        return structure

    def value(self, value: Any, path: str) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Estimator):
            return self.estimator(value, path)
        if isinstance(value, Generator):
            return {"generator": value.state()}
        if type(value) in (list, tuple):
            found = [self.value(each, f"{path}.{index}") for index, each in enumerate(value)]
            return found if isinstance(value, list) else {"tuple": found}
        if type(value) is dict:
            pairs = [[self.value(key, path), self.value(each, f"{path}.{key}")] for key, each in value.items()]
            return {"dict": pairs}
        if type(value).__name__ in _RECORDS and _record_class(type(value).__name__) is type(value):
            return {"record": type(value).__name__, "fields": self._named(_fields(value), path)}
        if host.is_scalar(value):
            return {"scalar": value.item(), "dtype": host.dtype_name(value.dtype)}
        if host.is_text(value):
            items = [self.value(each, path) for each in value.ravel().tolist()]
            return {"objects": items, "shape": list(value.shape), "kind": value.dtype.kind}
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            return self._array(value, path)
        return self._kernel(value, path)

    def _named(self, values: Mapping[str, Any], path: str) -> dict[str, Any]:
        return {name: self.value(value, f"{path}.{name}") for name, value in values.items()}

    def _array(self, array: Array, path: str) -> dict[str, Any]:
        try:
            where = backend_of(array).name
        except ArgumentError as error:
            raise DtypeError(f"{path}: cannot be written, as it is a {type(array).__qualname__}") from error
        name = self._names.setdefault(id(array), path)
        self.arrays[name] = array
        # A few results, such as counts of iterations, are on the host wherever the estimator was fitted.
        return {"array": name, "host": where == "numpy" and self._on not in (None, "numpy")}

    def _kernel(self, value: Any, path: str) -> dict[str, Any]:
        function, settings = (value.func, value.keywords) if isinstance(value, partial) else (value, {})
        for name, known in _KERNELS.items():
            if function is known:
                return {"kernel": name, "settings": self._named(settings, path)}
        raise DtypeError(f"{path}: expected data or one of portml's kernel functions, got {value!r}, which is code")


class _Reading:
    """Makes values of structure."""

    def __init__(self, arrays: Mapping[str, Array], backend: Backend) -> None:
        self._given = arrays
        self._backend = backend
        self._made: dict[tuple[str, bool], Array] = {}

    def value(self, structure: Any) -> Any:
        if structure is None or isinstance(structure, bool | int | float | str):
            return structure
        if isinstance(structure, list):
            return [self.value(each) for each in structure]
        for kind, make in self._makers().items():
            if kind in structure:
                return make(structure)
        raise CheckpointError(f"structure: expected a value that portml writes, got one of {sorted(structure)}")

    def _makers(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "array": self._array,
            "tuple": lambda each: tuple(map(self.value, each["tuple"])),
            "dict": lambda each: {self.value(key): self.value(value) for key, value in each["dict"]},
            "scalar": self._scalar,
            "objects": self._objects,
            "kernel": self._kernel,
            "generator": lambda each: Generator.from_state(each["generator"], self._backend),
            "record": lambda each: _record_class(each["record"])(**self._named(each["fields"])),
            "estimator": self._estimator,
        }

    def _named(self, structure: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.value(value) for name, value in structure.items()}

    def _estimator(self, structure: Any) -> Estimator:
        kind = _estimator_class(structure["estimator"])
        parameters = self._named(structure["parameters"])
        unknown = sorted(set(parameters) ^ set(parameter_names(kind)))
        if unknown:
            raise CheckpointError(f"structure: the parameters of {kind.__name__} differ in {', '.join(unknown)}")
        if parameters.get("backend") is not None:
            parameters["backend"] = self._backend.name
        estimator: Estimator = kind(**parameters)
        for name, value in self._named(structure["learnt"]).items():
            if not _LEARNT.fullmatch(name) or callable(getattr(kind, name, None)):
                raise CheckpointError(f"structure: {kind.__name__} learns nothing named {name!r}")
            setattr(estimator, name, value)
        if structure["fitted"]:
            setattr(estimator, _WHERE, (self._backend.name, str(self._backend.device)))
        return estimator

    def _array(self, structure: Any) -> Array:
        name, on_host = structure["array"], structure["host"]
        if name not in self._given:
            raise CheckpointError(f"arrays: expected one named {name!r}, which the structure refers to")
        if (name, on_host) not in self._made:
            backend = get_backend("numpy") if on_host else self._backend
            self._made[name, on_host] = backend.asarray(self._given[name])
        return self._made[name, on_host]

    def _scalar(self, structure: Any) -> Any:
        """Elsewhere than on NumPy what was indexed out of an array, such as an intercept, stays an array."""
        scalar = host.scalar(structure["scalar"], structure["dtype"])
        moves = self._backend.name != "numpy" and structure["dtype"].startswith("float")
        return self._backend.asarray(scalar) if moves else scalar

    def _objects(self, structure: Any) -> Any:
        return host.objects_of_kind(self.value(structure["objects"]), structure["shape"], structure["kind"])

    def _kernel(self, structure: Any) -> Any:
        name = structure["kernel"]
        if name not in _KERNELS:
            raise CheckpointError(f"structure: expected a kernel function among {', '.join(_KERNELS)}, got {name!r}")
        settings = self._named(structure["settings"])
        return partial(_KERNELS[name], **settings) if settings else _KERNELS[name]


def _fields(record: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(record):
        return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {name: getattr(record, name) for name in record._fields}


def _estimator_class(name: str) -> Any:
    if name in _MORE_ESTIMATORS:
        return getattr(importlib.import_module(_MORE_ESTIMATORS[name]), name)
    kind = getattr(classical, name) if name in classical.__all__ else None
    if not isinstance(kind, type) or not issubclass(kind, Estimator):
        raise CheckpointError(f"structure: there is no estimator {name!r} in portml.classical")
    return kind


def _record_class(name: str) -> Any:
    if name not in _RECORDS:
        raise CheckpointError(f"structure: expected a record among {', '.join(_RECORDS)}, got {name!r}")
    return getattr(importlib.import_module(_RECORDS[name]), name)
