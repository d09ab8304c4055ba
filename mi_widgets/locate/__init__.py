"""Locate: which parts of a model produce a behaviour. Every method returns a Grid."""

from .causal import causal, refine
from .gradient import gradient
from .vocabulary import lens

__all__ = ["causal", "gradient", "lens", "refine"]
