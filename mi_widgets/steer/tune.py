"""Tune: fine-tune only what was located, as additions to its weights.

What is trained are differentiable additions that enter the pass by functional hooks; the model's own weights ask for no
gradient and stay. The result is a Recipe of deltas, which composes, is saved and is run like any other. Low-rank
additions are trained by the same loop and not by peft: an adapter of peft wraps whole modules of a second copy of the
model, and cannot be held to the rows and columns of a located head.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..delta import Delta
from ..intervention import Intervention, Recipe
from ..model import Model, addition, descend
from ..model.hooks import as_hooks
from ..model.tokens import batches
from ..progress import Progress, ticker
from ..run import pair_reader
from ..task import Pair, Task
from .block import Block, Objects, blocks

_RATES = {"full": 1e-3, "lora": 1e-2}


def tune(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    objects: Objects = "all",
    method: str = "full",
    steps: int = 8,
    lr: float | None = None,
    rank: int = 8,
    batch: int | None = None,
    seed: int = 0,
    split: str = "fit",
    progress: Progress = True,
) -> Recipe:
    """A Recipe of weight deltas, trained so that the answers of a task's clean prompts become likely.

    objects: a Selection or sites (heads, their q, k or v, neurons, FFN outputs, weights), layers, or "all"; see
        `steer.block.blocks` for what each owns. Embeddings, norms and biases are never trained. On grouped heads a
        key-value head is trained only when all query heads that read it are among the objects.
    method: "full", a number for each weight; or "lora" (Hu et al. 2022), left · right of rank `rank` for each block of
        weights, `left` drawn with `seed`, `right` from zero.
    steps, lr: of Adam; by default 1e-3, and 1e-2 for "lora". The loss is the mean cross-entropy of the answer among all
        tokens at the last position (of several answers, of their sum).
    batch: prompts a step, drawn with `seed`; None for the whole split. split: without splits, all items.

    What it cannot show: that it was worth locating anything. Random heads or neurons of the same number often do as
    well; `mi.improve.compare_training` puts them, and all weights, beside it.

    Cost: `steps` forward and backward passes of the batch; with "full" 16 bytes for each weight trained, which for
    "all" is four times a float32 model. Deterministic for a seed on one machine. Raises ValueError for objects without
    weights, and where the loss is no number.
    """
    model, task = Model.of(model), Task.of(task)
    if method not in _RATES:
        raise ValueError(f"method must be 'full' or 'lora', not {method!r}")
    for name, number in (("steps", steps), ("rank", rank), ("batch", batch), ("lr", lr)):
        if number is not None and not number > 0:
            raise ValueError(f"{name} must be above 0, not {number!r}")
    rate, tick = _RATES[method] if lr is None else lr, ticker(progress, "step")
    named = split if task.has_splits else "all"
    pairs = task.split(named)

    def work() -> Recipe:
        parts = [_Part.of(model, block, rank if method == "lora" else None, seed) for block in blocks(model, objects)]
        lesson = _Lesson(model, pairs, parts, batch or len(pairs), seed)
        losses = descend(model, [leaf for part in parts for leaf in part.leaves], lesson.loss, steps, rate, tick)
        return Recipe(
            tuple(part.step() for part in parts),
            {
                **model.provenance,
                "method": "fine-tuning" if method == "full" else f"fine-tuning, rank {rank}",
                "prompt": pairs[0].clean,
                "task": task.name,
                "split": named,
                "pairs": len(pairs),
                "steps": steps,
                "lr": rate,
                "batch": lesson.size,
                "seed": seed,
                "parameters": sum(leaf.numel() for part in parts for leaf in part.leaves),
                "losses": losses,
            },
        )

    return model.do(work)


@dataclass(frozen=True)
class _Part:
    """A block of a weight, and what is added to it: `left` [rows, columns], or left [rows, rank] · right."""

    block: Block
    left: torch.Tensor
    right: torch.Tensor | None

    @classmethod
    def of(cls, model: Model, block: Block, rank: int | None, seed: int) -> _Part:
        rows, columns = block.shape(model)
        device = model.twin.cfg.device
        if rank is None:
            return cls(block, torch.zeros(rows, columns, device=device), None)
        generator = torch.Generator().manual_seed(seed)
        left = torch.randn(rows, min(rank, rows, columns), generator=generator) / math.sqrt(rows)
        return cls(block, left.to(device), torch.zeros(left.shape[1], columns, device=device))

    @property
    def leaves(self) -> list[torch.Tensor]:
        return [self.left] if self.right is None else [self.left, self.right]

    def step(self) -> Intervention:
        left, right = (None if leaf is None else leaf.detach().cpu().numpy() for leaf in (self.left, self.right))
        assert left is not None
        return Intervention("delta", self.block.site, delta=Delta(left, right, self.block.rows, self.block.columns))


class _Lesson:
    """The loss of a step: the mean cross-entropy of the answers of some of the pairs."""

    def __init__(self, model: Model, pairs: Sequence[Pair], parts: Sequence[_Part], size: int, seed: int) -> None:
        self.model, self.size = model, min(size, len(pairs))
        self.ids = [model.ids(pair.clean) for pair in pairs]
        self.reads = [pair_reader(model, "logprob", pair) for pair in pairs]
        edits = [
            addition(part.block.site, part.left, part.right, part.block.rows, part.block.columns) for part in parts
        ]
        self.hooks, self.rng = as_hooks(edits), random.Random(seed)

    def loss(self, step: int) -> Iterator[torch.Tensor]:
        chosen = sorted(self.rng.sample(range(len(self.ids)), self.size))
        for numbers, ids in batches([self.ids[n] for n in chosen]):
            logits = self.model.last_logits(ids, self.hooks)
            rows = [self.reads[chosen[n]](logits[row : row + 1]) for row, n in enumerate(numbers)]
            yield -torch.cat(rows).sum() / self.size
