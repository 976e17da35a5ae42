"""Optimizers, each step one fused kernel over flat storage, and learning-rate schedules."""

from __future__ import annotations

from portml.optim import minimise, schedules
from portml.optim.adagrad import Adagrad
from portml.optim.adam import Adam, AdamW
from portml.optim.optimizer import Optimizer
from portml.optim.rmsprop import RMSprop
from portml.optim.schedules import Schedule
from portml.optim.sgd import SGD
from portml.optim.storage import FlatStorage

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "FlatStorage",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "minimise",
    "schedules",
]
