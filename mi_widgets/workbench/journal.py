"""Journal: what was done in a view, in order; as a table and as code that does it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..site import Site

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = ("metric", "before", "after", "difference", "beats", "controls", "recipe")


@dataclass(frozen=True)
class Entry:
    """One step: the lines that do it again, and for a run what came out."""

    lines: tuple[str, ...]
    what: str = ""
    outcome: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The steps of one view since it was made.

    opening: the lines that make the view again.
    """

    def __init__(self, opening: Sequence[str]) -> None:
        self._opening = tuple(opening)
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, lines: Iterable[str], what: str = "", **outcome: Any) -> int:
        """Write down a step; returns its number."""
        self._entries.append(Entry(tuple(lines), what, outcome))
        return len(self._entries) - 1

    def complete(self, number: int, **outcome: Any) -> None:
        """More of what came out of a run."""
        run = self._entries[number]
        self._entries[number] = Entry(run.lines, run.what, {**run.outcome, **outcome})

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The runs, one row each: what was done, and the metric before, after, and among the controls."""
        runs = [entry for entry in self._entries if entry.outcome]
        return [
            {"run": number, "what": entry.what, **{name: entry.outcome.get(name) for name in _NUMBERS}}
            for number, entry in enumerate(runs, start=1)
        ]

    def to_dataframe(self) -> pd.DataFrame:
        """The rows as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=["run", "what", *_NUMBERS])

    def code(self) -> str:
        """Python that makes the view and does every step again; each run says what it gave."""
        lines = list(self._opening)
        for entry in self._entries:
            lines += entry.lines
            if entry.outcome:
                lines[-1] += f"  # {entry.outcome['difference']:+.4g} {entry.outcome['metric']}".replace("\n", " ")
        return "\n".join(lines) + "\n"

    def wire(self) -> dict[str, Any]:
        """The journal as it crosses to the page."""
        return {"rows": self.rows, "code": self.code()} if self._entries else {}

    def __repr__(self) -> str:
        lines = [f"{row['run']}. {row['what']}: {row['difference']:+.4g} {row['metric']}" for row in self.rows]
        return "\n".join(lines) or "Journal: nothing was run yet"


def source_of(sites: Iterable[Site]) -> str:
    """Python that makes these Sites."""
    return f"[{', '.join(map(_site, sites))}]"


def _site(site: Site) -> str:
    given = {"layer": site.layer, "index": site.index, "part": site.part, "position": site.position, "key": site.key}
    said = [f"{name}={value!r}" for name, value in given.items() if value is not None and value != ""]
    return f"mi.Site({', '.join([repr(site.kind), *said])})"
