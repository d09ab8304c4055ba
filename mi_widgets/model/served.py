"""Served: the hooks of a model that another engine runs, as TransformerLens's vLLM backend has them.

vLLM runs its own modules, so only what passes between them can be edited: the embedding, what attention and MLP put
out, and the stream after a block, each by one affine map of its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformer_lens.model_bridge.sources.vllm.intervention_specs import validate_spec

from ..site import Site
from .places import check_site
from .tensors import NoPlace, embedding_factor

if TYPE_CHECKING:
    from .gate import Model


def served_hook(model: Model, site: Site, only_adds: bool) -> str:
    """The hook that carries a site's tensor in the engine; raises NoPlace in words where none does.

    only_adds: whether the edit adds the same to whatever is there. In the middle of a block only that is possible, by
    what the attention puts out.
    """
    check_site(model, site)
    layer = site.layer or 0
    if site.kind in ("head", "neuron", "feature", "weight"):
        raise NoPlace(
            f"the engine has no hook for a {site.kind}, which its fused kernels do not show; mi.bake may do it"
        )
    if site.kind == "embedding" or (site.kind == "residual" and site.part == "pre" and layer == 0):
        return _embedding(model, site)
    if site.kind == "residual" and site.part != "mid":
        return f"blocks.{layer - (site.part == 'pre')}.hook_out"
    if site.part == "mid" and not only_adds:
        raise NoPlace("the engine has no hook in the middle of a block: only an addition to it can be made")
    if site.part == "mid" and getattr(model.twin.cfg, "residual_multiplier", 1.0) != 1.0:
        raise NoPlace("what the attention puts out is multiplied before it is added to the stream")
    branch, norm = ("attn", "ln1_post") if site.part == "mid" else ("mlp", "ln2_post")
    if f"blocks.{layer}.{norm}.hook_out" in model.points:
        raise NoPlace(f"the engine's {branch} output is taken before a norm, the model's own after it")
    return f"blocks.{layer}.{branch}.hook_out"


def _embedding(model: Model, site: Site) -> str:
    if site.kind == "residual" and "pos_embed" in model.twin._modules:
        raise NoPlace("the engine has no hook after the position embedding")
    if abs(embedding_factor(model) - 1) > 1e-3:
        raise NoPlace("the model multiplies its embedding, before or after the engine's hook")
    return "embed.hook_out"


def validated(specs: Mapping[str, dict[str, Any]], width: int) -> dict[str, dict[str, Any]]:
    """The specs, each checked by TransformerLens itself."""
    return {hook: validate_spec(hook, spec, width=width) for hook, spec in specs.items()}
