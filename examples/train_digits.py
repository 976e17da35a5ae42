"""Train LeNet-5 on handwritten digits, on the CPU or on a GPU.

    python examples/train_digits.py                   # NumPy
    python examples/train_digits.py --backend cupy    # a GPU

The name of the backend is the only difference: it says where the first weights are made, and everything follows them.
"""

from __future__ import annotations

import argparse
import time

from portml import data, get_backend, metrics, nn, optim, train


def main(backend: str, epochs: int) -> float:
    """Train, and return the accuracy on the test set."""
    digits = data.load_dataset("digits").to(backend)  # once, instead of a batch at a time
    model = nn.models.LeNet5(rng=0, backend=backend)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    trainer = train.Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        metrics={"accuracy": metrics.accuracy},
        schedule=optim.Schedule(optimizer, optim.schedules.cosine_annealing(epochs)),
        transform=train.RandomAffine(shift=2.0, scale=0.1, rotation=12.0, rng=1, backend=backend),
    )
    place = get_backend(backend)
    began = time.perf_counter()
    history = trainer.fit(digits.train, epochs=epochs, validation=digits.validation)
    place.synchronize()
    seconds = time.perf_counter() - began
    for row in history:
        print(f"epoch {row['epoch']:2}  loss {row['loss']:.4f}  validation accuracy {row['validation_accuracy']:.2%}")
    test = trainer.evaluate(digits.test)
    used, total = place.memory()
    print(f"{epochs} epochs in {seconds:.1f} s on {place}, {used / 2**20:.0f} of {total / 2**20:.0f} MiB in use")
    print(f"test accuracy {test['accuracy']:.2%}")
    return test["accuracy"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train LeNet-5 on handwritten digits.")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    main(arguments.backend, arguments.epochs)
