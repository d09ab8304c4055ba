"""Case: one pair as a map needs it, both of its runs made and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from ..intervention import Recipe
from ..model import Model, Read, Recording, first_difference
from ..run import pair_ids, pair_reader
from ..task import Pair
from .question import Question

_KEPT = 8  # pairs whose runs are kept; those of more pairs are made again


@dataclass(frozen=True, eq=False)
class Case:
    """A pair's base run, which cells are edited in, and its other run, which patching takes values from.

    before: the base run's metric. gap: m(clean) − m(corrupt). first: the first position at which they differ.
    """

    pair: Pair
    read: Read
    base: Recording
    other: Recording
    before: float
    gap: float
    first: int

    @classmethod
    def of(
        cls,
        model: Model,
        pair: Pair,
        metric: str,
        ids: tuple[torch.Tensor, torch.Tensor],
        swap: bool,
        recipe: Recipe | None,
        names: Sequence[str],
    ) -> Case:
        """ids: clean and corrupt. swap: the corrupt run is the base. names: hooks whose values the other run keeps.

        Prompts of one length run together.
        """
        base_ids, other_ids = reversed(ids) if swap else ids
        if base_ids.shape == other_ids.shape:
            base, other = model.record_all(torch.cat([base_ids, other_ids]), recipe, names)
        else:
            (base,), (other,) = model.record_all(base_ids, recipe), model.record_all(other_ids, recipe)
        read = pair_reader(model, metric, pair)
        before, after = (float(read(recording.logits[None])) for recording in (base, other))
        first = first_difference(base_ids[0].tolist(), other_ids[0].tolist())
        return cls(pair, read, base, other, before, (after - before) * (1 if swap else -1), first)


def cases(model: Model, metric: str, question: Question, names: Sequence[str]) -> Callable[[Pair], Case]:
    """A function that makes the case of a pair, or finds it again; see `Case.of`."""

    @lru_cache(maxsize=_KEPT)
    def case(pair: Pair) -> Case:
        ids = pair_ids(model, pair, question.prepend_bos)
        return Case.of(model, pair, metric, ids, question.how == "denoise", question.recipe, names)

    return case
