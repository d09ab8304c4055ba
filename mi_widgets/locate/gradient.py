"""Gradient detection: what a causal map would show, estimated for all cells at once.

With a = an activation in the base run and a' = what a causal method would put there, a cell's value estimates
metric(edited run) − metric(base run), the value of the causal map of the same base, so that the two can be subtracted:

atp     attribution patching: (a' − a) · ∂m/∂a at the base run (Nanda 2023; Kramár et al. 2024). Good for head outputs
        and values; wrong where what follows bends: queries, keys (a saturated softmax), and above all the residual
        stream, whose norms it takes for straight lines.
atp_qk  for q and k: the softmax is computed, the rest is linear: Σ over query and key positions of
        (A' − A) · ∂m/∂A, with A' the attention pattern after the patch (the QK fix of Kramár et al. 2024). A cell is a
        head at every position, so all its queries, or all keys of a key-value head, change together.
ig      the gradient averaged along the straight path between the two prompts' embeddings. Tokens: integrated
        gradients (Sundararajan et al. 2017), baseline = the base prompt; the values sum to the difference of the metric
        up to a gap, which is said. Other objects: EAP-IG-inputs (Hanna et al. 2024); the end points are real runs, so
        nothing sums to anything there. All steps are one batch.
relp    atp with relevance rules in the backward pass (RelP, Jafari et al. 2025): norms keep their scale, an activation
        function is a constant factor, a gate's product is shared half and half. The rule that detaches attention
        patterns (AH) is off: it gives queries and keys nothing.
grad_x_input   a · ∂m/∂a at the clean run: how much the metric grows, at first order, with the activation as it is.

What none of them shows: that the cell matters. They are estimates, drawn as such; run `causal` on what they point at.
Components that stand in for each other share one gradient and look weak; before the first differing token a patch
changes nothing. Cost: two forward passes and a backward one for a pair and all cells together (atp, relp), one more
forward pass of two rows for atp_qk, `steps` rows for ig.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..grid import Axis, Grid
from ..model import Model, backward, family
from ..progress import Progress, ticker
from ..reference import Reference
from ..site import check_part
from ..task import Pair, Task
from .features import dictionaries
from .pairs import Pairs, last_value, mean
from .source import Means, means
from .titles import NOUNS

METHODS = ("atp", "atp_qk", "ig", "relp", "grad_x_input")
BASES = ("denoise", "noise", "zero", "mean")
RULES = ("left", "midpoint")
_EMBEDDING = ("embedding", "out", ("position",))
#: objects -> (kind, part, axes)
OBJECTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "tokens": _EMBEDDING,
    "embedding": _EMBEDDING,
    "heads": ("head", "z", ("layer", "head")),
    "q": ("head", "q", ("layer", "head")),
    "k": ("head", "k", ("layer", "head")),
    "v": ("head", "v", ("layer", "head")),
    "head_positions": ("head", "z", ("layer", "head", "position")),
    "residual": ("residual", "pre", ("layer", "position")),
    "ffn": ("ffn", "out", ("layer", "position")),
    "neurons": ("neuron", "post", ("layer", "neuron")),
    "features": ("feature", "post", ("layer", "feature")),
}
_TOKENS = 1024  # rows × positions of one batch of an integral: bounds memory
_STEPS = {"left": 5, "midpoint": 32}
_PATCHING = ("denoise", "noise")
#: method -> objects -> bases with a fair estimate: Pearson's r with the exact map is at least 0.7 on the default model
#: (mean over pairs of the built-in tasks; `benchmarks/readings.py` prints it).
_FAIR: dict[str, dict[str, tuple[str, ...]]] = {
    "atp": {"heads": BASES, "head_positions": _PATCHING, "v": ("denoise", "noise", "mean")},
    "atp_qk": {"q": ("denoise", "noise", "mean"), "k": BASES},
    "ig": dict.fromkeys(("tokens", "embedding", "heads", "head_positions", "v", "residual", "ffn"), _PATCHING),
    "relp": {"heads": _PATCHING, "head_positions": _PATCHING},
    "grad_x_input": {},
}


def fair(objects: str, base: str = "denoise", method: str = "atp") -> bool:
    """Whether an estimate is close enough to the exact map of that base to be shown before it.

    Never for the residual stream, unless integrated: there the exact map is as cheap and the estimate is wrong.
    """
    return base in _FAIR[method].get(objects, ())


def gradient(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    objects: str = "heads",
    method: str = "atp",
    base: str | None = None,
    part: str | None = None,
    split: str = "fit",
    progress: Progress = True,
    *,
    steps: int | None = None,
    rule: str | None = None,
    reference: Sequence[str] | None = None,
    prepend_bos: bool | None = None,
) -> Grid:
    """An estimate of the causal map of the same objects and base; see the module's text for the methods.

    objects: tokens (or embedding, as `causal` calls them; one number a position), heads, q, k, v (layer × head; k and v
        count key-value heads), head_positions, residual, ffn (layer × position), neurons (layer × neuron, summed over
        positions), features (layer × feature, summed over positions but 0; of the dictionaries attached to the model).
    base: denoise (default; the gradient at the corrupt run), noise, zero or mean (at the clean run). The gradient of
        the wrong run is another quantity, so it can't be asked for. grad_x_input has no base: it is at the clean run.
    part: pre (default), mid or post for the residual stream.
    steps, rule: of ig: "left" (starts at the base run; default for components, 5 steps) or "midpoint" (default for
        tokens, 32 steps).
    reference: texts for the base `mean`; by default the split's own prompts.
    prepend_bos: of all prompts, if it is not to be TransformerLens's default.

    Values are in logits for `logit_diff`: estimate of metric(edited) − metric(base), the mean over solved pairs, whose
    position axis is that of `causal` (see `places`).
    """
    model, task = Model.of(model), Task.of(task)
    plan = _Plan.of(objects, method, base, part, steps, rule)
    if reference is not None and plan.base != "mean":
        raise ValueError(f"the base {plan.base} reads no reference: it goes with base='mean'")
    pairs = model.do(lambda: Pairs.of(model, task, split, plan.base in _PATCHING, prepend_bos=prepend_bos))
    texts = Reference(pairs.texts if reference is None else reference)  # type: ignore[arg-type]
    estimate = model.do(lambda: _Estimate(plan, pairs, texts))
    tick, maps, gaps = ticker(progress, "pair"), [], []
    for row in range(len(pairs.solved)):
        values, gap = model.do(lambda row=row: estimate.of(row))
        maps.append(values)
        gaps.append(gap)
        tick(row + 1, len(pairs.solved))
    return model.do(lambda: estimate.grid(mean(maps), gaps))


@dataclass(frozen=True)
class _Plan:
    """What is asked for, checked and completed."""

    kind: str
    part: str
    axes: tuple[str, ...]
    method: str
    base: str
    steps: int
    rule: str

    @classmethod
    def of(
        cls, objects: str, method: str, base: str | None, part: str | None, steps: int | None, rule: str | None
    ) -> _Plan:
        _known("objects", objects, OBJECTS)
        _known("method", method, METHODS)
        if method == "grad_x_input" and base is not None:
            raise ValueError("grad_x_input reads the clean run and puts nothing in its place: leave base out")
        if base is not None:
            _known("base", base, BASES)
        base = base or ("clean" if method == "grad_x_input" else "denoise")
        kind, default, axes = OBJECTS[objects]
        part = part or default
        check_part(kind, part)
        if method == "atp_qk" and objects not in ("q", "k"):
            raise ValueError(f"atp_qk mends the softmax after q and k; for {objects} use method='atp'")
        if method == "ig" and base in ("zero", "mean"):
            raise ValueError("ig walks from one prompt to the other: base must be denoise or noise")
        if method != "ig" and (steps or rule):
            raise ValueError(f"steps and rule are for method='ig', not {method}")
        rule = rule or ("midpoint" if kind == "embedding" else "left")
        _known("rule", rule, RULES)
        steps = _STEPS[rule] if steps is None else steps
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be a whole number, at least 1, not {steps!r}")
        return cls(kind, part, axes, method, base, steps, rule)

    @property
    def family(self) -> backward.Family:
        """Kind and part, as the model room takes them."""
        return self.kind, self.part


def _known(name: str, value: str, choices: Any) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


@dataclass(frozen=True)
class _Estimate:
    """One estimate: a map for each pair."""

    plan: _Plan
    pairs: Pairs
    reference: Reference
    axes: tuple[Axis, ...] = field(init=False)

    def __post_init__(self) -> None:
        plan = self.plan
        if plan.method == "relp" and self.model.has_experts:
            raise ValueError(f"{self.model.name} is a mixture of experts, for which relp has no rule; use atp or ig")
        object.__setattr__(self, "axes", tuple(self.pairs.axis(name, plan.kind, plan.part) for name in plan.axes))

    @property
    def model(self) -> Model:
        """Whose activations they are."""
        return self.pairs.model

    def of(self, row: int) -> tuple[torch.Tensor, float]:
        """One pair's map, and what integrated gradients lack to the difference of the metric (else 0)."""
        values, gap = self._whole(self.pairs.solved[row])
        return (values[..., list(self.pairs.places.steps[row])] if "position" in self.plan.axes else values), gap

    def _whole(self, pair: Pair) -> tuple[torch.Tensor, float]:
        """The same with all of the prompt's positions."""
        self.model.worker.check()
        ids, source = self.pairs.runs(pair, self.plan.base)
        if self.plan.method == "ig":
            return self._integrated(pair, ids, source)
        if self.plan.method == "atp_qk":
            return self._through_softmax(pair, ids, source), 0.0
        found = backward.gradients(self.model, ids, self.plan.family, self.pairs.read(pair), rule=self._rule)
        here, slopes = ([x[0] for x in tensors] for tensors in (found.activations, found.gradients))
        if self.plan.base == "clean":
            steps = here
        else:
            steps = [new.float() - old.float() for new, old in zip(self._there(source, here), here, strict=True)]
        return self._folded(steps, slopes), 0.0

    @cached_property
    def _means(self) -> Means:
        """The means that `causal` puts in: by position where the prompts line up, else pooled."""
        prompts = self.pairs.encoded(self.reference.texts)
        by = "position" if self.pairs.line_up(prompts) else "pooled"
        return means(self.model, prompts, family(self.model, *self.plan.family), None, by)

    @property
    def _rule(self) -> str:
        return "relp" if self.plan.method == "relp" else ""

    def _there(self, source: torch.Tensor, here: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What the causal method would put in the place of `here` [pos, ...], layer by layer."""
        if self.plan.base == "zero":
            return [torch.zeros_like(x) for x in here]
        if self.plan.base == "mean":
            names = family(self.model, *self.plan.family)
            return [self._means.of(name, len(x)) for name, x in zip(names, here, strict=True)]
        return [x[0] for x in backward.activations(self.model, source, self.plan.family)]

    def _folded(self, steps: Sequence[torch.Tensor], slopes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Step · slope of each layer's [pos, (head,) width], summed over what is no axis of the map."""
        products = torch.stack([a.float() * b.float() for a, b in zip(steps, slopes, strict=True)])
        if self.plan.kind not in ("neuron", "feature"):
            products = products.sum(-1)
        cells = products.movedim(1, -1)  # [layer, (head or neuron,) pos]
        if "position" not in self.plan.axes:
            cells = cells[..., int(self.plan.kind == "feature") :].sum(-1)  # features are not edited at position 0
        return cells if "layer" in self.plan.axes else cells[0]

    def _through_softmax(self, pair: Pair, ids: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Σ (A' − A) · ∂m/∂A for each head; a key-value head's is the sum over the query heads that read it."""
        found = backward.gradients(self.model, ids, ("head", "pattern"), self.pairs.read(pair))
        ablated = self.plan.base in ("zero", "mean")  # whose values have the shape of those they replace
        here = [x[0] for x in backward.activations(self.model, ids, self.plan.family)] if ablated else []
        patched = backward.patterns(self.model, ids, self.plan.part, self._there(source, here))
        rows = [
            ((new.float() - old[0].float()) * slope[0].float()).sum((-2, -1))
            for new, old, slope in zip(patched, found.activations, found.gradients, strict=True)
        ]
        heads = torch.stack(rows)
        return heads.unflatten(1, (len(self.axes[1]), -1)).sum(-1)

    def _integrated(self, pair: Pair, ids: torch.Tensor, goal: torch.Tensor) -> tuple[torch.Tensor, float]:
        plan, read = self.plan, self.pairs.read(pair)
        start, end = (backward.activations(self.model, each, ("embedding", "out"))[0] for each in (ids, goal))
        shift = 0.0 if plan.rule == "left" else 0.5
        along = (torch.arange(plan.steps, device=start.device) + shift) / plan.steps
        slopes: list[torch.Tensor] = []
        for some in along.split(max(1, _TOKENS // ids.shape[1])):
            self.model.worker.check()
            path = start.float() + some[:, None, None] * (end.float() - start.float())
            rows = ids.expand(len(some), -1)
            found = backward.gradients(self.model, rows, plan.family, read, start=path.to(start.dtype))
            sums = [x.float().sum(0) / plan.steps for x in found.gradients]
            slopes = [a + b for a, b in zip(slopes, sums, strict=True)] if slopes else sums
        here, there = (backward.activations(self.model, each, plan.family) for each in (ids, goal))
        values = self._folded([new[0].float() - old[0].float() for new, old in zip(there, here, strict=True)], slopes)
        if plan.kind != "embedding":
            return values, 0.0
        before, after = (last_value(self.model, read, each) for each in (ids, goal))
        return values, float(values.sum()) - (after - before)

    def grid(self, values: torch.Tensor, gaps: Sequence[float]) -> Grid:
        """The mean map with its words."""
        plan, pairs = self.plan, self.pairs
        pairs.check_weights()
        integrated = plan.method == "ig"
        gap = float(np.mean(gaps))
        return Grid(
            np.ma.asarray(values.float().cpu().numpy()),
            self.axes,
            plan.kind,
            plan.part,
            title=f"{NOUNS[plan.kind, plan.part]}: estimate ({self._words()}) of {_VERBS[plan.base]} on {pairs.metric}",
            unit=pairs.unit,
            sign=_SIGNS[plan.base]
            + (f" {self._all} sum to the difference of the metric within {gap:+.3g}." if self._sums else ""),
            toward=1 if plan.base in ("denoise", "clean") else -1,
            estimated=np.ones(tuple(map(len, self.axes)), dtype=bool),
            provenance={
                "method": f"gradient/{plan.method}",
                "estimate": True,
                **pairs.provenance,
                **dictionaries(pairs.model, plan.kind),
                "base": "corrupt" if plan.base == "denoise" else "clean",
                "estimates": "" if plan.base == "clean" else f"causal/{plan.base}",
                **({"positions": pairs.places.words} if "position" in plan.axes else {}),
                **({"steps": plan.steps, "rule": plan.rule} if integrated else {}),
                **({"gap": gap} if self._sums else {}),
            },
        )

    @property
    def _sums(self) -> bool:
        return self.plan.method == "ig" and self.plan.kind == "embedding"

    @property
    def _all(self) -> str:
        """What sums up: roles are some of the tokens."""
        return "The values" if self.pairs.places.words != "roles" else "All tokens, of which these are some,"

    def _words(self) -> str:
        plan = self.plan
        if plan.method == "ig":
            return f"integrated gradients, {plan.steps} steps, {plan.rule} rule"
        return _METHODS[plan.method]


_METHODS = {
    "atp": "attribution patching",
    "atp_qk": "attribution patching, softmax exact",
    "relp": "relevance patching",
    "grad_x_input": "gradient × activation",
}
_VERBS = {
    "denoise": "the effect of restoring each from the clean run",
    "noise": "the effect of taking each from the corrupt run",
    "zero": "the effect of setting each to zero",
    "mean": "the effect of setting each to its mean",
    "clean": "what each adds",
}
_SIGNS = {
    "denoise": "Positive: putting the clean activation into the corrupt run would move the model toward the answer.",
    "noise": "Negative: taking the corrupt activation would move the model away from the answer.",
    "zero": "Negative: without this activation the answer would lose, so the cell supports it.",
    "mean": "Negative: with its mean in its place the answer would lose, so the cell supports it.",
    "clean": "Positive: more of this activation would move the model toward the answer.",
}

__all__ = ["BASES", "METHODS", "OBJECTS", "fair", "gradient"]
