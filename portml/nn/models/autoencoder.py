"""Autoencoders: a narrow code from which the input is put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from portml.backends import Array, Backend, namespace, operations
from portml.errors import ArgumentError
from portml.nn.activation import ReLU
from portml.nn.initialisation import generator_for
from portml.nn.loss import BCEWithLogitsLoss
from portml.nn.models.mlp import MLP
from portml.nn.module import Module
from portml.random import Generator

__all__ = ["Autoencoder", "VariationalAutoencoder", "VariationalOutput", "negative_evidence_lower_bound"]


class Autoencoder(Module):
    """Layers down to a code, and the same sizes back.  [Hinton & Salakhutdinov 2006]

    Input: (N, ...) with layer_sizes[0] numbers a sample.  Output: (N, layer_sizes[0]), without a last activation.

    Parameters
    ----------
    layer_sizes : sequence of int
        Such as ``[784, 128, 32]``: from the input to the code.
    activation : callable
        Makes the module between two layers.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Callable[[], Module] = ReLU,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        rng = generator_for(rng, backend)
        self.encoder = MLP(layer_sizes, activation, rng=rng, dtype=dtype)
        self.decoder = MLP(layer_sizes[::-1], activation, rng=rng, dtype=dtype)

    def encode(self, x: Array) -> Array:
        """Codes (N, layer_sizes[-1])."""
        return self.encoder(x)

    def decode(self, code: Array) -> Array:
        """What the codes stand for, (N, layer_sizes[0])."""
        return self.decoder(code)

    def forward(self, x: Array) -> Array:
        """There and back."""
        return self.decode(self.encode(x))


class VariationalOutput(NamedTuple):
    """What a variational autoencoder makes of its input.

    Attributes
    ----------
    logits : array (N, n_inputs)
        Of the probability that each input is 1.
    mean, log_variance : arrays (N, n_latent)
        Of the normal distribution that the code was drawn from.
    """

    logits: Array
    mean: Array
    log_variance: Array


class VariationalAutoencoder(Module):
    r"""An autoencoder whose code is drawn from a normal distribution, so that new codes make new samples.

    .. math:: z = \mu(x) + \sigma(x) \, \epsilon, \qquad \epsilon \sim \mathcal N(0, 1)

    In evaluation :math:`z = \mu(x)`.  [Kingma & Welling 2014, section 2.4 and appendix C]

    Input: (N, ...) with n_inputs numbers in [0, 1] a sample.  Output: `VariationalOutput`, for
    `negative_evidence_lower_bound`.

    Parameters
    ----------
    n_inputs, n_hidden, n_latent : int
    rng : Generator or int, optional
        Of the first weights and of the codes.
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        n_inputs: int,
        n_hidden: int = 256,
        n_latent: int = 16,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if n_latent < 1:
            raise ArgumentError(f"n_latent: expected a size of at least 1, got {n_latent!r}")
        self.rng = generator_for(rng, backend)
        self.n_latent = n_latent
        self.dtype = dtype
        self.encoder = MLP([n_inputs, n_hidden, 2 * n_latent], rng=self.rng, dtype=dtype)
        self.decoder = MLP([n_latent, n_hidden, n_inputs], rng=self.rng, dtype=dtype)

    def forward(self, x: Array) -> VariationalOutput:
        """Encode, draw a code, decode."""
        parameters = self.encoder(x)
        mean, log_variance = parameters[:, : self.n_latent], parameters[:, self.n_latent :]
        code = mean
        if self.training:
            noise = self.rng.normal(0.0, 1.0, tuple(mean.shape), dtype=self.dtype)
            code = mean + namespace(log_variance).exp(log_variance * 0.5) * noise
        return VariationalOutput(self.decoder(code), mean, log_variance)

    def sample(self, n_samples: int, rng: Generator) -> Array:
        """New samples (n_samples, n_inputs): probabilities, from codes drawn of the standard normal distribution."""
        logits = self.decoder(rng.normal(0.0, 1.0, (n_samples, self.n_latent), dtype=self.dtype))
        return operations.reciprocal(1.0 + namespace(logits).exp(-logits))


def negative_evidence_lower_bound(output: VariationalOutput, target: Array) -> Array:
    r"""How far a variational autoencoder is from its data, a mean over the samples.

    .. math:: -\log p(x \mid z) + \tfrac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2)

    with the cross-entropy summed over the inputs.  [Kingma & Welling 2014, eq. 10 and appendix B]

    Parameters
    ----------
    output : VariationalOutput
    target : array (N, ...)
        The input, in [0, 1].
    """
    logits, mean, log_variance = output
    n_samples = logits.shape[0]
    reconstruction = BCEWithLogitsLoss(reduction="sum")(logits, operations.reshape(target, tuple(logits.shape)))
    xp = namespace(mean, log_variance)
    divergence = 0.5 * xp.sum(mean * mean + xp.exp(log_variance) - 1.0 - log_variance)
    return (reconstruction + divergence) / n_samples
