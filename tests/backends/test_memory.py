"""Where arrays lie: extents, layouts and blocks, on arrays with gaps, turned, reversed, repeated and empty."""

from __future__ import annotations

import numpy as np
import pytest

from portml.backends import get_backend, memory

BASE = np.arange(120, dtype="float32").reshape(4, 5, 6)
CUTS = {
    "whole": BASE,
    "turned": BASE.transpose(2, 0, 1),
    "backward": BASE[::-1, :, ::-1],
    "gaps": BASE[:, ::2],
    "repeated": np.broadcast_to(BASE[0], BASE.shape),
    "one long": BASE[:, :1],
    "empty": BASE[:0],
    "number": BASE[0, 0, 0:1].reshape(()),
}


@pytest.mark.parametrize("name", CUTS)
def test_an_extent_is_the_bytes_from_the_first_to_the_last_element(name):
    array = CUTS[name]
    found = memory.extent(array)
    start = BASE.__array_interface__["data"][0]
    if array.size:
        used = (array.ravel() if name != "number" else np.asarray([BASE[0, 0, 0]])).astype(int)
        assert (found.start, found.stop) == (start + 4 * used.min(), start + 4 * (used.max() + 1))
        assert found.owner is memory.extent(BASE).owner


def test_arrays_meet_where_they_share_bytes():
    memory_of = memory.extent
    assert memory_of(BASE[:2]).meets(memory_of(BASE[1:]))
    assert not memory_of(BASE[:2]).meets(memory_of(BASE[2:]))
    assert not memory_of(BASE).meets(memory_of(BASE.copy()))
    assert memory_of(BASE).is_that_of(memory_of(BASE[::-1]))


@pytest.mark.parametrize(
    ("name", "dense", "axes"),
    [
        ("whole", (0, 1, 2), (0, 1, 2)),
        ("turned", (1, 2, 0), (1, 2, 0)),
        ("backward", None, (0, 1, 2)),
        ("gaps", None, (0, 1, 2)),
        ("repeated", None, (1, 2, 0)),
        ("one long", None, (0, 2)),
        ("number", (), ()),
    ],
)
def test_the_order_of_axes(name, dense, axes):
    assert memory.dense_order(CUTS[name]) == dense
    assert memory.axis_order(CUTS[name]) == axes


@pytest.mark.parametrize("name", CUTS)
def test_a_copy_in_place_has_the_same_numbers_and_layout_and_memory_of_its_own(name):
    copy = memory.copy_in_place(CUTS[name])
    assert np.array_equal(copy, CUTS[name])
    assert memory.same_layout(copy, CUTS[name])
    assert not np.shares_memory(copy, BASE)
    copy[...] = 0
    assert not copy.any()


def test_wide_gaps_are_closed():
    copy = memory.copy_in_place(np.zeros((100, 100))[:, 0])
    assert copy.strides == (8,)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_what_is_carved_lies_in_its_block_in_that_order(order):
    block = memory.make_block(get_backend("numpy"), 256)
    carved = memory.carve(block, 64, (2, 3, 4), np.dtype("float32"), order)
    assert carved.shape == (2, 3, 4)
    assert memory.dense_order(carved) == order
    assert memory.extent(carved).start == memory.extent(block).start + 64
    assert memory.extent(block).start % memory.ALIGNMENT == 0
    carved[...] = 1.0
    assert np.count_nonzero(block[:64]) == np.count_nonzero(block[64 + 96 :]) == 0


@pytest.mark.parametrize("shape", [(), (0, 3), (1, 1)])
def test_small_arrays_are_carved_too(shape):
    block = memory.make_block(get_backend("numpy"), 64)
    assert memory.carve(block, 0, shape, np.dtype("float64"), tuple(range(len(shape)))).shape == shape


def test_scalars_become_arrays_of_no_axes():
    truths = memory.as_array((np.True_, (np.float64(2.0), 3.0), None))
    assert [type(truths[0]), type(truths[1][0])] == [np.ndarray] * 2
    assert (truths[0].shape, truths[1][1], truths[2]) == ((), 3.0, None)
    assert memory.as_array(np.True_) is not memory.as_array(np.True_)


def test_arrays_that_do_not_tell_have_their_axes_in_order(backend):
    array = backend.zeros((2, 1, 3), "float32")
    assert memory.axis_order(array) == (0, 2)
    assert memory.same_layout(array, memory.copy_in_place(array))
