"""Published weights come in as they were saved, and nothing in their files is ever run."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from portml.data import load_weights, read_pytorch
from portml.errors import CheckpointError, PortmlError
from tests.data import pytorch_files as make

DTYPES = ["float64", "float32", "float16", "int64", "uint8", "bool", "complex64"]
ROW = np.arange(6, dtype="float32")


def archive_of(path: Path, *entries: bytes, **options: Any) -> Path:
    """A state dictionary whose first storage is `ROW`."""
    program = make.START + make.dictionary(**{f"entry{n}": entry for n, entry in enumerate(entries)}) + make.STOP
    return make.archive(path, program, {"0": ROW.tobytes()}, **options)


def running(path: Path, *program: bytes) -> Path:
    return make.archive(path, make.START + b"".join(program) + make.STOP)


@contextlib.contextmanager
def small_memory() -> Iterator[None]:
    """Fail where more than 5 MB are taken at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


# What is right


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_archive_gives_back_what_was_saved(dtype: str, tmp_path: Path) -> None:
    array = (np.arange(6).reshape(2, 3) % 4).astype(dtype)
    arrays = load_weights(make.saved(tmp_path / "a.pth", weight=array, scalar=array[0, 0][()].reshape(())))
    assert [*arrays] == ["weight", "scalar"]
    assert arrays["weight"].dtype == array.dtype
    np.testing.assert_array_equal(arrays["weight"], array)
    assert arrays["scalar"].shape == ()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_the_first_bytes_say_what_a_file_is(suffix: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_weights(make.saved(tmp_path / f"a{suffix}", x=ROW))["x"], ROW)
    safetensors.numpy.save_file({"y": ROW}, tmp_path / "b.safetensors")
    np.testing.assert_array_equal(load_weights(tmp_path / "b.safetensors")["y"], ROW)


def test_bfloat16_comes_as_float32(tmp_path: Path) -> None:
    bits = (np.asarray([1.0, -2.5, np.inf], dtype="float32").view(np.uint32) >> 16).astype("<u2")
    program = make.START + make.dictionary(x=make.tensor("BFloat16Storage", "0", 3, (3,), (1,))) + make.STOP
    x = load_weights(make.archive(tmp_path / "a.pth", program, {"0": bits.tobytes()}))["x"]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, [1.0, -2.5, np.inf])


def test_views_of_one_storage_share_it_and_cannot_be_written(tmp_path: Path) -> None:
    views = [
        make.tensor("FloatStorage", "0", 6, (2, 3), (3, 1)),
        make.tensor("FloatStorage", "0", 6, (3, 2), (1, 3)),
        make.tensor("FloatStorage", "0", 6, (2,), (2,), offset=1),
        make.tensor("FloatStorage", "0", 6, (0, 3), (3, 1)),
    ]
    whole, turned, every_second, empty = load_weights(archive_of(tmp_path / "a.pth", *views)).values()
    np.testing.assert_array_equal(whole, ROW.reshape(2, 3))
    np.testing.assert_array_equal(turned, whole.T)
    np.testing.assert_array_equal(every_second, [1, 3])
    assert empty.shape == (0, 3)
    assert np.shares_memory(whole, turned)
    with pytest.raises(ValueError, match="read-only"):
        whole[0, 0] = 1


def test_the_other_byte_order_is_turned_round(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as file:
        program = make.START + make.dictionary(x=make.tensor("FloatStorage", "0", 6, (6,), (1,))) + make.STOP
        file.writestr("m/data.pkl", program)
        file.writestr("m/byteorder", b"big")
        file.writestr("m/data/0", ROW.astype(">f4").tobytes())
    x = load_weights(tmp_path / "a.pth")["x"]
    assert x.dtype.isnative
    np.testing.assert_array_equal(x, ROW)


def test_a_checkpoint_with_more_in_it_needs_the_entry(tmp_path: Path) -> None:
    inner = make.dictionary(x=make.tensor("FloatStorage", "0", 6, (6,), (1,)))
    program = make.START + make.dictionary(epoch=make.number(3), model=inner, note=make.text("good")) + make.STOP
    path = make.archive(tmp_path / "a.pth", program, {"0": ROW.tobytes()})
    with pytest.raises(
        CheckpointError, match=r"got entries \['epoch', 'model', 'note'\]; choose one with entry='model'"
    ):
        load_weights(path)
    np.testing.assert_array_equal(load_weights(path, entry="model")["x"], ROW)
    with pytest.raises(CheckpointError, match="has no 'weights'; it has entries"):
        load_weights(path, entry="weights")
    everything = read_pytorch(path)
    assert (everything["epoch"], everything["note"]) == (3, "good")


def test_attributes_of_the_dictionary_are_passed_over(tmp_path: Path) -> None:
    versions = make.dictionary(_metadata=make.dictionary(version=make.number(1)))
    x = make.tensor("FloatStorage", "0", 6, (6,), (1,))
    program = make.START + make.dictionary(x=x) + versions + b"b" + make.STOP
    assert [*load_weights(make.archive(tmp_path / "a.pth", program, {"0": ROW.tobytes()}))] == ["x"]


# What is malicious


class Runs:
    """Pickled as a call; if any of them were made, the file would be there."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("way", ["os.system", "eval", "exec", "nested", "getattr", "in a list"])
def test_no_pickle_is_run(protocol: int, way: str, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(witness)!r}).touch()"
    trap = {
        "os.system": lambda: Runs(os.system, f"touch {witness}"),
        "eval": lambda: Runs(eval, code),
        "exec": lambda: Runs(exec, code),
        "nested": lambda: {"weight": {"a": [Runs(eval, code)]}},
        "getattr": lambda: Runs(getattr, Runs(__import__, "os"), "system"),
        "in a list": lambda: [np.zeros(2), Runs(eval, code)],
    }[way]()
    path = make.archive(tmp_path / "a.pth", pickle.dumps(trap, protocol))
    with pytest.raises(CheckpointError, match=r"malicious|instruction|names"):
        load_weights(path)
    with pytest.raises(CheckpointError):
        load_weights(_bare(tmp_path / "b.pth", trap, protocol))
    assert not witness.exists()
    if way != "getattr":
        pickle.loads(pickle.dumps(trap, protocol))
        assert witness.exists(), "the trap is none"


def _bare(path: Path, content: Any, protocol: int) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("builtins", "eval"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("collections", "OrderedDict.fromkeys"),
    ],
)
@pytest.mark.parametrize("way", ["by name", "from the stack"])
def test_only_names_that_tensors_need_are_known(module: str, name: str, way: str, tmp_path: Path) -> None:
    found = make.named(module, name) if way == "by name" else make.text(module) + make.text(name) + b"\x93"
    with pytest.raises(CheckpointError, match=rf"names '{module}.{name}', which is nothing that a table of tensors"):
        load_weights(running(tmp_path / "a.pth", make.called(found, make.text("id"))))


def test_a_module_that_is_named_is_not_imported(tmp_path: Path) -> None:
    assert "antigravity" not in sys.modules  # importing it opens a browser
    with pytest.raises(CheckpointError, match=r"names .antigravity\.fly"):
        load_weights(running(tmp_path / "a.pth", make.named("antigravity", "fly")))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("program", "message"),
    [
        pytest.param(make.text("x") + b")R", "calls a str", id="a call of a string"),
        pytest.param(make.called(make.named("collections", "OrderedDict"), b"]"), "with arguments", id="arguments"),
        pytest.param(make.called(make.named("torch", "FloatStorage")), "calls a type of storage", id="a storage"),
        pytest.param(make.named("collections", "OrderedDict") + b")\x81", "instruction NEWOBJ", id="a new object"),
        pytest.param(b"(cos\nsystem\nX\x02\x00\x00\x00ido", "names 'os.system'|instruction", id="an old object"),
        pytest.param(b"(S'id'\nios\nsystem\n", "instruction", id="an old instance"),
        pytest.param(b"\x82\x01", "instruction EXT1", id="an extension"),
        pytest.param(b"Pname\n", "instruction PERSID", id="a persistent name"),
        pytest.param(make.text("x") + b"}b", "treats a str", id="attributes of a string"),
        pytest.param(b"]q\x00]b", "treats a list", id="attributes of a list"),
        pytest.param(b"}]K\x01s", "key of type list", id="a list as key"),
        pytest.param(b"})K\x01s", "key of type tuple", id="a tuple as key"),
        pytest.param(make.text("x") + b"Q", "refers to a str", id="a persistent string"),
        pytest.param(make.tuple_of(make.text("module")) + b"Q", "refers to a tuple", id="a persistent tuple"),
        pytest.param(b"h\x07", "damaged", id="a memo that is not there"),
        pytest.param(b"q\x00", "damaged", id="a memo of nothing"),
        pytest.param(b"t", "damaged", id="a tuple without a mark"),
        pytest.param(b"0", "instruction POP", id="a pop"),
        pytest.param(b"NN", "leaves 2 objects", id="two objects"),
        pytest.param(b"", "leaves 0 objects", id="nothing"),
        pytest.param(b"N", "expected arrays by name .* got a NoneType", id="none"),
        pytest.param(b"\xff", "damaged", id="no instruction"),
    ],
)
def test_a_pickle_that_does_anything_else_is_refused(program: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_weights(running(tmp_path / "a.pth", program))


@pytest.mark.parametrize("put", [(b"q\x00", b"q\x01"), (b"\x94", b"\x94"), (b"r\0\0\0\0", b"r\1\0\0\0")])
@pytest.mark.parametrize("get", [(b"h\x00", b"h\x01"), (b"j\0\0\0\0", b"j\1\0\0\0")])
def test_the_memo_gives_back_what_was_put_in(
    put: tuple[bytes, bytes], get: tuple[bytes, bytes], tmp_path: Path
) -> None:
    program = b"(" + make.text("a") + put[0] + make.text("b") + put[1] + get[1] + get[0] + b"t"
    assert read_pytorch(running(tmp_path / "a.pth", program)) == ("a", "b", "b", "a")


def test_a_memo_that_holds_itself_ends(tmp_path: Path) -> None:
    # A list that is its own element, and a dictionary that is its own value.
    assert isinstance(read_pytorch(running(tmp_path / "a.pth", b"]q\x00h\x00a")), list)
    with pytest.raises(CheckpointError, match="expected arrays by name"):
        load_weights(running(tmp_path / "b.pth", b"}q\x00", make.text("x"), b"h\x00s"))


@pytest.mark.parametrize("end", ["value", "persistent", "name", "call"])
def test_tuples_that_double_sixty_times_take_neither_time_nor_memory(end: str, tmp_path: Path) -> None:
    # Each is twice the one before; to write the last one out would take 2**60 letters.
    program = b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(60))
    ends = {
        "value": b"",
        "persistent": b"Q",
        "name": make.text("x") + b"\x93",
        "call": b"q\xf0" + make.named("torch._utils", "_rebuild_tensor_v2") + b"h\xf0R\x86",
    }
    with small_memory(), pytest.raises(CheckpointError):
        load_weights(running(tmp_path / "a.pth", program + ends[end]))


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "message"),
    [
        ((7,), (1,), 0, "does not fit"),
        ((2, 3), (4, 1), 0, "does not fit"),
        ((3,), (1,), 4, "does not fit"),
        ((1,), (1,), 6, "does not fit"),
        ((1 << 38, 1 << 38), (0, 0), 0, "repeats"),
        ((7,), (0,), 0, r"repeats its 6 numbers; save it with tensor.contiguous\(\)"),
        ((1 << 41,), (0,), 0, "sizes that are none"),
        ((-1,), (1,), 0, "sizes that are none"),
        ((3,), (-1,), 3, "sizes that are none"),
        ((3,), (1,), -1, "sizes that are none"),
        ((2,), (1, 1), 0, "1 sizes and 2 strides"),
        ((1,) * 33, (1,) * 33, 0, "33 sizes"),
    ],
)
def test_a_tensor_never_reaches_beyond_its_storage(
    shape: tuple[int, ...], strides: tuple[int, ...], offset: int, message: str, tmp_path: Path
) -> None:
    entry = make.tensor("FloatStorage", "0", 6, shape, strides, offset)
    with pytest.raises(CheckpointError, match=message):
        load_weights(archive_of(tmp_path / "a.pth", entry))


@given(
    shape=st.lists(st.integers(0, 7), max_size=4),
    strides=st.lists(st.integers(0, 7), max_size=4),
    offset=st.integers(0, 7),
)
def test_a_view_is_refused_or_within_its_storage(
    shape: list[int], strides: list[int], offset: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry = make.tensor("FloatStorage", "0", 6, tuple(shape), tuple(strides), offset)
    path = archive_of(tmp_path_factory.mktemp("view") / "a.pth", entry)
    inside = len(shape) == len(strides) and all(
        offset + sum(i * step for i, step in zip(index, strides, strict=True)) < 6 for index in np.ndindex(*shape)
    )
    try:
        x = load_weights(path)["entry0"]
    except CheckpointError:
        assert not inside or np.prod(shape) > 6
    else:
        assert inside
        assert x.shape == tuple(shape)
        assert {*x.ravel().tolist()} <= {*ROW.tolist()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"storage": "FloatStorage", "key": "1"}, "storage '1' is missing"),
        ({"size": 7}, "has 6 numbers, the pickle says 7"),
        ({"storage": "DoubleStorage", "size": 6}, "has 3 numbers, the pickle says 6"),
        ({"size": -1}, "without type, name or size"),
        ({"key": "../../../etc/passwd"}, "storage '../../../etc/passwd' is missing"),
    ],
)
def test_a_storage_must_be_as_the_pickle_says(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    given_ = {"storage": "FloatStorage", "key": "0", "size": 6} | change
    entry = make.tensor(given_["storage"], given_["key"], given_["size"], (6,), (1,))
    with pytest.raises(CheckpointError, match=message):
        load_weights(archive_of(tmp_path / "a.pth", entry))


def test_bytes_that_are_no_whole_numbers_are_refused(tmp_path: Path) -> None:
    program = make.START + make.dictionary(x=make.tensor("FloatStorage", "0", 1, (1,), (1,))) + make.STOP
    with pytest.raises(CheckpointError, match="7 bytes are no whole number of f4"):
        load_weights(make.archive(tmp_path / "a.pth", program, {"0": b"1234567"}))


# Files


def test_nothing_is_written_where_names_lead_out_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    entry = make.tensor("FloatStorage", "0", 6, (6,), (1,))
    for folder in ("..", "", "..\\.."):
        path = archive_of(tmp_path / "in" / "a.pth", entry, folder=folder, more={"../../evil": b"x", "/evil": b"x"})
        np.testing.assert_array_equal(load_weights(path)["entry0"], ROW)
    assert [each.name for each in tmp_path.rglob("*")] == ["in", "a.pth"]


def test_a_compressed_archive_is_refused_before_it_grows(tmp_path: Path) -> None:
    program = make.START + make.dictionary(x=make.tensor("ByteStorage", "0", 1 << 24, (1,), (1,))) + make.STOP
    path = make.archive(tmp_path / "a.pth", program, {"0": bytes(1 << 24)}, compression=zipfile.ZIP_DEFLATED)
    with small_memory(), pytest.raises(CheckpointError, match=r"is compressed, .* it may be a zip bomb"):
        load_weights(path)


@pytest.mark.parametrize("n_files", [1, 20])
def test_files_that_lie_in_each_other_are_not_all_read(n_files: int, tmp_path: Path) -> None:
    entries = {f"x{key}": make.tensor("ByteStorage", str(key), 1, (1,), (1,)) for key in range(n_files)}
    program = make.START + make.dictionary(**entries) + make.STOP
    path = make.nested(tmp_path / "a.pth", program, n_files, bytes(10_000))
    if n_files == 1:
        assert load_weights(path)["x0"].tolist() == [0]
        return
    with pytest.raises(CheckpointError, match=r"its parts together are larger than the file|Overlapped"):
        load_weights(path)


def test_an_archive_that_says_it_holds_more_than_it_does_is_refused(tmp_path: Path) -> None:
    path = make.saved(tmp_path / "a.pth", x=ROW)
    content = path.read_bytes()
    # The size of the storage, where the directory at the end gives it, stored and compressed.
    size = np.uint32(ROW.nbytes).tobytes()
    directory = content.index(b"PK\x01\x02")
    place = content.index(size * 2, directory)
    path.write_bytes(content[:place] + np.uint32(1 << 30).tobytes() * 2 + content[place + 8 :])
    with pytest.raises(CheckpointError, match=r"zip bomb|damaged|no whole zip archive|Overlapped"):
        load_weights(path)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(fraction: float, tmp_path: Path) -> None:
    path = make.saved(tmp_path / "a.pth", x=np.zeros(1000, "float32"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(CheckpointError, match="it is no whole zip archive; fetch it again"):
        load_weights(path)


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing_else(
    place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = make.saved(tmp_path_factory.mktemp("flipped") / "a.pth", x=ROW)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(bytes(content))
    try:
        arrays = load_weights(path)
    except PortmlError:
        return
    # The checksums of the archive hold for the contents; names may have changed, numbers not.
    for array in arrays.values():
        np.testing.assert_array_equal(array, ROW)


@pytest.mark.parametrize("names", [["a/data.pkl", "b/data.pkl"], ["data.pkl"], ["a/b/data.pkl"], []])
def test_an_archive_without_one_pickle_is_refused(names: list[str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as file:
        for name in names:
            file.writestr(name, make.START + b"}" + make.STOP)
    with pytest.raises(CheckpointError, match=r"expected one data\.pkl among distinct names"):
        load_weights(tmp_path / "a.pth")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = make.saved(tmp_path / "a.pth", x=ROW)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("model/data/0", (ROW + 1).tobytes())
    with pytest.raises(CheckpointError, match="distinct names"):
        load_weights(path)


@pytest.mark.parametrize("name", ["model/constants.pkl", "model/code/__torch__.py"])
def test_a_torchscript_program_is_refused(name: str, tmp_path: Path) -> None:
    entry = make.tensor("FloatStorage", "0", 6, (6,), (1,))
    with pytest.raises(CheckpointError, match=r"TorchScript program; save the arrays: torch.save\(model.state_dict"):
        load_weights(archive_of(tmp_path / "a.pth", entry, more={name: b""}))


@pytest.mark.parametrize("suffix", [".pth", ".bin"])
def test_a_bare_pickle_of_old_is_refused_and_how_to_mend_it_said(suffix: str, tmp_path: Path) -> None:
    path = _bare(tmp_path / f"a{suffix}", [119547037146038801333356, 1001, {}], 2)
    with pytest.raises(CheckpointError, match=r"bare pickle, as PyTorch wrote before version 1\.6.*weights_only=True"):
        load_weights(path)


def test_a_tar_archive_of_old_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.pth", "w") as file:
        file.add(_bare(tmp_path / "pickle", {}, 2), "pickle")
    with pytest.raises(CheckpointError, match=r"tar archive, as PyTorch wrote before version 0\.1\.10"):
        load_weights(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"<!DOCTYPE html>" * 40, bytes(600)])
def test_what_is_neither_format_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        load_weights(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"path: '.*none.pth' cannot be read \(No such file"):
        load_weights(tmp_path / "none.pth")


def test_a_pickle_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a table of tensors needs less than"):
        load_weights(running(tmp_path / "a.pth", b"}" * (17 << 20)))


# safetensors


def test_safetensors_of_every_type_come_as_they_are(tmp_path: Path) -> None:
    # The lowest version of safetensors that is supported knows no complex numbers.
    real = [dtype for dtype in DTYPES if not dtype.startswith("complex")]
    arrays = {dtype: np.ones((2, 2), dtype) for dtype in (*real, "int8", "uint16", "int32")}
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors")
    loaded = load_weights(tmp_path / "a.safetensors")
    assert {name: str(array.dtype) for name, array in loaded.items()} == {name: name for name in arrays}
    with pytest.raises(CheckpointError, match="entry: a safetensors file is one table"):
        load_weights(tmp_path / "a.safetensors", entry="model")


def test_safetensors_cut_short_are_refused(tmp_path: Path) -> None:
    content = safetensors.numpy.save({"x": ROW})
    (tmp_path / "a.safetensors").write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match="expected a safetensors file or a zip archive of PyTorch"):
        load_weights(tmp_path / "a.safetensors")
