"""The residual network for small images: blocks that learn what to add to their input."""

from __future__ import annotations

from collections.abc import Sequence

from portml.backends import Array, Backend, operations
from portml.errors import ArgumentError
from portml.nn.activation import ReLU
from portml.nn.batch_normalisation import BatchNorm2d
from portml.nn.containers import Sequential
from portml.nn.convolution import Conv2d
from portml.nn.functional import relu
from portml.nn.initialisation import generator_for, he_normal
from portml.nn.linear import Linear
from portml.nn.module import Module
from portml.random import Generator

__all__ = ["BasicBlock", "ResNet"]


class BasicBlock(Module):
    r"""Two convolutions beside a shortcut.  [He et al. 2016, figure 2 and section 3.3, option B]

    .. math:: y = \mathrm{relu}(\mathrm{bn}(w_2 * \mathrm{relu}(\mathrm{bn}(w_1 * x))) + s(x))

    with s the identity, or a 1×1 convolution and its normalisation where the shapes differ.

    Input: (N, in_channels, H, W).  Output: (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉).

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution.
    rng : Generator
    dtype : str
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, *, rng: Generator, dtype: str = "float32"
    ) -> None:
        self.conv1 = _convolution(in_channels, out_channels, 3, stride, rng, dtype)
        self.bn1 = BatchNorm2d(out_channels, backend=rng.backend, dtype=dtype)
        self.conv2 = _convolution(out_channels, out_channels, 3, 1, rng, dtype)
        self.bn2 = BatchNorm2d(out_channels, backend=rng.backend, dtype=dtype)
        self.downsample: Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = Sequential(
                _convolution(in_channels, out_channels, 1, stride, rng, dtype),
                BatchNorm2d(out_channels, backend=rng.backend, dtype=dtype),
            )

    def forward(self, x: Array) -> Array:
        """The block's output for `x`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(inner)) + shortcut)


class ResNet(Module):
    """Stages of residual blocks, each stage of half the size and more channels, then the mean over what is left.

    Input: (N, in_channels, H, W).  Output: logits (N, n_classes).  With the defaults it is the paper's ResNet-20 for
    small images: 272,186 parameters for one channel.  [He et al. 2016, section 4.2]

    Parameters
    ----------
    n_classes : int
    in_channels : int
    blocks : sequence of int
        Number of blocks of each stage.
    widths : sequence of int
        Channels of each stage.
    stem_stride : int
        Of the first convolution; 2 costs a quarter, and suits images of 28×28.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str

    Raises
    ------
    ArgumentError
        If `blocks` and `widths` have not one entry for each stage.
    """

    def __init__(
        self,
        n_classes: int = 10,
        in_channels: int = 3,
        blocks: Sequence[int] = (3, 3, 3),
        widths: Sequence[int] = (16, 32, 64),
        stem_stride: int = 1,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if len(blocks) != len(widths) or not blocks or min(*blocks, *widths) < 1:
            raise ArgumentError(
                f"blocks, widths: expected a count and a width, at least 1, for every stage, "
                f"got {list(blocks)} and {list(widths)}"
            )
        rng = generator_for(rng, backend)
        self.stem = Sequential(
            _convolution(in_channels, widths[0], 3, stem_stride, rng, dtype),
            BatchNorm2d(widths[0], backend=rng.backend, dtype=dtype),
            ReLU(),
        )
        layers: list[Module] = []
        width = widths[0]
        for stage, (count, wider) in enumerate(zip(blocks, widths, strict=True)):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(BasicBlock(width, wider, stride, rng=rng, dtype=dtype))
                width = wider
        self.layers = Sequential(*layers)
        self.head = Linear(width, n_classes, rng=rng, dtype=dtype)

    def forward(self, x: Array) -> Array:
        """Logits for the images `x`."""
        features = self.layers(self.stem(x))
        return self.head(operations.mean(features, axis=(2, 3)))


def _convolution(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, rng: Generator, dtype: str
) -> Conv2d:
    """A convolution that keeps the size but for its stride; without bias, as a normalisation follows."""
    convolution = Conv2d(
        in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False, rng=rng, dtype=dtype
    )
    convolution.weight.assign(he_normal(convolution.weight.shape, rng=rng, dtype=dtype))
    return convolution
