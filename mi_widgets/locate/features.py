"""Features: what maps of a dictionary's features have in common, whichever method makes them."""

from __future__ import annotations

from typing import Any

from ..grid import Axis
from ..model import Model
from ..model.places import featured
from ..site import Site


def feature_axis(model: Model, name: str, part: str) -> Axis:
    """The layers with a dictionary of a part, or the features of these, which have one number of them."""
    layers = featured(model, part)
    if name == "layer":
        return Axis(name, tuple(layers))
    sizes = {layer: model.count(Site("feature", layer, 0, part)) or 0 for layer in layers}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the dictionaries of one map have one number of features; these have {sizes}, by layer")
    return Axis(name, tuple(range(sizes[layers[0]])))


def dictionaries(model: Model, kind: str) -> dict[str, Any]:
    """What the provenance of a map of features says besides: which dictionaries they are of."""
    own = {f"{each.layer}.{each.part}": each.hash for each in model.dictionaries}
    return {"dictionaries": own} if kind == "feature" else {}


__all__ = ["dictionaries", "feature_axis"]
