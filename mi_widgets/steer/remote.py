"""Remote: a recipe for a model that another engine serves, as TransformerLens's intervention specs.

`RemoteBridge.run_with_cache(tokens, intervene=specs)` takes one spec for each hook: {"op": "suppress", "scale", "add"
or "set", with "factor" or "value", and "pos"}, an affine map of the numbers there, at all positions or at some. A step
f of strength s is x + s · (f(x) − x): half of "zero" is a scale by one half. Steps of one hook are composed where one
spec can say it. Whatever none can say is named, with its reason, and never left out in silence.

Positions are rows of one forward pass, which is what a RemoteBridge runs; its engine makes one new token of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..intervention import Intervention, Recipe
from ..model import Model, NoPlace, served_hook, validated
from ..model.tokens import Prompt

_NEVER = {
    "resample": "a spec takes no activation from another text",
    "replace": "a spec takes no activation from another prompt",
    "clamp": "a bound is not an affine map",
    "knock_out": "the engine has no hook for attention patterns",
    "rotate": "putting the length back is not an affine map",
    "project_out": "a projection mixes the numbers of a vector; a spec scales or shifts each: mi.bake may do it",
    "swap": "a spec takes no coordinates from another prompt",
    "delta": "weights are not edited while they are served: bake them first (mi.bake)",
}


@dataclass(frozen=True)
class Served:
    """Specs for a served model, and what they leave out.

    specs: {hook name: spec}, plain data, each valid for TransformerLens: `bridge.run_with_cache(ids, intervene=specs)`
        of `boot_vllm`, or of its Inspect backend (which has no hook of the embedding).
    missing: for each step that no spec can say, the step and why. Empty: the specs are the whole recipe.
    """

    specs: dict[str, dict[str, Any]]
    missing: tuple[str, ...] = ()

    @property
    def needs_positions(self) -> bool:
        """Whether vLLM has to be booted with `enable_position_interventions=True`."""
        return any("pos" in spec for spec in self.specs.values())


@dataclass(frozen=True)
class _Map:
    """x → factor · x + value, at some positions of a prompt or at all (None)."""

    factor: float
    value: np.ndarray | float
    positions: tuple[int, ...] | None

    def then(self, other: _Map) -> _Map:
        """First this, then the other; raises NoPlace where no single spec does both."""
        if self.positions == other.positions:
            value = other.factor * self.value + other.value
            return _Map(self.factor * other.factor, value, self.positions)
        apart = self.positions and other.positions and not set(self.positions) & set(other.positions)
        if apart and self.factor == other.factor and np.array_equal(self.value, other.value):
            return _Map(self.factor, self.value, tuple(sorted((*self.positions, *other.positions))))  # type: ignore[misc]
        raise NoPlace("a hook takes one spec, and another step has it at other positions")

    def spec(self) -> dict[str, Any]:
        if not (np.isfinite(self.factor) and np.isfinite(self.value).all()):
            raise NoPlace("the numbers are too large for a spec")
        where = {} if self.positions is None else {"pos": list(self.positions)}
        if not np.any(self.value):
            return {"op": "suppress", **where} if self.factor == 0 else {"op": "scale", "factor": self.factor, **where}
        if self.factor not in (0, 1):
            raise NoPlace("one spec scales or adds, not both")
        return {"op": "add" if self.factor == 1 else "set", "value": np.asarray(self.value).tolist(), **where}


def served(model: Any, recipe: Recipe, prompt: Prompt | None = None) -> Served:
    """The specs of a recipe; see `Recipe.to_vllm`. Raises ValueError for sites that the model does not have."""
    model = Model.of(model)
    steps = [step for step in recipe.interventions if not step.changes_nothing]
    return model.do(lambda: _served(model, steps, prompt))


def _served(model: Model, steps: Sequence[Intervention], prompt: Prompt | None) -> Served:
    length = None if prompt is None else model.ids(prompt).shape[1]
    maps: dict[str, _Map] = {}
    missing = []
    for step in sorted(steps, key=lambda step: step.site.part == "pre"):  # one hook for what leaves and what enters
        try:
            hook, new = _map(model, step, length)
            new = maps[hook].then(new) if hook in maps else new
            new.spec()
            maps[hook] = new
        except NoPlace as error:
            missing.append(f"{step}: {error}")
    return Served(validated({hook: one.spec() for hook, one in maps.items()}, model.d_model), tuple(missing))


def _map(model: Model, step: Intervention, length: int | None) -> tuple[str, _Map]:
    """The hook of a step and what happens there."""
    if step.condition:
        raise NoPlace("a spec has no condition")
    if step.op in _NEVER:
        raise NoPlace(_NEVER[step.op])
    hook = served_hook(model, step.site, only_adds=step.op == "add")
    return hook, _scaled(model, step, _positions(step, length))


def _scaled(model: Model, step: Intervention, positions: tuple[int, ...] | None) -> _Map:
    """x + strength · (f(x) − x)."""
    s = step.strength
    if step.op == "add":
        assert step.direction is not None and step.amount is not None
        return _Map(1.0, s * step.amount * step.direction.norm * step.direction.vector, positions)
    if step.op == "mean":
        assert step.reference is not None
        if positions is None or (0 in positions and len(positions) > 1):
            raise NoPlace("position 0 keeps its own mean, and one spec sets one value")
        first, rest = model.means(step.reference, step.site)
        return _Map(1 - s, s * (first if positions == (0,) else rest).float().cpu().numpy(), positions)
    factor = 0.0 if step.op == "zero" else step.amount
    assert factor is not None
    return _Map(1 + s * (factor - 1), 0.0, positions)


def _positions(step: Intervention, length: int | None) -> tuple[int, ...] | None:
    """Which positions a step edits; None for all of them, those of generated tokens too."""
    position = step.site.position
    if step.where == "generated":
        raise NoPlace("a spec counts positions in the prompt and cannot begin behind it")
    if position is not None and position >= 0 and length is None:
        return (position,)
    if position is None and step.where == "all" and not step.spare_first:
        return None
    if length is None:
        raise NoPlace("which positions these are is known with the prompt: recipe.to_vllm(model, prompt)")
    if position is None:
        if step.spare_first and length == 1:
            raise ValueError(f"{step} touches nothing: position 0 is spared, and the prompt has one token")
        return tuple(range(int(step.spare_first), length))
    if not -length <= position < length:
        raise ValueError(f"{step.site} touches nothing: the prompt has {length} tokens")
    return (position % length,)
