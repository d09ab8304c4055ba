"""AttributionView: which heads and which places in the residual stream carry the answer. Exact, and live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Event
from typing import Any

from ..direction import Direction
from ..grid import Grid
from ..intervention import Recipe
from ..locate import refine
from ..locate.places import Unaligned
from ..task import Pair, Task
from ..view import AttributionMap
from .instrument import Instrument
from .live import Live


class Attribution(Instrument):
    """Maps of exact denoising patching, estimates first where they are fair, then exact numbers, the last layers first.

    task: all of whose items are averaged.
    """

    name = "attribution"
    objects = ("heads", "residual")

    def __init__(self, view: Live, task: Task) -> None:
        super().__init__(view)
        self.task = task
        self._unplaced = ""

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        """One map for each kind of object."""
        for objects in self.objects:
            tick = self.tick(f"{objects} map")
            try:
                for grid in refine(self.view.model, self.task, objects, split="all", progress=tick, stop=halt):
                    yield objects, grid
            except Unaligned as problem:
                self._unplaced = f"No map over positions: {problem}"

    def notes(self, recipe: Recipe) -> list[str]:
        """Why there is no map over positions, where there is none."""
        return [self._unplaced] if self._unplaced else []


def some(task: Task | Pair | Sequence[Pair], pairs: int) -> Task:
    """The first `pairs` items of a task's `fit` split, or of all its items where it has no splits."""
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, not {pairs}")
    whole = Task.of(task)
    items = (whole.fit if whole.has_splits else whole.items)[:pairs]
    return Task(items, metric=whole.metric, name=whole.name, seed=whole.seed)


def task_lines(task: Task) -> list[str]:
    """Python that makes this Task again."""
    items = ", ".join(f"mi.{pair!r}" for pair in task.items)
    metric = f", metric={task.metric!r}" if isinstance(task.metric, str) else ""
    return [f"task = mi.Task([{items}]{metric})"]


class AttributionView(Live, AttributionMap):
    """Layer × head and layer × position maps of exact denoising patching; pick cells and run the clean prompt without.

    task: a Pair, a list of Pairs, or a Task, of whose `fit` split the first `pairs` pairs are averaged.
    The maps fill while you look, estimates first where they are fair, then exact numbers, the last layers first.
    Positions of several pairs are roles (where they have spans), or counted, from the start or the end; where they
    cannot be lined up there is no map over positions, and a run's notes say so.
    directions: as in AttentionView. Runs use the first pair's clean prompt.
    """

    def __init__(
        self,
        model: Any,
        task: Task | Pair | Sequence[Pair],
        *,
        pairs: int = 4,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        self._task = some(task, pairs)
        first = self._task.items[0]
        title = "Attribution: what carries the answer"
        super().__init__(model, first.clean, first.answer, first.foil, directions, title=title)

    def _opening(self) -> list[str]:
        pairs = len(self._task.items)
        return [*self._loading(), *task_lines(self._task), f"view = mi.AttributionView(model, task, pairs={pairs})"]

    def _equip(self) -> tuple[Instrument, ...]:
        return (Attribution(self, self._task),)
