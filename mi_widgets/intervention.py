"""Intervention and Recipe: what is done to a model, where, how strongly. Plain data, no torch.

A Recipe is an ordered tuple of Interventions. The model room compiles it to functional hooks; it can also be written
as code, as edited weights, and as JSON of a closed schema, and composed with `+`. Every intervention is a function f of
an activation x and a strength s, and does x + s · (f(x) − x): s = 0 is no edit at all, s = 1 is f itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .delta import Delta
from .direction import Direction, is_finite
from .reference import Reference
from .site import Site
from .subspace import Subspace

if TYPE_CHECKING:
    from .model import Model
    from .steer.remote import Served

#: What each operation needs besides its site.
NEEDS: dict[str, tuple[str, ...]] = {
    "zero": (),
    "mean": ("reference",),
    "resample": ("reference", "seed"),
    "scale": ("amount",),
    "clamp": ("low", "high"),
    "replace": ("prompt",),
    "knock_out": (),
    "add": ("direction", "amount"),
    "rotate": ("direction", "amount"),
    "project_out": ("direction",),
    "delta": ("delta",),
    "swap": ("subspace", "prompt"),
}
VALUES = ("amount", "low", "high", "seed", "prompt", "reference", "direction", "delta", "subspace")
#: Which of a text's positions an intervention without a position of its own edits.
WHERE = ("all", "prompt", "generated")


@dataclass(frozen=True)
class Condition:
    """A prompt is edited only when the residual stream x after block `direction.layer` has x · v > `above`.

    Read in the run without the recipe, at `position` of the prompt ("last_prompt", or a token position), and kept for
    all tokens generated after it. `above` is in the activation's own units; `mi.steer.scores` gives those of prompts.
    """

    direction: Direction
    above: float
    position: str | int = "last_prompt"

    def __post_init__(self) -> None:
        if not isinstance(self.direction, Direction) or self.direction.head is not None:
            raise ValueError(f"a condition reads a Direction of the residual stream, not {self.direction!r:.80}")
        if not is_finite(self.above):
            raise ValueError(f"above must be a finite number, not {self.above!r}")
        object.__setattr__(self, "above", float(self.above))
        if self.position != "last_prompt" and (isinstance(self.position, bool) or not isinstance(self.position, int)):
            raise ValueError(f"position must be 'last_prompt' or a whole number, not {self.position!r}")

    def __str__(self) -> str:
        return f"when {self.direction.name} > {self.above:g} at L{self.direction.layer}"


@dataclass(frozen=True)
class Intervention:
    """One edit of one site.

    op: "zero"; "mean" over `reference`; "resample" by the activation on one text of `reference`, drawn with `seed`
        among those with at least as many tokens as the prompt; "scale" by `amount`; "clamp" between `low` and `high`
        (None: no bound); "replace" by the activation of `prompt` (same number of tokens); "knock_out" of a pattern's
        `key`, the rest of the row rescaled to its sum; "add" `amount` × `direction.norm` × `direction.vector`;
        "rotate", the same, rescaled to the length before; "project_out" the direction; "delta" added to a weight;
        "swap": the coordinates in `subspace` are those of `prompt`, the rest of the activation stays.
    where: which positions, if the site names none: "all", those of the "prompt", or only "generated" ones.
    spare_first: position 0 is left as it is.
    everywhere: of "project_out": from all that writes to the residual stream.
    condition: which prompts are edited.
    dictionary: of a feature, the hash of the dictionary that it is one of; "" is whichever the model has there.
    strength: s in x + s · (f(x) − x).
    """

    op: str
    site: Site
    amount: float | None = None
    reference: Reference | None = None
    prompt: str | None = None
    direction: Direction | None = None
    strength: float = 1.0
    low: float | None = None
    high: float | None = None
    seed: int | None = None
    delta: Delta | None = None
    where: str = "all"
    spare_first: bool = False
    everywhere: bool = False
    condition: Condition | None = None
    subspace: Subspace | None = None
    dictionary: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.op, str) or self.op not in NEEDS:
            raise ValueError(f"there is no operation {self.op!r}; operations are {', '.join(NEEDS)}")
        if not isinstance(self.site, Site):
            raise ValueError(f"site must be a Site such as Site('head', 1, 0), not {self.site!r:.80}")
        self._refuse_values()
        self._refuse_places()
        for name in ("amount", "low", "high", "strength"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))

    def _refuse_values(self) -> None:
        """Refuse a value that is missing, of another operation, or of another type."""
        for name in VALUES:
            given, needed = getattr(self, name) is not None, name in NEEDS[self.op]
            if given != needed and not (needed and self.op == "clamp"):
                raise ValueError(f"{self.op!r} {'needs' if needed else 'takes no'} {name}")
        for name in ("amount", "low", "high", "strength"):
            value = getattr(self, name)
            if not (value is None and name != "strength") and not is_finite(value):
                raise ValueError(f"{name} must be a finite number, not {value!r:.80}")
        types = {
            "prompt": str,
            "reference": Reference,
            "direction": Direction,
            "delta": Delta,
            "condition": Condition,
            "subspace": Subspace,
        }
        for name, type_ in types.items():
            if getattr(self, name) is not None and not isinstance(getattr(self, name), type_):
                raise ValueError(f"{name} must be a {type_.__name__}, not {getattr(self, name)!r:.80}")
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            raise ValueError(f"seed must be a whole number, not {self.seed!r}")
        if self.op == "clamp":
            if self.low is None and self.high is None:
                raise ValueError("'clamp' needs low or high, or both")
            if self.low is not None and self.high is not None and self.low > self.high:
                raise ValueError(f"low must not be above high: {self.low!r} > {self.high!r}")

    def _refuse_places(self) -> None:
        """Refuse an operation where it means nothing."""
        if (self.op == "delta") != (self.site.kind == "weight"):
            raise ValueError(f"{self.op!r} is not for {self.site}: weights take 'delta', and nothing else does")
        if self.op == "knock_out" and self.site.key is None:
            raise ValueError(f"'knock_out' cuts a query from a key; {self.site} names no key position")
        if self.where not in WHERE:
            raise ValueError(f"where must be one of {', '.join(WHERE)}, not {self.where!r}")
        if self.site.position is not None and (self.where != "all" or self.spare_first):
            raise ValueError(f"{self.site} names its position: where and spare_first are for sites that name none")
        if self.where != "all" and self.op == "delta":
            raise ValueError("a delta of a weight acts at all positions")
        if self.op == "mean" and self.site.part == "pattern":
            raise ValueError(f"{self.site} has no mean over texts of other lengths; scale it, or set it to zero")
        if self.direction is not None and self.site.part == "pattern":
            raise ValueError(f"{self.op!r} needs a site with directions; {self.site} is a pattern, which has none")
        if self.everywhere and (self.op != "project_out" or self.site.kind != "residual"):
            raise ValueError("only a direction of the residual stream is projected out everywhere")
        if self.op == "swap" and self.site.kind != "residual":
            raise ValueError(f"a subspace is one of the residual stream, not of {self.site}")
        if not isinstance(self.dictionary, str) or (self.dictionary and self.site.kind != "feature"):
            raise ValueError(f"dictionary is the hash of a feature's dictionary, not {self.dictionary!r:.60}")
        if self.site.kind == "feature" and (self.direction is not None or self.op == "swap"):
            raise ValueError(
                f"{self.op!r} is not for {self.site}, which is one number: mi.steer.feature makes it a direction"
            )
        for name in ("spare_first", "everywhere"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, not {getattr(self, name)!r}")

    @property
    def changes_nothing(self) -> bool:
        """Whether this is no edit at all, whatever the prompt: strength 0, a factor of 1, nothing added."""
        return self.strength == 0 or (self.op, self.amount) in (("scale", 1), ("add", 0), ("rotate", 0))

    def __str__(self) -> str:
        name = self.direction.name if self.direction else ""
        mirrored = (self.op, self.strength) == ("project_out", 2)  # x − 2 (x · v) v
        what = {
            "zero": lambda: "set to zero",
            "mean": lambda: "set to its mean",
            "resample": lambda: "taken from another text",
            "scale": lambda: f"× {self.amount:g}",
            "clamp": lambda: f"kept {_between(self.low, self.high)}",
            "replace": lambda: "taken from another prompt",
            "knock_out": lambda: "cut",
            "add": lambda: f"+ {self.amount:g} × {name}",
            "rotate": lambda: f"turned by {self.amount:g} × {name}",
            "project_out": lambda: f"mirrored along {name}" if mirrored else f"without {name}",
            "delta": lambda: f"+ {self.delta.size} numbers" if self.delta else "",
            "swap": lambda: f"in {self.subspace.name!r} as in another prompt" if self.subspace else "",
        }[self.op]()
        place = "residual stream everywhere" if self.everywhere else str(self.site)
        more = [] if self.where == "all" else [f"{self.where} positions"]
        more += [str(self.condition)] if self.condition else []
        more += [] if self.strength == 1 or mirrored else [f"strength {self.strength:g}"]
        return f"{place} {what}" + (f" ({', '.join(more)})" if more else "")


def _between(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"Recipe({self})"

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
        if not is_finite(strength):
            raise ValueError(f"strength must be a finite number, not {strength!r:.80}")
        scaled = (replace(i, strength=i.strength * strength) for i in self.interventions)
        return replace(self, interventions=tuple(scaled))

    def when(self, gate: Direction, above: float, position: str | int = "last_prompt") -> Recipe:
        """The same recipe, but only for prompts on which x · v of `gate` is above `above` (see `Condition`).

        Decided for each prompt in the run without the recipe, and kept for what is generated after it.
        """
        condition = Condition(gate, above, position)
        doubly = [step for step in self.interventions if step.condition]
        if doubly:
            raise ValueError(f"{doubly[0]} has a condition already; a step has one")
        return replace(self, interventions=tuple(replace(step, condition=condition) for step in self.interventions))

    def hooks(self, model: Model, prompt: Any = None) -> list[tuple[str, Any]]:
        """[(hook name, function)] for `bridge.run_with_hooks(tokens, fwd_hooks=...)`.

        prompt: what will be run; conditions and resampling need to know it.
        """
        from .model import Model

        return Model.of(model).hooks(self, prompt)

    def code(
        self,
        prompt: str | Sequence[int] | None = None,
        model: Model | None = None,
        flavour: str = "transformer_lens",
        vectors: str | Path | None = None,
        features: str | Path | None = None,
    ) -> str:
        """A short program that gives the same numbers without this package.

        prompt: the text or token ids to run; by default those that the recipe was made on.
        model: whose numbers; by default the model that the recipe was made in. What `mi.run` would refuse on it is
            refused here, at the cost of the runs that the recipe needs.
        flavour: "transformer_lens", or "huggingface" for plain PyTorch hooks on the Hugging Face model's modules; that
            one needs `model`, and has no place for edits of attention patterns.
        vectors: the file that `save_vectors` wrote. The program loads from it, and checks, every vector but those that
            are a difference of means, which it makes again from their texts; and every addition to a weight.
        features: of edits of features, the file that `Dictionary.save` wrote; `model` is needed too.
        Raises ValueError, with the call that helps, where one of these is missing, and for what has no code.
        """
        from .steer.code import program

        return program(self, prompt, model, flavour, vectors, features)

    def to_vllm(self, model: Model, prompt: Any = None) -> Served:
        """What TransformerLens's vLLM and Inspect backends take, and which steps they cannot do; see `steer.remote`.

        prompt: what will be run; positions from the end, and edits that spare the first one, need to know it.
        """
        from .steer.remote import served

        return served(model, self, prompt)

    def made_in(self, model: Model) -> Recipe:
        """The same recipe with a model's name, weights' hash and source in its provenance."""
        return replace(self, provenance={**self.provenance, **model.provenance})

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of what the recipe does (provenance left out)."""
        from .recipefile import fingerprint

        return fingerprint(self)

    def save(self, path: str | Path) -> Path:
        """Write JSON; arrays above 8 kB go to a safetensors file of the same stem beside it."""
        from .recipefile import write

        return write(self, path)

    def save_vectors(self, path: str | Path) -> Path:
        """Write the arrays alone to a safetensors file, each under its SHA-256, for programs that `code` writes."""
        from .recipefile import write_arrays

        return write_arrays(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe file; unknown fields, another format or an array with another hash are refused."""
        from .recipefile import read

        return read(path)


def added(
    direction: Direction, strength: float | None, positions: Sequence[int] | None, where: str, keep_norm: bool
) -> Recipe:
    """The recipe of `Direction.add`."""
    amount = direction.natural if strength is None else strength
    op = "rotate" if keep_norm else "add"
    return _of(direction, positions, lambda site: Intervention(op, site, amount, direction=direction, where=where))


def projected_out(
    direction: Direction, positions: Sequence[int] | None, where: str, everywhere: bool, first: bool
) -> Recipe:
    """The recipe of `Direction.project_out`."""
    spare = not first and positions is None
    return _of(
        direction,
        positions,
        lambda site: Intervention(
            "project_out", site, direction=direction, where=where, spare_first=spare, everywhere=everywhere
        ),
    )


def swapped(subspace: Subspace, prompt: str, positions: Sequence[int] | None) -> Recipe:
    """The recipe of `Subspace.swap`."""
    return _of(subspace, positions, lambda site: Intervention("swap", site, subspace=subspace, prompt=prompt))


def _of(source: Direction | Subspace, positions: Sequence[int] | None, step: Any) -> Recipe:
    places = [None] if positions is None else list(positions)
    if not places:
        raise ValueError("positions is empty, so nothing would be edited; leave it out for every position")
    steps = (step(replace(source.site, position=position)) for position in places)
    return Recipe(tuple(steps), dict(source.provenance))
