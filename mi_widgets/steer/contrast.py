"""Contrast: the direction that tells two sets of texts apart, in the residual stream or at heads' outputs.

Each text is one point: the mean of an activation over its tokens without the first, whose activation is of another size
altogether, or the activation at its last token. A direction is made of the two sets of points:

- "mean": mean(positive) − mean(negative) (contrastive activation addition, Rimsky et al. 2024).
- "pca": the first principal component of the differences positive[i] − negative[i], about 0 and not about their mean,
  which is what is looked for (representation reading, Zou et al. 2023, whose random signs come to the same).
- "probe": the weights of a logistic regression on standardised points, in the activation's own units: w / spread.

All point from negative to positive: positive texts score higher on average. None of them proves that the model reads
what is found; `sweep` and `mi.evaluate` ask it. Probes tell the sets apart best and often steer worst (Li et al. 2023).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..direction import Direction
from ..intervention import Recipe
from ..model import Model, own
from ..model.places import check_site
from ..model.tokens import Prompt
from ..selection import Selection
from ..site import Site

#: The fewest texts in each set, by how the direction is made.
FEWEST = {"mean": 1, "pca": 2, "probe": 2}
POSITIONS = ("mean", "last")
_LAST = ", last token"  # how a direction's kind says that it was read there


def contrast(
    model: Any,
    positive: Sequence[Prompt],
    negative: Sequence[Prompt],
    layer: int,
    kind: str = "mean",
    *,
    position: str = "mean",
    name: str = "contrast",
) -> Direction:
    """The direction from `negative` to `positive` texts in the residual stream after block `layer`.

    kind: "mean", "pca" (texts in pairs, as many on both sides) or "probe"; see the module.
    position: a text is the "mean" over its tokens but the first, or its "last" token, as a gate for `Recipe.when`
        reads it. Clean against corrupt prompts at the last token make a task vector (Hendel et al. 2023).

    `norm` is the median residual norm over all tokens but the first, `natural` how far apart the two means lie along
    the direction, in units of it. Texts stay with the direction; chat messages and ids do not. Cost: a forward pass for
    each text. Raises ValueError for too few texts, a text of one token, and a layer that is not there.
    """
    model = Model.of(model)
    site = Site("residual", layer, part="post")
    sets = _checked(model, positive, negative, [site], kind, position)
    runs = [read(model, texts, [site])[0] for texts in sets]
    norm = float(np.median(np.linalg.norm(np.concatenate([*runs[0], *runs[1]]), axis=-1)))
    return _direction(model, site, runs, kind, position, norm, name, sets)


def head_contrast(
    model: Any,
    positive: Sequence[Prompt],
    negative: Sequence[Prompt],
    heads: Selection | Iterable[Site],
    kind: str = "mean",
    *,
    position: str = "mean",
    name: str = "contrast",
) -> list[Direction]:
    """A direction at the output z of each head, for inference-time intervention (Li et al. 2023): see `add`.

    Made as `contrast` makes it. `norm` is σ, the standard deviation of the head's output along the direction over what
    was read, so a strength is a number of σ; `natural` is the distance of the two means in σ. The paper reads the last
    token (`position="last"`) and picks the heads by a probe's accuracy on other texts than these.
    """
    model, sites = Model.of(model), tuple(heads)
    refuse_no_heads(sites)
    sets = _checked(model, positive, negative, sites, kind, position)
    runs = [read(model, texts, sites) for texts in sets]
    return [
        _direction(model, site, [runs[0][i], runs[1][i]], kind, position, None, f"{name} {site}", sets)
        for i, site in enumerate(sites)
    ]


def add(
    directions: Sequence[Direction],
    strength: float | None = None,
    positions: Sequence[int] | None = None,
    where: str = "all",
) -> Recipe:
    """One Recipe that adds several directions, each `strength` (default: its own `natural`) times its `norm`.

    Of head directions the strength is in σ: α of inference-time intervention (Li et al. 2023).
    """
    if isinstance(directions, Direction) or not directions:
        raise ValueError("give a list of at least one Direction; a single one has direction.add()")
    recipe = Recipe()
    for direction in directions:
        recipe = recipe + direction.add(strength, positions, where)
    return recipe


def points(model: Model, direction: Direction) -> tuple[np.ndarray, np.ndarray]:
    """What a direction was made of, [text, width]: the points of its positive and of its negative texts."""
    position = "last" if direction.kind.endswith(_LAST) else "mean"
    sets = direction.positive, direction.negative
    up, down = (read(model, texts, [direction.site])[0] for texts in sets)
    return _points(up, position), _points(down, position)


Runs = Sequence[np.ndarray]  # one text each: [pos - 1, width]


def read(model: Model, texts: Sequence[Prompt], sites: Sequence[Site]) -> list[list[np.ndarray]]:
    """For each site the activations [pos - 1, width] of each text, its first token left out.

    One pass for each text; the model keeps its latest ones for all layers, so another layer asks for none.
    """
    found: list[list[np.ndarray]] = [[] for _ in sites]

    def work(text: Prompt) -> None:
        ids = tuple(model.ids(text)[0].tolist())
        if len(ids) == 1:
            raise ValueError(f"{text!r} has a single token; a contrast leaves the first one out")
        for site, kept in zip(sites, found, strict=True):
            seen = own(model.activations(ids, site), site)[1:]
            kept.append(seen.flatten(1).float().cpu().numpy())

    for text in texts:
        model.do(partial(work, text))
    return found


def residual_norms(model: Model, prompts: Sequence[Prompt], layers: Sequence[int]) -> list[float]:
    """The median residual norm after each of these blocks, over all tokens of the prompts but the first."""
    sites = [Site("residual", layer, part="post") for layer in layers]
    return [float(np.median(np.linalg.norm(np.concatenate(run), axis=-1))) for run in read(model, prompts, sites)]


def refuse_no_heads(sites: Sequence[Site]) -> None:
    """Refuse what is not a whole head's output."""
    strangers = [s for s in sites if not isinstance(s, Site) or (s.kind, s.part, s.position) != ("head", "z", None)]
    if strangers or not sites:
        given = str(strangers[0]) if strangers else "none"
        raise ValueError(f"give heads such as mi.Site('head', 12, 3), at all positions; got {given:.60}")


def check_sites(model: Model, sites: Sequence[Site]) -> None:
    """Refuse a site that the model does not have."""

    def work() -> None:
        for site in sites:
            check_site(model, site)

    model.do(work)


def _checked(
    model: Model, positive: Any, negative: Any, sites: Sequence[Site], kind: str, position: str
) -> tuple[Sequence[Prompt], Sequence[Prompt]]:
    if kind not in FEWEST:
        raise ValueError(f"kind must be one of {', '.join(FEWEST)}, not {kind!r}")
    if position not in POSITIONS:
        raise ValueError(f"position must be one of {', '.join(POSITIONS)}, not {position!r}")
    for side, given in (("positive", positive), ("negative", negative)):
        if isinstance(given, str) or len(given) == 0:
            raise ValueError(f"{side} must be a list of at least one text, not {given!r:.80}")
        if len(given) < FEWEST[kind]:
            raise ValueError(f"kind={kind!r} needs {FEWEST[kind]} texts or more on each side; {side} has {len(given)}")
    if kind == "pca" and len(positive) != len(negative):
        raise ValueError(
            f"kind='pca' takes texts in pairs: {len(positive)} positive, {len(negative)} negative; use kind='mean'"
        )
    check_sites(model, sites)
    return positive, negative


def _points(runs: Runs, position: str) -> np.ndarray:
    """[text, width]."""
    return np.stack([run[-1] if position == "last" else run.mean(0) for run in runs]).astype(np.float64)


def _direction(
    model: Model,
    site: Site,
    runs: Sequence[Runs],
    kind: str,
    position: str,
    norm: float | None,
    name: str,
    sets: Sequence[Sequence[Any]],
) -> Direction:
    """norm: None takes the spread along the direction."""
    up, down = (_points(run, position) for run in runs)
    difference = up.mean(0) - down.mean(0)
    vector = {"mean": _mean, "pca": _pca, "probe": _probe}[kind](up, down)
    length = np.linalg.norm(vector)
    if not length > 0:
        raise ValueError(f"nothing at {site} tells the positive from the negative texts; are they the same?")
    vector = vector / length
    gap = float(difference @ vector)
    vector, gap = (-vector, -gap) if gap < 0 else (vector, gap)
    if norm is None:
        read = np.concatenate([up, down] if position == "last" else [*runs[0], *runs[1]])
        norm = float((read @ vector).std())
    assert site.layer is not None
    positive, negative = (tuple(texts) if all(isinstance(text, str) for text in texts) else () for texts in sets)
    said = kind if position == "mean" else kind + _LAST
    return Direction(
        vector.astype(np.float32), site.layer, norm, gap / norm, name, positive, negative,
        model.provenance, site.index, said,
    )  # fmt: skip


def _mean(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    return up.mean(0) - down.mean(0)


def _pca(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    _, lengths, components = np.linalg.svd(up - down, full_matrices=False)
    return lengths[0] * components[0]


def _probe(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    labels = np.repeat([1, 0], [len(up), len(down)])
    scaler = StandardScaler().fit(x := np.concatenate([up, down]))
    return LogisticRegression(max_iter=1000).fit(scaler.transform(x), labels).coef_[0] / scaler.scale_
