"""AttentionView: where every head looks, one head in full, and what happens without some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import torch

from ..direction import Direction
from ..grid import Axis as GridAxis
from ..grid import Grid
from ..model import Job, Stopped
from ..model.tokens import Prompt
from ..run import Texts
from ..view import AttentionMap, Axis, Panel, mapping, picture
from .instrument import Instrument
from .live import Live


class Attention(Instrument):
    """All heads as pictures, and one of them in full.

    The pictures come in one pass, layer by layer; of the patterns only the open head's is ever held.
    """

    name = "attention"
    at_once = True

    def __init__(self, view: AttentionView) -> None:
        super().__init__(view)
        self.screen = view
        self._pictures = np.zeros(0, np.uint8)
        self._opening: Job | None = None
        view.on("open", self._queue_open)

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        """One map, all at once, and the head that was open, or the one that looks around most."""
        model = self.view.model
        self._pictures, away = model.do(self._heads)
        model.do(lambda: self._open(*(self.screen.opened or _busiest(away))))
        yield "heads", _summary(away, model.provenance)

    def panel(self, name: str, grid: Grid) -> Panel:
        """The heads with their pictures."""
        return replace(mapping.panel(grid, name), thumbnails=self._pictures, causal=True)

    def _heads(self) -> tuple[np.ndarray, np.ndarray]:
        """Thumbnails [layer, head, s, s] and the share of attention off the first token [layer, head]."""
        names = [self._pattern(layer) for layer in range(self.view.model.n_layers)]
        kept = self.view.model.capture(self.view.base.ids[None], names, keep=_digest)
        return np.stack([kept[name][0] for name in names]), np.stack([kept[name][1] for name in names])

    @staticmethod
    def _pattern(layer: int) -> str:
        return f"blocks.{layer}.attn.hook_pattern"

    def _queue_open(self, row: int, col: int) -> None:
        """Open a head; the latest click wins."""
        if self._opening is not None:
            self._opening.stop()
        self._opening = job = self.view.model.submit(lambda: self._open(row, col))
        job.future.add_done_callback(self._say_if_lost)

    def _say_if_lost(self, opened: Future[None]) -> None:
        failure = None if opened.cancelled() else opened.exception()
        if failure is not None and not isinstance(failure, Stopped):
            self.view.explain(failure, what="This head cannot be opened")

    def _open(self, row: int, col: int) -> None:
        screen, model = self.screen, self.view.model
        rows, cols = model.n_layers, model.n_heads
        if not (row < rows and col < cols):
            raise ValueError(f"there is no layer {row}, head {col}: {model.name} has {rows} layers of {cols} heads")
        name, ids = self._pattern(row), self.view.base.ids[None]
        pattern = model.capture(ids, [name], keep=lambda x: x[0, col].float().cpu().numpy())
        labels = [token["text"] for token in screen.tokens]
        values = np.where(np.tri(len(labels), dtype=bool), pattern[name], np.nan)
        with screen.hold_sync():
            screen.opened = [row, col]
            screen.pattern = Panel(
                "pattern",
                Axis("query_pos", labels),
                Axis("key_pos", labels),
                values,
                title=f"Layer {row}, head {col}: attention from each token (row) to the tokens before it",
                scale="sequential",
                range=(0.0, 1.0),
                unit="of its attention",
                sign="Each row adds up to 1.",
                toward=0,
                excluded=model.bos_positions(ids),
                causal=True,
                instrument=self.name,
            )


class AttentionView(Live, AttentionMap):
    """All heads of a model on a prompt; click, shift-click or drag to pick heads, open one to see its pattern.

    answer, foil: what the metric tells apart (without them: the model's first choice against its second).
    directions: {name: Direction} to add; by default a cheerful one.
    """

    most_tokens = 1024

    def __init__(
        self,
        model: Any,
        prompt: Prompt,
        *,
        answer: Texts | None = None,
        foil: Texts | None = None,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        super().__init__(model, prompt, answer, foil, directions, title="Attention: where every head looks")

    def _equip(self) -> tuple[Instrument, ...]:
        return (Attention(self),)


def _digest(pattern: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(thumbnails [head, s, s], share of attention off the first token [head]) of one layer's patterns."""
    rows = pattern[0].float().cpu().numpy()
    return picture.thumbnails(rows), 1.0 - rows[:, 1:, 0].mean(axis=1) if rows.shape[1] > 1 else np.zeros(len(rows))


def _summary(away: np.ndarray, provenance: dict[str, Any]) -> Grid:
    axes = tuple(GridAxis(name, tuple(range(n))) for name, n in zip(("layer", "head"), away.shape, strict=True))
    return Grid(
        np.ma.asarray(away),
        axes,
        kind="head",
        part="z",
        title="All heads: where each one looks",
        unit="of its attention",
        sign="Number: the attention that does not go to the first token, averaged over the other tokens.",
        provenance=provenance,
    )


def _busiest(away: np.ndarray) -> tuple[int, int]:
    row, col = np.unravel_index(int(np.argmax(away)), away.shape)
    return int(row), int(col)
