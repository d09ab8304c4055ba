"""Subject–verb agreement (Linzen, Dupoux and Goldberg 2016): "The keys near the cabinet" -> " are", not " is".

The corrupt prompt has the subject in the other number. Between subject and verb stands another noun, whose number the
frame gives: in half of the items it agrees with the subject, in half it misleads.
"""

from __future__ import annotations

from ..task import Pair, Task
from .frame import SHARED_FRAMES, fill

_SINGULAR, _PLURAL = (" is", " was", " has"), (" are", " were", " have")
#: Subject and the noun in between, each as (singular, plural); no noun stands in two rows.
_NOUNS = (
    (("key", "keys"), ("table", "tables")), (("dog", "dogs"), ("house", "houses")),
    (("boy", "boys"), ("car", "cars")), (("girl", "girls"), ("tree", "trees")),
    (("book", "books"), ("chair", "chairs")), (("teacher", "teachers"), ("student", "students")),
    (("doctor", "doctors"), ("nurse", "nurses")), (("farmer", "farmers"), ("horse", "horses")),
    (("author", "authors"), ("editor", "editors")), (("singer", "singers"), ("dancer", "dancers")),
    (("pilot", "pilots"), ("plane", "planes")), (("picture", "pictures"), ("window", "windows")),
    (("bird", "birds"), ("road", "roads")), (("bottle", "bottles"), ("box", "boxes")),
    (("lawyer", "lawyers"), ("judge", "judges")), (("cat", "cats"), ("door", "doors")),
    (("letter", "letters"), ("report", "reports")), (("soldier", "soldiers"), ("river", "rivers")),
    (("neighbor", "neighbors"), ("garden", "gardens")), (("engineer", "engineers"), ("bridge", "bridges")),
)  # fmt: skip
#: Frame, and whether the noun in between is plural.
_FRAMES = (
    ("Everyone knows that the {subject} near the {attractor}", False),
    ("I think that the {subject} behind the {attractor}", True),
    ("As we saw, the {subject} next to the {attractor}", False),
)


def agreement(seed: int = 0) -> Task:
    """120 pairs: 20 subjects × 3 frames × both numbers. Metric: is, was, has against are, were, have (logsumexp).

    Spans: subject (where the prompts differ) and attractor (the noun in between).
    """
    items = [
        _pair(frame, subject, between[plural], number)
        for subject, between in _NOUNS
        for frame, plural in _FRAMES
        for number in (0, 1)
    ]
    return Task(tuple(items), name="agreement", seed=seed, note=SHARED_FRAMES)


def _pair(frame: str, subject: tuple[str, str], attractor: str, number: int) -> Pair:
    clean, spans = fill(frame, subject=subject[number], attractor=attractor)
    corrupt, _ = fill(frame, subject=subject[1 - number], attractor=attractor)
    answer, foil = (_SINGULAR, _PLURAL) if number == 0 else (_PLURAL, _SINGULAR)
    return Pair(clean, corrupt, answer, foil, spans, group=subject[0])
