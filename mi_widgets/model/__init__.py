"""The model room: the only one that knows TransformerBridge, hook names and hook closures."""

from .fingerprint import Fingerprint
from .gate import Model, load
from .hooks import hook_name
from .sweep import Recording
from .worker import Closed, Job, Stopped

__all__ = ["Closed", "Fingerprint", "Job", "Model", "Recording", "Stopped", "hook_name", "load"]
