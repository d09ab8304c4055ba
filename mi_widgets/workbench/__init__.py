"""The workbench: the one room where a view, a Model and a job are wired into the inline loop."""

from .attention import AttentionView
from .attribution import AttributionView
from .bench import Workbench
from .comparison import compare
from .lens import LensView
from .link import link

__all__ = ["AttentionView", "AttributionView", "LensView", "Workbench", "compare", "link"]
