"""Attention: what the heads of a model look at, layer by layer, reduced before the next layer is made.

All patterns of 270 heads on 1,024 tokens are a gigabyte. So a pass hands over one layer's, and what is kept of it is up
to the caller. A pattern says how much of a value is taken, not how much that is: the value at the first token is often
next to nothing (Kobayashi et al. 2020, "Attention is not only a weight"). Weighted by the length of what each value
writes, A[query, key] · ‖v[key] W_O‖, it says what arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..intervention import Recipe
from ..site import Site
from .clock import Clock
from .hooks import of_rows
from .places import hook_name
from .readout import residual_factor

if TYPE_CHECKING:
    from .gate import Model

_GATES = ("hook_gate", "hook_q_gate")
Hook = tuple[str, Any]


@dataclass(frozen=True)
class Attention:
    """One layer's attention in one run or several.

    pattern: [run, head, query_pos, key_pos], rows add up to 1. lengths: ‖v W_O‖ [run, head, key_pos], if asked for.
    scale: [run, query_pos], what a norm behind the attention divides by; None where there is none.
    """

    pattern: torch.Tensor
    lengths: torch.Tensor | None = None
    scale: torch.Tensor | None = None

    @property
    def weighted(self) -> torch.Tensor:
        """Times the length of what each value writes, [run, head, query_pos, key_pos]; without lengths, as it is."""
        if self.lengths is None:
            return self.pattern
        arrived = self.pattern * self.lengths[:, :, None]
        return arrived if self.scale is None else arrived / self.scale[:, None, :, None]


def read(
    model: Model,
    runs: Sequence[tuple[torch.Tensor, Recipe | None]],
    keep: Callable[[int, Attention], Any],
    layers: Sequence[int] | None = None,
    weighted: bool = False,
) -> list[Any]:
    """keep(layer, its attention) of these layers (None: all), in their order.

    runs: (ids [1, pos], recipe) each, of one length; they go through the model together, each under its own edits.
    weighted: with the lengths of what values write. Cost: one pass of the runs up to the last of the layers.
    """
    chosen = sorted(range(model.n_layers) if layers is None else set(layers))
    kept: dict[int, Any] = {}
    rows = [(row, model.compile(recipe, Clock.of(ids))) for row, (ids, recipe) in enumerate(runs)]
    hooks = of_rows(model.points, rows)
    for layer in chosen:

        def take(found: Attention, layer: int = layer) -> None:
            kept[layer] = keep(layer, found)

        hooks += _weighted(model, layer, take) if weighted else _plain(layer, take)
    model.run_to(torch.cat([ids for ids, _ in runs]), chosen[-1], hooks)
    silent = [layer for layer in chosen if layer not in kept]
    if silent:
        raise ValueError(f"{model.name} never reaches the attention of layer {silent[0]}: nothing to show")
    return [kept[layer] for layer in chosen]


def value_lengths(model: Model, layer: int, values: torch.Tensor) -> torch.Tensor:
    """‖v W_O‖ [run, head, key_pos]: how long what each head writes of a key is when all its attention is there.

    values: [run, key_pos, kv_head, d_head], as heads share them. The output projection's own bias belongs to no key and
    is left out. Where a norm stands behind the attention, its weight is applied and its scale is 1.
    """
    _refuse_gates(model, layer)
    block, group = model.twin.blocks[layer], model.n_heads // values.shape[2]
    lengths = []
    for head, out in enumerate(block.attn.W_O):  # one at a time: all of them are as wide as the residual stream each
        written = values[:, :, head // group].float() @ out.float()
        lengths.append((_through(block.ln1_post, written) if _has_norm(model, layer) else written).norm(dim=-1))
    return torch.stack(lengths, dim=1) * residual_factor(model)


def _through(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """x [..., d_model] behind a norm whose scale is 1, without its bias."""
    centred = x if norm.uses_rms_norm else x - x.mean(-1, keepdim=True)
    return centred * (norm.weight.float() + float(norm.uses_weight_offset))


def _plain(layer: int, take: Callable[[Attention], None]) -> list[Hook]:
    return [(hook_name(Site("head", layer, 0, "pattern")), lambda x, hook: take(Attention(x.float())))]


def _weighted(model: Model, layer: int, take: Callable[[Attention], None]) -> list[Hook]:
    """Hooks that hold one layer's pattern from its values on, until the scale of the norm behind it is known."""
    held: list[torch.Tensor] = []

    def measure(x: torch.Tensor, hook: Any) -> None:
        held[:] = [value_lengths(model, layer, x)]

    def hold(x: torch.Tensor, hook: Any) -> None:
        held.append(x.float())
        if not behind:
            finish(None)

    def finish(scale: torch.Tensor | None) -> None:
        lengths, pattern = held
        held.clear()
        take(Attention(pattern, lengths, scale))

    behind: list[Hook] = []
    if _has_norm(model, layer):
        behind = [(f"blocks.{layer}.ln1_post.hook_scale", lambda x, hook: finish(x[..., 0].float()))]
    values, pattern = (hook_name(Site("head", layer, 0, part)) for part in ("v", "pattern"))
    return [(values, measure), (pattern, hold), *behind]


def _has_norm(model: Model, layer: int) -> bool:
    return "ln1_post" in model.twin.blocks[layer].submodules


def _refuse_gates(model: Model, layer: int) -> None:
    gates = [name for name in _GATES if f"blocks.{layer}.attn.{name}" in model.points]
    if gates:
        raise ValueError(
            f"{model.name} multiplies what heads write by a gate of the query's ({gates[0]}): no key has a length of "
            "its own, so show its attention plain"
        )
