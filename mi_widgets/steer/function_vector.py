"""Function vector: what located heads say together about a task, as one direction (Todd et al. 2024).

Averaged over prompts that show the task by examples, the outputs of a few heads carry the task and not the examples.
Their sum, added to the residual stream of a prompt without examples, makes the model do the task there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ..direction import Direction
from ..model import Model, hook_name
from ..model.readout import head_writes
from ..selection import Selection
from ..site import Site
from ..task import Pair, Task
from .contrast import check_sites, refuse_no_heads, residual_norms


def function_vector(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    heads: Selection | Iterable[Site],
    layer: int,
    split: str = "fit",
    name: str = "function vector",
) -> Direction:
    """The sum of what heads add to the residual stream at the last position, its mean over a task's clean prompts.

    heads: of any layers, as located on the same split, for instance by `locate.causal(...).select(top=10)`.
    layer: the direction lives after this block; the paper adds at about a third of the depth, at the last position
        alone: `vector.add(positions=[-1])`.

    What a head adds is its z W_O; on a block with a norm after attention, that norm's part of it, with the scale it had
    in that run. `norm` is the median residual norm after `layer` over the same prompts, position 0 left out, `natural`
    the sum's own length in units of it, so `add()` adds exactly the sum. Cost: two forward passes for each prompt.
    """
    model, task, sites = Model.of(model), Task.of(task), tuple(heads)
    refuse_no_heads(sites)
    check_sites(model, (*sites, Site("residual", layer, part="post")))
    items = task.split(split) if task.has_splits else task.items
    prompts = list(dict.fromkeys(pair.clean for pair in items))
    writes = [model.do(lambda prompt=prompt: _written(model, prompt, sites)) for prompt in prompts]
    vector = np.mean(writes, axis=0)
    norm = residual_norms(model, prompts, [layer])[0]
    return Direction(
        vector, layer, norm, float(np.linalg.norm(vector)) / norm, name, tuple(prompts),
        provenance=model.provenance, kind="function vector",
    )  # fmt: skip


def _written(model: Model, prompt: str, sites: Sequence[Site]) -> np.ndarray:
    """What the heads add together at the last position, [d_model]."""
    names = {site.layer: hook_name(site) for site in sites}
    scales = {layer: z.replace("attn.hook_z", "ln1_post.hook_scale") for layer, z in names.items()}
    present = [scale for scale in scales.values() if scale in model.points]
    seen = model.capture(model.ids(prompt), [*names.values(), *present], keep=lambda x: x[0, -1:].clone())
    total = torch.zeros(model.d_model, dtype=torch.float64)
    for layer, z in names.items():
        own = [site.index for site in sites if site.layer == layer]
        total += head_writes(model, layer or 0, seen[z][0], seen.get(scales[layer]))[own].double().sum(0).cpu()
    return total.numpy()
