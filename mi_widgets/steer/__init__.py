"""Steer: change what a model does. Every method returns a Recipe, or a Direction that makes one."""

from .amplitude import neutral, scale, switch_off
from .bake import Baked, bake
from .contrast import add, contrast, head_contrast
from .control_vector import control_vector
from .edit import background, edit
from .feature import feature
from .function_vector import function_vector
from .gate import firing, scores, threshold
from .reading import reading
from .subspace import subspace
from .sweep import sweep
from .tune import tune

__all__ = [
    "Baked",
    "add",
    "background",
    "bake",
    "contrast",
    "control_vector",
    "edit",
    "feature",
    "firing",
    "function_vector",
    "head_contrast",
    "neutral",
    "reading",
    "scale",
    "scores",
    "subspace",
    "sweep",
    "switch_off",
    "threshold",
    "tune",
]
