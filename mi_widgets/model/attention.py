"""Attention: what the heads of a model look at, layer by layer, reduced before the next layer is made.

All patterns of 270 heads on 1,024 tokens are a gigabyte. So a pass hands over one layer's, and what is kept of it is up
to the caller. A pattern says how much of a value is taken, not how much that is: the value at the first token is often
next to nothing (Kobayashi et al. 2020, "Attention is not only a weight"). Weighted by the length of what each value
writes, A[query, key] · ‖v[key] W_O‖, it says what arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..intervention import Recipe
from ..site import Site
from .places import hook_name
from .readout import residual_factor

if TYPE_CHECKING:
    from .gate import Model

_GATES = ("hook_gate", "hook_q_gate")
Take = Callable[[torch.Tensor], None]
Hook = tuple[str, Any]


def read(
    model: Model,
    ids: torch.Tensor,
    keep: Callable[[int, torch.Tensor], Any],
    layers: Sequence[int] | None = None,
    weighted: bool = False,
    recipe: Recipe | None = None,
) -> list[Any]:
    """keep(layer, attention [head, query_pos, key_pos]) of these layers (None: all), in their order.

    ids: [1, pos]. weighted: by the length of what each value writes, else the patterns, whose rows add up to 1; both
    after the recipe's edits. Cost: one pass up to the last of the layers.
    """
    chosen = sorted(range(model.n_layers) if layers is None else set(layers))
    kept: dict[int, Any] = {}
    hooks = [*model.hooks(recipe, ids)]
    for layer in chosen:

        def take(x: torch.Tensor, layer: int = layer) -> None:
            kept[layer] = keep(layer, x)

        hooks += _weighted(model, layer, take) if weighted else _plain(layer, take)
    model.run_to(ids, chosen[-1], hooks)
    silent = [layer for layer in chosen if layer not in kept]
    if silent:
        raise ValueError(f"{model.name} never reaches the attention of layer {silent[0]}: nothing to show")
    return [kept[layer] for layer in chosen]


def value_lengths(model: Model, layer: int, values: torch.Tensor) -> torch.Tensor:
    """‖v W_O‖ [head, key_pos]: how long what each head writes of a key is when all its attention is there.

    values: [key_pos, kv_head, d_head], as heads share them. The output projection's own bias belongs to no key and is
    left out. Where a norm stands behind the attention, its weight is applied and its scale is 1.
    """
    _refuse_gates(model, layer)
    block, group = model.twin.blocks[layer], model.n_heads // values.shape[1]
    lengths = []
    for head, out in enumerate(block.attn.W_O):  # one at a time: all of them are as wide as the residual stream each
        written = values[:, head // group].float() @ out.float()
        lengths.append((_through(block.ln1_post, written) if _has_norm(model, layer) else written).norm(dim=-1))
    return torch.stack(lengths) * residual_factor(model)


def _through(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """x [..., d_model] behind a norm whose scale is 1, without its bias."""
    centred = x if norm.uses_rms_norm else x - x.mean(-1, keepdim=True)
    return centred * (norm.weight.float() + float(norm.uses_weight_offset))


def _plain(layer: int, take: Take) -> list[Hook]:
    return [(hook_name(Site("head", layer, 0, "pattern")), lambda x, hook: take(x[0].float()))]


def _weighted(model: Model, layer: int, take: Take) -> list[Hook]:
    """Hooks that hold one layer's pattern from its values on, until the scale of the norm behind it is known."""
    held: list[torch.Tensor] = []

    def measure(x: torch.Tensor, hook: Any) -> None:
        held[:] = [value_lengths(model, layer, x[0])]

    def weigh(x: torch.Tensor, hook: Any) -> None:
        held[:] = [x[0].float() * held[0][:, None]]
        if not behind:
            take(held.pop())

    def shrink(x: torch.Tensor, hook: Any) -> None:
        take(held.pop() / x[0].float())

    behind: list[Hook] = [(f"blocks.{layer}.ln1_post.hook_scale", shrink)] if _has_norm(model, layer) else []
    values, pattern = (hook_name(Site("head", layer, 0, part)) for part in ("v", "pattern"))
    return [(values, measure), (pattern, weigh), *behind]


def _has_norm(model: Model, layer: int) -> bool:
    return "ln1_post" in model.twin.blocks[layer].submodules


def _refuse_gates(model: Model, layer: int) -> None:
    gates = [name for name in _GATES if f"blocks.{layer}.attn.{name}" in model.points]
    if gates:
        raise ValueError(
            f"{model.name} multiplies what heads write by a gate of the query's ({gates[0]}): no key has a length of "
            "its own, so show its attention plain"
        )
