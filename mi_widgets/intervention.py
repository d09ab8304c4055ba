"""Intervention, Recipe, Direction: what is done, where, how strongly. Plain data, no torch.

A Recipe is an ordered tuple of Interventions. The model room compiles it to functional hooks; it can also be written
as code, saved as JSON of a closed schema, and composed with `+`. Every intervention is a function f of an activation x
and a strength s, and does x + s · (f(x) − x): s = 0 is no edit at all, s = 1 is f itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .site import Site

if TYPE_CHECKING:
    from .model import Model

_FORMAT = "mi_widgets.recipe/1"
_INLINE_BYTES = 8192
#: What each operation needs besides its site.
_NEEDS = {
    "zero": (),
    "mean": ("reference",),
    "scale": ("amount",),
    "replace": ("prompt",),
    "add": ("direction", "amount"),
}


@dataclass(frozen=True)
class Reference:
    """Texts over which a mean is taken. Position 0 keeps its own mean; the other positions are pooled."""

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", _texts("a reference set", self.texts))
        if not self.texts:
            raise ValueError("a reference set needs at least one text")

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the texts' SHA-256."""
        return hashlib.sha256(json.dumps(self.texts).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Direction:
    """A unit vector in the residual stream after block `layer`, with the scale that gives its strength a meaning.

    vector: float32 [d_model], length 1.
    layer: the block after which it lives (`resid_post`).
    norm: median residual norm at that layer, position 0 excluded: one unit of strength is this long.
    natural: |mean difference| / norm, the strength at which adding moves from one set's mean to the other's.
    positive, negative: the texts it was made from, so that code can make it again.
    provenance: the model it was made in; recipes made from it carry it along.

    Directions are equal when all but their provenance is.
    """

    vector: np.ndarray
    layer: int
    norm: float
    natural: float
    name: str = "direction"
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.layer, bool) or not isinstance(self.layer, int) or self.layer < 0:
            raise ValueError(f"layer must be a whole number from 0, not {self.layer!r}")
        for name in ("positive", "negative"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        vector = np.asarray(self.vector, dtype=np.float32)
        length = float(np.linalg.norm(vector))
        if vector.ndim != 1 or not np.isfinite(length) or length == 0:
            raise ValueError(f"a direction is one finite vector [d_model] that is not zero; got shape {vector.shape}")
        if abs(length - 1) > 1e-5:
            vector = vector / length
        if not (_is_finite(self.norm) and self.norm > 0 and _is_finite(self.natural)):
            raise ValueError(f"norm must be above 0 and natural finite, not {self.norm!r} and {self.natural!r}")
        object.__setattr__(self, "vector", vector)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Direction) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def site(self) -> Site:
        """Where the direction lives."""
        return Site("residual", self.layer, part="post")

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of a SHA-256: of the vector, its layer and scale, its name and texts."""
        plain = json.dumps([getattr(self, name) for name in _DIRECTION])
        return hashlib.sha256(plain.encode() + self.vector.tobytes()).hexdigest()[:16]

    def add(self, strength: float | None = None, positions: Sequence[int] | None = None) -> Recipe:
        """Add `strength` (default: `natural`) times `norm` times the vector, at every or at the given positions."""
        amount = self.natural if strength is None else float(strength)
        places = [None] if positions is None else list(positions)
        if not places:
            raise ValueError("positions is empty, so nothing would be added; leave it out for every position")
        sites = [replace(self.site, position=position) for position in places]
        steps = (Intervention("add", site, amount=amount, direction=self) for site in sites)
        return Recipe(tuple(steps), dict(self.provenance))


@dataclass(frozen=True)
class Intervention:
    """One edit of one site.

    op: "zero"; "mean" over `reference`; "scale" by `amount`; "replace" by the activation of `prompt` (same number of
        tokens); "add" `amount` × `direction.norm` × `direction.vector`.
    strength: s in x + s · (f(x) − x).
    """

    op: str
    site: Site
    amount: float | None = None
    reference: Reference | None = None
    prompt: str | None = None
    direction: Direction | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.op, str) or self.op not in _NEEDS:
            raise ValueError(f"there is no operation {self.op!r}; operations are {', '.join(_NEEDS)}")
        for name in ("amount", "reference", "prompt", "direction"):
            given, needed = getattr(self, name) is not None, name in _NEEDS[self.op]
            if given != needed:
                raise ValueError(f"{self.op!r} {'needs' if needed else 'takes no'} {name}")
        for name in ("amount", "strength"):
            value = getattr(self, name)
            if name == "amount" and value is None:
                continue
            if not _is_finite(value):
                raise ValueError(f"{name} must be a finite number, not {value!r}")
            object.__setattr__(self, name, float(value))
        if not isinstance(self.site, Site):
            raise ValueError(f"site must be a Site such as Site('head', 1, 0), not {self.site!r:.80}")
        if self.prompt is not None and not isinstance(self.prompt, str):
            raise ValueError(f"prompt must be a text, not {self.prompt!r:.80}")

    @property
    def changes_nothing(self) -> bool:
        """Whether this is no edit at all, whatever the prompt: strength 0, a factor of 1, nothing added."""
        return self.strength == 0 or (self.op, self.amount) in (("scale", 1), ("add", 0))

    def __str__(self) -> str:
        what = {
            "zero": "set to zero",
            "mean": "set to its mean",
            "scale": f"× {self.amount:g}" if self.amount is not None else "",
            "replace": "taken from another prompt",
            "add": f"+ {self.amount:g} × {self.direction.name}" if self.direction else "",
        }[self.op]
        return f"{self.site} {what}" + ("" if self.strength == 1 else f" (strength {self.strength:g})")


@dataclass(frozen=True)
class Recipe:
    """Interventions in order, and where they came from. Empty recipes are recipes: they change nothing."""

    interventions: tuple[Intervention, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "interventions", tuple(self.interventions))
        strangers = [step for step in self.interventions if not isinstance(step, Intervention)]
        if strangers:
            raise TypeError(f"a Recipe holds Interventions; {strangers[0]!r:.80} is none: Selection's verbs make them")

    def __add__(self, other: Recipe) -> Recipe:
        """First this recipe, then the other."""
        if not isinstance(other, Recipe):
            return NotImplemented
        made_in = [recipe.provenance["weights"] for recipe in (self, other) if recipe.provenance.get("weights")]
        if len(set(made_in)) > 1:
            warnings.warn(f"the parts of this recipe were made in models of other weights: {made_in}", stacklevel=2)
        return Recipe(self.interventions + other.interventions, {**self.provenance, **other.provenance})

    def __len__(self) -> int:
        return len(self.interventions)

    def __str__(self) -> str:
        return "; ".join(map(str, self.interventions)) or "no change"

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every edited site, in order, once."""
        return tuple(dict.fromkeys(i.site for i in self.interventions))

    @property
    def conflicts(self) -> tuple[Site, ...]:
        """Sites that more than one intervention edits; the later one sees what the earlier one left."""
        seen = [i.site for i in self.interventions]
        return tuple(site for site in self.sites if seen.count(site) > 1)

    def at(self, strength: float) -> Recipe:
        """The same recipe `strength` times as strong: 0 changes nothing, 1 is the recipe, at(a).at(b) is at(a · b)."""
        scaled = (replace(i, strength=i.strength * strength) for i in self.interventions)
        return replace(self, interventions=tuple(scaled))

    def hooks(self, model: Model) -> list[tuple[str, Any]]:
        """[(hook name, function)] for `bridge.run_with_hooks(tokens, fwd_hooks=...)`."""
        from .model import Model

        return Model.of(model).hooks(self)

    def code(self, prompt: str | Sequence[int] | None = None, model: Model | None = None) -> str:
        """Plain TransformerLens code that gives the same numbers without this package.

        prompt: the text or token ids to run; by default those that the recipe was made on.
        model: whose numbers; by default the model that the recipe was made in. A recipe of Sites written by hand
            knows none, and then this raises ValueError without it.
        """
        from .steer.code import transformer_lens

        return transformer_lens(self if model is None else self.made_in(model), prompt)

    def made_in(self, model: Model) -> Recipe:
        """The same recipe with a model's name, weights' hash and source in its provenance."""
        return replace(self, provenance={**self.provenance, **model.provenance})

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of what the recipe does (provenance left out)."""
        plain, vectors = _encode(self)
        plain.pop("provenance")
        digests = {name: hashlib.sha256(v.tobytes()).hexdigest() for name, v in vectors.items()}
        return hashlib.sha256(json.dumps([plain, digests], sort_keys=True).encode()).hexdigest()[:16]

    def save(self, path: str | Path) -> Path:
        """Write JSON; vectors above 8 kB go to a safetensors file of the same stem beside it."""
        from safetensors.numpy import save_file

        path = Path(path)
        plain, vectors = _encode(self)
        large = {name: v for name, v in vectors.items() if v.nbytes > _INLINE_BYTES}
        for name, vector in vectors.items():
            entry = plain["directions"][name]
            entry["sha256"] = hashlib.sha256(vector.tobytes()).hexdigest()
            entry["vector"] = None if name in large else base64.b64encode(vector.tobytes()).decode()
        if large:
            save_file(large, str(path.with_suffix(".safetensors")))
        path.write_text(json.dumps(plain, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe file; unknown fields, another format or a vector with another hash are refused."""
        path = Path(path)
        try:
            return _decode(json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".safetensors"))
        except KeyError as error:
            raise ValueError(f"{path} is not a whole recipe: {error} is missing") from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is not a recipe that can be read: {error}") from error


def _encode(recipe: Recipe) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The recipe as JSON data without vectors, and the vectors by the hash that stands for them."""
    references = {i.reference.hash: i.reference.texts for i in recipe.interventions if i.reference}
    directions = {i.direction.hash: i.direction for i in recipe.interventions if i.direction}
    steps = []
    for i in recipe.interventions:
        step: dict[str, Any] = {"op": i.op, "site": i.site.to_dict(), "strength": i.strength}
        step |= {name: getattr(i, name) for name in ("amount", "prompt") if name in _NEEDS[i.op]}
        step |= {"reference": i.reference.hash} if i.reference else {}
        step |= {"direction": i.direction.hash} if i.direction else {}
        steps.append(step)
    plain = {
        "format": _FORMAT,
        "interventions": steps,
        "references": references,
        "directions": {key: {name: getattr(d, name) for name in _DIRECTION} for key, d in directions.items()},
        "provenance": recipe.provenance,
    }
    return plain, {key: d.vector for key, d in directions.items()}


_DIRECTION = ("layer", "norm", "natural", "name", "positive", "negative")


def _decode(data: dict[str, Any], beside: Path) -> Recipe:
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT}; a newer mi_widgets may have written it")
    _closed(data, {"format", "interventions", "references", "directions", "provenance"})
    if not isinstance(data["provenance"], dict):
        raise ValueError(f"its provenance is not an object but {data['provenance']!r:.80}")
    references = {key: Reference(texts) for key, texts in data["references"].items()}
    for key, reference in references.items():
        if reference.hash != key:
            raise ValueError(f"the reference texts under {key!r} do not have that hash")
    directions = {key: _direction(key, entry, beside) for key, entry in data["directions"].items()}
    steps = []
    for step in data["interventions"]:
        _closed(step, {"op", "site", "strength", "amount", "prompt", "reference", "direction"})
        step = {**step, "site": Site.from_dict(step["site"])}
        for name, known in (("reference", references), ("direction", directions)):
            if name in step:
                step[name] = known[step[name]]
        steps.append(Intervention(**step))
    return Recipe(tuple(steps), data["provenance"])


def _direction(key: str, entry: dict[str, Any], beside: Path) -> Direction:
    _closed(entry, {*_DIRECTION, "vector", "sha256"})
    if not isinstance(entry["name"], str):
        raise ValueError(f"the name of a direction is a text, not {entry['name']!r:.80}")
    if entry["vector"] is not None:
        vector = np.frombuffer(base64.b64decode(entry["vector"], validate=True), dtype=np.float32)
    else:
        vector = _beside(beside)[key]
    if hashlib.sha256(vector.tobytes()).hexdigest() != entry["sha256"]:
        raise ValueError(f"the vector of {entry['name']!r} does not have the hash that the recipe states")
    direction = Direction(vector, **{name: entry[name] for name in _DIRECTION})
    if direction.hash != key:
        raise ValueError(f"{direction.name!r} is not the direction that the recipe names: its hash is {direction.hash}")
    return direction


def _beside(path: Path) -> dict[str, np.ndarray]:
    """The large vectors of a recipe, in the file beside it."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"its vectors are not in {path.name}: {error}") from None


def _texts(what: str, texts: Any) -> tuple[str, ...]:
    """Texts as a tuple; one text alone, and anything that is not a text, is refused."""
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{what} is a list of texts, not {texts!r:.80}")
    return tuple(texts)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _closed(data: dict[str, Any], allowed: set[str]) -> None:
    unknown = set(data) - allowed
    if unknown:
        raise ValueError(f"it has the unknown field {sorted(unknown)[0]!r}")
