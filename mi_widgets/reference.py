"""Reference: texts over which a mean is taken, or from which an activation is drawn."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reference:
    """Texts that activations are taken from. In a mean, position 0 keeps its own; the other positions are pooled."""

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", texts("a reference set", self.texts))
        if not self.texts:
            raise ValueError("a reference set needs at least one text")

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the texts' SHA-256."""
        return hashlib.sha256(json.dumps(self.texts).encode()).hexdigest()[:16]


def texts(what: str, given: Any) -> tuple[str, ...]:
    """Texts as a tuple; one text alone, and anything that is not a text, is refused."""
    if isinstance(given, str) or not all(isinstance(text, str) for text in given):
        raise ValueError(f"{what} is a list of texts, not {given!r:.80}")
    return tuple(given)
