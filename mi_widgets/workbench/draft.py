"""Draft: from the drafted act and the picked cells to the Recipe that Run would run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ..direction import Direction
from ..intervention import Recipe
from ..model import Model
from ..selection import Selection
from ..steer import background, neutral

_SAMPLES = 4  # texts that a resampled activation is drawn from


def drafted(
    act: Mapping[str, Any], picked: Selection, directions: Mapping[str, Direction], model: Model, length: int
) -> Recipe:
    """The recipe of an act on picked cells; "reading" is the lens's own (`Instrument.edit`).

    length: of the prompt, in tokens.
    """
    verb = act["verb"]
    if verb == "scale":
        return picked.scale(act["factor"])
    if verb == "clamp":
        return picked.clamp(act["low"], act["high"])
    if verb == "replace":
        return picked.replace(act["prompt"])
    if verb == "switch_off":
        return picked.switch_off(act["kind"], _long(model, length) if act["kind"] == "resample" else None)
    positions = list(dict.fromkeys(site.position for site in picked if site.position is not None)) or None
    direction = directions[act["direction"]]
    made = direction.add(act["strength"], positions) if verb == "add" else direction.project_out(positions)
    return Recipe(made.interventions, picked.provenance)


def _long(model: Model, length: int) -> Sequence[str]:
    """The first of the package's neutral texts, and of its longer ones, that have at least so many tokens."""

    def fits(text: str) -> bool:
        try:
            return model.ids(text).shape[1] >= length
        except ValueError:  # longer than the model reads
            return False

    long = list(itertools.islice(filter(fits, (*neutral(), *background().texts)), _SAMPLES))
    if not long:
        raise ValueError(
            f"the prompt has {length} tokens, more than any of the package's texts: choose the mean or zero, or give "
            "texts of your own, view.selection.switch_off('resample', reference=[...])"
        )
    return long
