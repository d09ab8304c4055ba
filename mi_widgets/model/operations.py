"""Operations: what each of an Intervention's operations makes of an activation at some positions."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from ..intervention import Intervention
from ..site import Site
from .clock import Clock, key_of
from .places import own

if TYPE_CHECKING:
    from .gate import Model


Function = Callable[[torch.Tensor, range], torch.Tensor]


def _zero(model: Model, step: Intervention, clock: Clock) -> Function:
    return lambda x, positions: torch.zeros_like(x)


def _scale(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.amount is not None
    factor = step.amount
    return lambda x, positions: x * factor


def _clamp(model: Model, step: Intervention, clock: Clock) -> Function:
    low, high = step.low, step.high
    return lambda x, positions: x.clamp(low, high)


def _mean(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.reference is not None
    first, rest = own(model.means(step.reference, step.site), step.site)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        rows = [first if position == 0 else rest for position in positions]
        return torch.stack(rows).to(x).expand_as(x)

    return function


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


def _replace(model: Model, step: Intervention, clock: Clock) -> Function:
    assert step.prompt is not None
    values = own(model.activations(step.prompt, step.site), step.site)
    length = values.shape[1 if step.site.part == "pattern" else 0]
    if clock.length is not None and length != clock.length:
        raise ValueError(
            f"{step.site} cannot be taken from {step.prompt!r}: it has {length} tokens, the prompt {clock.length}"
        )
    return _taken(step.site, values)


def _taken(site: Site, values: torch.Tensor) -> Function:
    """What puts another text's values [pos, ...], or a pattern's [1, query_pos, key_pos]; what comes after is left."""
    if site.part == "pattern":
        return lambda x, positions: values[:, positions.start : positions.stop].to(x).expand_as(x)

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        known = values[positions.start : positions.stop].to(x)
        rest = x[:, len(known) :]  # generated tokens have no counterpart in the other prompt
        return torch.cat([known.expand(len(x), *known.shape), rest], dim=1)

    return function


def _knock_out(model: Model, step: Intervention, clock: Clock) -> Function:
    """A query's attention without one key; what the others get sums to what the row summed to."""

    def function(x: torch.Tensor, positions: range) -> torch.Tensor:
        key = key_of(step.site, clock, x.shape[-1])
        out = x.clone()
        out[..., key] = 0
        left = out.sum(-1, keepdim=True)
        return torch.where(left > 0, out * (x.sum(-1, keepdim=True) / left), out)

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


FUNCTIONS = {
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
