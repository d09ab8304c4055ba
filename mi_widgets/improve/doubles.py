"""Doubles: deltas and subspaces that aim at nothing in particular, as controls of those in a recipe.

Of a delta: a Gaussian one of the same shape, rank and Frobenius norm, in the same rows and columns. Of a subspace: a
uniformly random one of the same dimension.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..delta import Delta
from ..intervention import Intervention, Recipe
from ..subspace import Subspace


def doubled(step: Intervention) -> Delta | Subspace | None:
    """What of a step has a double."""
    return step.delta or step.subspace


def doubles(recipe: Recipe, rng: random.Random) -> dict[Delta | Subspace, Delta | Subspace]:
    """A random one for each delta and subspace of a recipe."""
    found = dict.fromkeys(value for step in recipe.interventions if (value := doubled(step)))
    return {value: _double(value, np.random.default_rng(rng.getrandbits(32))) for value in found}


def with_double(step: Intervention, drawn: dict[Delta | Subspace, Delta | Subspace]) -> Intervention:
    """The same step with what was drawn for it."""
    value = drawn[step.delta or step.subspace]  # type: ignore[index]
    return replace(step, delta=value) if isinstance(value, Delta) else replace(step, subspace=value)


def describe(recipe: Recipe) -> Sequence[str]:
    """What the doubles of a recipe are, in words."""
    kinds = {type(doubled(step)) for step in recipe.interventions}
    return [words for kind, words in _WORDS.items() if kind in kinds]


_WORDS = {
    Delta: "random deltas of the same shape, rank and norm",
    Subspace: "random subspaces of the same dimension",
}


def _double(value: Delta | Subspace, rng: np.random.Generator) -> Delta | Subspace:
    if isinstance(value, Subspace):
        return Subspace(np.linalg.qr(rng.standard_normal(value.basis.shape[::-1]))[0].T, value.layer, "random")
    left, right = _normal(rng, value.left.shape), None if value.right is None else _normal(rng, value.right.shape)
    drawn = Delta(left, right, value.rows, value.columns)
    return replace(drawn, left=left * (_norm(value) / _norm(drawn)))


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _norm(delta: Delta) -> float:
    """The Frobenius norm, without making the matrix of a low-rank one."""
    if delta.right is None:
        return float(np.linalg.norm(delta.left))
    return float(np.sqrt(np.sum((delta.left.T @ delta.left) * (delta.right @ delta.right.T))))
