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
from .filling import Filling


class LensView(Filling, LensMap):
    """The logit lens of a prompt, layer × position. Picked cells are residual vectors after that block.

    The last position is read first, then the others from the right.
    target: follow the probability of this token instead of each cell's own favourite.
    translator: reads the layers through it, for instance `mi.locate.Translator.default(model)`.
    answer, foil, directions: as in AttentionView.
    """

    panel_names = ("lens",)
    first_at_once = True

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
        self._target, self._translator = target, translator
        super().__init__(model, prompt, answer, foil, directions, title="Logit lens: what each layer would say next")

    def _maps(self, halt: Event) -> Iterator[tuple[int, Grid]]:
        steps = lens_steps(
            self.model,
            self._text,
            target=self._target,
            translator=self._translator,
            progress=self._ticker("lens"),
            stop=halt,
        )
        for grid in steps:
            yield 0, grid
