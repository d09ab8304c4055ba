"""Recording: one run of one prompt, kept so that edited runs can join it in any block and at any position.

What is kept: what enters and leaves each block, the heads' outputs z, the attention's output as it is added to the
residual stream, rotated keys and values, and the arguments each attention was called with. That is 5 · d_model +
2 · kv_heads · d_head floats for each layer and token at most (tensors that are the same are kept once), about a fifth
of what `run_with_cache` keeps without names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge
from transformer_lens.model_bridge.generalized_components.block import BlockBridge, ParallelBlockBridge

from .clock import Clock
from .hooks import Edit, as_hooks
from .places import rebuilt

if TYPE_CHECKING:
    from .gate import Model

_CACHES = {"past_key_values", "layer_past", "use_cache"}


@dataclass(frozen=True)
class Layer:
    """What one block did, all after the recording's own edits.

    entered: [1, pos, d_model], before edits of resid_pre. pre: after them. z: [1, pos, head · d_head].
    attn_out: [1, pos, d_model], as it is added to the residual stream.
    keys, values: [1, kv_head, pos, d_head], rotated.
    call: what the attention was called with, besides its input and the cache.
    """

    entered: torch.Tensor
    pre: torch.Tensor
    z: torch.Tensor
    attn_out: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    call: dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """One run of one prompt.

    ids: [1, pos]. logits: [d_vocab], of the last position. edits: what the run was edited with, and `clock` their
    clock. layers: empty where the blocks cannot be driven part by part. left: [1, pos, d_model], after the last block.
    seen: what was asked for by hook name, [1, pos, ...] each.
    """

    ids: torch.Tensor
    logits: torch.Tensor
    edits: tuple[Edit, ...] = ()
    clock: Clock = field(default_factory=Clock)
    layers: tuple[Layer, ...] = ()
    left: torch.Tensor | None = None
    seen: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """The number of tokens."""
        return self.ids.shape[1]


def drivable(twin: Any) -> bool:
    """Whether every block has parts that can be called one by one: norm, attention, output projection, MLP."""
    blocks = list(getattr(twin, "blocks", ()))
    return bool(blocks) and all(
        type(block) in (BlockBridge, ParallelBlockBridge)
        and rebuilt(block)
        and {"attn", "mlp"} <= set(block.submodules)
        and "o" in block.attn.submodules
        for block in blocks
    )


def record(
    model: Model, ids: torch.Tensor, edits: Sequence[Edit], clock: Clock, names: Sequence[str] = ()
) -> list[Recording]:
    """Run prompts of one length, ids [batch, pos], in one pass, under edits; one Recording each.

    names: other hooks whose activations are kept.
    """
    parts = _parts(model) if drivable(model.twin) else {}
    heard: dict[str, torch.Tensor] = {}
    wanted = dict.fromkeys([*names, *(name for part in parts.values() for name in part)])
    hooks = [*as_hooks(edits), *((name, _keeper(heard, name)) for name in wanted)]
    with _listening(model.twin.blocks if parts else ()) as calls:
        logits = model.last_logits(ids, hooks)
    silent = [name for name in names if name not in heard]
    if silent:
        raise ValueError(f"{model.name} never reaches {silent[0]}: nothing to show")
    batch = len(ids)
    layers = [_layer(call, heard, parts[number]) for number, call in enumerate(calls)]
    return [
        Recording(
            ids[row : row + 1],
            logits[row],
            tuple(edits),
            clock,
            tuple(Layer(**{name: _row(value, row, batch) for name, value in layer.items()}) for layer in layers),
            _row(heard[parts[len(layers) - 1][-1]], row, batch) if layers else None,
            {name: _row(heard[name], row, batch) for name in names},
        )
        for row in range(batch)
    ]


def _parts(model: Model) -> dict[int, tuple[str, ...]]:
    """The hooks that are kept of each layer."""
    points = ("hook_resid_pre", "attn.hook_z", "hook_attn_out", "hook_resid_post")
    return {layer: tuple(f"blocks.{layer}.{point}" for point in points) for layer in range(model.n_layers)}


def _keeper(heard: dict[str, torch.Tensor], name: str) -> Any:
    def keep(x: torch.Tensor, hook: Any) -> None:
        heard[name] = x

    return keep


class _Keep:
    """Stands for a key-value cache: keeps what it is given and hands it back."""

    def __init__(self, call: dict[str, Any]) -> None:
        self.call = call

    def update(self, keys: torch.Tensor, values: torch.Tensor, *more: Any) -> tuple[torch.Tensor, torch.Tensor]:
        self.call |= {"keys": keys, "values": values}
        return keys, values


class Prefix:
    """Stands for a key-value cache that holds the recorded keys and values before a position, for any batch."""

    def __init__(self, layer: Layer, length: int) -> None:
        self.keys, self.values = layer.keys[:, :, :length], layer.values[:, :, :length]

    def update(self, keys: torch.Tensor, values: torch.Tensor, *more: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The recorded ones, and after them the new ones [batch, kv_head, pos, d_head]; nothing is stored."""
        rows = (len(keys), -1, -1, -1)
        return torch.cat([self.keys.expand(rows), keys], 2), torch.cat([self.values.expand(rows), values], 2)


@contextmanager
def _listening(blocks: Sequence[Any]) -> Iterator[list[dict[str, Any]]]:
    """What enters each block, and its attention's arguments, keys and values, in order."""
    calls: list[dict[str, Any]] = []

    def enter(block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append({"entered": args[0] if args else kwargs["hidden_states"]})

    def attend(attn: AttentionBridge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = {name: value for name, value in kwargs.items() if name not in {*_CACHES, "hidden_states"}}
        calls[-1]["call"] = call | {"attention_mask": _explicit(call.get("attention_mask"), calls[-1]["entered"])}
        cache = "layer_past" if "layer_past" in kwargs else "past_key_values"
        calls[-1]["cache"] = cache
        return args, {**kwargs, cache: _Keep(calls[-1])}

    handles = [block.register_forward_pre_hook(enter, with_kwargs=True) for block in blocks]
    handles += [block.attn.register_forward_pre_hook(attend, with_kwargs=True) for block in blocks]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _explicit(mask: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    """The causal mask [1, 1, query_pos, key_pos] written out: without one, a suffix over a prefix sees its future."""
    if mask is not None:
        return mask
    length, least = x.shape[1], torch.finfo(x.dtype).min
    return torch.full((length, length), least, dtype=x.dtype, device=x.device).triu(1)[None, None]


def _layer(call: dict[str, Any], heard: dict[str, torch.Tensor], names: tuple[str, ...]) -> dict[str, Any]:
    pre, z, attn_out, _ = (heard[name] for name in names)
    arguments = call["call"] | {call["cache"]: None}
    return {
        "entered": call["entered"], "pre": pre, "z": z.flatten(2), "attn_out": attn_out,
        "keys": call["keys"], "values": call["values"], "call": arguments,
    }  # fmt: skip


def _row(value: Any, row: int, batch: int) -> Any:
    """One prompt's part of a batch's tensors; what has no batch axis is shared."""
    if isinstance(value, dict):
        return {name: _row(each, row, batch) for name, each in value.items()}
    if isinstance(value, tuple):
        return tuple(_row(each, row, batch) for each in value)
    if isinstance(value, torch.Tensor) and value.ndim > 1 and len(value) == batch:
        return value[row : row + 1]
    return value
