"""Circuit: what one head does with bare token embeddings, by the model's own parts and with nothing of earlier layers.

The tokens' embeddings stand in place of the residual stream before the head's block, and that block's own norm, query,
key and value projections, norms of queries and keys, rotation, scale, soft-cap, output projection and post-norm run on
them. Learned position embeddings are left out. Each function is one forward pass up to the head's block.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformer_lens.model_bridge.generalized_components.joint_qkv_attention import JointQKVAttentionBridge
from transformer_lens.model_bridge.generalized_components.position_embeddings_attention import (
    PositionEmbeddingsAttentionBridge,
)

from ..site import Site
from .hooks import attached
from .places import check_site, window
from .readout import contribution, rows

if TYPE_CHECKING:
    from .gate import Model

_GATES = ("hook_gate", "hook_q_gate")
#: A pass through the last block goes on to the unembedding, which nobody reads: one vector is enough for it.
_UNREAD: tuple[str, Any] = ("unembed.hook_in", lambda x, hook: x[:1, -1:])
_STEPWISE = (JointQKVAttentionBridge, PositionEmbeddingsAttentionBridge)  # attention whose every step has a hook


def written(model: Model, head: Site, sources: Sequence[int]) -> torch.Tensor:
    """What a head adds to the residual stream, [source, d_model], where all its attention is on one bare token.

    Without the attention's output bias, which belongs to no head. Each token is a prompt of its own, three times: with
    all heads, with this one, with none. A norm after the attention keeps the scale that it has with all of them.
    """
    _check(model, head)
    block, count = f"blocks.{head.layer}", len(sources)
    gates = [name for name in _GATES if f"{block}.attn.{name}" in model.points]
    if gates:
        raise ValueError(f"{head}: {model.name} multiplies what heads write by a gate of the query's ({gates[0]})")
    kept: list[torch.Tensor] = []

    def alone(z: torch.Tensor, hook: Any) -> torch.Tensor:
        out = z.clone()
        out[count : 2 * count, :, : head.index] = out[count : 2 * count, :, (head.index or 0) + 1 :] = 0
        out[2 * count :] = 0
        return out

    hooks = [
        (f"{block}.attn.hook_pattern", lambda x, hook: torch.ones_like(x)),
        (f"{block}.attn.hook_z", alone),
        (f"{block}.hook_attn_out", lambda x, hook: kept.append(x.clone())),
    ]
    if "ln1_post" in model.twin.blocks[head.layer].submodules:
        hooks.append((f"{block}.ln1_post.hook_scale", lambda x, hook: x[:count].repeat(3, *[1] * (x.ndim - 1))))
    ids = torch.tensor([*sources] * 3, device=model.twin.cfg.device)[:, None]
    _run(model, head, ids, hooks)
    _, one, none = kept[0][:, 0].split(count)
    return one - none


def to_logits(model: Model, writes: torch.Tensor, targets: Sequence[int]) -> torch.Tensor:
    """What writes [row, d_model] add to the logits of targets, [row, target], centred over the vocabulary.

    The final norm's scale is that of a stream with mean 0 and variance 1: its weight is applied, and no division.
    """
    one = torch.arange(model.d_model, dtype=writes.dtype, device=writes.device)
    one = (one - one.mean()) / one.std(correction=0)
    chunks = writes.split(rows(model))
    few = list(targets)
    return torch.cat([contribution(model, some, one.expand_as(some))[:, few] for some in _checked(model, chunks)])


def _checked(model: Model, chunks: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    for chunk in chunks:
        model.worker.check()
        yield chunk


def scores(model: Model, head: Site, queries: Sequence[int], keys: Sequence[int], distance: int) -> torch.Tensor:
    """The attention score [query, key] of bare tokens, queries at position `distance` and keys at position 0.

    As it enters the softmax: scaled, soft-capped where the model does, and without a mask. One prompt holds the keys
    and then the queries.
    """
    _check(model, head)
    _check_distance(model, head, distance)
    _check_length(model, len(keys) + len(queries))
    kept: list[torch.Tensor] = []
    ids = torch.tensor([[*keys, *queries]], device=model.twin.cfg.device)
    hooks = [(f"blocks.{head.layer}.attn.hook_attn_scores", lambda x, hook: kept.append(x[0, head.index].clone()))]
    _run(model, head, ids, hooks, **(_placed(model, len(keys), len(queries), distance) if rotates(model) else {}))
    found = kept[0][len(keys) :, : len(keys)].float()
    if found.min() <= torch.finfo(kept[0].dtype).min / 2:
        raise ValueError(f"{head}: a mask of {model.name} hides some of the {ids.shape[1]} tokens; give fewer")
    return found


def rotates(model: Model) -> bool:
    """Whether positions are in the rotation of queries and keys, and not in the embedding."""
    return model.twin.cfg.positional_embedding_type == "rotary"


def score_cap(model: Model, head: Site) -> float | None:
    """The bound that a head's attention scores are bent into (Gemma 2), or None."""
    return getattr(model.twin.blocks[head.layer].attn.original_component, "attn_logit_softcapping", None)


def _placed(model: Model, keys: int, queries: int, distance: int) -> dict[str, torch.Tensor]:
    """Positions of keys and queries, and a mask that hides nothing."""
    device, dtype = model.twin.cfg.device, next(model.twin.original_model.parameters()).dtype
    positions = torch.tensor([[0] * keys + [distance] * queries], device=device)
    mask = torch.zeros(1, 1, keys + queries, keys + queries, dtype=dtype, device=device)
    return {"position_ids": positions, "attention_mask": mask}


def _run(model: Model, head: Site, ids: torch.Tensor, hooks: Sequence[tuple[str, Any]], **call: torch.Tensor) -> None:
    """A pass up to the head's block, into which the tokens' embeddings go in place of what earlier blocks made."""
    embedded: list[torch.Tensor] = []
    bare = [] if rotates(model) else [("hook_pos_embed", lambda x, hook: torch.zeros_like(x))]
    swap = [
        ("blocks.0.hook_resid_pre", lambda x, hook: embedded.append(x.clone())),
        (f"blocks.{head.layer}.hook_resid_pre", lambda x, hook: embedded[0]),
    ]
    with attached(model.points, [*bare, *swap, *hooks, _UNREAD]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*hook_scale/hook_normalized.*")
        model.twin(ids, stop_at_layer=(head.layer or 0) + 1, **call)


def _check(model: Model, head: Site) -> None:
    if not isinstance(head, Site) or head.kind != "head" or head.part in ("k", "v") or head.position is not None:
        raise ValueError(f"a circuit is of one query head, such as Site('head', 1, 0), not of {head!r:.80}")
    check_site(model, head)
    if not isinstance(model.twin.blocks[head.layer].attn, _STEPWISE):
        raise ValueError(
            f"{head}: the attention of {model.name} does not show its steps, so its circuits are not known"
        )
    kind = model.twin.cfg.positional_embedding_type
    if kind not in ("rotary", "standard"):
        raise ValueError(f"{model.name} tells positions by {kind!r}; circuits are for rotary and learned positions")


def _check_length(model: Model, length: int) -> None:
    limit = getattr(model.twin.cfg, "n_ctx", None)
    if limit and length > limit:
        raise ValueError(f"queries and keys are {length} tokens together, {model.name} reads at most {limit}")


def _check_distance(model: Model, head: Site, distance: int) -> None:
    limit = getattr(model.twin.cfg, "n_ctx", None)
    if distance < 0 or (limit and distance >= limit):
        raise ValueError(f"distance is how many tokens back the key is, from 0 to {(limit or 0) - 1}, not {distance}")
    seen = window(model, head.layer or 0)
    if seen and distance >= seen:
        raise ValueError(f"{head} sees the last {seen} tokens alone, itself included: distance is below {seen}")
