"""Source: what an activation is changed to. Each kind of causal map has one.

A Source makes, for one cell of one pair, the plans whose effects are averaged: one, or for `resample` one for each of
the prompts that are drawn. Values are [pos, ...] of a whole prompt, of which a plan puts its own positions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ..intervention import Recipe
from ..model import Edit, Model, Plan, first_difference, hook_name, knock_out, own, put
from ..reference import Reference
from ..site import Site
from ..task import Pair
from .case import Case
from .pairs import Pairs
from .places import Places
from .question import Question

_DRAWN = 5  # prompts a cell is resampled from


class Source(Protocol):
    """Anything that makes plans for a cell, or none where it changes nothing."""

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """The edited runs whose mean effect is the cell's; `step` is its place on the position axis."""


class Zero:
    """Nothing at all."""

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """One plan."""
        length = case.base.length
        if _is_idle(case, site):
            return []
        shape = (1, length, 1) if site.part == "pattern" else (length, 1, 1) if site.kind == "head" else (length, 1)
        return [[_put(model, case, site, case.base.logits.new_zeros(shape))]]


class Other:
    """The pair's other run."""

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """One plan; none before the first difference, or at an embedding of the same token, where nothing changes."""
        if site.position is not None and (site.position < case.first or _is_same_token(case, site)):
            return []
        if _is_same_feature(case, site):
            return []
        return [[_taken(model, case, case.other.seen, case.first, site)]]


def _put(model: Model, case: Case, site: Site, values: torch.Tensor) -> Edit:
    """Values [pos, ...] at a site. A feature keeps what it has at position 0, on which no dictionary is trained."""
    if site.kind != "feature" or site.position is not None:
        return put(model, site, values, case.base.clock)
    kept = own(case.base.seen[hook_name(site)][0], site)[:1]
    return put(model, site, torch.cat([kept, values[1:].to(kept)]), case.base.clock, first=1)


def _is_idle(case: Case, site: Site) -> bool:
    """Whether it is a feature that is active nowhere in the base run but at position 0."""
    return site.kind == "feature" and not bool(own(case.base.seen[hook_name(site)][0], site)[1:].any())


def _is_same_feature(case: Case, site: Site) -> bool:
    """Whether it is a feature that is as active in the other run, from the first difference on."""
    if site.kind != "feature":
        return False
    here, there = (own(run.seen[hook_name(site)][0], site)[case.first :] for run in (case.base, case.other))
    return torch.equal(here, there)


def _is_same_token(case: Case, site: Site) -> bool:
    """Whether it is an embedding that both runs have; under a recipe they may differ by more than their tokens."""
    here, there = (recording.ids[0, site.position] for recording in (case.base, case.other))
    return site.kind == "embedding" and not case.base.edits and bool(here == there)


@dataclass(frozen=True)
class Drawn:
    """Other prompts of as many tokens: for each pair, its prompts' ids and what was seen in their runs."""

    prompts: dict[Pair, tuple[tuple[list[int], dict[str, torch.Tensor]], ...]]

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """One plan for each prompt."""
        ids = case.base.ids[0].tolist()
        drawn = self.prompts[case.pair]
        return [[_taken(model, case, seen, first_difference(ids, there), site)] for there, seen in drawn]


def _taken(model: Model, case: Case, seen: dict[str, torch.Tensor], first: int, site: Site) -> Edit:
    return put(model, site, own(seen[hook_name(site)][0], site), case.base.clock, first)


@dataclass(frozen=True)
class Means:
    """Means over a reference set, by hook name.

    by: "position" (values [pos, ...]), "role" ([step of the axis, ...]) or "pooled" ([2, ...]: of position 0, and of
    all others).
    """

    by: str
    values: dict[str, torch.Tensor]

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """One plan."""
        values = self.of(hook_name(site), case.base.length, step)
        return [[_put(model, case, site, own(values, site))]]

    def of(self, name: str, length: int, step: int | None = None) -> torch.Tensor:
        """The means of a hook for a prompt, [pos, ...]; by role those of one step of the axis, at every position."""
        values = self.values[name]
        if self.by == "role":
            return values[step][None].expand(length, *values.shape[1:])
        if self.by == "pooled":
            return torch.cat([values[:1], values[1:].expand(length - 1, *values.shape[1:])])
        return values


@dataclass(frozen=True)
class Vector:
    """One vector, at every position: [d_head] for heads, [d_model] for what is that wide, one number for neurons."""

    values: torch.Tensor

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """One plan."""
        if self.values.numel() != model.width(site):
            raise ValueError(f"{site} has {model.width(site)} numbers at a position, vector has {self.values.numel()}")
        one = self.values.reshape(1, -1) if site.kind == "head" else self.values.reshape(-1)
        values = one.expand(case.base.length, *one.shape)
        return [[put(model, site, values, case.base.clock)]]


@dataclass(frozen=True)
class Knockout:
    """Attention that does not happen: pattern entries (query_pos, key_pos) at zero."""

    pairs: tuple[tuple[int, int], ...]

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """One plan."""
        length = case.base.length
        pairs = [(query % length, key % length) for query, key in self.pairs]
        for pair, (query, key) in zip(self.pairs, pairs, strict=True):
            if not all(-length <= place < length for place in pair) or key > query:
                raise ValueError(
                    f"pairs: {pair} is no query and key of a prompt of {length} tokens; a key is at or before its query"
                )
        return [[knock_out(model, site, pairs, case.base.clock)]]


def source_of(
    question: Question, pairs: Pairs, places: Places | None, names: Sequence[str]
) -> tuple[Source, dict[str, Any]]:
    """What a question's cells are changed to, and what the provenance says about it.

    places: the position axis, of cells that have one. names: the hooks that the cells are at.
    """
    if question.how == "knock_out":
        assert question.pairs is not None
        return Knockout(tuple((int(query), int(key)) for query, key in question.pairs)), {}
    if question.how == "vector":
        return Vector(torch.as_tensor(np.asarray(question.vector, dtype=np.float32))), {}
    if question.how == "mean":
        return _means(question, pairs, places, names)
    if question.how == "resample":
        return _drawn(question, pairs, names), {"resample": f"up to {_DRAWN} prompts of as many tokens"}
    return (Zero() if question.how == "zero" else Other()), {}


def _texts(question: Question, pairs: Pairs) -> tuple[str, ...]:
    """The reference set: by default the split's own clean and corrupt prompts."""
    return tuple(dict.fromkeys(question.reference or pairs.texts))


def _means(
    question: Question, pairs: Pairs, places: Places | None, names: Sequence[str]
) -> tuple[Source, dict[str, Any]]:
    texts = _texts(question, pairs)
    prompts = pairs.encoded(texts)
    by, steps = "position" if pairs.line_up(prompts) else "pooled", list[tuple[int, ...]]()
    if places is not None and places.words == "roles" and question.reference is None:
        both = [pairs.ids(pair) for pair in pairs.solved]
        alike = [(ids, own) for pair, own in zip(both, places.steps, strict=True)
                 for ids in pair if ids.shape == pair[0].shape]  # fmt: skip
        by, prompts, steps = "role", [ids for ids, _ in alike], [own for _, own in alike]
    if by != "position" and any(name.endswith("hook_pattern") for name in names):
        raise ValueError("a pattern has a mean only over prompts of one length; use another method")
    said = "pooled over positions but 0" if by == "pooled" else f"by {by}"
    source = means(pairs.model, prompts, names, question.recipe, by, steps)
    return source, {"mean": said, "reference": Reference(texts).hash, "reference texts": len(texts)}


def _drawn(question: Question, pairs: Pairs, names: Sequence[str]) -> Source:
    """Up to `_DRAWN` other prompts for each number of tokens, drawn with the task's seed."""
    texts = sorted(_texts(question, pairs))
    random.Random(pairs.task.seed).shuffle(texts)
    by_length: dict[int, list[torch.Tensor]] = {}
    for ids in pairs.encoded(texts):
        by_length.setdefault(ids.shape[1], []).append(ids)
    recordings = {}
    for pair in pairs.solved:
        base = pairs.ids(pair)[0]
        others = [ids for ids in by_length.get(base.shape[1], []) if not torch.equal(ids, base)][:_DRAWN]
        if not others:
            raise ValueError(
                f"resample needs other prompts of {base.shape[1]} tokens, and the split has none for "
                f"{pair.clean!r}; give reference= texts, or use method='mean'"
            )
        drawn = [pairs.model.record_all(ids, question.recipe, names)[0].seen for ids in others]
        recordings[pair] = tuple(zip([ids[0].tolist() for ids in others], drawn, strict=True))
    return Drawn(recordings)


def means(
    model: Model,
    prompts: Sequence[torch.Tensor],
    names: Sequence[str],
    recipe: Recipe | None,
    by: str,
    steps: Sequence[Sequence[int]] = (),
) -> Means:
    """Means of hooks over prompts, ids [1, pos] each, under a recipe. steps: by role, each prompt's positions."""
    sums: dict[str, torch.Tensor] = {}
    tokens = 0
    for number, ids in enumerate(prompts):
        seen = model.record_all(ids, recipe, names)[0].seen
        tokens += ids.shape[1] - 1
        for name, x in seen.items():
            part = _summed(x[0].float(), by, steps[number] if by == "role" else ())
            sums[name] = sums[name] + part if name in sums else part
    n = len(prompts)
    if by != "pooled":
        return Means(by, {name: x / n for name, x in sums.items()})
    return Means(by, {name: torch.stack([x[0] / n, x[1] / max(tokens, 1)]) for name, x in sums.items()})


def _summed(x: torch.Tensor, by: str, steps: Sequence[int]) -> torch.Tensor:
    if by == "role":
        return x[list(steps)]
    return x if by == "position" else torch.stack([x[0], x[1:].sum(0)])


__all__ = ["Drawn", "Knockout", "Means", "Other", "Source", "Vector", "Zero", "means", "source_of"]
