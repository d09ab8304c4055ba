"""Workbench: the three maps of one prompt in one widget, with one selection, one tray and one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..direction import Direction
from ..model.tokens import Prompt
from ..run import Texts
from ..task import Pair, Task
from ..view import BenchMap
from .attention import Attention
from .attribution import Attribution, shown, some, task_lines
from .instrument import Instrument
from .lens import Lens
from .live import ASK_AGAIN, Live


class Workbench(Live, BenchMap):
    """Attention, logit lens and attribution of one prompt, in tabs; what is picked in one is picked in all.

    task: a Pair, a list of Pairs or a Task, whose first pair is shown (see `AttributionView`); or a prompt, which has
        no corrupted twin, so that there is no attribution map.
    answer, foil: what the metric tells apart on a prompt; a Pair brings its own.
    pairs: how many of the task's pairs the attribution maps average. directions: as in AttentionView.
    """

    most_tokens = 1024

    def __init__(
        self,
        model: Any,
        task: Task | Pair | Sequence[Pair] | Prompt,
        *,
        answer: Texts | None = None,
        foil: Texts | None = None,
        pairs: int = 4,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        self._task = some(cast(Any, task), pairs) if _is_task(task) else None
        if self._task is not None and (answer, foil) != (None, None):
            raise ValueError(
                "a task's pairs bring their own answer and foil; give answer= and foil= with a prompt only"
            )
        self._first = None if self._task is None else shown(model, self._task)
        prompt: Any = task
        if self._first is not None:
            prompt, answer, foil = self._first.clean, self._first.answer, self._first.foil
        super().__init__(model, prompt, answer, foil, directions, title="Workbench")
        self.on("ask", self._hear)
        self.question = self._worded()

    def look_at(
        self, prompt: Prompt, corrupt: str | None = None, answer: Texts | None = None, foil: Texts | None = None
    ) -> None:
        """Look at another prompt, or at another pair; every map is drawn again.

        corrupt: the prompt with which the answer would be another, for the attribution maps; without it there are none.
        answer, foil: what the metric tells apart, needed with `corrupt`; without them, the model's own first two
        choices. Returns at once, and `wait` waits for it.
        """
        task = None
        if corrupt:
            if answer is None or foil is None:
                raise ValueError("attribution compares two prompts by their answers: give answer and foil as well")
            task = Task((Pair(cast(str, prompt), corrupt, cast(Any, answer), cast(Any, foil)),))
        self._submit(lambda: self._open(prompt, answer, foil, task), ASK_AGAIN)

    def _open(self, prompt: Prompt, answer: Texts | None, foil: Texts | None, task: Task | None) -> None:
        """On the worker: another question, with the instruments that it needs."""
        if task is not None:
            here, there = (self._model.ids(text).shape[1] for text in (task.items[0].clean, task.items[0].corrupt))
            if here != there:
                raise ValueError(f"the prompt has {here} tokens and the corrupted one {there}; patching needs as many")
        told = self.instruments
        attention, lens = told[:2]
        for instrument in told:
            instrument.stop()
        self.instruments = (attention, lens, *(() if task is None else (Attribution(self, task),)))
        try:
            self._turn_to(prompt, answer, foil)
        except ValueError:
            self.instruments = told
            raise
        corrupt = None if task is None else task.items[0].corrupt
        self._write([f"view.look_at({self._given()!r}, {corrupt!r}, {answer!r}, {foil!r})", "view.wait()"])

    def _turn_to(self, prompt: Prompt, answer: Texts | None, foil: Texts | None) -> None:
        super()._turn_to(prompt, answer, foil)
        self.question = self._worded()

    def _hear(self, prompt: str, corrupt: str, answer: str, foil: str) -> None:
        """What the page asks: an empty field is none."""
        self.look_at(prompt, corrupt or None, answer or None, foil or None)

    def _worded(self) -> dict[str, str]:
        """The question as far as it is text."""
        answer, foil = ("", "") if self._own_metric else self._read
        parts = {"prompt": self._text, "corrupt": self.other, "answer": answer, "foil": foil}
        return {name: part if isinstance(part, str) else "" for name, part in parts.items()}

    @property
    def other(self) -> Prompt | None:
        """The corrupted prompt of the pair that is shown, if it is one."""
        return next((each.asked.corrupt for each in self.instruments if isinstance(each, Attribution)), None)

    def _opening(self) -> list[str]:
        if self._task is None:
            return super()._opening()
        lines, directed = self._directed()
        made = f"view = mi.Workbench(model, task, pairs={len(self._task.items)}{directed})"
        return [*self._loading(), *task_lines(self._task), *lines, made]

    def _equip(self) -> tuple[Instrument, ...]:
        maps = () if self._task is None else (Attribution(self, self._task, self._first),)
        return (Attention(self), Lens(self), *maps)


def _is_task(task: Any) -> bool:
    """Whether it is a Task, or what one is made of; texts, chats and ids are prompts."""
    if isinstance(task, (Task, Pair)):
        return True
    return isinstance(task, (list, tuple)) and bool(task) and all(isinstance(item, Pair) for item in task)
