"""The model room: the only one that knows TransformerBridge, hook names and hook closures."""

from .fingerprint import Fingerprint, WeightsChanged
from .gate import Model, load
from .hooks import Edit, first_difference, hook_name, knock_out, own, put
from .recording import Recording
from .sweep import Read
from .wavefront import Plan
from .worker import Closed, Job, Stopped

__all__ = [
    "Closed",
    "Edit",
    "Fingerprint",
    "Job",
    "Model",
    "Plan",
    "Read",
    "Recording",
    "Stopped",
    "WeightsChanged",
    "first_difference",
    "hook_name",
    "knock_out",
    "load",
    "own",
    "put",
]
