"""Amplitude manipulation: switch located activations off, or make them stronger or weaker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..intervention import Intervention, Recipe, Reference
from ..selection import Selection
from ..site import Site

#: Plain sentences of many kinds, written for this package: the reference set when nothing closer is at hand.
_NEUTRAL = (
    "The bus stops at the corner near the old library.",
    "She wrote the number on a piece of paper and left.",
    "Most of the houses in this street have two floors.",
    "In the morning the shop opens at eight o'clock.",
    "He asked whether the train would be late again.",
    "Water boils faster in a small pot with a lid.",
    "The report has three parts and a short summary.",
    "They planted a tree behind the school last year.",
)


def neutral() -> tuple[str, ...]:
    """The package's neutral texts."""
    return _NEUTRAL


def switch_off(
    selection: Selection | Iterable[Site], kind: str = "mean", reference: Sequence[str] | None = None
) -> Recipe:
    """Replace each activation by its mean over `reference` texts ("mean"), or by zero ("zero").

    The mean is the gentler choice: zero lies far from anything the later layers have seen. Means are pooled over
    positions, except position 0, which keeps its own. Without `reference`, the package's neutral texts are used; the
    set's hash goes into the recipe.
    """
    if kind == "zero":
        return _each(selection, lambda site: Intervention("zero", site))
    if kind != "mean":
        raise ValueError(f"kind must be 'mean' or 'zero', not {kind!r}")
    texts = Reference(_NEUTRAL if reference is None else reference)  # type: ignore[arg-type]
    return _each(selection, lambda site: Intervention("mean", site, reference=texts))


def scale(selection: Selection | Iterable[Site], factor: float) -> Recipe:
    """Multiply each activation by `factor`: 0 is zero, 1 changes nothing, 2 is twice as strong."""
    return _each(selection, lambda site: Intervention("scale", site, amount=float(factor)))


def _each(selection: Selection | Iterable[Site], edit) -> Recipe:  # type: ignore[no-untyped-def]
    sites = tuple(selection)
    if not sites:
        raise ValueError("nothing is selected: pick at least one cell, for instance grid.select(top=8)")
    provenance = selection.provenance if isinstance(selection, Selection) else {}
    return Recipe(tuple(edit(site) for site in sites), dict(provenance))
