"""Every loss beside PyTorch's and, where it has an operator, ONNX's: values and gradients, over a grid of settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as TF

from portml import nn
from portml.backends import kernels_switched
from portml.nn import functional as F
from tests.oracle.module_oracle import compare_modules
from tests.oracle.onnx_cases import node_cases

pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(0)
REDUCTIONS = ("mean", "sum", "none")
N, K = 6, 5
REAL, OTHER = 2 * RNG.normal(size=(N, K)), 2 * RNG.normal(size=(N, K))
SHARES, SIGNS = RNG.uniform(0.01, 0.99, (N, K)), np.sign(RNG.normal(size=(N, K)))
LOG_SHARES = np.log(SHARES / SHARES.sum(axis=1, keepdims=True))
COUNTS = RNG.poisson(3.0, (N, K)).astype("float64")
CLASS_WEIGHT = np.asarray([0.5, 1.0, 2.0, 0.0, 3.0])
LABELS = np.asarray([0, 4, 2, -100, 1, 2])

# name, options, arrays, and whose gradients are compared (None: of all that are real).
GRID: list[tuple[str, dict[str, Any], list[Any], list[int] | None]] = [
    ("MSELoss", {}, [REAL, OTHER], None),
    ("L1Loss", {}, [REAL, OTHER], None),
    *(("HuberLoss", {"delta": delta}, [REAL, OTHER], None) for delta in (0.3, 1.0, 5.0)),
    *(("SmoothL1Loss", {"beta": beta}, [REAL, OTHER], None) for beta in (0.0, 0.3, 1.0)),
    *(
        ("PoissonNLLLoss", {"log_input": log, "full": full}, [np.abs(REAL) + 0.1, COUNTS], [0])
        for log, full in itertools.product((True, False), repeat=2)
    ),
    *(
        ("GaussianNLLLoss", {"full": full}, [REAL, OTHER, SHARES[shape]], None)
        for full, shape in itertools.product((True, False), ((slice(None),), (slice(None), slice(1))))
    ),
    ("BCELoss", {}, [SHARES, RNG.uniform(size=(N, K))], None),
    ("BCELoss", {"weight": CLASS_WEIGHT}, [SHARES, RNG.uniform(size=(N, K))], None),
    ("BCEWithLogitsLoss", {}, [100 * REAL, SHARES], None),
    ("BCEWithLogitsLoss", {"weight": CLASS_WEIGHT}, [REAL, SHARES], None),
    ("BCEWithLogitsLoss", {"pos_weight": CLASS_WEIGHT}, [100 * REAL, SHARES], [0]),
    ("BCEWithLogitsLoss", {"pos_weight": CLASS_WEIGHT, "weight": CLASS_WEIGHT + 1}, [REAL, SHARES], [0]),
    ("MultiLabelSoftMarginLoss", {}, [REAL, np.abs(SIGNS)], [0]),
    ("MultiLabelSoftMarginLoss", {"weight": CLASS_WEIGHT}, [REAL, (SIGNS + 1) / 2], [0]),
    *(("KLDivLoss", {"log_target": False}, [LOG_SHARES, each], None) for each in (SHARES, SHARES / SHARES.sum())),
    ("KLDivLoss", {"log_target": False}, [LOG_SHARES, (SIGNS + 1) / 2], [0]),
    ("KLDivLoss", {"log_target": True}, [LOG_SHARES, np.log(SHARES)], None),
    # With larger numbers PyTorch's exponential overflows.
    ("SoftMarginLoss", {}, [10 * REAL, SIGNS], [0]),
    *(("HingeEmbeddingLoss", {"margin": margin}, [REAL, SIGNS], [0]) for margin in (1.0, 2.5)),
    *(("MarginRankingLoss", {"margin": margin}, [REAL[0], OTHER[0], SIGNS[0]], [0, 1]) for margin in (0.0, 0.5)),
    ("MarginRankingLoss", {}, [REAL[0], REAL[0], SIGNS[0]], [0, 1]),
    *(
        ("MultiMarginLoss", {"p": p, "margin": margin, "weight": weight}, [REAL, np.abs(LABELS % K)], [0])
        for p, margin, weight in itertools.product((1, 2), (1.0, 0.3), (None, CLASS_WEIGHT))
    ),
    ("MultiMarginLoss", {}, [REAL[0], np.asarray(3)], [0]),
    *(("CosineEmbeddingLoss", {"margin": margin}, [REAL, OTHER, SIGNS[:, 0]], [0, 1]) for margin in (0.0, 0.3)),
    *(
        ("TripletMarginLoss", {"p": p, "swap": swap, "margin": 2.0}, [REAL, OTHER, SHARES], None)
        for p, swap in itertools.product((1.0, 2.0, 3.0), (False, True))
    ),
]


def tensors(options: dict[str, Any], dtype: str, build: Any) -> dict[str, Any]:
    """Options whose arrays are of the data type."""
    return {
        name: build(value.astype(dtype)) if isinstance(value, np.ndarray) else value for name, value in options.items()
    }


def compare(name: str, options: dict[str, Any], arrays: list[Any], dtype: str, wanted: Any) -> None:
    ours = getattr(nn, name)(**tensors(options, dtype, np.asarray))
    theirs = getattr(torch.nn, name)(**tensors(options, dtype, torch.from_numpy))
    compare_modules(ours, theirs, arrays, dtype, wanted=wanted)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss by both")
@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "options", "arrays", "wanted"), GRID, ids=[f"{i}-{row[0]}" for i, row in enumerate(GRID)]
)
def test_a_loss_is_pytorch_s(name: str, options: Any, arrays: Any, wanted: Any, dtype: str, kernels: str) -> None:
    with kernels_switched(kernels, "numpy"):
        for reduction in (*REDUCTIONS, *(["batchmean"] if name == "KLDivLoss" else [])):
            compare(name, options | {"reduction": reduction}, arrays, dtype, wanted)


def logits_and_targets() -> Iterator[tuple[Any, Any]]:
    """(N, K), images, one sample; with labels, and with probabilities."""
    for shape in ((N, K), (2, K, 3, 2), (K,)):
        logits, axis = 3 * RNG.normal(size=shape), min(len(shape) - 1, 1)
        labels = np.asarray(RNG.integers(0, 3, shape[:axis] + shape[axis + 1 :]))
        if labels.ndim:
            labels.flat[2] = -100
        yield logits, labels
        yield (
            logits,
            RNG.dirichlet(np.ones(K), np.prod(shape) // K).reshape(*shape)
            if len(shape) < 3
            else (RNG.uniform(size=shape)),
        )


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT], ids=["plain", "weighted"])
def test_cross_entropy_of_labels_and_probabilities_is_pytorch_s(
    weight: Any, smoothing: float, dtype: str, kernels: str
) -> None:
    with kernels_switched(kernels, "numpy"):
        for (logits, target), reduction in itertools.product(logits_and_targets(), REDUCTIONS):
            options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
            compare("CrossEntropyLoss", options, [logits, target], dtype, None)
            if target.dtype.kind != "f":
                compare(
                    "CrossEntropyLoss",
                    options | {"ignore_index": 1},
                    [logits, np.asarray(abs(target) % K)],
                    dtype,
                    None,
                )


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT], ids=["plain", "weighted"])
def test_negative_log_likelihood_is_pytorch_s(weight: Any, dtype: str, kernels: str) -> None:
    with kernels_switched(kernels, "numpy"):
        for (logits, target), reduction in itertools.product(logits_and_targets(), REDUCTIONS):
            if target.dtype.kind != "f":
                compare("NLLLoss", {"weight": weight, "reduction": reduction}, [logits, target], dtype, None)


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("form", ["rows", "joined", "one"])
def test_connectionist_temporal_classification_is_pytorch_s(
    form: str, zero_infinity: bool, dtype: str, kernels: str
) -> None:
    steps, samples, classes = 12, 4, 6
    targets = np.asarray([[2, 1, 1, 4], [3, 3, 3, 3], [5, 1, 0, 0], [4, 0, 0, 0]])
    frames, labels = (12, 7, 10, 12), (4, 4, 2, 0)
    for blank, reduction in itertools.product((0, 5), REDUCTIONS):
        logits, given, lengths = RNG.normal(size=(steps, samples, classes)), targets, (frames, labels)
        if blank == 5:
            given = np.where(given == 5, 2, given)
        if form == "joined":
            given = np.concatenate([row[:length] for row, length in zip(given, labels, strict=True)])
        if form == "one":
            logits, given, lengths = logits[:, 0], given[0], (12, 4)
        options = {"blank": blank, "reduction": reduction, "zero_infinity": zero_infinity}
        mine = nn.CTCLoss(**options)

        def ours(z: Any, y: Any, mine: Any = mine, lengths: Any = lengths) -> Any:
            return mine(F.log_softmax(z, axis=-1), y, *map(np.asarray, lengths))

        def theirs(z: Any, y: Any, options: Any = options, lengths: Any = lengths) -> Any:
            # PyTorch's gradient is that through the softmax; so is ours here.
            return TF.ctc_loss(TF.log_softmax(z, -1), y, *map(torch.tensor, lengths), **options)

        ours.__name__ = "CTCLoss"
        with kernels_switched(kernels, "numpy"):
            compare_modules(ours, theirs, [logits, given], dtype, wanted=[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_target_too_long_costs_infinitely_much_or_nothing(dtype: str) -> None:
    arrays = [RNG.normal(size=(3, 1, 4)), np.asarray([[1, 1, 1]])]
    for zero_infinity in (False, True):

        def ours(p: Any, y: Any, zero_infinity: bool = zero_infinity) -> Any:
            return F.ctc_loss(p, y, [3], [3], zero_infinity=zero_infinity)

        def theirs(p: Any, y: Any, zero_infinity: bool = zero_infinity) -> Any:
            return TF.ctc_loss(p, y, (3,), (3,), zero_infinity=zero_infinity)

        compare_modules(ours, theirs, arrays, dtype)


def torchvision_focal_loss(z: Any, y: Any, alpha: float, gamma: float, reduction: str) -> torch.Tensor:
    """The formula of torchvision.ops.sigmoid_focal_loss in PyTorch's calls."""
    p = torch.sigmoid(z)
    p_t = p * y + (1 - p) * (1 - y)
    loss = TF.binary_cross_entropy_with_logits(z, y, reduction="none") * (1 - p_t) ** gamma
    if alpha >= 0:
        loss = (alpha * y + (1 - alpha) * (1 - y)) * loss
    return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (-1.0, 2.0), (0.5, 1.0), (0.25, 0.0), (0.6, 3.5)])
def test_the_focal_loss_of_two_classes_is_torchvisions(alpha: float, gamma: float, dtype: str, kernels: str) -> None:
    for reduction, target in itertools.product(REDUCTIONS, ((SIGNS + 1) / 2, SHARES)):
        ours = nn.SigmoidFocalLoss(alpha, gamma, reduction)
        with kernels_switched(kernels, "numpy"):
            compare_modules(
                ours,
                lambda z, y, r=reduction: torchvision_focal_loss(z, y, alpha, gamma, r),
                [REAL, target],
                dtype,
            )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_of_many_classes_is_the_papers(gamma: float, dtype: str) -> None:
    labels = abs(LABELS % K)
    for reduction, weight in itertools.product(REDUCTIONS, (None, CLASS_WEIGHT)):

        def theirs(z: torch.Tensor, y: torch.Tensor, reduction: str = reduction, weight: Any = weight) -> torch.Tensor:
            log_p = TF.log_softmax(z, 1)[torch.arange(N), y]
            loss = -((1 - log_p.exp()) ** gamma) * log_p
            if weight is not None:
                loss = loss * torch.from_numpy(weight.astype(dtype))[y]
            return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]

        given = None if weight is None else weight.astype(dtype)
        compare_modules(nn.FocalLoss(given, gamma, reduction=reduction), theirs, [REAL, labels], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_that_pytorch_has_not_are_their_formulas(reduction: str, dtype: str) -> None:
    def reduced(loss: torch.Tensor) -> torch.Tensor:
        return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]

    def contrastive(a: Any, b: Any, y: Any) -> torch.Tensor:
        d = torch.linalg.vector_norm(a - b, dim=-1)
        return reduced(0.5 * (1 - y) * d**2 + 0.5 * y * torch.relu(4 - d) ** 2)

    def dice(p: Any, y: Any) -> torch.Tensor:
        return reduced(1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1))

    def hinge(p: Any, y: Any) -> torch.Tensor:
        return reduced(torch.relu(1 - p * y))

    def categorical(p: Any, y: Any) -> torch.Tensor:
        return reduced(-(y * p.log()).sum(1))

    answers = (SIGNS[:, 0] + 1) / 2
    compare_modules(nn.ContrastiveLoss(4.0, reduction), contrastive, [REAL, OTHER, answers], dtype, wanted=[0, 1])
    compare_modules(nn.DiceLoss(reduction=reduction), dice, [SHARES, RNG.uniform(size=(N, K))], dtype)
    compare_modules(nn.HingeLoss(reduction), hinge, [REAL, SIGNS], dtype)
    compare_modules(nn.CategoricalCrossEntropyLoss(reduction), categorical, [SHARES, SHARES[::-1].copy()], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_similarities_and_distances_are_pytorch_s(dtype: str) -> None:
    for axis in (0, 1, -1):
        compare_modules(
            lambda a, b, axis=axis: F.cosine_similarity(a, b, axis=axis),
            lambda a, b, axis=axis: TF.cosine_similarity(a, b, dim=axis),
            [REAL, OTHER],
            dtype,
        )
    for p in (1.0, 2.0, 3.0):
        compare_modules(
            lambda a, b, p=p: F.pairwise_distance(a, b, p=p, keepdims=True),
            lambda a, b, p=p: TF.pairwise_distance(a, b, p=p, keepdim=True),
            [REAL, OTHER],
            dtype,
        )


@pytest.mark.parametrize("operator", ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"])
def test_the_node_cases_of_onnx_come_out(operator: str) -> None:
    function = F.nll_loss if operator == "NegativeLogLikelihoodLoss" else F.cross_entropy
    for case in node_cases(operator):
        loss = function(*case.inputs, **case.attributes)
        np.testing.assert_allclose(loss, case.outputs[0], rtol=1e-5, atol=1e-6, err_msg=case.name)
