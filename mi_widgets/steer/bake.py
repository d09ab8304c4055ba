"""Bake: a recipe as edited weights, in a plain Hugging Face checkpoint.

An edit can be baked when it is one affine map x → A x + b at every position of every prompt: what writes x, or what
reads it, then does the same without a hook.

- a head's output z, neurons: rows of W_O and W_out (W[own] := A W[own]), a mean or a direction in the bias behind them;
- queries, keys, values, what neurons read: columns of W_Q, W_K, W_V, W_in or W_gate, and their biases;
- an FFN's output: columns of W_out; on post-norm blocks the norm's own weight, since a scale on W_out is swallowed;
- a direction added to the residual stream: the bias of the last write before it;
- a direction projected out everywhere: W := (I − r r^T) W for all that writes, embeddings and biases included, with an
  unembedding that was tied to the embedding saved apart (weight orthogonalization, Arditi et al. 2024);
- additions to weights: added.

Edits of one site are composed in the recipe's order. Whatever the formulas say, the difference is measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..intervention import Intervention, Recipe
from ..model import Affine, Model, NoPlace, Tensors, own
from ..model.tokens import Prompt
from ..run import run
from .amplitude import neutral

_FORMAT = "mi_widgets.baked/1"
_BOUND, _BOUND_PROJECTED = 1e-4, 1e-3  # logits, in float32
_NEVER = {
    "resample": "it takes the activation of another text, which depends on the prompt's length",
    "replace": "it takes the activation of another prompt, position by position",
    "clamp": "it is not linear: the bound acts on some inputs and not on others",
    "knock_out": "attention patterns are made anew for every prompt: no weight holds them",
    "rotate": "it is not linear: the length is put back at every position",
    "swap": "it takes coordinates of another prompt, position by position",
}


@dataclass(frozen=True, eq=False, repr=False)
class Baked:
    """A recipe as edited weights, and how far they are from it.

    label: "exact": the formula is exact, and in float32 the difference is at most 1e-4 (1e-3 with projections);
        "approximate": it is not, and `reasons` says why; "not bakeable": there are no such weights.
    difference: the largest absolute difference of a logit between the hooked run and the baked weights, over all
        positions of the package's neutral texts and the recipe's own prompt; both with eager attention. A difference of
        two logits is off by at most twice that. None when not bakeable.
    after_first: the same without position 0, which means keep apart and projections spare.
    reasons: for each step that is not exact, the step and why.
    model: a Hugging Face model with the edited weights, sharing nothing with the user's; None when not bakeable.
    """

    label: str
    difference: float | None
    after_first: float | None
    reasons: tuple[str, ...]
    recipe: Recipe
    model: Any = field(default=None, repr=False)
    tokenizer: Any = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Baked({self})"

    def __str__(self) -> str:
        return "\n".join([f"{self.label}{self._measured()}", *(f"  {reason}" for reason in self.reasons)])

    def _measured(self) -> str:
        if self.difference is None:
            return ""
        return f": logits differ by at most {self.difference:.2g}, after position 0 by {self.after_first:.2g}"

    def save_pretrained(self, path: str | Path) -> Path:
        """Write a folder that `AutoModelForCausalLM.from_pretrained` reads without this package.

        Weights, config, generation config and tokenizer; beside them `mi_widgets.json` with the label, the difference
        and the reasons, and the recipe in `mi_widgets_recipe.json`, which `Recipe.load` reads. Raises ValueError when
        the recipe is not bakeable.
        """
        if self.model is None:
            raise ValueError("not bakeable, so there is nothing to save: " + "; ".join(self.reasons))
        path = Path(path)
        self.model.save_pretrained(path)
        self.tokenizer.save_pretrained(path)
        recipe = self.recipe.save(path / "mi_widgets_recipe.json")
        said = {
            "label": self.label,
            "difference": self.difference,
            "after_first": self.after_first,
            "reasons": self.reasons,
        }
        about = {"format": _FORMAT, **said, "recipe": recipe.name, "hash": self.recipe.hash}
        (path / "mi_widgets.json").write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return path


def bake(model: Any, recipe: Recipe) -> Baked:
    """Edited weights that do what a recipe does at every position of every prompt; the model itself is left alone.

    A step that no weights can do (positions, conditions, patterns, clamps, a projection at one place of the residual
    stream) makes the whole recipe "not bakeable", with its reason. A mean keeps position 0 apart and projections spare
    it; weights cannot, so these are "approximate" (`project_out(everywhere=True, first=True)` is exact). Raises
    ValueError for sites that the model does not have. Cost: a copy of the weights, and two runs of nine short texts.
    """
    model = Model.of(model)
    if not isinstance(recipe, Recipe):
        raise TypeError(f"expected a Recipe, not a {type(recipe).__name__}; selection.switch_off() makes one")
    steps = [step for step in recipe.interventions if not step.changes_nothing]
    never = [f"{step}: {why}" for step in steps if (why := _refusal(step))]
    if never:
        return Baked("not bakeable", None, None, tuple(never), recipe)
    model.compile(Recipe(tuple(steps)))  # raises for what this model does not have
    return model.do(lambda: _bake(model, recipe, steps))


def _refusal(step: Intervention) -> str:
    """Why no weights can do a step, whatever the model; "" when some may."""
    if step.condition:
        return "it depends on the prompt: weights are the same for all"
    if step.site.position is not None or step.where != "all":
        return "it edits some positions only: weights act at all of them"
    if step.site.part == "pattern":
        return _NEVER["knock_out"]
    if step.op == "project_out" and not step.everywhere and step.site.kind == "residual":
        return "the residual stream passes the weights by: only project_out(everywhere=True) is a change of weights"
    return _NEVER.get(step.op, "")


def _bake(model: Model, recipe: Recipe, steps: Sequence[Intervention]) -> Baked:
    tensors, never = model.tensors(), []
    for step in _ordered(steps):
        try:
            _absorb(model, tensors, step)
        except NoPlace as error:
            never.append(f"{step}: {error}")
    if never:
        return Baked("not bakeable", None, None, tuple(never), recipe)
    made = tensors.hugging_face()
    difference, after_first = _differences(model, recipe, made)
    reasons = [f"{step}: {why}" for step in steps if (why := _looseness(step))]
    bound = _BOUND_PROJECTED if any(step.op == "project_out" for step in steps) else _BOUND
    bound = bound if made.dtype == torch.float32 else math.inf  # elsewhere it is measured, and that is all
    if not reasons and not difference <= bound:
        reasons = [f"the formula is exact, but the logits measured differ by {difference:.2g}, more than {bound:g}"]
    label = "approximate" if reasons else "exact"
    return Baked(label, difference, after_first, tuple(reasons), recipe, made, model.tokenizer)


def _looseness(step: Intervention) -> str:
    """Why weights do only nearly what a step does; "" when they do it exactly."""
    if step.op == "mean":
        return "position 0 keeps its own mean in a run; in the weights it gets that of the other positions"
    return "position 0 is spared in a run; weights act at all positions" if step.spare_first else ""


def _ordered(steps: Sequence[Intervention]) -> list[Intervention]:
    """The order in which weights take in the steps, so that edits act on each other as in a run.

    What is added to weights comes first, whose edited inputs and outputs it shares. Then what a matrix reads, last step
    first: (x A1 A2) W is A1 (A2 W). Then what enters, then what matrices make and write, in the recipe's order, and at
    last what is added to the stream behind them.
    """
    return [steps[number] for number in sorted(range(len(steps)), key=lambda number: _stage(steps[number], number))]


def _stage(step: Intervention, number: int) -> tuple[int, int]:
    kind, part = step.site.kind, step.site.part
    if step.delta is not None:
        return 0, number
    if part == "z" or (kind, part) == ("neuron", "post"):
        return 1, -number
    if kind == "embedding":
        return 2, number
    passing = kind == "residual" and not step.everywhere and (part, step.site.layer) != ("pre", 0)
    return (4 if passing else 3), number


def _absorb(model: Model, tensors: Tensors, step: Intervention) -> None:
    if step.delta is not None:
        delta = step.delta
        matrix = step.strength * torch.from_numpy(delta.matrix)
        rows, columns = (slice(None) if n is None else torch.tensor(n) for n in (delta.rows, delta.columns))
        tensors.add(step.site, matrix, rows, columns)
    elif step.everywhere:
        tensors.project_out(_vector(step), step.strength)
    else:
        tensors.absorb(step.site, _affine(model, step))


def _affine(model: Model, step: Intervention) -> Affine:
    """x + strength · (f(x) − x) of a step as one affine map."""
    s = step.strength
    if step.op == "project_out":
        return Affine(without=_vector(step), share=s)
    if step.op == "add":
        assert step.amount is not None and step.direction is not None
        return Affine(offset=s * step.amount * step.direction.norm * _vector(step))
    if step.op == "mean":
        assert step.reference is not None
        rest = own(model.means(step.reference, step.site), step.site)[1]
        return Affine(1 - s, offset=s * rest.reshape(-1).double())
    factor = 0.0 if step.op == "zero" else step.amount
    assert factor is not None
    return Affine(1 + s * (factor - 1))


def _vector(step: Intervention) -> torch.Tensor:
    assert step.direction is not None
    return torch.from_numpy(step.direction.vector.copy()).double()


def _differences(model: Model, recipe: Recipe, made: Any) -> tuple[float, float]:
    """The largest absolute difference of a logit between hooks and weights: over all positions, and without the first.

    The weights run with eager attention, as the hooks do, so that no other kernel's rounding is measured.
    """
    given, prompt = made.config._attn_implementation, recipe.provenance.get("prompt")
    made.set_attn_implementation("eager")
    prompts = [*neutral(), *([prompt] if isinstance(prompt, (str, list, tuple)) else [])]
    gaps = [_gap(model, one, recipe, made) for one in prompts]
    made.set_attn_implementation(given)
    return torch.cat(gaps).max().item(), torch.cat([gap[1:] for gap in gaps]).max().item()


def _gap(model: Model, prompt: Prompt, recipe: Recipe, made: Any) -> torch.Tensor:
    """[pos]: at each position of a prompt, the largest absolute difference of a logit."""
    baked = made(model.ids(prompt)).logits[0]
    return (baked.float() - run(model, prompt, recipe).logits.float()).abs().amax(-1)
