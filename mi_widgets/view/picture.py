"""Small pictures of large patterns: what a thumbnail keeps of an attention pattern.

A pattern of 1,024 x 1,024 is pooled to 32 x 32 by its *largest* value a block: a head that attends to exactly one
position keeps its bright line, which a mean would thin out 32 times. So a thumbnail shows where a head looks, not how
much of its attention is there; the open head has the exact numbers.
"""

import numpy as np

SIDE = 32
"""The largest height and width of a thumbnail, in pixels."""


def pooled(pattern: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Max-pool the last two axes to at most `side`; smaller patterns are kept as they are, NaN counts as 0."""
    rows, cols = pattern.shape[-2:]
    filled = np.nan_to_num(np.asarray(pattern, np.float32), nan=0.0)
    tall = np.maximum.reduceat(filled, _starts(rows, side), axis=-2)
    return np.maximum.reduceat(tall, _starts(cols, side), axis=-1)


def companded(values: np.ndarray) -> np.ndarray:
    """Values in 0..1 as bytes on a square-root scale: `value = (byte / 255) ** 2`.

    Plain bytes would turn most of real attention, which is below 1/510, into 0.
    """
    root = np.sqrt(np.clip(np.nan_to_num(np.asarray(values, np.float32), nan=0.0), 0.0, 1.0))
    return np.rint(255.0 * root).astype(np.uint8)


def thumbnails(patterns: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Attention patterns `[..., query_pos, key_pos]` as pictures `[..., s, s]` for `Panel.thumbnails`."""
    return companded(pooled(patterns, side))


def _starts(length: int, side: int) -> np.ndarray:
    pixels = min(length, side)
    return np.arange(pixels) * length // pixels
