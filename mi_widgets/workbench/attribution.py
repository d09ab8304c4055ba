"""AttributionView: which heads and which places in the residual stream carry the answer. Exact, and live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Event
from typing import Any

from ..grid import Grid
from ..intervention import Direction
from ..locate import refine
from ..task import Pair, Task
from ..view import AttributionMap
from .filling import Filling


class AttributionView(Filling, AttributionMap):
    """Layer × head and layer × position maps of exact denoising patching; pick cells and run the clean prompt without.

    task: a Pair, a list of Pairs, or a Task, of whose `fit` split the first `pairs` pairs are averaged.
    The maps fill while you look, estimates first where they are fair, then exact numbers, the last layers first.
    A map of several pairs shows positions only when all prompts have one length.
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
        first = items[0]
        title = "Attribution: what carries the answer"
        super().__init__(model, first.clean, first.answer, first.foil, directions, title=title)

    def _maps(self, halt: Event) -> Iterator[tuple[int, Grid]]:
        for number, objects in enumerate(self._objects()):
            tick = self._ticker(f"{objects} map")
            for grid in refine(self.model, self._task, objects, split="all", progress=tick, stop=halt):
                yield number, grid

    def _objects(self) -> tuple[str, ...]:
        lengths = {self.model.ids(pair.clean).shape[1] for pair in self._task}
        return self.panel_names if len(lengths) == 1 else self.panel_names[:1]
