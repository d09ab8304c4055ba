"""Mapping: from a Grid to the Panel that shows it, and from a picked cell back to the Grid's index."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

import numpy as np

from ..grid import Axis as GridAxis
from ..grid import Grid
from . import ramp
from .panel import Axis, Panel, Top, colour_range


def panel(grid: Grid, name: str, excluded: list[int] | None = None) -> Panel:
    """A Grid as one heatmap: its last axis are the columns, the axes before it the rows.

    excluded: columns outside the colour scale, such as the BOS position.
    """
    rows, cols, (spacing, bright, low) = _rows(grid), _cols(grid), ramp.of(grid.unit)
    values = np.ma.filled(grid.values.astype(np.float32), np.nan).reshape(len(rows.labels), len(cols.labels))
    scale: Literal["signed", "sequential"] = "signed" if grid.toward else "sequential"
    return Panel(
        name,
        rows,
        cols,
        values,
        title=grid.title,
        scale=scale,
        range=colour_range(values, scale, excluded or (), low),
        unit=grid.unit,
        sign=grid.sign,
        toward=grid.toward,  # type: ignore[arg-type]
        spacing=spacing,
        bright=bright,
        excluded=excluded or [],
        estimated=None if grid.estimated is None else grid.estimated.reshape(values.shape),
        kind=grid.kind,
        part=grid.part,
        **_words(grid, values.shape),
    )


def index(grid: Grid, row: int, col: int) -> tuple[int, ...]:
    """The Grid's index of a panel's cell."""
    return (*(int(i) for i in np.unravel_index(row, grid.shape[:-1] or (1,))[: len(grid.shape) - 1]), col)


def cell(grid: Grid, place: tuple[int, ...]) -> tuple[int, int]:
    """The panel's (row, col) of a Grid's index: the inverse of `index`."""
    rows = grid.shape[:-1]
    return (int(np.ravel_multi_index(place[:-1], rows)) if rows else 0), place[-1]


def _rows(grid: Grid) -> Axis:
    axes = grid.axes[:-1]
    if not axes:
        return Axis("" if grid.kind else grid.unit or "value", [""])
    labels = [_joined(axes, parts) for parts in product(*(axis.labels for axis in axes))]
    return Axis("·".join(axis.name for axis in axes), labels, _places(grid, axes))


def _cols(grid: Grid) -> Axis:
    return Axis(grid.axes[-1].name, list(grid.axes[-1].labels), _places(grid, grid.axes[-1:]))


def _joined(axes: Sequence[GridAxis], parts: Sequence[str]) -> str:
    """One label for a row of several axes: L12H3, or 12.3 where an axis has no letter."""
    if len(parts) > 1 and all(axis.name in _LETTERS for axis in axes):
        return "".join(_LETTERS[axis.name] + part for axis, part in zip(axes, parts, strict=True))
    return ".".join(parts)


_LETTERS = {"layer": "L", "head": "H", "neuron": "N", "feature": "F"}


def _places(grid: Grid, axes: Sequence[GridAxis]) -> list[tuple[int, ...]]:
    """The numbers of each row or column, where the cells are sites and the axes say which."""
    if not grid.kind or not all(axis.is_place for axis in axes):
        return []
    steps = product(*([tuple(axis.place(step).values()) for step in range(len(axis))] for axis in axes))
    return [tuple(number for numbers in place for number in numbers) for place in steps]


def _words(grid: Grid, shape: tuple[int, int]) -> dict[str, Any]:
    """What is written in the cells, and listed on hover, of a lens."""
    if grid.readings is None:
        return {}
    order = {id_: number for number, id_ in enumerate(grid.readings.vocabulary)}
    ids = np.vectorize(order.__getitem__, otypes=[np.int32])(grid.readings.ids).reshape(*shape, -1)
    values = grid.readings.values.reshape(*shape, -1)
    return {"texts": ids[..., 0], "top": Top(ids, values), "vocabulary": list(grid.readings.vocabulary.values())}
