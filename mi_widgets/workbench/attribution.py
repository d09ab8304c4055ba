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
from .filling import Filling


class AttributionView(Filling, AttributionMap):
    """Layer × head and layer × position maps of exact denoising patching; pick cells and run the clean prompt without.

    task: a Pair, a list of Pairs, or a Task, of whose `fit` split the first `pairs` pairs are averaged.
    The maps fill while you look, estimates first where they are fair, then exact numbers, the last layers first.
    Positions of several pairs are roles (where they have spans), or counted, from the start or the end; where they
    cannot be lined up there is no map over positions, and a run's notes say so.
    directions: as in AttentionView. Runs use the first pair's clean prompt.
    """

    panel_names = ("heads", "residual")

    def __init__(
        self,
        model: Any,
        task: Task | Pair | Sequence[Pair],
        *,
        pairs: int = 4,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        whole = Task.of(task)
        if pairs < 1:
            raise ValueError(f"pairs must be at least 1, not {pairs}")
        items = (whole.fit if whole.has_splits else whole.items)[:pairs]
        self._task = Task(items, metric=whole.metric, name=whole.name, seed=whole.seed)
        self._unplaced = ""
        first = items[0]
        title = "Attribution: what carries the answer"
        super().__init__(model, first.clean, first.answer, first.foil, directions, title=title)

    def _maps(self, halt: Event) -> Iterator[tuple[int, Grid]]:
        for number, objects in enumerate(self.panel_names):
            tick = self._ticker(f"{objects} map")
            try:
                for grid in refine(self.model, self._task, objects, split="all", progress=tick, stop=halt):
                    yield number, grid
            except Unaligned as problem:
                self._unplaced = f"No map over positions: {problem}"

    def _notes(self, recipe: Recipe) -> list[str]:
        return [*super()._notes(recipe), *([self._unplaced] if self._unplaced else [])]
