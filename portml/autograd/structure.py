"""Nested structures of arrays: tuples, lists and dictionaries, flattened and built again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["flatten", "map_structure"]


def flatten(structure: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves of a structure, and a function that builds it again from as many others.

    Dictionaries are walked in the order of their keys' insertion.

    Parameters
    ----------
    structure : array, or tuple, list or dict of structures

    Returns
    -------
    leaves : list
    rebuild : callable
    """
    if isinstance(structure, dict):
        keys, parts = list(structure), list(structure.values())
        leaves, rebuild = _flatten_sequence(parts)
        return leaves, lambda new: type(structure)(zip(keys, rebuild(new), strict=True))
    if isinstance(structure, tuple | list):
        leaves, rebuild = _flatten_sequence(structure)
        kind: Any = type(structure)
        make = kind._make if hasattr(kind, "_make") else kind
        return leaves, lambda new: make(rebuild(new))
    return [structure], lambda new: new[0]


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with `function` applied to every leaf."""
    leaves, rebuild = flatten(structure)
    return rebuild([function(leaf) for leaf in leaves])


def _flatten_sequence(parts: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    flattened = [flatten(part) for part in parts]
    counts = [len(leaves) for leaves, _ in flattened]

    def rebuild(new: Sequence[Any]) -> list[Any]:
        built, start = [], 0
        for (_, rebuild_part), count in zip(flattened, counts, strict=True):
            built.append(rebuild_part(new[start : start + count]))
            start += count
        return built

    return [leaf for leaves, _ in flattened for leaf in leaves], rebuild
