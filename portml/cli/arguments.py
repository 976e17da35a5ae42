"""The command line: commands, their options, and what is said about them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from portml import __version__
from portml.classical.table_models import MODELS, TASKS

__all__ = ["SETTINGS", "parse"]

# Settings of a recipe that have an option of their own; None of an option leaves the setting to the data.
SETTINGS = {
    "model": "model",
    "epochs": "epochs",
    "batch_size": "batch size",
    "lr": "learning rate",
    "optimizer": "optimizer",
    "schedule": "learning-rate schedule",
    "weight_decay": "weight decay",
    "label_smoothing": "part of each target that is spread over all classes",
    "shift": "shift training images at random by up to so many pixels",
    "scale": "stretch them by up to this fraction",
    "rotation": "turn them by up to so many degrees",
    "validation_fraction": "part of the training set kept for validation",
    "image_shape": "convert images to this shape, such as 1x28x28",
    "seed": "seed of all that is drawn",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line and status 2, without the usage above it."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line; `command` of the result is what is to be called with it."""
    parser = _Parser(prog="portml", description="Machine learning on NumPy and on GPUs, from scratch.")
    parser.add_argument("--version", action="version", version=f"portml {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(commands)
    _add_fit(commands)
    _add_evaluate(commands)
    _add_predict(commands)
    _add_info(commands)
    arguments = parser.parse_args(argv)
    if "check" in arguments:
        arguments.check(arguments)
    return arguments


def _add_train(commands: Any) -> None:
    parser = _command(
        commands,
        "train",
        "train a classifier and leave a folder with its weights, settings, history and curves",
        "Settings that are not given are those that suit the data; run.json in the folder has them all.",
    )
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="digits (they come with portml), mnist, fashion-mnist, a .npz archive, or a folder with one sub-folder of "
        "images for each class",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the files of mnist or fashion-mnist")
    _add_backend(parser)
    parser.add_argument(
        "--kernels",
        choices=["fused", "pure", "agnostic"],
        help="pure: without compiling; agnostic: the from-scratch bodies alone",
    )
    settings = parser.add_argument_group("settings")
    settings.add_argument("--model", choices=["lenet5", "mlp"], help=SETTINGS["model"])
    settings.add_argument(
        "--optimizer", choices=["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw"], help=SETTINGS["optimizer"]
    )
    settings.add_argument(
        "--schedule",
        choices=["constant", "step", "exponential", "cosine", "warmup-cosine"],
        help=SETTINGS["schedule"],
    )
    for name in ("epochs", "batch_size", "seed"):
        settings.add_argument(_option(name), type=int, metavar="N", help=SETTINGS[name])
    for name in (
        *("lr", "weight_decay", "label_smoothing", "shift", "scale", "rotation"),
        "validation_fraction",
    ):
        settings.add_argument(_option(name), type=float, metavar="X", help=SETTINGS[name])
    settings.add_argument("--image-shape", type=_shape, metavar="CxHxW", help=SETTINGS["image_shape"])
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--out", metavar="DIR", help="folder of the run, new or empty (default: runs/DATA-MODEL-seedN, numbered)"
    )
    where.add_argument("--resume", metavar="RUN", help="go on with a run that was stopped, with its own settings")
    _add_json(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(command=_lazily("portml.cli.train"), check=partial(_check_train, parser))


def _check_train(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse what the parser itself cannot: no data, and settings for a run that has its own."""
    if arguments.resume is None:
        if arguments.data is None:
            parser.error("expected DATA to train on, such as digits, or --resume RUN")
        return
    given = [name for name in (*SETTINGS, "kernels") if getattr(arguments, name) is not None]
    if given:
        parser.error(f"argument {_option(given[0])}: a run is resumed with its own settings; leave it out")


def _add_fit(commands: Any) -> None:
    parser = _command(
        commands,
        "fit",
        "fit a classical model to a CSV file, and measure it by cross-validation",
        "Missing numbers become medians, dates days, and text categories. Leaves a folder RUN for portml predict and "
        "portml evaluate, with the model, its scores and figures.",
    )
    parser.add_argument("data", metavar="DATA", help="CSV file whose first line names the columns")
    parser.add_argument("--target", metavar="COLUMN", required=True, help="the column to predict")
    parser.add_argument("--model", choices=[*MODELS], default="random-forest", help="default: random-forest")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="parameter of the model; can be repeated"
    )
    parser.add_argument(
        "--text",
        metavar="COLUMN",
        action="append",
        default=[],
        help="a column of categories that look like numbers, such as postal codes; can be repeated",
    )
    parser.add_argument(
        "--without", metavar="COLUMN", action="append", default=[], help="a column not to look at; can be repeated"
    )
    parser.add_argument("--task", choices=TASKS, help="default: what the target looks like")
    parser.add_argument("--folds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the folds and of the model; default: 0")
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the run, new or empty (default: runs/DATA-MODEL-seedN, numbered)"
    )
    parser.add_argument("--no-figures", action="store_true", help="draw nothing, which also saves the learning curve")
    _add_backend(parser)
    _add_json(parser)
    parser.set_defaults(command=_lazily("portml.cli.fit"))


def _add_evaluate(commands: Any) -> None:
    parser = _command(
        commands,
        "evaluate",
        "measure the model of a run",
        "By default on the test set of its data; of a run that was fitted to a table, give a CSV file with the target.",
    )
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument("table", nargs="?", metavar="FILE", help="CSV file, of a run that was fitted to a table")
    parser.add_argument("--data", metavar="DATA", help="other data of the same classes, as train takes them")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the files of mnist or fashion-mnist")
    parser.add_argument("--part", choices=["train", "validation", "test"], default="test", help="default: test")
    _add_backend(parser)
    _add_json(parser)
    parser.set_defaults(command=_lazily("portml.cli.evaluate"))


def _add_predict(commands: Any) -> None:
    parser = _command(
        commands,
        "predict",
        "say of which class images are, or what the rows of a table",
        "Of a run that was fitted to a table, give one CSV file; its columns are found by name. "
        "Images are converted to the shape the model was trained on. The digits and mnist are bright ink on black; "
        "give --invert for dark ink on white.",
    )
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument("images", metavar="FILE", nargs="+", help="PNG, JPEG or .npy files, or one CSV file")
    parser.add_argument("--invert", action="store_true", help="make dark bright and bright dark first")
    _add_backend(parser)
    _add_json(parser)
    parser.set_defaults(command=_lazily("portml.cli.predict"))


def _add_info(commands: Any) -> None:
    parser = _command(commands, "info", "show versions, and the backends with their devices and memory", "")
    _add_json(parser)
    parser.set_defaults(command=_lazily("portml.cli.info"))


def _command(commands: Any, name: str, summary: str, more: str) -> argparse.ArgumentParser:
    description = f"{summary[0].upper()}{summary[1:]}. {more}"
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=description)
    return parser


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend",
        choices=["numpy", "cupy", "strict", "auto"],
        help="where to compute; auto takes a GPU if one answers (default: $PORTML_BACKEND, or numpy)",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON; all else goes to stderr")


def _option(setting: str) -> str:
    return "--" + setting.replace("_", "-")


def _shape(text: str) -> tuple[int, ...]:
    sides = tuple(int(side) for side in text.lower().split("x"))
    if len(sides) != 3 or min(sides) < 1:
        raise argparse.ArgumentTypeError(f"expected three sizes such as 1x28x28, got {text!r}")
    return sides


def _lazily(module: str) -> Callable[[argparse.Namespace], int]:
    """The function `run` of a module that is imported when the command is called: --help loads no array library."""

    def command(arguments: argparse.Namespace) -> int:
        from importlib import import_module

        status: int = import_module(module).run(arguments)
        return status

    return command
