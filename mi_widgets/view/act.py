"""The drafted action: what the bar at the foot of a view says will be done to the picked cells."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

Act = dict[str, Any]

DEFAULT: Act = {"verb": "switch_off", "kind": "mean"}
FIELDS = {"switch_off": {"kind"}, "scale": {"factor"}, "add": {"direction", "strength"}}
KINDS = ("mean", "zero")


def checked(act: Mapping[str, Any], directions: Sequence[Mapping[str, Any]]) -> Act:
    """The act in its plain form, or a ValueError that names what is wrong with it."""
    verb = act.get("verb")
    if not isinstance(verb, str) or verb not in FIELDS:
        raise ValueError(f"verb {verb!r} is none of {', '.join(FIELDS)}")
    _same_fields(act, verb)
    if verb == "switch_off":
        return {"verb": verb, "kind": _one_of(act["kind"], KINDS, "kind")}
    if verb == "scale":
        return {"verb": verb, "factor": finite(act["factor"], "factor")}
    names = [direction["name"] for direction in directions]
    direction = _one_of(act["direction"], names, "direction")
    return {"verb": verb, "direction": direction, "strength": finite(act["strength"], "strength")}


def _same_fields(act: Mapping[str, Any], verb: str) -> None:
    given, wanted = set(act) - {"verb"}, FIELDS[verb]
    if given != wanted:
        raise ValueError(f"{verb} takes {sorted(wanted)}, not {sorted(given)}")


def _one_of(value: object, allowed: Sequence[str], name: str) -> str:
    if value not in allowed:
        raise ValueError(f"{name} {value!r} is none of {', '.join(allowed) or '(there are none)'}")
    return str(value)


def finite(value: object, name: str) -> float:
    """A number that a page may send, or a ValueError."""
    number = float("nan")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} {value!r:.40} is not a finite number")
    return number
