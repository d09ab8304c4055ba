"""Readout: from residual vectors to logits, as the model itself makes them.

`logits` reads a whole residual stream. `contribution` reads a part of one: the final norm's scale stays what it is for
the whole stream, biases are left out, and the mean over the vocabulary is taken away, since adding a constant to all
logits says nothing. So the contributions of all parts, and of the biases, sum to the centred logits (before a
soft-cap). `token_direction` is the vector by which a layer is read for one token.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..intervention import Recipe
from .hooks import attached

if TYPE_CHECKING:
    from .gate import Model

_SCALE = "ln_final.hook_scale"
_BYTES = 25 << 20


def streams(
    model: Model, ids: torch.Tensor, names: Sequence[str], recipe: Recipe | None
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """What some hooks carry [pos, ...] in an edited run, and the model's own last logits [d_vocab].

    No other position is unembedded: logits of a whole prompt are larger than all its residual streams.
    """
    kept, last = model.observe(ids, names, recipe, keep=lambda x: x[0].clone())
    return kept, last[0].float()


def rows(model: Model) -> int:
    """How many vectors are unembedded at a time: 25 MiB of float32 logits, 133 of a vocabulary of 49152."""
    return max(1, _BYTES // (4 * model.twin.cfg.d_vocab))


def logits(model: Model, x: torch.Tensor, tokens: Sequence[int] | None = None) -> torch.Tensor:
    """Logits of residual vectors [..., pos, d_model] after the last block; of `tokens` alone, if they are given.

    Cohere multiplies its logits, Granite divides them, Gemma caps them; none of it is in the unembedding.
    """
    normed, head = model.twin.ln_final(x), model.twin.unembed.original_component
    if tokens is not None and isinstance(head, torch.nn.Linear):
        few = list(tokens)
        out = torch.nn.functional.linear(normed, head.weight[few], None if head.bias is None else head.bias[few])
    else:
        out = model.twin.unembed(normed)
        out = out if tokens is None else out[..., list(tokens)]
    out = scaled(model, out)
    cap = soft_cap(model)
    return out if not cap else out.div_(cap).tanh_().mul_(cap)


def soft_cap(model: Model) -> float | None:
    """The bound that the last logits are bent into, where there is one."""
    return getattr(model.twin.original_model.config, "final_logit_softcapping", None)


def scaled(model: Model, logits: torch.Tensor) -> torch.Tensor:
    """What the unembedding gives, times the model's own factor; in place where there is no gradient."""
    config = model.twin.original_model.config
    factor, divisor = (getattr(config, name, None) or 1.0 for name in ("logit_scale", "logits_scaling"))
    if factor == divisor:
        return logits
    return logits * (factor / divisor) if logits.requires_grad else logits.mul_(factor / divisor)


def contribution(model: Model, parts: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Centred logits [row, d_vocab] that parts [row, d_model] of residual streams `whole` [row, d_model] add."""
    scale: list[torch.Tensor] = []
    with attached(model.points, [(_SCALE, lambda x, hook: scale.append(x))]):
        model.twin.ln_final(whole[:, None])
    out = model.twin.unembed(_frozen(model, "ln_final", parts[:, None], scale[0]))
    nothing = model.twin.unembed(_frozen(model, "ln_final", torch.zeros_like(parts[:1, None]), scale[0][:1]))
    out = scaled(model, out.sub_(nothing))[:, 0].float()
    return out.sub_(out.mean(-1, keepdim=True))


def translated(translator: Any, layer: int, x: torch.Tensor) -> torch.Tensor:
    """Residual vectors after block `layer` as the last layer's unembedding is to get them.

    translator: has `apply(layer, x)`, or, as a TransformerLens `JacobianLens`, `transport(x, layer)`.
    """
    for name, arguments in (("apply", (layer, x)), ("transport", (x, layer))):
        if hasattr(translator, name):
            return getattr(translator, name)(*arguments).to(x.dtype)
    raise TypeError(f"a translator has apply(layer, x) or transport(x, layer); {type(translator).__name__} has neither")


def token_direction(model: Model, token: int, layer: int, translator: Any = None) -> torch.Tensor:
    """The unit vector [d_model] by which the residual stream x after block `layer` is read for a token.

    The centred logit (the token's, less the mean over the vocabulary) is a constant plus x · v times a positive number
    that depends on the length of what the final norm gets. So v is the token's row of the unembedding less the mean
    row, times the final norm's weight, centred where the norm centres, and taken back through an affine translator,
    which the last layer never has. Raises ValueError where nothing in the stream changes the logit.
    """
    with torch.enable_grad():
        x = torch.zeros(1, model.d_model, dtype=next(model.twin.original_model.parameters()).dtype, requires_grad=True)
        x_there = x.to(model.twin.cfg.device)
        plain = translator is None or layer == model.n_layers - 1
        parts = x_there if plain else translated(translator, layer, x_there)
        any_whole = torch.linspace(-1, 1, model.d_model).to(parts)[None]
        (found,) = torch.autograd.grad(contribution(model, parts, any_whole)[0, token], x)
    length = found.float().norm()
    if not length > 0:
        raise ValueError(f"nothing in the residual stream changes the logit of token {token}")
    return found[0].float() / length


def head_writes(model: Model, layer: int, z: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """What each head adds to the residual stream, [head, d_model], for head outputs z [head, d_head] at a position.

    scale: of the norm after attention, frozen, where the model has one.
    """
    block = model.twin.blocks[layer]
    rows = torch.diag_embed(z.T).permute(1, 2, 0)[:, None]  # [row, 1, head, d_head], one head a row
    project = block.attn.o
    writes = project(rows.flatten(2)) - project(torch.zeros_like(rows[:1]).flatten(2))
    if scale is not None:
        writes = _frozen(model, f"blocks.{layer}.ln1_post", writes, scale)
    return writes[:, 0] * residual_factor(model)


def residual_factor(model: Model) -> float:
    """By how much a model multiplies all that is added to its residual stream (Granite does)."""
    return getattr(model.twin.original_model.config, "residual_multiplier", None) or 1.0


def _frozen(model: Model, norm: str, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """A norm with a scale that is given."""
    hook: Any = (f"{norm}.hook_scale", lambda x, hook: scale)
    with attached(model.points, [hook]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*hook_scale/hook_normalized.*")
        return model.twin.get_submodule(norm)(x)
