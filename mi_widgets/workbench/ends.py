"""Ends: how far the colours of an instrument's maps go, so that a colour keeps its meaning while numbers come in.

While a map fills, its ends only move apart; once it is whole they are its own. Fixed ends stay for every map of the
same kind that is drawn later, so that two pairs or methods compare by colour.
"""

from __future__ import annotations


class Ends:
    """The largest number that each kind of map is coloured up to."""

    def __init__(self) -> None:
        self._most: dict[str, float] = {}
        self._whole: dict[str, float] = {}
        self._fixed: dict[str, float] = {}

    def begin(self) -> None:
        """Other maps begin to fill."""
        self._most, self._whole = {}, {}

    def fix(self) -> None:
        """Keep the ends of the maps that are whole; those that still fill keep what they will have then."""
        self._fixed = dict(self._whole)

    def free(self) -> None:
        """Let every map have its own again."""
        self._fixed = {}

    def of(self, kind: str, most: float, whole: bool, fixed: bool) -> float:
        """The end for maps of a kind whose largest number is `most` so far.

        whole: nothing is on its way to them any more. fixed: what is whole first is what the next ones are drawn by.
        """
        if fixed and kind in self._fixed:
            return self._fixed[kind]
        end = self._most[kind] = most if whole else max(most, self._most.get(kind, 0.0))
        if whole:
            self._whole[kind] = end
            if fixed:
                self._fixed[kind] = end
        return end


__all__ = ["Ends"]
