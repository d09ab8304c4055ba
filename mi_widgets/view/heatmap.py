"""Heatmap: numbers to look at. What `Grid.show()` draws; a kernel is enough, a model is not needed."""

from __future__ import annotations

from collections.abc import Sequence

from ..grid import Grid
from ..selection import Selection
from ..site import Site
from . import mapping
from .loop import Loop


class Heatmap(Loop):
    """One or more panels side by side, with hover, picks and legend; no action bar unless made `runnable`."""

    stem = "heatmap"
    grid: Grid | None = None
    """What it shows, if it was made of a Grid."""

    @classmethod
    def of(cls, grid: Grid) -> Heatmap:
        """A Grid as a heatmap."""
        source = {key: str(grid.provenance[key]) for key in ("model", "weights") if key in grid.provenance}
        prompt = str(grid.provenance.get("prompt", ""))
        size = " × ".join(f"{len(axis)} {axis.name}{'s' * (len(axis) != 1)}" for axis in grid.axes)
        shown = cls([mapping.panel(grid, "grid")], title=size, prompt=prompt, provenance=source)
        shown.grid = grid
        return shown

    @property
    def selection(self) -> Selection:
        """The picked cells of the Grid as Sites; assign a Selection, or any Sites of it, to pick them."""
        grid = self._sited()
        return Selection(tuple(grid.site(mapping.index(grid, row, col)) for _, row, col in self.picks), grid.provenance)

    @selection.setter
    def selection(self, sites: Selection | Sequence[Site] | Site) -> None:
        grid = self._sited()
        self.picks = [
            (0, *mapping.cell(grid, grid.index(site))) for site in ([sites] if isinstance(sites, Site) else sites)
        ]

    def shows(self, site: Site) -> bool:
        """Whether this site is a cell on screen."""
        try:
            self._sited().index(site)
        except KeyError:
            return False
        return True

    def _sited(self) -> Grid:
        if self.grid is None or not self.grid.kind:
            raise ValueError("the cells of this heatmap are not places in a model")
        return self.grid
