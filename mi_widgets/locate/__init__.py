"""Locate: which parts of a model produce a behaviour. Every method returns a Grid."""

from .causal import causal, refine
from .translator import Translator
from .vocabulary import lens

__all__ = ["Translator", "causal", "lens", "refine"]
