"""Optimizers, each step one fused kernel over flat storage, learning-rate schedules, and clipping of gradients."""

from __future__ import annotations

from portml.optim import minimise, schedules
from portml.optim.adagrad import Adagrad
from portml.optim.adam import Adam, AdamW
from portml.optim.clipping import clip_grad_norm_, clip_grad_value_, get_total_norm
from portml.optim.layerwise import LAMB, LARS, Muon
from portml.optim.lbfgs import LBFGS
from portml.optim.lion import Lion
from portml.optim.nadam import NAdam
from portml.optim.optimizer import Optimizer
from portml.optim.radam import RAdam
from portml.optim.rmsprop import RMSprop
from portml.optim.schedules import Schedule
from portml.optim.sgd import SGD
from portml.optim.storage import FlatStorage

__all__ = [
    "LAMB",
    "LARS",
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "FlatStorage",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Schedule",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "minimise",
    "schedules",
]
