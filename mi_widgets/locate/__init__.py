"""Locate: which parts of a model produce a behaviour. Every method returns a Grid."""

from .activating import Activating, activating
from .causal import Cost, causal, cost
from .direct import direct
from .gradient import gradient
from .joint import joint
from .magnitude import magnitude
from .paths import paths
from .pattern import pattern
from .refine import refine
from .translator import Translator
from .vocabulary import lens, lens_steps
from .weights import ov_circuit, qk_circuit

__all__ = [
    "Activating",
    "Cost",
    "Translator",
    "activating",
    "causal",
    "cost",
    "direct",
    "gradient",
    "joint",
    "lens",
    "lens_steps",
    "magnitude",
    "ov_circuit",
    "paths",
    "pattern",
    "qk_circuit",
    "refine",
]
