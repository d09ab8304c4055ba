"""Small pictures of large patterns: what a thumbnail keeps of an attention pattern.

A pattern of 1,024 x 1,024 is pooled to 32 x 32 by the value *furthest from 0* in each block: a head that attends to
exactly one position keeps its bright line, which a mean would thin out 32 times. So a thumbnail shows where a head
looks, not how much of its attention is there; the open head has the exact numbers.
"""

import numpy as np

SIDE = 32
"""The largest height and width of a thumbnail, in pixels."""


def pooled(pattern: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Pool the last two axes to at most `side`; smaller patterns are kept as they are, NaN counts as 0."""
    filled = np.nan_to_num(np.asarray(pattern, np.float32), nan=0.0)
    most = _blocks(np.maximum, filled, side)
    if not filled.size or filled.min() >= 0:
        return most
    least = _blocks(np.minimum, filled, side)
    return np.where(-least > most, least, most)


def companded(values: np.ndarray, most: float = 1.0, signed: bool = False) -> np.ndarray:
    """Values as bytes on a square-root scale: `value = most * (byte / 255) ** 2`, clipped to 0..most.

    signed: `value = ±most * ((byte - 127.5) / 127.5) ** 2`, clipped to ±most; 0 is byte 128.
    Plain bytes would turn most of real attention, which is below 1/510, into 0.
    """
    share = np.nan_to_num(np.asarray(values, np.float32), nan=0.0) / most
    if not signed:
        return np.rint(255.0 * np.sqrt(np.clip(share, 0.0, 1.0))).astype(np.uint8)
    root = np.sign(share) * np.sqrt(np.clip(np.abs(share), 0.0, 1.0))
    return np.rint(127.5 + 127.5 * root).astype(np.uint8)


def thumbnails(patterns: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Attention patterns `[..., query_pos, key_pos]` as pictures `[..., s, s]` for `Panel.thumbnails`."""
    return companded(pooled(patterns, side))


def _blocks(reduce: np.ufunc, values: np.ndarray, side: int) -> np.ndarray:
    rows, cols = values.shape[-2:]
    return reduce.reduceat(reduce.reduceat(values, _starts(rows, side), axis=-2), _starts(cols, side), axis=-1)


def _starts(length: int, side: int) -> np.ndarray:
    pixels = min(length, side)
    return np.arange(pixels) * length // pixels
