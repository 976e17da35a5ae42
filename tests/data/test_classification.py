from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from portml.backends import Backend
from portml.data import ClassificationData
from portml.errors import DataError, RangeError
from tests.data.files import lives_on


def classification(**options: Any) -> ClassificationData:
    labels = np.arange(60) % 3
    inputs = np.arange(120, dtype=np.float32).reshape(60, 2)
    return ClassificationData.from_arrays("letters", (inputs, labels), class_names=("a", "b", "c"), **options)


def test_arrays_become_three_parts_without_a_common_sample() -> None:
    data = classification(validation_fraction=0.25)
    assert {role: len(part) for role, part in data.parts().items()} == {"train": 36, "validation": 12, "test": 12}
    first = np.concatenate([part.inputs[:, 0] for part in data.parts().values()])
    assert len(np.unique(first)) == 60
    assert data.n_classes == 3
    assert data.input_shape == (2,)


def test_the_validation_part_can_be_left_out_or_joined_again() -> None:
    whole, joined = classification(validation_fraction=0), classification().train_on_everything()
    assert whole.validation is joined.validation is None
    assert len(whole.train) == len(joined.train) == 48
    assert joined.train_on_everything() is joined


def test_classification_data_move_to_another_backend(backend: Backend) -> None:
    moved = classification().to(backend)
    assert all(lives_on(backend, part.inputs, part.targets) for part in moved.parts().values())
    assert classification(validation_fraction=0).to(backend).validation is None


def test_the_summary_is_what_json_takes() -> None:
    summary = json.loads(json.dumps(classification().summary()))
    assert summary["samples"] == {"train": 42, "validation": 6, "test": 12}
    assert summary["class_names"] == ["a", "b", "c"]


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(DataError, match=r"letters: test: expected samples of shape \(2,\)"):
        classification(test=(np.ones((1, 3)), [0]))
    with pytest.raises(DataError, match=r"letters: validation: targets: expected labels in 0\.\.2, got 3"):
        classification(validation=(np.ones((1, 2)), [3]))
    with pytest.raises(RangeError, match="validation_fraction"):
        classification(validation_fraction=1.0)
