"""Capitals: "Fact: the capital city of the country of France is the city of" -> " Paris".

The corrupt prompt names another country. Countries are paired off before prompts are made, each pair is a group. The
relation is one of those in Meng et al. 2022 (ROME, CounterFact); the sentences are this package's own.
"""

from __future__ import annotations

from ..task import Pair, Task
from .frame import SHARED_FRAMES, fill

#: Pairs of countries with their capitals; each capital is a single token after a space in the default model.
_PAIRS = (
    (("France", "Paris"), ("Italy", "Rome")), (("Spain", "Madrid"), ("Germany", "Berlin")),
    (("Russia", "Moscow"), ("China", "Beijing")), (("Japan", "Tokyo"), ("Iran", "Tehran")),
    (("England", "London"), ("Scotland", "Edinburgh")), (("Ireland", "Dublin"), ("Austria", "Vienna")),
    (("Egypt", "Cairo"), ("Iraq", "Baghdad")), (("Hungary", "Budapest"), ("Poland", "Warsaw")),
    (("Greece", "Athens"), ("Norway", "Oslo")), (("Sweden", "Stockholm"), ("Denmark", "Copenhagen")),
    (("Belgium", "Brussels"), ("Israel", "Jerusalem")), (("Syria", "Damascus"), ("Peru", "Lima")),
    (("Canada", "Ottawa"), ("Australia", "Canberra")), (("India", "Delhi"), ("Kenya", "Nairobi")),
    (("Cuba", "Havana"), ("Chile", "Santiago")), (("Portugal", "Lisbon"), ("Finland", "Helsinki")),
    (("Switzerland", "Bern"), ("Ukraine", "Kiev")), (("Afghanistan", "Kabul"), ("Bulgaria", "Sofia")),
    (("Jamaica", "Kingston"), ("Tunisia", "Tunis")),
    (("the Netherlands", "Amsterdam"), ("the Philippines", "Manila")),
)  # fmt: skip
_FRAMES = (
    "Fact: the capital city of the country of {country} is the city of",
    "The capital of {country} is the city of",
    "In {country}, the seat of government is in the city of",
)


def capitals(seed: int = 0) -> Task:
    """120 pairs: 20 pairs of countries × 3 frames × both orders. Metric: logit difference between the two capitals.

    Spans: country.
    """
    items = [
        _pair(frame, one, other)
        for left, right in _PAIRS
        for frame in _FRAMES
        for one, other in ((left, right), (right, left))
    ]
    return Task(tuple(items), name="capitals", seed=seed, note=SHARED_FRAMES)


def _pair(frame: str, here: tuple[str, str], there: tuple[str, str]) -> Pair:
    clean, spans = fill(frame, country=here[0])
    corrupt, _ = fill(frame, country=there[0])
    group = " / ".join(sorted((here[0], there[0])))
    return Pair(clean, corrupt, f" {here[1]}", f" {there[1]}", spans, group)
