"""Measures of how good predictions are; they follow the arrays they are given."""

from __future__ import annotations

from portml.metrics.classification import accuracy

__all__ = ["accuracy"]
