"""Indirect object identification (Wang et al. 2023): "When Mary and John …, John gave a drink to" -> " Mary".

The corrupt prompt repeats the other name, so that the other answer is right. Names are partitioned into disjoint pairs
before sentences are made: a pair of names is a group, and never stands in two splits.
"""

from __future__ import annotations

from ..task import Pair, Task

#: Disjoint pairs of names, each a single token after a space in the default model's vocabulary.
_NAMES = (
    ("Mary", "John"), ("Anna", "Peter"), ("Sarah", "Tom"), ("Emma", "Jack"), ("Alice", "Paul"), ("Laura", "Mark"),
    ("Kate", "David"), ("Lucy", "Henry"), ("Jane", "James"), ("Rose", "George"), ("Maria", "Robert"),
    ("Susan", "Michael"), ("Helen", "Charles"), ("Lisa", "Andrew"), ("Julia", "Simon"), ("Amy", "Daniel"),
    ("Ruth", "Adam"), ("Grace", "Steve"), ("Elizabeth", "William"), ("Margaret", "Thomas"),
)  # fmt: skip
_SCENES = (
    "When {a} and {b} went to the store, {b} gave a drink to",
    "After {a} and {b} sat down in the garden, {b} handed a letter to",
    "While {a} and {b} were at the office, {b} showed a picture to",
)


def ioi(seed: int = 0) -> Task:
    """120 pairs: 20 name pairs × 3 scenes × both orders. Metric: logit difference between the two names."""
    items = []
    for first, second in _NAMES:
        for scene in _SCENES:
            for a, b in ((first, second), (second, first)):
                items.append(_pair(scene, a, b, group=f"{first} {second}"))
    return Task(tuple(items), name="ioi", seed=seed)


def _pair(scene: str, a: str, b: str, group: str) -> Pair:
    clean = scene.format(a=a, b=b)
    start, end = clean.rsplit(b, 1)
    return Pair(clean, f"{start}{a}{end}", answer=f" {a}", foil=f" {b}", group=group)
