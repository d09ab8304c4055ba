"""The drafted action: what the bar at the foot of a view says will be done to the picked cells."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Act = dict[str, Any]

DEFAULT: Act = {"verb": "switch_off", "kind": "mean"}
FIELDS = {
    "switch_off": {"kind"},
    "scale": {"factor"},
    "add": {"direction", "strength"},
    "clamp": {"low", "high"},
    "replace": {"prompt"},
    "project_out": {"direction"},
    "reading": {"how", "token", "strength"},
}
KINDS = ("mean", "zero", "resample")
HOWS = ("remove", "add", "swap")
PLACELESS = ("add", "project_out")
"""Verbs of a direction, which has a layer of its own: they need no picked cell."""
_LONGEST = 10_000  # letters of a typed prompt or token


def checked(act: Mapping[str, Any], directions: Sequence[Mapping[str, Any]]) -> Act:
    """The act in its plain form, or a ValueError that names what is wrong with it."""
    verb = act.get("verb")
    if not isinstance(verb, str) or verb not in FIELDS:
        raise ValueError(f"verb {verb!r} is none of {', '.join(FIELDS)}")
    _same_fields(act, verb)
    reads: dict[str, Callable[[object, str], Any]] = {
        "kind": lambda value, name: _one_of(value, KINDS, name),
        "how": lambda value, name: _one_of(value, HOWS, name),
        "direction": lambda value, name: _one_of(value, [direction["name"] for direction in directions], name),
        "factor": finite,
        "strength": finite,
        "low": _bound,
        "high": _bound,
        "prompt": _text,
        "token": _text,
    }
    return {"verb": verb, **{name: reads[name](act[name], name) for name in act if name != "verb"}}


def _same_fields(act: Mapping[str, Any], verb: str) -> None:
    given, wanted = set(act) - {"verb"}, FIELDS[verb]
    if given != wanted:
        raise ValueError(f"{verb} takes {sorted(wanted)}, not {sorted(given)}")


def _one_of(value: object, allowed: Sequence[str], name: str) -> str:
    if value not in allowed:
        raise ValueError(f"{name} {value!r} is none of {', '.join(allowed) or '(there are none)'}")
    return str(value)


def _bound(value: object, name: str) -> float | None:
    """A number, or None for no bound."""
    return None if value is None else finite(value, name)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError(f"{name} is a text of at most {_LONGEST:,} letters, not {value!r:.40}")
    return value


def finite(value: object, name: str) -> float:
    """A number that a page may send, or a ValueError."""
    number = float("nan")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} {value!r:.40} is not a finite number")
    return number
