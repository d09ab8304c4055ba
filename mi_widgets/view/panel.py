"""One heatmap as a value: numbers, two labelled axes, and the words that say how to read them."""

import base64
import sys
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

_KNOWN = {"scale": ("signed", "sequential"), "spacing": ("even", "log"), "bright": ("high", "low")}
Token = dict[str, Any]
"""A token label as it crosses to the page: `index id text kind bos`."""


class Axis(NamedTuple):
    """One side of a heatmap: the axis word (`layer head position query_pos key_pos`) and a label a row or column.

    places: of cells that are sites, the numbers of each row or column, one for each word of the name (`layer·head`).
    """

    name: str
    labels: Sequence[str]
    places: Sequence[Sequence[int]] = ()


class Top(NamedTuple):
    """What a cell's hover card lists: the k largest, as indices into the panel's vocabulary."""

    ids: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Panel:
    """A heatmap and how to read it. Contradictions are refused when it is made.

    `values` is `[rows, cols]`; NaN means *not computed*. Everything else is keyword only.
    """

    name: str
    """Unique in its view: `heads`, `residual`, `lens`, `pattern`."""
    rows: Axis
    cols: Axis
    values: np.ndarray
    _: KW_ONLY
    title: str = ""
    """What is drawn, in words."""
    scale: Literal["signed", "sequential"] = "signed"
    """Blue-orange around zero, or cividis from the low end of `range`."""
    unit: str = ""
    quantity: str = ""
    """What the number is, in the few words that stand beside it in a card: `rank of " Paris"`."""
    sign: str = ""
    """One sentence for the legend: what a positive number means."""
    notes: Sequence[str] = ()
    """Further sentences for the legend: what the colours go to, how many numbers are exact."""
    toward: Literal[1, -1, 0] = 1
    """The sign that supports the answer, which is always drawn blue; 0 where there is no answer to support."""
    range: tuple[float, float] | None = None
    """The colour range; left out, it is taken from the values outside the excluded columns."""
    spacing: Literal["even", "log"] = "even"
    """How colours are spaced: evenly, or by log(1 + distance from the low end, or from 0 where `scale` is signed)."""
    bright: Literal["high", "low"] = "high"
    """Which end of a sequential scale is bright: "low" where less is better."""
    excluded: Sequence[int] = ()
    """Columns outside the colour scale (the BOS column)."""
    causal: bool = False
    """Cells above the diagonal cannot exist: they are drawn empty, not as "not computed"."""
    texts: np.ndarray | None = None
    """What is written in a cell, as an index into `vocabulary`; -1 writes nothing."""
    top: Top | None = None
    vocabulary: Sequence[Token] | None = None
    thumbnails: np.ndarray | None = None
    """A picture a cell, `uint8 [rows, cols, s, s]`, square-root companded (see `picture`)."""
    pictured: tuple[float, float] = (0.0, 1.0)
    """What the bytes of a picture reach from and to: (0, most), or (-most, most) for signed ones."""
    grouped: int = 1
    """How many columns side by side belong together (heads that share a key-value head); 1: each for itself."""
    estimated: np.ndarray | None = None
    """True where a number is an estimate; drawn smaller than its cell, and said."""
    kind: str = ""
    """What the cells are, as in `Site`; "" where they are no places in a model."""
    part: str = ""
    instrument: str = ""
    """Which part of its view draws it; the page groups panels by it."""

    def __post_init__(self) -> None:
        shape = (len(self.rows.labels), len(self.cols.labels))
        _require(self.values.shape == shape, f"values are {self.values.shape}, the labels {shape}")
        _require(not np.isinf(self.values).any(), "values has infinities, which no colour can show")
        for name, known in _KNOWN.items():
            given = getattr(self, name)
            _require(given in known, f"{name} is {given!r}, not {known[0]!r} or {known[1]!r}")
        _require(all(0 <= column < shape[1] for column in self.excluded), f"excluded names no column: {self.excluded}")
        _require(self.estimated is None or self.estimated.shape == shape, "estimated is not of the values' shape")
        self._check_pictures(shape)
        self._check_words(shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[0], self.values.shape[1]

    def wire(self) -> dict[str, Any]:
        """The panel as it crosses to the page: docs/views.md, "A panel"."""
        return {
            "name": self.name,
            "title": self.title,
            "rows": _axis(self.rows),
            "cols": _axis(self.cols),
            "values": array(self.values, np.float32),
            "scale": self.scale,
            "range": list(self.range or colour_range(self.values, self.scale, self.excluded)),
            "unit": self.unit,
            "quantity": self.quantity,
            "sign": self.sign,
            "notes": list(self.notes),
            "toward": self.toward,
            "spacing": self.spacing,
            "bright": self.bright,
            "excluded": [int(column) for column in self.excluded],
            "causal": self.causal,
            "texts": None if self.texts is None else array(self.texts, np.int32),
            "top": None if self.top is None else _top(self.top),
            "vocabulary": None if self.vocabulary is None else list(self.vocabulary),
            "thumbnails": None if self.thumbnails is None else array(self.thumbnails, np.uint8),
            "pictured": list(self.pictured),
            "grouped": self.grouped,
            "estimated": None if self.estimated is None else array(self.estimated, np.uint8),
            "kind": self.kind,
            "part": self.part,
            "instrument": self.instrument,
        }

    def _check_pictures(self, shape: tuple[int, int]) -> None:
        if self.thumbnails is None:
            return
        _require(self.thumbnails.dtype == np.uint8, f"thumbnails are {self.thumbnails.dtype}, not uint8")
        _require(
            self.thumbnails.ndim == 4 and self.thumbnails.shape[:2] == shape,
            f"thumbnails are {self.thumbnails.shape}, not [{shape[0]}, {shape[1]}, s, s]",
        )
        low, high = self.pictured
        _require(high > 0 and low in (0, -high), f"pictured is {self.pictured}, not (0, most) or (-most, most)")

    def _check_words(self, shape: tuple[int, int]) -> None:
        known = len(self.vocabulary or ())
        indices = [array for array in (self.texts, self.top and self.top.ids) if array is not None]
        for index in indices:
            _require(index.shape[:2] == shape, f"an array of words is {index.shape}, the panel {shape}")
            _require(index.size == 0 or int(index.max()) < known, f"a word's index is beyond the {known} in vocabulary")
        if self.top is not None:
            _require(self.top.ids.shape == self.top.values.shape, "top has as many values as ids, or is wrong")


def array(values: np.ndarray, dtype: type[np.generic]) -> dict[str, Any]:
    """An array as it crosses to the page: shape, dtype and bytes together, little endian, C order.

    In Google Colab, whose widget manager has lost binary messages (googlecolab/colab-cdn-widget-manager#8), the bytes
    are base64 text.
    """
    plain = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).tobytes()
    data = base64.b64encode(plain).decode() if "google.colab" in sys.modules else plain
    return {"shape": list(np.shape(values)), "dtype": np.dtype(dtype).name, "data": data}


def colour_range(values: np.ndarray, scale: str, excluded: Sequence[int] = (), low: float = 0.0) -> tuple[float, float]:
    """The colours' ends: symmetric around 0 if signed; else from `low`, or from the least value if that is less."""
    kept = np.delete(np.asarray(values, np.float64), list(excluded), axis=1)
    finite = kept[np.isfinite(kept)]
    if scale == "signed":
        most = float(np.abs(finite).max(initial=0.0)) or 1.0
        return -most, most
    low, high = float(finite.min(initial=low)), float(finite.max(initial=-np.inf))
    return low, high if high > low else low + 1.0


def _axis(axis: Axis) -> dict[str, Any]:
    places = [[int(number) for number in place] for place in axis.places]
    return {"name": axis.name, "labels": [str(label) for label in axis.labels], "places": places}


def _top(top: Top) -> dict[str, Any]:
    return {"ids": array(top.ids, np.int32), "values": array(top.values, np.float32)}


def _require(condition: object, problem: str) -> None:
    if not condition:
        raise ValueError(f"This panel cannot be drawn: {problem}.")
