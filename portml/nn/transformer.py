"""Transformer layers and their stacks, named and laid out as PyTorch's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from portml.backends import Array, Backend, get_backend, operations
from portml.backends.kernels.activation import relu
from portml.backends.kernels.gated_activation import geglu, glu, reglu, swiglu
from portml.backends.kernels.smooth_activation import gelu
from portml.errors import ArgumentError, ShapeError
from portml.nn.attention import MultiheadAttention
from portml.nn.containers import ModuleList
from portml.nn.dropout import Dropout
from portml.nn.initialisation import generator_for, xavier_uniform
from portml.nn.linear import Linear
from portml.nn.module import Module
from portml.nn.normalisation import LayerNorm
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Array], Array]
_PLAIN: dict[str, Callable[..., Array]] = {"relu": relu, "gelu": gelu}
_GATED: dict[str, Callable[..., Array]] = {"glu": glu, "geglu": geglu, "reglu": reglu, "swiglu": swiglu}


class _Layer(Module):
    """What encoder and decoder layers share: the feed-forward part, and where the norms stand."""

    linear1: Linear
    linear2: Linear
    dropout: Dropout

    def _build_feed_forward(
        self, d_model: int, hidden: int, activation: Activation, bias: bool, dropout: float, rng: Generator, dtype: str
    ) -> None:
        if not callable(activation) and activation not in _PLAIN | _GATED:
            known = ", ".join([*_PLAIN, *_GATED])
            raise ArgumentError(f"activation: expected one of {known} or a function, got {activation!r}")
        self.activation = activation
        width = 2 * hidden if activation in _GATED else hidden
        self.linear1 = Linear(d_model, width, bias, rng=rng, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(hidden, d_model, bias, rng=rng, dtype=dtype)

    def _feed_forward(self, x: Array) -> Array:
        activation = self.activation if callable(self.activation) else (_PLAIN | _GATED)[self.activation]
        return self.linear2(self.dropout(activation(self.linear1(x))))

    def _added(self, x: Array, norm: Module, part: Callable[[Array], Array]) -> Array:
        """x + part(norm(x)) with the norm first, else norm(x + part(x)).  [Xiong et al. 2020, figure 1]"""
        if self.norm_first:
            return operations.add(x, part(norm(x)))
        return norm(operations.add(x, part(x)))

    norm_first: bool = False


class TransformerEncoderLayer(_Layer):
    r"""Self-attention and a feed-forward network, each beside a residual connection.  [Vaswani et al. 2017, figure 1]

    Input and output: (L, N, d_model), or (N, L, d_model) with `batch_first`.  Parameters, named as in PyTorch:
    ``self_attn``, ``linear1``, ``linear2``, ``norm1``, ``norm2``.

    Parameters
    ----------
    d_model, nhead, dim_feedforward : int
    dropout : float
        Of attention weights, hidden numbers and both results.
    activation : {"relu", "gelu", "glu", "geglu", "reglu", "swiglu"} or callable
        The gated ones make ``linear1`` twice as wide.  [Shazeer 2020]
    layer_norm_eps : float
    batch_first : bool
    norm_first : bool
        Whether each part begins with its norm, instead of ending with it.
    bias : bool
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        rng = generator_for(rng, backend)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, rng=rng, dtype=dtype
        )
        self._build_feed_forward(d_model, dim_feedforward, activation, bias, dropout, rng, dtype)
        norm: dict[str, Any] = {"bias": bias, "backend": rng.backend, "dtype": dtype}
        self.norm1, self.norm2 = (LayerNorm(d_model, layer_norm_eps, **norm) for _ in range(2))
        self.dropout1, self.dropout2 = (Dropout(dropout, rng=rng) for _ in range(2))

    def forward(
        self,
        src: Array,
        src_mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        is_causal: bool = False,
        *,
        need_weights: bool = False,
    ) -> Any:
        """Encode; masks as in `MultiheadAttention`, True is ignored.

        Returns
        -------
        array of the shape of `src`, or with `need_weights` also the weights, (N, nhead, L, L)
        """
        seen: list[Array | None] = []

        def attend(x: Array) -> Array:
            y, weights = self.self_attn(
                x,
                x,
                x,
                key_padding_mask=src_key_padding_mask,
                need_weights=need_weights,
                attn_mask=src_mask,
                average_attn_weights=False,
                is_causal=is_causal,
            )
            seen.append(weights)
            return self.dropout1(y)

        x = self._added(src, self.norm1, attend)
        x = self._added(x, self.norm2, lambda x: self.dropout2(self._feed_forward(x)))
        return (x, seen[0]) if need_weights else x


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to an encoder's output, and a feed-forward network.  [Vaswani et al. 2017, figure 1]

    Parameters and their names as in `TransformerEncoderLayer`, with ``multihead_attn`` and ``norm3`` besides.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        rng = generator_for(rng, backend)
        self.norm_first = norm_first
        attention: dict[str, Any] = {"batch_first": batch_first, "rng": rng, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, **attention)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, **attention)
        self._build_feed_forward(d_model, dim_feedforward, activation, bias, dropout, rng, dtype)
        norm: dict[str, Any] = {"bias": bias, "backend": rng.backend, "dtype": dtype}
        self.norm1, self.norm2, self.norm3 = (LayerNorm(d_model, layer_norm_eps, **norm) for _ in range(3))
        self.dropout1, self.dropout2, self.dropout3 = (Dropout(dropout, rng=rng) for _ in range(3))

    def forward(
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        need_weights: bool = False,
    ) -> Any:
        """Decode; masks as in `MultiheadAttention`, True is ignored.

        Returns
        -------
        array of the shape of `tgt`, or with `need_weights` also the weights on the memory, (N, nhead, T, S)
        """
        seen: list[Array | None] = []

        def attend(x: Array) -> Array:
            y, _ = self.self_attn(
                x,
                x,
                x,
                key_padding_mask=tgt_key_padding_mask,
                need_weights=False,
                attn_mask=tgt_mask,
                is_causal=tgt_is_causal,
            )
            return self.dropout1(y)

        def look(x: Array) -> Array:
            y, weights = self.multihead_attn(
                x,
                memory,
                memory,
                key_padding_mask=memory_key_padding_mask,
                need_weights=need_weights,
                attn_mask=memory_mask,
                average_attn_weights=False,
                is_causal=memory_is_causal,
            )
            seen.append(weights)
            return self.dropout2(y)

        x = self._added(tgt, self.norm1, attend)
        x = self._added(x, self.norm2, look)
        x = self._added(x, self.norm3, lambda x: self.dropout3(self._feed_forward(x)))
        return (x, seen[0]) if need_weights else x


class _Stack(Module):
    """Copies of a layer one after another, and a norm behind them."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        self.layers = ModuleList([_copied(layer) for _ in range(checked_count("num_layers", num_layers))])
        self.num_layers = num_layers
        self.norm = norm

    def _run(self, x: Array, call: Callable[[Any, Array], Any], need_weights: bool) -> Any:
        seen = []
        for layer in self.layers:
            x = call(layer, x)
            if need_weights:
                x, weights = x
                seen.append(weights)
        x = x if self.norm is None else self.norm(x)
        return (x, seen) if need_weights else x


class TransformerEncoder(_Stack):
    """A stack of encoder layers.

    Parameters
    ----------
    encoder_layer : TransformerEncoderLayer
        It is copied, so that all layers start from its weights, as in PyTorch; their dropout draws from streams of
        their own.
    num_layers : int
    norm : Module, optional
        Behind the last layer.
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Array,
        mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        is_causal: bool = False,
        *,
        need_weights: bool = False,
    ) -> Any:
        """Encode by every layer in order; with `need_weights` also a list of every layer's weights."""

        def call(layer: Any, x: Array) -> Any:
            return layer(x, mask, src_key_padding_mask, is_causal, need_weights=need_weights)

        return self._run(src, call, need_weights)


class TransformerDecoder(_Stack):
    """A stack of decoder layers; parameters as in `TransformerEncoder`."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        need_weights: bool = False,
    ) -> Any:
        """Decode by every layer in order; with `need_weights` also a list of every layer's weights on the memory."""
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)

        def call(layer: Any, x: Array) -> Any:
            return layer(x, memory, *masks, tgt_is_causal, memory_is_causal, need_weights=need_weights)

        return self._run(tgt, call, need_weights)


class Transformer(Module):
    """Encoder and decoder.  [Vaswani et al. 2017]

    Parameters as in `TransformerEncoderLayer`, all matrices drawn anew as Xavier's uniform; names as in PyTorch:
    ``encoder``, ``decoder``.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        *,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        rng = generator_for(rng, backend)
        settings = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        norm: dict[str, Any] = {"bias": bias, "backend": rng.backend, "dtype": dtype}
        self.encoder = TransformerEncoder(
            TransformerEncoderLayer(*settings, rng=rng, dtype=dtype),
            num_encoder_layers,
            LayerNorm(d_model, layer_norm_eps, **norm),
        )
        self.decoder = TransformerDecoder(
            TransformerDecoderLayer(*settings, rng=rng, dtype=dtype),
            num_decoder_layers,
            LayerNorm(d_model, layer_norm_eps, **norm),
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for parameter in self.parameters():
            if len(parameter.shape) > 1:
                parameter.assign(xavier_uniform(tuple(parameter.shape), rng=rng, dtype=dtype))

    def forward(
        self,
        src: Array,
        tgt: Array,
        src_mask: Array | None = None,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Array:
        """Encode `src`, and decode `tgt` beside it."""
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(
                f"Transformer: expected {self.d_model} features, got {tuple(src.shape)} and {tuple(tgt.shape)}"
            )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(size: int, *, backend: str | Backend | None = None) -> Array:
        """-∞ above the diagonal and 0 elsewhere, (size, size): what lets no position see a later one."""
        checked_count("size", size)
        opened = get_backend(backend)
        return opened.xp.triu(opened.full((size, size), float("-inf")), k=1)


def _copied(layer: Module) -> Module:
    """A copy whose generators are others than those of the layer."""
    if not isinstance(layer, Module):
        raise ArgumentError(f"layer: expected a module to copy, got a {type(layer).__name__}")
    made = copy.deepcopy(layer)
    for ours, theirs in zip(made.modules(), layer.modules(), strict=True):
        for name, value in list(vars(theirs).items()):
            if isinstance(value, Generator):
                setattr(ours, name, value.split(1)[0])
    return made
