"""AttributionMap: which parts carry the answer."""

from .loop import Loop


class AttributionMap(Loop):
    """Signed panels, layer x head and layer x position: blue supports the answer, orange works against it."""

    stem = "attribution"
