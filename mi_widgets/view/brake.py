"""Brake: the way for Stop that stays free while a cell runs.

Where widget messages go to a subshell (JupyterLab 4.5 and later with ipykernel 7), ipykernel 7.4 hears a widget on the
thread that wrote to it last. A view is written to by cells and by its worker, so its own messages wait behind a busy
cell. The brake is one small model for all views of a kernel, written to in answer to the page only: the page says hello
as soon as the model is there, and from then on each Stop is heard at once.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

import anywidget
import traitlets as t

from . import bundle
from .loop import Loop


class Brake(anywidget.AnyWidget):
    """A model without a view of its own. heard: how often the page has said hello."""

    heard = t.Int().tag(sync=True)

    def __init__(self) -> None:
        self._esm = bundle.script("brake")
        self._views: WeakValueDictionary[str, Loop] = WeakValueDictionary()
        super().__init__()
        self.on_msg(lambda _, message, __: self.receive(message))

    def hold(self, view: Loop) -> None:
        """Stop this view when it is asked for; the view is told where to ask."""
        self._views[view.key] = view
        view.brake = f"anywidget:{self.model_id}"

    def receive(self, message: Any) -> None:
        """Take one message from the page: hello, or the view to stop. Anything else is nobody's."""
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "hello":
            self.heard += 1
        elif kind == "stop" and (view := self._views.get(str(message.get("view")))):
            view.receive({"type": "stop"})


_brake: Brake | None = None


def brake() -> Brake:
    """The brake of this kernel; a new one where the old one was closed."""
    global _brake
    if _brake is None or _brake.comm is None:
        _brake = Brake()
    return _brake
