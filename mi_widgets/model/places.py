"""Places: from a Site to a hook name, and what a model has of them.

The names are those of TransformerLens's bridge, and only sites where an edit is known to reach the model's output are
there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from transformer_lens.model_bridge.generalized_components.joint_qkv_attention import JointQKVAttentionBridge
from transformer_lens.model_bridge.generalized_components.position_embeddings_attention import (
    PositionEmbeddingsAttentionBridge,
)

from ..site import Site

if TYPE_CHECKING:
    from .gate import Model


_NAMES = {
    ("embedding", "out"): "hook_embed",
    ("residual", "pre"): "blocks.{layer}.hook_resid_pre",
    ("residual", "mid"): "blocks.{layer}.hook_resid_mid",
    ("residual", "post"): "blocks.{layer}.hook_resid_post",
    ("head", "z"): "blocks.{layer}.attn.hook_z",
    ("head", "q"): "blocks.{layer}.attn.hook_q",
    ("head", "k"): "blocks.{layer}.attn.hook_k",
    ("head", "v"): "blocks.{layer}.attn.hook_v",
    ("head", "pattern"): "blocks.{layer}.attn.hook_pattern",
    ("attention", "out"): "blocks.{layer}.hook_attn_out",  # watched, and no Site
    ("ffn", "out"): "blocks.{layer}.hook_mlp_out",
    ("neuron", "post"): "blocks.{layer}.mlp.hook_post",
    ("neuron", "pre"): "blocks.{layer}.mlp.hook_pre",
    ("weight", "W_Q"): "blocks.{layer}.attn.q.hook_out",
    ("weight", "W_K"): "blocks.{layer}.attn.k.hook_out",
    ("weight", "W_V"): "blocks.{layer}.attn.v.hook_out",
    ("weight", "W_O"): "blocks.{layer}.attn.o.hook_out",
    ("weight", "W_gate"): "blocks.{layer}.mlp.gate.hook_out",
    ("weight", "W_in"): "blocks.{layer}.mlp.in.hook_out",
    ("weight", "W_out"): "blocks.{layer}.mlp.out.hook_out",
}

TAIL = ".features"  # of a FeaturePoint's name, after the name of the hook that it sits on
#: part of a feature -> what its dictionary reads
_CARRYING = {"post": ("residual", "post"), "pre": ("residual", "pre"), "ffn": ("ffn", "out")}
_NAMES |= {("feature", part): f"{_NAMES[read]}{TAIL}" for part, read in _CARRYING.items()}

MID = "hook_resid_mid"  # read there, edited by what is added at hook_attn_out: see `_reached`


def hook_name(site: Site) -> str:
    """The TransformerLens hook name of a site."""
    return _NAMES[site.kind, site.part].format(layer=site.layer)


def family(model: Model, kind: str, part: str, layers: Iterable[int] | None = None) -> list[str]:
    """The hook names of one kind of activation, layer by layer; the embedding has one.

    layers: None for all that have it, of features those with a dictionary.
    """
    name = _NAMES[kind, part]
    if kind == "feature" and layers is None:
        layers = featured(model, part)
    every = range(model.n_layers if "{layer}" in name else 1) if layers is None else layers
    return [name.format(layer=layer) for layer in every]


def featured(model: Model, part: str) -> list[int]:
    """The layers with a dictionary that reads this part; ValueError where there is none."""
    layers = sorted(own.layer for own in model.dictionaries if own.part == part)
    if not layers:
        raise ValueError(
            f"{model.name} has no dictionary of {part!r} attached, so it has no such features: "
            "model.attach(mi.Dictionary.load(folder)); without a folder that is the default model's own"
        )
    return layers


def carrying(site: Site) -> Site:
    """The place that a feature's dictionary reads, at the feature's position; other sites as they are."""
    if site.kind != "feature":
        return site
    kind, part = _CARRYING[site.part]
    return Site(kind, site.layer, None, part, site.position)


def around(mid: str) -> tuple[str, str]:
    """The hooks by which the middle of a block is edited: what enters the block, and what its attention adds."""
    block = mid.rpartition(".")[0]
    return f"{block}.hook_resid_pre", f"{block}.hook_attn_out"


def writers(model: Model) -> list[tuple[str, int]]:
    """The hooks at which something is written to the residual stream, each with its layer; the first is what enters."""
    names = [("blocks.0.hook_resid_pre", 0)]
    for layer in range(model.n_layers):
        names += [(f"blocks.{layer}.{point}", layer) for point in ("hook_attn_out", "hook_mlp_out")]
    return [(name, layer) for name, layer in names if name in model.hook_names]


def own(values: torch.Tensor, site: Site) -> torch.Tensor:
    """The site's own part of values [pos, ...]: one head or neuron keeps its axis, of length one."""
    if site.index is None:
        return values
    own = slice(site.index, site.index + 1)
    return values[own] if site.part == "pattern" else values[:, own]


def rebuilt(block: Any) -> bool:
    """Whether a bridge computes a block's attention step by step, so that an edit of a pattern counts."""
    return isinstance(getattr(block, "attn", None), (JointQKVAttentionBridge, PositionEmbeddingsAttentionBridge))


def check_site(model: Model, site: Site) -> None:
    """Refuse a site that this model does not have, with what it has."""
    name = hook_name(site)
    if site.kind == "feature" and site.layer not in (layers := featured(model, site.part)):
        raise ValueError(f"{site}: no dictionary is attached there, but to layer {', '.join(map(str, layers))}")
    if site.layer is not None and site.layer >= model.n_layers:
        raise ValueError(f"{site}: this model has layers 0 to {model.n_layers - 1}")
    if name not in model.hook_names:
        raise ValueError(f"{site}: {model.name} has no {name} (parallel, recurrent and mixed blocks lack some sites)")
    if site.part == "pattern" and not rebuilt(model.twin.blocks[site.layer]):
        raise ValueError(
            f"{site}: {model.name} makes its patterns inside its own attention, where no edit reaches them"
        )
    limit = None if site.kind == "weight" else model.count(site)
    if site.index is not None and limit is not None and site.index >= limit:
        raise ValueError(f"{site}: this layer has {site.kind}s 0 to {limit - 1}")


def window(model: Model, layer: int) -> int | None:
    """How many tokens back a layer's queries see, themselves included; None where they see all."""
    config = model.twin.original_model.config
    attention = getattr(model.twin.blocks[layer].attn, "original_component", None)
    return getattr(attention, "sliding_window", getattr(config, "sliding_window", None)) or None


def weight_input(site: Site) -> str:
    """The hook name of what a weight matrix reads."""
    return hook_name(site).removesuffix("out") + "in"


def weight_shape(model: Model, site: Site) -> tuple[int, int]:
    """[d_in, d_out] of a block's matrix."""
    config = model.twin.cfg
    heads, mlp = model.n_heads * config.d_head, getattr(config, "d_mlp", None) or 4 * model.d_model
    groups = (getattr(config, "n_key_value_heads", None) or model.n_heads) * config.d_head
    return {
        "W_Q": (model.d_model, heads),
        "W_K": (model.d_model, groups),
        "W_V": (model.d_model, groups),
        "W_O": (heads, model.d_model),
        "W_gate": (model.d_model, mlp),
        "W_in": (model.d_model, mlp),
        "W_out": (mlp, model.d_model),
    }[site.part]
