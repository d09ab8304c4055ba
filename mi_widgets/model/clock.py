"""Clock: which positions of a text a forward pass is at: "position 5" means the same with and without a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..site import Site

Span = tuple[str, int]  # which positions of a text, as in Intervention.where; and the first one that may be edited


@dataclass
class Clock:
    """Where a forward pass stands: `offset` positions came before; the prompt had `length`, and the tokens `ids`.

    grows: text is generated after the prompt.
    bare: nothing else is edited, so that before the first difference another prompt has what is here.
    """

    length: int | None = None
    offset: int = 0
    ids: tuple[int, ...] | None = None
    bare: bool = False
    grows: bool = False

    @classmethod
    def of(cls, ids: torch.Tensor, grows: bool = False) -> Clock:
        """The clock of a prompt, ids [1, pos]."""
        return cls(ids.shape[1], ids=tuple(ids[0].tolist()), grows=grows)


def first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """The first position at which two prompts have different tokens; the shorter one's length when none has."""
    shared = min(len(one), len(other))
    return next((at for at in range(shared) if int(one[at]) != int(other[at])), shared)


def absolute(position: int, length: int) -> int:
    """A position counted from the start."""
    return position + length if position < 0 else position


def key_of(site: Site, clock: Clock, width: int) -> int:
    """The key position that a site of a pattern means, among `width` keys."""
    assert site.key is not None
    key = absolute(site.key, width if clock.length is None else clock.length)
    if not 0 <= key < width:
        raise outside(site, width)
    return key


def columns_of(site: Site, clock: Clock, width: int, span: Span) -> range:
    """The columns of an argument `width` wide that a site means; empty when its position is not among them."""
    length = clock.offset + width if clock.length is None else clock.length
    if site.position is None:
        where, least = span
        start = max(least, length if where == "generated" else 0) - clock.offset
        stop = min(width, length - clock.offset) if where == "prompt" else width
        return range(max(0, start), max(0, start, stop))
    column = absolute(site.position, length) - clock.offset
    return range(column, column + 1) if 0 <= column < width else range(0)


def refuse_outside(site: Site, clock: Clock) -> None:
    """Refuse a position that the prompt does not have, and a key that the query cannot see."""
    assert clock.length is not None
    places = [absolute(place, clock.length) for place in (site.position, site.key) if place is not None]
    if any(not 0 <= place < clock.length for place in places):
        raise outside(site, clock.length)
    if len(places) == 2 and places[1] > places[0]:
        raise ValueError(f"{site} touches nothing: a query sees only keys up to its own position")


def outside(site: Site, length: int) -> ValueError:
    """What to raise where a prompt of `length` tokens does not have a site's position."""
    return ValueError(f"{site} touches nothing: the prompt has {length} tokens (positions 0 to {length - 1})")
