"""Selection: the cells that a person, or a rule, picked; and the verbs that turn them into a Recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .grid import Grid
from .site import Site

if TYPE_CHECKING:
    from .intervention import Recipe


@dataclass(frozen=True)
class Selection:
    """An ordered set of Sites, and the provenance of the map they were picked in."""

    sites: tuple[Site, ...]
    provenance: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        strangers = [site for site in self.sites if not isinstance(site, Site)]
        if strangers:
            raise TypeError(f"a Selection holds Sites, not {strangers[0]!r}")
        object.__setattr__(self, "sites", tuple(dict.fromkeys(self.sites)))

    @classmethod
    def from_grid(
        cls,
        grid: Grid,
        top: int | None = None,
        above: float | None = None,
        sites: Sequence[Site] | None = None,
        by: str = "magnitude",
    ) -> Selection:
        """The cells of `grid` that exactly one rule picks; see `Grid.select`."""
        if sum(rule is not None for rule in (top, above, sites)) != 1:
            raise ValueError("give exactly one of top=, above= or sites=, for instance grid.select(top=8)")
        if sites is not None:
            for site in sites:
                grid.index(site)
            return cls(tuple(sites), grid.provenance)
        if top is not None and top < 0:
            raise ValueError(f"top must be a number of cells, not {top}")
        if above is not None and above != above:
            raise ValueError("above is not a number")
        ranked = grid.top(grid.values.size, by=by)
        if above is not None:
            return cls(tuple(site for site, value in ranked if abs(value) > above), grid.provenance)
        return cls(tuple(site for site, _ in ranked[:top]), grid.provenance)

    def __len__(self) -> int:
        return len(self.sites)

    def __iter__(self) -> Iterator[Site]:
        return iter(self.sites)

    def __str__(self) -> str:
        return ", ".join(str(site) for site in self.sites) or "nothing"

    def switch_off(self, kind: str = "mean", reference: Sequence[str] | None = None, seed: int = 0) -> Recipe:
        """Replace each picked activation by its mean over `reference` texts, by zero, or by that on one of the texts.

        kind: "mean", "zero" or "resample"; see `steer.amplitude`.
        """
        from .steer import amplitude

        return amplitude.switch_off(self, kind=kind, reference=reference, seed=seed)

    def scale(self, factor: float) -> Recipe:
        """Multiply each picked activation by `factor` (0 = zero, 1 = unchanged, 2 = twice as strong)."""
        from .steer import amplitude

        return amplitude.scale(self, factor)

    def clamp(self, low: float | None = None, high: float | None = None) -> Recipe:
        """Keep each picked activation between `low` and `high`, in the activation's own units; None is no bound."""
        from .steer import amplitude

        return amplitude.clamp(self, low, high)

    def replace(self, prompt: str) -> Recipe:
        """Take each picked activation from the run of another prompt with as many tokens."""
        from .steer import amplitude

        return amplitude.replace(self, prompt)

    def knock_out(self, pairs: Sequence[tuple[int, int]] | None = None, renormalise: bool = False) -> Recipe:
        """Cut the picked heads' attention between pairs of positions (query, key); see `steer.amplitude`."""
        from .steer import amplitude

        return amplitude.knock_out(self, pairs, renormalise)
