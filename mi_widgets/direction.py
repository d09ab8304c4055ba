"""Direction: a unit vector in a model's activations, with the scale that gives a strength its meaning.

Strength is in units of `norm`: in the residual stream the median length of what is there, at a head's output the spread
along the direction. `natural` is the strength that a difference of two sets of texts has by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .reference import texts
from .site import Site

if TYPE_CHECKING:
    from .intervention import Recipe

_FORMAT = "mi_widgets.direction/1"
#: What a direction is besides its vector and provenance; its file and its hash hold all of it.
FIELDS = ("layer", "norm", "natural", "name", "positive", "negative", "head", "kind", "tokens")


@dataclass(frozen=True, eq=False, repr=False)
class Direction:
    """A unit vector after block `layer` (`resid_post`), or at the output z of one of its heads.

    vector: float32 [d_model], or [d_head] at a head; length 1.
    norm: one unit of strength: the median residual norm at that layer, position 0 excluded; at a head, the standard
        deviation of its output along the vector.
    natural: |mean difference| / norm, the strength at which adding moves from one set's mean to the other's.
    positive, negative: the texts it was made from, so that code can make it again.
    head: the head's number, or None for the residual stream.
    kind: how it was made ("mean": as the difference of the texts' means, which code can repeat).
    tokens: of a reading, the token's id; of two, the first one's direction less the second's; see `steer.reading`.
    provenance: the model it was made in; recipes made from it carry it along.

    Directions are equal when all but their provenance is.
    """

    vector: np.ndarray
    layer: int
    norm: float
    natural: float
    name: str = "direction"
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    head: int | None = None
    kind: str = "mean"
    tokens: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.layer, bool) or not isinstance(self.layer, int) or self.layer < 0:
            raise ValueError(f"layer must be a whole number from 0, not {self.layer!r}")
        for name in ("positive", "negative"):
            object.__setattr__(self, name, texts(name, getattr(self, name)))
        object.__setattr__(self, "tokens", _ids(self.tokens))
        for name in ("name", "kind"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"the {name} of a direction is a text, not {getattr(self, name)!r:.80}")
        vector = np.asarray(self.vector, dtype=np.float32)
        length = float(np.linalg.norm(vector))
        if vector.ndim != 1 or not np.isfinite(length) or length == 0:
            raise ValueError(f"a direction is one finite vector [d_model] that is not zero; got shape {vector.shape}")
        if abs(length - 1) > 1e-5:
            vector = vector / length
        if not (is_finite(self.norm) and self.norm > 0 and is_finite(self.natural)):
            raise ValueError(f"norm must be above 0 and natural finite, not {self.norm!r} and {self.natural!r}")
        object.__setattr__(self, "vector", vector)
        for name in ("norm", "natural"):
            object.__setattr__(self, name, float(getattr(self, name)))
        _ = self.site  # refuses a head that is no number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Direction) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"Direction({self.name!r}, {len(self.vector)} numbers at {self.site}, natural {self.natural:.3g})"

    @property
    def site(self) -> Site:
        """Where the direction lives."""
        if self.head is None:
            return Site("residual", self.layer, part="post")
        return Site("head", self.layer, self.head)

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of a SHA-256: of the vector, its place and scale, its name and texts."""
        plain = json.dumps([getattr(self, name) for name in FIELDS])
        return hashlib.sha256(plain.encode() + self.vector.tobytes()).hexdigest()[:16]

    def add(
        self,
        strength: float | None = None,
        positions: Sequence[int] | None = None,
        where: str = "all",
        keep_norm: bool = False,
    ) -> Recipe:
        """Add `strength` (default: `natural`) times `norm` times the vector.

        positions: only these, counted from the end when negative. where: "all" positions, only those of the "prompt",
        or only "generated" ones. keep_norm: rescale to the length that was there, so that the activation is turned.
        """
        from .intervention import added

        return added(self, strength, positions, where, keep_norm)

    def project_out(
        self,
        positions: Sequence[int] | None = None,
        where: str = "all",
        everywhere: bool = False,
        first: bool = False,
    ) -> Recipe:
        """Take the direction out: x − (x · v) v, at its own place or in all that writes to the residual stream.

        everywhere: at the embedding and after every attention and FFN, so that no layer ever has it (directional
        ablation, Arditi et al. 2024). first: at position 0 too, whose activation is of another size altogether, so that
        taking a direction out of it does far more than was meant.
        """
        from .intervention import projected_out

        return projected_out(self, positions, where, everywhere, first)

    def when(self, gate: Direction, above: float, position: str | int = "last_prompt") -> Recipe:
        """Add the direction at its natural strength, but only to prompts that `gate` fires on; see `Recipe.when`."""
        return self.add().when(gate, above, position)

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file that `Direction.load` reads."""
        from safetensors.numpy import save_file

        header = {"format": _FORMAT, **{name: getattr(self, name) for name in FIELDS}, "provenance": self.provenance}
        save_file({"vector": self.vector}, str(path), metadata={"direction": json.dumps({**header, "hash": self.hash})})
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Direction:
        """Read what `save` wrote; another format, unknown fields or another hash than it states are refused."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                header, vector = json.loads((file.metadata() or {}).get("direction", "{}")), file.get_tensor("vector")
            return cls._read(header, vector)
        except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is not a direction that can be read: {error}") from error

    @classmethod
    def _read(cls, header: dict[str, Any], vector: np.ndarray) -> Direction:
        if header.pop("format", None) != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT}")
        stated = header.pop("hash", None)
        unknown = set(header) - {*FIELDS, "provenance"}
        if unknown:
            raise ValueError(f"it has the unknown field {sorted(unknown)[0]!r}")
        direction = cls(vector, **header)
        if direction.hash != stated:
            raise ValueError("it does not have the hash that it states")
        return direction


def _ids(tokens: Any) -> tuple[int, ...]:
    ids = tuple(tokens) if isinstance(tokens, (list, tuple)) else (None,)
    if len(ids) > 2 or not all(isinstance(id_, int) and not isinstance(id_, bool) and id_ >= 0 for id_ in ids):
        raise ValueError(f"tokens are at most two ids from 0, not {tokens!r:.80}")
    return ids


def is_finite(value: Any) -> bool:
    """Whether a value is a finite number (and not True or False)."""
    if not isinstance(value, (int, float, np.number)) or isinstance(value, bool):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except (OverflowError, TypeError):
        return False
