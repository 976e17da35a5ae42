"""CSV files for the tests of tables."""

from __future__ import annotations

from pathlib import Path

from portml.cli import main

CITIES = ("Oslo", "Rome", "Bonn", "")


def shop(folder: Path, n: int = 40) -> Path:
    """A shop's customers.

    "buys" and "size" follow from the age, of which some are missing; "zip" has only digits, "since" dates, and "empty"
    no values.
    """
    lines = ["city,age,empty,zip,since,buys,size,price"]
    for row in range(n):
        age = 20 + (row * 7) % 50
        written = "" if row % 13 == 5 else str(age)
        sizes = "small" if age < 35 else "middle" if age < 55 else "large"
        zip_code, day = ("01234", "1234", "99999")[row % 3], f"2025-{row % 12 + 1:02}-01"
        target = "yes" if age > 44 else "no"
        lines.append(f"{CITIES[row % 4]},{written},,{zip_code},{day},{target},{sizes},{age * 1.5 + row % 4}")
    return saved(folder / "shop.csv", "\n".join(lines) + "\n")


def saved(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def fit(data: Path, *arguments: str, figures: bool = False) -> tuple[int, Path]:
    """Fit quickly; the status and the folder."""
    out = data.parent / "run"
    quickly = [] if figures else ["--no-figures"]
    return main(["fit", str(data), "--out", str(out), "--folds", "2", *quickly, *arguments]), out
