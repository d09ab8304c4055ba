"""Hooks: from a Site to a hook name, from an Intervention to a functional edit.

The names are those of TransformerLens's bridge, and only sites where an edit is known to reach the model's output are
edited. Every edit returns a new tensor and leaves its argument alone. Positions are absolute: a `Clock` tells an edit
which position the first column of its argument is, so that "position 5" means the same with and without a KV cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..intervention import Intervention, Recipe
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
    ("ffn", "out"): "blocks.{layer}.hook_mlp_out",
    ("neuron", "post"): "blocks.{layer}.mlp.hook_post",
    ("neuron", "pre"): "blocks.{layer}.mlp.hook_pre",
}
_MID = "hook_resid_mid"  # read there, edited by what is added at hook_attn_out: see `as_hooks`

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Clock:
    """Where a forward pass stands: `offset` positions came before; the prompt had `length`, and the tokens `ids`."""

    length: int | None = None
    offset: int = 0
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Edit:
    """A compiled intervention: `change` is applied to what `hook` carries, in block `layer` (-1: the embedding).

    start: the first position of the prompt that it can change; None when it changes none of them.
    """

    hook: str
    layer: int
    change: Change
    start: int | None = 0


def hook_name(site: Site) -> str:
    """The TransformerLens hook name of a site."""
    return _NAMES[site.kind, site.part].format(layer=site.layer)


def compile_recipe(model: Model, recipe: Recipe, clock: Clock) -> list[Edit]:
    """The edits of a recipe, in its order; strength 0 compiles to nothing."""
    return [_compile(model, i, clock) for i in recipe.interventions if i.strength != 0]


def as_hooks(edits: Sequence[Edit]) -> list[tuple[str, Any]]:
    """What `bridge.run_with_hooks(fwd_hooks=...)` takes."""
    return [pair for edit in edits for pair in points_of(edit.hook, edit.change)]


def points_of(name: str, change: Change) -> list[tuple[str, Any]]:
    """The hooks that make a change: one at its own name; for the residual stream before the MLP two others.

    An edit of what ln2 reads would miss the residual stream itself. So what enters the block is remembered, and the
    attention's output (on a post-norm block, the post-norm's) becomes what is missing to the changed sum.
    """
    block, _, point = name.rpartition(".")
    if point != _MID:
        return [(name, _as_hook(change))]
    entered: list[torch.Tensor] = []

    def add(x: torch.Tensor) -> torch.Tensor:
        before = entered.pop()
        mid = before + x
        wanted = change(mid)
        return torch.where(wanted == mid, x, wanted - before)  # so that their sum is what is wanted: 0 is 0

    return [(f"{block}.hook_resid_pre", _listener(entered)), (f"{block}.hook_attn_out", _as_hook(add))]


def _as_hook(change: Change) -> Any:
    def edit(x: torch.Tensor, hook: Any) -> torch.Tensor:
        return change(x)

    return edit


def _listener(heard: list[torch.Tensor]) -> Any:
    def listen(x: torch.Tensor, hook: Any) -> None:
        heard[:] = [x]

    return listen


def check_site(model: Model, site: Site) -> None:
    """Refuse a site that this model does not have, with what it has."""
    name = hook_name(site)
    if site.layer is not None and site.layer >= model.n_layers:
        raise ValueError(f"{site}: this model has layers 0 to {model.n_layers - 1}")
    if name not in model.hook_names:
        raise ValueError(f"{site}: {model.name} has no {name} (parallel, recurrent and mixed blocks lack some sites)")
    limit = model.count(site)
    if site.index is not None and limit is not None and site.index >= limit:
        raise ValueError(f"{site}: this layer has {site.kind}s 0 to {limit - 1}")


def _compile(model: Model, step: Intervention, clock: Clock) -> Edit:
    check_site(model, step.site)
    if step.site.position is not None and clock.length is not None:
        _refuse_outside(step.site, clock)
    first = (
        0
        if step.prompt is None or clock.ids is None
        else first_difference(clock.ids, model.ids(step.prompt)[0].tolist())
    )
    return _at(step.site, _FUNCTIONS[step.op](model, step, clock), clock, step.strength, first)


def first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """The first position at which two prompts have different tokens; the shorter one's length when none has."""
    shared = min(len(one), len(other))
    return next((at for at in range(shared) if int(one[at]) != int(other[at])), shared)


def _at(site: Site, function: Function, clock: Clock, strength: float = 1.0, first: int = 0) -> Edit:
    """An edit of a site by a function of what is there; `first`: before this position it puts what is there."""

    def change(x: torch.Tensor) -> torch.Tensor:
        width = x.shape[2 if site.part == "pattern" else 1]
        columns = _columns(site, clock, width)
        if not columns:
            if clock.length is None and x.shape[1] > 1:  # a whole prompt, and the position is not in it
                raise _outside(site, x.shape[1])
            return x
        place = _place(site, slice(columns.start, columns.stop))
        old = x[place]
        new = function(old, range(clock.offset + columns.start, clock.offset + columns.stop))
        out = x.clone()
        out[place] = new if strength == 1 else old + strength * (new - old)
        return out

    return Edit(hook_name(site), -1 if site.layer is None else site.layer, change, _start(site, clock, first))


def _place(site: Site, columns: slice) -> tuple[slice, ...]:
    """Where a site's positions are in [batch, pos, ...], or in a pattern [batch, head, query_pos, key_pos]."""
    if site.index is None:
        return slice(None), columns
    own = slice(site.index, site.index + 1)
    return (slice(None), own, columns) if site.part == "pattern" else (slice(None), columns, own)


def _start(site: Site, clock: Clock, first: int) -> int | None:
    """The first position that an edit changes, if it leaves those before `first` alone."""
    if site.position is None or clock.length is None:
        return first
    position = _absolute(site, clock.length)
    return position if position >= first else None


def put(model: Model, site: Site, values: torch.Tensor, clock: Clock, first: int = 0) -> Edit:
    """An edit that puts values [pos, ...] of a whole prompt at a site, at the site's own position if it has one.

    values: at one head or neuron with its axis ([pos, 1, d_head], [pos, 1]); of a pattern [1, query_pos, key_pos].
    first: the first position at which they differ from what is there.
    """
    check_site(model, site)
    rows = slice(None) if site.part == "pattern" else None

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        part = slice(positions.start, positions.stop)
        return (values[part] if rows is None else values[rows, part]).to(x).expand_as(x)

    return _at(site, function, clock, first=first)


def knock_out(model: Model, site: Site, pairs: Sequence[tuple[int, int]], clock: Clock) -> Edit:
    """An edit that sets (query_pos, key_pos) entries of a head's pattern to zero; rows are not renormalised."""
    check_site(model, site)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        out = x.clone()
        for query, key in pairs:
            if query in positions:
                out[:, :, query - positions.start, key] = 0
        return out

    return _at(site, function, clock, first=min(query for query, _ in pairs))


def _absolute(site: Site, length: int) -> int:
    assert site.position is not None
    return site.position + length if site.position < 0 else site.position


def _refuse_outside(site: Site, clock: Clock) -> None:
    assert clock.length is not None
    if not 0 <= _absolute(site, clock.length) < clock.length:
        raise _outside(site, clock.length)


def _outside(site: Site, length: int) -> ValueError:
    return ValueError(f"{site} touches nothing: the prompt has {length} tokens (positions 0 to {length - 1})")


def _columns(site: Site, clock: Clock, width: int) -> range:
    """The columns of an argument `width` wide that a site means; empty when its position is not among them."""
    if site.position is None:
        return range(width)
    length = clock.offset + width if clock.length is None else clock.length
    column = _absolute(site, length) - clock.offset
    return range(column, column + 1) if 0 <= column < width else range(0)


Function = Callable[[torch.Tensor, range], torch.Tensor]


def _zero(model: Model, step: Intervention, clock: Clock) -> Function:
    return lambda x, positions: torch.zeros_like(x)


def _scale(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.amount is not None
    factor = step.amount
    return lambda x, positions: x * factor


def _mean(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.reference is not None
    if step.site.part == "pattern":
        raise ValueError(f"{step.site} has no mean over texts of other lengths; scale it, or set it to zero")
    first, rest = own(model.means(step.reference, hook_name(step.site)), step.site)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        rows = [first if position == 0 else rest for position in positions]
        return torch.stack(rows).to(x).expand_as(x)

    return function


def _replace(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.prompt is not None
    values = own(model.activations(step.prompt, hook_name(step.site)), step.site)
    length = values.shape[1 if step.site.part == "pattern" else 0]
    if clock.length is not None and length != clock.length:
        raise ValueError(
            f"{step.site} cannot be taken from {step.prompt!r}: it has {length} tokens, the prompt {clock.length}"
        )
    if step.site.part == "pattern":
        return lambda x, positions: values[:, positions.start : positions.stop].to(x).expand_as(x)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        known = values[positions.start : positions.stop].to(x)
        rest = x[:, len(known) :]  # generated tokens have no counterpart in the other prompt
        return torch.cat([known.expand(len(x), *known.shape), rest], dim=1)

    return function


def _add(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.direction is not None and step.amount is not None
    vector = torch.from_numpy(step.direction.vector.copy()) * (step.amount * step.direction.norm)
    if len(vector) != model.d_model:
        raise ValueError(f"{step.direction.name!r} has {len(vector)} numbers, {model.name} has d_model {model.d_model}")
    return lambda x, positions: x + vector.to(x)


def own(values: torch.Tensor, site: Site) -> torch.Tensor:
    """The site's own part of values [pos, ...]: one head or neuron keeps its axis, of length one."""
    if site.index is None:
        return values
    own = slice(site.index, site.index + 1)
    return values[own] if site.part == "pattern" else values[:, own]


_FUNCTIONS = {"zero": _zero, "mean": _mean, "scale": _scale, "replace": _replace, "add": _add}


@contextmanager
def attached(points: Mapping[str, Any], hooks: Sequence[tuple[str, Any]]) -> Iterator[None]:
    """Hooks on a twin's hook points for the length of a block; nothing stays attached, whatever happens."""
    used = [points[name] for name, _ in hooks]
    try:
        for point, (_, function) in zip(used, hooks, strict=True):
            point.add_hook(function)
        yield
    finally:
        for point in used:
            point.remove_hooks("fwd")
