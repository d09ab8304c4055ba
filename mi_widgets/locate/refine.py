"""Refine: a causal map that can be looked at from the start. An estimate first, exact numbers as they come.

Where a gradient is a fair estimate of the map (see `gradient.fair`), it is there after two forward passes and a
backward one for each pair, marked as an estimate cell by cell; exact numbers then replace it, the last layers first.
Elsewhere, as in the residual stream, the map starts empty: there the exact numbers are as cheap and the estimate is
wrong. Neurons are too many to run: all are estimated, and the `top` strongest of the estimate are made exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np

from ..grid import Grid
from ..model import Model, Stopped, WeightsChanged
from ..progress import Progress
from ..task import Pair, Task
from .causal import steps
from .gradient import BASES, fair, gradient
from .question import Question

#: What the gradient cannot answer: maps with one of these start empty.
_BEYOND = ("sites", "pairs", "vector", "recipe")


def refine(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    objects: str = "heads",
    method: str = "denoise",
    part: str | None = None,
    split: str = "fit",
    progress: Progress = False,
    stop: Event | None = None,
    preview: bool = True,
    top: int = 50,
    **more: Any,
) -> Iterator[Grid]:
    """The map of `causal` while it grows: yields Grids whose cells are masked, estimates, or exact.

    Numbers that are exact for some of the pairs only are marked as estimates of the mean over all of them.

    progress: as in `causal`, for the exact part. stop: an event that ends it when it is set, from any thread and in the
    middle of a pass; what was yielded stays, as it does when the iterator is closed or its job on the model is stopped.
    preview: whether estimates come first, where they are fair. top: how many neurons are made exact, the strongest of
    the estimate. Other arguments as in `causal`. `WeightsChanged` is raised instead of a last Grid of two models.
    """
    question = Question(objects=objects, method=method, part=part, split=split, **more)
    model, task = Model.of(model), Task.of(task)
    if top < 1:
        raise ValueError(f"top must be at least one neuron, not {top}")
    with suppress(Stopped):
        guess = _guess(model, task, question, stop) if preview else None
        if guess is not None:
            yield guess
            if objects == "neurons":
                question = replace(question, sites=[site for site, _ in guess.top(top)])
        for grid in steps(model, task, question, progress, stop):
            yield grid if guess is None else _over(guess, grid)


def _guess(model: Model, task: Task, question: Question, stop: Event | None) -> Grid | None:
    """The estimate, where there is a fair one."""
    objects, method = question.objects, question.method
    how = "atp_qk" if objects in ("q", "k") else "atp"
    if any(getattr(question, name) is not None for name in _BEYOND) or task.metric not in ("logit_diff", "logprob"):
        return None
    if method not in BASES or (objects != "neurons" and not fair(objects, method, how)):
        return None

    def heed(done: int, total: int) -> None:
        if stop is not None and stop.is_set():
            raise Stopped("stopped")

    same = {name: getattr(question, name) for name in ("part", "split", "reference", "prepend_bos")}
    return gradient(model, task, objects, how, method, progress=heed, **same)


def _over(guess: Grid, exact: Grid) -> Grid:
    """The exact numbers where there are some, the estimate elsewhere; of one model both."""
    before, now = (grid.provenance["weights"] for grid in (guess, exact))
    if before != now:
        raise WeightsChanged(exact.provenance["model"], before, now)
    missing = np.ma.getmaskarray(exact.values)
    values = np.ma.where(missing, guess.values, exact.values)
    guessed = missing & ~np.ma.getmaskarray(guess.values)
    estimated = guessed if exact.estimated is None else guessed | exact.estimated
    said = {"estimate": guess.provenance["method"]} if guessed.any() else {}
    return replace(exact, values=values, estimated=estimated, provenance={**exact.provenance, **said})
