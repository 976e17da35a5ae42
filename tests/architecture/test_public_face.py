"""The names of `portml` itself: lazy at run time, plain to type checkers."""

from __future__ import annotations

import ast
import importlib

import pytest

import portml
from tests.architecture.repository import PACKAGE


def test_what_type_checkers_see_is_what_is_there() -> None:
    seen = {}
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (checking,) = [node for node in tree.body if isinstance(node, ast.If)]
    for node in checking.body:
        assert isinstance(node, ast.ImportFrom)
        assert [alias.asname for alias in node.names] == [alias.name for alias in node.names], "a re-export says `as`"
        seen |= {alias.name: node.module for alias in node.names}
    assert seen == portml._MODULE_OF


@pytest.mark.parametrize("name", sorted(portml._MODULE_OF))
def test_every_public_name_is_found_in_its_room(name: str) -> None:
    room = portml._MODULE_OF[name]
    expected = (
        importlib.import_module(f"portml.{name}") if room == "portml" else vars(importlib.import_module(room))[name]
    )
    assert getattr(portml, name) is expected


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tensor'"):
        portml.tensor  # noqa: B018 - the access is what is tested


def test_dir_lists_the_public_names() -> None:
    assert {"__version__", "get_backend", "nn"} <= {*dir(portml)}
