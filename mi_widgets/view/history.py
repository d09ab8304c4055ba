"""History: the states a draft has been in, to go back to and forward again."""

from __future__ import annotations

from typing import Generic, TypeVar

S = TypeVar("S")


class History(Generic[S]):
    """States in order, of which one holds now; at most `length` steps back are kept."""

    def __init__(self, now: S, length: int = 50) -> None:
        self._past: list[S] = []
        self._future: list[S] = []
        self._length = length
        self.now = now

    @property
    def depth(self) -> tuple[int, int]:
        """How many steps there are back, and forward."""
        return len(self._past), len(self._future)

    def note(self, state: S) -> None:
        """A new state holds; what was undone is gone."""
        if state == self.now:
            return
        self._past = [*self._past, self.now][-self._length :]
        self._future = []
        self.now = state

    def amend(self, state: S) -> None:
        """The state that holds is this one: no step of its own, as while a slider is dragged."""
        self.now = state

    def undo(self) -> S:
        """The state before, which holds now; IndexError at the beginning."""
        before = self._past.pop()
        self._future.append(self.now)
        self.now = before
        return before

    def redo(self) -> S:
        """The state that was undone last, which holds again; IndexError where nothing was."""
        again = self._future.pop()
        self._past.append(self.now)
        self.now = again
        return again
