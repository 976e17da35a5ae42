"""What the comparison of bodies cannot see: the guide's formulas, PyTorch's conventions, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.class_loss import (
    categorical_cross_entropy,
    cross_entropy,
    cross_entropy_backward,
    cross_entropy_saving,
    nll_loss,
)
from portml.backends.kernels.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_loss,
    hinge_loss_backward,
    huber_loss,
    l1_loss,
    mse_loss,
)
from portml.backends.kernels.margin_loss import hinge_embedding_loss_backward
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError

RNG = np.random.default_rng(0)
REDUCTIONS = ("mean", "sum", "none")
PAIRWISE = {
    "mse_loss": mse_loss,
    "l1_loss": l1_loss,
    "huber_loss": huber_loss,
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "hinge_loss": hinge_loss,
    "categorical_cross_entropy": categorical_cross_entropy,
}
each_pairwise = pytest.mark.parametrize("loss", PAIRWISE.values(), ids=PAIRWISE)
USUAL: dict[str, Any] = {"reduction": "mean", "label_smoothing": 0.0, "ignore_index": -100}


def value(loss: Any, backend: Backend, *arrays: Any, **statics: Any) -> Any:
    return to_numpy(loss(*(None if array is None else backend.asarray(array) for array in arrays), **statics))


def gradient(loss: Any, backend: Backend, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The gradient to the prediction of the mean."""
    p, y = backend.asarray(prediction), backend.asarray(target)
    one = backend.asarray(np.ones(()))
    return to_numpy(
        loss.kernel.backward(one, loss(p, y), p, y, needs=(True, False), reduction="mean", **extra(loss))[0]
    )


def extra(loss: Any) -> dict[str, Any]:
    return {"delta": 1.0} if loss is huber_loss else {}


PREDICTED = np.asarray([[0.3, 0.9], [2.5, -1.2]])
TRUE = np.asarray([[1.0, 0.4], [0.2, -1.0]])
PROBABILITIES = np.asarray([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
ONE_HOT = np.asarray([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
SIGNS = np.asarray([[1.0, -1.0], [1.0, -1.0]])


@pytest.mark.parametrize(
    ("loss", "prediction", "target", "expected", "slope"),
    [
        (mse_loss, PREDICTED, TRUE, ((PREDICTED - TRUE) ** 2).mean(), 2 * (PREDICTED - TRUE) / 4),
        (l1_loss, PREDICTED, TRUE, np.abs(PREDICTED - TRUE).mean(), np.sign(PREDICTED - TRUE) / 4),
        (
            huber_loss,
            PREDICTED,
            TRUE,
            (0.7**2 + 0.5**2 + 0.2**2 + 2 * (2.3 - 0.5)) / 8,
            [[-0.175, 0.125], [0.25, -0.05]],
        ),
        (hinge_loss, PREDICTED, SIGNS, (0.7 + 1.9 + 0 + 0) / 4, [[-0.25, 0.25], [0, 0]]),
        (categorical_cross_entropy, PROBABILITIES, ONE_HOT, -np.log([0.7, 0.1]).mean(), -ONE_HOT / PROBABILITIES / 2),
        (
            binary_cross_entropy,
            PROBABILITIES,
            ONE_HOT,
            -np.log([0.7, 0.8, 0.9, 0.9, 0.2, 0.1]).mean(),
            (PROBABILITIES - ONE_HOT) / (PROBABILITIES * (1 - PROBABILITIES)) / 6,
        ),
        (
            binary_cross_entropy_with_logits,
            np.log(PROBABILITIES / (1 - PROBABILITIES)),
            ONE_HOT,
            -np.log([0.7, 0.8, 0.9, 0.9, 0.2, 0.1]).mean(),
            (PROBABILITIES - ONE_HOT) / 6,
        ),
    ],
)
def test_values_and_slopes_are_those_of_the_formulas(
    backend: Backend, loss: Any, prediction: np.ndarray, target: np.ndarray, expected: float, slope: Any
) -> None:
    np.testing.assert_allclose(value(loss, backend, prediction, target), expected, rtol=1e-12)
    np.testing.assert_allclose(gradient(loss, backend, prediction, target), slope, rtol=1e-12, atol=1e-15)


@each_pairwise
def test_a_column_is_never_broadcast_against_a_row(backend: Backend, loss: Any) -> None:
    with pytest.raises(ShapeError, match=r"\(4,\).*\(4, 1\)"):
        loss(backend.zeros((4,)), backend.zeros((4, 1)))


@each_pairwise
def test_an_unknown_reduction_is_refused(backend: Backend, loss: Any) -> None:
    with pytest.raises(ArgumentError, match="'average'"):
        loss(backend.zeros((4, 2)), backend.zeros((4, 2)), reduction="average")


@each_pairwise
def test_the_result_has_the_dtype_of_the_prediction(backend: Backend, loss: Any) -> None:
    prediction = backend.full((4, 2), 0.5, "float32")
    for target in (backend.zeros((4, 2), "int64"), backend.zeros((4, 2), "float64")):
        assert loss(prediction, target).dtype == backend.dtype("float32")


@each_pairwise
def test_the_mean_of_nothing_is_nan(backend: Backend, loss: Any) -> None:
    assert np.isnan(value(loss, backend, np.ones((0, 2)), np.ones((0, 2))))
    assert value(loss, backend, np.ones((0, 2)), np.ones((0, 2)), reduction="sum") == 0


@each_pairwise
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("order", [1, 2])
def test_pairwise_gradients_are_right_to_the_second_order(
    backend: Backend, loss: Any, reduction: str, order: int
) -> None:
    prediction, target = RNG.uniform(0.1, 0.9, (3, 2)), RNG.uniform(0.1, 0.9, (3, 2))
    arrays = [backend.asarray(prediction), backend.asarray(target)]
    check_gradients(lambda p, y: loss(p, y, reduction=reduction), arrays, order=order, directional=True)


@each_pairwise
def test_long_arrays_have_the_mean_of_their_parts(loss: Any) -> None:
    prediction, target = RNG.uniform(0.1, 0.9, (2, 70_001, 2)), RNG.uniform(0.1, 0.9, (2, 70_001, 2))
    whole = loss(prediction.reshape(-1, 2), target.reshape(-1, 2))
    np.testing.assert_allclose(whole, (loss(prediction[0], target[0]) + loss(prediction[1], target[1])) / 2, rtol=1e-12)


def test_certain_probabilities_cost_nothing_or_a_hundred(backend: Backend) -> None:
    p, y = np.asarray([0.0, 0.0, 1.0, 1.0]), np.asarray([0.0, 1.0, 0.0, 1.0])
    assert value(binary_cross_entropy, backend, p, y, reduction="none").tolist() == [0, 100, 100, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_logits_cost_what_they_are_wrong_by(backend: Backend, dtype: str) -> None:
    z, y = np.asarray([1e4, -1e4, 1e4, -1e4], dtype), np.asarray([1, 0, 0, 1], dtype)
    assert value(binary_cross_entropy_with_logits, backend, z, y, reduction="none").tolist() == [0, 0, 1e4, 1e4]


def test_a_small_loss_keeps_its_digits(backend: Backend) -> None:
    z, y = np.asarray([30.0, -30.0], "float32"), np.asarray([1, 0], "float32")
    losses = value(binary_cross_entropy_with_logits, backend, z, y, reduction="none")
    np.testing.assert_allclose(losses, math.exp(-30), rtol=1e-5)


@pytest.mark.parametrize("loss", [binary_cross_entropy, categorical_cross_entropy])
@pytest.mark.parametrize("wrong", [-0.1, 1.5])
def test_no_probability_raises_on_the_host_and_is_nan_elsewhere(backend: Backend, loss: Any, wrong: float) -> None:
    p, y = np.asarray([[0.5, 0.5], [0.5, wrong]]), np.asarray([[0.5, 0.5], [0.5, 0.5]])
    if backend.host:
        with pytest.raises(RangeError, match=str(wrong)):
            value(loss, backend, p, y)
    else:
        nan = np.isnan(value(loss, backend, p, y, reduction="none"))
        assert nan[1].any()
        assert not nan[0].any()


# Labels


def test_cross_entropy_is_the_surprise_of_the_label(backend: Backend) -> None:
    losses = value(cross_entropy, backend, np.log(PROBABILITIES), np.asarray([0, 2]), None, reduction="none")
    np.testing.assert_allclose(losses, -np.log([0.7, 0.1]), rtol=1e-12)


def test_classes_are_the_second_axis(backend: Backend) -> None:
    logits, labels = RNG.normal(size=(2, 3, 4)), RNG.integers(0, 3, (2, 4))
    flat = value(cross_entropy, backend, np.moveaxis(logits, 1, 2).reshape(8, 3), labels.reshape(8), None)
    np.testing.assert_allclose(value(cross_entropy, backend, logits, labels, None), flat, rtol=1e-12)


def test_the_mean_is_weighted_by_the_labels(backend: Backend) -> None:
    weight = np.asarray([1.0, 5.0, 3.0])
    loss = value(cross_entropy, backend, np.log(PROBABILITIES), np.asarray([0, 2]), weight)
    np.testing.assert_allclose(loss, -(math.log(0.7) + 3 * math.log(0.1)) / 4, rtol=1e-12)


def test_smoothing_gives_every_class_its_share(backend: Backend) -> None:
    loss = value(cross_entropy, backend, np.log(PROBABILITIES[:1]), np.asarray([0]), None, label_smoothing=0.3)
    np.testing.assert_allclose(loss, -(0.8 * math.log(0.7) + 0.1 * math.log(0.2) + 0.1 * math.log(0.1)), rtol=1e-12)


def test_nll_of_log_softmax_is_cross_entropy(backend: Backend) -> None:
    labels, weight = np.asarray([2, 0]), np.asarray([1.0, 2.0, 3.0])
    one = value(nll_loss, backend, np.log(PROBABILITIES), labels, weight)
    np.testing.assert_allclose(one, value(cross_entropy, backend, np.log(PROBABILITIES), labels, weight), rtol=1e-12)


@pytest.mark.parametrize("ignored", [-100, 1, 255])
def test_ignored_samples_cost_nothing_and_move_nothing(backend: Backend, ignored: int) -> None:
    logits, labels = RNG.normal(size=(3, 3)), np.asarray([0, ignored, 2])
    kept = value(cross_entropy, backend, logits[[0, 2]], labels[[0, 2]], None)
    statics = USUAL | {"ignore_index": ignored}
    loss, saved = cross_entropy_saving(backend.asarray(logits), backend.asarray(labels), None, **statics)
    np.testing.assert_allclose(to_numpy(loss), kept, rtol=1e-12)
    one = backend.asarray(np.ones(()))
    arguments = one, saved, backend.asarray(logits), backend.asarray(labels), None
    dlogits = to_numpy(cross_entropy_backward(*arguments, needs=(True, False, False), **statics)[0])
    assert not dlogits[1].any()
    assert dlogits[0].all()


def test_an_ignored_sample_may_be_infinitely_surprising(backend: Backend) -> None:
    logits, labels = np.asarray([[-math.inf, 0.0], [0.0, 0.0]]), np.asarray([-100, 1])
    np.testing.assert_allclose(value(cross_entropy, backend, logits, labels, None), math.log(2), rtol=1e-12)


def test_the_mean_of_only_ignored_samples_is_nan(backend: Backend) -> None:
    assert np.isnan(value(cross_entropy, backend, RNG.normal(size=(2, 3)), np.asarray([-100, -100]), None))


@pytest.mark.parametrize("loss", [cross_entropy, nll_loss])
@pytest.mark.parametrize("label", [-1, 3, 2**40])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_label_out_of_range_raises_on_the_host_and_is_nan_elsewhere(
    backend: Backend, loss: Any, label: int, weighted: bool
) -> None:
    logits, labels = RNG.normal(size=(2, 3)), np.asarray([1, label])
    weight = np.ones(3) if weighted else None
    if backend.host:
        with pytest.raises(RangeError, match=f"{label}.*0 to 2"):
            value(loss, backend, logits, labels, weight)
    else:
        assert np.isnan(value(loss, backend, logits, labels, weight, reduction="none")).tolist() == [False, True]


def test_the_gradient_of_a_row_with_a_wrong_label_is_nan_where_nobody_looks(backend: Backend) -> None:
    if backend.host:
        return  # refused above
    logits, labels = backend.asarray(RNG.normal(size=(2, 3))), backend.asarray(np.asarray([1, 7]))
    statics = USUAL | {"reduction": "sum"}
    _, saved = cross_entropy_saving(logits, labels, None, **statics)
    one = backend.asarray(np.ones(()))
    dlogits = cross_entropy_backward(one, saved, logits, labels, None, needs=(True, False, False), **statics)[0]
    assert np.isnan(to_numpy(dlogits)).all(axis=1).tolist() == [False, True]


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_labels_may_be_integers_of_any_size(backend: Backend, dtype: str) -> None:
    loss = value(cross_entropy, backend, np.log(PROBABILITIES), np.asarray([0, 2], dtype), None)
    np.testing.assert_allclose(loss, -np.log([0.7, 0.1]).mean(), rtol=1e-12)


def test_labels_that_are_no_integers_are_refused(backend: Backend) -> None:
    with pytest.raises(DtypeError, match="float64"):
        value(cross_entropy, backend, PROBABILITIES, np.asarray([0.0, 2.0]), None)


@pytest.mark.parametrize(
    ("logits", "labels", "weight"),
    [((4, 3), (4, 1), None), ((4, 3), (3,), None), ((4, 3, 2), (4,), None), ((), (), None), ((4, 3), (4,), (4,))],
)
def test_labels_and_weights_that_do_not_fit_are_refused(
    backend: Backend, logits: Any, labels: Any, weight: Any
) -> None:
    with pytest.raises(ShapeError):
        cross_entropy(
            backend.zeros(logits), backend.zeros(labels, "int64"), None if weight is None else backend.zeros(weight)
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_has_right_gradients_to_the_second_order(
    backend: Backend, reduction: str, order: int, smoothing: float
) -> None:
    labels, weight = backend.asarray(np.asarray([[0, 2], [-100, 1]])), backend.asarray(np.asarray([0.5, 1.0, 2.0]))
    statics = {"reduction": reduction, "label_smoothing": smoothing}
    logits = backend.asarray(RNG.normal(size=(2, 3, 2)))
    check_gradients(lambda z: cross_entropy(z, labels, weight, **statics), logits, order=order, directional=True)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=6), st.data())
def test_cross_entropy_is_finite_and_never_negative(logits: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(logits) - 1))
    loss = cross_entropy(np.asarray([logits], "float32"), np.asarray([label]), None)
    assert loss.dtype == np.float32
    assert 0 <= loss < math.inf


def test_targets_outside_the_unit_interval_are_refused_where_they_are_probabilities() -> None:
    with pytest.raises(RangeError, match=r"binary_cross_entropy: target contains 2\.0, expected probabilities in"):
        binary_cross_entropy(np.asarray([0.5, 0.5]), np.asarray([0.0, 2.0]))
    with pytest.raises(RangeError, match=r"target contains -1\.0"):
        binary_cross_entropy.agnostic(np.asarray([0.5, 0.5]), np.asarray([-1.0, 1.0]))


def test_where_a_hinge_turns_the_slope_is_pytorchs(backend: Backend) -> None:
    at_margin, answers = backend.asarray([0.5, 0.5]), backend.asarray([-1.0, 1.0])
    options = {"needs": (True, False), "reduction": "none"}
    ones = backend.asarray([1.0, 1.0])
    slope, _ = hinge_embedding_loss_backward(ones, None, at_margin, answers, margin=0.5, **options)
    assert to_numpy(slope).tolist() == [-1.0, 1.0]
    slope, _ = hinge_loss_backward(ones, None, answers, answers, **options)
    assert to_numpy(slope).tolist() == [0.0, 0.0]
