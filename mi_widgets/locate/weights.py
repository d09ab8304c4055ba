"""Weights: what one head would do with tokens alone, read off its weights (Elhage et al. 2021).

The OV circuit says what a head writes when it looks at a token, the QK circuit which tokens look at which. Both begin
at the token embedding: embedding, weight of the block's first norm (and the scale that it has on that very embedding),
the head's projections. The whole circuits are d_vocab × d_vocab; here they are restricted to some hundred given tokens.

What they leave out: everything that layers in between add to the embedding. In the first block the circuits are exact
(learned position embeddings aside); in later ones they show what the weights would do with the bare token, and a head
that reads what earlier layers wrote (an induction head) may show little in either. `causal` and `paths` ask the model
itself.

Nothing is computed on paper: embeddings stand in place of the residual stream, and the block's own parts run on them.
Cost: one forward pass up to the head's block, and for OV an unembedding of each source token.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
import torch

from ..grid import Axis, Grid
from ..model import Model, circuit
from ..site import Site

MOST = 256  #: tokens on an axis

Tokens = str | Sequence[str | int]


def ov_circuit(model: Any, head: Site, tokens: Tokens, targets: Tokens | None = None) -> Grid:
    """What a head adds to the logits of target tokens (columns) when it looks only at a source token (rows).

    tokens: a text, or texts that are one token each, or ids; each counts once. targets: the same; None takes `tokens`.

    Token embedding → first norm → W_V (of the head's own KV head) → W_O → the norm after the attention where there is
    one → weight of the final norm → unembedding, centred over the vocabulary. Scales of the norms: the first norm's is
    the one it has on the source token's embedding, since that is all the head reads here. A norm after the attention
    keeps the scale it has when all heads of the layer look at that token, as in direct attribution it keeps the whole
    layer's. The final norm divides by nothing (scale 1), since no weight says how large the stream will be at the
    query: in a run, divide by its scale there. Biases: the value's is in every row alike; those of the output
    projection, the final norm and the unembedding belong to no head and are left out. Before a final soft-cap.

    Blind to all that earlier layers add to the source token. A large diagonal means that the head copies.
    """
    model = Model.of(model)

    def read() -> Grid:
        sources, ends = _ids(model, tokens, "tokens"), _ids(model, tokens if targets is None else targets, "targets")
        found = circuit.to_logits(model, circuit.written(model, head, sources), ends)
        return Grid(
            _array(found),
            (_axis(model, "source", sources), _axis(model, "target", ends)),
            title=f"{_name(head)}: OV circuit, from the token embedding{_before_cap(model)}",
            unit="logits at final scale 1",
            sign=(
                "Positive: looking at the source token raises the target's logit over the vocabulary's mean. "
                "Divide by the final norm's scale for the logits of a run; what earlier layers add is left out."
            ),
            toward=1,
            provenance={"method": "OV circuit", **model.provenance, "head": _name(head), "final scale": 1.0},
        )

    return model.do(read)


def qk_circuit(model: Any, head: Site, queries: Tokens, keys: Tokens | None = None, distance: int = 1) -> Grid:
    """The attention score that each query token (rows) gives each key token (columns) `distance` tokens back.

    queries: a text, or texts that are one token each, or ids; each counts once. keys: the same; None takes `queries`.
    distance: from 0 (itself) up; queries are rotated for position `distance` and keys for position 0, by the layer's
        own rotation (a layer without one ignores it). Learned position embeddings are left out: then all distances are
        the same, and the title says so.

    The score is what enters the softmax: token embedding → first norm, with its weight and its scale on that embedding,
    on both sides → W_Q and W_K (of the head's own KV head), their biases and norms included → rotation → the model's
    own scale, for most 1/√d_head → soft-cap where there is one. Adding one number to a row changes no attention, so
    compare within rows; a learned sink (GPT-OSS) takes its share besides. Layers with a window refuse distances that
    they never see.

    Blind to all that earlier layers add to either token: heads that look for positions or for what was written there
    do not show.
    """
    model = Model.of(model)

    def read() -> Grid:
        rows, columns = _ids(model, queries, "queries"), _ids(model, queries if keys is None else keys, "keys")
        found = circuit.scores(model, head, rows, columns, distance)
        where = f"at distance {distance}" if circuit.rotates(model) else "without position embeddings"
        cap = circuit.score_cap(model, head)
        return Grid(
            _array(found),
            (_axis(model, "query", rows), _axis(model, "key", columns)),
            title=f"{_name(head)}: QK circuit, from the token embedding, {where}",
            unit="attention score",
            sign=(
                "Higher in a row: the query token looks more at that key token (e times as much for 1 more). "
                + (f"Bent into ±{cap:g} by the soft-cap. " if cap else "")
                + "What earlier layers add is left out."
            ),
            toward=1,
            provenance={
                "method": "QK circuit",
                **model.provenance,
                "head": _name(head),
                "distance": distance if circuit.rotates(model) else None,
            },
        )

    return model.do(read)


def _ids(model: Model, tokens: Tokens, name: str) -> list[int]:
    """Token ids, each once, in the order given."""
    if not len(tokens):
        raise ValueError(f"{name} is empty: give a text, or a list of tokens or ids")
    if isinstance(tokens, str):
        found = model.ids(tokens, prepend_bos=False)[0].tolist()
    else:
        found = [model.single(token) if isinstance(token, str) else index(token) for token in tokens]
        found = model.ids(found)[0].tolist() if len(found) <= MOST else found
    found = list(dict.fromkeys(found))
    if len(found) > MOST:
        raise ValueError(f"{name} holds {len(found)} different tokens; a circuit takes at most {MOST} on an axis")
    return found


def _axis(model: Model, name: str, ids: Sequence[int]) -> Axis:
    return Axis(name, tuple(ids), tuple(label["text"] for label in model.labels(ids)))


def _array(values: torch.Tensor) -> np.ma.MaskedArray:
    return np.ma.asarray(values.float().cpu().numpy())


def _name(head: Site) -> str:
    return f"L{head.layer}H{head.index}"


def _before_cap(model: Model) -> str:
    return ", before the final soft-cap" if model.soft_cap else ""


__all__ = ["MOST", "ov_circuit", "qk_circuit"]
