"""Tell whether two pictures show the same digit, also for digits that were never trained on.

    python examples/train_siamese_network.py --backend numpy

Pairs of the digits 0 to 6 teach the network what makes two pictures alike; it is then asked about new pictures of them,
and about 7, 8 and 9, which it never saw.  The distance below which two pictures count as the same digit is chosen on
pairs of 0 to 6 that were set aside.
"""

from __future__ import annotations

import argparse

from portml import data, get_backend, metrics, nn, no_grad, optim, to_numpy
from portml.nn.models import SiameseNetwork
from portml.random import Generator


def main(backend: str, steps: int) -> tuple[float, float]:
    """Train, and return the areas under the ROC curve for the digits of the training and for others."""
    digits = data.load_dataset("digits")
    embedding = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2, rng=0, backend=backend),
        nn.ReLU(),
        nn.Conv2d(8, 16, 5, stride=2, padding=2, rng=1, backend=backend),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(784, 16, rng=2, backend=backend),
    )
    model, loss = SiameseNetwork(embedding), nn.ContrastiveLoss(margin=2.0)
    adam = optim.Adam(model.parameters(), lr=1e-3)
    rng = Generator(3, "numpy")
    known, unknown = set(range(7)), {7, 8, 9}
    for step in range(1, steps + 1):
        first, second, different = pairs(digits.train, known, 64, rng, backend)
        adam.zero_grad()
        value = loss(*model(first, second), different)
        value.backward()
        adam.step()
        if step % 200 == 0:
            print(f"step {step:4}  loss {value.item():.4f}")
    threshold = best_threshold(*distances(model, digits.validation, known, rng, backend))
    areas = []
    for name, asked in (("0 to 6", known), ("7, 8 and 9", unknown)):
        distance, different = distances(model, digits.test, asked, rng, backend)
        accuracy = ((distance >= threshold) == (different > 0)).mean()
        areas.append(float(metrics.roc_auc_score(different, distance)))
        print(f"new pictures of {name}: accuracy {accuracy:.2%}, area under the ROC curve {areas[-1]:.4f}")
    return areas[0], areas[1]


def pairs(part: data.ArrayDataset, digits: set[int], n_pairs: int, rng: Generator, backend: str):
    """Pictures beside pictures, and 1 where they show different digits, as half of them do."""
    labels = to_numpy(part.targets)
    members = {digit: (labels == digit).nonzero()[0] for digit in sorted(digits)}
    names = list(members)
    first, second, different = [], [], []
    draws = to_numpy(rng.random((n_pairs, 4), dtype="float64"))
    for i, (one, shift, u, v) in enumerate(draws):
        k = int(one * len(names))
        alike = i % 2 == 0
        other = k if alike else (k + 1 + int(shift * (len(names) - 1))) % len(names)
        first.append(members[names[k]][int(u * len(members[names[k]]))])
        second.append(members[names[other]][int(v * len(members[names[other]]))])
        different.append(float(not alike))
    place = get_backend(backend)
    images = to_numpy(part.inputs)
    return place.asarray(images[first]), place.asarray(images[second]), place.asarray(different, dtype="float32")


def distances(model: SiameseNetwork, part: data.ArrayDataset, digits: set[int], rng: Generator, backend: str):
    """How far apart 1,000 pairs fall, and which show different digits, on the host."""
    first, second, different = pairs(part, digits, 1000, rng, backend)
    model.eval()
    with no_grad():
        return to_numpy(model.distance(first, second)), to_numpy(different)


def best_threshold(distance, different) -> float:
    """The distance that parts most pairs rightly."""
    candidates = sorted(distance)
    return float(max(candidates, key=lambda bound: ((distance >= bound) == (different > 0)).mean()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a siamese network on handwritten digits.")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--steps", type=int, default=800)
    given = parser.parse_args()
    main(given.backend, given.steps)
