"""Subspace: directions of the residual stream, learned so that taking them from another prompt takes its answer along
(distributed alignment search; Geiger et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..model import Model
from ..model.alignment import align
from ..model.places import check_site
from ..run import pair_ids, pair_reader, role_positions
from ..site import Site
from ..subspace import Subspace
from ..task import Pair, Task


def subspace(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    layer: int,
    position: str | int = "last",
    dimensions: int = 1,
    epochs: int = 10,
    batch: int = 32,
    lr: float = 1e-2,
    seed: int = 0,
    split: str = "fit",
    name: str = "subspace",
) -> Subspace:
    """The Subspace after block `layer` whose coordinates carry which of a pair's two answers is right.

    It is trained so that a corrupt prompt with the clean one's coordinates gives the answer, and a clean one with the
    corrupt one's the foil (`fit_das` of TransformerLens, cross-entropy of the two, Adam with `lr`, `batch` interchanges
    a step). `Subspace.swap(prompt)` is the Recipe that does it.

    position: a token position (from the end when negative), or a role that all pairs have: "last", "first difference",
        or a span's name. split: without splits, all items.

    What it cannot show: an interchange that works is no evidence by itself. Learned subspaces also fit arbitrary labels
    and work in random models (Arora et al. 2024), the more so the more dimensions they have, and may work by a path
    that the model itself doesn't use (Makelov et al. 2024). `mi.evaluate` puts random subspaces beside a swap; train
    one on shuffled pairs, too, and look at pairs of another split.

    Cost: `epochs` forward and backward passes of 2 × pairs prompts. Raises ValueError for a pair whose prompts have
    different numbers of tokens, for an unknown role and for more dimensions than d_model.
    """
    model, task = Model.of(model), Task.of(task)
    site = Site("residual", layer, part="post")
    named = split if task.has_splits else "all"
    pairs = task.split(named)

    def work() -> Subspace:
        check_site(model, site)
        if not 0 < dimensions <= model.d_model:
            raise ValueError(f"dimensions must be 1 to {model.d_model}, not {dimensions!r}")
        prompts = [ids for pair in pairs for ids in _prompts(model, pair)]
        places = [place for pair in pairs for place in [_place(model, pair, position)] * 2]
        reads = [pair_reader(model, "logit_diff", pair) for pair in pairs]

        def scores(logits: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
            """[row, 2]: the logit difference of the row's own pair against 0, so that class 0 is the answer."""
            found = torch.cat([reads[number // 2](logits[row : row + 1]) for row, number in enumerate(numbers)])
            return torch.stack([found, torch.zeros_like(found)], dim=1)

        bases = list(range(len(prompts)))  # even ones are clean, and get the corrupt one's coordinates and the foil
        sources, targets = [number ^ 1 for number in bases], [1 - number % 2 for number in bases]
        basis, losses = align(
            model, site, prompts, places, bases, sources, targets, scores, dimensions, epochs, batch, lr, seed
        )
        return Subspace(
            basis.cpu().numpy(),
            layer,
            name,
            {
                **model.provenance,
                "method": "distributed alignment search",
                "prompt": pairs[0].clean,
                "task": task.name,
                "split": named,
                "pairs": len(pairs),
                "position": position,
                "epochs": epochs,
                "batch": batch,
                "lr": lr,
                "seed": seed,
                "losses": losses,
            },
        )

    return model.do(work)


def _prompts(model: Model, pair: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    clean, corrupt = pair_ids(model, pair)
    if clean.shape != corrupt.shape:
        raise ValueError(
            f"{pair.clean!r} has {clean.shape[1]} tokens, {pair.corrupt!r} {corrupt.shape[1]}: a subspace is learned "
            "from pairs with equally many"
        )
    return clean, corrupt


def _place(model: Model, pair: Pair, position: str | int) -> int:
    """A position of both prompts, from the start."""
    if isinstance(position, str):
        roles = role_positions(model, pair)
        if position not in roles:
            raise ValueError(f"{pair.clean!r} has no role {position!r}; its roles are {', '.join(roles)}")
        return roles[position]
    length = model.ids(pair.clean).shape[1]
    if not -length <= position < length:
        raise ValueError(f"{pair.clean!r} has {length} tokens (positions 0 to {length - 1}), none at {position}")
    return position % length
