"""Heatmap: numbers to look at. What `Grid.show()` draws; a kernel is enough, a model is not needed."""

from .loop import Loop


class Heatmap(Loop):
    """One or more panels side by side, with hover, picks and legend; no action bar unless made `runnable`."""

    stem = "heatmap"
