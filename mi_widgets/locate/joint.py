"""Joint: what several cells do when all of them are changed at once.

Single effects do not add up. Cells that stand in for each other show little alone and much together; cells of one path
show the same effect each, and together hardly more. So a set's effect is measured as one: the edit of `causal`, made at
all its cells in the same run. Beside the sum of its cells' own effects it says which of the two it is, and beside the
effects of other sets of as many cells (`improve.controls` draws some) whether it is more than what so many changes do.

What it does not show: which of the cells matter, and in what order they act. A cell that comes after another one is set
to the value of the unedited other run, and not to what it would make of the change before it. Cost: as in `causal`, one
run for a set and pair, batched, from the first layer and position that the set changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..grid import Axis, Grid
from ..model import Model, Plan, first_difference, hook_name
from ..model.places import check_site
from ..progress import Progress, Tick, ticker
from ..site import Site
from ..task import METRICS, Pair, Task
from .case import Case, cases
from .pairs import Pairs
from .question import Question
from .source import Source, source_of


def joint(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    sets: Sequence[Sequence[Site]],
    method: str = "denoise",
    reference: Sequence[str] | None = None,
    split: str = "fit",
    progress: Progress = True,
    prepend_bos: bool | None = None,
) -> Grid:
    """The exact effect on a task's metric of each set of cells, changed together; one number a set, axis `set`.

    sets: lists of Sites, of any kinds; `grid.select(top=8)` is one. Positions are those of a map of the same pairs: the
        tokens of a single pair, the steps of the position axis of several (see `places`).
    method, reference, split, prepend_bos: as in `causal`, and with the same sign and unit. A set of one cell has that
        cell's value in the map.
    progress: a bar, nothing, or a function (sets done, sets in all), over all pairs.

    Raises ValueError for an empty set, KeyError for a position that the pairs do not share.
    """
    question = Question(method=method, reference=reference, split=split, prepend_bos=prepend_bos)
    kept = [_checked(cells) for cells in sets]
    if not kept:
        raise ValueError("sets is empty: give at least one list of Sites, such as [grid.select(top=8)]")
    model, task = Model.of(model), Task.of(task)
    under_way = model.do(lambda: _Sets(model, task, question, kept))
    steps = under_way.fill(ticker(progress, "set"))
    while model.do(lambda: next(steps, False)):
        pass
    return model.do(under_way.grid)


def open_positions(
    model: Any, task: Task | Pair | Sequence[Pair], method: str = "denoise", tokens: bool = False, split: str = "fit"
) -> tuple[int, ...]:
    """The positions that a set's cells can name and at which the edit can do something: where controls are drawn from.

    A patch does nothing before the first differing token. tokens: of embeddings, nothing where the tokens are the same.
    """
    question = Question(method=method, split=split)
    model, task = Model.of(model), Task.of(task)

    def moves(prompts: Sequence[list[int]], position: int) -> bool:
        clean, corrupt = prompts
        return clean[position] != corrupt[position] if tokens else position >= first_difference(clean, corrupt)

    def work() -> tuple[int, ...]:
        pairs = Pairs.of(model, task, split, question.patches, METRICS)
        places = pairs.places
        if not question.patches:
            return places.axis.coordinates
        both = [[ids[0].tolist() for ids in pairs.ids(pair)] for pair in pairs.solved]
        live = [
            any(moves(prompts, own[step]) for prompts, own in zip(both, places.steps, strict=True))
            for step in range(len(places.axis))
        ]
        return tuple(place for place, moving in zip(places.axis.coordinates, live, strict=True) if moving)

    return model.do(work)


def _checked(cells: Any) -> tuple[Site, ...]:
    """The cells of a set, each once."""
    if isinstance(cells, (str, Site)) or not all(isinstance(cell, Site) for cell in cells):
        raise TypeError(f"a set is a list of Sites, such as [Site('head', 1, 0)], not {cells!r:.80}")
    if not cells:
        raise ValueError("a set is empty: each needs at least one cell")
    return tuple(dict.fromkeys(cells))


class _Sets:
    """The effects of some sets, under way."""

    def __init__(self, model: Model, task: Task, question: Question, sets: Sequence[tuple[Site, ...]]) -> None:
        self.model, self.question, self.sets = model, question, sets
        sites = list(dict.fromkeys(site for cells in sets for site in cells))
        for site in sites:
            check_site(model, site)
        names = list(dict.fromkeys(map(hook_name, sites))) if question.patches else []
        self.case, bos = cases(model, str(task.metric), question, names), question.prepend_bos
        self.pairs = Pairs.of(
            model, task, question.split, question.patches, METRICS, bos, lambda pair: self.case(pair).gap
        )
        self.sources: dict[bool, Source] = {}
        self.provenance = {"method": f"joint/{question.how}", **self.pairs.provenance}
        for placed in (False, True):
            own = list(dict.fromkeys(hook_name(site) for site in sites if (site.position is not None) == placed))
            if own:
                places = self.pairs.places if placed else None
                self.sources[placed], said = source_of(question, self.pairs, places, own)
                self.provenance |= said
        self.effects = np.zeros((len(self.pairs.solved), len(sets)))

    def fill(self, tick: Tick) -> Iterator[bool]:
        """Measure every set in every pair, batch by batch."""
        done = 0
        for row, pair in enumerate(self.pairs.solved):
            case = self.case(pair)
            drawn = [self._plans(case, row, cells) for cells in self.sets]
            numbers = np.repeat(np.arange(len(drawn)), [len(plans) for plans in drawn])
            for rows, values in self.model.sweep(case.base, [plan for plans in drawn for plan in plans], case.read):
                own = numbers[rows]
                shares = (values.double().cpu().numpy() - case.before) / np.array([len(drawn[i]) for i in own])
                np.add.at(self.effects[row], own, shares)
                yield True
            done += len(self.sets)
            tick(done, self.effects.size)

    def _plans(self, case: Case, row: int, cells: Sequence[Site]) -> list[Plan]:
        """The edited runs whose mean effect is a set's; one that changes nothing where none of its cells does."""
        parts = [self._cell(case, row, cell) for cell in cells]
        most = max(map(len, parts)) or 1
        return [[edit for part in parts if part for edit in part[draw]] for draw in range(most)]

    def _cell(self, case: Case, row: int, cell: Site) -> list[Plan]:
        """One cell's edits, at its position in this pair's prompts."""
        if cell.position is None:
            return self.sources[False].plans(self.model, case, cell, None)
        axis = self.pairs.places.axis.coordinates
        if cell.position not in axis:
            shown = ", ".join(f"{place:g}" for place in axis)
            raise KeyError(f"{cell} is at no position that these pairs share; they share {shown}")
        step = axis.index(cell.position)
        site = replace(cell, position=self.pairs.places.steps[row][step])
        return self.sources[True].plans(self.model, case, site, step)

    def grid(self) -> Grid:
        """The mean over pairs."""
        self.pairs.check_weights()
        labels = tuple(", ".join(map(str, cells)) for cells in self.sets)
        return Grid(
            np.ma.masked_invalid(self.effects.mean(0)),
            (Axis("set", tuple(range(len(self.sets))), labels),),
            title=f"Sets of cells: joint effect of {self.question.verb} on {self.pairs.metric}",
            unit=self.pairs.unit,
            sign=self.question.sign,
            toward=1 if self.question.how == "denoise" else -1,
            provenance=self.provenance,
        )


__all__ = ["joint", "open_positions"]
