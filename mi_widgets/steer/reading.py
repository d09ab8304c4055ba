"""Reading: edit what a lens reads at places of the residual stream, one token there at a time.

A lens reads the stream x after a block for a token by x · v, with v the unit vector along the token's row of the
unembedding less the mean row, times the final norm's weight (centred, where that norm centres), and taken back through
a translator where the lens has one. The logit less the mean of all logits is x · v, times how long that vector was,
over the length that the final norm divides by, plus a constant that no edit reaches, of biases where there are some.

- remove: x − (x · v) v. The token's logit is then the mean of all logits, but for that constant; and x is shorter, so
  that the final norm makes what is left a little larger.
- add: x + strength · norm · v, with `norm` the median length of the stream in that layer.
- swap: x − 2 (x · d) d, with d the unit vector along v − w. A mirror, which exchanges what x has along v and along w,
  the directions of two tokens: x · v becomes what x · w was, and the other way round. The length of x stays. A swap in
  TransformerLens's `JacobianLens` exchanges coordinates along vectors that keep the length of their rows.

What it cannot show: that the model itself reads the token there. Later blocks read much else along v, and may write the
token again. Directions of common tokens are far from orthogonal, so that removing one takes from its neighbours too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..direction import Direction
from ..grid import Grid
from ..intervention import Recipe
from ..model import Model
from ..model.places import check_site
from ..model.readout import token_direction
from ..selection import Selection
from ..site import Site
from .amplitude import neutral
from .contrast import read

HOWS = ("remove", "add", "swap")
Token = str | int


def reading(
    model: Any,
    sites: Site | Selection | Iterable[Site],
    token: Token | Sequence[Token] | Grid,
    how: str = "remove",
    other: Token | None = None,
    strength: float | None = None,
    translator: Any = None,
) -> Recipe:
    """Remove a token from what a lens reads at places of the residual stream, add it, or swap it for another one.

    sites: `Site("residual", layer, part="post", position=5)` and the like; without a position all but the first, which
        an addition reaches as well. token: a text that is one token, or its id; one for each site; or the Grid of
        `mi.locate.lens`, for the first token that each of its cells reads.
    how: "remove", "add" or "swap"; see the module for what exactly is done. other: of a swap, the token that comes in.
    strength: of "add" alone, in median residual norms, those of the package's neutral texts; by default the root mean
        square of what the stream of those texts has along the direction, the Direction's `natural`.
    translator: what the lens reads layers through, if it does; as in `mi.locate.lens`.

    Cost: an unembedding, forward and backward, for each token and layer; and once the neutral texts' 8 passes. Raises
    ValueError for sites that no lens reads, a text of several tokens (with its pieces), and a token swapped for itself.
    """
    model, places = Model.of(model), _places(sites)
    _refuse(how, other, strength)

    def work() -> Recipe:
        if hasattr(translator, "check"):
            translator.check(model)
        tokens = _tokens(model, places, token)
        incoming = None if other is None else _id(model, other)
        recipe = Recipe()
        for site, own in zip(places, tokens, strict=True):
            check_site(model, site)
            direction = _direction(model, site, own, incoming if how == "swap" else None, translator)
            positions = None if site.position is None else [site.position]
            if how == "add":
                recipe += direction.add(strength, positions)
            else:
                recipe += direction.project_out(positions).at(2 if how == "swap" else 1)
        source = sites.provenance if isinstance(sites, Selection) else {}
        return Recipe(recipe.interventions, {**source, **model.provenance, "method": f"reading: {how}"})

    return model.do(work)


def _refuse(how: str, other: Any, strength: float | None) -> None:
    if how not in HOWS:
        raise ValueError(f"how must be one of {', '.join(HOWS)}, not {how!r:.40}")
    if (how == "swap") != (other is not None):
        raise ValueError("a swap needs other=, the token that comes in; nothing else takes it")
    if strength is not None and how != "add":
        raise ValueError(f"strength= is for how='add'; {how!r} has none: recipe.at(s) makes a recipe weaker")


def _places(sites: Any) -> list[Site]:
    places = [sites] if isinstance(sites, Site) else list(sites)
    if not places:
        raise ValueError("nothing is selected: pick at least one cell of a lens")
    strangers = [
        place for place in places if not isinstance(place, Site) or (place.kind, place.part) != ("residual", "post")
    ]
    if strangers:
        raise ValueError(
            f"a lens reads the residual stream after a block, such as mi.Site('residual', 3, part='post', position=5); "
            f"{strangers[0]} is not read"
        )
    return places


def _tokens(model: Model, places: Sequence[Site], token: Any) -> list[int]:
    """The id of each place's token."""
    if isinstance(token, Grid):
        if token.readings is None:
            raise ValueError(f"{token.title or 'this grid'!r} has no readings; mi.locate.lens makes a grid that has")
        return [int(token.readings.ids[token.index(place)][0]) for place in places]
    if isinstance(token, (str, int)):
        return [_id(model, token)] * len(places)
    ids = [_id(model, each) for each in token]
    if len(ids) != len(places):
        raise ValueError(f"give one token, or one for each site: {len(ids)} tokens for {len(places)} sites")
    return ids


def _id(model: Model, token: Token) -> int:
    if isinstance(token, str):
        return model.single(token)
    if isinstance(token, bool) or not 0 <= token < model.d_vocab:
        raise ValueError(f"token ids go from 0 to {model.d_vocab - 1}, not {token!r:.40}")
    return int(token)


def _direction(model: Model, site: Site, token: int, other: int | None, translator: Any) -> Direction:
    """The direction of a token at a site's layer, or of what tells it from another one."""
    assert site.layer is not None
    words = [f"‘{label['text']}’" for label in model.labels([token] if other is None else [token, other])]
    if token == other:
        raise ValueError(f"{words[0]} is read at {site} already: a swap needs another token")
    vector = token_direction(model, token, site.layer, translator)
    if other is not None:
        apart = vector - token_direction(model, other, site.layer, translator)
        vector = apart / apart.norm()
    stream = _stream(model, site.layer)
    norm = float(np.median(np.linalg.norm(stream, axis=-1)))
    numbers = vector.cpu().numpy()
    return Direction(
        numbers,
        site.layer,
        norm,
        float(np.sqrt(np.mean((stream @ numbers) ** 2))) / norm,
        name=" ↔ ".join(words),
        kind="reading" if translator is None else "translated reading",
        tokens=() if translator is not None else (token,) if other is None else (token, other),
        provenance=model.provenance,
    )


def _stream(model: Model, layer: int) -> np.ndarray:
    """The stream after a block on the neutral texts, their first tokens left out, [token, d_model]."""
    return np.concatenate(read(model, neutral(), [Site("residual", layer, part="post")])[0])
