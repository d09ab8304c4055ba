"""Gate: which prompts a condition fires on, before anything is edited.

`Recipe.when(gate, above)` compares x · v at one position of the prompt with a threshold. Here are the numbers that it
compares, a threshold from labelled prompts, and how often it then fires. A gate that is exact on its own kind of prompt
may fire on every other text: give `firing` plain neutral texts beside the targets and their look-alikes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..direction import Direction
from ..intervention import Condition, Recipe
from ..model import Model
from ..model.hooks import score
from ..model.tokens import Prompt


def scores(
    model: Any,
    direction: Direction,
    prompts: Sequence[Prompt],
    position: str | int = "last_prompt",
    prepend_bos: bool | None = None,
) -> np.ndarray:
    """x · v of each prompt [prompt], float64, in the residual stream's own units: what `when` compares with `above`.

    x is the residual stream after block `direction.layer`, without any edit; position: "last_prompt" or a token
    position, from the end when negative. Larger means more like the direction's positive texts. Cost: a forward pass
    for each prompt. Raises ValueError for a position that a prompt does not have, and for a direction at a head.
    """
    model = Model.of(model)
    condition = Condition(direction, 0.0, position)  # refuses what a condition cannot read
    if isinstance(prompts, str) or len(prompts) == 0:
        raise ValueError(f"prompts must be a list of at least one prompt, not {prompts!r:.80}")

    def one(prompt: Prompt) -> float:
        ids = tuple(model.ids(prompt, prepend_bos)[0].tolist())
        return score(model, condition.direction, ids, condition.position)

    return np.array([model.do(lambda prompt=prompt: one(prompt)) for prompt in prompts])


def threshold(positive: Sequence[float] | np.ndarray, negative: Sequence[float] | np.ndarray) -> float:
    """The `above` that tells two sets of scores apart with the best balanced accuracy, for `when`.

    In the middle between two neighbouring scores; where several do equally well, in the widest gap. Take it on `fit`
    prompts and look at others with `firing`.
    """
    up, down = (np.asarray(side, dtype=float).ravel() for side in (positive, negative))
    every = np.unique(np.concatenate([up, down]))
    if not np.isfinite(every).all():
        raise ValueError("scores must be finite numbers; mi.steer.scores gives those of prompts")
    if not len(up) or not len(down) or len(every) < 2:
        raise ValueError("a threshold needs scores on both sides that are not all the same")
    middles, gaps = (every[1:] + every[:-1]) / 2, np.diff(every)
    right = (up[:, None] > middles).mean(0) + (down[:, None] <= middles).mean(0)
    return float(middles[np.lexsort((gaps, right))[-1]])


def firing(
    model: Any, gated: Recipe | Condition, sets: Mapping[str, Sequence[Prompt]], prepend_bos: bool | None = None
) -> dict[str, float]:
    """The share of each named set's prompts that a condition fires on, 0 to 1.

    gated: a Condition, or a Recipe whose steps have one. sets: for instance {"target": …, "matched": …, "borderline":
    …, "neutral": mi.steer.neutral()}; without plain texts among them a gate looks better than it is.
    """
    gate = _condition(gated)
    if not isinstance(sets, Mapping) or not sets:
        raise ValueError('sets are named lists of prompts, such as {"neutral": mi.steer.neutral()}')
    rates = {}
    for name, prompts in sets.items():
        found = scores(model, gate.direction, prompts, gate.position, prepend_bos)
        rates[name] = float((found > gate.above).mean())
    return rates


def _condition(gated: Recipe | Condition) -> Condition:
    if isinstance(gated, Condition):
        return gated
    if not isinstance(gated, Recipe):
        raise TypeError(
            f"firing takes a Recipe with a condition, not a {type(gated).__name__}: recipe.when(gate, above)"
        )
    conditions = list(dict.fromkeys(step.condition for step in gated.interventions if step.condition))
    if len(conditions) != 1:
        raise ValueError(f"the recipe has {len(conditions)} conditions, and firing is of one: recipe.when(gate, above)")
    return conditions[0]
