"""Files that PyTorch itself writes are read without it, and its networks give the same answers here."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from portml import nn, no_grad
from portml.backends import operations, to_numpy
from portml.data import load_weights, read_pytorch
from portml.errors import CheckpointError
from portml.train import extract_features, load_matching, replace_head
from tests.tolerances import assert_close

DTYPES = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "float32",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.int16: "int16",
    torch.int8: "int8",
    torch.uint8: "uint8",
    torch.bool: "bool",
    torch.complex64: "complex64",
    torch.complex128: "complex128",
}


def host(x: torch.Tensor) -> np.ndarray[Any, Any]:
    x = x.detach()
    return (x.float() if x.dtype == torch.bfloat16 else x).resolve_conj().numpy()


def assert_equal(arrays: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    assert [*arrays] == [*tensors]
    for name, array in arrays.items():
        assert array.dtype == host(tensors[name]).dtype, name
        assert array.shape == tuple(tensors[name].shape), name
        np.testing.assert_array_equal(array, host(tensors[name]), err_msg=name)


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("dtype", [*DTYPES], ids=str)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_type_is_read_as_it_was(dtype: torch.dtype, protocol: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = (torch.randn(3, 4) * 9).to(dtype)
    tensors = {"matrix": x, "scalar": x[1, 2].clone(), "empty": x[:0].clone()}
    arrays = load_weights(saved(tmp_path / "a.pth", tensors, pickle_protocol=protocol))
    assert str(arrays["matrix"].dtype) == DTYPES[dtype]
    assert_equal(arrays, tensors)


def test_special_values_of_short_floats_are_kept(tmp_path: Path) -> None:
    values = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-40, 3e38, 6e-8])
    tensors = {"half": values.half(), "brain": values.bfloat16()}
    arrays = load_weights(saved(tmp_path / "a.pth", tensors))
    assert_equal(arrays, tensors)
    assert np.signbit(arrays["brain"][1])


def test_views_strides_and_shared_storages_are_read_as_they_were(tmp_path: Path) -> None:
    x = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "whole": x,
        "turned": x.T,
        "every_second": x[::2, 1::3],
        "row": x[2],
        "one": x[3, 5],
        "permuted": torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    arrays = load_weights(saved(tmp_path / "a.pth", tensors))
    assert_equal(arrays, tensors)
    assert np.shares_memory(arrays["whole"], arrays["every_second"])


def test_an_expanded_tensor_is_refused_with_a_way_out(tmp_path: Path) -> None:
    x = torch.ones(1).expand(1000)
    with pytest.raises(CheckpointError, match=r"repeats its 1 numbers; save it with tensor\.contiguous\(\)"):
        load_weights(saved(tmp_path / "a.pth", {"x": x}))
    assert_equal(load_weights(saved(tmp_path / "b.pth", {"x": x.contiguous()})), {"x": x})


def test_parameters_modules_tied_weights_and_metadata_come_along(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
    module[1].weight = module[0].weight
    assert_equal(load_weights(saved(tmp_path / "a.pth", module.state_dict())), dict(module.state_dict()))
    parameters = dict(module.named_parameters())
    assert_equal(load_weights(saved(tmp_path / "b.pth", parameters)), parameters)


def test_a_training_checkpoint_is_read_whole(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    adam = torch.optim.Adam(module.parameters(), lr=1e-3)
    module(torch.ones(1, 2)).sum().backward()
    adam.step()
    content = {
        "epoch": 3,
        "best": 0.5,
        "name": "réseau",
        "shape": torch.Size([2, 2]),
        "state_dict": module.state_dict(),
        "optimizer": adam.state_dict(),
    }
    path = saved(tmp_path / "a.pth", content)
    assert_equal(load_weights(path, entry="state_dict"), dict(module.state_dict()))
    read = read_pytorch(path)
    assert (read["epoch"], read["best"], read["name"], read["shape"]) == (3, 0.5, "réseau", (2, 2))
    moment = read["optimizer"]["state"][0]["exp_avg"]
    np.testing.assert_array_equal(moment, host(adam.state_dict()["state"][0]["exp_avg"]))


def test_a_whole_module_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"names 'torch\.nn\.modules\.linear\.Linear'.*torch\.save\(model\.state_d"
    ):
        load_weights(saved(tmp_path / "a.pth", torch.nn.Linear(2, 2)))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"x": torch.ones(3).to_sparse()}, id="a sparse tensor"),
        pytest.param({"x": torch.ones(3).to(torch.float8_e4m3fn)}, id="eight bits"),
        pytest.param({"x": np.ones(3)}, id="an array of NumPy"),
        pytest.param({"x": torch.device("cpu")}, id="a device"),
        pytest.param({"x": {1, 2}}, id="a set"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_what_is_no_plain_tensor_is_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"a\.pth' was not read: its pickle (names|has the instruction)"):
        load_weights(saved(tmp_path / "a.pth", content))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="TorchScript program"):
        load_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("suffix", [".pth", ".bin"])
def test_the_format_before_zip_is_refused(suffix: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"a{suffix}", {"x": torch.ones(2)}, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"before version 1\.6.*weights_only=True"):
        load_weights(path)
    # What the message says mends it.
    torch.save(torch.load(path, weights_only=True), path)
    assert_equal(load_weights(path), {"x": torch.ones(2)})


def test_the_format_in_tar_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.pth", "w") as file:
        for name in ("sys_info", "pickle", "storages"):
            content = pickle.dumps({}, 2)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    with pytest.raises(CheckpointError, match=r"tar archive.*0\.1\.10"):
        load_weights(tmp_path / "a.pth")


def test_a_file_that_runs_code_in_pytorch_does_not_here(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    path = saved(tmp_path / "a.pth", OrderedDict(weight=torch.ones(2), bias=Trap()))
    with pytest.raises(CheckpointError, match=r"names '(posix|nt)\.system'"):
        load_weights(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


def test_an_archive_that_was_packed_anew_and_compressed_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"x": torch.zeros(1000)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(CheckpointError, match="is compressed"):
        load_weights(tmp_path / "b.pth")


def test_safetensors_that_pytorch_wrote_are_read(tmp_path: Path) -> None:
    tensors = {str(dtype): torch.randn(2, 3).to(dtype) for dtype in DTYPES if dtype != torch.complex128}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    arrays = load_weights(tmp_path / "a.safetensors")
    assert_equal({name: arrays[name] for name in tensors}, tensors)


class Theirs(torch.nn.Module):
    """Convolutions, batch normalisation, attention, a recurrent layer and a head, with names of another house."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv1d(3, 8, 3, padding=1), torch.nn.BatchNorm1d(8), torch.nn.ReLU())
        self.encoder = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.memory = torch.nn.LSTM(8, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = torch.nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.encoder(self.stem(x).transpose(1, 2))
        return self.fc(self.memory(x)[0][:, -1])


class Ours(nn.Module):
    """The same."""

    def __init__(self) -> None:
        options: dict[str, Any] = {"rng": 0, "backend": "numpy"}
        self.convolution = nn.Conv1d(3, 8, 3, padding=1, **options)
        self.norm = nn.BatchNorm1d(8, backend="numpy")
        self.transformer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, **options)
        self.memory = nn.LSTM(8, 6, num_layers=2, batch_first=True, bidirectional=True, **options)
        self.head = nn.Linear(12, 5, **options)

    def forward(self, x: Any) -> Any:
        x = nn.functional.relu(self.norm(self.convolution(x)))
        x = self.transformer(operations.permute_dims(x, (0, 2, 1)))
        return self.head(self.memory(x)[0][:, -1, :])


MAPPING = {"stem.0.": "convolution.", "stem.1.": "norm.", "encoder.": "transformer.", "fc.": "head."}


@pytest.mark.parametrize("kind", ["pth", "safetensors", "half"])
def test_a_network_of_pytorch_gives_the_same_answers_here(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = Theirs()
    for _ in range(3):  # so that the running statistics are some
        theirs(torch.randn(4, 3, 10))
    theirs.eval()
    if kind == "half":
        theirs.half()  # both have the numbers of the file, rounded once
    content, path = theirs.state_dict(), tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pth")
    (safetensors.torch.save_file if kind == "safetensors" else torch.save)(content, path)
    theirs.float()
    ours = Ours()
    report = load_matching(ours, load_weights(path), MAPPING)
    assert (report.unmatched, report.missing, report.misshapen) == ([], [], {})
    assert len(report.loaded) == len(content)
    ours.eval()
    x = np.random.default_rng(0).standard_normal((4, 3, 10)).astype("float32")
    with no_grad(), torch.no_grad():
        assert_close(to_numpy(ours(x)), theirs(torch.from_numpy(x)).numpy(), "reduction")
        features = extract_features(ours, x, "norm")
        assert_close(to_numpy(features), theirs.stem[:2](torch.from_numpy(x)).numpy(), "reduction")


def test_a_head_for_other_classes_takes_all_but_the_published_head(tmp_path: Path) -> None:
    theirs = Theirs().eval()
    path = saved(tmp_path / "a.pth", theirs.state_dict())
    ours = Ours()
    replace_head(ours, "head", nn.Linear(12, 2, rng=1, backend="numpy"))
    with pytest.raises(CheckpointError, match=r"head\.weight has shape \(2, 12\) here and \(5, 12\) in the file"):
        load_matching(ours, load_weights(path), MAPPING)
    report = load_matching(ours, load_weights(path), MAPPING | {"fc.": None}, partial=True)
    assert report.missing == ["head.weight", "head.bias"]
    ours.eval()
    x = np.random.default_rng(0).standard_normal((2, 3, 10)).astype("float32")
    with no_grad(), torch.no_grad():
        inside = theirs.encoder(theirs.stem(torch.from_numpy(x)).transpose(1, 2))
        assert_close(to_numpy(extract_features(ours, x, "transformer")), inside.numpy(), "reduction")
