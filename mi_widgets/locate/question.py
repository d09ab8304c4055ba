"""Question: what a causal map is asked, checked before any model runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from ..intervention import Recipe
from ..run import checked
from ..site import Site, check_part
from .titles import NOUNS

METHODS = ("denoise", "noise", "zero", "mean", "resample")
#: objects -> (kind, part, axes)
OBJECTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "heads": ("head", "z", ("layer", "head")),
    "q": ("head", "q", ("layer", "head")),
    "k": ("head", "k", ("layer", "head")),
    "v": ("head", "v", ("layer", "head")),
    "pattern": ("head", "pattern", ("layer", "head")),
    "head_positions": ("head", "z", ("layer", "head", "position")),
    "residual": ("residual", "pre", ("layer", "position")),
    "ffn": ("ffn", "out", ("layer", "position")),
    "neurons": ("neuron", "post", ("layer", "neuron")),
    "features": ("feature", "post", ("layer", "feature")),
    "embedding": ("embedding", "out", ("position",)),
}


@dataclass(frozen=True, eq=False)
class Question:
    """The arguments of `causal`; see there."""

    objects: str = "heads"
    method: str = "denoise"
    part: str | None = None
    sites: Sequence[Site] | None = None
    pairs: Sequence[tuple[int, int]] | None = None
    vector: np.ndarray | None = None
    recipe: Recipe | None = None
    reference: Sequence[str] | None = None
    split: str = "fit"
    prepend_bos: bool | None = None

    def __post_init__(self) -> None:
        if self.objects not in OBJECTS:
            raise ValueError(f"objects must be one of {', '.join(OBJECTS)}, not {self.objects!r}")
        if self.method not in (*METHODS, "vector"):
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if self.sites is not None and (
            isinstance(self.sites, (str, Site)) or not all(isinstance(site, Site) for site in self.sites)
        ):
            raise ValueError(f"sites is a list of Sites, such as [Site('head', 1, 0)], not {self.sites!r:.80}")
        if self.sites is not None and not len(self.sites):
            raise ValueError("sites is empty: name at least one cell, or leave it out for all")
        if self.pairs is not None and (self.objects not in ("heads", "pattern") or self.vector is not None):
            raise ValueError("pairs cut attention from queries to keys: they go with objects='heads' and no vector")
        self._check_pairs()
        check_part(self.kind, self.site_part)
        if isinstance(self.reference, str) or (self.reference is not None and not len(self.reference)):
            raise ValueError(f"reference is a list of texts, not {self.reference!r:.80}")
        if self.reference is not None and self.how not in ("mean", "resample"):
            raise ValueError(f"{self.how} reads no reference: it goes with method='mean' or 'resample'")
        self._check_vector()
        checked(self.recipe)

    def _check_pairs(self) -> None:
        if self.pairs is None:
            return
        if self.method != "denoise":
            raise ValueError("pairs is a method of its own: leave method out")
        if not len(self.pairs):
            raise ValueError("pairs is empty: name at least one (query position, key position)")
        for pair in self.pairs:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(p, Integral) for p in pair):
                raise ValueError(f"pairs are (query position, key position), such as [(14, 2)], not {pair!r:.80}")

    def _check_vector(self) -> None:
        if self.method == "vector" and self.vector is None:
            raise ValueError("method='vector' needs vector=, the value that each cell is set to")
        if self.vector is None:
            return
        if self.objects == "pattern" or self.method not in ("denoise", "vector"):
            raise ValueError("vector is a method of its own: leave method out, and take other objects than pattern")
        if not np.isfinite(np.asarray(self.vector, dtype=np.float32)).all():
            raise ValueError("vector holds a number that is not finite")

    @property
    def how(self) -> str:
        """The method, or what stands in its place."""
        if self.pairs is not None:
            return "knock_out"
        return "vector" if self.vector is not None else self.method

    @property
    def patches(self) -> bool:
        """Whether values come from the pair's other run, which then needs as many tokens."""
        return self.how in ("denoise", "noise")

    @property
    def kind(self) -> str:
        """The cells' kind of Site."""
        return OBJECTS[self.objects][0]

    @property
    def site_part(self) -> str:
        """The cells' part."""
        if self.pairs is not None:
            return "pattern"
        return self.part or OBJECTS[self.objects][1]

    @property
    def axes(self) -> tuple[str, ...]:
        """The map's axes, by name."""
        return OBJECTS[self.objects][2]

    @property
    def vector_hash(self) -> str:
        """The first 16 hex digits of the vector's SHA-256."""
        return hashlib.sha256(np.asarray(self.vector, dtype=np.float32).tobytes()).hexdigest()[:16]

    @property
    def noun(self) -> str:
        """What the cells are, for titles."""
        return NOUNS[self.kind, self.site_part]

    @property
    def verb(self) -> str:
        """What is done to them, for titles."""
        if self.pairs is None:
            return _VERBS[self.how]
        cut = ", ".join(f"{query} to {key}" for query, key in self.pairs[:3]) + (", …" if len(self.pairs) > 3 else "")
        return f"cutting attention from position {cut} (rows not renormalised)"

    @property
    def sign(self) -> str:
        """How to read the map's colours."""
        return _SIGNS[self.how]


_VERBS = {
    "denoise": "restoring each from the clean run",
    "noise": "taking each from the corrupt run",
    "zero": "setting each to zero",
    "mean": "setting each to its mean",
    "resample": "taking each from other prompts",
    "vector": "setting each to a vector",
}
_SIGNS = {
    "denoise": "Positive: putting the clean activation into the corrupt run moves the model toward the answer.",
    "noise": "Negative: taking the corrupt activation moves the model away from the answer, so the answer needs it.",
    "zero": "Negative: without this activation the answer loses, so the cell supports it.",
    "mean": "Negative: with its mean in its place the answer loses, so the cell supports it.",
    "resample": "Negative: with other prompts' activations in its place the answer loses, so the cell supports it.",
    "vector": "Negative: with the vector in its place the answer loses.",
    "knock_out": "Negative: without this attention the answer loses, so the head's look there supports it.",
}
