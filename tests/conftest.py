"""Fixtures: one test body over every backend and dtype, with the guard against hidden transfers on.

``--backend numpy,strict`` or ``PORTML_TEST_BACKENDS`` says on which backends; a backend that is asked for and does not
answer fails the run, it never skips.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from portml.backends import Backend, get_backend, to_numpy
from portml.errors import PortmlError

hypothesis.settings.register_profile("portml", deadline=None, max_examples=25, derandomize=True, database=None)
hypothesis.settings.load_profile("portml")

if importlib.util.find_spec("array_api_strict") is not None:
    from tests.no_hidden_transfer import guarded, install

    install()  # before any test: who keeps a function of array-api-strict keeps the checked one
else:  # a machine with a GPU can run `--backend cupy` without the stand-in for one
    guarded = contextlib.nullcontext

MARKED_BY_FOLDER = {"cuda_on_host": "cuda_on_host", "oracle": "oracle"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        default=os.environ.get("PORTML_TEST_BACKENDS", "numpy,strict"),
        help="backends of the fixture `backend`, separated by commas",
    )
    parser.addoption("--backend-only", action="store_true", help="only tests that ask for the fixture `backend`")
    parser.addoption("--parity", default="numpy,strict", help="the two backends that the parity tests compare")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ask each backend for a sum; one clear line if it cannot give it."""
    parity = _names(session.config, "--parity") if "parity" in session.config.option.markexpr.split() else []
    for name in dict.fromkeys([*_names(session.config, "--backend"), *parity]):
        try:
            backend = get_backend(name)
            answer = float(to_numpy(backend.xp.sum(backend.asarray([1.0, 2.0]))))
        except PortmlError as error:
            raise pytest.UsageError(f"the backend {name!r} was asked for, but does not answer: {error}") from error
        if answer != 3.0:
            raise pytest.UsageError(f"the backend {name!r} says that 1 + 2 = {answer}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass the comparisons with PyTorch over where nobody asked for them, as importing them needs PyTorch."""
    words = config.option.markexpr.split()
    asked = any(word == "oracle" and before != "not" for before, word in zip(["", *words], words, strict=False))
    return True if collection_path.name == "oracle" and not asked else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--backend-only"):
        others = [item for item in items if "backend" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if "backend" in getattr(item, "fixturenames", ())]
    for item in items:
        for folder in Path(item.path).parent.parts:
            if folder in MARKED_BY_FOLDER:
                item.add_marker(MARKED_BY_FOLDER[folder])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", _names(metafunc.config, "--backend"), indirect=True, scope="session")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each of the backends under test."""
    return get_backend(request.param)


@pytest.fixture(scope="session")
def xp(backend: Backend) -> Any:
    """The namespace of each of the backends under test."""
    return backend.xp


@pytest.fixture(scope="session", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest, xp: Any) -> Any:
    """Each of the two float dtypes that everything runs in, in the namespace's own words."""
    return getattr(xp, request.param)


@pytest.fixture(scope="session")
def parity(request: pytest.FixtureRequest) -> tuple[Backend, Backend]:
    """The two backends that are compared."""
    first, second = _names(request.config, "--parity")
    return get_backend(first), get_backend(second)


@pytest.fixture(autouse=True)
def no_hidden_transfers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse what would copy from a device to the host behind the caller's back."""
    if request.node.get_closest_marker("transfers") is not None:
        yield
        return
    with guarded():
        yield


def _names(config: pytest.Config, option: str) -> list[str]:
    return [name.strip() for name in config.getoption(option).split(",") if name.strip()]
