"""Training: the loop, its history, checkpoints and exact resume."""

from __future__ import annotations

from portml.train.callbacks import Callback
from portml.train.history import History
from portml.train.trainer import Trainer

__all__ = ["Callback", "History", "Trainer"]
