"""Sentiment (after Tigges et al. 2023): "The film was wonderful, which made everyone feel" -> " good", not " bad".

The corrupt prompt has an adjective of the other tone. Each pair of adjectives is a group with a thing of its own, and
no word that is asked for stands in a prompt. Adjectives were chosen among those that the default model tells apart.
"""

from __future__ import annotations

from ..task import Pair, Task
from .frame import SHARED_FRAMES, fill

_GOOD = (" good", " happy", " better", " comfortable", " proud")
_BAD = (" bad", " sad", " worse", " uncomfortable", " angry")
#: (kind word, harsh word, thing): single tokens, none twice.
_OPINIONS = (
    ("wonderful", "terrible", "film"), ("excellent", "awful", "meal"), ("great", "poor", "concert"),
    ("brilliant", "stupid", "speech"), ("lovely", "nasty", "letter"), ("delightful", "dreadful", "party"),
    ("superb", "boring", "play"), ("charming", "rude", "host"), ("exciting", "dull", "match"),
    ("fantastic", "horrible", "hotel"), ("perfect", "disappointing", "wedding"), ("pleasant", "unpleasant", "journey"),
    ("enjoyable", "annoying", "class"), ("beautiful", "ugly", "room"), ("magnificent", "miserable", "city"),
    ("outstanding", "useless", "answer"), ("splendid", "ridiculous", "story"), ("fun", "painful", "game"),
    ("kind", "cruel", "teacher"), ("amazing", "tedious", "book"),
)  # fmt: skip
_FRAMES = (
    "The {thing} was {opinion}, which made everyone feel",
    "Because the {thing} was so {opinion}, we all felt",
    "To be honest, the {thing} was {opinion}. It left me feeling",
)


def sentiment(seed: int = 0) -> Task:
    """120 pairs: 20 pairs of adjectives × 3 frames × both orders. Metric: good feelings against bad ones (logsumexp).

    Spans: thing, and opinion (where the prompts differ).
    """
    items = [
        _pair(frame, thing, (good, bad), side) for good, bad, thing in _OPINIONS for frame in _FRAMES for side in (0, 1)
    ]
    return Task(tuple(items), name="sentiment", seed=seed, note=f"{SHARED_FRAMES} The words asked for are shared.")


def _pair(frame: str, thing: str, opinions: tuple[str, str], side: int) -> Pair:
    clean, spans = fill(frame, thing=thing, opinion=opinions[side])
    corrupt, _ = fill(frame, thing=thing, opinion=opinions[1 - side])
    answer, foil = (_GOOD, _BAD) if side == 0 else (_BAD, _GOOD)
    return Pair(clean, corrupt, answer, foil, spans, group=" / ".join(opinions))
