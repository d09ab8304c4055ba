"""Antonyms in context (the format of Todd et al. 2024): "hot -> cold, up -> down, fast ->" -> " slow".

The corrupt prompt asks for another word. Two pairs of opposites form a group; the opposites that are shown as examples
are asked nowhere. Opposites were chosen among those that the default model knows.
"""

from __future__ import annotations

from itertools import product

from ..task import Pair, Task
from .frame import fill

_EXAMPLES = "hot -> cold, up -> down, {word} ->"
#: Two pairs of opposites in a row; no word twice.
_OPPOSITES = (
    (("fast", "slow"), ("hard", "soft")), (("light", "dark"), ("day", "night")), (("black", "white"), ("wet", "dry")),
    (("high", "low"), ("open", "closed")), (("early", "late"), ("full", "empty")),
    (("strong", "weak"), ("clean", "dirty")), (("true", "false"), ("thick", "thin")),
    (("near", "far"), ("buy", "sell")),
    (("deep", "shallow"), ("wide", "narrow")), (("inside", "outside"), ("above", "below")),
    (("before", "after"), ("east", "west")), (("man", "woman"), ("boy", "girl")),
    (("top", "bottom"), ("front", "back")),
    (("male", "female"), ("public", "private")), (("internal", "external"), ("major", "minor")),
    (("maximum", "minimum"), ("active", "passive")), (("positive", "negative"), ("increase", "decrease")),
)  # fmt: skip


def antonyms(seed: int = 0) -> Task:
    """136 pairs: 17 groups of two pairs of opposites × the 2 × 2 words to ask × both orders. Metric: logit difference.

    Spans: word.
    """
    items = []
    for left, right in _OPPOSITES:
        for one, other in product((left, left[::-1]), (right, right[::-1])):
            items += [_pair(one, other), _pair(other, one)]
    note = "The two examples in front are the same everywhere and asked nowhere."
    return Task(tuple(items), name="antonyms", seed=seed, note=note)


def _pair(here: tuple[str, str], there: tuple[str, str]) -> Pair:
    clean, spans = fill(_EXAMPLES, word=here[0])
    corrupt, _ = fill(_EXAMPLES, word=there[0])
    group = " / ".join(sorted((min(here), min(there))))
    return Pair(clean, corrupt, f" {here[1]}", f" {there[1]}", spans, group)
