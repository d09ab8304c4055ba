"""Vector arithmetic: directions in the residual stream, and how much of them to add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..direction import Direction
from ..grid import Axis, Grid
from ..model import Model, hook_name
from ..run import pair_reader
from ..site import Site
from ..task import Pair, Task


def contrast(
    model: Any, positive: Sequence[str], negative: Sequence[str], layer: int, name: str = "contrast"
) -> Direction:
    """The difference of two sets of texts in the residual stream after block `layer` (difference of means).

    Each text counts as the mean over its tokens without the first, whose activation is of another size altogether.
    The Direction has length 1; `norm` is the median residual norm over the same tokens and `natural` the length of the
    mean difference in units of it. Cost: one forward pass for each text. Source: contrastive activation addition
    (Rimsky et al. 2024), difference-in-means.
    """
    model = Model.of(model)
    for name, texts in (("positive", positive), ("negative", negative)):
        if isinstance(texts, str) or not texts:
            raise ValueError(f"{name} must be a list of at least one text, not {texts!r:.80}")

    up, down = (_tokens(model, texts, layer) for texts in (positive, negative))
    difference = _mean(up) - _mean(down)
    norm = torch.cat([*up, *down]).norm(dim=-1).median().item()
    length = difference.norm().item()
    unit = (difference / length).cpu().numpy()
    sets = (tuple(positive), tuple(negative))
    return Direction(unit, layer, norm, length / norm, name, *sets, provenance=model.provenance)


def _tokens(model: Model, texts: Sequence[str], layer: int) -> list[torch.Tensor]:
    """The residual vectors [pos - 1, d_model] of each text, its first token left out, in float32."""
    if layer >= model.n_layers:
        raise ValueError(f"layer {layer}: this model has layers 0 to {model.n_layers - 1}")
    site = hook_name(Site("residual", layer, part="post"))

    def residual(text: str) -> torch.Tensor:
        return model.capture(model.ids(text), [site])[site][0, 1:].float()

    runs = [model.do(lambda text=text: residual(text)) for text in texts]  # type: ignore[misc]
    short = [text for text, run in zip(texts, runs, strict=True) if len(run) == 0]
    if short:
        raise ValueError(f"{short[0]!r} has a single token; a contrast leaves the first one out")
    return runs


def _mean(runs: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([run.mean(0) for run in runs]).mean(0)


def sweep(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    direction: Direction,
    strengths: Sequence[float] = (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4),
    split: str = "select",
) -> Grid:
    """Dose and response: the mean change of a task's metric on the clean prompts, for each strength of a direction.

    Strengths are in median residual norms, `direction.natural` is the natural one. Strength 0 is exactly 0.
    """
    model, task = Model.of(model), Task.of(task)
    if not isinstance(task.metric, str):
        raise ValueError("a sweep reads the last position: the metric must be logit_diff, logprob or accuracy")
    items = task.split(split) if task.has_splits else task.items
    values = model.do(lambda: np.mean([_response(model, task, pair, direction, strengths) for pair in items], axis=0))
    return Grid(
        np.ma.asarray(values),
        (Axis("strength", tuple(float(s) for s in strengths)),),
        title=f"Adding {direction.name!r} after block {direction.layer}: change of {task.metric}",
        unit="logits" if task.metric == "logit_diff" else str(task.metric),
        sign="Positive: toward the answer.",
        toward=1,
        provenance={
            "method": "strength sweep",
            **model.provenance,
            "direction": direction.hash,
            "natural": direction.natural,
            "task": task.name,
            "split": split if task.has_splits else "all",
            "pairs": len(items),
        },
    )


def _response(model: Model, task: Task, pair: Pair, direction: Direction, strengths: Sequence[float]) -> np.ndarray:
    recording = model.record(pair.clean)
    read = pair_reader(model, str(task.metric), pair)
    recipes = [direction.add(1.0).at(strength) for strength in strengths]
    out = np.zeros(len(recipes))
    for numbers, values in model.sweep(recording, recipes, read):
        out[numbers] = values.double().cpu().numpy()
    return out - float(read(recording.logits[None]))
