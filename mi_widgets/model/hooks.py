"""Hooks: from a Site to a hook name, from an Intervention to a functional edit.

The names are those of TransformerLens's bridge, and only sites where an edit is known to reach the model's output are
edited. Every edit returns a new tensor and leaves its argument alone. Positions are absolute: a `Clock` tells an edit
which position the first column of its argument is, so that "position 5" means the same with and without a KV cache.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from transformer_lens.model_bridge.generalized_components.joint_qkv_attention import JointQKVAttentionBridge
from transformer_lens.model_bridge.generalized_components.position_embeddings_attention import (
    PositionEmbeddingsAttentionBridge,
)

from ..direction import Direction
from ..intervention import Condition, Intervention, Recipe
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
_MID = "hook_resid_mid"  # read there, edited by what is added at hook_attn_out: see `_reached`

Change = Callable[..., torch.Tensor]


@dataclass
class Clock:
    """Where a forward pass stands: `offset` positions came before; the prompt had `length`, and the tokens `ids`.

    grows: text is generated after the prompt.
    bare: nothing else is edited, so that before the first difference another prompt has what is here.
    """

    length: int | None = None
    offset: int = 0
    ids: tuple[int, ...] | None = None
    bare: bool = False
    grows: bool = False

    @classmethod
    def of(cls, ids: torch.Tensor, grows: bool = False) -> Clock:
        """The clock of a prompt, ids [1, pos]."""
        return cls(ids.shape[1], ids=tuple(ids[0].tolist()), grows=grows)


@dataclass(frozen=True)
class Edit:
    """A compiled intervention: `change` is applied to what `hook` carries, in block `layer` (-1: the embedding).

    start: the first position of the prompt that it can change; None when it changes none of them.
    reads: another hook, before it in the pass; then `change` takes what that carries as well: change(x, read).
    """

    hook: str
    layer: int
    change: Change
    start: int | None = 0
    reads: str = ""


def hook_name(site: Site) -> str:
    """The TransformerLens hook name of a site."""
    return _NAMES[site.kind, site.part].format(layer=site.layer)


def family(model: Model, kind: str, part: str, layers: Iterable[int] | None = None) -> list[str]:
    """The hook names of one kind of activation, layer by layer (None: all); the embedding has one."""
    name = _NAMES[kind, part]
    every = range(model.n_layers if "{layer}" in name else 1) if layers is None else layers
    return [name.format(layer=layer) for layer in every]


def compile_recipe(model: Model, recipe: Recipe, clock: Clock) -> list[Edit]:
    """The edits of a recipe, in its order; strength 0 compiles to nothing."""
    for step in recipe.interventions:
        check_site(model, step.site)
    steps = [step for step in recipe.interventions if step.strength != 0]
    compiled = [(step.condition, _compile(model, step, clock)) for step in steps]  # a shut gate hides no mistake
    shut = {gate for gate in {gate for gate, _ in compiled if gate} if not _fires(model, gate, clock)}
    return [edit for gate, edits in compiled if gate not in shut for edit in edits]


def _fires(model: Model, gate: Condition, clock: Clock) -> bool:
    """Whether the prompt's run without the recipe is above a condition's threshold."""
    if clock.ids is None:
        raise ValueError("a recipe with a condition has to know the prompt: recipe.hooks(model, prompt)")
    return score(model, gate.direction, clock.ids, gate.position) > gate.above


def score(model: Model, direction: Direction, ids: tuple[int, ...], position: str | int) -> float:
    """x · v in the residual stream after block `direction.layer` at a position of a prompt, or at its "last_prompt"."""
    check_site(model, direction.site)
    length = len(ids)
    at = length - 1 if position == "last_prompt" else int(position)
    if not -length <= at < length:
        raise ValueError(f"a condition reads position {at}, the prompt has {length} tokens")
    x = model.activations(ids, direction.site)[at].float()
    if len(direction.vector) != len(x):
        raise ValueError(f"{direction.name!r} has {len(direction.vector)} numbers, d_model is {len(x)}")
    return float(x @ torch.from_numpy(direction.vector.copy()).to(x))


def as_hooks(edits: Sequence[Edit]) -> list[tuple[str, Any]]:
    """What `bridge.run_with_hooks(fwd_hooks=...)` takes."""
    heard: dict[str, torch.Tensor] = {}
    reached = [_reached(edit) for edit in sorted(edits, key=_turn)]
    return [*((edit.hook, _as_hook(_changing(edit, heard))) for edit in reached), *_listeners(reached, heard)]


Part = Callable[[int, str], tuple[slice, ...]]


def of_rows(
    points: Mapping[str, Any], rows: Iterable[tuple[int | None, Sequence[Edit]]], part: Part | None = None
) -> list[tuple[str, Any]]:
    """The hooks of a batch in which each row has its own edits, or everybody's (row None); one for each of `points`.

    part: where a row's own tokens are in what a hook carries; by default the whole row.
    """
    heard: dict[str, torch.Tensor] = {}
    places: dict[str, list[tuple[int | None, Edit]]] = {}
    for row, edit in sorted(((row, edit) for row, edits in rows for edit in edits), key=lambda pair: _turn(pair[1])):
        reached = _reached(edit)
        places.setdefault(points[reached.hook].name, []).append((row, reached))
    hooks = [(own[0][1].hook, _as_hook(_by_row(own, heard, part))) for own in places.values()]
    return [*hooks, *_listeners([edit for own in places.values() for _, edit in own], heard)]


def _turn(edit: Edit) -> int:
    """When an edit comes among those at one point: what a weight adds, then the others, then what makes up a middle."""
    return 0 if edit.reads else 2 if edit.hook.endswith(_MID) else 1


def around(mid: str) -> tuple[str, str]:
    """The hooks by which the middle of a block is edited: what enters the block, and what its attention adds."""
    block = mid.rpartition(".")[0]
    return f"{block}.hook_resid_pre", f"{block}.hook_attn_out"


def _reached(edit: Edit) -> Edit:
    """An edit where it reaches the model's output: of the middle of a block, at what its attention adds.

    An edit of what ln2 reads would miss the residual stream itself. So the attention's output (on a post-norm block,
    the post-norm's) becomes what is missing from what entered the block to the changed sum.
    """
    if not edit.hook.endswith(_MID):
        return edit

    def change(x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        mid = before + x
        wanted = edit.change(mid)
        return torch.where(wanted == mid, x, wanted - before)  # so that their sum is what is wanted: 0 is 0

    entered, added = around(edit.hook)
    return replace(edit, hook=added, change=change, reads=entered)


def _changing(edit: Edit, heard: Mapping[str, torch.Tensor]) -> Change:
    if not edit.reads:
        return edit.change
    return lambda x: edit.change(x, heard[edit.reads])


def _by_row(edits: Sequence[tuple[int | None, Edit]], heard: Mapping[str, torch.Tensor], part: Part | None) -> Change:
    def place(row: int | None, name: str) -> tuple[slice, ...]:
        if row is None:
            return (slice(None),)
        return (slice(row, row + 1),) if part is None else part(row, name)

    def change(x: torch.Tensor) -> torch.Tensor:
        out = x.clone()
        for row, edit in edits:
            where = place(row, edit.hook)
            out[where] = edit.change(out[where], *((heard[edit.reads][where],) if edit.reads else ()))
        return out

    return change


def _as_hook(change: Change) -> Any:
    def edit(x: torch.Tensor, hook: Any) -> torch.Tensor:
        return change(x)

    return edit


def _listeners(edits: Sequence[Edit], heard: dict[str, torch.Tensor]) -> list[tuple[str, Any]]:
    """Hooks that keep what edits read; after all other hooks, so that they hear what those have left."""
    return [(name, _listener(name, heard)) for name in dict.fromkeys(edit.reads for edit in edits if edit.reads)]


def _listener(name: str, heard: dict[str, torch.Tensor]) -> Any:
    def listen(x: torch.Tensor, hook: Any) -> None:
        heard[name] = x

    return listen


def rebuilt(block: Any) -> bool:
    """Whether a bridge computes a block's attention step by step, so that an edit of a pattern counts."""
    return isinstance(getattr(block, "attn", None), (JointQKVAttentionBridge, PositionEmbeddingsAttentionBridge))


def check_site(model: Model, site: Site) -> None:
    """Refuse a site that this model does not have, with what it has."""
    name = hook_name(site)
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


def _compile(model: Model, step: Intervention, clock: Clock) -> list[Edit]:
    check_site(model, step.site)
    if clock.length is not None:
        _refuse_outside(step.site, clock)
    if step.where == "generated" and not clock.grows:
        raise ValueError(f"{step}: touches nothing in a run, which generates no text; mi.generate does")
    if step.delta is not None:
        return [_delta(model, step)]
    first = 0
    if step.prompt is not None and clock.bare and clock.ids is not None:
        first = first_difference(clock.ids, model.ids(step.prompt)[0].tolist())
    function, span = _FUNCTIONS[step.op](model, step, clock), (step.where, int(step.spare_first))
    if clock.length == 1 and step.spare_first and not clock.grows:
        raise ValueError(f"{step} touches nothing: position 0 is spared, and the prompt has one token")
    edit = _at(step.site, function, clock, step.strength, first, span, row=step.op == "knock_out")
    return [replace(edit, hook=hook, layer=layer) for hook, layer in writers(model)] if step.everywhere else [edit]


def writers(model: Model) -> list[tuple[str, int]]:
    """The hooks at which something is written to the residual stream, each with its layer; the first is what enters."""
    names = [("blocks.0.hook_resid_pre", 0)]
    for layer in range(model.n_layers):
        names += [(f"blocks.{layer}.{point}", layer) for point in ("hook_attn_out", "hook_mlp_out")]
    return [(name, layer) for name, layer in names if name in model.hook_names]


def _delta(model: Model, step: Intervention) -> Edit:
    """What an addition to a weight matrix adds to what the matrix makes."""
    assert step.delta is not None
    _refuse_shape(step, weight_shape(model, step.site))
    delta = step.delta
    left, right = (None if n is None else torch.from_numpy(n.copy()) for n in (delta.left, delta.right))
    assert left is not None
    return addition(step.site, left, right, delta.rows, delta.columns, step.strength)


def addition(
    site: Site,
    left: torch.Tensor,
    right: torch.Tensor | None = None,
    rows: Sequence[int] | None = None,
    columns: Sequence[int] | None = None,
    strength: float = 1.0,
) -> Edit:
    """An edit that does what adding `left`, or left · right, to rows and columns of a weight would; see `Delta`.

    Gradients reach `left` and `right`.
    """
    assert site.layer is not None
    at_rows, at_columns = (None if n is None else torch.tensor(n) for n in (rows, columns))

    def change(x: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        read = read.reshape(*x.shape[:2], -1)
        added = (read if at_rows is None else read[..., at_rows.to(x.device)]) @ left.to(x)
        added = strength * (added if right is None else added @ right.to(x))
        flat = x.flatten(2)
        if at_columns is None:
            return (flat + added).view_as(x)
        return flat.index_add(2, at_columns.to(x.device), added.to(x)).view_as(x)

    return Edit(hook_name(site), site.layer, change, 0, weight_input(site))


def shift(site: Site, vector: torch.Tensor, positions: Sequence[int]) -> Edit:
    """An edit that adds a vector at one position of each row. Gradients reach the vector."""

    def change(x: torch.Tensor) -> torch.Tensor:
        there = torch.zeros(x.shape[:2], dtype=x.dtype, device=x.device)
        there[range(len(positions)), list(positions)] = 1
        return x + there[..., None] * vector.to(x)

    return Edit(hook_name(site), -1 if site.layer is None else site.layer, change)


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


def _refuse_shape(step: Intervention, shape: tuple[int, int]) -> None:
    assert step.delta is not None
    for axis, chosen in enumerate((step.delta.rows, step.delta.columns)):
        fits = step.delta.shape[axis] == shape[axis] if chosen is None else max(chosen) < shape[axis]
        if not fits:
            raise ValueError(f"{step.site} is {shape[0]} × {shape[1]}; the delta of {step.delta.shape} does not fit it")


def first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """The first position at which two prompts have different tokens; the shorter one's length when none has."""
    shared = min(len(one), len(other))
    return next((at for at in range(shared) if int(one[at]) != int(other[at])), shared)


Span = tuple[str, int]  # which positions of a text, as in Intervention.where; and the first one that may be edited
_EVERYWHERE: Span = ("all", 0)


def _at(
    site: Site,
    function: Function,
    clock: Clock,
    strength: float = 1.0,
    first: int = 0,
    span: Span = _EVERYWHERE,
    row: bool = False,
) -> Edit:
    """An edit of a site by a function of what is there.

    first: before this position it puts what is there. row: of a pattern's key, the whole row of keys is edited.
    """

    def change(x: torch.Tensor) -> torch.Tensor:
        width = x.shape[2 if site.part == "pattern" else 1]
        columns = _columns(site, clock, width, span)
        if not columns:
            if site.position is None:
                return x
            if clock.length is None and x.shape[1] > 1:  # a whole prompt, and the position is not in it
                raise _outside(site, x.shape[1])
            return x
        place = _place(site, slice(columns.start, columns.stop))
        old = x[place]
        new = function(old, range(clock.offset + columns.start, clock.offset + columns.stop))
        new = new if strength == 1 else old + strength * (new - old)
        out = x.clone()
        if site.key is None or row:
            out[place] = new
        else:
            key = _key(site, clock, x.shape[-1])
            out[place][..., key] = new[..., key]
        return out

    return Edit(hook_name(site), -1 if site.layer is None else site.layer, change, _start(site, clock, first, span))


def _place(site: Site, columns: slice) -> tuple[slice, ...]:
    """Where a site's positions are in [batch, pos, ...], or in a pattern [batch, head, query_pos, key_pos]."""
    if site.index is None:
        return slice(None), columns
    own = slice(site.index, site.index + 1)
    return (slice(None), own, columns) if site.part == "pattern" else (slice(None), columns, own)


def _start(site: Site, clock: Clock, first: int, span: Span) -> int | None:
    """The first position that an edit changes, if it leaves those before `first` alone; None when it changes none."""
    if clock.length is None:
        return first
    if site.position is None:
        where, least = span
        start = max(first, least)
        return None if where == "generated" or start >= clock.length else start
    position = _absolute(site.position, clock.length)
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


def _absolute(position: int, length: int) -> int:
    return position + length if position < 0 else position


def _key(site: Site, clock: Clock, width: int) -> int:
    """The key position that a site of a pattern means, among `width` keys."""
    assert site.key is not None
    key = _absolute(site.key, width if clock.length is None else clock.length)
    if not 0 <= key < width:
        raise _outside(site, width)
    return key


def _refuse_outside(site: Site, clock: Clock) -> None:
    """Refuse a position that the prompt does not have, and a key that the query cannot see."""
    assert clock.length is not None
    places = [_absolute(place, clock.length) for place in (site.position, site.key) if place is not None]
    if any(not 0 <= place < clock.length for place in places):
        raise _outside(site, clock.length)
    if len(places) == 2 and places[1] > places[0]:
        raise ValueError(f"{site} touches nothing: a query sees only keys up to its own position")


def _outside(site: Site, length: int) -> ValueError:
    return ValueError(f"{site} touches nothing: the prompt has {length} tokens (positions 0 to {length - 1})")


def _columns(site: Site, clock: Clock, width: int, span: Span) -> range:
    """The columns of an argument `width` wide that a site means; empty when its position is not among them."""
    length = clock.offset + width if clock.length is None else clock.length
    if site.position is None:
        where, least = span
        start = max(least, length if where == "generated" else 0) - clock.offset
        stop = min(width, length - clock.offset) if where == "prompt" else width
        return range(max(0, start), max(0, start, stop))
    column = _absolute(site.position, length) - clock.offset
    return range(column, column + 1) if 0 <= column < width else range(0)


Function = Callable[[torch.Tensor, range], torch.Tensor]


def _zero(model: Model, step: Intervention, clock: Clock) -> Function:
    return lambda x, positions: torch.zeros_like(x)


def _clamp(model: Model, step: Intervention, clock: Clock) -> Function:
    low, high = step.low, step.high
    return lambda x, positions: x.clamp(low, high)


def _knock_out(model: Model, step: Intervention, clock: Clock) -> Function:
    """A query's attention without one key; what the others get sums to what the row summed to."""

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        key = _key(step.site, clock, x.shape[-1])
        out = x.clone()
        out[..., key] = 0
        left = out.sum(-1, keepdim=True)
        return torch.where(left > 0, out * (x.sum(-1, keepdim=True) / left), out)

    return function


def _scale(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.amount is not None
    factor = step.amount
    return lambda x, positions: x * factor


def _mean(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.reference is not None
    first, rest = own(model.means(step.reference, step.site), step.site)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        rows = [first if position == 0 else rest for position in positions]
        return torch.stack(rows).to(x).expand_as(x)

    return function


def _replace(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.prompt is not None
    values = own(model.activations(step.prompt, step.site), step.site)
    length = values.shape[1 if step.site.part == "pattern" else 0]
    if clock.length is not None and length != clock.length:
        raise ValueError(
            f"{step.site} cannot be taken from {step.prompt!r}: it has {length} tokens, the prompt {clock.length}"
        )
    return _taken(step.site, values)


def _resample(model: Model, step: Intervention, clock: Clock) -> Function:
    """The activation on another text, drawn among those that are long enough and cut to the prompt's length."""
    assert step.reference is not None
    if clock.length is None:
        raise ValueError(f"{step}: which texts are long enough is known with the prompt: recipe.hooks(model, prompt)")
    long = [text for text in step.reference.texts if model.ids(text).shape[1] >= clock.length]
    if not long:
        raise ValueError(f"{step}: no text of the reference set has {clock.length} tokens or more; give longer ones")
    values = own(model.activations(random.Random(step.seed).choice(long), step.site), step.site)
    if step.site.part == "pattern":
        return _taken(step.site, values[:, : clock.length, : clock.length])
    return _taken(step.site, values[: clock.length])


def _taken(site: Site, values: torch.Tensor) -> Function:
    """What puts another text's values [pos, ...], or a pattern's [1, query_pos, key_pos]; what comes after is left."""
    if site.part == "pattern":
        return lambda x, positions: values[:, positions.start : positions.stop].to(x).expand_as(x)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        known = values[positions.start : positions.stop].to(x)
        rest = x[:, len(known) :]  # generated tokens have no counterpart in the other prompt
        return torch.cat([known.expand(len(x), *known.shape), rest], dim=1)

    return function


def _add(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.direction is not None and step.amount is not None
    vector = _vector(model, step) * (step.amount * step.direction.norm)
    return lambda x, positions: x + vector.to(x)


def _rotate(model: Model, step: Intervention, clock: Clock) -> Function:
    add = _add(model, step, clock)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        turned = add(x, positions)
        return turned * (x.norm(dim=-1, keepdim=True) / turned.norm(dim=-1, keepdim=True))

    return function


def _project_out(model: Model, step: Intervention, clock: Clock) -> Function:
    vector = _vector(model, step)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        along = vector.to(x)
        return x - (x @ along)[..., None] * along

    return function


def _swap(model: Model, step: Intervention, clock: Clock) -> Function:
    """The coordinates in a subspace as on another prompt."""
    assert step.subspace is not None
    there, basis = _replace(model, step, clock), torch.from_numpy(step.subspace.basis.copy())
    if basis.shape[1] != model.d_model:
        raise ValueError(
            f"{step.subspace.name!r} has vectors of {basis.shape[1]} numbers, {model.name} has d_model {model.d_model}"
        )

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        own = basis.to(x)
        return x + (there(x, positions) - x) @ own.T @ own

    return function


def _vector(model: Model, step: Intervention) -> torch.Tensor:
    assert step.direction is not None
    vector, width = torch.from_numpy(step.direction.vector.copy()), model.width(step.site)
    if len(vector) != width:
        name = "d_model" if width == model.d_model else "d_head"
        raise ValueError(f"{step.direction.name!r} has {len(vector)} numbers, {model.name} has {name} {width}")
    return vector


def own(values: torch.Tensor, site: Site) -> torch.Tensor:
    """The site's own part of values [pos, ...]: one head or neuron keeps its axis, of length one."""
    if site.index is None:
        return values
    own = slice(site.index, site.index + 1)
    return values[own] if site.part == "pattern" else values[:, own]


_FUNCTIONS = {
    "zero": _zero,
    "mean": _mean,
    "resample": _resample,
    "scale": _scale,
    "clamp": _clamp,
    "replace": _replace,
    "knock_out": _knock_out,
    "add": _add,
    "rotate": _rotate,
    "project_out": _project_out,
    "swap": _swap,
}


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
