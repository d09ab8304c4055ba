"""Vocabulary projection: read the residual stream after each block as if the model stopped there (logit lens).

softmax(unembed(final_norm(resid_post))) for every layer and position (nostalgebraist 2020). The last row is the
model's own output. Early layers are read through a norm and an unembedding that were not made for them, so a token that
does not show there may still be there. Cost: one forward pass, and one unembedding of layers × positions vectors, done
in chunks (at most 128 vectors at a time).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..grid import Axis, Grid, Readings
from ..intervention import Recipe
from ..model import Model, hook_name
from ..model.tokens import Prompt
from ..site import Site

_CHUNK = 128
_TOP = 5


def lens(model: Any, prompt: Prompt, target: str | None = None, recipe: Recipe | None = None) -> Grid:
    """The logit lens of a prompt: layer × position, with the most probable tokens of each cell in `readings`.

    Values are probabilities: of the cell's own most probable token, or of `target` when one is given (one token).
    With a recipe the intervened run is read.
    """
    model = Model.of(model)
    return model.do(lambda: _lens(model, prompt, target, recipe))


def _lens(model: Model, prompt: Prompt, target: str | None, recipe: Recipe | None) -> Grid:
    ids = model.ids(prompt)
    wanted = None if target is None else model.single(target)
    sites = [Site("residual", layer, part="post") for layer in range(model.n_layers)]
    caught = model.capture(ids, [hook_name(site) for site in sites], recipe)
    stream = torch.cat(list(caught.values()))  # [layer, pos, d_model]
    values, tops, top_ids = _read(model, stream.flatten(0, 1), wanted)
    shape = (model.n_layers, ids.shape[1])
    labels = tuple(label["text"] for label in model.labels(ids))
    positions = Axis("position", tuple(range(shape[1])), labels)
    words = {id_: model.labels([id_])[0] for id_ in set(top_ids.reshape(-1).tolist())}
    what = "the most probable token" if target is None else f'"{target}"'
    return Grid(
        np.ma.asarray(values.reshape(shape)),
        (Axis("layer", tuple(range(shape[0]))), positions),
        kind="residual",
        part="post",
        title=f"Logit lens: probability of {what}, read after each block",
        unit="probability",
        sign="Brighter: more probable. The last row is the model's own output.",
        provenance={
            "method": "logit lens",
            **model.provenance,
            "prompt": prompt if isinstance(prompt, str) else ids[0].tolist(),
            "recipe": recipe.hash if recipe else "",
        },
        readings=Readings(top_ids.reshape(*shape, _TOP), tops.reshape(*shape, _TOP), words),
    )


def _read(model: Model, vectors: torch.Tensor, wanted: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(value, top probabilities, top ids) of residual vectors [n, d_model], unembedded in chunks."""
    values, tops, ids = [], [], []
    for chunk in vectors.split(_CHUNK):
        model.worker.check()
        probabilities = model.unembed(chunk[None])[0].float().softmax(-1)
        top = probabilities.topk(_TOP)
        tops.append(top.values)
        ids.append(top.indices)
        values.append(top.values[:, 0] if wanted is None else probabilities[:, wanted])
    return tuple(torch.cat(parts).cpu().numpy() for parts in (values, tops, ids))  # type: ignore[return-value]
