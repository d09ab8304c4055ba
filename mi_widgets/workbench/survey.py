"""Survey: what one pass says about all heads, layer by layer: a small picture and the measures of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..intervention import Recipe
from ..locate.magnitude import Seen, each_measure
from ..model import Attention, Model
from ..view import picture


@dataclass(frozen=True, eq=False)
class Survey:
    """All heads of one run, or of two as their difference: the second's minus the first's.

    pictures: [layer, head, s, s], pooled, in the attention's own unit.
    measures: of each run, by name, [layer, head]; of plain attention, whatever the pictures show.
    """

    pictures: np.ndarray
    measures: tuple[dict[str, np.ndarray], ...]

    @classmethod
    def of(cls, model: Model, runs: Sequence[tuple[torch.Tensor, Recipe | None]], weighted: bool) -> Survey:
        """One pass of one run or two, (ids [1, pos], recipe) each; of the patterns one layer's are held at a time."""
        tokens = [tuple(ids[0].tolist()) for ids, _ in runs]

        def keep(layer: int, found: Attention) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
            window, shown = model.window(layer), found.weighted
            shown = shown[0] if len(runs) == 1 else shown[1] - shown[0]
            seen = [Seen(ids, window) for ids in tokens]
            return picture.pooled(shown.cpu().numpy()), [
                each_measure(pattern, each) for pattern, each in zip(found.pattern, seen, strict=True)
            ]

        layers = model.attention(runs, keep, weighted=weighted)
        measures = tuple(
            {name: np.stack([of_runs[run][name] for _, of_runs in layers]) for name in layers[0][1][run]}
            for run in range(len(runs))
        )
        return cls(np.stack([pictures for pictures, _ in layers]), measures)

    @property
    def is_difference(self) -> bool:
        """Whether it is of two runs."""
        return len(self.measures) == 2

    def most(self, beside: int = 0) -> float:
        """The largest number in the pictures, whatever its sign, without the first `beside` columns; 1 if all are 0."""
        return float(np.abs(self.pictures[..., beside:]).max(initial=0.0)) or 1.0
