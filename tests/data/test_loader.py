from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.backends import Backend, to_numpy
from portml.data import ArrayDataset, DataLoader
from portml.errors import ArgumentError, CheckpointError, DataError
from portml.random import Generator
from tests.data.files import lives_on


def numbered(n: int, backend: Backend | str = "numpy") -> ArrayDataset:
    """A data set whose samples and targets are their own positions."""
    return ArrayDataset(np.arange(n, dtype=np.float32)[:, None], np.arange(n)).to(backend)


def shuffled(
    n: int = 10, batch_size: int = 3, seed: int = 0, backend: Backend | str = "numpy", **options
) -> DataLoader:
    return DataLoader(numbered(n, backend), batch_size, True, Generator(seed, backend="numpy"), **options)


def targets(batches) -> list[list[int]]:
    return [to_numpy(batch[1]).tolist() for batch in batches]


def test_batches_come_in_order_without_shuffling(backend: Backend) -> None:
    loader = DataLoader(numbered(7, backend), 3)
    assert len(loader) == 3
    assert targets(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(lives_on(backend, *batch) for batch in loader)


def test_drop_last_leaves_out_the_short_batch() -> None:
    loader = DataLoader(numbered(7), 3, drop_last=True)
    assert len(loader) == 2
    assert targets(loader) == [[0, 1, 2], [3, 4, 5]]
    assert len(DataLoader(numbered(6), 3)) == 2


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 99))
def test_an_epoch_has_every_sample_once_in_the_order_of_the_generator(n: int, batch_size: int, seed: int) -> None:
    loader, generator = shuffled(n, batch_size, seed), Generator(seed, backend="numpy")
    for _ in range(2):
        order = np.concatenate(targets(loader))
        np.testing.assert_array_equal(order, generator.permutation(n))


def test_inputs_and_targets_stay_together(backend: Backend) -> None:
    for inputs, labels in shuffled(backend=backend):
        np.testing.assert_array_equal(to_numpy(inputs)[:, 0], to_numpy(labels))


def test_the_order_is_the_same_on_every_backend(backend: Backend) -> None:
    expected = targets(shuffled())
    assert targets(shuffled(backend=backend)) == expected
    drawn_there = DataLoader(numbered(10, backend), 3, True, Generator(0, backend=backend))
    assert targets(drawn_there) == expected
    handed_over = DataLoader(numbered(10), 3, True, Generator(0, backend="numpy"), backend=backend)
    assert targets(handed_over) == expected


def test_batches_of_the_host_are_handed_over_on_the_backend_asked_for(backend: Backend) -> None:
    for batch in DataLoader(numbered(4), 3, backend=backend):
        assert lives_on(backend, *batch)


def test_batches_of_the_host_go_to_the_default_backend_and_those_of_a_device_stay(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTML_BACKEND", backend.name)
    assert all(lives_on(backend, *batch) for batch in DataLoader(numbered(4), 3))
    monkeypatch.delenv("PORTML_BACKEND")
    assert all(lives_on(backend, *batch) for batch in DataLoader(numbered(4, backend), 3))


def test_a_data_set_of_ones_own_needs_length_and_positions_alone() -> None:
    class Squares:
        def __len__(self) -> int:
            return 5

        def __getitem__(self, positions):
            numbers = np.arange(5)[positions]
            return numbers, numbers**2

    seen = np.concatenate([squares for _, squares in DataLoader(Squares(), 2, True, Generator(1, backend="numpy"))])
    assert sorted(seen.tolist()) == [0, 1, 4, 9, 16]


# Position


def resumed(state: dict, **options) -> DataLoader:
    """A loader as a new process would build it: other generator, state through JSON."""
    loader = shuffled(seed=123, **options)
    loader.load_state_dict(json.loads(json.dumps(state)))
    return loader


@given(st.integers(0, 3), st.integers(0, 4), st.booleans())
def test_a_loader_resumed_after_any_batch_gives_the_batches_that_were_left(
    epochs: int, batches: int, drop_last: bool
) -> None:
    loader = shuffled(drop_last=drop_last)
    for _ in range(epochs):
        targets(loader)
    running = iter(loader)
    targets(islice(running, min(batches, len(loader))))
    after = resumed(loader.state_dict(), drop_last=drop_last)
    assert after.epoch == loader.epoch
    assert targets(after) == targets(running)
    for _ in range(2):
        assert (after.epoch, after.batch) == (loader.epoch, 0)
        assert targets(after) == targets(loader)


def test_a_loader_without_shuffling_resumes_too() -> None:
    loader = DataLoader(numbered(10), 3)
    next(iter(loader))
    after = DataLoader(numbered(10), 3)
    after.load_state_dict(loader.state_dict())
    assert targets(after) == [[3, 4, 5], [6, 7, 8], [9]]
    assert targets(after) == targets(DataLoader(numbered(10), 3))


def test_a_state_loaded_and_saved_again_is_the_same_state() -> None:
    loader = shuffled()
    targets(islice(loader, 2))
    state = loader.state_dict()
    after = resumed(state)
    assert after.state_dict() == state
    next(iter(after))
    assert after.state_dict() == {**state, "batch": 3}


def test_the_state_after_the_last_batch_resumes_to_the_end_of_the_epoch() -> None:
    loader = shuffled()
    running = iter(loader)
    targets(islice(running, len(loader)))
    after = resumed(loader.state_dict())
    assert targets(after) == []
    assert (after.epoch, after.batch) == (1, 0)


def test_a_loop_left_early_and_begun_again_is_a_new_epoch() -> None:
    loader, whole = shuffled(), shuffled()
    next(iter(loader))
    targets(whole)
    assert targets(loader) == targets(whole)
    assert loader.epoch == whole.epoch == 2


def test_a_loop_left_early_goes_on_where_its_state_is_loaded() -> None:
    loader, whole = shuffled(), targets(shuffled())
    targets(islice(loader, 2))
    loader.load_state_dict(loader.state_dict())
    assert targets(loader) == whole[2:]


def test_two_loops_at_once_do_not_disturb_each_other() -> None:
    loader, whole = shuffled(), shuffled()
    pairs = list(zip(loader, loader, strict=True))
    assert [targets([first])[0] for first, _ in pairs] == targets(whole)
    assert [targets([second])[0] for _, second in pairs] == targets(whole)


def test_resuming_does_not_touch_the_generator_that_was_given() -> None:
    generator = Generator(5, backend="numpy")
    loader = DataLoader(numbered(10), 3, True, generator)
    state = generator.state()
    loader.load_state_dict(shuffled().state_dict())
    targets(loader)
    assert generator.state() == state


def test_a_new_process_goes_on_with_the_same_batches() -> None:
    loader = shuffled()
    targets(islice(loader, 2))
    state = json.dumps(loader.state_dict())
    code = (
        "import json, sys, numpy as np\n"
        "from portml.data import ArrayDataset, DataLoader\n"
        "from portml.random import Generator\n"
        "dataset = ArrayDataset(np.arange(10.0), np.arange(10))\n"
        "loader = DataLoader(dataset, 3, True, Generator(99, backend='numpy'), backend='numpy')\n"
        "loader.load_state_dict(json.loads(sys.argv[1]))\n"
        "print(json.dumps([[batch[1].tolist() for batch in loader] for _ in range(2)]))"
    )
    finished = subprocess.run([sys.executable, "-c", code, state], capture_output=True, text=True, check=True)
    loader.load_state_dict(json.loads(state))
    assert json.loads(finished.stdout) == [targets(loader), targets(loader)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_samples": 11}, "n_samples was 11 when it was saved and is 10 now"),
        ({"batch_size": 4}, "batch_size"),
        ({"shuffle": False}, "shuffle"),
        ({"drop_last": True}, "drop_last"),
        ({"batch": 5}, r"batch in 0\.\.4"),
        ({"batch": -1}, r"batch in 0\.\.4"),
        ({"epoch": "one"}, "epoch"),
        ({"generator": None}, "generator"),
    ],
)
def test_a_state_of_another_loader_is_refused(change: dict, message: str) -> None:
    loader = shuffled()
    with pytest.raises(CheckpointError, match=message):
        loader.load_state_dict({**loader.state_dict(), **change})
    assert targets(loader) == targets(shuffled())


def test_what_is_no_state_of_a_loader_is_refused() -> None:
    with pytest.raises(CheckpointError, match="epoch"):
        shuffled().load_state_dict({"weights": 1})


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, None])
def test_a_batch_size_that_is_no_positive_integer_is_refused(batch_size) -> None:
    with pytest.raises(ArgumentError, match="batch_size"):
        DataLoader(numbered(4), batch_size)


def test_a_loader_that_could_not_run_is_refused() -> None:
    with pytest.raises(ArgumentError, match="rng"):
        DataLoader(numbered(4), 2, shuffle=True)
    with pytest.raises(DataError, match="at least one batch of 5"):
        DataLoader(numbered(4), 5, drop_last=True)
    with pytest.raises(DataError, match="empty"):
        DataLoader([], 2)  # type: ignore[arg-type]


def test_a_seed_is_no_generator():
    with pytest.raises(ArgumentError, match=r"rng: expected a portml\.random\.Generator, got 0"):
        DataLoader(ArrayDataset(np.arange(4.0), np.arange(4)), 2, shuffle=True, rng=0)


def test_a_state_with_a_foreign_generator_is_refused():
    loader = DataLoader(ArrayDataset(np.arange(4.0), np.arange(4)), np.int64(2), shuffle=True, rng=Generator(0))
    with pytest.raises(CheckpointError, match="state: of its generator"):
        loader.load_state_dict({**loader.state_dict(), "generator": {"key": 1}})
