"""Delta: what is added to one weight matrix, as a low-rank product or a block of its rows and columns."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Delta:
    """An addition to a matrix W [d_in, d_out] (an activation x [d_in] is multiplied from the left: x W).

    left: float32 [rows, columns], the addition itself; with `right`, [rows, rank].
    right: float32 [rank, columns], or None.
    rows, columns: which of W's rows and columns are meant, in order; None for all of them. Heads are blocks of W_Q's
        columns and of W_O's rows, neurons are columns of W_in and rows of W_out.
    """

    left: np.ndarray
    right: np.ndarray | None = None
    rows: tuple[int, ...] | None = None
    columns: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _matrix(name, getattr(self, name)))
        if self.right is not None and self.left.shape[1] != self.right.shape[0]:
            raise ValueError(f"left {self.left.shape} and right {self.right.shape} have no product")
        for axis, name in enumerate(("rows", "columns")):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _numbers(name, getattr(self, name), self.shape[axis]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Delta) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def shape(self) -> tuple[int, int]:
        """Of what is added: [rows, columns]."""
        return self.left.shape[0], (self.left if self.right is None else self.right).shape[1]

    @property
    def matrix(self) -> np.ndarray:
        """What is added, float32 [rows, columns]."""
        return self.left if self.right is None else self.left @ self.right

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.left.size + (0 if self.right is None else self.right.size)

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of a SHA-256 of all of it."""
        digest = hashlib.sha256(json.dumps([self.rows, self.columns, self.left.shape]).encode())
        digest.update(self.left.tobytes())
        digest.update(b"" if self.right is None else self.right.tobytes())
        return digest.hexdigest()[:16]


def _matrix(name: str, given: np.ndarray) -> np.ndarray:
    matrix = np.ascontiguousarray(given, dtype=np.float32)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a finite matrix, not of shape {matrix.shape}")
    return matrix


def _numbers(name: str, given: tuple[int, ...], length: int) -> tuple[int, ...]:
    numbers = tuple(given)
    if len(numbers) != length or len(set(numbers)) != length:
        raise ValueError(f"{name} must be {length} different numbers, one for each in the matrix, not {numbers!r:.80}")
    if not all(isinstance(number, (int, np.integer)) and number >= 0 for number in numbers):
        raise ValueError(f"{name} must be whole numbers from 0, not {numbers!r:.80}")
    return tuple(int(number) for number in numbers)
