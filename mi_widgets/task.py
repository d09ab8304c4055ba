"""Task: data with its metric and its three splits.

A behaviour is a list of Pairs (a clean and a corrupt prompt, an answer and a foil) or of labelled Examples. A Task
divides them by group into `fit` (where vectors and scores come from), `select` (where layer and strength are chosen)
and `report` (what is shown), so that a number on a card was never tuned on.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

#: Metrics of the last position's logits; each is oriented so that higher supports the answer.
METRICS = ("logit_diff", "logprob", "accuracy")
SPLITS = {"fit": 0.4, "select": 0.2, "report": 0.4}
_FEWEST_GROUPS = 6
_REQUIRED = {"clean", "corrupt", "answer", "foil"}
#: Roles that every pair has without naming them: the first token that differs, and the last.
FIRST_DIFFERENCE, LAST = "first difference", "last"

Span = tuple[int, int]
Spans = tuple[tuple[str, Span], ...]


@dataclass(frozen=True)
class Pair:
    """Two prompts that differ in what decides between `answer` and `foil`.

    clean: the prompt whose right continuation is `answer`.
    corrupt: the same with the deciding words changed, so that `foil` is right; as many tokens as `clean`.
    answer, foil: the next token as text, leading space kept; or a tuple of them (logsumexp over their logits).
    spans: named places (start, end) in the characters of `clean`, as a dict; kept as a tuple of (name, span). A role
        is the last token of its span, and the same token of `corrupt` (see `run.role_positions`).
    group: items of one group never stand in two splits; by default the words in which the two prompts differ.
    """

    clean: str
    corrupt: str
    answer: str | tuple[str, ...]
    foil: str | tuple[str, ...]
    spans: Spans | Mapping[str, Span] | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        for name in ("answer", "foil"):
            value = getattr(self, name)
            texts = tuple(value) if isinstance(value, (list, tuple)) else (value,)
            if not texts or not all(isinstance(text, str) and text for text in texts):
                raise ValueError(f"{name} must be a text or a list of texts, not {value!r}")
            object.__setattr__(self, name, value if isinstance(value, str) else texts)
        for name in ("clean", "corrupt"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a text, not {getattr(self, name)!r}")
        object.__setattr__(self, "spans", _spans(self.spans, self.clean))
        if self.group is None:
            object.__setattr__(self, "group", _difference(self.clean, self.corrupt))


@dataclass(frozen=True)
class Example:
    """A labelled text, for probes and contrasts."""

    text: str
    label: str | int | None = None
    group: str | None = None


Metric = str | Callable[[Any], float]


@dataclass(frozen=True)
class Task:
    """Pairs with a metric and a reproducible 40/20/40 split by group.

    metric: "logit_diff" (answer minus foil), "logprob" (of the answer), "accuracy" (1 when the answer is above every
        foil), or a callable that takes a Run and returns a number where higher supports the answer.
    seed: shuffles the groups. Under 6 groups there are no splits: `fit`, `select` and `report` raise.
    note: what a reader of a card should know about the items, for instance what the splits share.
    """

    items: tuple[Pair, ...]
    metric: Metric = "logit_diff"
    name: str = ""
    seed: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        if not self.items:
            raise ValueError("a Task needs at least one Pair")
        strangers = [item for item in self.items if not isinstance(item, Pair)]
        if strangers:
            raise TypeError(f"a Task holds Pairs; this is not one: {strangers[0]!r}")
        if not callable(self.metric) and self.metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)} or a callable, not {self.metric!r}")

    @classmethod
    def of(cls, data: Task | Pair | Sequence[Pair]) -> Task:
        """A Task from whatever stands for one: itself, a Pair, or a list of Pairs."""
        if isinstance(data, Task):
            return data
        if isinstance(data, str):
            raise TypeError(f"{data!r:.60} is a text; this needs a Pair: mi.Pair(clean, corrupt, answer, foil)")
        return cls((data,) if isinstance(data, Pair) else tuple(data))

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.items)

    @property
    def groups(self) -> tuple[str, ...]:
        """The distinct groups, in the order of the items."""
        return tuple(dict.fromkeys(str(item.group) for item in self.items))

    @property
    def has_splits(self) -> bool:
        """Whether there are enough groups to divide."""
        return len(self.groups) >= _FEWEST_GROUPS

    @property
    def fit(self) -> tuple[Pair, ...]:
        """The 40 % from which vectors and scores are taken."""
        return self.split("fit")

    @property
    def select(self) -> tuple[Pair, ...]:
        """The 20 % on which layer, strength and size are chosen."""
        return self.split("select")

    @property
    def report(self) -> tuple[Pair, ...]:
        """The 40 % on which numbers are shown."""
        return self.split("report")

    def split(self, name: str) -> tuple[Pair, ...]:
        """The items of one split, or of "all"."""
        if name == "all":
            return self.items
        if name not in SPLITS:
            raise ValueError(f"a split is one of {', '.join(SPLITS)} or all, not {name!r}")
        if not self.has_splits:
            raise ValueError(
                f"{self.name or 'this task'} has {len(self.groups)} groups and needs {_FEWEST_GROUPS} to be split; "
                "add items of other groups, or use split='all'"
            )
        home = self._homes()
        return tuple(item for item in self.items if home[str(item.group)] == name)

    def _homes(self) -> dict[str, str]:
        """Which split each group lives in: shuffled groups, each to the split that lacks most."""
        sizes: dict[str, int] = {}
        for item in self.items:
            sizes[str(item.group)] = sizes.get(str(item.group), 0) + 1
        order = sorted(sizes)
        random.Random(self.seed).shuffle(order)
        missing = {name: share * len(self.items) for name, share in SPLITS.items()}
        homes = {}
        for group in order:
            homes[group] = max(missing, key=lambda name: missing[name])
            missing[homes[group]] -= sizes[group]
        return homes

    def to_jsonl(self, path: str | Path) -> Path:
        """One JSON object a line, one line a Pair."""
        rows = [{**asdict(item), "spans": dict(item.spans or ())} for item in self.items]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Path(path)

    @classmethod
    def from_jsonl(cls, path: str | Path, **kwargs: Any) -> Task:
        """The Task in a file of one JSON object a line: clean, corrupt, answer, foil and, if you like, spans and group.

        `spans` is an object of [start, end] by name.
        """
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")  # a text may hold what else ends a line
        rows = ((n, line) for n, line in enumerate(lines, start=1) if line.strip())
        return cls(tuple(_pair(line, f"{path}:{n}") for n, line in rows), **kwargs)

    @classmethod
    def from_csv(cls, path: str | Path, **kwargs: Any) -> Task:
        """The Task in a CSV file with the columns clean, corrupt, answer, foil and, if you like, spans and group.

        `spans` is that object as JSON; several answers need `from_jsonl`.
        """
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            return cls(tuple(_pair(row, f"{path}:{rows.line_num}") for row in rows), **kwargs)


def _pair(row: str | dict[str, Any], where: str) -> Pair:
    """The Pair in a row of a file, or in a line of JSON; whatever is wrong is said with its place."""
    try:
        fields = json.loads(row) if isinstance(row, str) else _parsed(row)
        if not isinstance(fields, dict) or not _REQUIRED <= set(fields) <= set(Pair.__dataclass_fields__):
            got = sorted(map(str, fields)) if isinstance(fields, dict) else fields
            raise ValueError(f"a pair has clean, corrupt, answer, foil, spans and group; got {got!r}")
        return Pair(**{name: value for name, value in fields.items() if not (name == "group" and not value)})
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a CSV file, its spans no longer text; an empty cell is none."""
    return {**row, "spans": json.loads(row["spans"]) if row["spans"] else None} if "spans" in row else row


def _spans(value: Any, text: str) -> Spans:
    """Named spans of a text as plain tuples, in their order; ValueError where one is not a place in it."""
    try:
        pairs = value.items() if isinstance(value, Mapping) else value or ()
        spans = tuple((name, (start, end)) for name, (start, end) in pairs)
    except (TypeError, ValueError):
        raise ValueError(f"spans are (start, end) by name, like {{'subject': (4, 8)}}, not {value!r}") from None
    for name, span in spans:
        _check_span(name, span, text)
    if len(dict(spans)) < len(spans):
        raise ValueError(f"a span has a name of its own; got {[name for name, _ in spans]!r}")
    return spans


def _check_span(name: Any, span: tuple[Any, Any], text: str) -> None:
    if not isinstance(name, str) or not name or name in (FIRST_DIFFERENCE, LAST):
        raise ValueError(f"a span needs a name other than {FIRST_DIFFERENCE!r} and {LAST!r}, not {name!r}")
    if not all(isinstance(end, int) and not isinstance(end, bool) for end in span):
        raise ValueError(f"the span {name!r} goes from one character to another, not {span!r}")
    if not 0 <= span[0] < span[1] <= len(text):
        raise ValueError(
            f"the span {name!r} is {span!r}, which is no stretch of the {len(text)} characters of {text!r}"
        )


def _difference(clean: str, corrupt: str) -> str:
    """The words in which two prompts differ, in one order, so that swapping the prompts gives the same group."""
    a, b = clean.split(), corrupt.split()
    changed = [
        word
        for tag, i, j, k, m in SequenceMatcher(a=a, b=b, autojunk=False).get_opcodes()
        if tag != "equal"
        for word in a[i:j] + b[k:m]
    ]
    return " ".join(sorted(set(changed))) or clean
