"""Causal attribution: change one activation, run the rest, and see what the metric does.

A cell's value is the mean over pairs of metric(edited run) − metric(base run). What an activation is changed to:

denoise   base = the corrupt run; the activation is taken from the clean run (activation patching, Vig et al. 2020;
          Meng et al. 2022). Positive: the cell alone carries what restores the answer.
noise     base = the clean run; the activation is taken from the corrupt run. Negative: the answer needs the cell.
          Where a task holds each pair in both orders this is denoise with the other sign, and says nothing new.
zero      base = the clean run; the activation is set to zero. Far from anything the model has seen.
mean      base = the clean run; the activation is set to its mean over a reference set (by default the split's own clean
          and corrupt prompts): at the same position or role where the reference prompts line up, else pooled over all
          positions but 0, which keeps its own mean. The provenance says which.
resample  base = the clean run; the activation is taken from other prompts of the split with as many tokens, and the
          effects are averaged.
vector    base = the clean run; the activation is set to a given vector.
pairs     base = the clean run; a head's attention from chosen queries to chosen keys is set to zero (attention
          knock-out, Geva et al. 2023); the rows of its pattern are not renormalised.

What it does not show: components that stand in for each other (each alone has no effect, together they do), and
whether a head reads or writes what matters. Cost: one pass of both prompts, and for each cell the blocks after its own
and the positions after the first that it changes, batched (see `model.sweep`); `cost` says how much, and
`benchmarks/locate.py` measures it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np

from ..grid import Grid
from ..intervention import Recipe
from ..model import Model, Plan, family
from ..model.places import check_site
from ..model.sweep import MOST_TOKENS, megabytes
from ..progress import Progress, Tick, ticker
from ..site import Site
from ..task import METRICS, Pair, Task
from .case import Case, cases
from .features import dictionaries
from .pairs import Pairs
from .places import Places
from .question import METHODS, OBJECTS, Question
from .source import source_of


def causal(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    objects: str = "heads",
    method: str = "denoise",
    part: str | None = None,
    sites: Sequence[Site] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
    vector: Any = None,
    recipe: Recipe | None = None,
    reference: Sequence[str] | None = None,
    split: str = "fit",
    progress: Progress = True,
    prepend_bos: bool | None = None,
) -> Grid:
    """The exact effect of each cell on a task's metric.

    objects: heads (outputs z), q, k, v, pattern (layer × head; k and v count key-value heads), head_positions,
        residual, ffn (× position), neurons (layer × neuron), features (layer × feature, of the dictionaries attached to
        the model; part says what these read; position 0, on which no dictionary is trained, is left), embedding
        (position).
    method: denoise, noise, zero, mean or resample; see the module's text for base run and sign.
    part: "pre" (default), "mid" or "post" for the residual stream. Parallel blocks have no mid.
    sites: compute only these cells; the others stay masked. For neurons the usual way: all of them are many runs.
    pairs: instead of a method, (query position, key position) pairs whose attention each head loses.
    vector: instead of a method, the value each cell is set to: [d_head] for heads, [d_model] for residual, ffn and
        embedding, one number for neurons.
    recipe: both runs of each pair happen under it.
    reference: texts for `mean`, or to draw from for `resample`.
    split: which items of a task that has splits; a task without splits uses all.
    progress: a bar, nothing, or a function (cells done, cells in all).
    prepend_bos: of the prompts, if it is not to be TransformerLens's default.

    The position axis of several pairs is explained in `places`; a single pair shows its tokens. Pairs that the model
    does not solve (m(clean) − m(corrupt) under 1 logit) are left out and counted in the provenance. Values are in
    logits for `logit_diff`. Exact within 1e-4 of plain hooked runs in float32. Weights that are edited meanwhile raise
    `WeightsChanged` at the end: the numbers would be of two models.
    """
    question = Question(objects, method, part, sites, pairs, vector, recipe, reference, split, prepend_bos)
    model, task = Model.of(model), Task.of(task)
    return deque(steps(model, task, question, progress), maxlen=1).pop()


def steps(
    model: Model, task: Task, question: Question, progress: Progress, stop: Event | None = None
) -> Iterator[Grid]:
    """The exact map while it grows, the last layers first; cells that are not done yet are masked. See `refine`.

    A mean over some of the pairs is an estimate of the mean over all of them, and marked as one.

    Each step runs on the worker, wherever the caller is.
    """
    under_way = model.do(lambda: _Map(model, task, question), stop)
    steps = under_way.fill(ticker(progress, says=lambda: str(model.do(lambda: under_way.cost))))
    while (grid := model.do(lambda: next(steps, None), stop)) is not None:
        yield grid


@dataclass(frozen=True)
class Cost:
    """What a map will cost.

    cells: numbers to compute, over all pairs. runs: edited runs, those that change nothing left out, if every pair
    needs as many as the first. megabytes: of activations at the fullest, besides the model.
    """

    cells: int
    runs: int
    megabytes: float

    def __str__(self) -> str:
        return f"{self.cells} cells, {self.runs} runs, {self.megabytes:.0f} MB"


def cost(model: Any, task: Task | Pair | Sequence[Pair], objects: str = "heads", **more: Any) -> Cost:
    """What `causal` with the same arguments will cost, before it runs: cells, runs, MB.

    Cost: the unedited runs of the pairs. Seconds are measured while it runs: see `progress`.
    """
    question = Question(objects=objects, **more)
    model, task = Model.of(model), Task.of(task)
    return model.do(lambda: _Map(model, task, question).cost)


class _Map:
    """A causal map under way: one value for each cell, a mean over the pairs that count."""

    def __init__(self, model: Model, task: Task, question: Question) -> None:
        self.model, self.metric, self.question = model, str(task.metric), question
        for site in question.sites or ():
            check_site(model, site)
        idle = question.kind == "feature"  # most of them, whose cells need no run
        self.case = cases(model, self.metric, question, self._names() if question.patches or idle else [])
        gap, bos = (lambda pair: self.case(pair).gap), question.prepend_bos
        self.pairs = Pairs.of(model, task, question.split, question.patches, METRICS, bos, gap)
        self.axes = tuple(self.pairs.axis(name, question.kind, question.site_part) for name in question.axes)
        self.provenance = self._print()
        empty = self._grid(np.ma.masked_all([len(axis) for axis in self.axes], dtype=np.float32))
        wanted = question.sites
        self.indices = list(np.ndindex(*empty.shape)) if wanted is None else [empty.index(site) for site in wanted]
        self.sites = [empty.site(index) for index in self.indices]
        self.source, said = source_of(question, self.pairs, self.places, self._names())
        self.provenance |= said

    def _names(self) -> list[str]:
        """The hooks that the cells are at, one for each layer."""
        question = self.question
        layers = None if question.sites is None else sorted({site.layer or 0 for site in question.sites})
        return family(self.model, question.kind, question.site_part, layers)

    @property
    def places(self) -> Places | None:
        """The position axis, for maps that have one."""
        return self.pairs.places if "position" in self.question.axes else None

    # -- cells ----------------------------------------------------------------------------------------------------

    @property
    def cost(self) -> Cost:
        """What `fill` will cost."""
        case = self.case(self.pairs.solved[0])
        plans, length = self._plans(case, 0), case.base.length
        runs = sum(any(e.start is not None and e.start < length for e in plan) for _, plan in plans)
        tokens = min(MOST_TOKENS, runs * length)
        pairs = len(self.pairs.solved)
        return Cost(len(self.sites) * pairs, runs * pairs, megabytes(self.model, tokens, length))

    def _plans(self, case: Case, row: int) -> list[tuple[int, Plan]]:
        """(cell number, edited run) of one pair; `row` is its place among the pairs that count."""
        plans = []
        for cell, (site, index) in enumerate(zip(self.sites, self.indices, strict=True)):
            step = None
            if self.places is not None:
                step = index[-1]
                position = self.places.steps[row][step]
                site = site if site.position == position else replace(site, position=position)
            plans += [(cell, plan) for plan in self.source.plans(self.model, case, site, step)]
        return plans

    def fill(self, tick: Tick) -> Iterator[Grid]:
        """Compute the wanted cells pair by pair; yields the mean of what is done after each batch."""
        total, count = np.zeros(len(self.sites)), np.zeros(len(self.sites))
        for row, pair in enumerate(self.pairs.solved):
            case = self.case(pair)
            plans = self._plans(case, row)
            numbers = np.array([cell for cell, _ in plans], dtype=int)
            runs = np.bincount(numbers, minlength=len(self.sites))
            if not runs.all():  # nothing changes in some cells
                count += runs == 0
                yield self._grown(total, count, tick)
            for rows, values in self.model.sweep(case.base, [plan for _, plan in plans], case.read):
                done = numbers[rows]
                np.add.at(total, done, (values.double().cpu().numpy() - case.before) / runs[done])
                np.add.at(count, done, 1 / runs[done])
                yield self._grown(total, count, tick)

    def _grown(self, total: np.ndarray, count: np.ndarray, tick: Tick) -> Grid:
        """The map of cells whose effects sum to `total` over `count` pairs."""
        done, every = round(count.sum()), len(self.sites) * len(self.pairs.solved)
        if done == every:
            self.pairs.check_weights()
        tick(done, every)
        shape, where = [len(axis) for axis in self.axes], tuple(np.array(self.indices).T)
        values, some = np.ma.masked_all(shape, dtype=np.float32), np.zeros(shape, dtype=bool)
        values[where] = np.ma.masked_invalid(total / np.where(count, count, np.nan))
        some[where] = (count > 0) & (count < len(self.pairs.solved) - 1e-6)
        return self._grid(values, some)

    # -- the grid -------------------------------------------------------------------------------------------------

    def _grid(self, values: np.ma.MaskedArray, some: np.ndarray | None = None) -> Grid:
        """some: where only some of the pairs are in the mean."""
        how = self.question.how
        return Grid(
            values,
            self.axes,
            self.question.kind,
            self.question.site_part,
            title=f"{self.question.noun}: effect of {self.question.verb} on {self.pairs.metric}",
            unit=self.pairs.unit,
            sign=self.question.sign,
            toward=1 if how == "denoise" else -1,
            estimated=some,
            provenance=dict(self.provenance),
        )

    def _print(self) -> dict[str, Any]:
        """Where the numbers come from."""
        question = self.question
        plain = {
            "method": f"causal/{question.how}",
            **self.pairs.provenance,
            **dictionaries(self.model, question.kind),
            "base": "corrupt" if question.how == "denoise" else "clean",
        }
        if self.places is not None:
            plain["positions"] = self.places.words
        if question.recipe is not None:
            plain["recipe"] = question.recipe.hash
        if question.pairs is not None:
            plain["cut"] = [[int(query), int(key)] for query, key in question.pairs]
        if question.vector is not None:
            plain["vector"] = question.vector_hash
        return plain


__all__ = ["METHODS", "OBJECTS", "Cost", "causal", "cost", "steps"]
