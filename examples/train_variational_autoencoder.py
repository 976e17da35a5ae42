"""Learn what handwritten digits look like, and draw new ones.

    python examples/train_variational_autoencoder.py --backend numpy --figure digits.png

The loss is the bound of Kingma & Welling (2014); it is measured on digits that were set aside, and the picture shows
some of them beside what is left of them after a code of 16 numbers, and digits that never were.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from portml import data, nn, no_grad, optim, to_numpy
from portml.nn.models import VariationalAutoencoder, negative_evidence_lower_bound
from portml.random import Generator


def main(backend: str, epochs: int, figure: Path | None = None) -> tuple[float, float]:
    """Train, and return the bound on held-out digits before and after."""
    digits = data.load_dataset("digits").to(backend)
    model = VariationalAutoencoder(784, 256, 16, rng=0, backend=backend)
    adam = optim.Adam(model.parameters(), lr=2e-3)
    loader = data.DataLoader(digits.train, 64, shuffle=True, rng=Generator(1, backend))
    held_out = digits.validation.inputs
    before = held_out_loss(model, held_out)
    for epoch in range(1, epochs + 1):
        model.train()
        for images, _ in loader:
            adam.zero_grad()
            negative_evidence_lower_bound(model(images), images).backward()
            adam.step()
        if epoch % 10 == 0 or epoch == epochs:
            print(f"epoch {epoch:3}  held-out loss {held_out_loss(model, held_out):.2f}")
    after = held_out_loss(model, held_out)
    if figure is not None:
        draw(model, held_out[:10, ...], Generator(2, backend), figure)
    return before, after


def held_out_loss(model: nn.Module, images: object) -> float:
    """The negative bound, with the mean of each code for a draw of it."""
    model.eval()
    with no_grad():
        return float(to_numpy(negative_evidence_lower_bound(model(images), images)))


def draw(model: VariationalAutoencoder, images: object, rng: Generator, path: Path) -> None:
    """Three rows: digits, what the code keeps of them, and new ones."""
    from portml.plots.figure import new_figure, save_figure

    model.eval()
    with no_grad():
        kept = nn.functional.sigmoid(model(images).logits)
        rows = [images, kept, model.sample(len(images), rng)]
    figure = new_figure(10, 3.2)
    axes = figure.subplots(3, len(images))
    for line, pictures, name in zip(axes, rows, ("digits", "decoded", "new"), strict=True):
        line[0].set_title(name, loc="left", fontsize=9)
        for ax, picture in zip(line, to_numpy(pictures).reshape(-1, 28, 28), strict=True):
            ax.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
            ax.set_axis_off()
    save_figure(figure, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a variational autoencoder on handwritten digits.")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args()
    main(given.backend, given.epochs, given.figure)
