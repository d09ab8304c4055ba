"""compare: one prompt before and after a recipe, inline."""

from __future__ import annotations

from typing import Any

from ..intervention import Recipe
from ..model.tokens import Prompt
from ..run import Texts, checked
from ..view import Heatmap
from .live import Live, brief


class Comparison(Live, Heatmap):
    """Before | after of one recipe on one prompt, with its control band; nothing to pick."""

    def __init__(
        self, model: Any, prompt: Prompt, recipe: Recipe, answer: Texts | None = None, foil: Texts | None = None
    ) -> None:
        self._fixed = recipe = checked(recipe)
        super().__init__(model, prompt, answer, foil, directions={}, title=f"Before and after: {brief(recipe)}")
        self.runnable = False
        self._submit(lambda: self._answer(recipe, self._draft()))

    @property
    def recipe(self) -> Recipe:
        """The recipe that is compared."""
        return self._fixed


def compare(
    model: Any, prompt: Prompt, recipe: Recipe, answer: Texts | None = None, foil: Texts | None = None
) -> Comparison:
    """A widget that shows a prompt before and after a recipe: numbers, control band, then text.

    answer, foil: what the metric tells apart; without them, the model's first choice against its second.
    """
    return Comparison(model, prompt, recipe, answer, foil)
