"""Recurrent kernels on CUDA where cases do not go: lengths that nobody looked at, and of other integer types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml.backends import kernel_table
from tests.cuda_on_host.library import HostLibrary
from tests.tolerances import assert_close

KERNELS = kernel_table()
FORMS = {"recurrent": (1, 1, {"nonlinearity": "tanh"}), "lstm": (4, 2, {}), "gru": (3, 1, {})}
each_kernel = pytest.mark.parametrize("name", FORMS)


def arrays_of(name: str, dtype: str = "float32") -> tuple[Any, ...]:
    """Five steps of three samples, without lengths."""
    (gates, states, _), rng = FORMS[name], np.random.default_rng(0)
    shapes = [(5, 3, 2), *[(3, 4)] * states, (gates * 4, 2), (gates * 4, 4), (gates * 4,), (gates * 4,)]
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def both(name: str, *arguments: Any, **statics: Any) -> tuple[Any, Any]:
    """What the glue and the twin give."""
    kernel = KERNELS[name]
    assert kernel.body is not None
    return kernel.table["cupy"](*arguments, **statics), kernel.body(*arguments, **statics)


@pytest.mark.parametrize("reverse", [False, True])
@each_kernel
def test_a_length_out_of_range_makes_its_sample_nan(
    cuda_on_host: HostLibrary, monkeypatch: pytest.MonkeyPatch, name: str, reverse: bool
) -> None:
    # As on a device, where nobody looks at the lengths.
    monkeypatch.setattr("portml.backends.kernels.recurrence.readable", lambda array: False)
    lengths = np.asarray([6, 5, 255], "uint8") if name == "gru" else np.asarray([6, 5, -1], "int32")
    statics = {"reverse": reverse} | FORMS[name][2]
    actual, expected = both(f"{name}_saving", *arrays_of(name), lengths, **statics)
    assert_close(actual, expected, "reduction")
    (y, *states), _ = actual
    assert np.isnan(y[:, 0]).all()
    assert np.isfinite(y[:, 1]).all()
    for state in states:
        assert np.isnan(state).any(axis=1).tolist() == [True, False, True]


@each_kernel
def test_two_precisions_are_left_to_the_twin(cuda_on_host: HostLibrary, name: str) -> None:
    x, *others = arrays_of(name)
    actual, expected = both(name, x.astype("float64"), *others, None, **FORMS[name][2])
    assert_close(actual, expected, "exact")
    assert actual[0].dtype == np.float64


@each_kernel
def test_a_walk_is_one_launch_a_step(cuda_on_host: HostLibrary, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    run, launched = HostLibrary.__call__, []

    def counted(self: HostLibrary, kernel: Any, T: str | None, arguments: list[Any], count: int) -> None:
        launched.append(kernel.name)
        run(self, kernel, T, arguments, count)

    monkeypatch.setattr(HostLibrary, "__call__", counted)
    arrays, statics = arrays_of(name), {"reverse": False} | FORMS[name][2]
    results, saved = KERNELS[f"{name}_saving"].table["cupy"](*arrays, None, **statics)
    assert launched == [f"{name}_step"] * 5
    launched.clear()
    needs = (True,) * (len(arrays) - 2) + (False, False, False)  # the biases have sums of their own
    KERNELS[f"{name}_backward"].table["cupy"](results, saved, *arrays, None, needs=needs, **statics)
    assert launched == [f"{name}_step_backward"] * 5
