"""Activating: the tokens, among given texts, on which a feature or neuron is most active.

What it does not show: what the feature stands for. A handful of top examples fits many descriptions; try the
description on texts chosen to break it, and see with `causal` what the model does with the feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..model import Model, own
from ..progress import Progress, ticker
from ..site import Site


@dataclass(frozen=True)
class Activating:
    """One text, at the token on which a site is most active there.

    activation: at `position`, whose token is `token`. tokens, activations: of the whole text, one for each position.
    """

    text: str
    position: int
    token: str
    activation: float
    tokens: tuple[str, ...]
    activations: tuple[float, ...]

    def __str__(self) -> str:
        around = range(max(0, self.position - 8), min(len(self.tokens), self.position + 4))
        words = (f"«{self.tokens[i]}»" if i == self.position else self.tokens[i] for i in around)
        return f"{self.activation:.2f}  {''.join(words)}"


def activating(
    model: Any, site: Site, texts: Sequence[str], top: int = 5, progress: Progress = False
) -> tuple[Activating, ...]:
    """The `top` texts on whose tokens a feature or neuron is most active, the most active first.

    Position 0 is left out, whose activation is of another size. Texts on which it is nowhere above 0 are left out.
    Cost: one forward pass for each text.
    """
    model = Model.of(model)
    if not isinstance(site, Site) or site.kind not in ("feature", "neuron") or site.position is not None:
        raise ValueError(f"give a feature or a neuron, such as Site('feature', 15, 3), not {site!r:.80}")
    if isinstance(texts, str) or not texts:
        raise ValueError(f"texts is a list of at least one text, not {texts!r:.60}")
    tick, found = ticker(progress, "text"), []
    for number, text in enumerate(texts, start=1):
        found.append(model.do(lambda text=text: _of(model, site, text)))
        tick(number, len(texts))
    best = sorted(filter(None, found), key=lambda each: -each.activation)
    return tuple(best[:top])


def _of(model: Model, site: Site, text: str) -> Activating | None:
    ids = tuple(model.ids(text)[0].tolist())
    values = own(model.activations(ids, site), site)[:, 0].float().tolist()
    if max(values[1:], default=0.0) <= 0:
        return None
    position = max(range(1, len(values)), key=values.__getitem__)
    tokens = tuple(label["text"] for label in model.labels(ids))
    return Activating(text, position, tokens[position], values[position], tokens, tuple(values))


__all__ = ["Activating", "activating"]
