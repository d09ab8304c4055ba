"""The model room: the only one that knows TransformerBridge, hook names and hook closures."""

from .fingerprint import Fingerprint, WeightsChanged
from .gate import Model, load
from .hooks import Edit, around, family, first_difference, hook_name, knock_out, own, put, writers
from .plain import address, place
from .recording import Recording
from .served import served_hook, validated
from .sweep import Read
from .tensors import Affine, NoPlace, Tensors
from .wavefront import Plan
from .worker import Closed, Job, Stopped

__all__ = [
    "Affine",
    "Closed",
    "Edit",
    "Fingerprint",
    "Job",
    "Model",
    "NoPlace",
    "Plan",
    "Read",
    "Recording",
    "Stopped",
    "Tensors",
    "WeightsChanged",
    "address",
    "around",
    "family",
    "first_difference",
    "hook_name",
    "knock_out",
    "load",
    "own",
    "place",
    "put",
    "served_hook",
    "validated",
    "writers",
]
