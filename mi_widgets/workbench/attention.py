"""AttentionView: where every head looks, one head in full, and what happens without some of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import torch

from ..direction import Direction
from ..grid import Axis, Grid
from ..intervention import Intervention, Recipe
from ..locate import pattern
from ..locate.magnitude import of_heads
from ..model import Job, Stopped
from ..model.tokens import Prompt
from ..run import Texts, reader
from ..site import Site
from ..view import AttentionMap, Choice, Panel, mapping, picture
from .instrument import Instrument
from .live import Live, brief
from .survey import Survey

_NEW_TOKENS = 16
_QUICK = 0.25  # seconds: pictures that take no longer are made again after each new token
_KEPT = 6  # surveys kept, a megabyte each: going back to a choice costs no pass

_SUMMARIES = {
    "away": "away from the first token",
    "entropy": "entropy",
    "previous": "token before",
    "induction": "induction",
    "sink": "first token",
    "effect": "effect on the metric",
}
_WEIGHTINGS = {"plain": "attention", "value_norm": "attention × value length"}
_HELP = {
    "summary": {
        "away": "How much of its attention the head gives to other tokens than the first.",
        "entropy": "How widely the head's attention is spread: 0 where all of it is on one token.",
        "previous": "How much a token looks at the one right before it.",
        "induction": "How much a token looks at what followed the same token the last time.",
        "sink": "How much a token looks at the first one, where heads look that find nothing.",
        "effect": "What becomes of the answer's lead over the foil without the head.",
    },
    "weighting": {
        "plain": "How a token's attention is shared out among the tokens before it.",
        "value_norm": "The attention, times the length of what the head carries over: looking alone moves nothing.",
    },
}
_DEFAULTS = {"summary": "away", "weighting": "plain", "compare": "this", "text": "prompt"}
_LABELS = {"summary": "Number", "weighting": "Pictures", "compare": "Compared with", "text": "Tokens"}


class Attention(Instrument):
    """All heads as pictures, and one of them in full.

    The pictures come in one pass, layer by layer; of the patterns only the open head's is ever held whole.
    The arguments are the choices; see `AttentionView`.
    """

    name = "attention"
    at_once = True

    def __init__(
        self,
        view: AttentionView,
        *,
        summary: str = "away",
        weighting: str = "plain",
        compare: str = "this",
        text: str = "prompt",
    ) -> None:
        super().__init__(view)
        self.screen = view
        self.summary, self.weighting, self.compare, self.text = summary, weighting, compare, text
        self._after: Recipe | None = None  # of the last run
        self._prompt: list[int] = []  # the ids that it was of
        self._written: list[int] = []  # the tokens after the prompt's
        self._surveys: dict[Any, Survey] = {}
        self._survey: Survey | None = None
        self._known: tuple[Any, np.ndarray] = (None, np.zeros((0, 0)))  # effects of heads, and of what
        self._opening: Job | None = None
        self._open_now: Any = None  # which head is drawn, and of what
        for choice in self._all_choices():
            choice.checked(choice.value)
        view.on("open", self._queue_open)

    # -- what can be chosen -----------------------------------------------------------------------------------------

    def choices(self) -> tuple[Choice, ...]:
        """Of a head: its number, what its picture shows, against what, and over which tokens."""
        return tuple(choice for choice in self._all_choices() if len(choice.options) > 1)

    def _all_choices(self) -> tuple[Choice, ...]:
        """With those that have one answer only at the moment."""
        ran = self._after is not None
        fits = self.other_ids() is not None and self.text == "prompt"
        against = {
            "this": "this prompt as it is",
            **({"other": "the other prompt"} if fits else {}),
            **({"after": "after the last run"} if ran else {}),
        }
        texts = {
            "prompt": "the prompt",
            "before": "and what the model writes",
            **({"after": "and what the edited model writes"} if ran else {}),
        }
        offered = {"summary": _SUMMARIES, "weighting": _WEIGHTINGS, "compare": against, "text": texts}
        return tuple(
            Choice(name, _LABELS[name], getattr(self, name), tuple(options.items()), _HELP.get(name, {}))
            for name, options in offered.items()
        )

    def choose(self, name: str, value: str) -> None:
        """Take an answer; another prompt has no continuation of this one's, so the two exclude each other."""
        if name == "text" and value != "prompt" and self.compare == "other":
            self.compare = "this"
        super().choose(name, value)

    def draw(self, anew: bool = True) -> None:
        """Begin the maps; what cannot be chosen any more, because the prompt is another one, is chosen no more."""
        if self._prompt != self.view.base.ids.tolist():
            self._after, self._prompt = None, self.view.base.ids.tolist()
        for choice in self._all_choices():
            if choice.value not in dict(choice.options):
                setattr(self, choice.name, choice.options[0][0])
        super().draw(anew)

    def after_run(self, recipe: Recipe) -> None:
        """From now on the run can be compared with, and what the edited model writes can be looked at."""
        self._after = recipe
        self.view.offer_choices()
        if "after" in (self.compare, self.text):
            self.draw()

    def other_ids(self) -> torch.Tensor | None:
        """The other prompt's ids [1, pos], where there is one that fits the prompt."""
        ids = None if self.view.other is None else self.view.model.ids(self.view.other)
        return ids if ids is not None and ids.shape[1] == len(self.view.base.ids) else None

    # -- all heads --------------------------------------------------------------------------------------------------

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        """The heads at once; with each token of a text that is being written; and their effects, as they come."""
        yield "heads", self._look([])
        cost, missed = 0.0, list[int]()
        for written in self._write(halt):
            self._tell(written)
            missed = written
            if cost < _QUICK:
                began, missed = time.monotonic(), []
                grid = self._look(written)
                cost = time.monotonic() - began
                yield "heads", grid
        if missed:
            yield "heads", self._look(missed)
        if self.summary == "effect":
            for grid in self._effects(halt):
                yield "heads", grid

    def _look(self, written: list[int]) -> Grid:
        """Survey the prompt and what was written after it, open a head, and give the heads' numbers."""
        self._written = written
        self._survey = survey = self.view.model.do(self._surveyed)
        if not written:
            self._tell([])
        row, col = self.screen.opened or _busiest(survey.measures[0]["away"])
        if self._open_now != (row, col, self.view.model.do(self._shown)):
            self.view.model.do(lambda: self._open(row, col))
        return self._summary(survey)

    def _surveyed(self) -> Survey:
        key = self._shown()
        if key not in self._surveys:
            while len(self._surveys) >= _KEPT:
                self._surveys.pop(next(iter(self._surveys)))
            self._surveys[key] = Survey.of(self.view.model, self._runs(), self.weighting == "value_norm")
        return self._surveys[key]

    def _shown(self) -> tuple[Any, ...]:
        """What pictures and the open head are of: the runs, the weights, and how they are weighted."""
        runs = [(tuple(ids[0].tolist()), recipe.hash if recipe else "") for ids, recipe in self._runs()]
        return self.view.model.weights, self.weighting, *runs

    def _runs(self) -> list[tuple[torch.Tensor, Recipe | None]]:
        """(ids [1, pos], recipe) of what is shown: the prompt as it is, and what it is compared with."""
        ids = torch.cat([self.view.base.ids, self.view.base.ids.new_tensor(self._written)])[None]
        there = self.other_ids()
        if self.compare == "other" and there is not None:
            return [(ids, None), (there, None)]
        return [(ids, None), *([(ids, self._after)] if self.compare == "after" else [])]

    def _source(self) -> Any:
        """The prompt as a Grid's provenance names it."""
        return self.view.text if isinstance(self.view.text, str) else self.view.base.ids.tolist()

    def _sides(self) -> tuple[str, str] | None:
        """What is compared, and with what, in words; None for nothing."""
        if self.compare == "after" and self._after is not None:
            return f"after {brief(self._after)}", "before"
        return ("in the other prompt", "in this one") if self.compare == "other" else None

    def _summary(self, survey: Survey) -> Grid:
        """The number of each head."""
        if self.summary == "effect":
            return self._effect_grid(self._known_effects())
        provenance = {**self.view.model.provenance, "prompt": self._source()}
        grids = [
            of_heads(self.summary, [measures[self.summary]], [ids[0].tolist()], provenance)
            for measures, (ids, _) in zip(survey.measures, self._runs(), strict=True)
        ]
        if len(grids) == 1:
            return grids[0]
        here, there = grids
        return replace(there - here, sign=f"{self._more()} {here.sign}", title=here.title + self._minus())

    def panel(self, name: str, grid: Grid) -> Panel:
        """The heads with their pictures, those that share a key-value head side by side."""
        survey, model = self._survey, self.view.model
        assert survey is not None
        low, high = self._reach(survey)
        shared = model.n_heads // (model.count(Site("head", 0, 0, "k")) or model.n_heads)
        drawn = mapping.panel(grid, name)
        return replace(
            drawn,
            title=self._title("All heads"),
            scale="signed" if survey.is_difference or grid.toward else drawn.scale,
            thumbnails=picture.companded(survey.pictures, high, signed=low < 0),
            pictured=(low, high),
            grouped=shared,
            causal=True,
        )

    def _reach(self, survey: Survey) -> tuple[float, float]:
        """From where to where the colours of all pictures go: one range for all heads."""
        if survey.is_difference:
            most = survey.most(len(self._bos()))
            return -most, most
        return 0.0, 1.0 if self.weighting == "plain" else survey.most(len(self._bos()))

    def _bos(self) -> list[int]:
        return self.view.model.bos_positions(self.view.base.ids[None])

    def _title(self, what: str) -> str:
        shown = "what each token gets from where" if self.weighting == "value_norm" else "where each token looks"
        return f"{what}: {shown}{self._minus()}"

    def _minus(self) -> str:
        sides = self._sides()
        return "" if sides is None else ", {} minus {}".format(*sides)

    def _more(self) -> str:
        sides = self._sides()
        return "" if sides is None else "Difference: positive is more {} than {}.".format(*sides)

    # -- effects ----------------------------------------------------------------------------------------------------

    def _effects(self, halt: Event) -> Iterator[Grid]:
        """The exact change of the metric without each head's output, the last layers first, as far as it is known."""
        model, tick = self.view.model, self.tick("effects of heads")
        done = 0

        def begin() -> tuple[np.ndarray, list[Site], float, Iterator[tuple[list[int], torch.Tensor]]]:
            values = self._known_effects()
            left = [Site("head", int(layer), int(head)) for layer, head in np.argwhere(np.isnan(values))]
            plans = [Recipe((Intervention("zero", head),)) for head in left]
            base, read = model.record(self.view.text), reader(model, "logit_diff", *self.view.read)
            return values, left, float(read(base.logits[None])), model.sweep(base, plans, read)

        with suppress(Stopped):
            values, left, before, steps = model.do(begin, halt)
            yield self._effect_grid(values)
            while (step := model.do(lambda: next(steps, None), halt)) is not None:
                for number, value in zip(step[0], step[1].tolist(), strict=True):
                    values[left[number].layer, left[number].index] = value - before
                done += len(step[0])
                tick(done, len(left))
                yield self._effect_grid(values)

    def _known_effects(self) -> np.ndarray:
        """Effects [layer, head] as far as they were computed for this prompt, metric and weights; NaN where not."""
        model = self.view.model
        key = (model.weights, tuple(self.view.base.ids.tolist()), self.view.metric_name)
        if self._known[0] != key:
            self._known = key, np.full((model.n_layers, model.n_heads), np.nan)
        return self._known[1]

    def _effect_grid(self, values: np.ndarray) -> Grid:
        less = " Of this prompt alone, not compared." if self.compare != "this" or self.text != "prompt" else ""
        return Grid(
            np.ma.masked_invalid(values, copy=True),
            tuple(Axis(name, tuple(range(n))) for name, n in zip(("layer", "head"), values.shape, strict=True)),
            kind="head",
            part="z",
            title=f"Heads: effect of setting each to zero on {self.view.metric_name}",
            unit="logits",
            sign=f"Number: how {self.view.metric_name} changes without the head; "
            f"negative: it supports the answer.{less}",
            toward=-1,
            provenance={"method": "zero", **self.view.model.provenance, "prompt": self._source()},
        )

    # -- what is written after the prompt ---------------------------------------------------------------------------

    def _write(self, halt: Event) -> Iterator[list[int]]:
        """The tokens that the model, edited or not, writes after the prompt, as far as they are there."""
        if self.text == "prompt":
            return
        model, recipe = self.view.model, self._after if self.text == "after" else None
        ids = self.view.base.ids[None]
        room = (getattr(model.twin.cfg, "n_ctx", None) or sys.maxsize) - ids.shape[1]
        most = min(_NEW_TOKENS, room)
        with suppress(Stopped):
            steps = model.do(lambda: model.stream([ids], recipe, most, 0.0, 0), halt)
            written: list[int] = []
            while (step := model.do(lambda: next(steps, None), halt)) is not None and step[0] is not None:
                written = [*written, step[0]]
                yield written

    def _tell(self, written: list[int]) -> None:
        """Show the tokens after the prompt's, and whose they are."""
        if not written:
            self.screen.continuation = {}
            return
        start = len(self.view.base.ids)
        labels = self.view.model.labels(written)
        tokens = [{**label, "index": start + number, "bos": False} for number, label in enumerate(labels)]
        recipe = self._after if self.text == "after" else None
        whose = "written by the model as it is" if recipe is None else f"written after {brief(recipe)}"
        self.screen.continuation = {"tokens": tokens, "whose": whose}

    # -- one head ---------------------------------------------------------------------------------------------------

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
        """On the worker: one head's pattern, exact."""
        head = Site("head", row, col)
        grids = [
            pattern(self.view.model, ids, head, weighting=self.weighting, recipe=recipe) for ids, recipe in self._runs()
        ]
        with self.screen.hold_sync():
            self.screen.opened = [row, col]
            self.screen.pattern = self._pattern_panel(grids, head)
        self._open_now = (row, col, self._shown())

    def _pattern_panel(self, grids: list[Grid], head: Site) -> Panel:
        grid, survey = grids[0], self._survey
        assert survey is not None
        if len(grids) == 2:
            there = replace(grids[1], axes=grid.axes)  # another prompt's tokens stand under this one's names
            grid = replace(there - grid, sign=f"{self._more()} Without it: {grid.sign}")
        drawn = mapping.panel(grid, "pattern", self._bos())
        return replace(
            drawn,
            title=self._title(f"Layer {head.layer}, head {head.index}"),
            scale="signed" if len(grids) == 2 else "sequential",
            range=None if self.weighting == "value_norm" and len(grids) == 1 else self._reach(survey),
            causal=True,
            instrument=self.name,
        )


class AttentionView(Live, AttentionMap):
    """All heads of a model on a prompt; click, shift-click or drag to pick heads, open one to see its pattern.

    answer, foil: what the metric tells apart (without them: the model's first choice against its second).
    directions: {name: Direction} to add; by default a cheerful one.
    other: another prompt of as many tokens, to compare with, for instance a pair's corrupted one.

    What is shown can be chosen here, on the page, or later with `view.choose(name, value)`:
    summary: the number of each head, a bar under its picture: "away", "entropy", "previous", "induction" or "sink", as
        `mi.locate.magnitude(model, prompt, measure=summary)` gives them; or "effect", the exact change of the metric
        when the head's output is set to zero, which comes as it is computed.
    weighting: "plain", or "value_norm" for the length of what each value writes, as in
        `mi.locate.pattern(model, prompt, head, weighting="value_norm")`.
    compare: "this" shows the prompt as it is; "other" and "after" show what there is more of in the other prompt, and
        after the last run's recipe: `pattern(..., recipe=recipe) - pattern(...)`. "after" is there once a run is.
    text: "prompt" alone, or with the tokens that the model writes after it: "before" as it is, "after" under the last
        run's recipe. They come one by one.

    Colours go up to the same number in all heads, 1 for plain attention, and the legend says to which; only the open
    head weighted by values has a range of its own, as lengths differ much between heads.
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
        other: Prompt | None = None,
        summary: str = "away",
        weighting: str = "plain",
        compare: str = "this",
        text: str = "prompt",
    ) -> None:
        self._chosen = {"summary": summary, "weighting": weighting, "compare": compare, "text": text}
        self._other = other
        super().__init__(model, prompt, answer, foil, directions, title="Attention: where every head looks")

    def _opening(self) -> list[str]:
        *before, last = super()._opening()
        given = {**({} if self._other is None else {"other": self._other}), **self._chosen}
        more = "".join(f", {name}={value!r}" for name, value in given.items() if _DEFAULTS.get(name) != value)
        return [*before, f"{last.removesuffix(')')}{more})"]

    def _equip(self) -> tuple[Instrument, ...]:
        if self._other is not None:
            there, here = self.model.ids(self._other).shape[1], len(self.base.ids)
            if there != here:
                raise ValueError(
                    f"other has {there} tokens and the prompt {here}: attention is compared token by token, so give "
                    "two prompts of one length"
                )
        return (Attention(self, **self._chosen),)

    @property
    def other(self) -> Prompt | None:
        """The prompt that was given to compare with."""
        return self._other


def _busiest(away: np.ndarray) -> tuple[int, int]:
    """The head that looks around most; the first where none has a number."""
    row, col = np.unravel_index(int(np.argmax(np.nan_to_num(away))), away.shape)
    return int(row), int(col)
