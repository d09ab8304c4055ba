"""Sweep: many edited runs of one prompt for the price of few.

A plain sweep of P edits costs P forward passes from layer 0. Here the prompt is run once (`recording`), and every
edited run joins one growing batch at the first thing it changes, from the first position it changes on (`wavefront`);
only the last position is unembedded, and of it only the tokens that the metric reads. A plan that changes nothing, such
as one that patches a position before the first difference, is answered by the recording.

At first use on a twin a few random runs of each kind are also run the plain way, whole prompts through hooks. If they
differ by more than `tolerance`, or the blocks cannot be driven part by part, that kind takes the plain way, batched.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .hooks import of_rows
from .recording import Recording
from .wavefront import Plan, Wavefront, entrance

if TYPE_CHECKING:
    from .gate import Model

#: Tokens in one batch: the first is small, so that the first numbers come early, and each is twice the one before.
FIRST_TOKENS, MOST_TOKENS = 512, 4096
#: Memory that one batch's activations may take, by the arithmetic of `megabytes`.
MOST_MB = 512.0
_TRIED = 2  # runs of each kind that are compared at first use


@dataclass(frozen=True)
class Read:
    """A number for each row of last-position logits. tokens: the only ones `metric` is given, in order; None: all."""

    metric: Callable[[torch.Tensor], torch.Tensor]
    tokens: tuple[int, ...] | None = None

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """The number of each row of logits [row, d_vocab]."""
        return self.metric(logits if self.tokens is None else logits[:, list(self.tokens)])


def sweep(model: Model, base: Recording, plans: Sequence[Plan], read: Read) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Run every plan on the recorded prompt; yields (plan numbers, read(last logits) [row]) as they come.

    The latest layers come first: they are the cheapest. Rows equal a plain hooked run within 1e-4 in float32.
    """
    starts = [_start(plan, base.length) for plan in plans]
    still = [number for number, start in enumerate(starts) if start is None]
    if still:
        yield still, read(base.logits.expand(len(still), -1))
    live = [number for number, start in enumerate(starts) if start is not None]
    weights = any(edit.reads for plan in (base.edits, *(plans[i] for i in live)) for edit in plan)
    joins = not weights and model.joins(base, [plans[i] for i in live])
    order = sorted(live, key=lambda i: min(map(entrance, plans[i])), reverse=True)
    lengths = [base.length - (starts[i] or 0) if joins else base.length for i in order]
    for chunk in _chunks(model, order, lengths, base.length):
        some = [plans[i] for i in chunk]
        if joins:
            x = Wavefront(model, base, some, [starts[i] or 0 for i in chunk]).run()
            yield chunk, read.metric(model.unembed(x[:, None], read.tokens)[:, 0])
        else:
            yield chunk, read(whole(model, base, some))


def _start(plan: Plan, length: int) -> int | None:
    """The first position a plan changes; None when it changes none."""
    starts = [edit.start for edit in plan if edit.start is not None and edit.start < length]
    return min(starts, default=None)


def _chunks(model: Model, order: Sequence[int], lengths: Sequence[int], length: int) -> Iterator[list[int]]:
    """Plan numbers in batches that stay within the bounds of tokens and memory; at least one row each."""
    bound = min(MOST_TOKENS, int(MOST_MB / megabytes(model, 1, length)))
    most, chunk, tokens = FIRST_TOKENS, list[int](), 0
    for number, own in zip(order, lengths, strict=True):
        if chunk and tokens + own > min(most, bound):
            yield chunk
            most, chunk, tokens = 2 * most, [], 0
        chunk.append(number)
        tokens += own
    if chunk:
        yield chunk


def megabytes(model: Model, tokens: int, length: int) -> float:
    """What a batch of so many tokens takes at its fullest, over a prompt of `length`: streams, MLP, patterns."""
    config = model.twin.cfg
    wide = 6 * model.d_model + 3 * (getattr(config, "d_mlp", None) or 4 * model.d_model)
    return tokens * (wide + 4 * model.n_heads * length) * model.itemsize / 2**20


def tolerance(dtype: torch.dtype) -> float:
    """How far logits of the two ways may lie apart: 1e-3, or eight units of the dtype's precision if that is more.

    In units of the largest logit where that is above 1.
    """
    return max(1e-3, 8 * torch.finfo(dtype).eps)


def kind(plan: Plan) -> str:
    """What kind of edits a plan has: the hooks they go to, without their layers."""
    return " ".join(sorted({edit.hook.rpartition(".")[2] for edit in plan}))


def agreement(model: Model, base: Recording, plans: Sequence[Plan]) -> bool:
    """Whether a few of the plans give the same logits both ways; false as well where the fast one fails."""
    some = (
        random.Random(0).sample(list(plans), min(_TRIED, len(plans))) * 2
    )  # some blocks can be driven row by row only
    starts = [_start(plan, base.length) or 0 for plan in some]
    plain = whole(model, base, some).float()
    try:
        joined = model.unembed(Wavefront(model, base, some, starts).run()[:, None])[:, 0].float()
    except (TypeError, RuntimeError, AttributeError, KeyError, ValueError, IndexError):
        return False
    bound = tolerance(base.logits.dtype) * max(1.0, plain.abs().max().item())
    return (plain - joined).abs().max().item() <= bound


def whole(model: Model, base: Recording, plans: Sequence[Plan]) -> torch.Tensor:
    """Last logits [plan, d_vocab] by whole, batched, hooked forward passes."""
    hooks = of_rows(model.points, [(None, base.edits), *enumerate(plans)])
    return model.last_logits(base.ids.expand(len(plans), -1), hooks)


__all__ = ["FIRST_TOKENS", "MOST_MB", "MOST_TOKENS", "Read", "agreement", "kind", "megabytes", "sweep", "whole"]
