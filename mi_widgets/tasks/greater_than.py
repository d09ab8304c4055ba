"""Greater-than (Hanna, Liu and Variengien 2023): "The war lasted from the year 1784 to the year 17" -> 9, not 2 to 7.

The corrupt prompt starts in an earlier decade of the same century ("1714"), after which 2 to 7 are possible. The next
token is the decade's digit: digits are tokens of their own in the default model. The digit of the clean start year
itself is left out, since the year after it decides. Noun, decades and last digit go together: the pair of decades is
the group, has its own two nouns, and its last digit is their sum's, so that no start year stands in two groups.
"""

from __future__ import annotations

from ..task import Pair, Task
from .frame import SHARED_FRAMES, fill

_DECADES = tuple((low, high) for low in range(1, 7) for high in range(low + 2, 9))
_NOUNS = (
    "war", "siege", "reign", "voyage", "drought", "festival", "conflict", "marriage", "career", "project", "famine",
    "revolt", "mission", "campaign", "dispute", "strike", "crisis", "treaty", "dynasty", "rule", "trial", "journey",
    "expedition", "blockade", "occupation", "plague", "alliance", "lease", "contract", "ban", "boom", "rebellion",
    "flood", "exile", "regime", "partnership", "friendship", "inquiry", "search", "restoration", "construction", "tour",
)  # fmt: skip
_CENTURIES = ("16", "17", "18")


def greater_than(seed: int = 0) -> Task:
    """126 pairs: 21 pairs of decades × their 2 nouns × 3 centuries. Metric: logsumexp of later digits − of passed ones.

    Spans: noun, tens and units (of the start year); tens is where the prompts differ.
    """
    items = [
        _pair(noun, century, low, high)
        for number, (low, high) in enumerate(_DECADES)
        for noun in _NOUNS[2 * number : 2 * number + 2]
        for century in _CENTURIES
    ]
    return Task(tuple(items), name="greater_than", seed=seed, note=f"{SHARED_FRAMES} Centuries are shared as well.")


def _pair(noun: str, century: str, low: int, high: int) -> Pair:
    frame = f"The {{noun}} lasted from the year {century}{{tens}}{{units}} to the year {century}"
    units = str((low + high) % 10)
    clean, spans = fill(frame, noun=noun, tens=str(high), units=units)
    corrupt, _ = fill(frame, noun=noun, tens=str(low), units=units)
    later = tuple(str(digit) for digit in range(high + 1, 10))
    passed = tuple(str(digit) for digit in range(low + 1, high))
    return Pair(clean, corrupt, later, passed, spans, group=f"{low} {high}")
