"""Alignment: a learned subspace of one activation, by TransformerLens's distributed alignment search on the twin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from transformer_lens.tools.analysis.interchange import fit_das

from .backward import freeze
from .places import hook_name

if TYPE_CHECKING:
    from ..site import Site
    from .gate import Model

Scores = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]


def align(
    model: Model,
    site: Site,
    prompts: Sequence[torch.Tensor],
    positions: Sequence[int],
    bases: Sequence[int],
    sources: Sequence[int],
    targets: Sequence[int],
    scores: Scores,
    dimensions: int,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
) -> tuple[torch.Tensor, list[float]]:
    """An orthonormal basis [dimension, d_model], and the mean loss of each epoch. Only from inside `Model.do`.

    prompts: ids [1, pos] each; positions: the one that is aligned in each. bases, sources: numbers of prompts, one of
    each an interchange, after which class `targets` should score highest. scores: of last logits [row, d_vocab] and the
    rows' prompt numbers, [row, class].
    """
    lengths = torch.tensor([ids.shape[1] for ids in prompts])
    padded = torch.stack([torch.nn.functional.pad(ids[0], (0, int(lengths.max()) - ids.shape[1])) for ids in prompts])

    def classes(numbers: torch.Tensor) -> torch.Tensor:
        """What comes after a prompt's end doesn't reach it: padding on the right needs no mask."""
        rows, ends = torch.arange(len(numbers)), lengths[numbers] - 1
        logits = model.forward(padded[numbers], [("unembed.hook_in", lambda x, hook: x[rows, ends][:, None])])
        return scores(logits[:, 0], numbers.tolist())

    freeze(model)
    places = torch.tensor(positions)
    base, source = torch.tensor(bases), torch.tensor(sources)
    with torch.enable_grad():
        found = fit_das(
            model.twin,
            hook_name(site),
            base,
            source,
            torch.tensor(targets),
            classes,
            rank=dimensions,
            base_positions=places[base],
            source_positions=places[source],
            epochs=epochs,
            batch_size=batch,
            lr=lr,
            seed=seed,
        )
    return found.basis.T.float(), list(found.losses)
