"""Filling: a live view whose maps are computed while a person looks at them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

from ..grid import Grid
from ..model import Closed, WeightsChanged
from ..progress import Tick
from ..run import run
from ..view import mapping
from .live import Live

_PAUSE = 0.25  # seconds between two drawings of one map: what crosses to the page is the whole of it


def _at_most_every(pause: float, maps: Iterator[tuple[int, Grid]]) -> Iterator[tuple[int, Grid]]:
    """The maps without those that come too soon after the one before; the last of each panel is always there."""
    shown, waiting = 0.0, None
    for number, grid in maps:
        if waiting is not None and waiting[0] != number:
            yield waiting
        waiting = (number, grid)
        if time.monotonic() - shown >= pause:
            yield waiting
            shown, waiting = time.monotonic(), None
    if waiting is not None:
        yield waiting


class Filling(Live):
    """A Live view that draws its maps step by step, each step a job of its own, so that a Run comes between two.

    Stop ends the run, or without one the maps, in the middle of a pass; what is done stays. `wait()` waits for both.
    Subclasses say which maps there are (`_maps`), what their panels are called, and whether the first step is so quick
    that it is taken at once, so that there are cells to pick from the beginning.
    """

    panel_names: tuple[str, ...] = ()
    first_at_once = False
    _halt = threading.Event()  # ends the maps that are under way; here there are none
    _drawing: Future[None]

    def _maps(self, halt: threading.Event) -> Iterator[tuple[int, Grid]]:
        """(Number of the panel, the Grid as far as it is known), as they come; `halt` ends them."""
        raise NotImplementedError

    def _draw(self) -> None:
        self._halt.set()
        self._halt = halt = threading.Event()
        self.progress = {"done": 0, "total": 0, "eta": 0, "label": "maps"}
        maps = self._maps(halt)
        if self.first_at_once:
            self._show(*next(maps))
        self._drawing = drawn = Future[None]()
        threading.Thread(target=self._fill, args=(maps, halt, drawn), name="mi-maps", daemon=True).start()

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
        waited_for = None
        while waited_for is not self._drawing:  # maps may begin again meanwhile
            waited_for = self._drawing
            waited_for.result()
        super().wait()

    def _fill(self, maps: Iterator[tuple[int, Grid]], halt: threading.Event, drawn: Future[None]) -> None:
        """In a thread that only queues: show each step, then say how it ended."""
        try:
            for number, grid in _at_most_every(_PAUSE, maps):
                self._show(number, grid)
        except Closed:
            self._rest("closed")
        except WeightsChanged:
            self.model.do(self._draw_again)
        except Exception as error:
            self.fail(error)
            drawn.set_exception(error)
            return
        else:
            if halt is self._halt and not self._runs:
                self._rest("stopped" if halt.is_set() else self.status)
        drawn.set_result(None)

    def _draw_again(self) -> None:
        """The weights were edited while the maps filled: begin again, and drop the result of the old ones."""
        self._before = run(self.model, self._text)
        if self._redraw():
            self.result, self.provenance = {}, self._print()

    def _extent(self) -> str:
        return super()._extent() if self.panels else "the maps are not there yet; view.wait() waits for them"

    def _ticker(self, label: str) -> Tick:
        """A function that shows how far a map is, with the time left."""
        began = time.monotonic()
        return lambda done, total: self._report(done, total, began, label)

    def _show(self, number: int, grid: Grid) -> None:
        self._grids[number:] = [grid]
        bos = self.model.bos_positions(self._before.ids[None])
        self.panels = [
            mapping.panel(each, name, bos if each.axes[-1].name == "position" else None)
            for each, name in zip(self._grids, self.panel_names, strict=False)
        ]
