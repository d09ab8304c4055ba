"""Instrument: what draws some of a view's panels, step by step, and what can be chosen about them.

A view holds one or more instruments. Each computes its Grids in steps, every step a job of its own on the model's
worker, so that a Run comes between two; what is done stays when it is stopped. Choosing something begins its maps
again. The instrument knows what to compute; the view knows prompt, model and picks.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..grid import Grid
from ..intervention import Recipe
from ..model import Closed, WeightsChanged
from ..progress import Tick
from ..site import Site
from ..view import Choice, Panel, mapping

if TYPE_CHECKING:
    from .live import Live

_PAUSE = 0.25  # seconds between two drawings of one map: what crosses to the page is the whole of it


def _at_most_every(pause: float, maps: Iterator[tuple[str, Grid]]) -> Iterator[tuple[str, Grid]]:
    """The maps without those that come too soon after the one before; the last of each panel is always there."""
    shown, waiting = 0.0, None
    for name, grid in maps:
        if waiting is not None and waiting[0] != name:
            yield waiting
        waiting = (name, grid)
        if time.monotonic() - shown >= pause:
            yield waiting
            shown, waiting = time.monotonic(), None
    if waiting is not None:
        yield waiting


class Instrument:
    """One kind of map in a view.

    A subclass says what there is to see (`maps`), how a Grid is drawn (`panel`), what can be chosen (`choices`, kept in
    attributes of the choices' names), what a run's notes should tell (`notes`), what stands beside its numbers
    (`beside`), and what follows a run (`after_run`).
    """

    name = ""
    at_once = False
    """Whether the first step is so quick that it is taken at once: on an empty screen, so that there are cells to pick
    from the start, and after a run."""

    def __init__(self, view: Live) -> None:
        self.view = view
        self.grids: dict[str, Grid] = {}
        self._halt = threading.Event()  # ends the maps that are under way
        self._turn = threading.Lock()  # of one thread to begin maps, or to show a step of them
        self._fresh = False  # maps have begun, and what is on screen is not yet of them
        self._drawn = Future[None]()
        self._drawn.set_result(None)

    # -- what a subclass is for -------------------------------------------------------------------------------------

    def maps(self, halt: threading.Event) -> Iterator[tuple[str, Grid]]:
        """(Name of the panel, the Grid as far as it is known), as they come; `halt` ends them."""
        raise NotImplementedError

    def panel(self, name: str, grid: Grid) -> Panel:
        """How a Grid is drawn; columns of BOS are left out of the colours."""
        ids, axis = self.view.base.ids, grid.axes[-1]
        if axis.name != "position":
            return mapping.panel(grid, name)
        bos = self.view.model.bos_positions(ids[None])
        return mapping.panel(grid, name, [step for step, at in enumerate(axis.coordinates) if at % len(ids) in bos])

    def choices(self) -> tuple[Choice, ...]:
        """What can be chosen, with what is chosen now."""
        return ()

    def choose(self, name: str, value: str) -> None:
        """Take a checked answer to one of the choices, and draw what it asks for."""
        setattr(self, name, value)
        self.draw()

    def notes(self, recipe: Recipe) -> list[str]:
        """What a run's notes should say about the maps."""
        return []

    def beside(self, recipe: Recipe) -> dict[str, Any]:
        """More fields of a run's result; asked on the worker once the controls are there."""
        return {}

    def edit(self, act: Mapping[str, Any], cells: Sequence[tuple[str, Site]]) -> Recipe:
        """The recipe of the act "reading" on some of its cells, each with its panel's name; what a lens is for."""
        raise NotImplementedError

    def after_run(self, recipe: Recipe) -> None:
        """A run with this recipe has shown its numbers; called on the worker, before its controls and its text."""

    # -- for the view -----------------------------------------------------------------------------------------------

    @property
    def panels(self) -> list[Panel]:
        """What is on screen of this instrument; beside others, under names that tell whose it is."""
        panels = [replace(self.panel(name, grid), instrument=self.name) for name, grid in self.grids.items()]
        if len(self.view.instruments) == 1:
            return panels
        return [replace(panel, name=f"{self.name}-{panel.name}") for panel in panels]

    @property
    def offers(self) -> list[Choice]:
        """The choices under the instrument's name."""
        return [replace(choice, instrument=self.name) for choice in self.choices()]

    @property
    def draws(self) -> bool:
        """Whether maps are still on their way."""
        return not self._drawn.done()

    def draw(self, anew: bool = True) -> None:
        """Begin the maps, again if there are some; what is on screen stays until the first of the new ones comes.

        anew: all of it goes then; else each map stays until its own new one comes.
        """
        with self._turn:
            self._halt.set()
            self._halt = halt = threading.Event()
            self._fresh = self._fresh or anew
        maps = self.maps(halt)
        if self.at_once and (self.view.model.worker.is_current or not self.grids):
            for step in itertools.islice(maps, 1):  # none where the run is being stopped
                self._show(*step)
        self._drawn = drawn = Future[None]()
        self.view.begin_maps()
        threading.Thread(target=self._fill, args=(maps, halt, drawn), name="mi-maps", daemon=True).start()

    def stop(self) -> None:
        """End the maps; what is done stays."""
        self._halt.set()

    def wait(self) -> None:
        """Wait for the maps; raises what they failed with."""
        waited_for = None
        while waited_for is not self._drawn:  # they may begin again meanwhile
            waited_for = self._drawn
            waited_for.result()

    def tick(self, label: str) -> Tick:
        """A function that shows how far a map is, with the time left."""
        began = time.monotonic()
        return lambda done, total: self.view.report(done, total, began, label)

    def _fill(self, maps: Iterator[tuple[str, Grid]], halt: threading.Event, drawn: Future[None]) -> None:
        """In a thread that only queues: show each step, then say how it ended."""
        try:
            for name, grid in _at_most_every(_PAUSE, maps):
                with self._turn:
                    if halt is not self._halt:  # newer maps have begun: what was on its way is not shown over them
                        break
                    self._show(name, grid)
        except Closed:
            self.view.end_maps(self, "closed")
        except WeightsChanged:
            self.view.model.do(self.view.draw_again)
        except Exception as error:
            if halt is self._halt:  # what newer maps have replaced may end as it likes
                self.view.fail(error)
                drawn.set_exception(error)
                return
        else:
            if halt is self._halt:
                self.view.end_maps(self, "stopped" if halt.is_set() else "")
        drawn.set_result(None)

    def _show(self, name: str, grid: Grid) -> None:
        """Put a step on screen; the old maps go with the first of the new ones."""
        if self._fresh:
            self.grids, self._fresh = {}, False
        self.grids[name] = grid
        self.view.arrange()
