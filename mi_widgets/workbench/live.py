"""Live: the inline loop. A view, a Model and a job, wired together.

A person picks cells and drafts an act; `run` turns them into a Recipe, runs the model on its worker and publishes the
result in the order in which it comes: the numbers before and after, the single cells and the control band, and then the
generated text. Every step is also a method or property, so that what a click does can be written.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
import traitlets as t

from ..direction import Direction
from ..grid import Grid
from ..improve.controls import controls, describe
from ..intervention import Recipe
from ..model import Closed, Job, Model, Read, Stopped, hook_name
from ..model.checkpoint import NAME as DEFAULT
from ..model.tokens import Prompt
from ..run import COLLAPSED, Run, Texts, evenness, generate, metric_name, reader, run
from ..selection import Selection
from ..site import Site
from ..steer.sweep import perplexity
from ..view import act as acts
from ..view import mapping
from ..view.brake import brake
from ..view.loop import Loop
from .directions import cheerful
from .draft import drafted
from .instrument import Instrument
from .journal import Journal, source_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

_NEW_TOKENS = 16
_DRAWS = 20
_RUN_AGAIN = "The model is as it was before. Change the draft and run again."
ASK_AGAIN = "Change the question and read it again."
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


class Live(Loop):
    """A Loop with a model behind it, whose panels its instruments draw.

    model, prompt: what is run. answer, foil: what the metric tells apart; without them, the model's own first and
    second choice. directions: {name: Direction} for the "add" act; by default the package's cheerful direction.
    """

    instruments: tuple[Instrument, ...] = ()

    _job: Job | None = None
    _settled: threading.Event
    """Set when the page has been told how `_job` ended."""
    arranges = False
    """Whether panels are changing under the picks, which are not a person's for a moment."""
    most_tokens = 2048
    """A longer prompt is refused before the model runs: what the page would get passes 8 MB."""

    def __init__(
        self,
        model: Any,
        prompt: Prompt,
        answer: Texts | None = None,
        foil: Texts | None = None,
        directions: Mapping[str, Direction] | None = None,
        **traits: Any,
    ) -> None:
        self._model = Model.of(model)
        self._text = prompt
        self._grids: list[Grid] = []
        self._arranging = threading.RLock()
        self._publishing = threading.RLock()
        self._unseen: list[Site] = []  # picked, and not on screen at the moment
        self._recipes: dict[int, Recipe] = {}  # what was put into the tray, by id
        self._plain: tuple[str, float] = ("", math.nan)  # perplexity of neutral text without an edit, of these weights
        self._answered: Job | None = None  # the one whose numbers are shown
        self._refuse_length(prompt)
        self.base: Run = run(self._model, prompt)
        self._source = self._model.provenance
        self._own_metric = answer is None
        self._read = _told_apart(self.base, answer, foil)
        self._directions = dict(directions or {})
        self._given_directions = None if directions is None else tuple(directions)
        super().__init__(
            prompt=_plain(prompt),
            tokens=self.base.tokens,
            runnable=True,
            provenance=self._print(),
            **traits,
        )
        for request, do in (
            ("run", self._start),
            ("stop", self.stop),
            ("code", self._show_code),
            ("choose", self.choose),
            ("keep", self.keep),
        ):
            self.on(request, do)
        brake().hold(self)
        self._offer(self._directions)
        self.session = Journal([*self._opening(), "view.wait()"])
        self.instruments = self._equip()
        self._draw()
        self._offering: threading.Thread | None = None
        if directions is None:
            self._offering = threading.Thread(target=self._offer_cheerful, name="mi-cheerful", daemon=True)
            self._offering.start()

    def _refuse_length(self, prompt: Prompt) -> None:
        """Refuse a prompt that this view cannot show, before the model runs it."""
        ids = self._model.ids(prompt)
        n = ids.shape[1]
        if n == len(self._model.bos_positions(ids)):
            raise ValueError("the prompt has no tokens besides BOS, so there is nothing to look at; give it some words")
        if n > self.most_tokens:
            raise ValueError(f"the prompt has {n} tokens, {type(self).__name__} shows at most {self.most_tokens}")

    def _opening(self) -> list[str]:
        """The lines that make this view again."""
        more = "".join(f", {name}={value!r}" for name, value in self._keywords().items())
        lines, directed = self._directed()
        return [*self._loading(), *lines, f"view = mi.{type(self).__name__}(model, {self._given()!r}{more}{directed})"]

    def _keywords(self) -> dict[str, Any]:
        """What the view was made with besides model, prompt and directions."""
        return {} if self._own_metric else {"answer": self._read[0], "foil": self._read[1]}

    def _directed(self) -> tuple[list[str], str]:
        """What the opening says of directions that were given: a line to be filled in, and the argument."""
        if self._given_directions is None:
            return [], ""
        names = ", ".join(map(repr, self._given_directions))
        return (
            [f"directions = {{}}  # put {names} here again"] if names else ["directions = {}"]
        ), ", directions=directions"

    def _loading(self) -> list[str]:
        name = "" if self._source["model"] == DEFAULT else repr(str(self._source["source"]))
        return ["import mi_widgets as mi", f"model = mi.load({name})"]

    def _given(self) -> Any:
        """The prompt as plain data."""
        return self.base.ids.tolist() if isinstance(self._text, torch.Tensor) else self._text

    def _equip(self) -> tuple[Instrument, ...]:
        """The instruments; what a subclass is for."""
        return ()

    def _draw(self) -> None:
        """Let every instrument draw; first of all, and when the weights have changed."""
        for instrument in self.instruments:
            instrument.draw()
        self.offer_choices()

    # -- what the instruments draw ----------------------------------------------------------------------------------

    @property
    def text(self) -> Prompt:
        """The prompt as it was given: a text, chat messages or ids."""
        return self._text

    @property
    def other(self) -> Prompt | None:
        """Another prompt that maps of this one can be compared with; what a subclass is for."""
        return None

    @property
    def read(self) -> tuple[Texts, Texts]:
        """What the metric tells apart: answer and foil."""
        return self._read

    def ask(self, prompt: Prompt, answer: Texts | None = None, foil: Texts | None = None) -> Future[Any]:
        """Ask another question: show this prompt, tell these two apart, and draw every map again.

        Without answer and foil, the model's first choice against its second. Returns at once, and `wait` waits for it.
        A run that is under way is given up, and the last result goes with the old question. Picked cells stay picked
        where their sites are on screen again. The Future says how it went.
        """
        return self._submit(lambda: self._turn_to(prompt, answer, foil), ASK_AGAIN).future

    def _turn_to(self, prompt: Prompt, answer: Texts | None, foil: Texts | None) -> None:
        """On the worker: another base run, with all that belongs to it."""
        self._refuse_length(prompt)
        base = run(self._model, prompt)
        read = _told_apart(base, answer, foil)  # refused before anything changes
        self.base, self._text, self._read, self._own_metric = base, prompt, read, answer is None
        for instrument in self.instruments:
            instrument.grids = {}
        with self.hold_sync():
            self.arrange()
            self.prompt, self.tokens, self.result, self.code = _plain(prompt), base.tokens, {}, ""
            self.provenance = self._print()
        self._draw()

    def choose(self, name: str, value: str) -> None:
        """Answer one of the view's choices, as a click on it does: `view.choose("value", "rank")`.

        `view.choices` lists them with their options. Raises ValueError for a name or an answer that is none.
        """
        for instrument in self.instruments:
            for choice in instrument.choices():
                if choice.name == name:
                    answer = choice.checked(value)
                    if self.status == "error":  # what could not be is not asked for any more
                        self.error, self.status, self._job = {}, "idle", None
                    instrument.choose(name, answer)
                    self.offer_choices()
                    self._write([f"view.choose({name!r}, {value!r})", "view.wait()"])
                    return
        known = ", ".join(choice["name"] for choice in self.choices)
        raise ValueError(f"there is no choice {name!r} here; " + (f"there is {known}" if known else "there are none"))

    def offer_choices(self) -> None:
        """Put on screen what can be chosen now."""
        self.choices = [choice.wire() for instrument in self.instruments for choice in instrument.offers]

    def arrange(self) -> None:
        """Put on screen what the instruments have; picked cells stay picked where their sites are still shown."""
        with self._arranging, self._silently(), self.hold_sync():
            self.arranges = True
            grids = [grid for instrument in self.instruments for grid in instrument.grids.values()]
            moved = list(map(_cells, grids)) != list(map(_cells, self._grids))
            wanted = self._places() if moved else ()
            self._grids = grids
            self.panels = [panel for instrument in self.instruments for panel in instrument.panels]
            if moved:
                self.picks = [pick for site in wanted if (pick := self._find(site))]
                self._unseen = [site for site in wanted if not self._find(site)]
            self.arranges = False

    @t.observe("picks")
    def _forget_unseen(self, _: t.Bunch) -> None:
        """Picks that a person changes are all that is picked."""
        if not self._quiet:
            self._unseen = []

    def _places(self) -> tuple[Site, ...]:
        return (*self._sites(), *self._unseen)

    def _return_to(self, places: Sequence[Site]) -> None:
        self.picks = [pick for site in places if (pick := self._find(site))]
        self._unseen = [site for site in places if not self._find(site)]

    def begin_maps(self) -> None:
        """Maps are on their way."""
        self.progress = {"done": 0, "total": 0, "eta": 0, "label": "maps"}

    def end_maps(self, instrument: Instrument, how: str) -> None:
        """An instrument has ended its maps: "" they are all there, "stopped" or "closed"."""
        others = [each for each in self.instruments if each is not instrument and each.draws]
        if how == "closed" or not (self._runs or others):
            self._rest(how or self.status)

    def draw_again(self) -> None:
        """The weights were edited while the maps filled: begin again, and drop the result of the old ones."""
        self.base = run(self._model, self._text)
        if self._redraw():
            self.result, self.provenance = {}, self._print()

    def _extent(self) -> str:
        waits = self.instruments and not self.panels
        return "the maps are not there yet; view.wait() waits for them" if waits else super()._extent()

    # -- what is picked and drafted, from Python --------------------------------------------------------------------

    @property
    def model(self) -> Model:
        """The model behind the view."""
        return self._model

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The numbers on screen, one Grid for each panel."""
        return tuple(self._grids)

    def figure(self, panel: int = 0) -> go.Figure:
        """A plotly figure of one of `grids`, for papers and for where there is no page."""
        if not 0 <= panel < len(self._grids):
            raise IndexError(f"there is no panel {panel}: {self._extent()}")
        return self._grids[panel].figure()

    @property
    def selection(self) -> Selection:
        """The picked cells as Sites; assign a Selection, or any Sites that are on screen, to pick them."""
        places = self._sites()
        prompt = self._text if isinstance(self._text, str) else self.base.ids.tolist()
        provenance = {**self._source, "prompt": prompt, "answer": self._read[0], "foil": self._read[1]}
        return Selection(tuple(places), provenance)

    @selection.setter
    def selection(self, sites: Selection | Sequence[Site] | Site) -> None:
        self.picks = [self._pick(site) for site in ([sites] if isinstance(sites, Site) else sites)]
        self._unseen = []

    def shows(self, site: Site) -> bool:
        """Whether this site is a cell on screen."""
        return self._find(site) is not None

    def _sites(self) -> list[Site]:
        return [self._grids[p].site(mapping.index(self._grids[p], row, col)) for p, row, col in self.picks]

    def _pick(self, site: Site) -> tuple[int, int, int]:
        if (pick := self._find(site)) is None:
            raise KeyError(f"{site} is not on screen here")
        return pick

    def _find(self, site: Site) -> tuple[int, int, int] | None:
        """The first cell on screen that is this site."""
        for number, grid in enumerate(self._grids):
            if grid.kind:
                with contextlib.suppress(KeyError):
                    return (number, *mapping.cell(grid, grid.index(site)))
        return None

    @property
    def recipe(self) -> Recipe:
        """What Run would do: what is in the tray, at its strengths, then the drafted act on the picked cells."""
        kept = [self._recipes[entry["id"]].at(entry["strength"]) for entry in self.tray]
        if kept and not self.picks and self.act["verb"] not in acts.PLACELESS:
            return sum(kept[1:], kept[0])
        return sum(kept, Recipe()) + self._drafted()

    def keep(self) -> int:
        """Put the draft into the tray: it stays in force, at a strength of its own, while other cells are picked.

        Returns its id there: `view.tray = [{"id": view.keep(), "strength": 0.5}]` keeps it alone, at half its strength.
        """
        drafted, id_ = self._drafted(), len(self._recipes)
        self._recipes[id_], self._kept[id_] = drafted, brief(drafted)
        self._write([*self._draft_lines(), "view.keep()"])
        with self.hold_sync():
            self.tray = [*self.tray, {"id": id_, "strength": 1.0}]
            with self._silently():
                self.picks = []
                if self.act["verb"] in acts.PLACELESS:
                    self.act = acts.DEFAULT
            if self._history is not None:
                self._history.amend(self._state())
            self._recognise()
        return id_

    def _restore(self, state: Any) -> None:
        with self.hold_sync():
            super()._restore(state)
            if self.act["verb"] != "reading":  # that would ask the model, which may be busy
                self._recognise()

    def _recognise(self) -> None:
        """Let the result answer the draft as it is now, if that is the recipe that was run."""
        with contextlib.suppress(ValueError, KeyError):  # a draft that cannot be run is another one
            drafted = self.recipe.hash
            with self._publishing:
                if self.result and self.provenance["recipe"] == drafted:
                    self.result = {**self.result, **self._draft()}

    def _drafted(self) -> Recipe:
        """The act on the picked cells, without the tray."""
        if self.act["verb"] == "reading":
            return self._reading()
        return drafted(self.act, self.selection, self._directions, self._model, len(self.base.ids))

    def _reading(self) -> Recipe:
        """What the picked cells of a lens read, edited as the act says."""
        cells = [(self.panels[p], site) for (p, _, _), site in zip(self.picks, self._sites(), strict=True)]
        strangers = [site for panel, site in cells if panel.top is None]
        if strangers or not cells:
            raise ValueError(f"pick cells of a lens: {f'{strangers[0]} reads no token' if cells else 'none is picked'}")
        (lens,) = (each for each in self.instruments if each.name == cells[0][0].instrument)
        return lens.edit(self.act, [(panel.name, site) for panel, site in cells])

    def run(self) -> dict[str, Any]:
        """Run the draft and wait: the result that the view shows. Raises what a click would show as a card.

        A run that is stopped returns what it has shown, and raises `Stopped` if that is nothing.
        """
        job = self._start()
        self._finish()
        if self._answered is not job:
            raise Stopped("the run was stopped, or replaced by a newer one, before it had a number to show")
        return self.result

    def stop(self) -> None:
        """Stop the run; without one, the maps. What is done, and was already shown, stays."""
        if self._runs and self._job is not None:
            self._job.stop()
        else:
            for instrument in self.instruments:
                instrument.stop()

    @property
    def _runs(self) -> bool:
        """Whether a run is on its way."""
        return self._job is not None and not self._job.future.done()

    def wait(self) -> None:
        """Wait until maps and runs have ended, and all that it offers is there; raises a failed job's error."""
        self._finish()
        for instrument in self.instruments:
            instrument.wait()
        if self._offering is not None:
            self._offering.join()
        self._finish()

    def _finish(self) -> None:
        """Wait for the run, and until the page has been told how it ended; a stopped one has finished."""
        if (job := self._job) is None:
            return
        with contextlib.suppress(Stopped, CancelledError):
            try:
                job.future.result()
            except KeyboardInterrupt:
                self.stop()
                raise
            except BaseException:
                self._settled.wait()
                raise
        self._settled.wait()

    def close(self) -> None:
        """End what runs for this view, and take it off the page."""
        for instrument in self.instruments:
            instrument.stop()
        if self._job is not None:
            self._job.stop()
        super().close()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _start(self) -> Job:
        if self._job is not None:
            self._job.stop()  # a newer run replaces it, and must not wait for it when its recipe asks the model
        recipe, request = self.recipe, self._draft()
        lines = [*self._draft_lines(), "view.run()"]
        return self._submit(lambda: self._answer(recipe, request, lines))

    def _draft_lines(self) -> list[str]:
        """The lines that draft what is drafted now."""
        strengths = [{"id": entry["id"], "strength": entry["strength"]} for entry in self.tray]
        tray = [f"view.tray = {strengths}"] if self._recipes else []
        act = f"view.act = {self.act}"
        if self.act["verb"] == "reading":  # what a cell reads is known once it is there, and on its own side
            return [*tray, "view.wait()", f"view.picks = {self.picks}", act]
        return [*tray, f"view.selection = {source_of(self._sites())}", act]

    def _write(self, lines: Sequence[str], what: str = "", **outcome: Any) -> int:
        """Into the journal, and onto the page; returns the entry's number."""
        number = self.session.add(lines, what, **outcome)
        self.journal = self.session.wire()
        return number

    def _draft(self) -> dict[str, Any]:
        """What is asked for, as a result repeats it: of a kept edit, what it is at its strength."""
        tray = [{**entry, "label": brief(self._recipes[entry["id"]].at(entry["strength"]))} for entry in self.tray]
        return {"picks": [list(pick) for pick in self.picks], "act": dict(self.act), "tray": tray}

    def _submit(self, work: Callable[[], None], fix: str = _RUN_AGAIN) -> Job:
        """Queue work of this view; it replaces what the view was doing. fix: what to do where it fails."""
        with self.hold_sync():
            self.error, self.progress, self.status = {}, {}, "waiting"
        self._job = None  # the job that this one stops has nothing to say any more
        self._settled = settled = threading.Event()
        try:
            self._job = job = self._model.submit(lambda: self._do(work), owner=self)
        except Closed:
            self.status = "closed"
            raise
        job.future.add_done_callback(lambda future: self._settle(job, fix, settled))
        return job

    def _do(self, work: Callable[[], None]) -> None:
        self.status = "running"
        work()

    def _settle(self, job: Job, fix: str, settled: threading.Event) -> None:
        """Say how a job ended, unless a newer one has begun."""
        try:
            if job is self._job:
                self._say_how(job, fix)
        finally:
            settled.set()

    def _say_how(self, job: Job, fix: str) -> None:
        failure = None if job.future.cancelled() else job.future.exception()
        if self._model.worker.closed:
            self._rest("closed")
        elif failure is not None and not isinstance(failure, Stopped):
            self.fail(failure, fix=fix)
        else:
            self._rest("stopped" if job.stopped else "idle")

    def _rest(self, status: str) -> None:
        """Nothing is on its way any more."""
        with self.hold_sync():
            self.progress, self.status = {}, status

    def _publish(self, **fields: Any) -> None:
        """Add fields to the result, if this is still what was asked for."""
        self._model.worker.check()
        with self._publishing:
            self.result = {**self.result, **fields}

    def _answer(self, recipe: Recipe, request: dict[str, Any], lines: Sequence[str] = ()) -> None:
        """On the worker: everything one run shows, numbers first. lines: what the journal says asked for it."""
        self.base, after = run(self._model, self._text), run(self._model, self._text, recipe)
        redrawn = self._redraw()
        before_metric, after_metric = (self._metric(r) for r in (self.base, after))
        _refuse_infinite([after_metric], after.warnings)
        self._model.worker.check()
        self.result = dict(
            **request,
            metric=self.metric_name,
            before=_side(self.base, before_metric),
            after=_side(after, after_metric),
            difference=after_metric - before_metric,
            singles=[],
            sum_of_singles=None,
            frozen=None,
            control=None,
            side=None,
            curve=None,
            joint=None,
            notes=[*redrawn, *self._notes(recipe)],
            warnings=list(after.warnings),
            hooks=list(dict.fromkeys(hook_name(site) for site in recipe.sites)),
        )
        self._answered = self._model.worker.job
        self.provenance = self._print(recipe)
        entry = self._note(recipe, lines)
        for instrument in self.instruments:
            instrument.after_run(recipe)
        self._freeze(recipe)
        self._compare(recipe, after_metric - before_metric, entry)
        self._respond(recipe, after_metric - before_metric, float(evenness(after.logits[-1])))
        self._spare(recipe)
        self._publish(**{name: told for each in self.instruments for name, told in each.beside(recipe).items()})
        self._tell(recipe)

    def _note(self, recipe: Recipe, lines: Sequence[str]) -> int:
        """Into the journal: what was run, and what came out; returns the entry's number."""
        shown = self.result
        sides = {side: shown[side]["metric"] for side in ("before", "after")}
        return self._write(
            lines,
            brief(recipe),
            metric=shown["metric"],
            **sides,
            difference=shown["difference"],
            recipe=recipe.hash,
        )

    def _redraw(self) -> list[str]:
        """Draw again what was drawn of other weights; says so."""
        source = self._model.provenance
        if source == self._source:
            return []
        self._source = source
        self._draw()
        return ["The weights have changed since the map was drawn: it is drawn again."]

    def _freeze(self, recipe: Recipe) -> None:
        """What the edit does when every head looks where it looked; nothing where a model has no patterns to hold."""
        with contextlib.suppress(ValueError):
            held = run(self._model, self._text, recipe, freeze_attention=True)
            frozen = self._metric(held) - self.result["before"]["metric"]
            if math.isfinite(frozen):
                self._publish(frozen=frozen)

    def _compare(self, recipe: Recipe, joint: float, entry: int) -> None:
        """Each cell alone, and the same edit on random other cells."""
        singles = [Recipe((step,)) for step in recipe.interventions] if len(recipe) > 1 else []
        rivals = controls(self._model, recipe, _DRAWS, length=len(self.base.ids))
        changes = self._changes([*singles, *rivals], "control edits")
        alone, others = changes[: len(singles)], changes[len(singles) :]
        if singles:
            labels = [str(step.site) for step in recipe.interventions]
            rows = [{"label": label, "difference": value} for label, value in zip(labels, alone, strict=True)]
            self._publish(singles=rows, sum_of_singles=sum(alone))
        if rivals:
            beats = sum(abs(joint) > abs(value) for value in others)
            self._publish(control={"label": describe(recipe, rivals), "values": others, "beats": beats})
            self.session.complete(entry, beats=beats, controls=len(others))
            self.journal = self.session.wire()
        else:
            none = "No control: there are no other places of this kind to draw from."
            self._publish(control={"label": none, "values": [], "beats": 0})

    def _changes(self, recipes: Sequence[Recipe], label: str) -> list[float]:
        """The metric's change under each recipe, batched."""
        changes = [change for change, _ in self._readings(recipes, label)]
        _refuse_infinite(changes, ("a single cell's or a control's output is not a number",))
        return changes

    def _readings(self, recipes: Sequence[Recipe], label: str) -> list[tuple[float, float]]:
        """Under each recipe, batched: the metric's change, and how even what the model says next is."""
        recording = self._model.record(self._text)
        metric = reader(self._model, "logit_diff", *self._read)
        read = Read(lambda logits: torch.stack([metric(logits), evenness(logits)], dim=-1))
        before = float(metric(recording.logits[None]))
        readings, done, began = [(0.0, 0.0)] * len(recipes), 0, time.monotonic()
        for numbers, values in self._model.sweep(recording, recipes, read):
            for number, (value, even) in zip(numbers, values.tolist(), strict=True):
                readings[number] = (value - before, even)
            done += len(numbers)
            self.report(done, len(recipes), began, label)
        return readings

    def _respond(self, recipe: Recipe, full: float, even: float) -> None:
        """The metric's change as the recipe grows from nothing to twice its strength; crossed where the model broke.

        full, even: what the run at full strength, which is known, has shown.
        """
        between = [strength for strength in _STRENGTHS if strength not in (0.0, 1.0)]
        read = self._readings([recipe.at(strength) for strength in between], "strengths")
        known = {0.0: (0.0, 0.0), 1.0: (full, even), **dict(zip(between, read, strict=True))}
        points = [known[strength] for strength in _STRENGTHS]
        broken = [not (math.isfinite(change) and even <= COLLAPSED) for change, even in points]
        changes = [change if math.isfinite(change) else None for change, _ in points]
        self._publish(curve={"strengths": list(_STRENGTHS), "differences": changes, "collapsed": broken})

    def _spare(self, recipe: Recipe) -> None:
        """What the edit does to text that it is not about: the perplexity of the package's neutral texts."""
        if any(site.position is not None for site in recipe.sites):
            self._publish(
                side={"why": "The edit names positions of this prompt, so it cannot be tried on other texts."}
            )
            return
        weights, plain = self._plain
        if weights != self._model.weights:
            plain = perplexity(self._model)
            self._plain = (self._model.weights, plain)
        try:
            after = perplexity(self._model, recipe)
        except ValueError as problem:  # it takes from a prompt, say, that is not as long as they are
            self._publish(side={"why": f"The edit cannot be tried on other texts: {problem}"})
            return
        broke = {"why": "Neutral text has no finite perplexity any more: the edit breaks the model."}
        self._publish(side={"before": plain, "after": after} if math.isfinite(after) else broke)

    def _tell(self, recipe: Recipe) -> None:
        """Generated text, before and after."""
        count, began = itertools.count(1), time.monotonic()

        def show(side: str, text: str) -> None:
            self.report(min(next(count), 2 * _NEW_TOKENS), 2 * _NEW_TOKENS, began, "generated words")
            self._publish(**{side: {**self.result[side], "text": text}})

        for side, edit in (("before", None), ("after", recipe)):
            show(side, generate(self._model, self._text, edit, _NEW_TOKENS, on_text=partial(show, side)))

    def report(self, done: int, total: int, began: float, label: str) -> None:
        """Progress with the time that is left at this pace."""
        left = (time.monotonic() - began) / max(done, 1) * (total - done)
        self.progress = {"done": done, "total": total, "eta": left, "label": label}

    def _metric(self, result: Run) -> float:
        return result.metric(*self._read)

    @property
    def metric_name(self) -> str:
        """What the metric is called: logit(" Mary") − logit(" John")."""
        if not self._own_metric:
            return metric_name("logit_diff", *self._read)
        words = [str(self._model.tokenizer.decode([id_])) for id_ in self._read]
        return metric_name("logit_diff", *words)

    def _notes(self, recipe: Recipe) -> list[str]:
        notes = []
        if self._own_metric:
            notes.append("A plain prompt has no foil: the metric is the model's first choice against its second.")
        texts = {len(step.reference.texts) for step in recipe.interventions if step.reference}
        if texts:
            notes.append(f"Means are over {max(texts)} neutral texts; position 0 keeps its own mean.")
        if all(step.changes_nothing for step in recipe.interventions):
            notes.append("The recipe changes nothing.")
        if self._model.own_hooks:
            notes.append(f"Your bridge has {self._model.own_hooks} hooks of its own; they are not applied here.")
        return [*notes, *(note for instrument in self.instruments for note in instrument.notes(recipe))]

    def _print(self, recipe: Recipe | None = None) -> dict[str, str]:
        """The small print."""
        own = self._model.own_hooks
        return {
            "model": str(self._source["model"]),
            "weights": str(self._source["weights"]),
            "tokens": str(len(self.base.ids)),
            "recipe": recipe.hash if recipe is not None else "",
            "versions": f"transformer-lens {version('transformer-lens')}, torch {version('torch')}",
            **({"hooks": f"{own} of your bridge's own, not applied here"} if own else {}),
        }

    def _show_code(self) -> None:
        self.code = self.recipe.code()

    # -- directions -------------------------------------------------------------------------------------------------

    def _offer_cheerful(self) -> None:
        """In a thread that only queues: each of its short passes lets a click go first."""
        try:
            self._offer({"cheerful": cheerful(self._model)})
        except ValueError as problem:  # this model has no place for it
            self.log.warning("no direction to offer: %s", problem)
        except (RuntimeError, CancelledError, Stopped):
            return  # the model was closed, or Python is on its way out

    def _offer(self, directions: Mapping[str, Direction]) -> None:
        self._directions |= directions
        self.directions = [
            {"name": name, "layer": d.layer, "natural": d.natural} for name, d in self._directions.items()
        ]


def _cells(grid: Grid) -> tuple[Any, ...]:
    """What the cells of a grid are."""
    return grid.kind, grid.part, grid.axes


def _plain(prompt: Prompt) -> str:
    """The prompt as text; chats and ids are shown by their tokens."""
    return prompt if isinstance(prompt, str) else ""


def _told_apart(base: Run, answer: Texts | None, foil: Texts | None) -> tuple[Texts, Texts]:
    """Answer and foil, or the model's own first two choices; refuses what no run could be measured by."""
    if answer is not None and foil is not None:
        base.metric(answer, foil)
        return answer, foil
    if answer is not None or foil is not None:
        raise ValueError("a metric tells two things apart: give both answer= and foil=, or neither")
    first, second = (label["id"] for label, _ in base.top_labels(2))
    return first, second


def _refuse_infinite(metrics: Sequence[float], why: Sequence[str]) -> None:
    """Numbers that no page can show become an error that says why."""
    if not all(map(math.isfinite, metrics)):
        raise FloatingPointError(f"{why[0] if why else 'the metric is not a number'}; try a smaller strength or factor")


def brief(recipe: Recipe) -> str:
    """A recipe in a title's worth of words."""
    steps = [str(step) for step in recipe.interventions]
    return "; ".join(steps) if len(steps) <= 2 else f"{len(steps)} edits ({steps[0]}, …)"


def _side(result: Run, metric: float) -> dict[str, Any]:
    top = [{"token": token, "probability": p} for token, p in result.top_labels(6)]
    return {"metric": metric, "top": top, "text": None}
