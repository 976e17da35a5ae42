"""Two networks play: one draws digits, the other tells them from real ones.

    python examples/train_generative_adversarial_network.py --backend numpy --figure drawn.png

Training ends after a number of rounds, as there is no loss that says how good the drawings are; a classifier trained on
real digits tells how many of them it takes for a digit with some certainty, and how many kinds there are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from portml import data, get_backend, metrics, nn, no_grad, optim, to_numpy, train
from portml.nn.models import ImageDiscriminator, ImageGenerator
from portml.random import Generator


def main(backend: str, epochs: int, figure: Path | None = None) -> tuple[float, int]:
    """Play; return how many drawings are taken for digits, and how many kinds of digits there are among them."""
    place = get_backend(backend)
    digits = data.load_dataset("digits").to(backend)
    generator = ImageGenerator(32, 16, rng=0, backend=backend)
    discriminator = ImageDiscriminator(16, rng=1, backend=backend)
    options = {"lr": 1e-3, "betas": (0.5, 0.999)}  # as Radford et al. (2016) found it to be stable
    steps_of_generator = optim.Adam(generator.parameters(), **options)
    steps_of_discriminator = optim.Adam(discriminator.parameters(), **options)
    loss, noise = nn.BCEWithLogitsLoss(), Generator(2, backend)
    for epoch in range(1, epochs + 1):
        for images, _ in data.DataLoader(digits.train, 64, shuffle=True, rng=Generator(epoch, backend), drop_last=True):
            real, forged = place.full((len(images), 1), 1.0), place.full((len(images), 1), 0.0)
            drawn = generator.sample(len(images), noise)
            steps_of_discriminator.zero_grad()
            judged = loss(discriminator(images), 0.9 * real) + loss(discriminator(drawn.detach()), forged)
            judged.backward()
            steps_of_discriminator.step()
            steps_of_generator.zero_grad()
            fooled = loss(discriminator(drawn), real)
            fooled.backward()
            steps_of_generator.step()
        if epoch % 5 == 0:
            print(f"epoch {epoch:3}  discriminator {judged.item():.3f}  generator {fooled.item():.3f}")
    generator.eval()
    with no_grad():
        drawn = generator.sample(500, Generator(3, backend))
    certain, kinds = judge(digits, drawn, backend)
    print(f"{certain:.1%} of the drawings are taken for a digit with 90 % certainty, of {kinds} kinds")
    if figure is not None:
        draw(to_numpy(drawn)[:40], figure)
    return certain, kinds


def judge(digits: data.ClassificationData, drawn: object, backend: str) -> tuple[float, int]:
    """Ask LeNet-5, trained on the real digits."""
    judge = nn.models.LeNet5(rng=4, backend=backend)
    adam = optim.Adam(judge.parameters(), lr=2e-3)
    trainer = train.Trainer(judge, adam, nn.CrossEntropyLoss(), metrics={"accuracy": metrics.accuracy})
    trainer.fit(digits.train, epochs=8)
    probability = to_numpy(nn.functional.softmax(trainer.predict(drawn), axis=1))
    certain = probability.max(axis=1) > 0.9
    return float(certain.mean()), len(set(probability.argmax(axis=1)[certain].tolist()))


def draw(pictures: object, path: Path) -> None:
    """A sheet of drawings."""
    from portml.plots.figure import new_figure, save_figure

    figure = new_figure(10, 4.2)
    for ax, picture in zip(figure.subplots(4, 10).flat, pictures, strict=True):
        ax.imshow(picture[0], cmap="gray_r", vmin=0, vmax=1)
        ax.set_axis_off()
    save_figure(figure, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a generative adversarial network on handwritten digits.")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args()
    main(given.backend, given.epochs, given.figure)
