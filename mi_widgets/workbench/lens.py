"""LensView: what each layer would say next at each position, and what changes when a reading is taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Event
from typing import Any

from ..direction import Direction
from ..grid import Grid
from ..locate import lens_steps
from ..model.tokens import Prompt
from ..run import Texts
from ..view import LensMap
from .instrument import Instrument
from .live import Live


class Lens(Instrument):
    """The logit lens, layer × position; the last position is read first, then the others from the right."""

    name = "lens"
    at_once = True

    def __init__(self, view: Live, target: str | None = None, translator: Any = None) -> None:
        super().__init__(view)
        self.target, self.translator = target, translator

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        """One map, column by column."""
        steps = lens_steps(
            self.view.model,
            self.view.text,
            target=self.target,
            translator=self.translator,
            progress=self.tick("lens"),
            stop=halt,
        )
        for grid in steps:
            yield "lens", grid


class LensView(Live, LensMap):
    """The logit lens of a prompt, layer × position. Picked cells are residual vectors after that block.

    The last position is read first, then the others from the right.
    target: follow the probability of this token instead of each cell's own favourite.
    translator: reads the layers through it, for instance `mi.locate.Translator.default(model)`.
    answer, foil, directions: as in AttentionView.
    """

    def __init__(
        self,
        model: Any,
        prompt: Prompt,
        *,
        target: str | None = None,
        translator: Any = None,
        answer: Texts | None = None,
        foil: Texts | None = None,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        self._asked = (target, translator)
        super().__init__(model, prompt, answer, foil, directions, title="Logit lens: what each layer would say next")

    def _equip(self) -> tuple[Instrument, ...]:
        return (Lens(self, *self._asked),)
