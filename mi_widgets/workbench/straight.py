"""Straight: the part of a causal map's effect that goes straight into the logits, past all later layers.

Direct logit attribution takes a run's metric apart into what each component writes (see `locate.direct`). What an edit
takes away or puts in, it takes and puts there first: between the two runs of a pair that is the difference of their
parts, and of an activation that is set to zero the part itself. So the numbers have the sign and the unit of the total
effect, and what is missing between the two goes through later layers, or through the scales of norms, which are each
run's own and held.
"""

from __future__ import annotations

from dataclasses import replace

from ..grid import Axis, Grid
from ..locate import direct
from ..model import Model
from ..progress import Tick
from ..task import Task

#: What locate can take apart, of what a map shows.
OBJECTS = ("heads", "ffn", "neurons")
#: Methods whose edit has a direct part that is known: a mean is not among the parts of a run.
METHODS = ("denoise", "noise", "zero")


def straight(model: Model, task: Task, objects: str, method: str, progress: Tick) -> Grid:
    """The direct part of the effect of `causal` with the same objects and method; metric logit_diff.

    Heads and neurons have the axes of the total effect. An FFN has one number a layer, which is its last position's: no
    other writes into the last logits. Cost: a forward and a backward pass for each pair, two where runs are compared.
    """
    clean = _as_columns(direct(model, task, objects, "clean", split="all", progress=progress))
    noun, metric = clean.title.split(": direct contribution to ")
    metric = metric.removesuffix(", clean run")
    if method == "zero":
        return replace(
            clean,
            values=-clean.values,
            toward=-1,
            title=f"{noun}: direct part of setting each to zero on {metric}",
            sign="Negative: without it, this much less of the answer is written straight into the logits.",
            provenance={**clean.provenance, "method": "direct/zero"},
        )
    corrupt = _as_columns(direct(model, task, objects, "corrupt", split="all", progress=progress))
    side = 1 if method == "denoise" else -1
    return replace(
        clean,
        values=side * (clean.values - corrupt.values),
        toward=side,
        title=f"{noun}: direct part of {_DEEDS[method]} on {metric}",
        sign=_SIGNS[method],
        provenance={
            **clean.provenance,
            "method": f"direct/{method}",
            "base": "clean − corrupt" if side == 1 else "corrupt − clean",
            "parts": _less(clean.provenance["parts"], corrupt.provenance["parts"], side),
        },
    )


def _as_columns(grid: Grid) -> Grid:
    """One number a layer as a map with one column, to stand beside those that have a row for each layer."""
    if len(grid.axes) > 1:
        return grid
    return replace(grid, values=grid.values[:, None], axes=(*grid.axes, Axis("effect", (0,), ("direct",))))


def _less(clean: dict[str, float], corrupt: dict[str, float], side: int) -> dict[str, float]:
    return {name: side * (value - corrupt[name]) for name, value in clean.items()}


_DEEDS = {"denoise": "restoring each from the clean run", "noise": "taking each from the corrupt run"}
_SIGNS = {
    "denoise": "Positive: it writes more of the answer straight into the logits in the clean run than in the corrupt.",
    "noise": "Negative: it writes less of the answer straight into the logits in the corrupt run than in the clean.",
}

__all__ = ["METHODS", "OBJECTS", "straight"]
