"""Positions told to attention by turning pairs of features, so that products depend on the distance alone."""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, namespace
from portml.errors import ShapeError

__all__ = ["rotary_embedding"]


@kernel
def rotary_embedding(x: Array, cosine: Array, sine: Array, *, interleaved: bool = False) -> Array:
    """Turn each pair of features by the angle of its position.  [Su et al. 2021, "RoFormer", eq. 34]

    y = (a cos - b sin, a sin + b cos) for each pair (a, b); features beyond the pairs stay as they are.

    Parameters
    ----------
    x : array (..., length, n_features)
    cosine, sine : arrays, broadcast to (..., length, n_pairs)
    interleaved : bool
        Whether the two of a pair are neighbours; else the first n_pairs features belong to the next n_pairs.

    Returns
    -------
    array (..., length, n_features)

    Raises
    ------
    ShapeError
        If there are fewer features than two for each angle.
    """
    pairs = cosine.shape[-1]
    if x.ndim == 0 or x.shape[-1] < 2 * pairs or tuple(cosine.shape) != tuple(sine.shape):
        raise ShapeError(
            f"rotary_embedding: x has shape {tuple(x.shape)}, cosine {tuple(cosine.shape)} and sine "
            f"{tuple(sine.shape)}; expected two features for each angle"
        )
    xp = namespace(x, cosine, sine)
    turned, rest = x[..., : 2 * pairs], x[..., 2 * pairs :]
    if interleaved:
        apart = xp.reshape(turned, (*x.shape[:-1], pairs, 2))
        a, b = apart[..., 0], apart[..., 1]
    else:
        a, b = turned[..., :pairs], turned[..., pairs:]
    first, second = a * cosine - b * sine, a * sine + b * cosine
    if interleaved:
        y = xp.reshape(xp.stack([first, second], axis=-1), (*x.shape[:-1], 2 * pairs))
    else:
        y = xp.concat([first, second], axis=-1)
    return xp.concat([y, rest], axis=-1) if rest.shape[-1] else y
