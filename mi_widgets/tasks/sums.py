"""Small sums after two examples, "5 + 2 = 7", "1 + 3 = 4", then "3 + 6 = " -> "9" (few-shot, as in Brown et al. 2020).

The corrupt prompt has other addends with another sum; both are below ten. What is asked are unordered pairs of addends:
each is asked in one group only, in both orders, and none stands in an example. A digit, and the space before it, are
tokens of their own in the default model. Sums were chosen among those that the default model can do.
"""

from __future__ import annotations

from itertools import product

from ..task import Pair, Task
from .frame import fill

_EXAMPLES = ("5 + 2 = 7\n1 + 3 = 4\n", "1 + 3 = 4\n5 + 2 = 7\n", "2 + 5 = 7\n3 + 1 = 4\n")
#: Two pairs of addends with different sums in a row; no pair stands in two rows.
_ADDENDS = (
    ((1, 1), (3, 4)), ((2, 2), (1, 7)), ((3, 3), (4, 5)), ((4, 4), (2, 3)), ((1, 2), (3, 5)), ((1, 4), (3, 6)),
    ((1, 5), (2, 7)), ((1, 6), (2, 4)), ((1, 8), (2, 6)),
)  # fmt: skip


def sums(seed: int = 0) -> Task:
    """168 pairs: 9 groups of two pairs of addends × their orders × which is asked × 3 orders of the examples.

    Metric: logit difference of the two sums. Spans: first, second (the addends; both differ).
    """
    items = []
    for examples, (left, right) in product(_EXAMPLES, _ADDENDS):
        for one, other in product(_orders(left), _orders(right)):
            items += [_pair(examples, one, other), _pair(examples, other, one)]
    note = "The two examples in front are the same in all splits, and asked in none."
    return Task(tuple(items), name="sums", seed=seed, note=note)


def _orders(addends: tuple[int, int]) -> list[tuple[int, int]]:
    return list(dict.fromkeys((addends, addends[::-1])))


def _pair(examples: str, here: tuple[int, int], there: tuple[int, int]) -> Pair:
    frame = examples + "{first} + {second} = "
    clean, spans = fill(frame, first=str(here[0]), second=str(here[1]))
    corrupt, _ = fill(frame, first=str(there[0]), second=str(there[1]))
    group = " / ".join(f"{a} + {b}" for a, b in sorted((tuple(sorted(here)), tuple(sorted(there)))))
    return Pair(clean, corrupt, str(sum(here)), str(sum(there)), spans, group)
