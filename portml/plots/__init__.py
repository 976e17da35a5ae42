"""Figures by matplotlib, made without its global state; matplotlib is imported when the first one is drawn."""

from __future__ import annotations

from portml.plots.curves import TrainingCurves

__all__ = ["TrainingCurves"]
