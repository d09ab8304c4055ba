"""Sweep: dose and response. What each strength of a direction, in each layer, does to a task's metric and to the text.

The more of a direction is added, the more of the metric moves, until the model breaks. A cell is marked as collapsed
where what the model says next on the task's prompts is nearly uniform (mean entropy within 1 % of ln d_vocab) or no
number at all, or where the perplexity of the package's neutral texts under the edit is several times what it is
without. Choose layer and strength here, on `select`; report on `report`, with `mi.evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..direction import Direction
from ..grid import Axis, Grid
from ..intervention import Recipe
from ..model import Model, Read
from ..progress import Progress, ticker
from ..run import COLLAPSED, evenness, pair_reader
from ..task import Pair, Task
from .amplitude import neutral

_STRENGTHS = (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4)
Directions = Direction | Sequence[Direction] | Callable[[int], Direction]


def sweep(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    direction: Directions,
    strengths: Sequence[float] = _STRENGTHS,
    layers: Sequence[int] | None = None,
    split: str = "select",
    perplexed: float = 3.0,
    progress: Progress = True,
    prepend_bos: bool | None = None,
) -> Grid:
    """The mean change of a task's metric on the clean prompts, for each strength of a direction; strength 0 is 0.

    direction: one (the Grid has one axis, strength), or one for each layer (layer × strength): a list, or a function of
        the layer, such as `lambda layer: mi.steer.contrast(model, positive, negative, layer)`, with `layers`.
    strengths: in units of each direction's `norm`; `provenance["natural"]` has the natural ones, drawn as strokes.

    perplexed: a cell has collapsed where the perplexity of neutral text is above this many times the unedited one.

    `grid.collapsed` marks cells in which the model broke, `grid.beside["perplexity"]` is that of neutral text there;
    `provenance["perplexity"]` without an edit. Cost: for each item a forward pass and a batched one of as many rows as
    there are cells, and for each cell a forward pass of the neutral texts. progress: told (steps done, steps in all), a
    step being an item or a cell. prepend_bos: of the task's prompts, if it is not to be TransformerLens's default.
    """
    model, task = Model.of(model), Task.of(task)
    if not isinstance(task.metric, str):
        raise ValueError("a sweep reads the last position: the metric must be logit_diff, logprob or accuracy")
    if not len(strengths):
        raise ValueError("strengths is empty: give at least one, in units of the direction's norm")
    ways = _ways(direction, layers)
    recipes = [way.add(1.0).at(float(strength)) for way in ways for strength in strengths]
    items = task.split(split) if task.has_splits else task.items
    tick, total = ticker(progress, "step"), len(items) + len(recipes)
    rows, perplexities = [], []
    for done, pair in enumerate(items, start=1):
        rows.append(model.do(lambda pair=pair: _response(model, task, pair, recipes, prepend_bos)))
        tick(done, total)
    plain = perplexity(model)
    for done, recipe in enumerate(recipes, start=len(items) + 1):
        still = all(step.changes_nothing for step in recipe.interventions)
        perplexities.append(plain if still else perplexity(model, recipe))
        tick(done, total)
    one = isinstance(direction, Direction)
    shape = (len(strengths),) if one else (len(ways), len(strengths))
    change, evenness = np.mean(rows, axis=0).T
    broken = ~(evenness <= COLLAPSED) | ~(np.array(perplexities) <= perplexed * plain)
    axes = () if one else (Axis("layer", tuple(float(way.layer) for way in ways)),)
    naturals = [way.natural for way in ways]
    return Grid(
        np.ma.asarray(change.reshape(shape)),
        (*axes, Axis("strength", tuple(float(s) for s in strengths))),
        title=f"Adding {ways[0].name!r} after {_blocks(ways)}: change of {task.metric}",
        unit="logits" if task.metric == "logit_diff" else str(task.metric),
        sign="Positive: toward the answer.",
        toward=1,
        provenance={
            "method": "strength sweep",
            **model.provenance,
            "direction": ways[0].hash if one else [way.hash for way in ways],
            "natural": naturals[0] if one else naturals,
            "task": task.name,
            "split": split if task.has_splits else "all",
            "pairs": len(items),
            "perplexity": plain,
            "perplexed": perplexed,
            **({} if prepend_bos is None else {"prepend_bos": prepend_bos}),
        },
        collapsed=broken.reshape(shape),
        beside={"perplexity": np.array(perplexities).reshape(shape)},
    )


def _ways(direction: Directions, layers: Sequence[int] | None) -> list[Direction]:
    """The directions, one for each layer."""
    if callable(direction) != (layers is not None):
        raise ValueError(
            "layers= belongs to a function of the layer, and such a function needs it: layers=range(6, 24)"
        )
    made = [direction(layer) for layer in layers or ()] if callable(direction) else direction
    ways = [made] if isinstance(made, Direction) else list(made)
    strangers = [way for way in ways if not isinstance(way, Direction)]
    if strangers or not ways:
        raise ValueError(f"a sweep takes a Direction, or several; got {strangers[0] if strangers else 'none'!r:.80}")
    places = [way.site for way in ways]
    if len(ways) > 1 and (len(set(places)) < len(places) or any(way.head is not None for way in ways)):
        raise ValueError(f"several directions are one for each layer of the residual stream; got {places[0]} and so on")
    return ways


def _blocks(ways: Sequence[Direction]) -> str:
    if len(ways) == 1:
        return f"block {ways[0].layer}" if ways[0].head is None else str(ways[0].site)
    return f"blocks {min(way.layer for way in ways)} to {max(way.layer for way in ways)}"


def _response(model: Model, task: Task, pair: Pair, recipes: Sequence[Recipe], prepend_bos: bool | None) -> np.ndarray:
    """[recipe, 2]: the change of the metric on one prompt, and how even what comes next is."""
    recording = model.record(model.ids(pair.clean, prepend_bos))
    read = pair_reader(model, str(task.metric), pair)
    both = Read(lambda logits: torch.stack([read(logits).double(), evenness(logits).double()], dim=-1))
    out = np.zeros((len(recipes), 2))
    for numbers, values in model.sweep(recording, recipes, both):
        out[numbers] = values.cpu().numpy()
    out[:, 0] -= float(read(recording.logits[None]))
    return out


def perplexity(model: Model, recipe: Recipe | None = None) -> float:
    """exp of the mean loss a token of the neutral texts under a recipe, their first token left out; one batched pass.

    Shorter texts are filled up at the end, which no token before sees.
    """

    def work() -> float:
        rows = [model.ids(text)[0] for text in neutral()]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        logits = model.forward(ids, model.hooks(recipe, ids[:1]))
        lengths = torch.tensor([len(row) for row in rows], device=ids.device)
        real = torch.arange(2, ids.shape[1], device=ids.device) < lengths[:, None]
        told, asked = logits[:, 1:-1][real].float(), ids[:, 2:][real]
        return float(torch.nn.functional.cross_entropy(told, asked).exp())

    return model.do(work)
