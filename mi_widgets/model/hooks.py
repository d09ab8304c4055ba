"""Hooks: from an Intervention to functional edits, and from edits to what a bridge takes.

Every edit returns a new tensor and leaves its argument alone. Its positions are absolute: a `Clock` says which of them
the first column of its argument is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from ..direction import Direction
from ..intervention import Condition, Intervention, Recipe
from ..site import Site
from .clock import Clock, Span, absolute, columns_of, first_difference, key_of, outside, refuse_outside
from .dictionary import Dictionary
from .operations import FUNCTIONS, Function
from .places import MID, around, carrying, check_site, hook_name, weight_input, weight_shape, writers

if TYPE_CHECKING:
    from .gate import Model


Change = Callable[..., torch.Tensor]


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


def compile_recipe(model: Model, recipe: Recipe, clock: Clock) -> list[Edit]:
    """The edits of a recipe, in its order; strength 0 compiles to nothing."""
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
    return 0 if edit.reads else 2 if edit.hook.endswith(MID) else 1


def _reached(edit: Edit) -> Edit:
    """An edit where it reaches the model's output: of the middle of a block, at what its attention adds.

    An edit of what ln2 reads would miss the residual stream itself. So the attention's output (on a post-norm block,
    the post-norm's) becomes what is missing from what entered the block to the changed sum.
    """
    if not edit.hook.endswith(MID):
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


def _compile(model: Model, step: Intervention, clock: Clock) -> list[Edit]:
    check_site(model, step.site)
    if clock.length is not None:
        refuse_outside(step.site, clock)
    if step.where == "generated" and not clock.grows:
        raise ValueError(f"{step}: touches nothing in a run, which generates no text; mi.generate does")
    if step.delta is not None:
        return [_delta(model, step)]
    first = 0
    if step.prompt is not None and clock.bare and clock.ids is not None:
        first = first_difference(clock.ids, model.ids(step.prompt)[0].tolist())
    if step.dictionary and step.dictionary != (own := model.dictionary(step.site)).hash:
        raise ValueError(f"{step}: made with the dictionary {step.dictionary}, {model.name} has {own!r} there")
    function, span = FUNCTIONS[step.op](model, step, clock), (step.where, int(step.spare_first))
    if clock.length == 1 and step.spare_first and not clock.grows:
        raise ValueError(f"{step} touches nothing: position 0 is spared, and the prompt has one token")
    edit = _at(model, step.site, function, clock, step.strength, first, span, row=step.op == "knock_out")
    return [replace(edit, hook=hook, layer=layer) for hook, layer in writers(model)] if step.everywhere else [edit]


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


def _refuse_shape(step: Intervention, shape: tuple[int, int]) -> None:
    assert step.delta is not None
    for axis, chosen in enumerate((step.delta.rows, step.delta.columns)):
        fits = step.delta.shape[axis] == shape[axis] if chosen is None else max(chosen) < shape[axis]
        if not fits:
            raise ValueError(f"{step.site} is {shape[0]} × {shape[1]}; the delta of {step.delta.shape} does not fit it")


_EVERYWHERE: Span = ("all", 0)


def _at(
    model: Model,
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
    A feature is edited where its dictionary reads it.
    """
    start = _start(site, clock, first, span)
    if site.kind == "feature":
        function, site = _through(model.dictionary(site), site.index or 0, function), carrying(site)

    def change(x: torch.Tensor) -> torch.Tensor:
        width = x.shape[2 if site.part == "pattern" else 1]
        columns = columns_of(site, clock, width, span)
        if not columns:
            if site.position is None:
                return x
            if clock.length is None and x.shape[1] > 1:  # a whole prompt, and the position is not in it
                raise outside(site, x.shape[1])
            return x
        place = _place(site, slice(columns.start, columns.stop))
        old = x[place]
        new = function(old, range(clock.offset + columns.start, clock.offset + columns.stop))
        new = new if strength == 1 else old + strength * (new - old)
        out = x.clone()
        if site.key is None or row:
            out[place] = new
        else:
            key = key_of(site, clock, x.shape[-1])
            out[place][..., key] = new[..., key]
        return out

    return Edit(hook_name(site), -1 if site.layer is None else site.layer, change, start)


def _through(dictionary: Dictionary, index: int, function: Function) -> Function:
    """A function of one feature's activations [..., 1] as one of what its dictionary reads [..., d_model]."""

    def change(x: torch.Tensor, positions: range) -> torch.Tensor:
        active = dictionary.encode(x)
        new = active.clone()
        new[..., index : index + 1] = function(active[..., index : index + 1], positions)
        return dictionary.edited(x, active, new)

    return change


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
    position = absolute(site.position, clock.length)
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

    return _at(model, site, function, clock, first=first)


def knock_out(model: Model, site: Site, pairs: Sequence[tuple[int, int]], clock: Clock) -> Edit:
    """An edit that sets (query_pos, key_pos) entries of a head's pattern to zero; rows are not renormalised."""
    check_site(model, site)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        out = x.clone()
        for query, key in pairs:
            if query in positions:
                out[:, :, query - positions.start, key] = 0
        return out

    return _at(model, site, function, clock, first=min(query for query, _ in pairs))


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
