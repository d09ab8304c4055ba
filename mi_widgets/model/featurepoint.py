"""Featurepoint: a dictionary's features as one more hook point of the twin.

A hook there is given activations [..., d_sae] and may return others. It sits on the hook point that the dictionary
reads: what comes is encoded, and what the hook changes is added to what was there, so nothing changes where it changes
nothing, bit for bit. Gradients with respect to the activations are those of the rest of the model.
"""

from __future__ import annotations

from typing import Any

import torch

from .dictionary import Dictionary
from .places import TAIL


class FeaturePoint:
    """Stands beside TransformerLens's own hook points; `name` is the carrier's with `.features` after it."""

    def __init__(self, carrier: Any, dictionary: Dictionary) -> None:
        self.carrier, self.dictionary, self.name = carrier, dictionary, f"{dictionary.carrier}{TAIL}"

    def add_hook(self, function: Any) -> None:
        """Hook the features: function(activations, hook=...)."""

        def hooked(x: torch.Tensor, hook: Any) -> torch.Tensor | None:
            active = self.dictionary.encode(x)
            new = function(active, hook=self)
            return None if new is None else self.dictionary.edited(x, active, new)

        self.carrier.add_hook(hooked)

    def remove_hooks(self, direction: str) -> None:
        """Remove what is hooked to the carrier."""
        self.carrier.remove_hooks(direction)


__all__ = ["FeaturePoint"]
