"""The model room: the only one that knows TransformerBridge, hook names and hook closures."""

from .attention import Attention
from .clock import first_difference
from .descent import descend
from .dictionary import Dictionary
from .fingerprint import Fingerprint, WeightsChanged
from .gate import Model, load
from .hooks import Edit, addition, knock_out, put, shift
from .places import around, carrying, family, hook_name, own, weight_input, weight_shape, writers
from .plain import Addresses, place
from .recording import Recording
from .served import served_hook, validated
from .sweep import Read
from .tensors import Affine, NoPlace, Tensors
from .wavefront import Plan
from .worker import Closed, Job, Stopped

__all__ = [
    "Addresses",
    "Affine",
    "Attention",
    "Closed",
    "Dictionary",
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
    "addition",
    "around",
    "carrying",
    "descend",
    "family",
    "first_difference",
    "hook_name",
    "knock_out",
    "load",
    "own",
    "place",
    "put",
    "served_hook",
    "shift",
    "validated",
    "weight_input",
    "weight_shape",
    "writers",
]
