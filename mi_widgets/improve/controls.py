"""Controls: edits of the same kind and size that aim at nothing in particular.

For picked cells: random sets of other cells of the same layers, and only *active* ones, which the edit would change; an
edit of cells that do nothing flatters any selection. For a direction: random directions of the same length.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..intervention import Direction, Intervention, Recipe
from ..model import Model
from ..site import Site

_TRIES = 40  # attempts to draw one more distinct set before saying that there are no more


def controls(model: Model, recipe: Recipe, draws: int = 20, seed: int = 0, length: int | None = None) -> list[Recipe]:
    """Up to `draws` distinct control recipes; fewer where fewer exist, and then their number is what is printed.

    length: the prompt's number of tokens, so that controls of position cells find other positions.
    """
    rng = random.Random(seed)
    found: dict[tuple[Site, ...] | int, Recipe] = {}
    for number in range(draws):
        for _ in range(_TRIES):
            drawn = _draw(model, recipe, rng, length)
            key = number if any(step.op == "add" for step in recipe.interventions) else tuple(sorted(drawn.sites))
            if drawn.interventions and key not in found:
                found[key] = drawn
                break
    return list(found.values())


def describe(recipe: Recipe) -> str:
    """What the controls of a recipe are, in words."""
    if all(step.op == "add" for step in recipe.interventions):
        return "random directions of the same length"
    n = len({step.site for step in recipe.interventions})
    kind = recipe.interventions[0].site.kind
    noun = {"head": "head", "residual": "position", "ffn": "FFN output", "neuron": "neuron"}.get(kind, kind)
    return f"random sets of {n} other {noun}s of the same layers" if n > 1 else f"random other {noun}s of the same layer"


def _draw(model: Model, recipe: Recipe, rng: random.Random, length: int | None) -> Recipe:
    """One control: the same steps, each at a random other place; empty when the layers hold too few."""
    taken = set(recipe.sites)
    turned: dict[str, Direction] = {}
    steps = []
    for step in recipe.interventions:
        if step.op == "add":
            assert step.direction is not None
            if step.direction.hash not in turned:
                turned[step.direction.hash] = _random_direction(step.direction, rng)
            steps.append(replace(step, direction=turned[step.direction.hash]))
            continue
        others = [site for site in _others(model, step.site, length) if site not in taken]
        if not others:
            return Recipe()
        steps.append(_moved(step, rng.choice(others)))
        taken.add(steps[-1].site)
    return Recipe(tuple(steps))


def _moved(step: Intervention, site: Site) -> Intervention:
    return replace(step, site=site)


def _others(model: Model, site: Site, length: int | None) -> Sequence[Site]:
    """Every place of the same layer, then of the neighbouring ones when the layer has no other."""
    if site.index is not None:
        return [replace(site, index=i) for i in range(model.count(site) or 0)]
    if site.position is not None and length is not None:
        first = 1  # position 0 is an attention sink of another size; as a control it would say nothing
        absolute = site.position % length
        return [replace(site, position=p) for p in range(first, length) if p != absolute]
    layers = range(model.n_layers) if site.layer is not None else ()
    return [replace(site, layer=layer) for layer in sorted(layers, key=lambda l: abs(l - (site.layer or 0)))[1:7]]


def _random_direction(direction: Direction, rng: random.Random) -> Direction:
    draw = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(direction.vector))
    return Direction(draw.astype(np.float32), direction.layer, direction.norm, direction.natural, "random")
