"""Training: the loop, its history, checkpoints and exact resume; recipes of settings, and the folders of runs."""

from __future__ import annotations

from portml.train.augmentation import RandomAffine, RandomHorizontalFlip
from portml.train.callbacks import Callback
from portml.train.evaluation import evaluate, predict
from portml.train.history import History
from portml.train.recipe import Recipe
from portml.train.run import Run
from portml.train.trainer import Trainer

__all__ = [
    "Callback",
    "History",
    "RandomAffine",
    "RandomHorizontalFlip",
    "Recipe",
    "Run",
    "Trainer",
    "evaluate",
    "predict",
]
