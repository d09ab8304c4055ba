"""Capitals: "Fact: the capital city of the country of France is the city of" -> " Paris".

The corrupt prompt names another country. Countries are paired off before prompts are made, each pair is a group.
"""

from __future__ import annotations

from ..task import Pair, Task

#: Pairs of countries with their capitals; country and capital are single tokens after a space in the default model.
_PAIRS = (
    (("France", "Paris"), ("Italy", "Rome")), (("Spain", "Madrid"), ("Germany", "Berlin")),
    (("Russia", "Moscow"), ("China", "Beijing")), (("Japan", "Tokyo"), ("Iran", "Tehran")),
    (("England", "London"), ("Scotland", "Edinburgh")), (("Ireland", "Dublin"), ("Austria", "Vienna")),
    (("Egypt", "Cairo"), ("Iraq", "Baghdad")), (("Hungary", "Budapest"), ("Poland", "Warsaw")),
    (("Greece", "Athens"), ("Norway", "Oslo")), (("Sweden", "Stockholm"), ("Denmark", "Copenhagen")),
    (("Belgium", "Brussels"), ("Israel", "Jerusalem")), (("Syria", "Damascus"), ("Peru", "Lima")),
)  # fmt: skip
_FRAMES = (
    "Fact: the capital city of the country of {} is the city of",
    "The capital of {} is the city of",
    "In {}, the seat of government is in the city of",
)


def capitals(seed: int = 0) -> Task:
    """72 pairs: 12 pairs of countries × 3 frames × both orders. Metric: logit difference between the two capitals."""
    items = []
    for left, right in _PAIRS:
        for frame in _FRAMES:
            for (country, city), (other, other_city) in ((left, right), (right, left)):
                clean, corrupt = frame.format(country), frame.format(other)
                group = " ".join(sorted((left[0], right[0])))
                items.append(Pair(clean, corrupt, f" {city}", f" {other_city}", group))
    return Task(tuple(items), name="capitals", seed=seed)
