"""Magnitude: what a component does on a prompt, measured without any edit: how it looks, not what it is good for.

Here are the measures of attention heads. Each reduces a head's pattern A [query_pos, key_pos] to one number; the
patterns of one layer at a time are held. A large number is a description and no effect: heads with a textbook pattern
may do nothing for an answer, which `causal` tells. Means run over the queries from position 1 on, since the token at
position 0 can look at nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..grid import Axis, Grid
from ..intervention import Recipe
from ..model import Attention, Model
from ..model.tokens import Prompt
from ..progress import Progress, ticker
from ..run import checked
from ..task import SPLITS, Pair, Task

Pattern = Float[Tensor, "head query_pos key_pos"]
Heads = Float[Tensor, " head"]


@dataclass(frozen=True)
class Seen:
    """What a layer's queries may see: the prompt's `ids`, and of those the last `window`, themselves included."""

    ids: tuple[int, ...]
    window: int | None = None

    def keys(self) -> Tensor:
        """How many keys each query sees, [query_pos]."""
        counts = torch.arange(1, len(self.ids) + 1)
        return counts if self.window is None else counts.clamp(max=self.window)


@dataclass(frozen=True)
class Measure:
    """One measure of heads. of: from a layer's patterns to a number for each head, NaN where there is none."""

    title: str
    unit: str
    sign: str
    of: Callable[[Pattern, Seen], Heads]


def entropy(pattern: Pattern, seen: Seen) -> Heads:
    """Mean over queries of −Σ A ln A / ln(number of keys the query sees): 0 looks at one token, 1 at all alike."""
    most = seen.keys().to(pattern.device).log()
    several = most > 0
    rows = -torch.special.xlogy(pattern, pattern).sum(-1)
    return (rows[:, several] / most[several]).mean(-1)


def previous(pattern: Pattern, seen: Seen) -> Heads:
    """Mean attention to the token before (Olsson et al. 2022, "In-context Learning and Induction Heads").

    On a short prompt a head that looks at position 0 alone has 1 / (tokens − 1) of it.
    """
    return pattern.diagonal(-1, 1, 2).mean(-1)


def induction(pattern: Pattern, seen: Seen) -> Heads:
    """Mean attention to what came after the last earlier occurrence of the query's token (Olsson et al. 2022).

    Over the queries that have one. A token that follows itself at once would have to look at itself, and is left out.
    """
    queries, keys = continued(seen.ids)
    return pattern[:, queries, keys].mean(-1)


def sink(pattern: Pattern, seen: Seen) -> Heads:
    """Mean attention to position 0 (Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks")."""
    return pattern[:, 1:, 0].mean(-1)


def away(pattern: Pattern, seen: Seen) -> Heads:
    """1 − sink: what is left for the other tokens."""
    return 1 - sink(pattern, seen)


_SHARE = "of its attention"
MEASURES: dict[str, Measure] = {
    "away": Measure(
        "attention away from the first token",
        _SHARE,
        "Number: the attention that does not go to the first token, averaged over the other tokens.",
        away,
    ),
    "entropy": Measure(
        "how widely each looks",
        "of the largest entropy",
        "0: each token looks at one token; 1: at all that it sees alike. Averaged over the tokens after the first.",
        entropy,
    ),
    "previous": Measure(
        "attention to the token before",
        _SHARE,
        "Number: the attention from each token to the one just before it, averaged.",
        previous,
    ),
    "induction": Measure(
        "attention to what followed last time",
        _SHARE,
        "Number: the attention from a token that came before to the token that followed it then, averaged",
        induction,
    ),
    "sink": Measure(
        "attention to the first token",
        _SHARE,
        "Number: the attention that goes to the first token, averaged over the other tokens.",
        sink,
    ),
}
OBJECTS = {"heads": MEASURES}


def magnitude(
    model: Any,
    prompts: Prompt | Sequence[str] | Task | Pair | Sequence[Pair],
    objects: str = "heads",
    measure: str = "entropy",
    recipe: Recipe | None = None,
    split: str = "fit",
    progress: Progress = True,
    prepend_bos: bool | None = None,
) -> Grid:
    """A measure of every head, [layer, head], averaged over the prompts.

    prompts: one prompt; a list of texts; or a task (a pair, a list of pairs), of whose `split` the clean prompts count.
    measure: of heads entropy, previous, induction, sink or away; each is a function of this module with its formula.
        Induction needs prompts in which a token comes again: others have no such number and are left out, and where all
        of them are, every cell is masked and the sign says why.
    recipe: the runs are edited by it.

    Cost: one forward pass for each prompt. Raises ValueError for an unknown measure.
    """
    model, recipe = Model.of(model), checked(recipe)
    if objects not in OBJECTS:
        raise ValueError(f"objects must be one of {', '.join(OBJECTS)}, not {objects!r}")
    if measure not in OBJECTS[objects]:
        raise ValueError(f"measure of {objects} must be one of {', '.join(OBJECTS[objects])}, not {measure!r}")
    some = _prompts(prompts, split)
    tick, found = ticker(progress, "prompt"), []
    source = model.provenance
    for number, prompt in enumerate(some, start=1):
        found.append(model.do(lambda prompt=prompt: _of(model, prompt, measure, recipe, prepend_bos)))
        tick(number, len(some))
    model.check_weights(source["weights"])
    texts = [prompt if isinstance(prompt, str) else list(ids) for prompt, (_, ids) in zip(some, found, strict=True)]
    more = {"prompt": texts[0]} if len(texts) == 1 else {"prompts": texts}
    return of_heads(
        measure, [numbers for numbers, _ in found], [ids for _, ids in found], {**source, **more, "recipe": recipe.hash}
    )


def each_measure(pattern: Pattern, seen: Seen) -> dict[str, np.ndarray]:
    """All measures of a layer's heads, [head] each."""
    return {name: measure.of(pattern, seen).cpu().numpy() for name, measure in MEASURES.items()}


def of_heads(
    measure: str, numbers: Sequence[np.ndarray], prompts: Sequence[Sequence[int]], provenance: Mapping[str, Any]
) -> Grid:
    """The Grid of a measure: its numbers [layer, head] on each prompt (ids), NaN where there is none."""
    said = MEASURES[measure]
    values = _mean(np.stack(numbers))
    axes = tuple(Axis(name, tuple(range(n))) for name, n in zip(("layer", "head"), values.shape, strict=True))
    counted, sign = {}, said.sign
    if measure == "induction":
        queries = sum(len(continued(ids)[0]) for ids in prompts)
        counted, sign = {"queries": queries}, _repeated(said.sign, queries, sum(map(len, prompts)))
    elif not np.isfinite(values).any():
        sign = "Not computed: the prompt has one token, which can look at nothing but itself."
    return Grid(
        np.ma.masked_invalid(values),
        axes,
        kind="head",
        part="z",
        title=f"Heads: {said.title}",
        unit=said.unit,
        sign=sign,
        provenance={"method": "magnitude", "measure": measure, **provenance, **counted},
    )


def continued(ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """(query positions, key positions): tokens that came before, and what followed each the last time."""
    last: dict[int, int] = {}
    pairs = []
    for query, token in enumerate(ids):
        key = last.get(token, query) + 1
        if key < query:
            pairs.append((query, key))
        last[token] = query
    return [query for query, _ in pairs], [key for _, key in pairs]


def _repeated(sign: str, queries: int, tokens: int) -> str:
    if queries:
        return f"{sign} over the {queries} of {tokens} tokens that did."
    return "Not computed: no token comes a second time with another in between, so nothing can be continued."


def _of(
    model: Model, prompt: Prompt, measure: str, recipe: Recipe, prepend_bos: bool | None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """A measure [layer, head] on one prompt, and the prompt's ids."""
    ids = model.ids(prompt, prepend_bos)
    plain = tuple(ids[0].tolist())

    def keep(layer: int, found: Attention) -> np.ndarray:
        return MEASURES[measure].of(found.pattern[0], Seen(plain, model.window(layer))).cpu().numpy()

    return np.stack(model.attention([(ids, recipe)], keep)), plain


def _mean(numbers: np.ndarray) -> np.ndarray:
    """The mean over prompts [prompt, layer, head] of those that have a number; NaN where none has."""
    there = np.isfinite(numbers)
    count = there.sum(0)
    return np.where(there, numbers, 0).sum(0) / np.where(count, count, np.nan)


def _prompts(given: Any, split: str) -> list[Prompt]:
    if isinstance(given, (Task, Pair)) or (_is_list(given) and isinstance(given[0], Pair)):
        task = Task.of(given)
        return [pair.clean for pair in task.split(split if task.has_splits or split not in SPLITS else "all")]
    if _is_list(given) and all(isinstance(text, str) for text in given):
        return list(given)
    return [given]


def _is_list(given: Any) -> bool:
    return isinstance(given, (list, tuple)) and len(given) > 0


__all__ = ["MEASURES", "OBJECTS", "Measure", "Seen", "magnitude"]
