"""Training: the loop, its history, checkpoints and exact resume; recipes of settings, and the folders of runs."""

from __future__ import annotations

from portml.train.augmentation import RandomAffine, RandomHorizontalFlip
from portml.train.callbacks import Callback
from portml.train.evaluation import evaluate, predict
from portml.train.history import History
from portml.train.recipe import Recipe
from portml.train.run import Run
from portml.train.trainer import Trainer
from portml.train.transfer import (
    Matching,
    discriminative_groups,
    extract_features,
    freeze,
    load_matching,
    replace_head,
    unfreeze,
)

__all__ = [
    "Callback",
    "History",
    "Matching",
    "RandomAffine",
    "RandomHorizontalFlip",
    "Recipe",
    "Run",
    "Trainer",
    "discriminative_groups",
    "evaluate",
    "extract_features",
    "freeze",
    "load_matching",
    "predict",
    "replace_head",
    "unfreeze",
]
