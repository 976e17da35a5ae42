"""Losses: formulas on small numbers, both derivatives, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, check_gradients, no_grad
from portml.backends import to_numpy
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError
from portml.nn import functional as F

RNG = np.random.default_rng(0)
REAL, OTHER, SHARES = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4)), RNG.uniform(0.1, 0.9, (3, 4))
SIGNS = np.sign(OTHER)
LABELS = np.asarray([0, 3, 1])

PAIRED = {
    "smooth l1": (nn.SmoothL1Loss(beta=0.4), REAL, OTHER),
    "poisson": (nn.PoissonNLLLoss(full=True), REAL, np.asarray([[0, 2, 5, 1]] * 3)),
    "bce weighted": (nn.BCELoss(np.asarray([1.0, 2.0, 0.5, 3.0])), SHARES, SHARES[::-1].copy()),
    "bce logits": (nn.BCEWithLogitsLoss(pos_weight=np.asarray([1.0, 2.0, 0.5, 3.0])), REAL, SHARES),
    "multilabel": (nn.MultiLabelSoftMarginLoss(), REAL, SHARES),
    "divergence": (nn.KLDivLoss("batchmean"), np.log(SHARES), SHARES[::-1].copy()),
    "log divergence": (nn.KLDivLoss(log_target=True), np.log(SHARES), np.log(SHARES[::-1])),
    "soft margin": (nn.SoftMarginLoss(), REAL, SIGNS),
    "hinge embedding": (nn.HingeEmbeddingLoss(0.7), REAL, SIGNS.astype("int64")),
    "multi margin": (nn.MultiMarginLoss(p=2, margin=0.8), REAL, LABELS),
    "focal": (nn.FocalLoss(gamma=1.5), REAL, LABELS),
    "sigmoid focal": (nn.SigmoidFocalLoss(0.3, 1.5), REAL, SHARES),
    "dice": (nn.DiceLoss(), SHARES, SHARES[::-1].copy()),
    "soft labels": (nn.CrossEntropyLoss(label_smoothing=0.1), REAL, SHARES / SHARES.sum(1, keepdims=True)),
    "likelihood": (nn.NLLLoss(), np.log(SHARES), LABELS),
    "cosine": (lambda a, y: nn.CosineEmbeddingLoss(-0.5)(a, y, np.asarray([1, -1, -1])), REAL, OTHER),
    "contrastive": (lambda a, b: nn.ContrastiveLoss(9.0)(a, b, np.asarray([0, 1, 1])), REAL, OTHER),
    "ranking": (lambda a, b: nn.MarginRankingLoss(0.3)(a, b, SIGNS), REAL, OTHER),
}


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize("order", [1, 2])
def test_gradients_agree_with_differences(name, order):
    loss, prediction, target = PAIRED[name]
    if target.dtype.kind == "f" and name != "soft margin":
        check_gradients(loss, [prediction, target], order=order, directional=True)
    else:
        check_gradients(lambda p: loss(p, target), [prediction], order=order, directional=True)


@pytest.mark.parametrize("name", [name for name, (loss, *_) in PAIRED.items() if isinstance(loss, nn.Module)])
def test_a_loss_is_the_same_on_every_backend(backend, name):
    loss, prediction, target = PAIRED[name]
    host = to_numpy(loss(prediction, target))
    moved = {key: backend.asarray(value) for key, value in loss.named_buffers()}
    before = dict(loss.named_buffers())
    try:
        for key, value in moved.items():
            setattr(loss, key, value)
        with no_grad():
            here = loss(backend.asarray(prediction, dtype="float32"), backend.asarray(target))
            wide = loss(backend.asarray(prediction), backend.asarray(target))
    finally:
        for key, value in before.items():
            setattr(loss, key, value)
    assert here.dtype == backend.dtype("float32")
    np.testing.assert_allclose(to_numpy(wide), host, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(here), host, rtol=1e-5)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_triplets_have_both_derivatives(backend, swap, order):
    arrays = [backend.asarray(each) for each in (REAL, OTHER, SHARES)]
    check_gradients(nn.TripletMarginLoss(3.0, swap=swap), arrays, order=order, directional=True)


@pytest.mark.parametrize("order", [1, 2])
def test_a_normal_likelihood_has_both_derivatives(backend, order):
    arrays = [backend.asarray(each) for each in (REAL, OTHER, SHARES)]
    check_gradients(nn.GaussianNLLLoss(full=True), arrays, order=order, directional=True)


# Sequences


def every_path(log_p, target, blank=0):
    """The probability of a target as the sum over all paths that collapse to it."""
    total = 0.0
    for path in itertools.product(range(log_p.shape[1]), repeat=log_p.shape[0]):
        merged = [label for i, label in enumerate(path) if i == 0 or label != path[i - 1]]
        if [label for label in merged if label != blank] == list(target):
            total += math.exp(sum(log_p[t, label] for t, label in enumerate(path)))
    return total


@pytest.mark.parametrize("target", [[], [1], [2, 1], [1, 1], [1, 2, 1], [2, 2, 2]])
def test_a_sequence_costs_the_logarithm_of_the_sum_over_all_its_paths(backend, target):
    z = RNG.normal(size=(5, 3))
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    padded = backend.asarray(np.asarray([[*target, *[0] * (3 - len(target))]]))
    with no_grad():
        loss = F.ctc_loss(backend.asarray(log_p[:, None]), padded, [5], [len(target)], reduction="sum")
    np.testing.assert_allclose(to_numpy(loss), -math.log(every_path(log_p, target)), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_sequences_have_both_derivatives(backend, order, reduction):
    loss = nn.CTCLoss(reduction=reduction)
    targets, lengths = backend.asarray([[1, 2], [2, 0]]), ([4, 3], [2, 1])
    z = backend.asarray(RNG.normal(size=(4, 2, 3)))
    check_gradients(lambda z: loss(F.log_softmax(z, axis=-1), targets, *lengths), [z], order=order, directional=True)


def test_targets_may_stand_one_after_the_other(backend):
    log_p = F.log_softmax(backend.asarray(RNG.normal(size=(6, 3, 4))), axis=-1)
    rows, joined = backend.asarray([[1, 2, 3], [3, 0, 0], [2, 2, 0]]), backend.asarray([1, 2, 3, 3, 2, 2])
    with no_grad():
        one, other = (F.ctc_loss(log_p, each, [6, 6, 5], [3, 1, 2], reduction="none") for each in (rows, joined))
    np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


def test_long_sequences_stay_finite_in_single_precision(backend):
    log_p = F.log_softmax(backend.asarray(100 * RNG.normal(size=(60, 1, 5)), dtype="float32"), axis=-1)
    p = Tensor(log_p, requires_grad=True)
    loss = nn.CTCLoss()(p, backend.asarray(np.arange(20).reshape(1, 20) % 4 + 1), [60], [20])
    loss.backward()
    assert np.isfinite(to_numpy(loss))
    # Logarithms of some thousands leave so many digits.
    np.testing.assert_allclose(to_numpy(p.grad).sum(axis=2) * 20, -1, rtol=2e-3)


# What words mean


def test_the_divergence_of_a_distribution_from_itself_is_nothing(backend):
    p = backend.asarray(SHARES / SHARES.sum(1, keepdims=True))
    with no_grad():
        loss = F.kl_div(F.log_softmax(backend.asarray(np.log(SHARES)), axis=1), p, reduction="batchmean")
    np.testing.assert_allclose(to_numpy(loss), 0, atol=1e-15)


def test_one_hot_probabilities_cost_what_labels_do(backend):
    with no_grad():
        logits = backend.asarray(REAL)
        labels = F.cross_entropy(logits, backend.asarray(LABELS), label_smoothing=0.2)
        shares = F.cross_entropy(logits, backend.asarray(np.eye(4)[LABELS]), label_smoothing=0.2)
    np.testing.assert_allclose(to_numpy(labels), to_numpy(shares), rtol=1e-13)


def test_focal_loss_without_focus_is_cross_entropy_and_with_it_forgets_the_easy(backend):
    logits, labels = backend.asarray(np.asarray([[9.0, 0.0], [0.1, 0.0]])), backend.asarray([0, 0])
    with no_grad():
        plain = to_numpy(F.cross_entropy(logits, labels, reduction="none"))
        same = to_numpy(F.focal_loss(logits, labels, gamma=0.0, reduction="none"))
        less = to_numpy(F.focal_loss(logits, labels, gamma=2.0, reduction="none"))
    np.testing.assert_allclose(same, plain, rtol=1e-12)
    assert less[0] / plain[0] < 1e-6 < less[1] / plain[1]


def test_a_pair_that_belongs_together_costs_its_squared_distance_and_one_apart_its_lack_of_margin(backend):
    a, b = backend.asarray(np.asarray([[0.0, 0.0]] * 3)), backend.asarray(np.asarray([[3.0, 4.0], [0.3, 0.4], [3, 4]]))
    with no_grad():
        losses = F.contrastive_loss(a, b, backend.asarray([0, 1, 1]), margin=2.0, reduction="none")
    np.testing.assert_allclose(to_numpy(losses), [12.5, 0.5 * 1.5**2, 0.0])


def test_identical_embeddings_have_finite_gradients(backend):
    a = Tensor(backend.asarray(np.ones((2, 3))), requires_grad=True)
    b = backend.asarray(np.ones((2, 3)))
    loss = nn.ContrastiveLoss()(a, b, backend.asarray([0, 1])) + nn.TripletMarginLoss()(a, b, b)
    loss = loss + nn.CosineEmbeddingLoss()(a * 0, b, backend.asarray([1, -1]))
    loss.backward()
    assert np.all(np.isfinite(to_numpy(a.grad)))


def test_a_weighted_loss_keeps_its_weights_in_its_state(backend):
    loss = nn.BCEWithLogitsLoss(backend.asarray([1.0, 2.0]), pos_weight=backend.asarray([3.0, 1.0]))
    assert list(loss.state_dict()) == ["weight", "pos_weight"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.KLDivLoss("average"), ArgumentError, "reduction: expected 'mean', 'batchmean', 'sum' or 'none'"),
        (lambda: nn.MSELoss("batchmean"), ArgumentError, "reduction: expected 'mean', 'sum' or 'none'"),
        (lambda: nn.SmoothL1Loss(beta=-1.0), ArgumentError, "beta: expected a number of at least 0"),
        (lambda: nn.MultiMarginLoss(p=3), ArgumentError, "p: expected 1 or 2"),
        (lambda: nn.FocalLoss(gamma=-1.0), ArgumentError, "gamma must be at least 0"),
        (lambda: nn.TripletMarginLoss(margin=0.0), ArgumentError, "margin: expected a number above 0"),
        (lambda: nn.KLDivLoss()(REAL, SHARES + 1), RangeError, "target contains 1.*expected probabilities"),
        (lambda: nn.CrossEntropyLoss()(REAL, SHARES * 2), RangeError, "target contains"),
        (lambda: nn.CrossEntropyLoss(np.ones(3))(REAL, SHARES), ShapeError, r"\(3,\)"),
        (lambda: nn.MultiMarginLoss()(REAL, np.asarray([0, 4, 1])), RangeError, "labels contain 4; expected 0 to 3"),
        (lambda: nn.MultiMarginLoss()(REAL, np.asarray([0, -100, 1])), RangeError, "labels contain -100"),
        (lambda: nn.FocalLoss()(REAL, np.asarray([0, 9, 1])), RangeError, "labels contain 9"),
        (lambda: nn.NLLLoss()(REAL, np.asarray([0.0, 1.0, 1.0])), DtypeError, "float64"),
        (lambda: nn.DiceLoss()(REAL, SHARES), RangeError, "dice_loss: prediction contains"),
        (lambda: nn.GaussianNLLLoss()(REAL, OTHER, -SHARES), RangeError, "variance contains a number below 0"),
        (lambda: nn.GaussianNLLLoss()(REAL, OTHER, SHARES[:, :2]), ShapeError, r"variance \(3, 2\)"),
        (lambda: nn.BCEWithLogitsLoss(pos_weight=np.ones(3))(REAL, SHARES), ShapeError, r"pos_weight has shape \(3,\)"),
        (lambda: nn.BCELoss(np.ones((5, 3, 4)))(SHARES, SHARES), ShapeError, r"weight has shape \(5, 3, 4\)"),
        (lambda: nn.TripletMarginLoss()(REAL, OTHER, SHARES[:2]), ShapeError, r"\(3, 4\) and \(2, 4\)"),
        (lambda: nn.CosineEmbeddingLoss()(REAL, OTHER, SIGNS), ShapeError, r"target \(3, 4\)"),
        (lambda: nn.MarginRankingLoss()(REAL, OTHER[:, :1], SIGNS), ShapeError, r"\(3, 1\)"),
        (lambda: F.ctc_loss(REAL, np.asarray([4]), [3], [1]), RangeError, "targets contain 4"),
        (lambda: F.ctc_loss(REAL, np.asarray([0]), [3], [1]), RangeError, "other than blank = 0"),
        (lambda: F.ctc_loss(REAL, np.asarray([1]), [4], [1]), RangeError, "input_lengths contain 4; expected 0 to 3"),
        (lambda: F.ctc_loss(REAL, np.asarray([1]), [3], [2]), RangeError, "target_lengths contain 2"),
        (lambda: F.ctc_loss(REAL, np.asarray([1]), [3], [1], blank=4), ArgumentError, "blank is 4"),
        (lambda: F.ctc_loss(REAL[:, None], np.asarray([1, 2, 3]), [3], [2]), RangeError, "3 labels.*sum to 2"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_wrong_label_makes_the_loss_of_its_row_nan_where_nobody_looks(backend):
    if backend.host:
        return  # refused above
    scores, labels = backend.asarray(REAL), backend.asarray(np.asarray([0, 7, 1]))
    with no_grad():
        for function in (F.multi_margin_loss, F.focal_loss):
            losses = to_numpy(function(scores, labels, reduction="none"))
            assert np.isnan(losses).tolist() == [False, True, False]
        log_p = backend.asarray(np.log(np.full((3, 2, 4), 0.25)))
        losses = F.ctc_loss(log_p, backend.asarray([[1], [9]]), [3, 3], [1, 1], reduction="none")
        assert np.isnan(to_numpy(losses)).tolist() == [False, True]
        losses = F.ctc_loss(log_p, backend.asarray([[1], [9]]), [3, 3], [1, 0], reduction="none")
        assert np.isfinite(to_numpy(losses)).all(), "what is beyond a target is not looked at"


def test_a_loss_shows_its_settings():
    assert repr(nn.HuberLoss(delta=2.0).eval()) == "HuberLoss(reduction='mean', delta=2.0)"
    assert repr(nn.BCELoss(np.ones(2))) == "BCELoss(reduction='mean')"
