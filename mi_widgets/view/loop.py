"""Loop: the traits and the conversation that all views share. See docs/views.md, the border's contract.

A Loop shows panels and says what a person picked and drafted. It does nothing with it: whoever owns a model registers
what a request does, and answers by setting traits.

    view = AttributionMap(panels=[heads, residual], tokens=tokens, runnable=True)
    view.on("run", lambda: worker.submit(view.picks, view.act))
    view.on("stop", worker.stop)
    view.on("code", lambda: setattr(view, "code", recipe().code()))
    with view.hold_sync():
        view.status, view.result = "idle", result

Whatever goes wrong in a handler becomes the `error` trait, a card under the view; `view.fail(error)` makes the same
card for what goes wrong elsewhere (in a worker thread).
"""

import contextlib
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anywidget
import traitlets as t

from . import act as acts
from . import bundle, still
from .history import History
from .panel import Panel

Pick = tuple[int, int, int]

STATES = ("idle", "waiting", "running", "stopped", "error", "closed")
REQUESTS: dict[str, dict[str, type]] = {
    "run": {},
    "stop": {},
    "code": {},
    "open": {"row": int, "col": int},
    "choose": {"name": str, "value": str},
    "keep": {},
    "undo": {},
    "redo": {},
    "ask": {"prompt": str, "corrupt": str, "answer": str, "foil": str},
}
DRAFTING = ("run", "code", "keep")
WRITTEN_BY_THE_PAGE = ("picks", "act", "tray")
State = tuple[Any, acts.Act, list[dict[str, Any]]]
"""A draft that can be gone back to: what is picked, the act, the tray."""


def wires(panels: list[Panel], _: object) -> list[dict[str, Any]]:
    """Panels as they cross to the page."""
    return [panel.wire() for panel in panels]


class Loop(anywidget.AnyWidget):
    """A view without a model: panels, picks, a drafted act, and the requests of the person who looks at it."""

    stem = "heatmap"
    """The page's script: `js/src/<stem>.ts`."""

    title = t.Unicode().tag(sync=True)
    prompt = t.Unicode().tag(sync=True)
    tokens = t.List(t.Dict()).tag(sync=True)
    panels = t.List(t.Instance(Panel)).tag(sync=True, to_json=wires)
    picks = t.List(t.Tuple(t.Int(), t.Int(), t.Int())).tag(sync=True)
    act = t.Dict(default_value=acts.DEFAULT).tag(sync=True)
    tray = t.List(t.Dict()).tag(sync=True)
    undoable = t.Int().tag(sync=True)
    redoable = t.Int().tag(sync=True)
    directions = t.List(t.Dict()).tag(sync=True)
    choices = t.List(t.Dict()).tag(sync=True)
    status = t.Enum(STATES, default_value="idle").tag(sync=True)
    progress = t.Dict().tag(sync=True)
    result = t.Dict().tag(sync=True)
    error = t.Dict().tag(sync=True)
    code = t.Unicode().tag(sync=True)
    journal = t.Dict().tag(sync=True)
    provenance = t.Dict().tag(sync=True)
    runnable = t.Bool(False).tag(sync=True)
    group = t.Unicode().tag(sync=True)
    key = t.Unicode().tag(sync=True)
    brake = t.Unicode().tag(sync=True)
    presentation = t.Bool(False).tag(sync=True)

    def __init__(self, panels: list[Panel] | None = None, **traits: Any) -> None:
        _refuse_unknown(type(self), traits)
        self._esm, self._css = bundle.script(self.stem), bundle.style()
        self._handlers: dict[str, Callable[..., object]] = {"undo": self.undo, "redo": self.redo}
        self._kept: dict[int, str] = {}  # the labels of what was put into the tray, by id
        self._history: History[State] | None = None  # begins when there is something to remember
        self._quiet = False  # while it is not a person who changes the draft
        super().__init__(panels=list(panels or ()), **traits)
        self.key = self.model_id or ""
        self._history = History(self._state())
        self.on_msg(lambda _, message, __: self.receive(message))

    def on(self, request: str, do: Callable[..., object]) -> None:
        """Say what a request does: its details are the arguments, as `REQUESTS` lists them (`open`: `do(row, col)`).

        `picks` and `act` already hold what the person sees when `run` or `code` arrives. A handler returns at once:
        long work belongs to the worker, and the answer into the traits.
        """
        if request not in REQUESTS:
            raise ValueError(f"No view asks {request!r}; the requests are {', '.join(REQUESTS)}.")
        self._handlers[request] = do

    def receive(self, message: Any) -> None:
        """Take one message from the page. Nothing it says, and nothing a handler does, is lost in silence."""
        try:
            request, details = self._understood(message)
            self._take_draft(message)
            self._handler(request)(*details)
        except Exception as error:
            self.explain(error)

    def undo(self) -> None:
        """Go back to the draft before: picks, act and tray. At the beginning nothing happens."""
        if self._history is not None and self.undoable:
            self._restore(self._history.undo())

    def redo(self) -> None:
        """Go forward again to what was undone."""
        if self._history is not None and self.redoable:
            self._restore(self._history.redo())

    def fail(self, error: BaseException, *, what: str = "", fix: str = "") -> None:
        """A run ended in an error: show it as a card, and be ready for the next one."""
        with self.hold_sync():
            self.explain(error, what=what, fix=fix)
            self.progress = {}
            self.status = "error"

    def explain(self, error: BaseException, *, what: str = "", fix: str = "") -> None:
        """Show an error as a card. An error with attributes `what` and `fix` explains itself first."""
        self.log.error("%s", error, exc_info=error)
        self.error = {
            "what": getattr(error, "what", "") or what or "That did not work",
            "why": str(error) or type(error).__name__,
            "fix": getattr(error, "fix", "") or fix,
            "trace": "".join(traceback.format_exception(error)),
        }

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take traits from the page: only those it may write, and a refusal becomes a card and is undone there."""
        try:
            self._refuse_foreign(sync_data)
            super().set_state(sync_data)
        except t.TraitError as error:
            self.explain(error, what="This was refused")
            self.send_state([name for name in sync_data if self.has_trait(name)])

    @classmethod
    def border(cls) -> list[str]:
        """The traits of docs/views.md, without those that every widget has."""
        return sorted(set(cls.class_trait_names(sync=True)) - set(anywidget.AnyWidget.class_trait_names()))

    def _ipython_display_(self) -> None:
        """Put the view into the notebook, and beside it what remains of it there, renewed whenever it comes to rest."""
        from IPython.display import display

        live, about = self._repr_mimebundle_() or ({}, {})
        display(live, metadata=about, raw=True)
        shown = self._remains()
        handle = display(shown, raw=True, display_id=True)

        def renew(_: t.Bunch) -> None:
            nonlocal shown
            if self.rests and (now := self._remains()) != shown:
                shown = now
                handle.update(now, raw=True)

        if handle is not None:  # there is none outside IPython
            self.observe(renew, ["result", "status", "progress", "panels"])

    @property
    def rests(self) -> bool:
        """Whether nothing is on its way."""
        return not self.progress and self.status not in ("waiting", "running")

    def _remains(self) -> dict[str, str]:
        return {"text/html": still.of_loop(self), "text/plain": repr(self)}

    def __str__(self) -> str:
        """What is shown, in words: the strongest cells of each panel and the last run."""
        return still.words(self)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{panel.name} {panel.shape[0]} x {panel.shape[1]}" for panel in self.panels)
        return f"{type(self).__name__}({self.title or self.prompt!r}: {shapes or 'nothing to show'})"

    def _understood(self, message: Any) -> tuple[str, list[Any]]:
        request = message.get("type") if isinstance(message, Mapping) else None
        if request not in REQUESTS:
            raise ValueError(f"The page asked for {request!r}; a view understands {', '.join(REQUESTS)}.")
        details = {field: message.get(field) for field in REQUESTS[request]}
        wrong = [field for field, sort in REQUESTS[request].items() if not _is(sort, details[field])]
        if wrong:
            raise ValueError(f"The page asked to {request} with {wrong[0]} {details[wrong[0]]!r:.60}, which is none.")
        return request, list(details.values())

    def _take_draft(self, message: Mapping[str, Any]) -> None:
        if message["type"] not in DRAFTING:
            return
        before = self.picks, self.act, self.tray
        with self.hold_sync():
            try:
                for name in WRITTEN_BY_THE_PAGE:
                    setattr(self, name, message.get(name, getattr(self, name)))
            except t.TraitError:  # all of a draft, or nothing
                with self._silently():
                    self.picks, self.act, self.tray = before
                raise

    def _handler(self, request: str) -> Callable[..., object]:
        if request not in self._handlers:
            raise ValueError(f"Nothing answers {request!r}: this view shows numbers without a model behind them.")
        return self._handlers[request]

    def _refuse_foreign(self, sync_data: Mapping[str, Any]) -> None:
        foreign = set(self.border()) & set(sync_data) - set(WRITTEN_BY_THE_PAGE)
        for name in sorted(foreign):
            raise t.TraitError(f"{name} is written by Python only.")

    @t.validate("picks")
    def _valid_picks(self, proposal: t.Bunch) -> list[Pick]:
        for pick in proposal.value:
            if not self._fits(pick):
                raise t.TraitError(f"{list(pick)} is no cell here: {self._extent()}")
        return sorted(set(proposal.value))

    @t.validate("act")
    def _valid_act(self, proposal: t.Bunch) -> acts.Act:
        try:
            return acts.checked(proposal.value, self.directions)
        except ValueError as problem:
            raise t.TraitError(f"This act is not understood: {problem}.") from None

    @t.validate("result", "progress", "journal")
    def _valid_numbers(self, proposal: t.Bunch) -> dict[str, Any]:
        """Only what JSON can carry: a NaN would end the page's reading."""
        try:
            json.dumps(proposal.value, allow_nan=False)
        except ValueError:
            raise t.TraitError("The result holds a number that is not finite.") from None
        return proposal.value

    @t.validate("tray")
    def _valid_tray(self, proposal: t.Bunch) -> list[dict[str, Any]]:
        return [self._entry(entry) for entry in proposal.value]

    def _entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """An entry of the tray: one that was put there, with a strength; its label is Python's."""
        if entry.get("id") not in self._kept:
            raise t.TraitError(f"the tray holds nothing with the id {entry.get('id')!r:.40}.")
        try:
            strength = acts.finite(entry.get("strength"), "strength")
        except ValueError as problem:
            raise t.TraitError(f"This strength is not understood: {problem}.") from None
        return {"id": entry["id"], "label": self._kept[entry["id"]], "strength": strength}

    @t.observe("picks", "act", "tray")
    def _remember(self, change: t.Bunch) -> None:
        """A step to go back to; a number that goes on changing, as under a slider, is one step."""
        if self._history is None or self._quiet:
            return
        if self._slides(change):
            self._history.amend(self._state())
        else:
            self._history.note(self._state())
        self._sliding = _shape(change.new) if change.name in ("act", "tray") else None
        self.undoable, self.redoable = self._history.depth

    _sliding: object = None

    def _slides(self, change: t.Bunch) -> bool:
        """Whether only the number changed that changed last."""
        return change.name != "picks" and self._sliding == _shape(change.new) == _shape(change.old)

    def _state(self) -> State:
        return self._places(), dict(self.act), [dict(entry) for entry in self.tray]

    def _restore(self, state: State) -> None:
        places, act, tray = state
        assert self._history is not None
        with self._silently(), self.hold_sync():
            self._return_to(places)
            self.act, self.tray = act, tray
            self.undoable, self.redoable = self._history.depth

    @contextlib.contextmanager
    def _silently(self) -> Iterator[None]:
        """Changes of the draft in here are no steps to go back to, and end what a slider was doing."""
        before, self._quiet, self._sliding = self._quiet, True, None
        try:
            yield
        finally:
            self._quiet = before

    def _places(self) -> Any:
        """What is picked, so that it can be picked again when panels have changed."""
        return [(self.panels[panel].name, row, col) for panel, row, col in self.picks]

    def _return_to(self, places: Any) -> None:
        numbers = {panel.name: number for number, panel in enumerate(self.panels)}
        picks = [(numbers[name], row, col) for name, row, col in places if name in numbers]
        self.picks = [pick for pick in picks if self._fits(pick)]

    @t.observe("panels")
    def _drop_lost_picks(self, _: t.Bunch) -> None:
        with self._silently():
            self.picks = [pick for pick in self.picks if self._fits(pick)]

    @t.observe("picks", "act", "tray")
    def _drop_old_code(self, _: t.Bunch) -> None:
        self.code = ""

    def _fits(self, pick: Pick) -> bool:
        panel, row, col = pick
        if not 0 <= panel < len(self.panels):
            return False
        rows, cols = self.panels[panel].shape
        return 0 <= row < rows and 0 <= col < cols

    def _extent(self) -> str:
        sizes = [
            f"panel {i} ({panel.name}) is {panel.shape[0]} x {panel.shape[1]}" for i, panel in enumerate(self.panels)
        ]
        return "; ".join(sizes) or "there are no panels"


def _shape(value: Any) -> object:
    """An act, or a tray, without its numbers."""
    if isinstance(value, list):
        return [_shape(entry) for entry in value]
    return {name: None if isinstance(part, float) else part for name, part in value.items()}


def _is(sort: type, value: object) -> bool:
    """Whether a detail of a request is what it should be: a text, or an index from 0."""
    if sort is str:
        return isinstance(value, str)
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _refuse_unknown(view: type[Loop], traits: Mapping[str, Any]) -> None:
    import difflib

    known = view.class_trait_names()
    for name in traits:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise TypeError(f"{view.__name__} has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else "."))
