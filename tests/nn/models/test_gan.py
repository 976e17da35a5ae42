"""The two networks of the game fit each other, and the game's gradients go where they should."""

from __future__ import annotations

import numpy as np

from portml import nn
from portml.backends import to_numpy
from portml.nn.models import ImageDiscriminator, ImageGenerator
from portml.random import Generator


def test_images_of_noise_are_judged_and_the_judgement_teaches_the_generator(backend):
    generator = ImageGenerator(4, 2, rng=0, backend=backend)
    discriminator = ImageDiscriminator(2, rng=1, backend=backend)
    images = generator.sample(3, Generator(2, backend))
    assert tuple(images.shape) == (3, 1, 28, 28)
    assert np.all((to_numpy(images) > 0) & (to_numpy(images) < 1))
    logits = discriminator(images)
    assert tuple(logits.shape) == (3, 1)
    nn.BCEWithLogitsLoss()(logits, backend.full((3, 1), 1.0)).backward()
    assert all(np.any(to_numpy(parameter.grad) != 0) for parameter in generator.parameters())


def test_detached_images_teach_the_discriminator_alone(backend):
    generator = ImageGenerator(4, 2, rng=0, backend=backend)
    discriminator = ImageDiscriminator(2, rng=1, backend=backend)
    logits = discriminator(generator.sample(3, Generator(2, backend)).detach())
    nn.BCEWithLogitsLoss()(logits, backend.full((3, 1), 0.0)).backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(parameter.grad is not None for parameter in discriminator.parameters())
