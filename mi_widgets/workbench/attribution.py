"""AttributionView: which parts of a model carry the answer. Exact, and live."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from threading import Event
from typing import Any

import numpy as np

from ..direction import Direction
from ..grid import Grid
from ..intervention import Recipe
from ..locate import gradient, refine
from ..locate.pairs import first_solved
from ..locate.places import Unaligned
from ..model import Model, Stopped
from ..progress import Tick
from ..site import Site
from ..task import Pair, Task
from ..view import AttributionMap, Choice, Panel
from .ends import Ends
from .instrument import Instrument
from .live import Live
from .ranking import EXACT, Page, pages
from .straight import METHODS as STRAIGHT_METHODS
from .straight import OBJECTS as STRAIGHT
from .straight import straight
from .together import cells_of, together

#: What can be chosen -> what the page calls it, and the maps that show it.
OBJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "overview": ("heads and residual stream", ("heads", "residual")),
    "heads": ("heads", ("heads",)),
    "head_positions": ("heads × positions", ("head_positions",)),
    "residual": ("residual stream", ("residual",)),
    "tokens": ("tokens", ("tokens",)),
    "neurons": ("neurons, by rank", ("neurons",)),
    "ffn": ("FFN outputs", ("ffn",)),
    "q": ("queries", ("q",)),
    "k": ("keys", ("k",)),
    "v": ("values", ("v",)),
}
METHODS = (("denoise", "denoise"), ("noise", "noise"), ("zero", "zero"), ("mean", "mean"))
EFFECTS = (("total", "total"), ("direct", "direct"), ("both", "both"))
RANGES = (("auto", "auto"), ("fixed", "fixed"))
METHOD_HELP = {
    "denoise": "In the run of the corrupted prompt, one part is taken from the clean run: does the answer return?",
    "noise": "In the run of the clean prompt, one part is taken from the corrupted run: is the answer lost?",
    "zero": "In the run of the clean prompt, one part is set to zero.",
    "mean": "In the run of the clean prompt, one part is set to its mean over the prompts of the task.",
}
EFFECT_HELP = {
    "total": "All that a part does: straight into the output, and through every later layer.",
    "direct": "What a part writes straight into the output, without what later layers make of it.",
    "both": "The total effect and the direct part beside each other, in the same colours.",
}
RANGE_HELP = {
    "auto": "The strongest colour is the largest number of this map.",
    "fixed": "A colour means the same number for every pair, method and page.",
}
MEAN = "mean"
_DIRECT = "-direct"  # after the name of the panel that is beside the total effect
_LONGEST = 24  # letters of the words that a pair is known by


@dataclass(frozen=True)
class _Asked:
    """What was chosen when some maps began."""

    objects: str
    pair: str
    effect: str
    method: str
    page: int
    task: Task


class Attribution(Instrument):
    """Causal maps of a task: estimates first where they are fair, then exact numbers, the last layers first.

    task: all of whose items are averaged, or one of which is shown.
    first: the pair whose prompt is shown for the mean; by default the task's first.
    objects, pair, effect, method, range, page: what is chosen at the beginning; see `AttributionView`.
    """

    name = "attribution"

    def __init__(
        self,
        view: Live,
        task: Task,
        first: Pair | None = None,
        *,
        objects: str = "overview",
        pair: str | int = MEAN,
        effect: str = "total",
        method: str = "denoise",
        range: str = "auto",
        page: str | int = 1,
    ) -> None:
        super().__init__(view)
        self.task, self.first = task, first or task.items[0]
        self.objects, self.pair, self.effect, self.method = objects, str(pair), effect, method
        self.range, self.page = range, str(page)
        for choice in self._every():
            choice.checked(choice.value)
        self._unplaced = ""
        self._ends = Ends()
        self._whole: dict[tuple[Any, ...], Grid] = {}  # maps that are done, of these weights
        self._weights = ""

    @property
    def asked(self) -> Pair:
        """The pair whose prompt is shown."""
        return self.first if self.pair == MEAN else self.task.items[int(self.pair) - 1]

    # -- choices ----------------------------------------------------------------------------------------------------

    def choices(self) -> tuple[Choice, ...]:
        """What there is a choice of, as things are."""
        hidden = {
            "pair": len(self.task) == 1,
            "effect": not self._has_direct,
            "page": self.objects != "neurons",
        }
        return tuple(choice for choice in self._every() if not hidden.get(choice.name))

    def _every(self) -> tuple[Choice, ...]:
        neurons = self._neurons()
        kinds = tuple((name, label) for name, (label, _) in OBJECTS.items() if name != "neurons" or neurons)
        return (
            Choice("objects", "Show", self.objects, kinds),
            Choice("pair", "Pair", self.pair, self._pairs(), ordered=True),
            Choice("effect", "Effect", self.effect, EFFECTS, EFFECT_HELP),
            Choice("method", "Method", self.method, METHODS, METHOD_HELP),
            Choice("page", "Ranks", self.page, pages(neurons), ordered=True),
            Choice("range", "Colours", self.range, RANGES, RANGE_HELP),
        )

    def _pairs(self) -> tuple[tuple[str, str], ...]:
        numbered = tuple((str(i), f"{i}: {name_of(pair)}") for i, pair in enumerate(self.task.items, start=1))
        return ((MEAN, f"mean of {len(self.task)} pairs"), *numbered)

    def _neurons(self) -> int:
        """How many there are; none in a mixture of experts, whose blocks have no one set of them."""
        model = self.view.model
        return 0 if model.has_experts else model.n_layers * (model.count(Site("neuron", 0, 0)) or 0)

    @property
    def _has_direct(self) -> bool:
        """Whether there is a direct part of what is shown."""
        shown = OBJECTS[self.objects][1]
        parts = any(name in STRAIGHT for name in shown) and self.method in STRAIGHT_METHODS
        return parts and self.task.metric == "logit_diff"

    def choose(self, name: str, value: str) -> None:
        """Take an answer: another pair is another question to the model, other colours are only drawn."""
        if name == "pair":
            self._turn_to(value)
            return
        setattr(self, name, value)
        if name == "range":
            self._ends.fix() if value == "fixed" else self._ends.free()
            self.view.arrange()
            return
        if name != "page":
            self.page = "1"
        self.draw()

    def _turn_to(self, pair: str) -> None:
        """Show another pair; where its prompt cannot be shown, what was there stays."""
        before, shown = self.pair, self.asked
        self.pair, self.page = pair, "1"
        if self.asked == shown:
            self.draw()
            return

        def settle(asked: Future[Any]) -> None:
            if (asked.cancelled() or asked.exception()) and self.pair == pair:
                self.pair = before
                self.view.offer_choices()

        self.view.ask(self.asked.clean, self.asked.answer, self.asked.foil).add_done_callback(settle)

    # -- maps -------------------------------------------------------------------------------------------------------

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        """The maps that are chosen, one after the other."""
        asked = _Asked(self.objects, self.pair, self._effect, self.method, int(self.page), self._task())
        self._forget_others()
        self._unplaced = ""
        begun = False
        with suppress(Stopped):
            for name, grid in self._of(asked, halt):
                if not begun:
                    self._ends.begin()
                begun = True
                yield name, grid

    @property
    def _effect(self) -> str:
        return self.effect if self._has_direct else "total"

    def _task(self) -> Task:
        """The pairs that count: all, or one."""
        items = self.task.items if self.pair == MEAN else (self.asked,)
        return replace(self.task, items=items)

    def _forget_others(self) -> None:
        """Maps of other weights are none of this model."""
        weights = self.view.model.do(lambda: self.view.model.weights)
        if weights != self._weights:
            self._whole.clear()
        self._weights = weights

    def _of(self, asked: _Asked, halt: Event) -> Iterator[tuple[str, Grid]]:
        """Every panel's steps. The direct part comes as soon as the total effect has begun."""
        if asked.objects == "neurons":
            yield from (("neurons", grid) for grid in self._ranked(asked, halt))
            return
        if asked.effect == "direct":
            for name in ("heads", "ffn") if asked.objects == "overview" else (asked.objects,):
                yield name + _DIRECT, self._straight(asked, name, halt)
            return
        names = OBJECTS[asked.objects][1]
        for name in names:
            try:
                for number, grid in enumerate(self._total(asked, name, halt)):
                    yield name, grid
                    if number == 0 and asked.effect == "both" and name in STRAIGHT:
                        yield name + _DIRECT, self._straight(asked, name, halt)
            except Unaligned as problem:
                if len(names) == 1:
                    raise
                self._unplaced = f"No map over positions: {problem}"
                self.view.arrange()  # a legend says so

    def _total(self, asked: _Asked, name: str, halt: Event) -> Iterator[Grid]:
        key = (name, asked.pair, asked.method)
        if key in self._whole:
            yield self._whole[key]
            return
        tick = self.tick(f"{OBJECTS[name][0]} map")
        objects = "embedding" if name == "tokens" else name
        for grid in refine(self.view.model, asked.task, objects, asked.method, split="all", progress=tick, stop=halt):
            yield grid
            if _is_whole(grid):
                self._keep(key, grid)

    def _straight(self, asked: _Asked, name: str, halt: Event) -> Grid:
        def make(tick: Tick) -> Grid:
            return straight(self.view.model, asked.task, name, asked.method, tick)

        return self._once((name + _DIRECT, asked.pair, asked.method), make, "direct part", halt)

    def _ranked(self, asked: _Asked, halt: Event) -> Iterator[Grid]:
        """A page of neurons: ranked by an estimate of all, or by their direct part; those on it are made exact."""
        model, method, columns = self.view.model, asked.method, dict[str, Grid | None]()

        def guess(tick: Tick) -> Grid:
            return gradient(model, asked.task, "neurons", "atp", base=method, split="all", progress=tick)

        if asked.effect != "direct":
            columns["estimate"] = self._once(("neurons guessed", asked.pair, method), guess, "estimate", halt)
            columns[EXACT] = None
        if asked.effect != "total":
            columns["direct"] = self._straight(asked, "neurons", halt)
        by = columns["direct" if asked.effect == "direct" else "estimate"]
        assert by is not None
        page = Page(by, asked.page)
        key = ("neurons", asked.pair, method, page.sites)
        if EXACT in columns:
            columns[EXACT] = self._whole.get(key)
        yield page.table(columns)
        if columns.get(EXACT, by) is not None:
            return
        refined = refine(model, asked.task, "neurons", method, split="all", progress=self.tick("neurons of this page"),
                         stop=halt, sites=page.sites)  # fmt: skip
        for exact in refined:
            yield page.table({**columns, EXACT: exact})
            if exact.values.count() == len(page.sites) and exact.estimated is None:
                self._keep(key, exact)

    def _once(self, key: tuple[Any, ...], make: Callable[[Tick], Grid], label: str, halt: Event) -> Grid:
        """A map that comes all at once, made only the first time."""
        if key not in self._whole:
            tell = self.tick(label)

            def tick(done: int, total: int) -> None:
                if halt.is_set():
                    raise Stopped("stopped")
                tell(done, total)

            self._keep(key, made := make(tick))
            return made
        return self._whole[key]

    def _keep(self, key: tuple[Any, ...], grid: Grid) -> None:
        """Remember a map that is done, if it is still one of this model."""
        if grid.provenance["weights"] == self._weights:
            self._whole[key] = grid

    # -- how they are drawn -----------------------------------------------------------------------------------------

    def panel(self, name: str, grid: Grid) -> Panel:
        """A map with its total and its direct part in one range of colours, and what its legend has to say."""
        made = super().panel(name, grid)
        kin = {other: there for other, there in self.grids.items() if _kind(other) == _kind(name)}
        most = max(_most(super(Attribution, self).panel(other, there)) for other, there in kin.items())
        fixed = self.range == "fixed"
        end = self._ends.of(_kind(name), most, all(map(_is_whole, kin.values())), fixed) or 1.0
        notes = [*self._about(name, grid, len(kin)), _colours(made, end, fixed, len(kin))]
        return replace(made, range=(-end, end), notes=notes)

    def _about(self, name: str, grid: Grid, kin: int) -> Iterator[str]:
        """What a map is, where its own words do not say it."""
        if not name.endswith(_DIRECT) and kin > 1:
            yield "Total effect: straight into the logits and through all later layers."
        if name.endswith(_DIRECT) and kin > 1:
            yield "Direct part: what is missing from it to the total effect goes through later layers."
        if name == "tokens" and self.method in ("denoise", "noise"):
            yield "A token that both prompts share has no effect: there is nothing to put in its place."
        if not name.endswith(_DIRECT) and name != "neurons":
            yield _exactness(grid)
        if name == "neurons" and EXACT in grid.axes[1].labels:
            column = grid.axes[1].labels.index(EXACT)
            done = grid.values[:, column].count() - (0 if grid.estimated is None else grid.estimated.sum())
            yield f"Exact: {done} of the {len(grid.axes[0])} neurons of this page; the others are estimated only."
        if self._unplaced and name == "heads":
            yield self._unplaced

    # -- runs -------------------------------------------------------------------------------------------------------

    def notes(self, recipe: Recipe) -> list[str]:
        """Why there is no map over positions, where there is none."""
        return [self._unplaced] if self._unplaced else []

    def beside(self, recipe: Recipe) -> dict[str, Any]:
        """What the edited cells do in the map's own terms, all at once; nothing for an edit of something else."""
        cells = cells_of(recipe)
        if not cells:
            return {}
        length, tick = len(self.view.base.ids), self.tick("picked together")
        try:
            return {"joint": together(self.view.model, self._task(), self.method, cells, length, tick)}
        except (ValueError, KeyError) as problem:
            return {"joint": {"why": str(problem.args[0])}}


def _kind(name: str) -> str:
    """Total effect and direct part are maps of one kind."""
    return name.removesuffix(_DIRECT)


def _is_whole(grid: Grid) -> bool:
    """Whether every number is there, and exact."""
    return grid.values.count() == grid.values.size and grid.estimated is None


def _most(panel: Panel) -> float:
    """The largest number that takes part in the colours; 0 where there is none yet."""
    kept = np.delete(panel.values, list(panel.excluded), axis=1)
    return float(np.nanmax(np.abs(kept), initial=0.0))


def _exactness(grid: Grid) -> str:
    estimated = 0 if grid.estimated is None else int(grid.estimated.sum())
    known, size = int(grid.values.count()), grid.values.size
    parts = [f"Exact: {known - estimated:,} of {size:,}"]
    parts += [f"{estimated:,} estimated"] if estimated else []
    parts += [f"{size - known:,} not computed yet"] if known < size else []
    return ", ".join(parts) + "."


def _colours(panel: Panel, end: float, fixed: bool, kin: int) -> str:
    """What the colours go to."""
    if not fixed:
        return f"Colours go to the largest number of {'both maps' if kin > 1 else 'this map'}."
    beyond = int((np.abs(np.delete(panel.values, list(panel.excluded), axis=1)) > end).sum())
    more = f"; {beyond:,} {'number lies' if beyond == 1 else 'numbers lie'} beyond" if beyond else ""
    return f"Colours are fixed for every pair, method and page{more}."


def name_of(pair: Pair) -> str:
    """A pair in few words: its answer and foil, and the words in which its prompts differ."""
    a, b = pair.clean.split(), pair.corrupt.split()
    changes = [codes for codes in SequenceMatcher(a=a, b=b, autojunk=False).get_opcodes() if codes[0] != "equal"]
    clean = " ".join(word for _, i, j, _, _ in changes for word in a[i:j])
    corrupt = " ".join(word for _, _, _, k, m in changes for word in b[k:m])
    return f"{_first(pair.answer)} / {_first(pair.foil)} ({_cut(clean)} → {_cut(corrupt)})"


def _first(texts: str | tuple[str, ...]) -> str:
    return _cut(texts.strip()) if isinstance(texts, str) else _cut(texts[0].strip()) + (", …" if len(texts) > 1 else "")


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"


def some(task: Task | Pair | Sequence[Pair], pairs: int) -> Task:
    """The first `pairs` items of a task's `fit` split, or of all its items where it has no splits."""
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, not {pairs}")
    whole = Task.of(task)
    items = (whole.fit if whole.has_splits else whole.items)[:pairs]
    return Task(items, metric=whole.metric, name=whole.name, seed=whole.seed)


def shown(model: Any, task: Task) -> Pair:
    """The pair whose prompt stands for a task: the first that counts in its maps."""
    if len(task) == 1:
        return task.items[0]
    model = Model.of(model)
    return model.do(lambda: first_solved(model, task))


def task_lines(task: Task) -> list[str]:
    """Python that makes this Task again; its items in one group, so that they are not split once more."""
    whole = [replace(pair, group="shown") for pair in task.items] if task.has_splits else task.items
    items = ", ".join(f"mi.{pair!r}" for pair in whole)
    metric = f", metric={task.metric!r}" if isinstance(task.metric, str) else ""
    return [f"task = mi.Task([{items}]{metric})"]


class AttributionView(Live, AttributionMap):
    """Maps of what carries the answer; pick cells and run the clean prompt without them.

    task: a Pair, a list of Pairs, or a Task, of whose `fit` split the first `pairs` pairs are averaged.
    objects: overview (layer × head and layer × position of the residual stream), heads, head_positions, residual,
        tokens (embeddings), neurons (all estimated and ranked, those on the page exact), ffn, q, k or v.
    pair: "mean", or the number of a pair, from 1, whose own tokens are then the positions and whose prompt is run. The
        mean runs the first pair's that the model solves.
    effect: total, direct (what goes straight into the logits; heads, FFNs and neurons) or both, in one colour range.
    method: denoise, noise, zero or mean; see `mi.locate.causal`.
    range: "auto", every map's colours go to its own largest number; or "fixed", they stay for the next pair or method.
    page: which ranks of the neurons are listed, from 1.
    directions: as in AttentionView.

    All of these but `pairs` and `directions` can be chosen on the page as well, or with `view.choose(name, value)`. The
    maps fill while you look, estimates first where they are fair, then exact numbers, the last layers first; every
    legend says how many are exact. Positions of several pairs are roles (where they have spans), or counted, from the
    start or the end; where they cannot be lined up there is no map over positions, and the heads' legend says so.
    """

    def __init__(
        self,
        model: Any,
        task: Task | Pair | Sequence[Pair],
        *,
        pairs: int = 4,
        objects: str = "overview",
        pair: str | int = MEAN,
        effect: str = "total",
        method: str = "denoise",
        range: str = "auto",
        page: str | int = 1,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        self._task = some(task, pairs)
        self._first = shown(model, self._task)
        self._chosen = {"objects": objects, "pair": str(pair), "effect": effect, "method": method, "range": range,
                        "page": str(page)}  # fmt: skip
        asked = _asked_first(self._task, self._first, str(pair))
        title = "Attribution: what carries the answer"
        super().__init__(model, asked.clean, asked.answer, asked.foil, directions, title=title)

    def _opening(self) -> list[str]:
        more = "".join(f", {name}={value!r}" for name, value in self._chosen.items() if value != _USUAL[name])
        lines, directed = self._directed()
        made = f"view = mi.AttributionView(model, task, pairs={len(self._task.items)}{more}{directed})"
        return [*self._loading(), *task_lines(self._task), *lines, made]

    def _equip(self) -> tuple[Instrument, ...]:
        return (Attribution(self, self._task, self._first, **self._chosen),)


_USUAL = {"objects": "overview", "pair": MEAN, "effect": "total", "method": "denoise", "range": "auto", "page": "1"}


def _asked_first(task: Task, first: Pair, pair: str) -> Pair:
    """The pair that a view begins with; an impossible number is refused by the instrument's own choices."""
    return task.items[int(pair) - 1] if pair.isdecimal() and 0 < int(pair) <= len(task) else first
