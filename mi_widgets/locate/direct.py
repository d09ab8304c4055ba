"""Direct logit attribution: what each component writes straight into the metric, past everything in between.

The last residual stream is a sum: embedding, heads, biases, FFNs. With the scale of every norm on the direct path
frozen (the final norm's, and the post-norms' where a model has them), the logit difference is linear in that sum, so it
falls into parts that add up to it: centring and weight of the norms included (Elhage et al. 2021; Wang et al. 2023).
With a final soft-cap the parts add up to the metric before the cap, and the grid says so.

What it does not show: what a component does by way of later ones, which is often most of it. Beside the exact total
effect (`causal`, same axes) the difference of the two maps is the indirect part. Frozen scales also hide that a large
component shrinks all the others. Cost: one forward and one backward pass for a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..grid import Grid
from ..model import Model, backward
from ..progress import Progress, ticker
from ..task import Pair, Task
from .pairs import Pairs, mean

#: objects -> (kind, part, axes); the output of a whole attention layer is no Site
OBJECTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "heads": ("head", "z", ("layer", "head")),
    "attention": ("", "", ("layer",)),
    "ffn": ("ffn", "out", ("layer",)),
    "neurons": ("neuron", "post", ("layer", "neuron")),
}
RUNS = ("clean", "corrupt")


def direct(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    objects: str = "heads",
    run: str = "clean",
    split: str = "fit",
    progress: Progress = True,
    prepend_bos: bool | None = None,
) -> Grid:
    """What each component adds to logit(answer) − logit(foil) on the direct path; the mean over solved pairs.

    objects: heads (layer × head), attention or ffn (layer, biases included), neurons (layer × neuron, without the FFN's
        own bias).
    run: the clean or the corrupt prompts.
    prepend_bos: of the prompts, if it is not to be TransformerLens's default.

    `provenance["parts"]` has the whole sum: embedding, heads, attention biases, ffn, final biases (of the last norm and
    the unembedding), their sum, the metric, and by how much the two differ (several answers count as their logsumexp,
    which is no sum: there the difference is what it bends).
    """
    model, task = Model.of(model), Task.of(task)
    if objects not in OBJECTS:
        raise ValueError(f"objects must be one of {', '.join(OBJECTS)}, not {objects!r}")
    if run not in RUNS:
        raise ValueError(f"run must be one of {', '.join(RUNS)}, not {run!r}")
    if task.metric != "logit_diff":
        raise ValueError(f"the parts sum to a difference of logits: the metric must be logit_diff, not {task.metric!r}")
    pairs = model.do(lambda: Pairs.of(model, task, split, patching=False, prepend_bos=prepend_bos))
    tick, found = ticker(progress, "pair"), []
    for number, pair in enumerate(pairs.solved, start=1):
        found.append(model.do(lambda pair=pair: _of(pairs, pair, run, objects == "neurons")))
        tick(number, len(pairs.solved))
    return model.do(lambda: _grid(pairs, found, objects, run))


def _of(pairs: Pairs, pair: Pair, run: str, neurons: bool) -> backward.Direct:
    pairs.model.worker.check()
    return backward.direct(pairs.model, pairs.ids(pair)[RUNS.index(run)], pairs.read(pair), neurons)


def _parts(found: backward.Direct) -> dict[str, float]:
    heads, attention = float(found.heads.sum()), float(found.attention.sum())
    parts = {
        "embedding": found.embedding,
        "heads": heads,
        "attention biases": attention - heads,
        "ffn": float(found.ffn.sum()),
        "final biases": found.final_bias,
    }
    whole = sum(parts.values())
    return {**parts, "sum": whole, "metric": found.total, "off by": found.total - whole}


def _grid(pairs: Pairs, found: Sequence[backward.Direct], objects: str, run: str) -> Grid:
    pairs.check_weights()
    kind, part, names = OBJECTS[objects]
    every = [_parts(each) for each in found]
    parts = {name: float(np.mean([each[name] for each in every])) for name in every[0]}
    before = " before the soft-cap" if pairs.model.soft_cap else ""
    return Grid(
        np.ma.asarray(mean([getattr(each, objects) for each in found]).float().cpu().numpy()),
        tuple(pairs.axis(name, kind, part) for name in names),
        kind,
        part,
        title=f"{_NOUNS[objects]}: direct contribution to {pairs.metric}{before}, {run} run",
        unit="logits",
        sign=(
            f"Positive: it writes the answer. All parts sum to {parts['sum']:.4g}, the metric{before} is "
            f"{parts['metric']:.4g}. Indirect effects are not in it."
        ),
        toward=1,
        provenance={
            "method": "direct",
            **pairs.provenance,
            "base": run,
            "before soft-cap": bool(before),
            "parts": parts,
        },
    )


_NOUNS = {"heads": "Heads", "attention": "Attention layers", "ffn": "FFNs", "neurons": "Neurons"}

__all__ = ["OBJECTS", "RUNS", "direct"]
