"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from portml.autograd.parameter import Parameter
from portml.backends import Array, operations
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Residual", "Sequential"]

Self = TypeVar("Self", bound="_Row")
_MISSING = object()


class _Row(Module):
    """What modules in a row share with a list; their names are those of their attributes, "0", "1", … by default."""

    _kind: type = Module

    def append(self: Self, module: Any) -> Self:
        """Add a module at the end."""
        name = str(len(self))
        setattr(self, name, self._checked(name, module))
        return self

    def extend(self: Self, modules: Iterable[Any]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self: Self, index: int, module: Any) -> Self:
        """Put a module before place `index`; those behind it are renamed."""
        row = list(self)
        row.insert(index, module)
        self._place(row)
        return self

    def pop(self, index: int = -1) -> Any:
        """Take a module out and return it."""
        row = list(self)
        taken = row.pop(index)
        self._place(row)
        return taken

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Any]:
        return (vars(self)[name] for name in self._names())

    def __contains__(self, module: object) -> bool:
        return any(module is each for each in self)

    def __setitem__(self, index: int, module: Any) -> None:
        name = self._names()[index]
        setattr(self, name, self._checked(name, module))

    def __delitem__(self, index: int | slice) -> None:
        row = list(self)
        del row[index]
        self._place(row)

    def __iadd__(self: Self, others: Iterable[Any]) -> Self:
        return self.extend(others)

    def _names(self) -> list[str]:
        return [name for name, value in vars(self).items() if isinstance(value, self._kind)]

    def _place(self, row: list[Any]) -> None:
        """Make these the children, named by their places."""
        checked = [self._checked(str(i), module) for i, module in enumerate(row)]
        for name in self._names():
            delattr(self, name)
        for i, module in enumerate(checked):
            setattr(self, str(i), module)

    def _checked(self, name: str, module: Any) -> Any:
        """The module, if it is one."""
        if not isinstance(module, Module):
            raise ArgumentError(f"modules: expected modules, got a {type(module).__name__} as {name!r}")
        return module


class Sequential(_Row):
    """Modules one after another; each gets the result of the one before.

    Children are named "0", "1", … as in PyTorch; it is indexed, sliced, appended to and iterated over as a list.

    Parameters
    ----------
    *modules : Module, or one dict of str to Module
        A dictionary gives the children its names.
    """

    def __init__(self, *modules: Module | dict[str, Module]) -> None:
        named: dict[str, Module] = {}
        for i, module in enumerate(modules):
            if isinstance(module, dict):
                named |= module
            else:
                named[str(i)] = module
        for name, module in named.items():
            self._checked(name, module)
            _refuse_unfit_name(self, name)
            setattr(self, name, module)

    def forward(self, x: Array) -> Array:
        """Pass `x` through every module in order."""
        for module in self.children():
            x = module(x)
        return x

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        children = list(self.named_children())
        if isinstance(index, slice):
            return Sequential(dict(children[index]))
        return children[index][1]

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *other)


class ModuleList(_Row):
    """A list of modules whose parameters belong to the module that holds it; it has no `forward`.

    Parameters
    ----------
    modules : iterable of Module, optional
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module:
        row = list(self)
        return ModuleList(row[index]) if isinstance(index, slice) else row[index]

    def __add__(self, others: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *others])


class ParameterList(_Row):
    """A list of parameters; arrays put into it become parameters.

    Parameters
    ----------
    values : iterable of Parameter or array, optional
    """

    _kind = Parameter

    def __init__(self, values: Iterable[Array] | None = None) -> None:
        self.extend(values or ())

    @overload
    def __getitem__(self, index: int) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice) -> ParameterList: ...
    def __getitem__(self, index: int | slice) -> Parameter | ParameterList:
        row = list(self)
        return ParameterList(row[index]) if isinstance(index, slice) else row[index]

    def _checked(self, name: str, module: Any) -> Parameter:
        return _parameter(name, module)


class _Dictionary(Module):
    """What modules and parameters by name share with a dictionary."""

    _kind: type = Module

    def keys(self) -> Iterator[str]:
        """Names, in the order in which they were added."""
        return (name for name, value in vars(self).items() if isinstance(value, self._kind))

    def values(self) -> Iterator[Any]:
        """What stands under each name."""
        return (vars(self)[name] for name in self.keys())

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and what stands under them."""
        return ((name, vars(self)[name]) for name in self.keys())

    def get(self, name: str, default: Any = None) -> Any:
        """What stands under a name, or the default."""
        return vars(self)[name] if name in self else default

    def pop(self, name: str) -> Any:
        """Take out what stands under a name and return it."""
        taken = self[name]
        delattr(self, name)
        return taken

    def clear(self) -> None:
        """Take out everything."""
        for name in list(self.keys()):
            delattr(self, name)

    def update(self, others: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add or replace what stands under each of these names."""
        for name, value in list(others.items() if isinstance(others, Mapping) else others):
            self[name] = value

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return vars(self)[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self:
            _refuse_unfit_name(self, name)
        setattr(self, name, self._checked(name, value))

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(vars(self).get(name, _MISSING), self._kind)  # type: ignore[call-overload]

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __len__(self) -> int:
        return len(list(self.keys()))

    def _checked(self, name: str, value: Any) -> Any:
        if not isinstance(value, Module):
            raise ArgumentError(f"modules: expected modules, got a {type(value).__name__} as {name!r}")
        return value


class ModuleDict(_Dictionary):
    """Modules by name, whose parameters belong to the module that holds it; it has no `forward`.

    Parameters
    ----------
    modules : mapping of str to Module, or iterable of pairs, optional
        Names have no dots and are no attribute of the class, such as "keys".
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        self.update(modules or {})


class ParameterDict(_Dictionary):
    """Parameters by name; arrays put into it become parameters.

    Parameters
    ----------
    parameters : mapping of str to Parameter or array, or iterable of pairs, optional
    """

    _kind = Parameter

    def __init__(self, parameters: Mapping[str, Array] | Iterable[tuple[str, Array]] | None = None) -> None:
        self.update(parameters or {})

    def _checked(self, name: str, value: Any) -> Parameter:
        return _parameter(name, value)


class Residual(Module):
    """What a module adds to its input: y = module(x) + shortcut(x).  [He et al. 2016]

    Parameters
    ----------
    module : Module
    shortcut : Module, optional
        Brings the input into the shape of the module's result; None hands it on as it is.
    """

    def __init__(self, module: Module, shortcut: Module | None = None) -> None:
        for name, given in (("module", module), ("shortcut", shortcut)):
            if not isinstance(given, Module) and not (given is None and name == "shortcut"):
                raise ArgumentError(f"{name}: expected a module, got a {type(given).__name__}")
        self.module = module
        self.shortcut = shortcut

    def forward(self, x: Array) -> Array:
        """The module's result plus the shortcut's."""
        y, beside = self.module(x), x if self.shortcut is None else self.shortcut(x)
        if tuple(y.shape) != tuple(beside.shape):
            raise ShapeError(
                f"Residual: the module gives {tuple(y.shape)} and the shortcut {tuple(beside.shape)}; expected one "
                "shape, pass a shortcut that brings the input into it"
            )
        return operations.add(y, beside)


def _refuse_unfit_name(module: Module, name: str) -> None:
    if not isinstance(name, str) or "." in name or hasattr(module, name):
        raise ArgumentError(f"modules: {name!r} cannot name a child; it has a dot or is an attribute already")


def _parameter(name: str, value: Any) -> Parameter:
    if not hasattr(value, "dtype"):
        raise ArgumentError(f"parameters: expected arrays or parameters, got a {type(value).__name__} as {name!r}")
    return value if isinstance(value, Parameter) else Parameter(value)
