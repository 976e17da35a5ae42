"""What the models of sequences ask of the symbols they are given."""

from __future__ import annotations

from typing import Any

from portml.errors import ArgumentError, ShapeError

__all__ = ["refuse_unfit_tokens"]


def refuse_unfit_tokens(name: str, tokens: Any, *, at_least: int = 0) -> None:
    """Raise unless `tokens` is an array (N, L), L at least `at_least`; whether a symbol is known the table says.

    Raises
    ------
    ArgumentError
        If it is no array.
    ShapeError
        If it has other axes, or too few symbols.
    """
    if not hasattr(tokens, "shape"):
        raise ArgumentError(
            f"{name}: expected an array of integers (N, L), got {type(tokens).__name__}; make one with Backend.asarray"
        )
    if len(tokens.shape) != 2 or tokens.shape[1] < at_least:
        wanted = " of at least one symbol" if at_least else ""
        raise ShapeError(f"{name}: expected integers (N, L){wanted}, got {tuple(tokens.shape)}")
