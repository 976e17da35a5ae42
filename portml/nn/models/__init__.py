"""Whole networks."""

from __future__ import annotations

from portml.nn.models.lenet import LeNet5
from portml.nn.models.mlp import MLP
from portml.nn.models.resnet import BasicBlock, ResNet

__all__ = ["MLP", "BasicBlock", "LeNet5", "ResNet"]
