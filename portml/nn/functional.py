"""The functions behind the layers, for use without modules: raw arrays of any backend, or Tensors."""

from __future__ import annotations

from portml.backends.kernels.activation import elu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus
from portml.backends.kernels.adaptive_pooling import adaptive_max_pool
from portml.backends.kernels.class_loss import categorical_cross_entropy
from portml.backends.kernels.convolution import convolution
from portml.backends.kernels.convolution_transpose import convolution_transpose
from portml.backends.kernels.distribution_loss import gaussian_nll_loss, poisson_nll_loss
from portml.backends.kernels.dropout import dropout
from portml.backends.kernels.embedding_loss import (
    contrastive_loss,
    cosine_embedding_loss,
    cosine_similarity,
    pairwise_distance,
    triplet_margin_loss,
)
from portml.backends.kernels.error_function import erf, erfc
from portml.backends.kernels.gated_activation import geglu, glu, maxout, prelu, reglu, swiglu
from portml.backends.kernels.imbalance_loss import dice_loss, sigmoid_focal_loss
from portml.backends.kernels.indexing import pad
from portml.backends.kernels.linear import linear
from portml.backends.kernels.loss import hinge_loss, huber_loss, l1_loss, mse_loss
from portml.backends.kernels.margin_loss import hinge_embedding_loss, margin_ranking_loss, soft_margin_loss
from portml.backends.kernels.normalisation import batch_norm_inference, batch_norm_train, layer_norm
from portml.backends.kernels.padding import pad_with_itself
from portml.backends.kernels.piecewise_activation import (
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    relu6,
    softshrink,
    threshold,
)
from portml.backends.kernels.pooling import avg_pool, max_pool, max_pool_with_indices
from portml.backends.kernels.resampling import resample
from portml.backends.kernels.rows import embedding, one_hot
from portml.backends.kernels.smooth_activation import celu, gelu, logsigmoid, mish, selu, softsign, tanhshrink
from portml.nn.attention import scaled_attention as scaled_dot_product_attention
from portml.nn.loss.functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    ctc_loss,
    focal_loss,
    kl_div,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    smooth_l1_loss,
)

__all__ = [
    "adaptive_max_pool",
    "avg_pool",
    "batch_norm_inference",
    "batch_norm_train",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "categorical_cross_entropy",
    "celu",
    "contrastive_loss",
    "convolution",
    "convolution_transpose",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dice_loss",
    "dropout",
    "elu",
    "embedding",
    "erf",
    "erfc",
    "focal_loss",
    "gaussian_nll_loss",
    "geglu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool",
    "max_pool_with_indices",
    "maxout",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "pad_with_itself",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "reglu",
    "relu",
    "relu6",
    "resample",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "sigmoid_focal_loss",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "swiglu",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
]
