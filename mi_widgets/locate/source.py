"""Source: what an activation is changed to. Each kind of causal map has one.

A Source makes, for one cell of one pair, the plans whose effects are averaged: one, or for `resample` one for each of
the prompts that are drawn. Values are [pos, ...] of a whole prompt, of which a plan puts its own positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ..intervention import Recipe
from ..model import Edit, Model, Plan, first_difference, hook_name, knock_out, own, put
from ..site import Site
from ..task import Pair
from .case import Case


class Source(Protocol):
    """Anything that makes plans for a cell, or none where it changes nothing."""

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """The edited runs whose mean effect is the cell's; `step` is its place on the position axis."""


class Zero:
    """Nothing at all."""

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """One plan."""
        length = case.base.length
        shape = (1, length, 1) if site.part == "pattern" else (length, 1, 1) if site.kind == "head" else (length, 1)
        values = case.base.logits.new_zeros(shape)
        return [[put(model, site, values, case.base.clock)]]


class Other:
    """The pair's other run."""

    def plans(self, model: Model, case: Case, site: Site, step: int | None) -> list[Plan]:
        """One plan; none before the first difference, where nothing changes."""
        if site.position is not None and site.position < case.first:
            return []
        return [[_taken(model, case, case.other.seen, case.first, site)]]


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
        return [[put(model, site, own(values, site), case.base.clock)]]

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


__all__ = ["Drawn", "Knockout", "Means", "Other", "Source", "Vector", "Zero", "means"]
