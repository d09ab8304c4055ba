"""Amplitude manipulation: switch located activations off, make them stronger or weaker, bound them, take them from
another prompt, or cut attention between positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as replace_field

from ..intervention import Intervention, Recipe
from ..reference import Reference
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
    selection: Selection | Iterable[Site],
    kind: str = "mean",
    reference: Sequence[str] | None = None,
    seed: int = 0,
) -> Recipe:
    """Replace each activation by its mean over `reference` texts ("mean"), by zero, or by one text's ("resample").

    The mean is the gentler choice: zero lies far from anything the later layers have seen. Means are pooled over
    positions, except position 0, which keeps its own. Without `reference`, the package's neutral texts are used; the
    set's hash goes into the recipe. Resampling draws one text with `seed` among those of `reference` that have at least
    as many tokens as the prompt, and takes its first ones: give texts like the task's own, for instance the corrupt
    prompts of its `fit` split. Raises ValueError when run on a prompt longer than all of them.
    """
    if kind == "zero":
        return _each(selection, lambda site: Intervention("zero", site))
    if kind == "resample":
        if reference is None:
            raise ValueError("resampling needs reference=, texts with as many tokens as the prompts that will be run")
        drawn = Reference(reference)  # type: ignore[arg-type]
        return _each(selection, lambda site: Intervention("resample", site, reference=drawn, seed=seed))
    if kind != "mean":
        raise ValueError(f"kind must be 'mean', 'zero' or 'resample', not {kind!r}")
    texts = Reference(_NEUTRAL if reference is None else reference)  # type: ignore[arg-type]
    return _each(selection, lambda site: Intervention("mean", site, reference=texts))


def scale(selection: Selection | Iterable[Site], factor: float) -> Recipe:
    """Multiply each activation by `factor`: 0 is zero, 1 changes nothing, 2 is twice as strong."""
    return _each(selection, lambda site: Intervention("scale", site, amount=factor))


def clamp(selection: Selection | Iterable[Site], low: float | None = None, high: float | None = None) -> Recipe:
    """Keep each number of each activation between `low` and `high`, in the activation's own units; None is no bound."""
    return _each(selection, lambda site: Intervention("clamp", site, low=low, high=high))


def replace(selection: Selection | Iterable[Site], prompt: str) -> Recipe:
    """Take each activation from the run of another prompt, position by position.

    The prompt must have as many tokens as the one that is run. Tokens generated later keep their own activations.
    """
    return _each(selection, lambda site: Intervention("replace", site, prompt=prompt))


def knock_out(
    selection: Selection | Iterable[Site],
    pairs: Sequence[tuple[int, int]] | None = None,
    renormalise: bool = False,
) -> Recipe:
    """Cut attention (Geva et al. 2023): each head's pattern is 0 where a query position would look at a key position.

    pairs: (query, key) positions to cut in each picked head, counted from the end when negative. Without them, the
    picked entries of patterns themselves; a whole head, or a whole row of its pattern, then looks at nothing at all.
    renormalise: rescale the rest of the row to the sum it had, as if the key had been masked before the softmax.
    `mi.locate.causal(pairs=...)` measures the cut without it.
    """
    sites = tuple(selection)
    strangers = [site for site in sites if site.kind != "head"]
    if strangers:
        raise ValueError(f"only heads attend: {strangers[0]} has no pattern to cut")
    places = [[(site.position, site.key)] if pairs is None else list(pairs) for site in sites]
    cut = [
        Site("head", site.layer, site.index, "pattern", query, key)
        for site, own in zip(sites, places, strict=True)
        for query, key in own
    ]
    if sites and not cut:
        raise ValueError("pairs is empty, so nothing would be cut; leave it out to cut whole patterns")
    made = Selection(tuple(cut), selection.provenance if isinstance(selection, Selection) else {})
    return _each(made, lambda site: Intervention("knock_out" if renormalise else "zero", site))


def _each(selection: Selection | Iterable[Site], edit) -> Recipe:  # type: ignore[no-untyped-def]
    sites = tuple(selection)
    if not sites:
        raise ValueError("nothing is selected: pick at least one cell, for instance grid.select(top=8)")
    provenance = selection.provenance if isinstance(selection, Selection) else {}
    known = provenance.get("dictionaries") or {}
    steps = (edit(site) for site in sites)
    return Recipe(tuple(_bound(step, known) for step in steps), dict(provenance))


def _bound(step: Intervention, dictionaries: Mapping[str, str]) -> Intervention:
    """A step that knows which dictionary its feature is one of, and leaves position 0, on which none is trained."""
    if step.site.kind != "feature":
        return step
    own = str(dictionaries.get(f"{step.site.layer}.{step.site.part}", ""))
    return replace_field(step, dictionary=own, spare_first=step.site.position is None)
