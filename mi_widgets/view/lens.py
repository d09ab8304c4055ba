"""LensMap: what each layer would say next, at each position."""

from .loop import Loop


class LensMap(Loop):
    """A layer x position panel with the top token in each cell (`texts`) and the next ones on hover (`top`)."""

    stem = "lens"
