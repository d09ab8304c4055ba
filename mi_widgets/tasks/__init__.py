"""Built-in tasks: small, written for this package, with groups that keep what is alike on one side of a split.

To locate with (a clean and a corrupt prompt): `agreement` (verb after subject), `antonyms` (after two examples),
`capitals` (of a country), `greater_than` (a year after a year), `induction` (what followed last time), `ioi` (who
receives, in a sentence of two names), `pronouns` (after occupations: a stereotype), `sentiment` (how it made everyone
feel), `sums` (small, after two examples). To steer with: `tone` (how a day feels).

Frames and examples are shared across the splits, which each Task's `note` says; what fills them is not. How much of
each the default model solves is printed by benchmarks/tasks.py.
"""

from .agreement import agreement
from .antonyms import antonyms
from .capitals import capitals
from .greater_than import greater_than
from .induction import induction
from .ioi import ioi
from .pronouns import pronouns
from .sentiment import sentiment
from .sums import sums
from .tone import tone

__all__ = [
    "agreement",
    "antonyms",
    "capitals",
    "greater_than",
    "induction",
    "ioi",
    "pronouns",
    "sentiment",
    "sums",
    "tone",
]
