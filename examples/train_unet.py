"""Find digits in a picture, pixel by pixel.

    python examples/train_unet.py --backend numpy --figure found.png

Each picture of 56×56 pixels has three handwritten digits at random places under noise.  U-Net says for every pixel
whether it belongs to a digit; the measure is the intersection over the union of what it marks and what is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from portml import data, get_backend, nn, no_grad, optim, to_numpy
from portml.random import Generator

SIZE = 56


def main(backend: str, steps: int, figure: Path | None = None) -> float:
    """Train, and return the intersection over union on pictures of digits that were set aside."""
    digits = data.load_dataset("digits")
    model = nn.models.UNet(1, 1, (8, 16, 32), rng=0, backend=backend)
    adam, loss = optim.Adam(model.parameters(), lr=3e-3), nn.BCEWithLogitsLoss()
    rng = Generator(1, "numpy")
    for step in range(1, steps + 1):
        pictures, masks = scenes(digits.train, 16, rng, backend)
        adam.zero_grad()
        value = loss(model(pictures), masks)
        value.backward()
        adam.step()
        if step % 50 == 0:
            print(f"step {step:4}  loss {value.item():.4f}")
    pictures, masks = scenes(digits.test, 64, Generator(2, "numpy"), backend)
    model.eval()
    with no_grad():
        found = to_numpy(model(pictures)) > 0
    there = to_numpy(masks) > 0
    overlap = float((found & there).sum() / (found | there).sum())
    print(f"intersection over union {overlap:.3f}")
    if figure is not None:
        draw(to_numpy(pictures), there, found, figure)
    return overlap


def scenes(part: data.ArrayDataset, n_scenes: int, rng: Generator, backend: str) -> tuple[object, object]:
    """Pictures (n_scenes, 1, 56, 56), and masks of the pixels that belong to a digit."""
    images = to_numpy(part.inputs)
    pictures = to_numpy(rng.normal(0.0, 0.4, (n_scenes, 1, SIZE, SIZE), dtype="float32"))
    masks = 0 * pictures
    which = to_numpy(rng.integers(0, len(images), (n_scenes, 3)))
    corners = to_numpy(rng.integers(0, SIZE - 28, (n_scenes, 3, 2)))
    for i in range(n_scenes):
        for digit, (row, column) in zip(images[which[i]], corners[i], strict=True):
            pictures[i, :, row : row + 28, column : column + 28] += digit
            masks[i, :, row : row + 28, column : column + 28] += digit > 0.5
    place = get_backend(backend)
    return place.asarray(pictures), place.asarray((masks > 0).astype("float32"))


def draw(pictures: object, there: object, found: object, path: Path) -> None:
    """Five scenes, what is in them, and what was found."""
    from portml.plots.figure import new_figure, save_figure

    figure = new_figure(10, 6.2)
    rows = zip(figure.subplots(3, 5), (pictures, there, found), ("picture", "digits", "found"), strict=True)
    for line, images, name in rows:
        line[0].set_title(name, loc="left", fontsize=9)
        for ax, image in zip(line, images, strict=False):
            ax.imshow(image[0], cmap="gray_r")
            ax.set_axis_off()
    save_figure(figure, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train U-Net to find digits under noise.")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args()
    main(given.backend, given.steps, given.figure)
