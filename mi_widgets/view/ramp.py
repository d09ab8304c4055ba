"""Ramp: how the numbers of a unit become colours, where that is not simply the larger, the brighter."""

from typing import Literal, NamedTuple


class Ramp(NamedTuple):
    """As in `Panel`: spacing "even" or "log", which end of a sequential scale is bright, and where it begins."""

    spacing: Literal["even", "log"] = "even"
    bright: Literal["high", "low"] = "high"
    low: float = 0.0


#: Ranks go from 1, the best, to the size of the vocabulary; of a divergence, 0 is agreement.
RAMPS = {"rank": Ramp("log", "low", 1.0), "nats": Ramp("even", "low")}


def of(unit: str) -> Ramp:
    """The ramp of a unit."""
    return RAMPS.get(unit, Ramp())
