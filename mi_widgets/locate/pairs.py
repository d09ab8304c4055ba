"""Pairs: the items of a task that count for a map, and what a map of them has in common.

A pair that the model does not solve (m(clean) − m(corrupt) under 1 logit of logit difference) says nothing about how
it is solved: it is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ..grid import Axis
from ..model import Model
from ..run import metric_name, pair_ids, pair_reader
from ..site import Site
from ..task import SPLITS, Pair, Task
from .features import feature_axis
from .places import Places

_SOLVED = 1.0
_SLOPED = ("logit_diff", "logprob")  # metrics whose gradient says something
Ids = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of a task's split, and those of them that the model solves. Made on the model's worker.

    source: the model's provenance when they were made, with the weights' hash.
    """

    model: Model
    task: Task
    items: tuple[Pair, ...]
    solved: tuple[Pair, ...]
    source: dict[str, Any]
    prepend_bos: bool | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        task: Task,
        split: str,
        patching: bool = True,
        metrics: Sequence[str] = _SLOPED,
        prepend_bos: bool | None = None,
        gap: Callable[[Pair], float] | None = None,
    ) -> Pairs:
        """The pairs of a split (all items where a task has no splits).

        patching: clean and corrupt must have one length, since activations go from one to the other. metrics: those
        that the map can take. gap: m(clean) − m(corrupt), where the caller makes both runs anyway, or edits them.
        """
        if task.metric not in metrics:
            raise ValueError(
                f"the metric must be {', '.join(metrics[:-1])} or {metrics[-1]}, read at the last position, "
                f"not {task.metric!r}"
            )
        items = tuple(task.split(split if task.has_splits or split not in SPLITS else "all"))
        every = cls(model, task, items, items, model.provenance, prepend_bos)
        if patching:
            for pair in items:
                every._check_length(pair)
        solved = tuple(pair for pair in items if every.solves(pair, gap))
        if not solved:
            raise ValueError(f"{model.name} solves none of the {len(items)} pairs, so there is nothing to locate")
        return replace(every, solved=solved)

    def check_weights(self) -> None:
        """Raise `WeightsChanged` where the weights have changed since these were made; to be called at a map's end."""
        self.model.check_weights(self.source["weights"])

    def _check_length(self, pair: Pair) -> None:
        clean, corrupt = (ids.shape[1] for ids in self.ids(pair))
        if clean != corrupt:
            raise ValueError(
                f"patching needs prompts of equal length: {pair.clean!r} has {clean} tokens, {pair.corrupt!r} {corrupt}"
            )

    def solves(self, pair: Pair, gap: Callable[[Pair], float] | None = None) -> bool:
        """Whether a pair counts; `gap` as in `of`. Only a logit difference says that one doesn't."""
        return self.task.metric != "logit_diff" or (gap or self._gap)(pair) >= _SOLVED

    def _gap(self, pair: Pair) -> float:
        clean, corrupt = (last_value(self.model, self.read(pair), ids) for ids in self.ids(pair))
        return clean - corrupt

    def ids(self, pair: Pair) -> Ids:
        """Clean and corrupt, [1, pos] each."""
        return pair_ids(self.model, pair, self.prepend_bos)

    def runs(self, pair: Pair, method: str) -> Ids:
        """(base, source), [1, pos] each: the prompt that is edited, and where other activations come from."""
        clean, corrupt = self.ids(pair)
        return (corrupt, clean) if method == "denoise" else (clean, corrupt)

    @property
    def texts(self) -> tuple[str, ...]:
        """The clean and corrupt prompts of all items, each once."""
        return tuple(dict.fromkeys(text for pair in self.items for text in (pair.clean, pair.corrupt)))

    def encoded(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Ids [1, pos] of other texts, made as the pairs' own are."""
        return [self.model.ids(text, self.prepend_bos) for text in texts]

    def line_up(self, prompts: Sequence[torch.Tensor]) -> bool:
        """Whether prompts [1, pos] and all clean ones have one length, so that means are taken by position."""
        cleans = (self.ids(pair)[0] for pair in self.solved)
        return len({ids.shape[1] for ids in (*prompts, *cleans)}) == 1

    @cached_property
    def places(self) -> Places:
        """What their position axis means, and each pair's own positions on it."""
        return Places.of(self.model, self.solved, self.prepend_bos)

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
            **self.source,
            "prompt": first.clean,
            "answer": first.answer,
            "foil": first.foil,
            "task": self.task.name,
            "pairs": len(self.solved),
            "pairs not solved": len(self.items) - len(self.solved),
            "seed": self.task.seed,
            **({} if self.prepend_bos is None else {"prepend_bos": self.prepend_bos}),
        }

    def axis(self, name: str, kind: str, part: str) -> Axis:
        """The axis `layer`, `head`, `neuron` or `position` of a map of these pairs."""
        if name == "position":
            return self.places.axis
        if kind == "feature":
            return feature_axis(self.model, name, part)
        count = self.model.n_layers if name == "layer" else self.model.count(Site(kind, 0, 0, part))
        if not count:
            raise ValueError(f"{self.model.name} does not say how many {name}s a layer has")
        return Axis(name, tuple(range(count)))


def first_solved(model: Model, task: Task) -> Pair:
    """The first item that the model solves, of all; the first of all where it solves none. On the model's worker."""
    every = Pairs(model, task, task.items, task.items, model.provenance)
    return next(filter(every.solves, task.items), task.items[0])


def last_value(model: Model, read: Callable[[torch.Tensor], torch.Tensor], ids: torch.Tensor) -> float:
    """A metric of the last position, the only one that is unembedded."""
    return float(read(model.last_logits(ids)))


def mean(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """One map out of one for each pair."""
    return torch.stack([each.double() for each in maps]).mean(0)
