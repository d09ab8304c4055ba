"""Pattern: one head's attention, as it is or weighted by what the values write.

A pattern says where a head looks, not what it takes from there: values differ in length, and at the first token, where
much of a model's attention goes when it has nowhere else to go (Xiao et al. 2023, "Efficient Streaming Language Models
with Attention Sinks"), the value is often next to nothing. Weighted, the column of such a sink empties.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..grid import Axis, Grid
from ..intervention import Recipe
from ..model import Model
from ..model.tokens import Prompt
from ..run import checked
from ..site import Site

WEIGHTINGS = ("plain", "value_norm")


def pattern(
    model: Any,
    prompt: Prompt,
    head: Site,
    weighting: str = "plain",
    recipe: Recipe | None = None,
    prepend_bos: bool | None = None,
) -> Grid:
    """How much a head looks from each token (rows, `query_pos`) at each token before it (columns, `key_pos`).

    head: Site("head", layer, head). recipe: the run is edited by it.
    weighting: "plain" is A, whose rows add up to 1. "value_norm" is A · ‖v W_O‖ (Kobayashi et al. 2020, "Attention is
        not only a weight"): the length of the vector that the head writes into the residual stream at the query on
        the key's account, in the stream's own units. Query heads that share a key-value head share its values, each
        with a W_O of its own. The value's bias is in it; the output projection's bias belongs to no key and is left
        out. A norm behind the attention (Gemma 2) counts with its weight and with the scale that it has at the query.

    Lengths say nothing about direction: two long vectors may cancel each other, and what is written may be of no use to
    the answer (`direct` and `causal` ask that). Cells above the diagonal cannot exist and are masked.
    Cost: one pass up to the head's layer. Raises ValueError for a head that the model does not have, and for the
    weights of models whose heads are gated by the query.
    """
    model = Model.of(model)
    if not isinstance(head, Site) or head.kind != "head" or head.part in ("k", "v") or head.position is not None:
        raise ValueError(f"a pattern is of one query head, such as Site('head', 1, 0), not of {head!r:.80}")
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting must be one of {', '.join(WEIGHTINGS)}, not {weighting!r}")

    def read() -> Grid:
        _check(model, head)
        ids, weighted = model.ids(prompt, prepend_bos), weighting == "value_norm"
        (found,) = model.attention(
            [(ids, checked(recipe))],
            lambda _, found: found.weighted[0, head.index].cpu().numpy(),
            [head.layer or 0],
            weighted,
        )
        return _grid(model, head, prompt, ids[0].tolist(), found, weighting, recipe)

    return model.do(read)


def _check(model: Model, head: Site) -> None:
    if (head.layer or 0) >= model.n_layers or (head.index or 0) >= model.n_heads:
        raise ValueError(
            f"there is no layer {head.layer}, head {head.index}: {model.name} has {model.n_layers} layers of "
            f"{model.n_heads} heads"
        )


def _grid(
    model: Model, head: Site, prompt: Prompt, ids: list[int], found: np.ndarray, weighting: str, recipe: Recipe | None
) -> Grid:
    labels = tuple(label["text"] for label in model.labels(ids))
    places = tuple(range(len(labels)))
    weighted = weighting == "value_norm"
    return Grid(
        np.ma.masked_array(found, ~np.tri(len(labels), dtype=bool)),
        (Axis("query_pos", places, labels), Axis("key_pos", places, labels)),
        title=f"Layer {head.layer}, head {head.index}: {_TITLES[weighting]}",
        unit="residual units" if weighted else "of its attention",
        sign=_SIGNS[weighting],
        provenance={
            "method": "attention pattern",
            **model.provenance,
            "head": f"L{head.layer}H{head.index}",
            "weighting": weighting,
            "prompt": prompt if isinstance(prompt, str) else ids,
            "recipe": recipe.hash if recipe else "",
        },
    )


_TITLES = {
    "plain": "attention from each token (row) to the tokens before it",
    "value_norm": "what each token (row) gets from the tokens before it",
}
_SIGNS = {
    "plain": "Each row adds up to 1.",
    "value_norm": "Attention × ‖v W_O‖: the length of what the head writes for that token, whatever its direction.",
}

__all__ = ["WEIGHTINGS", "pattern"]
