"""mi_widgets: locate what produces a behaviour of a language model, steer it, and show that it improved.

    import mi_widgets as mi
    model = mi.load()
    mi.AttentionView(model, "When Mary and John went to the store, John gave a drink to")

Rooms: `locate` (which parts), `steer` (change them), `improve` (did it help), `tasks` (data that comes with the
package). Values: Site, Grid, Selection, Recipe, Direction, Subspace, Card.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from . import improve, locate, steer, tasks
from .card import Card
from .direction import Direction
from .grid import Grid
from .improve import evaluate
from .intervention import Intervention, Recipe
from .model import Dictionary, Model, load
from .reference import Reference
from .run import Run, generate, run
from .selection import Selection
from .site import Site
from .steer import Baked, bake
from .subspace import Subspace
from .task import Example, Pair, Task
from .workbench import AttentionView, AttributionView, LensView, Workbench, compare, link

try:
    __version__ = version("mi-widgets")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "AttentionView",
    "AttributionView",
    "Baked",
    "Card",
    "Dictionary",
    "Direction",
    "Example",
    "Grid",
    "Intervention",
    "LensView",
    "Model",
    "Pair",
    "Recipe",
    "Reference",
    "Run",
    "Selection",
    "Site",
    "Subspace",
    "Task",
    "Workbench",
    "bake",
    "compare",
    "evaluate",
    "generate",
    "improve",
    "link",
    "load",
    "locate",
    "run",
    "steer",
    "tasks",
]


def _jupyter_labextension_paths() -> list[dict[str, Any]]:
    """Where JupyterLab finds the prebuilt extension."""
    return [{"src": "labextension", "dest": "mi-widgets"}]
