from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from portml.cli import main
from portml.train import Run, Trainer, files
from tests.cli.commands import SMALL, archive, environment, portml

LONG = ["train", "halves.npz", *SMALL, "--epochs", "60"]
FILES = ["curves.png", "history.csv", "model.safetensors", "run.json"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    archive(tmp_path)


def test_training_leaves_the_folder_and_says_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "halves.npz", *SMALL, "--seed", "3"]) == 0
    folder = Path("runs/halves-mlp-seed3")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr()
    assert said.err == ""
    heading, first, second, summary, place = said.out.splitlines()
    assert heading.startswith("MLP with ")
    assert first.startswith("epoch 1/2  loss ")
    assert "accuracy " in second
    assert "validation " in second
    assert summary.startswith("test accuracy ")
    assert place == f"everything is in {folder}"


def test_every_option_reaches_the_settings() -> None:
    options = {
        "optimizer": "momentum", "schedule": "step", "epochs": 1, "batch_size": 7, "seed": 5, "lr": 0.03,
        "weight_decay": 0.001, "label_smoothing": 0.05, "shift": 0.5, "scale": 0.05, "rotation": 3.0,
        "validation_fraction": 0.2, "model": "mlp", "kernels": "agnostic", "backend": "numpy",
    }  # fmt: skip
    given = [word for name, value in options.items() for word in ("--" + name.replace("_", "-"), str(value))]
    assert main(["train", "halves.npz", *given, "--image-shape", "3x6x5", "--out", "out", "--quiet"]) == 0
    settings = Run("out").record["settings"]
    assert {name: settings[name] for name in options} == options
    assert settings["image_shape"] == [3, 6, 5]
    assert Run("out").input_shape == (3, 6, 5)


def test_json_is_all_that_stands_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "halves.npz", *SMALL, "--json", "--out", "out"]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result["run"] == "out"
    assert {name: value for name, value in result.items() if name != "run"} == Run("out").record
    assert "epoch 2/2" in said.err


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "halves.npz", *SMALL, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_run_is_never_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "halves.npz", *SMALL, "--out", "out", "--quiet"]) == 0
    before = Path("out/run.json").read_bytes()
    assert main(["train", "halves.npz", *SMALL, "--out", "out", "--quiet"]) == 1
    assert capsys.readouterr().err.startswith("portml: error: out: expected a new or empty folder")
    assert Path("out/run.json").read_bytes() == before


def test_resuming_a_finished_run_says_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "halves.npz", *SMALL, "--out", "out", "--quiet"])
    Path("out/curves.png").unlink()
    assert main(["train", "--resume", "out"]) == 0
    assert capsys.readouterr().out.startswith("test accuracy ")
    assert Path("out/curves.png").exists()


def test_ctrl_c_stops_in_good_order_and_the_run_goes_on_to_the_same_bits() -> None:
    status, error = signalled(signal.SIGINT)
    assert status == 130
    assert error.count("\n") == 1
    assert error.startswith("portml: stopped after ")
    assert error.rstrip().endswith("go on with: portml train --resume stopped")
    assert sorted(os.listdir("stopped")) == ["checkpoint.safetensors", "history.csv", "run.json"]
    assert main(["train", "--resume", "stopped", "--quiet"]) == 0
    assert main([*LONG, "--out", "whole", "--quiet"]) == 0
    assert sorted(os.listdir("stopped")) == FILES
    for file in ("model.safetensors", "history.csv"):
        assert Path("stopped", file).read_bytes() == Path("whole", file).read_bytes()


def test_being_terminated_stops_in_good_order_too() -> None:
    status, error = signalled(signal.SIGTERM)
    assert status == 143
    assert error.rstrip().endswith("go on with: portml train --resume stopped")
    assert Path("stopped/checkpoint.safetensors").exists()


def test_a_killed_run_goes_on_to_the_same_bits() -> None:
    command = [sys.executable, "-m", "portml", *LONG, "--out", "killed", "--quiet"]
    with subprocess.Popen(command, env=environment()) as process:
        deadline = time.monotonic() + 60
        while not Path("killed/checkpoint.safetensors").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
    assert Run("killed").record["status"] == "running"
    assert main(["train", "--resume", "killed", "--quiet"]) == 0
    assert main([*LONG, "--out", "whole", "--quiet"]) == 0
    for file in ("model.safetensors", "history.csv"):
        assert Path("killed", file).read_bytes() == Path("whole", file).read_bytes()


def test_a_second_signal_does_not_wait(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    step, steps = Trainer.step, 0

    def interrupted(trainer: Trainer, *batch: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 8:  # in the second epoch
            # To this very thread: a signal to the process may reach it when the training is over.
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return step(trainer, *batch)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Trainer, "step", interrupted)
    assert main(["train", "halves.npz", *SMALL, "--out", "out", "--quiet"]) == 130
    assert capsys.readouterr().err == ("portml: stopped after 1 of 2 epochs; go on with: portml train --resume out\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert main(["train", "halves.npz", *SMALL, "--out", "out"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("portml: error: out/run.json could not be written: No space left on device")
    assert list(Path("out").iterdir()) == []


def test_a_learning_rate_that_is_too_high_is_one_line() -> None:
    process = portml("train", "halves.npz", *SMALL, "--optimizer", "sgd", "--lr", "1e30", "--out", "out", "--quiet")
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("portml: error: the loss became ")
    assert "learning rate below 1e+30" in process.stderr


@pytest.mark.parametrize("package", ["rich", "matplotlib"])
def test_a_missing_package_is_said_before_training(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked: Any = None
    monkeypatch.setitem(sys.modules, package, blocked)
    assert main(["train", "halves.npz", *SMALL]) == 1
    expected = f'portml: error: portml train needs {package}, which is not installed: pip install "portml[cli]"\n'
    assert capsys.readouterr().err == expected
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train", "expected DATA to train on, such as digits, or --resume RUN"),
        ("train digits --lr fast", "argument --lr: invalid float value: 'fast'"),
        ("train digits --optimizer adamax", "argument --optimizer: invalid choice: 'adamax'"),
        ("train digits --image-shape 28x28", "argument --image-shape: expected three sizes such as 1x28x28"),
        ("train digits --image-shape axbxc", "argument --image-shape: "),
        ("train --resume out --lr 0.1", "argument --lr: a run is resumed with its own settings"),
        ("train --resume out --kernels fused", "argument --kernels: a run is resumed with its own settings"),
        ("train --resume out --out other", "argument --out: not allowed with argument --resume"),
        ("", "the following arguments are required: COMMAND"),
        ("tain", "argument COMMAND: invalid choice: 'tain'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train nowhere.npz", "nowhere.npz is no such path; expected one of digits, mnist, fashion-mnist, or a path"),
        ("train halves.npz --lr -1", "lr: expected a number of more than 0, got -1.0"),
        ("train halves.npz --epochs 0", "epochs: expected an integer of at least 1, got 0"),
        ("train halves.npz --image-shape 1x5x5 --model lenet5", "model: lenet5 sees images"),
        ("train mnist --data-dir .", "data_dir: expected the IDX files of mnist"),
        ("train halves.npz --data-dir .", "data_dir: "),
        ("train --resume nowhere", "run: expected the folder of a training run, got nowhere"),
    ],
)
def test_what_is_refused_is_one_line_and_status_1(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("portml: error: ")
    assert message in said.err
    assert not Path("runs").exists()


def test_lenet_sees_images_of_any_size() -> None:
    assert main(["train", "halves.npz", "--epochs", "1", "--out", "out", "--quiet"]) == 0
    assert Run("out").input_shape == (1, 28, 28)


def test_a_terminal_gets_a_bar_with_loss_and_accuracy() -> None:
    import pty

    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "portml", "train", "halves.npz", *SMALL, "--out", "out"]
    with subprocess.Popen(command, env=environment(TERM="xterm", COLUMNS="100"), stdout=terminal) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                chunk = os.read(controller, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not chunk:
                break
            shown += chunk
    os.close(controller)
    assert process.returncode == 0
    text = shown.decode()
    assert "epoch 2/2" in text
    assert "━━━" in text
    assert "loss 0." in text
    assert "accuracy " in text
    assert "everything is in out" in text


def signalled(number: signal.Signals) -> tuple[int, str]:
    """Exit status and errors of a long training that gets a signal after its third epoch."""
    command = [sys.executable, "-m", "portml", *LONG, "--out", "stopped"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("epoch  3/60"):
                process.send_signal(number)
                break
        process.stdout.read()
        return process.wait(), process.stderr.read()
