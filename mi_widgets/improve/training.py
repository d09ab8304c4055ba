"""Training: whether it was worth locating what is fine-tuned."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..intervention import Intervention, Recipe
from ..model import Model
from ..model.tokens import batches
from ..progress import Progress, ticker
from ..run import pair_reader
from ..site import Site
from ..steer import tune
from ..task import Pair, Task
from .controls import controls
from .evaluate import side_effects

if TYPE_CHECKING:
    import pandas as pd


def compare_training(
    model: Any,
    task: Task,
    located: Iterable[Site | int],
    draws: int = 3,
    lr: float | Sequence[float] | None = None,
    seed: int = 0,
    progress: Progress = True,
    **training: Any,
) -> pd.DataFrame:
    """A table: what was located, `draws` random sets of the same size and kind, and all weights, trained the same way.

    located: a Selection or sites, or layers. Random sets are of other cells in the same layers, and in neighbouring
        ones where these are too few; of layers, any others.
    lr: several rates are tried on each set alone, and the best on `select` is shown. training: see `mi.steer.tune`.

    Rows: nothing, located, each random set, all. Columns: `parameters` trained, `steps`, `lr`, `seconds` of training,
    `train_loss` (mean cross-entropy on `fit`, in nats), `accuracy` and `logprob` of the answer on `report`, and `kl`,
    KL in nats a token on neutral text. What it shows may well be that locating doesn't help: a few parameters often
    suffice, whichever they are. Three draws show no more than three can, and all rows are of one seed.

    Cost: (draws + 2) × rates trainings, the one of all weights in four times a float32 model's memory.
    """
    import pandas as pd

    model, task = Model.of(model), Task.of(task)
    rates = tuple(lr) if isinstance(lr, Sequence) else (lr,)
    chosen = list(located)
    others = [(f"random {n + 1}", one) for n, one in enumerate(_random_sets(model, chosen, draws, seed))]
    sets: list[tuple[str, Any]] = [("located", chosen), *others, ("all", "all")]
    tick = ticker(progress, "set")
    rows = [_row(model, task, "nothing", Recipe(), 0.0)]
    for number, (name, objects) in enumerate(sets):
        settings = {"seed": seed, "progress": False, **training}
        recipe, seconds = _best(model, task, objects, rates, settings)
        rows.append(_row(model, task, name, recipe, seconds))
        tick(number + 1, len(sets))
    return pd.DataFrame(rows).set_index("trained")


def _random_sets(model: Model, located: list[Any], draws: int, seed: int) -> list[list[Any]]:
    """Distinct random sets that share nothing with the located one."""
    if not located:
        raise ValueError("nothing is selected: pick at least one cell, for instance grid.select(top=8)")
    found: list[list[Any]]
    if all(isinstance(each, Site) for each in located):
        off = Recipe(tuple(Intervention("zero", site) for site in located))
        found = [list(drawn.sites) for drawn in model.do(lambda: controls(model, off, draws, seed))]
    elif all(isinstance(each, int) for each in located):
        rng, rest = random.Random(seed), sorted(set(range(model.n_layers)) - set(located))
        tries = [tuple(sorted(rng.sample(rest, len(located)))) for _ in range(40 * draws) if len(rest) >= len(located)]
        found = [list(one) for one in dict.fromkeys(tries)][:draws]
    else:
        raise TypeError("what is compared is all sites or all layers, so that random ones can be drawn")
    if not found:
        raise ValueError("there are no other places to draw a random set from; use fewer")
    return found


def _best(
    model: Model, task: Task, objects: Any, rates: Sequence[float | None], settings: dict[str, Any]
) -> tuple[Recipe, float]:
    """The recipe of the rate that does best on `select`, and its seconds of training."""
    tried: list[tuple[Recipe, float, float]] = []
    for rate in rates:
        start = time.perf_counter()
        recipe = tune(model, task, objects, lr=rate, **settings)
        seconds = time.perf_counter() - start
        score = _means(model, task.select, recipe)["logprob"] if len(rates) > 1 else 0.0
        if not tried or score > tried[0][2]:
            tried = [(recipe, seconds, score)]  # of the others nothing is kept: they may be large
    return tried[0][:2]


def _row(model: Model, task: Task, name: str, recipe: Recipe, seconds: float) -> dict[str, Any]:
    made = recipe.provenance
    effects = model.do(lambda: side_effects(model, recipe))
    return {
        "trained": name,
        "parameters": made.get("parameters", 0),
        "steps": made.get("steps", 0),
        "lr": made.get("lr", float("nan")),
        "seconds": seconds,
        "train_loss": -_means(model, task.fit, recipe)["logprob"],
        **_means(model, task.report, recipe),
        "kl": effects["neutral text: KL a token"],
    }


def _means(model: Model, pairs: Sequence[Pair], recipe: Recipe) -> dict[str, float]:
    """Mean accuracy and log probability of the answers of clean prompts, under a recipe."""

    def work() -> dict[str, float]:
        found: dict[str, list[float]] = {"accuracy": [], "logprob": []}
        for numbers, ids in batches([model.ids(pair.clean) for pair in pairs]):
            logits = model.last_logits(ids, model.hooks(recipe, ids[:1]))
            for metric, values in found.items():
                reads = (pair_reader(model, metric, pairs[number]) for number in numbers)
                values += [float(read(logits[row : row + 1])) for row, read in enumerate(reads)]
        return {metric: float(np.mean(values)) for metric, values in found.items()}

    return model.do(work)
