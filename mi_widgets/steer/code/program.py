"""Program: what the flavours share. The recipe's values, its hooks in their order, and what is printed.

A place is where a hook sits, and an index is a head's or neuron's own part of what is there; each flavour writes both
in its own way. The rest is the same: the shape of an activation is [batch, pos, ...], a pattern's [batch, head,
query_pos, key_pos].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ...delta import Delta
from ...direction import Direction
from ...intervention import Condition, Intervention, Recipe
from ...model import Model, carrying
from ...recipefile import digest
from ...reference import Reference
from ...site import Site
from .features import dictionary_of
from .features import source as of_features
from .helpers import SHARED, imports, needed

_DTYPES = ("float32", "bfloat16", "float16", "float64")
Other = str | tuple[Reference, int]  # another run: of a prompt, or of one of several texts, drawn with a seed


class Program(ABC):
    """A recipe as source code.

    prompt: the text, or the token ids, to run; by default those in the recipe's provenance. Where that names an answer
    and a foil the program prints their logit difference, else the top tokens. vectors: the file of the recipe's arrays.
    model: what it is for; what cannot be run on it is refused here.
    """

    def __init__(
        self,
        recipe: Recipe,
        prompt: str | Sequence[int] | None,
        vectors: str | Path | None,
        model: Model | None = None,
        features: str | Path | None = None,
    ) -> None:
        known = recipe.provenance
        self.prompt = _prompt(known.get("prompt", "The capital of France is") if prompt is None else prompt)
        self.read = (known.get("answer"), known.get("foil"))
        self.source = str(known.get("source") or known.get("model") or "")
        if not self.source:
            raise ValueError("the recipe does not say which model it is for: recipe.code(model=model) does")
        self.dtype = known.get("dtype", "float32")
        if self.dtype not in _DTYPES:
            raise ValueError(f"the recipe names the dtype {self.dtype!r:.40}; models come in {', '.join(_DTYPES)}")
        self.vectors, self.features = vectors, features
        self.steps = sorted((step for step in recipe.interventions if step.strength != 0), key=_turn)
        later = [step for step in recipe.interventions if step.where == "generated"]
        if later:
            raise ValueError(
                f"{later[0]} touches nothing in a run, which generates no text, so there is no code for it"
            )
        if model is not None:
            model.hooks(recipe, self.prompt)  # refuses what the model lacks and what touches nothing
        gates = [step.condition.direction for step in self.steps if step.condition]
        self.directions = list(dict.fromkeys([*(s.direction for s in self.steps if s.direction), *gates]))
        self.deltas = list(dict.fromkeys(step.delta for step in self.steps if step.delta))
        self.subspaces = list(dict.fromkeys(step.subspace for step in self.steps if step.subspace))
        featured = [step for step in self.steps if step.site.kind == "feature"]
        self.dictionary = dictionary_of(featured, model, features) if featured else None
        plain = [step for step in self.steps if step not in featured]
        self.references = list(dict.fromkeys(s.reference for s in plain if s.reference and s.op == "mean"))
        self.others = list(dict.fromkeys(other for step in self.steps if (other := _other(step)) is not None))

    def text(self) -> str:
        """All of it."""
        head = "\n".join(["torch.set_grad_enabled(False)", *self.loading(), f"prompt = {self.prompt!r}"])
        lines = [f"tokens = {self.tokens(self.prompt)}", *self._values(), *self._hooks(), "", *self._run()]
        body = "\n".join(lines)
        own = {} if self.dictionary is None else of_features(self.dictionary, str(self.features))
        functions = needed(f"{head}\n{body}", {**self.helpers(), **SHARED, **own})
        code = "\n".join([head, "", *functions, "", body]) if functions else f"{head}\n{body}"
        return "\n".join([*imports(code), code.replace("\n\n\n\n", "\n\n\n")]) + "\n"

    # -- what a flavour writes ----------------------------------------------------------------------------------------

    @abstractmethod
    def helpers(self) -> dict[str, str]:
        """Functions of its own, by their names: `encode`, `activations`, ..."""

    @abstractmethod
    def loading(self) -> list[str]:
        """Lines that load the model."""

    @abstractmethod
    def place(self, site: Site) -> str:
        """Where what a site means is."""

    @abstractmethod
    def index(self, site: Site) -> str:
        """A head's or neuron's part of what is at its place, "" for the others."""

    @abstractmethod
    def around(self, mid: Site) -> tuple[str, str]:
        """Where what enters a block is, and where what its attention adds is."""

    @abstractmethod
    def read_by(self, weight: Site) -> str:
        """Where what a matrix reads is."""

    @abstractmethod
    def writers(self) -> list[str]:
        """Lines that list, as `writers`, all places at which something is written to the residual stream."""

    @abstractmethod
    def columns(self, weight: Site, chosen: tuple[int, ...] | None) -> str:
        """A matrix's columns in what is at its place, "" for all."""

    @abstractmethod
    def run(self, hooks: bool) -> str:
        """Logits [batch, pos, d_vocab] of `tokens`."""

    @abstractmethod
    def tops(self, logits: str) -> str:
        """The tokens with the largest logits."""

    @abstractmethod
    def ids(self, texts: list[str]) -> str:
        """Token ids of texts that are one token each."""

    def literal(self, text: str) -> str:
        """A text as `encode` takes it."""
        return repr(text)

    def _place(self, site: Site) -> str:
        """Where what a step edits is: of a feature, what its dictionary reads."""
        return self.place(carrying(site))

    def _index(self, site: Site) -> str:
        return "" if site.kind == "feature" else self.index(site)

    # -- values -------------------------------------------------------------------------------------------------------

    def tokens(self, prompt: str | list[int]) -> str:
        """The tokens [1, pos] of a prompt."""
        return "encode(prompt)" if isinstance(prompt, str) else "torch.tensor([prompt])"

    def folder(self) -> str:
        """Where the model is loaded from."""
        return f"os.path.expanduser({self.source!r})" if self.source.startswith("~") else repr(self.source)

    def _values(self) -> list[str]:
        """Lines that compute the tensors the hooks need."""
        lines = [f"v{number} = {self._vector(direction)}" for number, direction in enumerate(self.directions)]
        lines += [f"w{number} = {self._weight(delta)}" for number, delta in enumerate(self.deltas)]
        for number, subspace in enumerate(self.subspaces):
            lines += [f"basis{number} = {self._array(subspace.basis, f'the subspace {subspace.name!r}')}"]
        if self.deltas or self.subspaces or not all(_has_texts(d) or d.tokens for d in self.directions):
            lines = [f"arrays = load_file({str(self.vectors)!r})", *lines]
        for number, reference in enumerate(self.references):
            steps = [step for step in self.steps if step.reference == reference and step.op == "mean"]
            places = self._places(step for step in steps if step.site.kind != "feature")
            lines += [f"first{number}, rest{number} = means({self._listed(reference.texts)}, {places})"]
        for number, other in enumerate(self.others):
            places = self._places(step for step in self.steps if _other(step) == other)
            lines += [f"other{number} = activations({self._tokens_of(other)}, {places})"]
        return [*lines, *(self.writers() if any(step.everywhere for step in self.steps) else [])]

    def _vector(self, direction: Direction) -> str:
        """An expression for a direction: made from its texts, or from a token's unembedding, or loaded."""
        if direction.tokens:
            return f"token_direction({', '.join(map(str, direction.tokens))})"
        if not _has_texts(direction):
            return self._array(direction.vector, f"the direction {direction.name!r}")
        texts = f"{self._listed(direction.positive)}, {self._listed(direction.negative)}"
        return f"contrast({texts}, {self.place(direction.site)})"

    def _weight(self, delta: Delta) -> str:
        """The factors of an addition to a weight."""
        factors = [delta.left] if delta.right is None else [delta.left, delta.right]
        return f"[{', '.join(self._array(factor, 'an addition to a weight') for factor in factors)}]"

    def _array(self, array: np.ndarray, what: str) -> str:
        if self.vectors is None:
            raise ValueError(
                f"{what} is made from no texts that code could read again, so code loads it: "
                "recipe.save_vectors(path), then recipe.code(vectors=path)"
            )
        return f"array({digest(array)!r})"

    def _tokens_of(self, other: Other) -> str:
        if isinstance(other, str):
            return f"encode({self.literal(other)})"
        reference, seed = other
        return f"draw({self._listed(reference.texts)}, {seed})"

    def _places(self, steps: Any) -> str:
        return f"[{', '.join(sorted({self._place(step.site) for step in steps}))}]"

    def _listed(self, texts: Sequence[str]) -> str:
        return f"[{', '.join(map(self.literal, texts))}]"

    # -- hooks --------------------------------------------------------------------------------------------------------

    def _hooks(self) -> list[str]:
        """Lines that list the hooks, in the recipe's order; those with a condition behind an `if`."""
        lines = ["hooks = []"]
        for condition, steps in groupby(self.steps, key=lambda step: step.condition):
            block = ["hooks += [", *(f"    {entry}," for step in steps for entry in self._entries(step)), "]"]
            lines += self._when(condition, block) if condition else block
        sources = list(dict.fromkeys(source for step in self.steps for source in self._source(step)))
        if not sources:
            return lines
        kept = f"hooks += [(place, keep(place)) for place in [{', '.join(sources)}]]"
        return [*lines, "# last, so that they keep what the other hooks have left", kept]

    def _when(self, condition: Condition, block: list[str]) -> list[str]:
        place, vector = self.place(condition.direction.site), self._name(condition.direction)
        position = -1 if condition.position == "last_prompt" else condition.position
        return [
            f"x = activations(tokens, [{place}])[{place}][0, {position}].float()",
            f"if float(x @ {vector}.to(x)) > {condition.above!r}:",
            *(f"    {line}" for line in block),
        ]

    def _entries(self, step: Intervention) -> list[str]:
        """The (place, hook) entries of one intervention."""
        strength = "" if step.strength == 1 else f", {step.strength!r}"
        if step.delta is not None:
            (source,) = self._source(step)
            return [f"({self._place(step.site)}, reading({source}, {self._addition(step, step.delta)}))"]
        changes = [(self._at(step, positions), change) for positions, change in self._changes(step)]
        made = [f"edit(np.s_[{at}], {change}{strength})" for at, change in changes]
        if step.everywhere:
            return [f"*((place, {hook}) for place in writers)" for hook in made]
        if step.site.part != "mid":
            return [f"({self._place(step.site)}, {hook})" for hook in made]
        entered, added = self.around(step.site)
        return [f"({added}, reading({entered}, mid({hook})))" for hook in made]

    def _source(self, step: Intervention) -> list[str]:
        """The place that a step reads to edit another."""
        if step.delta is not None:
            return [self.read_by(step.site)]
        return [self.around(step.site)[0]] if step.site.part == "mid" else []

    def _addition(self, step: Intervention, delta: Delta) -> str:
        rows = "" if delta.rows is None else f", rows={list(delta.rows)}"
        columns = self.columns(step.site, delta.columns)
        strength = "" if step.strength == 1 else f", strength={step.strength!r}"
        return f"plus(w{self.deltas.index(delta)}{rows}{columns and f', columns={columns}'}{strength})"

    def _at(self, step: Intervention, positions: str) -> str:
        """Which part of an activation [batch, pos, ...], or of a pattern, a step edits."""
        index = self._index(step.site)
        if step.site.part != "pattern":
            return ", ".join([":", positions, *([index] if index else [])])
        key = [] if step.site.key is None or step.op == "knock_out" else [str(step.site.key)]
        return ", ".join([":", index, positions, *key])

    def _changes(self, step: Intervention) -> list[tuple[str, str]]:
        """Which positions change, and how."""
        if step.op == "mean":
            return self._mean(step)
        positions = str(step.site.position) if step.site.position is not None else "1:" if step.spare_first else ":"
        return [(positions, self._change(step, positions))]

    def _change(self, step: Intervention, positions: str) -> str:
        """What a step does to what is there; of a feature, to its activation."""
        change = self._plain_change(step, positions)
        return change if step.site.kind != "feature" else f"feature({step.site.index}, {change})"

    def _plain_change(self, step: Intervention, positions: str) -> str:
        vector = self._name(step.direction) if step.direction else ""
        if step.op in ("replace", "resample", "swap"):
            there = self._there(step, positions)
            if step.subspace is None:
                return f"lambda x: {there}"
            return f"swap(basis{self.subspaces.index(step.subspace)}, {there})"
        if step.op in ("add", "rotate"):
            assert step.direction is not None
            added = f"{step.amount!r} * {float(step.direction.norm)!r} * {vector}"
            return f"lambda x: x + ({added}).to(x)" if step.op == "add" else f"turn({added})"
        return {
            "zero": "torch.zeros_like",
            "scale": f"lambda x: x * {step.amount!r}",
            "clamp": f"lambda x: x.clamp({step.low!r}, {step.high!r})",
            "knock_out": f"cut({step.site.key})",
            "project_out": f"without({vector})",
        }[step.op]

    def _there(self, step: Intervention, positions: str) -> str:
        """What is at a step's place in another run, whose text may be longer when it was drawn."""
        there = f"other{self.others.index(_other(step) or '')}[{self._place(step.site)}]"
        cut = "[:, :, :tokens.shape[1], :tokens.shape[1]]" if step.site.part == "pattern" else "[:, :tokens.shape[1]]"
        taken = f"{there}{cut if step.op == 'resample' else ''}[{self._at(step, positions)}]"
        return f"active({taken})[..., [{step.site.index}]]" if step.site.kind == "feature" else taken

    def _mean(self, step: Intervention) -> list[tuple[str, str]]:
        """A mean has its own value at position 0."""
        assert step.reference is not None
        position = step.site.position
        if step.site.kind == "feature":
            made = f"feature_means({self._listed(step.reference.texts)}, {self._place(step.site)}, {step.site.index})"
            first, rest = f"{made}[0]", f"{made}[1]"
        else:
            number = self.references.index(step.reference)
            first, rest = f"first{number}", f"rest{number}"
        if position is None:
            taken = [] if step.spare_first else [("0", first)]
            taken += [("1:", rest)]
        elif position < 0:  # counted from the end it may be the first one
            taken = [(str(position), f"({first} if tokens.shape[1] == {-position} else {rest})")]
        else:
            taken = [(str(position), rest if position else first)]
        if step.site.kind == "feature":
            own = f"feature({step.site.index}, lambda a, mean={{}}: a * 0 + mean)"
            return [(place, own.format(mean)) for place, mean in taken]
        index = self._index(step.site)
        part = f"[{self._place(step.site)}]" + (index and f"[{index}]")
        return [(place, f"lambda x: {mean}{part}") for place, mean in taken]

    def _name(self, direction: Direction) -> str:
        return f"v{self.directions.index(direction)}"

    # -- what is printed ----------------------------------------------------------------------------------------------

    def _run(self) -> list[str]:
        lines = [f"before = {self.run(False)}[0, -1]", f"after = {self.run(True)}[0, -1]"]
        answer, foil = self.read
        if answer is None or foil is None:
            return [*lines, *(f'print("{name:6}", {self.tops(name)})' for name in ("before", "after"))]
        return [
            *lines,
            f"answer = {self._word(answer)}",
            f"foil = {self._word(foil)}",
            "difference = lambda x: (x[answer].logsumexp(-1) - x[foil].logsumexp(-1)).item()",
            "print(difference(before), difference(after), difference(after) - difference(before))",
        ]

    def _word(self, words: Any) -> str:
        """An expression for token ids: of ids as they are, of texts by the tokenizer."""
        listed = list(words) if isinstance(words, (list, tuple)) else [words]
        return repr(listed) if all(isinstance(word, int) for word in listed) else self.ids(listed)


def _has_texts(direction: Direction) -> bool:
    """Whether code can make a direction again: the difference of two sets' means in the residual stream."""
    return direction.kind == "mean" and direction.head is None and bool(direction.positive and direction.negative)


def _turn(step: Intervention) -> int:
    """What a weight adds comes before other edits of what it makes, a block's middle after what it is the sum of."""
    return 0 if step.delta is not None else 2 if step.site.part == "mid" else 1


def _other(step: Intervention) -> Other | None:
    """Which other run a step takes its values from."""
    if step.op == "resample" and step.reference is not None and step.seed is not None:
        return step.reference, step.seed
    return step.prompt


def _prompt(prompt: Any) -> str | list[int]:
    """A text, or token ids as plain numbers; anything else cannot be written as a literal."""
    if isinstance(prompt, str):
        return prompt
    ids = prompt.tolist() if hasattr(prompt, "tolist") else prompt
    ids = ids[0] if isinstance(ids, (list, tuple)) and len(ids) == 1 and isinstance(ids[0], list) else ids
    if isinstance(ids, (list, tuple)) and ids and all(isinstance(id_, int) for id_ in ids):
        return list(ids)
    raise ValueError(f"code runs a text or a row of token ids, not {prompt!r:.80}; model.ids(messages) makes ids")
