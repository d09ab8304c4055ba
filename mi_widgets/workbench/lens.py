"""LensView: what each layer would say next at each position, and what changes when a reading is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..intervention import Direction
from ..locate import lens
from ..model.tokens import Prompt
from ..run import Texts
from ..view import LensMap, mapping
from .live import Live


class LensView(Live, LensMap):
    """The logit lens of a prompt, layer × position. Picked cells are residual vectors after that block.

    target: follow the probability of this token instead of each cell's own favourite.
    answer, foil, directions: as in AttentionView.
    """

    def __init__(
        self,
        model: Any,
        prompt: Prompt,
        *,
        target: str | None = None,
        answer: Texts | None = None,
        foil: Texts | None = None,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        self._target = target
        super().__init__(model, prompt, answer, foil, directions, title="Logit lens: what each layer would say next")

    def _draw(self) -> None:
        self._grids = [lens(self.model, self._text, target=self._target)]
        excluded = self.model.bos_positions(self._before.ids[None])
        self.panels = [mapping.panel(self._grids[0], "lens", excluded)]
