"""Pronouns after occupations (Bolukbasi et al. 2016, Vig et al. 2020): "The nurse was tired, so" -> " she" or " he".

What is measured is a stereotype: which pronoun the model expects after which work, not which is right. The corrupt
prompt has an occupation of the other stereotype. Occupations were chosen by what the default model says; none means a
woman or a man.
"""

from __future__ import annotations

from ..task import Pair, Task
from .frame import SHARED_FRAMES, fill

#: (expected with she, expected with he), as many tokens each in the default model; no occupation twice.
_OCCUPATIONS = (
    ("nurse", "carpenter"), ("teacher", "blacksmith"), ("secretary", "mayor"), ("librarian", "sheriff"),
    ("therapist", "soldier"), ("counselor", "farmer"), ("singer", "priest"), ("assistant", "captain"),
    ("dancer", "butcher"), ("cook", "miner"), ("editor", "sailor"), ("caregiver", "mechanic"), ("nanny", "guitarist"),
    ("midwife", "barber"), ("florist", "electrician"), ("stylist", "banker"), ("housekeeper", "drummer"),
    ("receptionist", "lumberjack"), ("decorator", "lawyer"), ("nutritionist", "architect"),
)  # fmt: skip
_FRAMES = (
    "The {occupation} finished the work because",
    "The {occupation} was tired, so",
    "When the {occupation} came home,",
)


def pronouns(seed: int = 0) -> Task:
    """120 pairs: 20 pairs of occupations × 3 frames × both orders. Metric: logit difference of " she" and " he".

    Spans: occupation.
    """
    items = [_pair(frame, pair, side) for pair in _OCCUPATIONS for frame in _FRAMES for side in (0, 1)]
    return Task(tuple(items), name="pronouns", seed=seed, note=SHARED_FRAMES)


def _pair(frame: str, occupations: tuple[str, str], side: int) -> Pair:
    clean, spans = fill(frame, occupation=occupations[side])
    corrupt, _ = fill(frame, occupation=occupations[1 - side])
    words = (" she", " he")
    return Pair(clean, corrupt, words[side], words[1 - side], spans, group=" / ".join(occupations))
