"""Rivals: directions that aim at nothing in particular, as controls of those in a recipe.

Of a direction that is added there are two kinds, half of the draws each: isotropic ones, which are mild, since most
directions of a stream mean nothing to the model; and differences of the means of its own texts with the labels
shuffled, which lie where texts like these differ. Both have its length and strength. Where a direction keeps no texts,
all are isotropic. Of a direction that is projected out: one at right angles to it, random, and tilted toward where the
stream is large until as much is taken out: E[(x · u)²] = E[(x · v)²] at its own place over the tokens of its texts, or
of neutral ones, the first left out. Where nothing at right angles is as large, it comes as near as it can, and
`describe` says so.
"""

from __future__ import annotations

import random
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ..direction import Direction
from ..intervention import Recipe
from ..model import Model
from ..steer import neutral
from ..steer.contrast import points, read

_ISOTROPIC, _SHUFFLED, _AS_LARGE, _LESS = "random", "shuffled labels", "as large", "less"
_ENOUGH = 0.99  # of what the direction takes out counts as much
_FLOOR = 1e-6  # of the largest variance: no direction of the stream counts as less
_MOST_TILT, _HALVINGS = 20.0, 60
_MOST_KEPT = 64
_kept: weakref.WeakKeyDictionary[Model, dict[tuple[str, str, str], Any]] = weakref.WeakKeyDictionary()

T = TypeVar("T")


@dataclass
class Rivals:
    """A draw of other directions for each one in a recipe, time after time."""

    own: Sequence[_Own]
    draws: int = 0

    @classmethod
    def of(cls, model: Model, recipe: Recipe) -> Rivals:
        """Those of a recipe's directions; texts are read once, when they are first needed."""
        steps = [step for step in recipe.interventions if step.direction]
        out = {step.direction for step in steps if step.op == "project_out"}
        directions = dict.fromkeys(step.direction for step in steps if step.direction)
        return cls([_Own(model, direction, direction in out) for direction in directions])

    def draw(self, rng: random.Random) -> dict[Direction, Direction]:
        """Another direction for each; every second time from labels shuffled alike for all that keep texts."""
        self.draws += 1
        labels = rng.getrandbits(32) if self.draws % 2 == 0 else None
        return {one.direction: one.draw(rng, labels) for one in self.own}


@dataclass
class _Own:
    """A direction, and what its rivals are made of."""

    model: Model
    direction: Direction
    projected_out: bool

    def draw(self, rng: random.Random, labels: int | None) -> Direction:
        """labels: the seed of a shuffle, or None for an isotropic direction."""
        if self.projected_out:
            return self._like(*self._as_large(rng))
        labelled = self.direction.positive and self.direction.negative
        difference = self._shuffled(random.Random(labels)) if labelled and labels is not None else None
        if difference is None:
            return self._like(_normal(rng, len(self.direction.vector)), _ISOTROPIC)
        return self._like(difference, _SHUFFLED)

    def _like(self, vector: np.ndarray, kind: str) -> Direction:
        bare = replace(self.direction, name=kind, positive=(), negative=(), provenance={}, kind=kind)
        return replace(bare, vector=vector.astype(np.float32))

    def _shuffled(self, rng: random.Random) -> np.ndarray | None:
        """A difference of means of the texts in two other sets of the same sizes; None for the sets themselves."""
        up, down = _once(self.model, self.direction, points)
        every, chosen = np.concatenate([up, down]), set(rng.sample(range(len(up) + len(down)), len(up)))
        rest = set(range(len(every))) - chosen
        if set(range(len(up))) in (chosen, rest):
            return None
        difference = every[sorted(chosen)].mean(0) - every[sorted(rest)].mean(0)
        return difference if difference.any() else None

    def _as_large(self, rng: random.Random) -> tuple[np.ndarray, str]:
        """A random direction, its parts times their axes' variances to the power that takes out as much."""
        wanted, variances, axes = _once(self.model, self.direction, _stream)
        vector = self.direction.vector.astype(np.float64)
        drawn = _normal(rng, len(vector))
        drawn -= (drawn @ vector) * vector
        parts = axes @ drawn
        rest = drawn - parts @ axes  # where no token has anything
        shares = np.maximum(variances / variances.max(), _FLOOR)

        def tilted(power: float) -> np.ndarray:
            turned = (parts * shares**power) @ axes + rest * _FLOOR**power
            return turned / np.linalg.norm(turned)

        def taken(power: float) -> float:  # grows with the power
            return float(((axes @ tilted(power)) ** 2 * variances).sum())

        low, high = -_MOST_TILT, _MOST_TILT
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if taken(middle) < wanted else (low, middle)
        return tilted(high), _AS_LARGE if taken(high) >= _ENOUGH * wanted else _LESS


def _stream(model: Model, direction: Direction) -> tuple[float, np.ndarray, np.ndarray]:
    """What a direction takes out of a token on average; and of what is left, variances and their axes [axis, width]."""
    texts = (*direction.positive, *direction.negative) or neutral()
    tokens = np.concatenate(read(model, texts, [direction.site])[0]).astype(np.float64)
    vector = direction.vector.astype(np.float64)
    along = tokens @ vector
    _, lengths, axes = np.linalg.svd(tokens - along[:, None] * vector, full_matrices=False)
    return float((along**2).mean()), lengths**2 / len(tokens), axes


def _once(model: Model, direction: Direction, make: Callable[[Model, Direction], T]) -> T:
    """What `make` reads in a model as its weights are now; kept, so that a click does not read the texts again."""
    kept, key = _kept.setdefault(model, {}), (model.weights, direction.hash, make.__name__)
    if key not in kept:
        while len(kept) >= _MOST_KEPT:
            kept.pop(next(iter(kept)))
        kept[key] = make(model, direction)
    return kept[key]


def _normal(rng: random.Random, width: int) -> np.ndarray:
    return np.random.default_rng(rng.getrandbits(32)).standard_normal(width)


def describe(found: Sequence[Recipe]) -> str:
    """What the directions of control recipes are, in words."""
    kinds = Counter(
        kind for control in found for kind in {step.direction.kind for step in control.interventions if step.direction}
    )
    if _LESS in kinds:
        return "random directions of which there is less to take out"
    if _AS_LARGE in kinds:
        return "random directions of which there is as much to take out"
    if _SHUFFLED not in kinds:
        return "random directions of the same length"
    shuffled = f"{kinds[_SHUFFLED]} from the same texts with shuffled labels"
    return f"directions of the same length ({kinds[_ISOTROPIC]} random, {shuffled})"
