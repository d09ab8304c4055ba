"""Induction (Olsson et al. 2022): unrelated words, then the same from the start; after the ninth comes the tenth.

The corrupt prompt has that word and a later one changed about in the first run-through. What was repeated up to there
is the same, so only a model that looks back to the earlier occurrence can tell. Words are partitioned before lists are
made.
"""

from __future__ import annotations

import random

from ..task import Pair, Task

#: Words that have nothing to do with each other, each a single token after a space in the default model; none twice.
_TEXT = """
obtain carrots steady verbal village fees jewelry hook tiny export solve wave dent suspect gravity polite
borrow lamp eleven across purple engine maybe shout knee transfer bitter cousin rarely window decide copper
silent budget wrap angle monkey between formal dust negotiate orange seldom harbor twist blank theory milk
ladder prefer sudden union wool beneath argue frozen ticket modest spider quote hammer evening loose convince
pepper third climate shy bridge forget parade metal candle reduce gentle border sixteen cheek perhaps invent
marble noisy lawyer drift basket worry ancient signal tomato unless deliver crown brown method ghost lend
tunnel honest divide salmon toward rhythm borrowed plate clever voting needle calm pocket admire rough county
seven melt often picture resist violet debate thumb mirror hungry collect royal beside onion escape digital
farmer stiff promise ash kettle deny narrow museum twelve breathe mostly rocket compare yellow opinion frog
"""
_WORDS = _TEXT.split()
_LENGTH, _REPEATED, _LISTS = 12, 9, 10


def induction(seed: int = 0) -> Task:
    """120 pairs: 12 sets of 12 words × 10 orders. Metric: logit of the word that followed − of the one in its place.

    Spans: before (the first occurrence of the last word) and target (the word after it, where the prompts differ).
    """
    sets = [_WORDS[start : start + _LENGTH] for start in range(0, len(_WORDS), _LENGTH)]
    draw = random.Random(0)  # the lists are the same whatever the seed, which only divides them
    items = [_pair(draw.sample(words, _LENGTH), draw, group=words[0]) for words in sets for _ in range(_LISTS)]
    return Task(tuple(items), name="induction", seed=seed)


def _pair(words: list[str], draw: random.Random, group: str) -> Pair:
    other = draw.randrange(_REPEATED + 1, _LENGTH)
    changed = list(words)
    changed[_REPEATED], changed[other] = changed[other], changed[_REPEATED]
    clean, corrupt = ("".join(f" {word}" for word in run + words[:_REPEATED]) for run in (words, changed))
    ends = [sum(len(word) + 1 for word in words[: n + 1]) for n in (_REPEATED - 1, _REPEATED)]
    lengths = [len(words[n]) for n in (_REPEATED - 1, _REPEATED)]
    spans = {name: (end - n, end) for name, end, n in zip(("before", "target"), ends, lengths, strict=True)}
    return Pair(clean, corrupt, f" {words[_REPEATED]}", f" {words[other]}", spans, group)
