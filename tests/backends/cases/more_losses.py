from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import (
    class_loss,
    distribution_loss,
    embedding_loss,
    imbalance_loss,
    margin_loss,
)
from tests.backends.cases.loss import REDUCTIONS, SHAPES, labelled
from tests.backends.kernel_cases import Case, Draw, case, cases


def signed(draw: Draw, *shape: int) -> np.ndarray:
    """Answers -1 and 1 as integers, which take no gradient."""
    return np.asarray(2 * draw.integers(0, 2, *shape) - 1)


@cases(margin_loss.soft_margin_loss, tolerance="reduction")
def soft_margin_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            yield case(3 * draw.normal(*shape), draw.normal(*shape), reduction=reduction)
    yield case(draw.values(1e4, -1e4, 0, 1e4), draw.values(1, 1, 1, -1), reduction="none")


@cases(margin_loss.hinge_embedding_loss, tolerance="reduction")
def hinge_embedding_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            yield case(draw.normal(*shape), signed(draw, *shape), margin=0.7, reduction=reduction)
    yield case(draw.normal(5), draw.values(1, -1, 0, 1, -1), margin=0.7, reduction="none")


@cases(margin_loss.margin_ranking_loss, tolerance="reduction")
def margin_ranking_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in ((7,), (3, 5), (0,)):
            arrays = draw.normal(*shape), draw.normal(*shape), signed(draw, *shape)
            yield case(*arrays, margin=0.3, reduction=reduction)


@cases(margin_loss.multi_margin_loss, tolerance="reduction")
def multi_margin_cases(draw: Draw) -> Iterator[Case]:
    for n, classes in ((5, 3), (33, 7), (1, 1), (0, 3)):
        scores, labels = draw.normal(n, classes), draw.integers(0, classes, n)
        for reduction in REDUCTIONS:
            yield case(scores, labels, None, p=1, margin=1.0, reduction=reduction)
        yield case(scores, labels, draw.uniform(0.5, 2, classes), p=2, margin=0.5, reduction="mean")
    yield case(draw.normal(4), draw.integers(0, 4), None, p=2, margin=1.0, reduction="mean")


@cases(distribution_loss.kl_div, tolerance="reduction")
def kl_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            p, y = draw.normal(*shape), draw.uniform(0, 1, *shape)
            yield case(p, y, reduction=reduction, log_target=False)
            yield case(p, draw.normal(*shape), reduction=reduction, log_target=True)
    yield case(draw.normal(4), draw.values(0, 1, 0, 0.5), reduction="none", log_target=False)


@cases(distribution_loss.poisson_nll_loss, tolerance="reduction")
def poisson_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        rest = {"full": True, "eps": 1e-8, "reduction": reduction}
        yield case(draw.normal(3, 5), draw.integers(0, 9, 3, 5), log_input=True, **rest)
        yield case(draw.uniform(0.1, 3, 3, 5), draw.integers(0, 9, 3, 5), log_input=False, **rest)
        yield case(draw.normal(0, 5), draw.normal(0, 5), log_input=True, **rest | {"full": False})


@cases(distribution_loss.gaussian_nll_loss, tolerance="reduction")
def gaussian_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in ((3, 5), (3, 1), (3,)):
            arrays = draw.normal(3, 5), draw.normal(3, 5), draw.uniform(0.1, 2, *shape)
            yield case(*arrays, full=len(shape) == 1, eps=1e-6, reduction=reduction)
    yield case(draw.normal(0, 5), draw.normal(0, 5), draw.uniform(0.1, 2, 0, 5), full=False, eps=1e-6, reduction="sum")


@cases(imbalance_loss.balanced_binary_cross_entropy_with_logits, tolerance="reduction")
def balanced_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            arrays = 3 * draw.normal(*shape), draw.uniform(0, 1, *shape), draw.uniform(0.5, 3, *shape)
            yield case(*arrays, reduction=reduction)
    yield case(draw.values(1e4, -1e4, 1e4), draw.values(1, 0, 0), draw.values(2, 2, 2), reduction="none")


@cases(imbalance_loss.sigmoid_focal_loss, tolerance="reduction")
def sigmoid_focal_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            z, y = 3 * draw.normal(*shape), draw.uniform(0, 1, *shape)
            yield case(z, y, alpha=0.25, gamma=2.0, reduction=reduction)
            yield case(z, y, alpha=-1.0, gamma=0.5, reduction=reduction)
    for gamma in (0.0, 1.0, 3.0):
        yield case(
            draw.values(1e4, -1e4, 0, 1e4, -1e4), draw.values(1, 0, 1, 0, 1), alpha=0.3, gamma=gamma, reduction="none"
        )


@cases(imbalance_loss.focal_loss, tolerance="reduction")
def focal_cases(draw: Draw) -> Iterator[Case]:
    rest = {"gamma": 2.0, "reduction": "mean", "ignore_index": -100}
    for logits, labels, classes in labelled(draw):
        for reduction in REDUCTIONS:
            yield case(logits, labels, None, **rest | {"reduction": reduction})
        yield case(logits, labels, draw.uniform(0.5, 2, classes), **rest | {"gamma": 0.5})
    yield case(draw.values(1e4, 0, 0, 1e4).reshape(2, 2), np.asarray([0, 0]), None, **rest)


@cases(imbalance_loss.dice_loss, tolerance="reduction")
def dice_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in ((3, 7), (2, 3, 5), (4,), (0, 3)):
            yield case(draw.uniform(0, 1, *shape), draw.uniform(0, 1, *shape), smooth=0.5, reduction=reduction)


@cases(class_loss.cross_entropy_of_distributions, tolerance="reduction")
def distribution_cases(draw: Draw) -> Iterator[Case]:
    rest = {"reduction": "mean", "label_smoothing": 0.0}
    for shape in ((5, 3), (33, 100), (2, 3, 7), (2, 5, 3, 4), (4,), (0, 3), (2, 3, 0)):
        z, y = 3 * draw.normal(*shape), draw.uniform(0, 1, *shape)
        classes = shape[min(len(shape) - 1, 1)]
        for reduction in REDUCTIONS:
            yield case(z, y, None, **rest | {"reduction": reduction})
        yield case(z, y, draw.uniform(0.5, 2, classes), reduction="none", label_smoothing=0.2)
        yield case(z, y, draw.uniform(0.5, 2, classes), **rest)
    one_hot = draw.values(1, 0, 0, 0, 0, 1).reshape(2, 3)
    yield case(draw.values(0, 1, -math.inf, -math.inf, 1, 0).reshape(2, 3), one_hot, None, **rest)


def pairs(draw: Draw) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for shape in ((5, 7), (3, 33), (0, 4), (7,)):
        yield draw.normal(*shape), draw.normal(*shape)


@cases(embedding_loss.cosine_similarity, tolerance="reduction")
def cosine_cases(draw: Draw) -> Iterator[Case]:
    for first, second in pairs(draw):
        yield case(first, second, axis=-1, eps=1e-8)
    yield case(draw.normal(2, 5, 3), draw.normal(2, 5, 3), axis=1, eps=1e-8)
    yield case(draw.values(0, 0, 1, 2).reshape(2, 2), draw.values(1, 2, 0, 0).reshape(2, 2), axis=1, eps=1e-8)


@cases(embedding_loss.pairwise_distance, tolerance="reduction")
def distance_cases(draw: Draw) -> Iterator[Case]:
    for first, second in pairs(draw):
        for p in (1.0, 2.0, 3.0, math.inf):
            if first.size:
                yield case(first, second, p=p, eps=1e-6, keepdims=p == 1)
    yield case(draw.normal(0, 4), draw.normal(0, 4), p=2.0, eps=1e-6, keepdims=False)


@cases(embedding_loss.cosine_embedding_loss, tolerance="reduction")
def cosine_embedding_cases(draw: Draw) -> Iterator[Case]:
    for first, second in pairs(draw):
        for reduction in REDUCTIONS:
            yield case(first, second, signed(draw, *first.shape[:-1]), margin=0.1, reduction=reduction)


@cases(embedding_loss.contrastive_loss, tolerance="reduction")
def contrastive_cases(draw: Draw) -> Iterator[Case]:
    for first, second in pairs(draw):
        for reduction in REDUCTIONS:
            yield case(first, second, draw.integers(0, 2, *first.shape[:-1]), margin=2.0, reduction=reduction)


@cases(embedding_loss.triplet_margin_loss, tolerance="reduction")
def triplet_cases(draw: Draw) -> Iterator[Case]:
    rest = {"margin": 1.0, "eps": 1e-6}
    for first, second in pairs(draw):
        third = draw.normal(*first.shape)
        for reduction in REDUCTIONS:
            yield case(first, second, third, p=2.0, swap=True, reduction=reduction, **rest)
        yield case(first, second, third, p=1.0, swap=False, reduction="mean", **rest)
