"""Arrays so long that CUDA kernels take a block for a line, or sum in several steps."""

from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels import class_loss, loss, normalisation
from tests.backends.kernel_cases import Case, Draw, case, more_cases


@more_cases(class_loss.cross_entropy)
def many_classes_and_many_samples(draw: Draw) -> Iterator[Case]:
    rest = {"label_smoothing": 0.0, "ignore_index": -100}
    yield case(draw.normal(3, 257), draw.integers(0, 257, 3), None, reduction="mean", **rest)
    smoothed = rest | {"label_smoothing": 0.1}
    yield case(
        draw.normal(3, 70, 5), draw.integers(0, 70, 3, 5), draw.uniform(0.5, 2, 70), reduction="none", **smoothed
    )
    yield case(draw.normal(5000, 2), draw.integers(0, 2, 5000), None, reduction="mean", **rest)
    yield case(draw.normal(5000, 2), draw.integers(0, 2, 5000), None, reduction="sum", **rest)


@more_cases(class_loss.categorical_cross_entropy)
def many_probabilities(draw: Draw) -> Iterator[Case]:
    yield case(draw.uniform(0, 1, 3, 257), draw.uniform(0, 1, 3, 257), reduction="mean")


@more_cases(loss.mse_loss, loss.l1_loss)
def many_pairs(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(3, 3000), draw.normal(3, 3000), reduction="mean")


@more_cases(normalisation.layer_norm)
def many_samples(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(150, 3), draw.normal(3), draw.normal(3), axes=-1, eps=1e-5)
    yield case(draw.normal(70, 129), draw.normal(129), draw.normal(129), axes=-1, eps=1e-5)
