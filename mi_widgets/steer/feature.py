"""Feature: a dictionary's feature as a direction, to add, turn toward or take out without looking at its activation.

Editing a feature's own activation (`selection.scale`, `.clamp`) acts only where the feature is active, in units of the
dictionary. Its direction acts everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..direction import Direction
from ..model import Model
from ..site import Site
from .amplitude import neutral
from .contrast import read, residual_norms


def feature(model: Any, site: Site, texts: Sequence[str] | None = None) -> Direction:
    """The decoder row of a feature, `Site("feature", layer, index)`, of length one.

    texts: where its scale is read, by default the package's neutral texts. `norm` is their median residual norm after
    that layer, position 0 left out. `natural` is the mean activation over the tokens on which the feature is active,
    times the row's length, in units of `norm`; where it is active on none of the texts, the mean of all features that
    are. Raises ValueError where no dictionary of the stream after that layer is attached.
    """
    model = Model.of(model)
    if not isinstance(site, Site) or (site.kind, site.part, site.position) != ("feature", "post", None):
        raise ValueError(f"give a feature of the stream after a block, Site('feature', layer, index), not {site!r:.80}")
    dictionary, prompts = model.do(lambda: model.dictionary(site)), list(neutral() if texts is None else texts)
    assert site.layer is not None and site.index is not None
    row = dictionary.decoder[site.index].float().cpu().numpy()
    everything = read(model, prompts, [Site("residual", site.layer, part="post")])[0]
    active = [dictionary.encode(dictionary.decoder.new_tensor(run)).cpu().numpy() for run in everything]
    acts = np.concatenate(active)
    own = acts[:, site.index]
    known = own[own > 0] if (own > 0).any() else acts[acts > 0]
    if not len(known):
        raise ValueError(f"no feature of {dictionary!r} is active on these texts, so there is no scale; give others")
    (norm,) = residual_norms(model, prompts, [site.layer])
    return Direction(
        row,
        site.layer,
        norm,
        float(known.mean() * np.linalg.norm(row)) / norm,
        str(site),
        provenance={**model.provenance, "dictionaries": {f"{site.layer}.post": dictionary.hash}},
        kind="feature",
    )


__all__ = ["feature"]
