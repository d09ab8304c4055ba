"""Evaluate: the evidence card of an edit.

Effect = metric(edited) − metric(unedited) on the clean prompts of the `report` split, paired item by item. Its interval
is a percentile bootstrap over groups. The same prompts are run under control edits (see `controls`), and the verdict
follows from the interval of effect minus mean control. Side effects are measured on neutral text in the same call.
Cost: for each item one forward pass, and one batched pass of 1 + controls rows from the first edited layer on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..card import Card
from ..intervention import Recipe
from ..model import Model
from ..progress import Progress, ticker
from ..run import Run, checked, pair_reader, run
from ..steer import neutral
from ..task import Pair, Task
from .controls import controls as draw_controls
from .controls import describe

_RESAMPLES = 2000


def evaluate(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    recipe: Recipe,
    metric: str | Callable[[Run], float] | None = None,
    controls: int = 20,
    seed: int = 0,
    progress: Progress = True,
) -> Card:
    """The Card of a recipe on a task's `report` split.

    metric: another one than the task's. controls: number of control draws (5 cannot show more than p = 1/6).
    Raises when the task has too few groups to hold any back, and when the recipe changes nothing.
    """
    model, task, recipe = Model.of(model), Task.of(task), checked(recipe)
    if controls < 1:
        raise ValueError(f"an effect is shown beside at least one control, not {controls}")
    if all(step.changes_nothing for step in recipe.interventions):
        raise ValueError("the recipe changes nothing, so there is nothing to evaluate")
    metric = metric or task.metric
    items = task.report
    rivals = model.do(lambda: draw_controls(model, recipe, controls, seed, _shortest(model, items)))
    if not rivals:
        raise ValueError("there are no other places to draw a control from; use fewer cells")
    tick = ticker(progress, "item")
    rows = []
    for number, pair in enumerate(items):
        rows.append(model.do(lambda pair=pair: _measure(model, metric, pair, [recipe, *rivals])))
        tick(number + 1, len(items))
    table = np.array(rows)
    broken = np.flatnonzero(~np.isfinite(table[:, :2]).all(axis=1))
    if len(broken):
        raise ValueError(
            f"{metric} is not a number on {len(broken)} of {len(items)} items, first on {items[broken[0]].clean!r}: "
            "the edit is too strong; try recipe.at(0.1)"
        )
    return _card(model, task, metric, recipe, rivals, items, table, seed)


def _shortest(model: Model, items: Sequence[Pair]) -> int:
    return min(model.ids(pair.clean).shape[1] for pair in items)


def _measure(model: Model, metric: str | Callable[[Run], float], pair: Pair, recipes: Sequence[Recipe]) -> list[float]:
    """[unedited, then each recipe's change] of the metric on a pair's clean prompt."""
    if callable(metric):
        before = metric(run(model, pair.clean))
        return [before, *(metric(run(model, pair.clean, recipe)) - before for recipe in recipes)]
    recording = model.record(pair.clean)
    read = pair_reader(model, metric, pair)
    before = float(read(recording.logits[None]))
    changes = np.zeros(len(recipes))
    for numbers, values in model.sweep(recording, recipes, read):
        changes[numbers] = values.double().cpu().numpy() - before
    return [before, *changes.tolist()]


def _card(
    model: Model,
    task: Task,
    metric: Any,
    recipe: Recipe,
    rivals: Sequence[Recipe],
    items: Sequence[Pair],
    table: np.ndarray,
    seed: int,
) -> Card:
    """table: [item, 2 + controls] = unedited, recipe, each control."""
    effects, rival_effects = table[:, 1], table[:, 2:]
    groups = [str(pair.group) for pair in items]
    advantage = effects - rival_effects.mean(axis=1)
    return Card(
        title=f"{task.name or 'Task'}: {_shortened(str(recipe))}",
        metric=metric if isinstance(metric, str) else getattr(metric, "__name__", "metric"),
        n=len(items),
        groups=len(set(groups)),
        effect=float(effects.mean()),
        ci=bootstrap(effects, groups, seed),
        base=float(table[:, 0].mean()),
        control=describe(recipe, rivals),
        controls=tuple(rival_effects.mean(axis=0).tolist()),
        advantage=float(advantage.mean()),
        advantage_ci=bootstrap(advantage, groups, seed),
        side_effects=model.do(lambda: side_effects(model, recipe)),
        provenance={
            **model.provenance,
            "task": task.name,
            "split": "report",
            "recipe": recipe.hash,
            "seed": seed,
            **({"note": task.note} if task.note else {}),
        },
    )


def bootstrap(values: np.ndarray, groups: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean, resampling whole groups (2,000 times)."""
    names = sorted(set(groups))
    member = np.array([[group == name for group in groups] for name in names], dtype=float)
    sums, sizes = member @ values, member.sum(axis=1)
    picks = np.random.default_rng(seed).integers(len(names), size=(_RESAMPLES, len(names)))
    means = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def side_effects(model: Model, recipe: Recipe) -> dict[str, float]:
    """On the package's neutral texts, without their first token: KL(unedited || edited) a token, and perplexities."""
    divergences, losses = [], []
    for text in neutral():
        ids = model.ids(text)
        before = model.forward(ids)[0].float().log_softmax(-1)
        after = model.forward(ids, model.hooks(recipe, ids))[0].float().log_softmax(-1)
        divergences.append((before.exp() * (before - after)).sum(-1)[1:-1])
        nexts = ids[0, 2:, None]
        losses.append(torch.stack([-x[1:-1].gather(-1, nexts)[:, 0] for x in (before, after)]))
    plain, edited = torch.cat(losses, dim=1).mean(1).exp().tolist()
    return {
        "neutral text: KL a token": float(torch.cat(divergences).mean()),
        "neutral text: perplexity before": plain,
        "neutral text: perplexity after": edited,
    }


def _shortened(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
