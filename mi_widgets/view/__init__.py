"""What is drawn: values in, pixels and picks out.

A view knows no model and no torch. It is given panels (labelled numbers) and token labels, draws them in the notebook,
and says what a person picked and asked for. Wiring a view to a model is the workbench's work.
"""

from .attention import AttentionMap
from .attribution import AttributionMap
from .bench import BenchMap
from .choice import Choice
from .heatmap import Heatmap
from .lens import LensMap
from .loop import Loop
from .panel import Axis, Panel, Top

__all__ = ["AttentionMap", "AttributionMap", "Axis", "BenchMap", "Choice", "Heatmap", "LensMap", "Loop", "Panel", "Top"]
