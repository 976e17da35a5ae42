"""Whole networks."""

from __future__ import annotations

from portml.nn.models.lenet import LeNet5
from portml.nn.models.mlp import MLP

__all__ = ["MLP", "LeNet5"]
