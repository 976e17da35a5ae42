"""The functions behind the layers, for use without modules: raw arrays of any backend, or Tensors."""

from __future__ import annotations

from portml.backends.kernels.activation import elu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus
from portml.backends.kernels.class_loss import categorical_cross_entropy, cross_entropy
from portml.backends.kernels.convolution import convolution
from portml.backends.kernels.dropout import dropout
from portml.backends.kernels.linear import linear
from portml.backends.kernels.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_loss,
    huber_loss,
    l1_loss,
    mse_loss,
)
from portml.backends.kernels.normalisation import batch_norm_inference, batch_norm_train, layer_norm
from portml.backends.kernels.pooling import avg_pool, max_pool
from portml.backends.kernels.rows import embedding, one_hot

__all__ = [
    "avg_pool",
    "batch_norm_inference",
    "batch_norm_train",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "categorical_cross_entropy",
    "convolution",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "hinge_loss",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool",
    "mse_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]
