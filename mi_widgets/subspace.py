"""Subspace: a few orthonormal directions of the residual stream, whose coordinates can be taken from another prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .site import Site

if TYPE_CHECKING:
    from .intervention import Recipe

_SQUARE = 1e-4  # how far B Bᵀ may be from the identity


@dataclass(frozen=True, eq=False)
class Subspace:
    """An orthonormal basis B of part of the residual stream after block `layer` (`resid_post`).

    basis: float32 [dimension, d_model], its rows of length one and at right angles.
    name: for figures. provenance: the model it was learned in, and how; recipes made from it carry it along.

    Subspaces are equal when all but their provenance is.
    """

    basis: np.ndarray
    layer: int
    name: str = "subspace"
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.layer, bool) or not isinstance(self.layer, int) or self.layer < 0:
            raise ValueError(f"layer must be a whole number from 0, not {self.layer!r}")
        if not isinstance(self.name, str):
            raise ValueError(f"the name of a subspace is a text, not {self.name!r:.80}")
        basis = np.ascontiguousarray(self.basis, dtype=np.float32)
        if basis.ndim != 2 or not 0 < basis.shape[0] <= basis.shape[1]:
            raise ValueError(f"a basis is [dimension, d_model] with 1 to d_model rows, not of shape {basis.shape}")
        gap = np.abs(basis @ basis.T - np.eye(len(basis))).max()
        if not gap <= _SQUARE:
            raise ValueError(f"the rows of a basis are orthonormal; these are off by {gap:.2g}")
        object.__setattr__(self, "basis", basis)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subspace) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def site(self) -> Site:
        """Where the subspace lives."""
        return Site("residual", self.layer, part="post")

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of a SHA-256: of the basis, its layer and its name."""
        plain = json.dumps([self.layer, self.name, self.basis.shape])
        return hashlib.sha256(plain.encode() + self.basis.tobytes()).hexdigest()[:16]

    def swap(self, prompt: str, positions: Sequence[int] | None = None) -> Recipe:
        """Take only the coordinates in the subspace from another prompt: x + (x_prompt − x) Bᵀ B.

        prompt: a text with as many tokens as the one that is run. positions: only these, counted from the end when
        negative. Tokens generated later keep their own.
        """
        from .intervention import swapped

        return swapped(self, prompt, positions)
