"""Ranking: neurons are too many to draw, so the strongest are listed, a page at a time, with what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..grid import Axis, Grid
from ..site import Site

EXACT = "exact"
_LENGTH = 20
_MOST = 50  # pages


def pages(neurons: int) -> tuple[tuple[str, str], ...]:
    """Options for a choice of a page: the ranks that each holds."""
    count = max(1, min(_MOST, -(-neurons // _LENGTH)))
    starts = [_LENGTH * page for page in range(count)]
    return tuple((str(page + 1), f"{s + 1}–{min(s + _LENGTH, neurons)}") for page, s in enumerate(starts))


@dataclass(frozen=True, eq=False)
class Page:
    """Some of a map's neurons by their rank.

    by: the map that ranks them, by size. number: of the page, from 1.
    """

    by: Grid
    number: int

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """The neurons, the strongest first."""
        return tuple(site for site, _ in self.by.top(_LENGTH * self.number)[_LENGTH * (self.number - 1) :])

    @property
    def ranks(self) -> str:
        """Which ranks these are, of how many."""
        first = _LENGTH * (self.number - 1) + 1
        return f"Ranks {first}–{first + len(self.sites) - 1} of {self.by.values.size:,}"

    def table(self, columns: Mapping[str, Grid | None]) -> Grid:
        """A row for each neuron, a column for each map; of one that is still to come nothing is computed.

        Only under `EXACT` a number is marked where it is an estimate: the other columns say what they are.
        """
        values = np.ma.masked_all((len(self.sites), len(columns)), dtype=np.float32)
        still = np.zeros(values.shape, dtype=bool)
        for column, (name, grid) in enumerate(columns.items()):
            if grid is not None:
                values[:, column] = np.ma.masked_invalid([grid.value(site) for site in self.sites])
                if name == EXACT and grid.estimated is not None:
                    still[:, column] = [grid.estimated[grid.index(site)] for site in self.sites]
        places = tuple((site.layer, site.index) for site in self.sites)
        axes = (
            Axis("layer·neuron", places, tuple(map(str, self.sites))),
            Axis("effect", tuple(range(len(columns))), tuple(columns)),
        )
        title = f"{self.by.title}. {self.ranks}"
        return replace(self.by, values=values, axes=axes, title=title, estimated=still, beside={})


__all__ = ["EXACT", "Page", "pages"]
