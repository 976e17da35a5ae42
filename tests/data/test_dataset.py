from __future__ import annotations

import numpy as np
import pytest

from portml.backends import Backend, get_backend, to_numpy
from portml.data import ArrayDataset
from portml.errors import ArgumentError, DataError, DtypeError, MixedBackendsError, RangeError, ShapeError
from tests.data.files import lives_on

INPUTS = np.arange(24, dtype=np.float32).reshape(12, 2)
LABELS = np.arange(12) % 3


def dataset_on(backend: Backend) -> ArrayDataset:
    return ArrayDataset(backend.asarray(INPUTS), backend.asarray(LABELS), n_classes=3)


def test_samples_are_taken_by_position_slice_and_array(backend: Backend) -> None:
    dataset = dataset_on(backend)
    assert len(dataset) == 12
    assert dataset.sample_shape == (2,)
    assert dataset.backend is not None
    assert lives_on(backend, dataset.inputs)
    for index, expected in ((3, 3), (-1, -1), (slice(2, 5), slice(2, 5)), ([7, 0, 7], [7, 0, 7])):
        inputs, labels = dataset[backend.asarray(index) if isinstance(index, list) else index]
        assert lives_on(backend, inputs, labels)
        np.testing.assert_array_equal(to_numpy(inputs), INPUTS[expected])
        np.testing.assert_array_equal(to_numpy(labels), LABELS[expected])


def test_a_split_is_the_same_on_every_backend(backend: Backend) -> None:
    rest, part = dataset_on(backend).split(0.25, 5)
    host_rest, host_part = dataset_on(get_backend("numpy")).split(0.25, 5)
    assert lives_on(backend, part.inputs, part.targets)
    assert np.bincount(to_numpy(part.targets)).tolist() == [1, 1, 1]
    for one, other in ((rest, host_rest), (part, host_part)):
        np.testing.assert_array_equal(to_numpy(one.inputs), other.inputs)
        np.testing.assert_array_equal(to_numpy(one.targets), other.targets)
        assert one.n_classes == 3


def test_parts_join_to_the_whole(backend: Backend) -> None:
    rest, part = dataset_on(backend).split(0.25, 5)
    joined = rest.concatenate(part)
    np.testing.assert_array_equal(np.sort(to_numpy(joined.inputs), axis=0), INPUTS)


def test_a_data_set_moves_to_another_backend_and_back(backend: Backend) -> None:
    moved = ArrayDataset(INPUTS, LABELS, n_classes=3).to(backend)
    assert lives_on(backend, moved.inputs, moved.targets)
    np.testing.assert_array_equal(moved.to("numpy").inputs, INPUTS)


def test_targets_of_a_regression_are_any_finite_numbers() -> None:
    dataset = ArrayDataset([[1.0], [2.0], [3.0]], [[0.5], [1.5], [2.5]])
    rest, part = dataset.split(0.34, 0)
    assert (len(rest), len(part)) == (2, 1)
    assert repr(dataset) == "<3 samples of shape (1,)>"


@pytest.mark.parametrize(
    ("inputs", "targets", "n_classes", "error", "message"),
    [
        (INPUTS, LABELS[:-1], 3, ShapeError, "targets: expected one for each of the 12 inputs, got 11"),
        (INPUTS[:0], LABELS[:0], 3, DataError, "empty data set"),
        (INPUTS, LABELS, 2, RangeError, r"targets: expected labels in 0\.\.1, got 2"),
        (INPUTS, LABELS - 1, 3, RangeError, r"in 0\.\.2, got -1"),
        (INPUTS, LABELS.astype(np.float32), 3, DtypeError, "integer type, got .*float32"),
        (INPUTS, LABELS[:, None], 3, ShapeError, r"\(12, 1\)"),
        (np.where(INPUTS == 7, np.nan, INPUTS), LABELS, 3, DataError, r"inputs: .* got nan at \(3, 1\) \(1 such"),
        (np.where(INPUTS > 20, np.inf, INPUTS), LABELS, 3, DataError, r"got inf at \(10, 1\) \(3 such"),
        (INPUTS, np.where(LABELS == 2, np.nan, 1.0), None, DataError, r"targets: .* nan at \(2,\)"),
        (INPUTS, LABELS, 0, ArgumentError, "n_classes"),
    ],
)
def test_data_that_cannot_be_learnt_from_are_refused(
    inputs, targets, n_classes, error, message: str, backend: Backend
) -> None:
    with pytest.raises(error, match=message):
        ArrayDataset(backend.asarray(inputs), backend.asarray(targets), n_classes=n_classes)


def test_arrays_that_hold_no_numbers_are_refused() -> None:
    for inputs in (np.array(["a", "b"]), np.array([None, {}])):
        with pytest.raises(DtypeError, match="inputs"):
            ArrayDataset(inputs, [0, 1])
    with pytest.raises(ShapeError, match="ragged"):
        ArrayDataset([[1.0], [2.0, 3.0]], [0, 1])
    with pytest.raises(ShapeError, match="single number"):
        ArrayDataset(np.array(1.0), [0])
    with pytest.raises(ArgumentError):
        ArrayDataset("words", [0])


def test_arrays_of_two_backends_are_refused() -> None:
    with pytest.raises(MixedBackendsError):
        ArrayDataset(INPUTS, get_backend("strict").asarray(LABELS))


def test_positions_outside_the_data_set_are_refused() -> None:
    dataset = ArrayDataset(INPUTS, LABELS)
    for index in (12, -13, np.array([0, 12]), np.array([-1])):
        with pytest.raises(RangeError, match="index"):
            dataset[index]
    for index in ("a", 1.5, np.array([0.5]), np.array([True, False])):
        with pytest.raises(DtypeError, match="index"):
            dataset[index]
    for positions in (np.array([], dtype=int), np.array([[1]]), np.array([0.5])):
        with pytest.raises(DataError, match="positions"):
            dataset.subset(positions)


def test_a_split_of_too_few_samples_is_refused() -> None:
    with pytest.raises(DataError, match="cannot split"):
        ArrayDataset(INPUTS[:3], LABELS[:3], n_classes=3).split(0.5)
    with pytest.raises(ShapeError, match="stratified"):
        ArrayDataset(INPUTS, INPUTS).split(0.5, stratified=True)
    with pytest.raises(ShapeError, match="other"):
        ArrayDataset(INPUTS, LABELS).concatenate(ArrayDataset(INPUTS, LABELS, n_classes=3))
