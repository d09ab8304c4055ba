"""Places: what the position axis of a map means when it is a mean over several pairs.

A single pair shows its tokens. Several pairs need positions that mean the same in each: roles, when every pair has
named spans (a role is its span's last token; with them "first difference" and "last"); else plain positions, when all
prompts have one length; else positions counted from the end, when all first differences lie equally far from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..grid import Axis
from ..model import Model, first_difference
from ..run import pair_ids, role_positions
from ..task import FIRST_DIFFERENCE, LAST, Pair


class Unaligned(ValueError):
    """Several pairs have no positions in common."""

    what = "These pairs have no positions in common"
    fix = "Choose one pair, or a map that has no positions."


@dataclass(frozen=True)
class Places:
    """A position axis, and for each pair the position of each of its steps.

    Roles stand at the first pair's positions, so that a cell's Site is right for the prompt in the provenance.
    """

    axis: Axis
    steps: tuple[tuple[int, ...], ...]
    words: str

    @classmethod
    def of(cls, model: Model, pairs: Sequence[Pair], prepend_bos: bool | None) -> Places:
        """The places of some pairs; those of a pair are the ones of its clean prompt."""
        ids = [pair_ids(model, pair, prepend_bos) for pair in pairs]
        lengths = [clean.shape[1] for clean, _ in ids]
        if len(pairs) == 1:
            labels = tuple(label["text"] for label in model.labels(ids[0][0]))
            return cls._plain(lengths, labels, "tokens")
        if all(pair.spans for pair in pairs):
            return cls._roles([role_positions(model, pair, prepend_bos) for pair in pairs])
        if len(set(lengths)) == 1:
            return cls._plain(lengths, (), "positions")
        to_end = {len(clean[0]) - first_difference(clean[0].tolist(), corrupt[0].tolist()) for clean, corrupt in ids}
        if len(to_end) > 1:
            raise Unaligned(
                "position maps of several pairs need prompts of one length, or first differing tokens equally far from "
                f"the end; these have {sorted(set(lengths))} tokens and differ {sorted(to_end)} tokens before the end. "
                "Give the pairs spans, take one pair (task.items[0]) or a map of heads"
            )
        shared = range(-min(lengths), 0)
        steps = tuple(tuple(length + place for place in shared) for length in lengths)
        return cls(Axis("position", tuple(shared)), steps, "from the end")

    @classmethod
    def _plain(cls, lengths: Sequence[int], labels: tuple[str, ...], words: str) -> Places:
        positions = tuple(range(lengths[0]))
        return cls(Axis("position", positions, labels), (positions,) * len(lengths), words)

    @classmethod
    def _roles(cls, pairs: Sequence[Mapping[str, int]]) -> Places:
        """The roles that every pair has, in the first pair's order; those that are one token everywhere are one."""
        shared = [name for name in pairs[0] if all(name in pair for pair in pairs)]
        names: dict[tuple[int, ...], list[str]] = {}
        for name in sorted(shared, key=lambda name: (pairs[0][name], name in (FIRST_DIFFERENCE, LAST))):
            names.setdefault(tuple(pair[name] for pair in pairs), []).append(name)
        axis = Axis("position", tuple(places[0] for places in names), tuple(map(" = ".join, names.values())))
        return cls(axis, tuple(zip(*names, strict=True)), "roles")
