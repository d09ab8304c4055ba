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

import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets as t

from . import act as acts
from . import bundle
from .panel import Panel

Pick = tuple[int, int, int]

STATES = ("idle", "waiting", "running", "stopped", "error", "closed")
REQUESTS: dict[str, dict[str, type]] = {
    "run": {},
    "stop": {},
    "code": {},
    "open": {"row": int, "col": int},
    "choose": {"name": str, "value": str},
}
DRAFTING = ("run", "code")
WRITTEN_BY_THE_PAGE = {"picks", "act"}


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
    directions = t.List(t.Dict()).tag(sync=True)
    choices = t.List(t.Dict()).tag(sync=True)
    status = t.Enum(STATES, default_value="idle").tag(sync=True)
    progress = t.Dict().tag(sync=True)
    result = t.Dict().tag(sync=True)
    error = t.Dict().tag(sync=True)
    code = t.Unicode().tag(sync=True)
    provenance = t.Dict().tag(sync=True)
    runnable = t.Bool(False).tag(sync=True)

    def __init__(self, panels: list[Panel] | None = None, **traits: Any) -> None:
        _refuse_unknown(type(self), traits)
        self._esm, self._css = bundle.script(self.stem), bundle.style()
        self._handlers: dict[str, Callable[..., object]] = {}
        super().__init__(panels=list(panels or ()), **traits)
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

    def fail(self, error: BaseException, *, what: str = "", fix: str = "") -> None:
        """A run ended in an error: show it as a card, and be ready for the next one."""
        with self.hold_sync():
            self.explain(error, what=what, fix=fix)
            self.progress = {}
            self.status = "error"

    def explain(self, error: BaseException, *, what: str = "", fix: str = "") -> None:
        """Show an error as a card. An error with attributes `what` and `fix` explains itself."""
        self.log.error("%s", error, exc_info=error)
        self.error = {
            "what": what or getattr(error, "what", "") or "That did not work",
            "why": str(error) or type(error).__name__,
            "fix": fix or getattr(error, "fix", ""),
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
        if message["type"] in DRAFTING:
            with self.hold_sync():
                self.picks = message.get("picks", self.picks)
                self.act = message.get("act", self.act)

    def _handler(self, request: str) -> Callable[..., object]:
        if request not in self._handlers:
            raise ValueError(f"Nothing answers {request!r}: this view shows numbers without a model behind them.")
        return self._handlers[request]

    def _refuse_foreign(self, sync_data: Mapping[str, Any]) -> None:
        foreign = set(self.border()) & set(sync_data) - WRITTEN_BY_THE_PAGE
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

    @t.validate("result", "progress")
    def _valid_numbers(self, proposal: t.Bunch) -> dict[str, Any]:
        """Only what JSON can carry: a NaN would end the page's reading."""
        try:
            json.dumps(proposal.value, allow_nan=False)
        except ValueError:
            raise t.TraitError("The result holds a number that is not finite.") from None
        return proposal.value

    @t.observe("panels")
    def _drop_lost_picks(self, _: t.Bunch) -> None:
        self.picks = [pick for pick in self.picks if self._fits(pick)]

    @t.observe("picks", "act")
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
