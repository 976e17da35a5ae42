"""No module of the package replaces, by a name that it took by accident, what `Module` itself stands on."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator

import pytest

import portml.nn
from portml.nn import Module

MEANT = {"forward", "extra_repr", "training"}
TAKEN = {name for name in vars(Module) if not name.startswith("__")} - MEANT


def module_classes() -> list[type[Module]]:
    """Every subclass of `Module` in the room of networks, private ones too."""
    for found in pkgutil.walk_packages(portml.nn.__path__, "portml.nn."):
        importlib.import_module(found.name)
    classes: set[type[Module]] = {each for each in below(Module) if each.__module__.startswith("portml.nn.")}
    return sorted(classes, key=lambda each: (each.__module__, each.__qualname__))


def below(kind: type[Module]) -> Iterator[type[Module]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def clashes(kind: type) -> set[str]:
    """Names of `Module` that a class defines, assigns to itself, or brings along from a class beside `Module`."""
    assigned = {
        node.attr
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(kind))))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    beside = [each for each in kind.__mro__ if not issubclass(each, Module) and each is not object]
    defined = set().union(*(vars(each) for each in (kind, *beside)))
    return TAKEN & (assigned | defined)


@pytest.mark.parametrize("kind", module_classes(), ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_a_module_leaves_the_workings_of_all_modules_alone(kind: type[Module]) -> None:
    assert not clashes(kind), f"{kind.__qualname__} replaces names that Module works with; call them otherwise"


def test_an_accident_of_each_kind_is_seen() -> None:
    class Beside:
        def _settings(self) -> None: ...

    class Accident(Module, Beside):
        def __init__(self) -> None:
            self._own_state = 1
            self.children: int = 2

        def _walk(self) -> None: ...

    assert clashes(Accident) == {"_own_state", "children", "_settings", "_walk"}
