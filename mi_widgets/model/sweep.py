"""Sweep: many edited runs of one prompt for the price of few.

A plain sweep of P edits costs P forward passes from layer 0. Here the prompt is run once and what enters each block is
kept (`Recording`). Every edited run is a row that joins the batch at the first layer it changes, with the recorded
residual, so that one growing batch passes through the layers; only the last position is unembedded. A map of 30 × 9
heads then costs about as much as twenty forwards instead of 270. Blocks are the model's own, driven with the arguments
they were recorded with. At first use on a model a few rows are also run the plain way (whole prompts through hooks,
batched); if they differ, or if an edit lies before the blocks, the plain way is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import Cache

from .hooks import Change, Edit, attached

if TYPE_CHECKING:
    from .gate import Model

Plan = Sequence[Edit]
Read = Callable[[torch.Tensor], torch.Tensor]
_TOKENS = 1024  # rows × positions in one batch: bounds memory and the wait for the first cells
_AGREE = 1e-3


@dataclass(frozen=True)
class Recording:
    """One run of one prompt: ids [1, pos], what entered each block and with which arguments, last logits [d_vocab]."""

    ids: torch.Tensor
    calls: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]
    logits: torch.Tensor

    @property
    def length(self) -> int:
        """The number of tokens."""
        return self.ids.shape[1]


def record(model: Model, ids: torch.Tensor) -> Recording:
    """Run `ids` [1, pos] once and keep what enters each block."""
    calls: list[Any] = []

    def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append((_without_cache(args), {k: v for k, v in kwargs.items() if not _is_cache(k, v)}))

    handles = [block.register_forward_pre_hook(keep, with_kwargs=True) for block in model.twin.blocks]
    try:
        logits = model.forward(ids)[0, -1]
    finally:
        for handle in handles:
            handle.remove()
    return Recording(ids, tuple(calls), logits)


def _without_cache(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(None if isinstance(arg, Cache) else arg for arg in args)


def _is_cache(name: str, value: Any) -> bool:
    return isinstance(value, Cache) or name == "use_cache"


def sweep(model: Model, base: Recording, plans: Sequence[Plan], read: Read) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Run every plan on the recorded prompt; yields (plan numbers, read(last logits [row, d_vocab])) as they come.

    The latest layers come first: they are the cheapest. Rows equal a plain hooked run within 1e-4 in float32.
    """
    runner = _joined if model.joins_agree(base, plans) else _whole
    order = sorted(range(len(plans)), key=lambda i: -_entry(plans[i]))
    rows = max(1, _TOKENS // base.length)
    for start in range(0, len(order), rows):
        chunk = order[start : start + rows]
        yield chunk, read(runner(model, base, [plans[i] for i in chunk]))


def agreement(model: Model, base: Recording, plans: Sequence[Plan]) -> bool:
    """Whether a few rows, run both ways, agree; also false where the blocks cannot be driven alone."""
    some = [plans[i] for i in {0, len(plans) // 2, len(plans) - 1}] * 2  # some blocks can be driven with one row only
    plain = _whole(model, base, some)
    try:
        joined = _joined(model, base, some)
    except (TypeError, RuntimeError, AttributeError):
        return False
    bound = _AGREE * max(1.0, plain.abs().max().item()) * (1 if plain.dtype == torch.float32 else 50)
    return (plain - joined).abs().max().item() <= bound


def _entry(plan: Plan) -> int:
    """The first layer a plan changes; a plan without edits never joins."""
    return min((edit.layer for edit in plan), default=10**6)


def enters_blocks(plan: Plan) -> bool:
    """Whether every edit lies inside the blocks."""
    return _entry(plan) >= 0


def _joined(model: Model, base: Recording, plans: Sequence[Plan]) -> torch.Tensor:
    """Last logits [plan, d_vocab] by one growing batch; `plans` are sorted, latest entry first."""
    first = min(_entry(plan) for plan in plans)
    if first >= model.n_layers:
        return base.logits.expand(len(plans), -1)
    order: list[int] = []
    x = base.calls[first][0][0][:0]
    for layer in range(first, model.n_layers):
        joining = [i for i, plan in enumerate(plans) if _entry(plan) == layer]
        order += joining
        args, kwargs = base.calls[layer]
        x = torch.cat([x, args[0].expand(len(joining), -1, -1)])
        with attached(model.points, _row_hooks([plans[i] for i in order], layer)):
            out = model.twin.blocks[layer](x, *args[1:], **kwargs)
        x = out[0] if isinstance(out, tuple) else out
    logits = base.logits.expand(len(plans), -1).clone()
    logits[order] = model.unembed(x[:, -1:])[:, 0]
    return logits


def _whole(model: Model, base: Recording, plans: Sequence[Plan]) -> torch.Tensor:
    """Last logits [plan, d_vocab] by whole, batched, hooked forward passes."""
    hooks = _row_hooks(plans, None)
    return model.forward(base.ids.expand(len(plans), -1), hooks)[:, -1]


def _row_hooks(plans: Sequence[Plan], layer: int | None) -> list[tuple[str, Any]]:
    """One hook for each hook name, which applies each row's own edits (of one layer, or of all) to that row."""
    by_name: dict[str, list[tuple[int, Change]]] = {}
    for row, plan in enumerate(plans):
        for edit in plan:
            if layer is None or edit.layer == layer:
                by_name.setdefault(edit.hook, []).append((row, edit.change))
    return [(name, _row_hook(changes)) for name, changes in by_name.items()]


def _row_hook(changes: Sequence[tuple[int, Change]]) -> Any:
    def edit(x: torch.Tensor, hook: Any) -> torch.Tensor:
        out = x.clone()
        for row, change in changes:
            out[row : row + 1] = change(out[row : row + 1])
        return out

    return edit
