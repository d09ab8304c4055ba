"""Generation: token by token, with a key-value cache, for one prompt or several at once.

Prompts of several lengths stand in one batch with padding on their left. Every row has its own clock and its own edits,
compiled for its own prompt: position 5 is the sixth token of that prompt, and a condition is decided for it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch

from ..intervention import Recipe
from . import plain
from .clock import Clock
from .hooks import attached, compile_recipe, of_rows

if TYPE_CHECKING:
    from .gate import Model


def stream(
    model: Model,
    prompts: Sequence[torch.Tensor],
    recipe: Recipe | None,
    most: int,
    temperature: float,
    seed: int,
) -> Iterator[list[int | None]]:
    """Yields the new token id of every prompt, ids [1, pos] each; None where a text has ended.

    A text ends after an end token, all end where the model reads no further. temperature 0 is greedy; above it, tokens
    are drawn with a generator of each row's own, of seed, seed + 1, … Raises ValueError where logits are no numbers.
    """
    batch = _Batch(model, prompts, recipe)
    batch.refuse_lost_keys(most)
    draws = [torch.Generator(device=ids.device).manual_seed(seed + row) for row, ids in enumerate(prompts)]
    ends, over = model.end_ids, [False] * len(prompts)
    limit = getattr(model.twin.cfg, "n_ctx", None)
    for _ in range(min(most, limit - batch.length + 1) if limit else most):
        logits = batch.step()
        if not bool(torch.isfinite(logits).all()):
            raise ValueError("the model's output is not a number any more: the edit is too strong; try recipe.at(0.1)")
        if temperature <= 0:
            new = logits.argmax(-1).tolist()
        else:
            shares = (logits / temperature).softmax(-1)
            new = [int(torch.multinomial(row, 1, generator=draw)) for row, draw in zip(shares, draws, strict=True)]
        yield [None if ended else id_ for ended, id_ in zip(over, new, strict=True)]
        over = [ended or id_ in ends for ended, id_ in zip(over, new, strict=True)]
        if all(over):
            return
        batch.take(new)


def _least(network: Any) -> dict[str, Any]:
    """Ask for the last position's logits alone, where that can be asked for."""
    return {"logits_to_keep": 1} if "logits_to_keep" in network.forward.__code__.co_varnames else {}


class _Batch:
    """Rows on their way: tokens that were not read yet, what was kept of those that were, and how far each row is."""

    def __init__(self, model: Model, prompts: Sequence[torch.Tensor], recipe: Recipe | None) -> None:
        self.model, self.past = model, None
        self.length = max(ids.shape[1] for ids in prompts)
        self.pads = [self.length - ids.shape[1] for ids in prompts]
        rows = [torch.nn.functional.pad(ids, (pad, 0)) for ids, pad in zip(prompts, self.pads, strict=True)]
        self.fresh = torch.cat(rows)
        self.mask = torch.cat([(torch.arange(self.length) >= pad)[None] for pad in self.pads]).to(self.fresh)
        self.clocks = [Clock.of(ids, grows=True) for ids in prompts]
        self.hooks = self._compiled(recipe or Recipe())
        self.fittings = plain.fitted(model, self.hooks)
        self.network: Any = model.twin.original_model if self.fittings is None else model.plain
        self.least = _least(self.network)

    def step(self) -> torch.Tensor:
        """Logits [row, d_vocab] after the tokens that were not read yet; with a cache they count as read."""
        call = {} if not any(self.pads) else self._padded()
        with self._attached():
            out = self.network(self.fresh, past_key_values=self.past, use_cache=True, **self.least, **call)
        self.past = getattr(out, "past_key_values", None)
        if self.past is not None:
            for clock, pad in zip(self.clocks, self.pads, strict=True):
                clock.offset += self.fresh.shape[1] - (pad if clock.offset == 0 else 0)
        return out.logits[:, -1].float()

    def refuse_lost_keys(self, most: int) -> None:
        """A cache that slides drops keys, and then a pattern's columns are no positions any more."""
        config = self.model.twin.original_model.config
        window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
        edited = [int(name.split(".")[1]) for name, _ in self.hooks if name.endswith("pattern")]
        sliding = [layer for layer in edited if kinds is None or kinds[layer] == "sliding_attention"]
        if window and sliding and self.length + most > window:
            raise ValueError(
                f"layer {sliding[0]} of {self.model.name} attends to {window} tokens: with its patterns edited, prompt "
                f"and new tokens together may be no more than that, not {self.length + most}"
            )

    def take(self, new: Sequence[int]) -> None:
        """One more token in each row."""
        column = torch.tensor(new, device=self.fresh.device)[:, None]
        self.fresh = column if self.past is not None else torch.cat([self.fresh, column], dim=1)
        self.mask = torch.cat([self.mask, torch.ones_like(column)], dim=1)

    def _padded(self) -> dict[str, Any]:
        positions = (self.mask.cumsum(1) - 1).clamp(min=0)
        return {"attention_mask": self.mask, "position_ids": positions[:, -self.fresh.shape[1] :]}

    def _attached(self) -> AbstractContextManager[None]:
        if self.fittings is None:
            return attached(self.model.points, self.hooks)
        return plain.attached(self.fittings)

    def _compiled(self, recipe: Recipe) -> list[tuple[str, Any]]:
        edits = [(row, compile_recipe(self.model, recipe, clock)) for row, clock in enumerate(self.clocks)]
        return of_rows(self.model.points, edits, self._part)

    def _part(self, row: int, name: str) -> tuple[slice, ...]:
        """A row's own tokens in [row, pos, ...], or in patterns: padding is in the first step only, but stays a key."""
        own, pad = slice(row, row + 1), self.pads[row]
        columns = slice(0 if self.clocks[row].offset else pad, None)
        return (own, slice(None), columns, slice(pad, None)) if name.endswith("pattern") else (own, columns)
