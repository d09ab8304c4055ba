"""Site: where. One address inside a model, as a frozen value.

A Site names an activation the way the field does: a head's output `z`, the residual stream before a block, one neuron.
It holds no tensor and knows no hook name; the model room turns it into one. Sites hash and compare by value, print
short (`L9H4`, `resid_pre.L3@5`), and impossible ones are refused when they are made.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any

#: The parts of each kind of object; the first is the default.
PARTS: dict[str, tuple[str, ...]] = {
    "embedding": ("out",),
    "residual": ("pre", "mid", "post"),
    "head": ("z", "q", "k", "v", "pattern"),
    "ffn": ("out",),
    "neuron": ("post", "pre"),
    "feature": ("post", "pre", "ffn"),
    "weight": ("W_Q", "W_K", "W_V", "W_O", "W_gate", "W_in", "W_out"),
}
_INDEXED = {"head", "neuron", "feature"}


@dataclass(frozen=True, order=True)
class Site:
    """One place in a model.

    kind: `embedding`, `residual`, `head`, `ffn`, `neuron`, `feature` of a dictionary (SAE), or `weight` for a block's
        matrix.
    layer: block number from 0; None for the embedding.
    index: head, neuron or feature number from 0 (`k` and `v` count key-value heads); None for the others.
    part: which activation of the object, see `PARTS`; "" takes the kind's first. Of a feature, what its dictionary
        reads: the residual stream after or before the block, or the FFN's output.
    position: token position, from 0, or from the end when negative; None means every position. Of a pattern it is the
        query's.
    key: key position of a pattern, counted in the same way; None means every key.
    """

    kind: str
    layer: int | None = None
    index: int | None = None
    part: str = ""
    position: int | None = None
    key: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in PARTS:
            raise ValueError(f"there is no kind of site called {self.kind!r}; kinds are {', '.join(PARTS)}")
        if self.part == "" and self.kind == "weight":
            raise ValueError(f"a weight needs its part, one of {', '.join(PARTS['weight'])}")
        if self.part == "":
            object.__setattr__(self, "part", PARTS[self.kind][0])
        check_part(self.kind, self.part)
        for name in ("layer", "index", "position", "key"):
            if _is_whole(value := getattr(self, name)):
                object.__setattr__(self, name, int(value))  # numpy's integers too
        _whole_or_none("layer", self.layer, needed=self.kind != "embedding", kind=self.kind)
        _whole_or_none("index", self.index, needed=self.kind in _INDEXED, kind=self.kind)
        for name in ("position", "key"):
            if getattr(self, name) is not None and not _is_whole(getattr(self, name)):
                raise ValueError(f"{name} must be an int or None, not {getattr(self, name)!r}")
        if self.kind == "weight" and self.position is not None:
            raise ValueError("a weight has no position")
        if self.key is not None and self.part != "pattern":
            raise ValueError(f"only attention patterns have a key position, not the {self.part} of a {self.kind}")

    def __str__(self) -> str:
        where = "" if self.position is None else f"@{self.position}"
        where += "" if self.key is None else f"→{self.key}"
        if self.kind == "head":
            part = "" if self.part == "z" else f".{self.part}"
            return f"L{self.layer}H{self.index}{part}{where}"
        if self.kind == "neuron":
            return f"L{self.layer}N{self.index}{where}"
        if self.kind == "feature":
            part = "" if self.part == "post" else f".{self.part}"
            return f"L{self.layer}F{self.index}{part}{where}"
        if self.kind == "weight":
            return f"L{self.layer}.{self.part}"
        if self.kind == "residual":
            return f"resid_{self.part}.L{self.layer}{where}"
        return f"{self.kind}{'' if self.layer is None else f'.L{self.layer}'}{where}"

    def to_dict(self) -> dict[str, Any]:
        """The site as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Site:
        """The site that `to_dict` wrote; unknown fields are refused."""
        unknown = set(data) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"a site has no field {sorted(unknown)[0]!r}")
        return cls(**data)


def check_part(kind: str, part: Any) -> None:
    """Refuse a part that a kind of site does not have, with those that it has."""
    if not isinstance(part, str) or part not in PARTS[kind]:
        raise ValueError(f"a {kind} has no part {part!r}; its parts are {', '.join(PARTS[kind])}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _whole_or_none(name: str, value: Any, *, needed: bool, kind: str) -> None:
    """Refuse a missing, superfluous, non-integer or negative number."""
    if value is None and needed:
        raise ValueError(f"a {kind} needs its {name}: Site({kind!r}, ..., {name}=0)")
    if value is not None and not needed:
        raise ValueError(f"a {kind} has no {name}, but {name}={value!r} was given")
    if value is not None and (not _is_whole(value) or value < 0):
        raise ValueError(f"{name} must be a whole number from 0, not {value!r}")
