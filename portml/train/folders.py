"""Folders of runs: new ones, and never one that has something in it."""

from __future__ import annotations

from pathlib import Path

from portml.errors import ArgumentError, WriteError

__all__ = ["make_folder", "refuse_used"]


def refuse_used(folder: Path) -> None:
    """See that a run is not written over another one, or into somebody's folder.

    Raises
    ------
    ArgumentError
        If there is something in the folder, or it is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(
            f"out: expected a new or empty folder, got {folder}, which has something in it; "
            "choose another, or resume the run that is there"
        )


def make_folder(name: str) -> Path:
    """``runs/<name>``, with a number behind it where that is taken; made at once, so it is ours.

    Raises
    ------
    WriteError
        If it cannot be made.
    """
    number = 1
    while True:
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            if folder.exists():
                number += 1
                continue
            raise WriteError(f"{folder} could not be made: {error.strerror or error}; choose another folder") from error
        return folder
