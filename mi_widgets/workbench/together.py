"""Together: what the picked cells do in the terms of a causal map, all at once.

A run shows what an edit does to one prompt. A causal map shows what each cell does to the answer, alone. Between the
two lies the set: all picked cells changed as the map changes each, beside the sum of what each does alone and beside
random sets of as many other cells of the same layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..grid import Grid
from ..improve.controls import controls, describe
from ..intervention import Recipe
from ..locate import joint
from ..locate.joint import open_positions
from ..model import Model
from ..progress import Progress
from ..site import Site
from ..steer import switch_off
from ..task import Task

_DRAWS = 20
_DEEDS = {
    "denoise": "put back from the clean run",
    "noise": "taken from the corrupt run",
    "zero": "set to zero",
    "mean": "set to the mean",
}
#: Kinds of sites that a causal map has.
_KINDS = ("embedding", "residual", "head", "ffn", "neuron")


def cells_of(recipe: Recipe) -> list[Site]:
    """The cells that a recipe edits; none where one of its steps is no edit of a cell, such as an added direction."""
    steps = recipe.interventions
    plain = all(
        step.site.kind in _KINDS and step.direction is None and step.subspace is None and step.site.part != "pattern"
        for step in steps
    )
    return list(dict.fromkeys(step.site for step in steps)) if plain else []


def together(
    model: Model, task: Task, method: str, cells: Sequence[Site], length: int, progress: Progress
) -> dict[str, Any]:
    """The field `joint` of a result; docs/views.md says what is in it.

    task: all of whose items count. length: the shown prompt's number of tokens.
    """
    rivals = _rivals(model, task, method, cells, length)
    alone = [[cell] for cell in cells] if len(cells) > 1 else []
    sets = [list(cells), *alone, *(list(rival.sites) for rival in rivals)]
    effects = joint(model, task, sets, method, split="all", progress=progress)
    together, *others = (float(effect) for effect in effects.values.filled(math.nan))
    if not all(map(math.isfinite, (together, *others))):
        return {"why": f"{_named(cells, method)}: the output is not a number."}
    singles, drawn = others[: len(alone)], others[len(alone) :]
    return {
        "label": _named(cells, method) + _over(effects),
        "unit": effects.unit,
        "toward": effects.toward,
        "effect": together,
        "sum": sum(singles) if singles else None,
        "control": {
            "label": describe(_as_recipe(cells), rivals) if rivals else _NONE,
            "values": drawn,
            "beats": sum(abs(together) > abs(other) for other in drawn),
        },
    }


_NONE = "No control: there are no other places of this kind at which this edit could do something."


def _rivals(model: Model, task: Task, method: str, cells: Sequence[Site], length: int) -> list[Recipe]:
    """Random sets of as many other cells, where the edit can do something as well."""
    placed = any(cell.position is not None for cell in cells)
    tokens = any(cell.kind == "embedding" for cell in cells)
    positions = open_positions(model, task, method, tokens, split="all") if placed else None
    return controls(model, _as_recipe(cells), _DRAWS, length=length, positions=positions)


def _as_recipe(cells: Sequence[Site]) -> Recipe:
    """Any edit of the cells: only their places count."""
    return switch_off(cells, kind="zero")


def _named(cells: Sequence[Site], method: str) -> str:
    if len(cells) == 1:
        return f"{cells[0]} {_DEEDS[method]}"
    return f"{len(cells)} picked cells {_DEEDS[method]}, all at once"


def _over(effects: Grid) -> str:
    pairs = effects.provenance["pairs"]
    return f"; mean of {pairs} pairs" if pairs > 1 else ""
