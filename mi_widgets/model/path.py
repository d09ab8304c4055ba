"""Path: send a change from one component straight to others, with everything between held where it was.

`received` runs the base prompt with every head's output and every FFN's output put to its base value, but for each
row's own sender. So the residual stream of later layers changes by what the sender writes and by nothing else, and what
later heads would ask, offer and say (q, k, v), or the logits, changes by the direct path only. `delivered` puts such
values into the base run and lets the rest run on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..site import Site
from .places import family, hook_name

if TYPE_CHECKING:
    from .gate import Model

_WRITERS = (("head", "z"), ("ffn", "out"))
Places = dict[str, list[tuple[int, tuple[Any, ...], torch.Tensor]]]  # hook name -> (row, where in [pos, ...], values)


@dataclass(frozen=True)
class Put:
    """The part of `values` [pos, ...] (all of a hook's) that is `site`'s own, to be put there in one row of a batch."""

    site: Site
    values: torch.Tensor


def writes(model: Model, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """What every head and FFN gives on a prompt: {hook name: [pos, ...]}."""
    caught = model.capture(ids, [name for writer in _WRITERS for name in family(model, *writer)])
    return {name: x[0] for name, x in caught.items()}


def received(
    model: Model, ids: torch.Tensor, base: dict[str, torch.Tensor], senders: Sequence[Put], receivers: Sequence[str]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """What receivers [row, pos, ...] (hook names) and the last logits [row, d_vocab] get, a row for each sender."""
    kept: dict[str, torch.Tensor] = {}
    places = _places([[sender] for sender in senders])
    hooks: list[tuple[str, Any]] = [(name, _put(places.get(name, []), x)) for name, x in base.items()]
    hooks += [(name, lambda x, hook, name=name: kept.__setitem__(name, x.clone())) for name in receivers]
    return kept, model.last_logits(ids.expand(len(senders), -1), hooks)


def delivered(model: Model, ids: torch.Tensor, rows: Sequence[Sequence[Put]]) -> torch.Tensor:
    """Last logits [row, d_vocab] of the base run with each row's puts."""
    hooks = [(name, _put(places)) for name, places in _places(rows).items()]
    return model.last_logits(ids.expand(len(rows), -1), hooks)


def _places(rows: Sequence[Sequence[Put]]) -> Places:
    by_name: Places = {}
    for row, puts in enumerate(rows):
        for put in puts:
            where = _where(put.site)
            by_name.setdefault(hook_name(put.site), []).append((row, where, put.values[where]))
    return by_name


def _where(site: Site) -> tuple[Any, ...]:
    """A site's own part of [pos, ...]."""
    positions = slice(None) if site.position is None else site.position
    return (positions,) if site.index is None else (positions, site.index)


def _put(places: Sequence[tuple[int, tuple[Any, ...], torch.Tensor]], held: torch.Tensor | None = None) -> Any:
    """A hook that puts values at places, on top of what comes or of what is held."""

    def put(x: torch.Tensor, hook: Any) -> torch.Tensor:
        out = x.clone() if held is None else held.to(x).expand_as(x).clone()
        for row, where, values in places:
            out[(row, *where)] = values.to(x)
        return out

    return put
