"""Pairs: the items of a task that count for a map, and what a map of them has in common.

A pair that the model does not solve (m(clean) − m(corrupt) under 1 logit of logit difference) says nothing about how
it is solved: it is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..grid import Axis
from ..model import Model, readout
from ..run import metric_name, pair_reader
from ..site import Site
from ..task import Pair, Task

_SOLVED = 1.0


@dataclass(frozen=True)
class Pairs:
    """The solved pairs of a task on a model; `unsolved` counts the others. Made on the model's worker."""

    model: Model
    task: Task
    solved: tuple[Pair, ...]
    unsolved: int

    @classmethod
    def of(cls, model: Model, task: Task, split: str, patching: bool = True) -> Pairs:
        """The pairs of a split (all items where a task has no splits).

        patching: clean and corrupt must have one length, since activations go from one to the other.
        """
        if task.metric not in ("logit_diff", "logprob"):
            raise ValueError(
                f"the metric must be logit_diff or logprob, whose gradient says something, not {task.metric!r}"
            )
        items = task.split(split) if task.has_splits else task.items
        if patching:
            for pair in items:
                _of_one_length(model, pair)
        solved = tuple(pair for pair in items if _solves(model, task, pair))
        if not solved:
            raise ValueError(f"{model.name} solves none of the {len(items)} pairs, so there is nothing to locate")
        return cls(model, task, solved, len(items) - len(solved))

    def read(self, pair: Pair) -> Callable[[torch.Tensor], torch.Tensor]:
        """The task's metric as a function of last logits [row, d_vocab] -> [row]."""
        return pair_reader(self.model, str(self.task.metric), pair)

    @property
    def metric(self) -> str:
        """The metric in words, for titles."""
        if len(self.solved) > 1:
            return f"{self.task.metric} ({self.task.name or 'task'}, {len(self.solved)} pairs)"
        return metric_name(str(self.task.metric), self.solved[0].answer, self.solved[0].foil)

    @property
    def unit(self) -> str:
        """The unit of differences of the metric."""
        return "logits" if self.task.metric == "logit_diff" else str(self.task.metric)

    @property
    def provenance(self) -> dict[str, Any]:
        """Model, first pair, task, and how many pairs counted."""
        first = self.solved[0]
        return {
            **self.model.provenance,
            "prompt": first.clean,
            "answer": first.answer,
            "foil": first.foil,
            "task": self.task.name,
            "pairs": len(self.solved),
            "pairs not solved": self.unsolved,
            "seed": self.task.seed,
        }

    def axis(self, name: str, kind: str, part: str) -> Axis:
        """The axis `layer`, `head`, `neuron` or `position` of a map of these pairs."""
        if name == "position":
            return self._positions()
        if name == "layer":
            return Axis("layer", tuple(range(self.model.n_layers)))
        return Axis(name, tuple(range(self.model.count(Site(kind, 0, 0, part)) or 0)))

    def _positions(self) -> Axis:
        lengths = {self.model.ids(pair.clean).shape[1] for pair in self.solved}
        if len(lengths) > 1:
            raise ValueError(
                f"position maps need prompts of one length, these have {sorted(lengths)} tokens; "
                "take one pair (task.items[0]) or a map of heads"
            )
        positions = tuple(range(lengths.pop()))
        if len(self.solved) > 1:
            return Axis("position", positions)
        labels = self.model.labels(self.model.ids(self.solved[0].clean))
        return Axis("position", positions, tuple(label["text"] for label in labels))


def _of_one_length(model: Model, pair: Pair) -> None:
    clean, corrupt = (model.ids(text).shape[1] for text in (pair.clean, pair.corrupt))
    if clean != corrupt:
        raise ValueError(
            f"patching needs prompts of equal length: {pair.clean!r} has {clean} tokens, {pair.corrupt!r} {corrupt}"
        )


def _solves(model: Model, task: Task, pair: Pair) -> bool:
    if task.metric != "logit_diff":
        return True
    read = pair_reader(model, "logit_diff", pair)
    clean, corrupt = (last_value(model, read, model.ids(text)) for text in (pair.clean, pair.corrupt))
    return clean - corrupt >= _SOLVED


def last_value(model: Model, read: Callable[[torch.Tensor], torch.Tensor], ids: torch.Tensor) -> float:
    """A metric of the last position, the only one that is unembedded."""
    return float(read(model.forward(ids, [readout.LAST_ONLY])[:, -1]))


def texts(pair: Pair, method: str) -> tuple[str, str]:
    """(base, source): what is edited, and where other activations come from."""
    return (pair.corrupt, pair.clean) if method == "denoise" else (pair.clean, pair.corrupt)


def mean(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """One map out of one for each pair."""
    return torch.stack([each.double() for each in maps]).mean(0)
