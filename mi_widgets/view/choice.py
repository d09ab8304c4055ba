"""Choice: one thing that a view lets a person choose about what it draws, such as which summary of a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LONGEST = 2000  # letters of a typed answer


@dataclass(frozen=True)
class Choice:
    """A named question with its answers, and the one that holds now.

    name: as in `view.choose(name, value)`. label: what the page calls it.
    options: {value: label}; none: the answer is typed, and `hint` says what to type.
    help: {value: what the answer means, in one sentence}, for those that need it.
    ordered: whether the options follow each other, so that one goes on to the next and back.
    instrument: which part of the view it belongs to; filled in by that part.
    """

    name: str
    label: str
    value: str
    options: tuple[tuple[str, str], ...] = ()
    help: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    ordered: bool = False
    instrument: str = ""

    def checked(self, value: object) -> str:
        """The answer, or a ValueError that names those there are."""
        known = [each for each, _ in self.options]
        if self.options and value not in known:
            raise ValueError(f"{self.name} is one of {', '.join(known)}, not {value!r:.60}")
        if not isinstance(value, str) or len(value) > _LONGEST:
            raise ValueError(f"{self.name} is a text of at most {_LONGEST} letters, not {value!r:.60}")
        return value

    def wire(self) -> dict[str, Any]:
        """The choice as it crosses to the page."""
        options = [{"value": value, "label": label, "help": self.help.get(value, "")} for value, label in self.options]
        return {"name": self.name, "label": self.label, "value": self.value, "options": options, "hint": self.hint,
                "ordered": self.ordered, "instrument": self.instrument}  # fmt: skip
