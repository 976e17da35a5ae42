"""Neural networks: modules, layers, losses, initialisers.

Names, layouts and defaults are PyTorch's, so that a state dictionary of its layers loads unchanged.
"""

from __future__ import annotations

from portml.autograd.parameter import Parameter
from portml.nn import functional, initialisation, models
from portml.nn.activation import ELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Swish, Tanh
from portml.nn.containers import Sequential
from portml.nn.convolution import Conv2d
from portml.nn.dropout import Dropout
from portml.nn.embedding import Embedding
from portml.nn.flatten import Flatten, Unflatten
from portml.nn.linear import Identity, Linear
from portml.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CategoricalCrossEntropyLoss,
    CrossEntropyLoss,
    HingeLoss,
    HuberLoss,
    L1Loss,
    MAELoss,
    MSELoss,
)
from portml.nn.module import Module
from portml.nn.normalisation import BatchNorm1d, BatchNorm2d, LayerNorm
from portml.nn.pooling import AvgPool2d, MaxPool2d

__all__ = [
    "ELU",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "CategoricalCrossEntropyLoss",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "HingeLoss",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MAELoss",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Swish",
    "Tanh",
    "Unflatten",
    "functional",
    "initialisation",
    "models",
]
