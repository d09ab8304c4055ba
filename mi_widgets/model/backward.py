"""Backward: gradients of a metric with respect to activations, by one forward and one backward pass of the twin.

Activations are watched by functional hooks; the first of them, the embedding, becomes the leaf, so a model whose
parameters are frozen has gradients too. Nothing is accumulated: no `.grad` is written and no `requires_grad` of the
user's tensors changes (the twin's own Parameter objects ask for none). The metric reads the last position, and only
that one is unembedded.

A residual stream in the middle of a block is watched where an edit reaches the whole of it: its value is read before
the second norm, its gradient is that of the attention output, which is added to it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..intervention import Recipe
from .places import family
from .readout import scaled

if TYPE_CHECKING:
    from .gate import Model

Read = Callable[[torch.Tensor], torch.Tensor]
Hook = tuple[str, Any]
Family = tuple[str, str]  # kind and part of a Site, for every layer that has it
_EMBED = "hook_embed"
_MID = ("residual", "mid")


@dataclass(frozen=True)
class Backward:
    """One backward pass of a batch.

    metric: [row]. activations, gradients: one tensor [row, pos, ...] for each layer (the embedding: one tensor).
    """

    metric: torch.Tensor
    activations: list[torch.Tensor]
    gradients: list[torch.Tensor]


@dataclass(frozen=True)
class Direct:
    """The direct path of every component into a metric at the last position: activation · gradient of each.

    heads: [layer, head]. attention, ffn: [layer], biases included. embedding, final_bias, total: numbers. total is the
    metric itself, before a final soft-cap. neurons: [layer, neuron], where they were asked for; their own bias is the
    rest of `ffn`.
    """

    heads: torch.Tensor
    attention: torch.Tensor
    ffn: torch.Tensor
    neurons: torch.Tensor | None
    embedding: float
    final_bias: float
    total: float


def activations(model: Model, ids: torch.Tensor, of: Family) -> list[torch.Tensor]:
    """Activations [row, pos, ...] of one kind, layer by layer, without a gradient."""
    return list(model.capture(ids, family(model, *of)).values())


def gradients(
    model: Model, ids: torch.Tensor, of: Family, read: Read, start: torch.Tensor | None = None, rule: str = ""
) -> Backward:
    """Gradients of read(last logits [row, d_vocab]) -> [row] with respect to one kind of activation.

    ids: [row, pos]. start: embeddings [row, pos, d_model] to begin with instead of the ids' own (a path between two
    prompts). rule: "relp" propagates relevance (see `relp`). Cost: one forward and one backward pass.
    """
    seen = _Watch(family(model, *of))
    felt = _Watch(family(model, "attention", "out")) if of == _MID else seen
    rules = relp(model) if rule == "relp" else []
    watches = [*seen.hooks, *(felt.hooks if felt is not seen else [])]
    with torch.enable_grad():
        logits = _forward(model, ids, [_leaf(start), *rules, *watches])
        metric = read(logits)
        found = _derive(model, metric, list(felt.kept.items()))
    return Backward(metric.detach(), [x.detach() for x in seen.kept.values()], found)


def direct(model: Model, ids: torch.Tensor, read: Read, neurons: bool = False, recipe: Recipe | None = None) -> Direct:
    """How much each component writes straight into the metric, with every norm's scale frozen (one prompt).

    The graph is cut at each head's output and at each FFN, so that what is left of the backward pass is the direct
    path: through the output projection, post-norms where there are any, the residual stream, the final norm and the
    unembedding. Heads, biases, FFNs, embedding and final bias sum to the metric before a soft-cap.
    """
    layers = range(model.n_layers)
    z, attention, ffn = (_Watch([f"blocks.{i}.{tail}" for i in layers]) for tail in _WRITES)
    post = _Watch([f"blocks.{i}.mlp.hook_post" for i in layers] if neurons else [])
    first, unembedded = _Watch(["blocks.0.hook_resid_pre"]), _Watch(["unembed.hook_out"])
    z.cut = post.cut = first.cut = True
    ffn.cut = not neurons
    watches = [first, z, attention, post, ffn, unembedded]
    with torch.enable_grad():
        hooks = [hook for watch in watches for hook in watch.hooks]
        _forward(model, ids, [*model.hooks(recipe, ids), *frozen_norms(model), *hooks])
        logits = unembedded.kept["unembed.hook_out"]
        total = read(scaled(model, logits)[:, -1])[0]
        kept = [pair for watch in watches for pair in watch.kept.items()]
        found = dict(zip([name for name, _ in kept], _derive(model, total, kept), strict=True))
    parts = {name: (x.detach().float() * found[name].float())[0, -1] for name, x in kept if name != "unembed.hook_out"}
    return Direct(
        heads=torch.stack([parts[name].sum(-1) for name in z.names]),
        attention=torch.stack([parts[name].sum() for name in attention.names]),
        ffn=torch.stack([parts[name].sum() for name in ffn.names]),
        neurons=torch.stack([parts[name] for name in post.names]) if neurons else None,
        embedding=float(parts[first.names[0]].sum()),
        final_bias=float((found["unembed.hook_out"][0, -1] * _nothing(model, logits)[0, -1]).sum()),
        total=float(total),
    )


_WRITES = ("attn.hook_z", "hook_attn_out", "hook_mlp_out")


def _nothing(model: Model, logits: torch.Tensor) -> torch.Tensor:
    """The unembedding of a residual stream of zeros: the final norm's bias and the unembedding's."""
    zeros = torch.zeros(1, 1, model.d_model, dtype=logits.dtype, device=logits.device)
    return model.twin.unembed(model.twin.ln_final(zeros))


def patterns(model: Model, ids: torch.Tensor, part: str, source: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Attention patterns [head, query_pos, key_pos] of each layer with all its queries or keys taken from elsewhere.

    part: "q" or "k". source: their values [pos, head, d_head], layer by layer. Every layer still reads the base run:
    a second row of the batch computes the other pattern, and its head outputs are put back to the first row's. Cost:
    one forward pass of two rows.
    """
    kept: dict[str, torch.Tensor] = {}

    def put(values: torch.Tensor) -> Any:
        return lambda x, hook: torch.stack([x[0], values.to(x)])

    def keep(name: str) -> Any:
        def look(x: torch.Tensor, hook: Any) -> None:
            kept[name] = x[1].clone()

        return look

    def back(x: torch.Tensor, hook: Any) -> torch.Tensor:
        return torch.stack([x[0], x[0]])

    hooks: list[Hook] = []
    for name, values in zip(family(model, "head", part), source, strict=True):
        hooks += [(name, put(values)), (name.replace(f"hook_{part}", "hook_z"), back)]
    hooks += [(name, keep(name)) for name in family(model, "head", "pattern")]
    model.last_logits(ids.expand(2, -1), hooks)
    return list(kept.values())


class _Watch:
    """Keeps what some hooks carry, as the tensors that the rest of the pass depends on.

    cut: from here on they are leaves, and nothing before them has a gradient by way of them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.cut = list(names), False
        self.kept: dict[str, torch.Tensor] = {}

    @property
    def hooks(self) -> list[Hook]:
        """What to attach."""
        return [(name, self._look(name)) for name in self.names]

    def _look(self, name: str) -> Any:
        def look(x: torch.Tensor, hook: Any) -> torch.Tensor:
            y = x.detach().requires_grad_() if self.cut else x.view_as(x)
            self.kept[name] = y
            return y

        return look


def _leaf(start: torch.Tensor | None) -> Hook:
    """The embedding as the leaf of the graph, or other vectors in its place."""
    return _EMBED, lambda x, hook: (x if start is None else start.to(x)).detach().requires_grad_()


def _forward(model: Model, ids: torch.Tensor, hooks: Sequence[Hook]) -> torch.Tensor:
    """Last logits [row, d_vocab], with a graph but for the parameters."""
    freeze(model)
    with warnings.catch_warnings():  # a norm whose scale is detached is computed in other steps, as it should be
        warnings.filterwarnings("ignore", message=".*hook_scale/hook_normalized.*")
        return model.last_logits(ids, hooks)


def freeze(model: Model) -> None:
    """No parameter of the twin asks for a gradient; the user's are other Parameter objects, and keep what they ask."""
    for parameter in model.twin.parameters():
        parameter.requires_grad_(False)


def _derive(model: Model, metric: torch.Tensor, kept: Sequence[tuple[str, torch.Tensor]]) -> list[torch.Tensor]:
    """d metric / d each kept tensor; a row's metric depends on that row only, so one sum serves them all."""
    found = torch.autograd.grad(metric.sum(), [x for _, x in kept], allow_unused=True)
    for (name, _), gradient in zip(kept, found, strict=True):
        if gradient is None:
            raise ValueError(f"{model.name} does not read what {name} carries: it has no gradient")
    return list(found)


def frozen_norms(model: Model) -> list[Hook]:
    """Every norm's scale as a constant of the backward pass."""
    points = {id(model.points[name]): name for name in model.points if name.endswith("hook_scale")}
    return [(name, lambda x, hook: x.detach()) for name in points.values()]


def relp(model: Model) -> list[Hook]:
    """Relevance propagation by three changes of the backward pass (RelP, Jafari et al. 2025); values stay.

    Every norm's scale is a constant; an activation function is multiplication by the constant act(x)/x; each factor of
    a gate's product gets half of the gradient. The attention pattern is left as it is.
    """
    hooks = frozen_norms(model)
    for layer in range(model.n_layers):
        hooks += _linear_ffn(model, f"blocks.{layer}.mlp")
    return hooks


def _linear_ffn(model: Model, mlp: str) -> list[Hook]:
    """An FFN whose activation function is a constant factor, and whose gate and input share the gradient."""
    gated = f"{mlp}.hook_pre_linear" in model.points
    before = _Watch([f"{mlp}.hook_pre", *([f"{mlp}.hook_pre_linear"] if gated else [])])

    def linear(post: torch.Tensor, hook: Any) -> torch.Tensor:
        factors = list(before.kept.values())
        if not factors:
            raise ValueError(f"relp needs what enters the activation function, and {mlp} does not show it")
        shares = [factor * _over(post, factor) for factor in factors]  # each equals `post`
        share = torch.stack(shares).mean(0)
        return post.detach() + share - share.detach()

    return [*before.hooks, (f"{mlp}.hook_post", linear)]


def _over(post: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """post / factor as a constant; where the factor is 0 the product is too, and nothing passes."""
    zero = factor == 0
    return torch.where(zero, torch.zeros_like(post), post / torch.where(zero, torch.ones_like(factor), factor)).detach()
