from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import portml
from portml.cli import main
from portml.cli.threads import CHOICES
from portml.train import Run
from tests.cli.commands import SMALL, archive, environment
from tests.cli.commands import portml as run_portml


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive and a finished run "out"."""
    folder = tmp_path_factory.mktemp("trained")
    path = archive(folder)
    assert main(["train", str(path), *SMALL, "--epochs", "6", "--out", str(folder / "out"), "--quiet"]) == 0
    return folder


@pytest.fixture
def run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run, with its folder's folder as the current one."""
    monkeypatch.chdir(trained)
    return Run("out")


def test_evaluate_says_what_the_record_says(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "out"]) == 0
    said = capsys.readouterr().out
    assert f"test set, 12 samples:  loss {run.metrics['test_loss']:.4f}  accuracy " in said
    assert main(["evaluate", "out", "--part", "validation", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["run"], result["part"], result["samples"]) == ("out", "validation", 4)
    assert result["loss"] == run.metrics["validation_loss"]
    assert result["accuracy"] == run.metrics["validation_accuracy"]


def test_evaluate_takes_other_data_and_another_backend(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    archive(Path(), "other.npz", n=100)
    assert main(["evaluate", "out", "--data", "other.npz", "--backend", "strict", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["samples"] == 20
    assert main(["evaluate", "out", "--data", "digits"]) == 1
    assert "data: expected the classes left, right of this run, got 0, 1, 2" in capsys.readouterr().err


def test_predict_says_the_class_and_its_probability(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    left = np.zeros((8, 8), np.uint8)
    left[:, :4] = 255
    np.save("left.npy", left)
    Image.fromarray(left[:, ::-1].copy()).resize((40, 40)).save("right.png")
    assert main(["predict", "out", "left.npy", "right.png"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["left.npy", "left"]
    assert second.split()[:2] == ["right.png", "right"]
    assert main(["predict", "out", "left.npy", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["image"], result["class"]) == ("left.npy", "left")
    assert result["probability"] == max(result["probabilities"].values()) > 0.5
    assert sum(result["probabilities"].values()) == pytest.approx(1.0)
    assert main(["predict", "out", "left.npy", "--invert", "--backend", "strict"]) == 0
    assert capsys.readouterr().out.split()[1] == "right"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("predict out nowhere.png", "nowhere.png: no such file"),
        ("predict out halves.npz", "halves.npz: expected an image file ending in"),
        ("predict nowhere left.npy", "run: expected the folder of a training run, got nowhere"),
        ("evaluate nowhere", "run: expected the folder of a training run, got nowhere"),
        ("evaluate out --data nowhere", "nowhere is no such path"),
    ],
)
def test_what_is_refused_is_one_line_and_status_1(
    arguments: str, message: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert message in said.err


def test_a_part_that_is_not_there_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "halves.npz", *SMALL, "--validation-fraction", "0", "--out", "whole", "--quiet"]) == 0
    assert "validation_accuracy" not in Run("whole").record
    assert main(["evaluate", "whole", "--part", "validation"]) == 1
    assert "part: " in capsys.readouterr().err


def test_features_are_no_images(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("features.npz", x=np.random.default_rng(0).random((30, 7)), y=np.arange(30) % 2)
    assert main(["train", "features.npz", *SMALL, "--out", "features", "--quiet"]) == 0
    np.save("image.npy", np.zeros((8, 8)))
    assert main(["predict", "features", "image.npy"]) == 1
    assert "run: features was trained on samples of shape (7,), expected one trained on images" in (
        capsys.readouterr().err
    )


def test_info_shows_versions_and_every_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert f"portml {portml.__version__}" in said
    assert f"numpy   numpy {np.__version__} on cpu" in said
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["numpy"] == np.__version__
    assert set(found["backends"]) == {"numpy", "cupy", "strict"}
    assert found["backends"]["numpy"]["available"] is True
    for backend in found["backends"].values():
        assert backend["available"] or backend["reason"]


def test_the_version_is_said_without_loading_an_array_library() -> None:
    code = (
        "import sys\n"
        "from portml.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        "    print([name for name in ('numpy', 'rich', 'matplotlib') if name in sys.modules])\n"
    )
    for option in ("--version", "--help"):
        command = [sys.executable, "-c", code, option]
        process = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert process.returncode == 0
        assert process.stdout.endswith("[]\n")
        assert process.stdout.startswith((f"portml {portml.__version__}\n", "usage: portml"))


@pytest.mark.parametrize(("chosen", "threads"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2")])
def test_blas_works_in_one_thread_unless_the_user_chose(chosen: dict[str, str], threads: str) -> None:
    unset = {name: value for name, value in environment(**chosen).items() if name not in {*CHOICES} - {*chosen}}
    found = json.loads(run_portml("info", "--json", env=unset).stdout)
    assert found["backends"]["numpy"]["blas_threads"] == threads


def test_a_gpu_that_is_not_there_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    process = run_portml("train", "digits", "--backend", "cupy", cwd=tmp_path, env=environment(CUDA_VISIBLE_DEVICES=""))
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("portml: error: the cupy backend needs ")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m portml info --json | true; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(
        ["bash", "-c", command], env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert process.returncode in (0, 1)  # it may have been quicker than the reader
    assert process.stderr == ""


def test_the_backend_comes_from_the_environment(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["train", str(trained / "halves.npz"), *SMALL, "--epochs", "1", "--json"]
    monkeypatch.setenv("PORTML_BACKEND", "strict")
    assert main([*arguments, "--out", "out"]) == 0
    assert json.loads(capsys.readouterr().out)["backend"]["name"] == "strict"
    monkeypatch.setenv("PORTML_BACKEND", "opencl")
    assert main(arguments) == 1
    expected = "portml: error: backend: 'opencl' is not known; choose one of numpy, cupy, strict or auto\n"
    assert capsys.readouterr().err == expected
