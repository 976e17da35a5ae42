"""Train LeNet-5 or a small residual network on Fashion-MNIST: 60,000 pictures of clothes to learn from, 10,000 to test.

    python examples/train_fashion_mnist.py lenet5 --seed 0
    python examples/train_fashion_mnist.py resnet --seed 0 --backend cupy

The files are those of Debian's package ``dataset-fashion-mnist``, or are downloaded to a cache with ``--data-dir ''``.
A tenth of the training pictures is set aside to watch; every setting below was chosen by it, none by the test pictures.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from portml import data, get_backend, metrics, nn, optim, train


@dataclass(frozen=True)
class Settings:
    """What a model is trained with."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    flip: float


SETTINGS = {
    "lenet5": Settings(epochs=12, batch_size=64, lr=2e-3, weight_decay=0.0, flip=0.0),
    "resnet": Settings(epochs=12, batch_size=128, lr=0.1, weight_decay=5e-4, flip=0.5),
}
MODELS = {
    "lenet5": nn.models.LeNet5,
    "resnet": partial(nn.models.ResNet, in_channels=1, blocks=(2, 2, 2), widths=(16, 32, 64), stem_stride=2),
}


def main(
    model_name: str, seed: int, backend: str, data_dir: str | None, output: Path | None, test: bool = True
) -> dict[str, object]:
    """Train, and return what was measured; without `test` the test pictures are not looked at."""
    settings = SETTINGS[model_name]
    fashion = data.load_dataset("fashion-mnist", data_dir=data_dir).to(backend)
    model = MODELS[model_name](rng=seed, backend=backend)
    n_parameters = sum(parameter.value.size for parameter in model.parameters())
    trainer = trainer_for(model, model_name, settings, seed, backend)
    place = get_backend(backend)
    began, worked = time.perf_counter(), time.process_time()
    history = trainer.fit(
        fashion.train, epochs=settings.epochs, batch_size=settings.batch_size, validation=fashion.validation, seed=seed
    )
    place.synchronize()
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - worked
    for row in history:
        print(f"epoch {row['epoch']:2}  loss {row['loss']:.4f}  validation accuracy {row['validation_accuracy']:.2%}")
    print(f"{model_name}, {n_parameters} parameters, seed {seed}: {seconds:.0f} s on {place}")
    test_accuracy = None
    if test:
        test_accuracy = round(trainer.evaluate(fashion.test)["accuracy"], 4)
        print(f"test accuracy {test_accuracy:.2%}")
    result = {
        "model": model_name,
        "parameters": n_parameters,
        "settings": vars(settings),
        "seed": seed,
        "backend": str(place),
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor_seconds, 1),
        "test_accuracy": test_accuracy,
        "history": list(history),
    }
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1) + "\n")
    return result


def trainer_for(model: nn.Module, model_name: str, settings: Settings, seed: int, backend: str) -> train.Trainer:
    """A trainer with a learning rate that rises over two epochs and falls as a cosine afterwards."""
    if model_name == "lenet5":
        optimizer: optim.Optimizer = optim.Adam(model.parameters(), lr=settings.lr)
    else:
        optimizer = optim.SGD(
            model.parameters(), lr=settings.lr, momentum=0.9, nesterov=True, weight_decay=settings.weight_decay
        )
    return train.Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        metrics={"accuracy": metrics.accuracy},
        schedule=optim.Schedule(optimizer, optim.schedules.warmup_cosine(settings.epochs, warmup=2)),
        transform=train.RandomHorizontalFlip(settings.flip, rng=seed + 1, backend=backend),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train on Fashion-MNIST.")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--data-dir", default="/usr/share/datasets/fashion-mnist", help="folder of the four IDX files")
    parser.add_argument("--output", type=Path, help="a JSON file for what was measured")
    parser.add_argument("--skip-test", action="store_true", help="to choose settings by the validation pictures alone")
    given = parser.parse_args()
    main(given.model, given.seed, given.backend, given.data_dir or None, given.output, not given.skip_test)
