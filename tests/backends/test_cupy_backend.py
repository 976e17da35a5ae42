"""The CuPy backend without a GPU: a stand-in for CuPy has the few functions that the backend calls."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import array_api_compat
import numpy as np
import pytest

from portml.backends import backend, namespaces
from portml.backends.cuda import CudaKernel, launch
from portml.errors import BackendUnavailableError, DtypeError, OutOfMemoryError

launching = importlib.import_module("portml.backends.cuda.launch")  # whose function has the module's name
SCALE = CudaKernel("scale", "const T* x, T* y, T factor", "y[i] = factor * x[i];")
ROWS = CudaKernel("rows_of", "T* y", "y[row] = T(0);", style="block")


class Device:
    """A device that can be entered, equal by number and, like CuPy's, not hashable."""

    entered: list[int] = []  # noqa: RUF012  # shared on purpose

    def __init__(self, number: Any = None) -> None:
        self.id = int(number or 0)
        self.mem_info = (3 << 30, 8 << 30)

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> Device:
        self.entered.append(self.id)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def synchronize(self) -> None:
        self.entered.append(-1)


class GpuArray(np.ndarray):
    """An array that says it is on the first device."""

    device = Device(0)


class CudaError(RuntimeError):
    """An error of the runtime with its status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"cudaError {status}")
        self.status = status


class CudaMemoryError(MemoryError):
    """CuPy's out of memory."""


class RawKernel:
    """A compiled kernel that remembers its launches."""

    made: list[RawKernel] = []  # noqa: RUF012  # shared on purpose

    def __init__(self, code: str, name: str, options: tuple[str, ...]) -> None:
        self.code, self.name, self.options = code, name, options
        self.launches: list[tuple[Any, Any, Any]] = []
        self.made.append(self)

    def __call__(self, grid: Any, block: Any, arguments: Any) -> None:
        self.launches.append((grid, block, arguments))


def on_gpu(data: Any, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    made = np.array(data, dtype=dtype, copy=copy, subok=True)
    return made if isinstance(made, GpuArray) else made.view(GpuArray)


def stand_in() -> ModuleType:
    """A module with what the backend takes from CuPy."""
    allocators: list[Callable[[int], Any]] = [lambda size: f"{size} bytes"]
    cupy: Any = ModuleType("cupy")
    cupy.ndarray = GpuArray
    cupy.RawKernel = RawKernel
    cupy.asarray = on_gpu
    cupy.asnumpy = lambda x: np.array(x).view(np.ndarray)
    cupy.get_default_memory_pool = lambda: SimpleNamespace(used_bytes=lambda: 1 << 30, total_bytes=lambda: 2 << 30)
    cupy.cuda = SimpleNamespace(
        Device=Device,
        get_allocator=lambda: allocators[-1],
        set_allocator=allocators.append,
        memory=SimpleNamespace(OutOfMemoryError=CudaMemoryError),
        nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)),
        runtime=SimpleNamespace(
            CUDARuntimeError=CudaError,
            driverGetVersion=lambda: 13000,
            getDeviceCount=lambda: 2,
            memGetInfo=lambda: (3 << 30, 8 << 30),
            runtimeGetVersion=lambda: 13020,
        ),
    )
    return cupy  # type: ignore[no-any-return]


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ModuleType | None], Any]]:
    """Import the backend with a given CuPy; afterwards nothing of it is left."""
    monkeypatch.setattr(namespaces, "_BY_TYPE", dict(namespaces._BY_TYPE))
    monkeypatch.setattr(launching, "_LAUNCHERS", dict(launching._LAUNCHERS))
    monkeypatch.setattr(backend, "_OPENED", dict(backend._OPENED))
    RawKernel.made.clear()
    Device.entered.clear()

    def load(cupy: ModuleType | None) -> Any:
        xp: Any = ModuleType("array_api_compat.cupy")
        for name in ("float32", "float64", "int64", "uint64", "bool", "reshape", "ascontiguousarray", "astype"):
            setattr(xp, name, getattr(np, name))
        xp.asarray = on_gpu
        for name in ("empty", "zeros", "full"):
            make = getattr(np, name)
            setattr(xp, name, lambda *given, make=make, device=None, **options: on_gpu(make(*given, **options)))
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setitem(sys.modules, "array_api_compat.cupy", xp)
        monkeypatch.setattr(array_api_compat, "cupy", xp, raising=False)
        monkeypatch.delitem(sys.modules, "portml.backends._cupy", raising=False)
        return importlib.import_module("portml.backends._cupy")

    yield load
    sys.modules.pop("portml.backends._cupy", None)


@pytest.fixture
def module(loading: Callable[[ModuleType | None], Any]) -> Any:
    """The backend's module, on the stand-in."""
    return loading(stand_in())


def one_line(raised: pytest.ExceptionInfo[Any]) -> str:
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_without_cupy_the_error_says_what_to_install(loading: Callable[[ModuleType | None], Any]) -> None:
    with pytest.raises(BackendUnavailableError) as raised:
        loading(None)
    assert 'pip install "portml[cupy]"' in one_line(raised)
    assert "portml[cupy-cuda12]" in one_line(raised)


def test_a_cupy_that_does_not_load_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, loading: Callable[[ModuleType | None], Any]
) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('\\n=====\\n  libcudart is missing\\nand more\\n')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "portml.backends._cupy", raising=False)
    with pytest.raises(BackendUnavailableError, match="does not load") as raised:
        importlib.import_module("portml.backends._cupy")
    one_line(raised)


@pytest.mark.parametrize(
    ("status", "driver", "message"),
    [
        (35, 0, r"no NVIDIA driver is installed.*CUDA 13\.2"),
        (35, 12040, r"driver is for CUDA 12\.4, but this CuPy needs 13\.2.*portml\[cupy-cuda12\]"),
        (100, 13000, "none answers on this machine.*CUDA_VISIBLE_DEVICES"),
        (999, 13000, "cudaError 999"),
    ],
)
def test_why_no_device_answers_is_said_in_one_line(
    module: Any, monkeypatch: pytest.MonkeyPatch, status: int, driver: int, message: str
) -> None:
    def fail() -> int:
        raise CudaError(status)

    monkeypatch.setattr(module.cupy.cuda.runtime, "getDeviceCount", fail)
    monkeypatch.setattr(module.cupy.cuda.runtime, "driverGetVersion", lambda: driver)
    with pytest.raises(BackendUnavailableError, match=message) as raised:
        module.open_backend()
    one_line(raised)


def test_a_machine_without_devices_is_refused(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.cupy.cuda.runtime, "getDeviceCount", lambda: 0)
    with pytest.raises(BackendUnavailableError, match="none answers"):
        module.open_backend()


def test_a_device_that_does_not_exist_is_refused(module: Any) -> None:
    with pytest.raises(BackendUnavailableError, match="2 GPUs"):
        module.open_backend(2)


def test_missing_libraries_of_the_toolkit_are_named(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("CuPy failed to load libnvrtc.so.13:\nOSError")

    monkeypatch.setattr(module.cupy.cuda.nvrtc, "getVersion", fail)
    with pytest.raises(BackendUnavailableError, match="libnvrtc") as raised:
        module.open_backend()
    one_line(raised)


def test_arrays_come_and_go(module: Any) -> None:
    opened = module.open_backend(1)
    assert (opened.name, opened.host, int(opened.device)) == ("cupy", False, 1)
    x = opened.asarray([1, 2, 3], "float32")
    assert isinstance(x, GpuArray)
    assert x.dtype == np.float32
    assert opened.asarray(x) is not None
    assert type(opened.to_numpy(x)) is np.ndarray
    np.testing.assert_array_equal(opened.to_numpy(x), [1, 2, 3])
    for made in (opened.empty((2, 3)), opened.zeros((2, 3), "float64"), opened.full((2, 3), 7, "int64")):
        assert isinstance(made, GpuArray)
        assert made.shape == (2, 3)
    assert set(Device.entered) == {1}


def test_the_backend_of_an_array_is_that_of_its_device(module: Any) -> None:
    found = backend.backend_of(on_gpu([1.0, 2.0]))
    assert found.name == "cupy"
    assert found is backend.backend_of(on_gpu([3.0]))
    assert found is backend.get_backend("cupy")
    np.testing.assert_array_equal(backend.to_numpy(on_gpu([1.0, 2.0])), [1, 2])


def test_an_array_of_another_device_is_copied_to_this_one(module: Any) -> None:
    elsewhere = on_gpu([1.0, 2.0])
    assert elsewhere.device != module.open_backend(1).device
    moved = module.open_backend(1).asarray(elsewhere, copy=None)
    assert not np.shares_memory(moved, elsewhere)
    stays = module.open_backend(0).asarray(elsewhere, copy=None)
    assert np.shares_memory(stays, elsewhere)


def test_a_view_writes_to_the_flat_array(module: Any) -> None:
    opened = module.open_backend()
    flat = opened.zeros((10,))
    opened.view(flat, 2, (2, 3))[...] = 5
    np.testing.assert_array_equal(opened.to_numpy(flat), [0, 0, 5, 5, 5, 5, 5, 5, 0, 0])


def test_what_is_no_number_stays_on_the_host(module: Any) -> None:
    with pytest.raises(DtypeError, match="numbers"):
        module.open_backend().asarray(np.asarray(["a", "b"]))


def test_memory_is_what_arrays_hold_and_what_the_device_has(module: Any) -> None:
    assert module.open_backend().memory() == (1 << 30, 8 << 30)


def test_synchronize_waits_for_the_device(module: Any) -> None:
    module.open_backend().synchronize()
    assert Device.entered[-1] == -1


def test_a_kernel_is_compiled_once_for_each_type_and_launched_on_its_arrays_device(module: Any) -> None:
    single, double = on_gpu(np.ones((300,), dtype="float32")), on_gpu(np.ones((300,)))
    for x in (single, double, single):
        launch(SCALE, x, x, 2.0, size=300)
    launch(ROWS, double, blocks=7)
    assert [made.name for made in RawKernel.made] == [
        "portml_scale_float",
        "portml_scale_double",
        "portml_rows_of_double",
    ]
    first, _, rows = RawKernel.made
    assert first.code == SCALE.source("float")
    assert first.options == ("-std=c++17",)
    assert len(first.launches) == 2
    grid, block, arguments = first.launches[0]
    assert (grid, block) == ((2,), (256,))
    assert arguments[0] is single
    assert [(type(each), each) for each in arguments[2:]] == [(np.float32, 2.0), (np.int64, 300)]
    assert rows.launches[0][0] == (7,)
    assert Device.entered == [0, 0, 0, 0]


def test_null_pointers_are_handed_on_as_none(module: Any) -> None:
    x = on_gpu(np.ones((3,)))
    launch(SCALE, None, x, 2.0, size=3)
    assert RawKernel.made[0].launches[0][2][0] is None


def test_running_out_of_memory_says_how_much_there_is(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(size: int) -> Any:
        raise CudaMemoryError(f"Out of memory allocating {size}")

    cuda = module.cupy.cuda
    cuda.set_allocator(fail)
    module.open_backend()
    module.open_backend()  # a second time puts no second translation around the first
    for kind in (OutOfMemoryError, CudaMemoryError):
        with pytest.raises(
            kind, match=r"no room for 4\.00 GiB: arrays hold 1\.00 GiB.*of 8\.00 GiB, 3\.00 GiB are free"
        ):
            cuda.get_allocator()(4 << 30)


def test_memory_that_is_there_is_handed_out(module: Any) -> None:
    module.open_backend()
    assert module.cupy.cuda.get_allocator()(5) == "5 bytes"


def test_an_allocator_that_may_not_be_changed_stays(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(allocator: Any) -> None:
        raise ValueError("inside using_allocator")

    monkeypatch.setattr(module.cupy.cuda, "set_allocator", refuse)
    module.open_backend()
    assert not hasattr(module.cupy.cuda.get_allocator(), "explains")
