"""Heatmap: numbers to look at. What `Grid.show()` draws; a kernel is enough, a model is not needed."""

from __future__ import annotations

from ..grid import Grid
from . import mapping
from .loop import Loop


class Heatmap(Loop):
    """One or more panels side by side, with hover, picks and legend; no action bar unless made `runnable`."""

    stem = "heatmap"

    @classmethod
    def of(cls, grid: Grid) -> Heatmap:
        """A Grid as a heatmap."""
        source = {key: str(grid.provenance[key]) for key in ("model", "weights") if key in grid.provenance}
        prompt = str(grid.provenance.get("prompt", ""))
        size = " × ".join(f"{len(axis)} {axis.name}{'s' * (len(axis) != 1)}" for axis in grid.axes)
        return cls([mapping.panel(grid, "grid")], title=size, prompt=prompt, provenance=source)
