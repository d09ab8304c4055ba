"""Indirect object identification (Wang et al. 2023): "When Mary and John …, John gave a drink to" -> " Mary".

The corrupt prompt repeats the other name, so that the other answer is right. Names are partitioned into disjoint pairs
before sentences are made: a pair of names is a group, and never stands in two splits.
"""

from __future__ import annotations

from ..task import Pair, Task
from .frame import SHARED_FRAMES, fill

#: Disjoint pairs of names, each a single token after a space in the default model's vocabulary.
_NAMES = (
    ("Mary", "John"), ("Anna", "Peter"), ("Sarah", "Tom"), ("Emma", "Jack"), ("Alice", "Paul"), ("Laura", "Mark"),
    ("Kate", "David"), ("Lucy", "Henry"), ("Jane", "James"), ("Rose", "George"), ("Maria", "Robert"),
    ("Susan", "Michael"), ("Helen", "Charles"), ("Lisa", "Andrew"), ("Julia", "Simon"), ("Amy", "Daniel"),
    ("Ruth", "Adam"), ("Grace", "Steve"), ("Elizabeth", "William"), ("Margaret", "Thomas"),
)  # fmt: skip
_SCENES = (
    "When {IO} and {S1} went to the store, {S2} gave a drink to",
    "After {IO} and {S1} sat down in the garden, {S2} handed a letter to",
    "While {IO} and {S1} were at the office, {S2} showed a picture to",
)


def ioi(seed: int = 0) -> Task:
    """120 pairs: 20 name pairs × 3 scenes × both orders. Metric: logit difference between the two names.

    Spans, as in the paper: IO (the indirect object), S1 and S2 (the subject, twice); S2 is where the prompts differ.
    """
    items = [
        _pair(scene, a, b, group=f"{first} {second}")
        for first, second in _NAMES
        for scene in _SCENES
        for a, b in ((first, second), (second, first))
    ]
    return Task(tuple(items), name="ioi", seed=seed, note=SHARED_FRAMES)


def _pair(scene: str, a: str, b: str, group: str) -> Pair:
    clean, spans = fill(scene, IO=a, S1=b, S2=b)
    corrupt, _ = fill(scene, IO=a, S1=b, S2=a)
    return Pair(clean, corrupt, f" {a}", f" {b}", spans, group)
