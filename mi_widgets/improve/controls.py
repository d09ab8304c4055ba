"""Controls: edits of the same kind and size that aim at nothing in particular.

For picked cells: random sets of other cells of the same layers, none of which lies inside a picked one; an edit of
cells elsewhere, or of cells that do nothing, flatters any selection. Where the layers hold too few distinct sets,
neighbouring layers are drawn from as well, and `describe` says how many are of which kind. A direction, a
delta and a subspace stay where they are: for directions others of the same length are drawn (`rivals`), for the rest
random ones of the same size (`doubles`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..delta import Delta
from ..direction import Direction
from ..intervention import Intervention, Recipe
from ..model import Model
from ..site import Site
from ..subspace import Subspace
from .doubles import describe as describe_doubles
from .doubles import doubled, doubles, with_double
from .rivals import Rivals
from .rivals import describe as describe_rivals

Span = Sequence[int] | Sequence[None] | Sequence[int | None]
Room = tuple[int | None, Sequence[int] | None]  # the prompt's length, and the positions that are open
_TRIES = 40  # attempts to draw one more distinct set before the circle of layers is widened
_FARTHEST = 3  # layers away, at most


def controls(
    model: Model,
    recipe: Recipe,
    draws: int = 20,
    seed: int = 0,
    length: int | None = None,
    positions: Sequence[int] | None = None,
) -> list[Recipe]:
    """Up to `draws` distinct control recipes; fewer where fewer exist, and then their number is what is printed.

    length: the prompt's number of tokens, so that controls of position cells find other positions. positions: only
    these, counted as those of the recipe are; where an edit can do nothing a control would say nothing.
    """
    rng, rivals = random.Random(seed), Rivals.of(model, recipe)
    found: dict[frozenset[tuple[str, ...]], Recipe] = {}
    for reach in range(_FARTHEST + 1):
        misses = 0
        while len(found) < draws and misses < _TRIES:
            drawn = _draw(model, recipe, rng, (length, positions), reach, rivals)
            steps = frozenset((str(i.site), *(v.hash for v in _kept_in_place(i))) for i in drawn.interventions)
            misses += not steps or steps in found
            if steps:
                found.setdefault(steps, drawn)
    return list(found.values())


def describe(recipe: Recipe, found: Sequence[Recipe]) -> str:
    """What the controls of a recipe are, in words; to follow a number."""
    cells = _cells(recipe)
    turned = [describe_rivals(found)] if any(step.direction for step in recipe.interventions) else []
    anew = " and ".join([*turned, *describe_doubles(recipe)])
    if not cells:
        return anew
    nouns = Counter(_NOUNS.get(site.kind, site.kind) for site in cells)
    counted = " and ".join(f"{n} other {noun}{'s' * (n > 1)}" for noun, n in nouns.items())
    what = f"random sets of {counted}" if len(cells) > 1 else f"random other {next(iter(nouns))}s"
    same = "the same layer" if len(_layers(recipe)) == 1 else "the same layers"
    far = sum(not _layers(control) <= _layers(recipe) for control in found)
    where = f" ({len(found) - far} of {same}, {far} reaching into neighbouring ones)" if far else f" of {same}"
    return what + where + (f", with {anew}" if anew else "")


_NOUNS = {"residual": "residual cell", "ffn": "FFN output"}


def _cells(recipe: Recipe) -> tuple[Site, ...]:
    """The sites that a control moves elsewhere."""
    return tuple(dict.fromkeys(step.site for step in recipe.interventions if not _kept_in_place(step)))


def _kept_in_place(step: Intervention) -> list[Direction | Delta | Subspace]:
    """What of a step a control replaces by another one at the same place."""
    return [value for value in (step.direction, doubled(step)) if value is not None]


def _layers(recipe: Recipe) -> set[int | None]:
    return {site.layer for site in _cells(recipe)}


def _draw(model: Model, recipe: Recipe, rng: random.Random, room: Room, reach: int, rivals: Rivals) -> Recipe:
    """One control: the same steps at random other places, or along other directions; empty when places run out."""
    moved: dict[Site, Site] = {}
    length, _ = room
    for site in _cells(recipe):
        taken = [_absolute(place, length) for place in (*recipe.sites, *moved.values())]
        others = [place for place in _others(model, site, room, reach) if not _meets(_absolute(place, length), taken)]
        if not others:
            return Recipe()
        moved[site] = rng.choice(others)
    turned, drawn = rivals.draw(rng), doubles(recipe, rng)

    def other(step: Intervention) -> Intervention:
        if step.direction:
            return replace(step, direction=turned[step.direction])
        return with_double(step, drawn) if doubled(step) else replace(step, site=moved[step.site])

    return Recipe(tuple(map(other, recipe.interventions)))


def _meets(place: Site, taken: Sequence[Site]) -> bool:
    """Whether a place is one of those that are taken, lies inside one (a head at one position), or holds one."""

    def same(other: Site) -> bool:
        apart = None not in (place.position, other.position) and place.position != other.position
        return not apart and replace(place, position=None) == replace(other, position=None)

    return any(map(same, taken))


def _absolute(site: Site, length: int | None) -> Site:
    """The site with its position counted from the start."""
    return site if site.position is None or length is None else replace(site, position=site.position % length)


def _others(model: Model, site: Site, room: Room, reach: int) -> list[Site]:
    """Every place like `site` in the layers within reach.

    Position 0 is left out: as an attention sink of another size it would say nothing as a control.
    """
    near, deep = (site.layer or 0) - reach, (site.layer or 0) + reach
    layers: Span = [None] if site.layer is None else range(max(0, near), min(model.n_layers, deep + 1))
    indices: Span = [None] if site.index is None else range(model.count(site) or 0)
    positions = _positions(site, *room)
    return [
        replace(site, layer=layer, index=index, position=position)
        for layer in layers
        for index in indices
        for position in positions
    ]


def _positions(site: Site, length: int | None, open_: Sequence[int] | None) -> Sequence[int | None]:
    """Other positions, counted as the site's own is, so that they are right in prompts of every length."""
    if site.position is None or length is None:
        return [site.position]
    own = site.position % length
    least = 1 if site.key is None else max(1, site.key % length)  # a query sees keys up to its own position
    every = range(length) if site.position >= 0 else range(-length, 0)
    return [p for p in (every if open_ is None else open_) if least <= p % length != own]
