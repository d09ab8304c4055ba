"""AttributionView: which heads and which places in the residual stream carry the answer. Exact, and live."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ..grid import Grid
from ..intervention import Direction
from ..locate import refine
from ..model import Closed
from ..task import Pair, Task
from ..view import AttributionMap, mapping
from .live import Live


class AttributionView(Live, AttributionMap):
    """Layer × head and layer × position maps of exact denoising patching; pick cells and run the clean prompt without.

    task: a Pair, a list of Pairs, or a Task, of whose `fit` split the first `pairs` pairs are averaged.
    The maps fill while you look, the last layers first; Stop ends a run, or without one the maps, and keeps what is
    done; `wait()` waits for all of it.
    A map of several pairs shows positions only when all prompts have one length.
    directions: as in AttentionView. Runs use the first pair's clean prompt.
    """

    _halt = threading.Event()  # ends the maps that are under way; here there are none

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

    def _draw(self) -> None:
        """Locate in a thread that only queues: each batch is a job of its own, so that a Run comes between two."""
        self._halt.set()
        self._halt = halt = threading.Event()
        self.progress = {"done": 0, "total": 0, "eta": 0, "label": "maps"}
        self._locating = located = Future[None]()
        threading.Thread(target=self._locate, args=(halt, located), name="mi-locate", daemon=True).start()

    def stop(self) -> None:
        """Stop the run; without one, the maps. What is done stays."""
        if self._runs:
            super().stop()
        else:
            self._halt.set()

    def close(self) -> None:
        """End the maps and the run, and take the view off the page."""
        self._halt.set()
        super().close()

    def wait(self) -> None:
        """Wait for the maps and for the run."""
        self._locating.result()
        super().wait()

    def _locate(self, halt: threading.Event, located: Future[None]) -> None:
        """Fill both maps, showing each batch as it comes; `halt` ends it."""
        try:
            for number, objects in enumerate(self._objects()):
                self._fill(number, objects, halt)
        except Closed:
            located.set_result(None)
            self._rest("closed")
        except Exception as error:
            self.fail(error)
            located.set_exception(error)
        else:
            located.set_result(None)
            if halt is self._halt and not self._runs:
                self._rest("stopped" if halt.is_set() else self.status)

    def _fill(self, number: int, objects: str, halt: threading.Event) -> None:
        began = time.monotonic()

        def report(done: int, total: int) -> None:
            self._report(done, total, began, f"{objects} map")

        for grid in refine(self.model, self._task, objects, split="all", progress=report, stop=halt):
            self._show(number, grid)

    def _objects(self) -> list[str]:
        lengths = {self.model.ids(pair.clean).shape[1] for pair in self._task}
        return ["heads", "residual"] if len(lengths) == 1 else ["heads"]

    def _show(self, number: int, grid: Grid) -> None:
        self._grids[number:] = [grid]
        excluded = self.model.bos_positions(self._before.ids[None])
        names = (("heads", None), ("residual", excluded))
        self.panels = [mapping.panel(g, *names[i]) for i, g in enumerate(self._grids)]
