"""RNN, LSTM, GRU and attention in one table: what each costs, how far back its gradient reaches, what it can remember.

    python -m benchmarks.sequence_models

All have 64 hidden numbers and read a sequence from left to right; a linear layer on the last result answers.

- The task is the adding problem [Hochreiter & Schmidhuber 1997, experiment 4]: of T numbers in [0, 1] two are marked,
  one in each half, and their sum is asked for.  Who always says 1 has a mean squared error of 1/6; solved is a tenth
  of that.  The first number must be remembered for T/2 to T steps.
- Every model has the same number of steps of Adam on batches of fresh sequences, and stops before where the error on
  sequences for validation is half of what counts as solved; what is reported is the error on others.  The learning
  rate is the one of three that comes there in the fewest steps with T = 10 and T = 25 together, at a tie the one with
  the smallest errors in validation.
- After two lengths that no seed solved longer ones are left out.
- Gradient norms are those of the loss by the input k steps before the end, T = 200, in float64, before and after
  training.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.side_by_side import one_round
from portml import Tensor, nn, no_grad, optim, to_numpy
from portml.optim.clipping import clip_grad_norm_

KINDS = ("RNN", "LSTM", "GRU", "attention")
SIZE, BATCH, SOLVED = 64, 32, 0.1 / 6
TRAINED, LENGTHS = (10, 25, 50, 100, 200), (10, 25, 50, 100, 200, 400)
STEPS, SEEDS, RATES, CHOOSING_LENGTHS, CHOOSING_SEED = 3000, 2, (1e-3, 3e-3, 1e-2), (10, 25), 1000
LAGS = 200
MACHINE = "2 shared cores, one thread, Python 3.11, NumPy 2.4, Numba 0.68"
RESULTS = Path(__file__).parent / "results" / "sequence_models"


class Reader(nn.Module):
    """Reads (N, T, 2) from left to right and answers with a number (N,).

    Parameters
    ----------
    kind : {"RNN", "LSTM", "GRU", "attention"}
        The last is one transformer layer with four heads, its norms first, on top of waves for positions.
    """

    def __init__(self, kind: str, rng: int, dtype: str = "float32", max_len: int = 4096) -> None:
        options: dict[str, Any] = {"rng": rng, "dtype": dtype, "backend": "numpy"}
        self.kind = kind
        if kind == "attention":
            self.inward = nn.Linear(2, SIZE, **options)
            self.positions = nn.SinusoidalPositions(max_len, SIZE)
            layout: dict[str, Any] = {"dropout": 0.0, "batch_first": True, "norm_first": True}
            self.body: Any = nn.TransformerEncoderLayer(SIZE, 4, 2 * SIZE, **layout, **options)
        else:
            self.body = getattr(nn, kind)(2, SIZE, batch_first=True, **options)
        self.head = nn.Linear(SIZE, 1, **options)

    def forward(self, x: Any) -> Any:
        """The answer after the last step."""
        if self.kind == "attention":
            y = self.body(self.positions(self.inward(x)), is_causal=True)
        else:
            y, _ = self.body(x)
        return self.head(y[:, -1, :])[:, 0]


def adding_problem(n: int, length: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Sequences (n, length, 2) of numbers and marks, and the sums of the two marked numbers (n,), float32."""
    numbers, marks = rng.random((n, length)), np.zeros((n, length))
    rows = np.arange(n)
    for low, high in ((0, length // 2), (length // 2, length)):
        marks[rows, rng.integers(low, high, n)] = 1
    return np.stack([numbers, marks], axis=2).astype("float32"), (numbers * marks).sum(axis=1).astype("float32")


def train(kind: str, length: int, seed: int, steps: int, lr: float) -> tuple[dict[str, Any], Reader]:
    """Train until validation is solved for certain or the steps are over; the errors, and the model."""
    model = Reader(kind, seed)
    adam, loss = optim.Adam(model.parameters(), lr=lr), nn.MSELoss()
    rng = np.random.default_rng(seed)
    watched, tested = (adding_problem(n, length, np.random.default_rng(10_000 + n)) for n in (500, 4000))
    for step in range(1, steps + 1):
        x, y = adding_problem(BATCH, length, rng)
        adam.zero_grad()
        loss(model(x), y).backward()
        clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        if (step % 50 == 0 or step == steps) and (seen := error(model, *watched)) < SOLVED / 2:
            break
    final = error(model, *tested)
    row = {"length": length, "seed": seed, "steps": step, "validation_error": seen, "error": final}
    return {**row, "solved": final < SOLVED}, model


def error(model: Reader, x: Any, y: Any) -> float:
    """The mean squared error."""
    with no_grad():
        answers = np.concatenate([to_numpy(model(part)) for part in np.split(x, len(x) // 50)])
    return round(float(np.mean((answers - y) ** 2)), 6)


def chosen_rate(kind: str, steps: int, rates: Sequence[float]) -> float:
    """The learning rate that solves short sequences first, else comes closest, by validation."""

    def badness(lr: float) -> tuple[float, float]:
        rows = [train(kind, length, CHOOSING_SEED, steps, lr)[0] for length in CHOOSING_LENGTHS]
        return sum(row["steps"] for row in rows), sum(row["validation_error"] for row in rows)

    return min(rates, key=badness)


def gradient_norms(kind: str, trained: Reader | None = None, n_models: int = 5) -> list[float]:
    """The norm of the loss's gradient by the input k steps before the end, k = 1, …, 200; the median over models."""
    norms = []
    for seed in range(1 if trained is not None else n_models):
        model = Reader(kind, seed, dtype="float64")
        if trained is not None:
            model.load_state_dict({name: to_numpy(v).astype("float64") for name, v in trained.state_dict().items()})
        x, y = adding_problem(64, LAGS, np.random.default_rng(seed))
        x = Tensor(x.astype("float64"), requires_grad=True)
        nn.MSELoss()(model(x), y.astype("float64")).backward()
        norms.append(np.sqrt((to_numpy(x.grad) ** 2).sum(axis=(0, 2)))[::-1])
    return [float(f"{norm:.4g}") for norm in np.median(norms, axis=0)]


def cost(kind: str, length: int) -> dict[str, float]:
    """Milliseconds of the processor for a training step's forward and backward pass, its memory, its products."""
    model, loss = Reader(kind, 0), nn.MSELoss()
    x, y = adding_problem(BATCH, length, np.random.default_rng(0))

    def step() -> None:
        model.zero_grad()
        loss(model(x), y).backward()

    seconds = statistics.median(one_round(step, 0.3, time.thread_time) for _ in range(3))
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return {
        "length": length,
        "milliseconds": round(seconds * 1e3, 3),
        "peak_mebibytes": round(peak, 2),
        "multiply_adds": multiply_adds(kind, length),
    }


def multiply_adds(kind: str, length: int) -> int:
    """Of one sequence's forward pass: products with weights, and of attention also those of positions."""
    matrices = [p.value for p in Reader(kind, 0).parameters() if len(p.value.shape) > 1]
    products = sum(matrix.size for matrix in matrices[:-1])  # without the head, which is used once
    pairs = length * (length + 1) // 2
    return length * products + (2 * SIZE * (pairs + length) if kind == "attention" else 0) + SIZE


def measured(kind: str, steps: int, seeds: int, lengths: Sequence[int], rates: Sequence[float]) -> dict[str, Any]:
    """Everything about one model."""
    lr = chosen_rate(kind, steps, rates)
    runs: list[dict[str, Any]] = []
    after: dict[str, Any] = {}
    unsolved = 0
    for length in lengths:
        rows, models = zip(*(train(kind, length, seed, steps, lr) for seed in range(seeds)), strict=True)
        runs += rows
        print(kind, lr, *rows, sep="\n  ", flush=True)
        if length <= LAGS:
            after = {"length": length, "norms": gradient_norms(kind, models[0])}
        unsolved = 0 if any(row["solved"] for row in rows) else unsolved + 1
        if unsolved == 2:
            break
    solved = [n for n in lengths if (rows := of_length(runs, n)) and all(row["solved"] for row in rows)]
    recurrent = kind != "attention"
    return {
        "parameters": sum(p.value.size for p in Reader(kind, 0).parameters()),
        "learning_rate": lr,
        "longest_solved": max(solved, default=0),
        "runs": runs,
        "gradient_norms_before_training": gradient_norms(kind),
        "after_training": after,
        "costs": [cost(kind, length) for length in LENGTHS],
        # From the first input to the answer: through every later state, or straight to the last position.
        "path_length": LAGS if recurrent else 1,
        "steps_one_after_another": LAGS if recurrent else 1,
    }


def of_length(runs: Sequence[dict[str, Any]], length: int) -> list[dict[str, Any]]:
    """The rows of one length."""
    return [row for row in runs if row["length"] == length]


def table(models: dict[str, Any]) -> str:
    """The seven aspects in Markdown, a column for each model."""

    def by_length(model: dict[str, Any], length: int) -> str:
        rows = of_length(model["runs"], length)
        return "; ".join(f"{row['error']:.3f} after {row['steps']:,}" for row in rows) or "left out"

    def ratio(norms: list[float]) -> str:
        return f"{norms[LAGS - 1] / norms[0]:.1e}"

    def after(model: dict[str, Any]) -> str:
        return f"{ratio(model['after_training']['norms'])} (T = {model['after_training']['length']})"

    def at(model: dict[str, Any], length: int, name: str) -> float:
        return of_length(model["costs"], length)[0][name]

    rows = {
        "1 memory: longest T solved by every seed": lambda m: str(m["longest_solved"] or "none"),
        "2 gradient at lag 200 / lag 1, before training": lambda m: ratio(m["gradient_norms_before_training"]),
        "2 … after training on the longest T up to 200": after,
        "3 parameters": lambda m: f"{m['parameters']:,}",
        "4 step forward and back, T = 50, 32 sequences": lambda m: f"{at(m, 50, 'milliseconds'):.1f} ms",
        "4 … T = 400": lambda m: f"{at(m, 400, 'milliseconds'):.1f} ms",
        "5 short sequences, error after steps: T = 10": lambda m: by_length(m, 10),
        "5 … T = 25": lambda m: by_length(m, 25),
        "6 long sequences, error after steps: T = 50": lambda m: by_length(m, 50),
        "6 … T = 100": lambda m: by_length(m, 100),
        "6 … T = 200": lambda m: by_length(m, 200),
        "7 complexity: steps one after another, T = 200": lambda m: str(m["steps_one_after_another"]),
        "7 … path from the first input to the answer": lambda m: str(m["path_length"]),
        "7 … multiply-adds of a sequence, T = 50": lambda m: f"{at(m, 50, 'multiply_adds') / 1e6:.2f} M",
        "7 … multiply-adds, T = 400": lambda m: f"{at(m, 400, 'multiply_adds') / 1e6:.2f} M",
        "7 … memory of a step, T = 50": lambda m: f"{at(m, 50, 'peak_mebibytes'):.1f} MiB",
        "7 … memory, T = 400": lambda m: f"{at(m, 400, 'peak_mebibytes'):.1f} MiB",
        "learning rate": lambda m: f"{m['learning_rate']:g}",
    }
    lines = [f"| aspect | {' | '.join(models)} |", f"| --- |{' --- |' * len(models)}"]
    return "\n".join(lines + [f"| {name} | {' | '.join(map(cell, models.values()))} |" for name, cell in rows.items()])


def draw(models: dict[str, Any], path: Path) -> None:
    """Gradients by lag, errors, step times and memory by length."""
    from portml.plots.figure import GREY, MARKERS, PALETTE, new_figure, plain_axes, save_figure

    figure = new_figure(11, 8)
    (gradient, fit), (speed, memory) = figure.subplots(2, 2)
    for number, (kind, model) in enumerate(models.items()):
        style: dict[str, Any] = {"color": PALETTE[number], "linewidth": 1.4}
        marked = {**style, "marker": MARKERS[number], "markersize": 5, "label": kind}
        lags = np.arange(1, LAGS + 1)
        gradient.plot(lags, model["gradient_norms_before_training"], linestyle="--", **style)
        gradient.plot(lags, model["after_training"]["norms"], label=kind, **style)
        for seed in sorted({row["seed"] for row in model["runs"]}):
            rows = [row for row in model["runs"] if row["seed"] == seed]
            label = {"label": kind if seed == 0 else None}
            fit.plot([row["length"] for row in rows], [row["error"] for row in rows], **(marked | label))
        for axes, name in ((speed, "milliseconds"), (memory, "peak_mebibytes")):
            axes.plot(LENGTHS, [row[name] for row in model["costs"]], **marked)
    plain_axes(gradient, "gradient by lag", "steps before the end", "norm")
    gradient.plot([], [], color=GREY, linestyle="--", label="before training")
    gradient.set_yscale("log")
    gradient.set_ylim(1e-48, 10)
    gradient.legend(fontsize="small", ncols=2, loc="upper right", bbox_to_anchor=(1, 0.86))
    plain_axes(fit, "adding problem, error after training, by seed", "length T", "mean squared error")
    fit.axhline(SOLVED, color=GREY, linestyle="--", linewidth=1)
    below = {"xytext": (0, -11), "textcoords": "offset points", "ha": "right"}
    fit.annotate("solved", (LENGTHS[-1], SOLVED), color=GREY, fontsize=9, **below)
    fit.axhline(1 / 6, color=GREY, linestyle=":", linewidth=1)
    fit.annotate("always 1", (LENGTHS[0], 1 / 6), xytext=(0, 4), textcoords="offset points", color=GREY, fontsize=9)
    fit.set_yscale("log")
    plain_axes(speed, "training step, 32 sequences", "length T", "milliseconds")
    plain_axes(memory, "memory of a training step", "length T", "MiB")
    for axes in (fit, speed, memory):
        axes.set_xscale("log")
        axes.set_xticks(LENGTHS, [str(n) for n in LENGTHS])
        axes.minorticks_off()
    fit.legend(fontsize="small", loc="center", bbox_to_anchor=(0.55, 0.72))
    for axes in (speed, memory):
        axes.set_yscale("log")
        axes.legend(fontsize="small")
    save_figure(figure, path)


def main(
    steps: int = STEPS,
    seeds: int = SEEDS,
    lengths: Sequence[int] = TRAINED,
    results: Path = RESULTS,
    kinds: Sequence[str] = KINDS,
) -> dict[str, Any]:
    """Measure, print, and keep the numbers after each model, then the table and the figure.

    Models that are not asked for stay as they were recorded.
    """
    path = results / "measurements.json"
    results.mkdir(parents=True, exist_ok=True)
    models = json.loads(path.read_text())["models"] if len(kinds) < len(KINDS) and path.exists() else {}
    settings = {"hidden": SIZE, "batch": BATCH, "steps_at_most": steps, "seeds": seeds, "solved_below": SOLVED}
    for kind in kinds:
        models[kind] = measured(kind, steps, seeds, lengths, RATES)
        models = {name: models[name] for name in KINDS if name in models}
        path.write_text(json.dumps({"machine": MACHINE, "settings": settings, "models": models}, indent=1) + "\n")
    print(table(models))
    write_table(models, steps, results)
    return models


def write_table(models: dict[str, Any], steps: int, results: Path) -> None:
    """The table in words, and the figure."""
    heading = (
        f"`python -m benchmarks.sequence_models` on {MACHINE};\n"
        f"drawn in `comparison.png`.\n\n"
        f"{SIZE} hidden numbers each, attention as one causal encoder layer of four heads, norms first, "
        f"on waves for positions; at most {steps:,} steps of Adam on {BATCH} fresh sequences. Of each length and "
        "seed: the mean squared error on other sequences, and after how many steps. Always saying 1 has 0.167; less "
        "than 0.017 counts as solved, and half of that in validation ends the training.\n\n"
    )
    (results / "README.md").write_text(heading + table(models) + "\n")
    draw(models, results / "comparison.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare models of sequences.")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--lengths", type=int, nargs="+", default=TRAINED)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    main(given.steps, given.seeds, given.lengths, given.results, given.kinds)
