"""Run: one prompt through a model, with or without a Recipe; and what comes out, as a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from .intervention import Intervention, Recipe
from .model import Model, Read, family, first_difference
from .model.clock import Clock
from .model.hooks import Edit, as_hooks, of_rows
from .model.tokens import Prompt, token_at
from .site import Site
from .task import FIRST_DIFFERENCE, LAST, METRICS, Pair

Texts = str | int | Sequence[str | int]  # tokens as text (one token each), or as ids
_UNSPACED = 4.0  # logits by which " Mary" must lead "Mary" for the second to be taken for a slip
#: Entropy as a share of ln(d_vocab): closer to uniform than this says nothing any more.
COLLAPSED = 0.99


@dataclass(frozen=True, eq=False)
class Run:
    """The result of one forward pass.

    ids: [pos]. tokens: one label for each. logits: [pos, d_vocab], detached.
    warnings: what went wrong inside, in words.
    """

    ids: torch.Tensor
    tokens: list[dict[str, Any]]
    logits: torch.Tensor
    model: Model = field(repr=False)
    recipe: Recipe = field(default_factory=Recipe)
    warnings: tuple[str, ...] = ()

    def top(self, k: int = 10, position: int = -1) -> list[tuple[str, float]]:
        """The k most probable next tokens at a position, as (text, probability)."""
        return [(token["text"], p) for token, p in self.top_labels(k, position)]

    def top_labels(self, k: int = 10, position: int = -1) -> list[tuple[dict[str, Any], float]]:
        """The same with whole token labels."""
        values, ids = self.logits[position].float().softmax(-1).topk(k)
        return list(zip(self.model.labels(ids), values.tolist(), strict=True))

    def metric(self, answer: Texts, foil: Texts) -> float:
        """logit(answer) − logit(foil) at the last position; several texts count as their logsumexp.

        Raises ValueError for a word without its leading space where the one with it is far more probable.
        """
        for text in (*_listed(answer), *_listed(foil)):
            self.refuse_unspaced(text)
        return float(reader(self.model, "logit_diff", answer, foil)(self.logits[-1:])[0])

    def refuse_unspaced(self, text: str | int) -> None:
        """ "Mary" and " Mary" are two tokens; after a word it is nearly always the second that is meant."""
        spaced = f" {text}"
        if isinstance(text, int) or text.startswith(" ") or not self.model.is_single(spaced):
            return
        here, there = (float(self.logits[-1, self.model.single(word)]) for word in (text, spaced))
        if there - here > _UNSPACED:
            raise Unspaced(f"{text!r} is another token than {spaced!r}, which is far likelier here: use {spaced!r}")


class Unspaced(ValueError):
    """A word was given without its leading space."""

    fix = "Type a space before the word: inside a sentence the space is a part of it."


def run(
    model: Any,
    prompt: Prompt,
    recipe: Recipe | None = None,
    *,
    prepend_bos: bool | None = None,
    freeze_attention: bool = False,
) -> Run:
    """Run a prompt, with a recipe if one is given. Cost: one forward pass.

    freeze_attention: every head looks where it looks in the run without the recipe, so that what remains is what the
        edit does through values and FFNs alone; edits of patterns come on top. Cost: a batch of two.
    Raises ValueError when the recipe touches no position of this prompt or names a site the model lacks.
    """
    model, recipe = Model.of(model), checked(recipe)

    def work() -> Run:
        ids = model.ids(prompt, prepend_bos)
        moved: list[bool] = []
        edits = [_noting(edit, moved) for edit in model.compile(recipe, Clock.of(ids))]
        hooks = as_hooks(edits)
        logits = _frozen(model, ids, edits) if freeze_attention else model.forward(ids, hooks)[0].detach()
        wrong = health(logits, lambda: _origin(model, ids, hooks))
        said = (*_doubts(model, recipe), *_idle(recipe), *_unmoved(recipe, moved), *wrong)
        return Run(ids[0], model.labels(ids), logits, model, recipe, said)

    return model.do(work)


def _frozen(model: Model, ids: torch.Tensor, edits: Sequence[Edit]) -> torch.Tensor:
    """Logits [pos, d_vocab] of an edited run whose heads look where those of the unedited run beside it look."""
    names = [name for name in family(model, "head", "pattern") if name in model.points]
    if not names:
        raise ValueError(f"{model.name} has no attention patterns to freeze")
    model.compile(
        Recipe((Intervention("zero", Site("head", 0, 0, "pattern")),))
    )  # refuses a model whose patterns no edit reaches
    freeze = [(name, lambda x, hook: x[:1].expand_as(x)) for name in names]
    return model.forward(ids.expand(2, -1), [*freeze, *of_rows(model.points, [(1, edits)])])[1].detach()


def _doubts(model: Model, recipe: Recipe) -> tuple[str, ...]:
    """Warnings about where a recipe comes from and what it edits twice."""
    made_in, here = recipe.provenance.get("weights"), model.weights
    other = made_in not in (None, here)
    said = [f"the recipe was made in a model with the weights {made_in}; these are {here}"] if other else []
    twice = [str(site) for site in recipe.conflicts]
    return (*said, *([f"edited more than once, left to right: {', '.join(twice[:3])}"] if twice else []))


def checked(recipe: Recipe | None) -> Recipe:
    """The recipe, or the empty one; a Selection, say, is refused with the verb that makes one of it."""
    if recipe is not None and not isinstance(recipe, Recipe):
        raise TypeError(f"expected a Recipe, not a {type(recipe).__name__}; selection.switch_off() makes one")
    return recipe or Recipe()


def _noting(edit: Edit, moved: list[bool]) -> Edit:
    """The same edit, which notes whether it changes anything."""

    def change(x: torch.Tensor, *read: torch.Tensor) -> torch.Tensor:
        new = edit.change(x, *read)
        moved.append(not torch.equal(new, x))
        return new

    return replace(edit, change=change)


def _unmoved(recipe: Recipe, moved: list[bool]) -> tuple[str, ...]:
    """A warning about steps none of which found anything to change on this prompt."""
    live = [step for step in recipe.interventions if not step.changes_nothing]
    if not live or any(moved):
        return ()
    shut = " (its condition is not met)" if any(step.condition for step in live) and not moved else ""
    return (f"the recipe changes nothing on this prompt{shut}",)


def _idle(recipe: Recipe) -> tuple[str, ...]:
    """Warnings about steps that are no edits, such as a factor of 1."""
    idle = [str(step) for step in recipe.interventions if step.changes_nothing]
    if len(idle) <= 1:
        return tuple(f"{step} changes nothing" for step in idle)
    return (f"{len(idle)} of {len(recipe)} steps change nothing; the first is {idle[0]}",)


def _origin(model: Model, ids: torch.Tensor, hooks: Sequence[tuple[str, Any]]) -> str:
    """Where in a run the numbers first end: "from block 3 on". Cost: one more forward pass."""
    sound: list[bool] = []  # block by block

    def listen(x: torch.Tensor, hook: Any) -> None:
        sound.append(bool(torch.isfinite(x).all()))

    model.last_logits(ids, [*hooks, *((name, listen) for name in family(model, "residual", "post"))])
    first = next((layer for layer, whole in enumerate(sound) if not whole), None)
    return "only after the last block" if first is None else f"from block {first} on"


def health(logits: torch.Tensor, origin: Callable[[], str] | None = None) -> tuple[str, ...]:
    """Warnings about logits [pos, d_vocab]: not a number, infinite, or collapsed to a uniform distribution.

    origin: says where it began, and is asked only if there is something to say.
    """
    if not bool(torch.isfinite(logits).all()):
        where = f", {origin()}" if origin else ""
        return (f"the model's output is not a number (NaN or infinity){where}; the edit is too strong",)
    if float(evenness(logits[-1])) > COLLAPSED:
        return ("the output has collapsed: every token is about equally likely",)
    return ()


def evenness(logits: torch.Tensor) -> torch.Tensor:
    """The entropy of next-token distributions as a share of ln(d_vocab): logits [..., d_vocab] -> [...]."""
    logp = logits.float().log_softmax(-1)
    return -(logp.exp() * logp).sum(-1) / math.log(logits.shape[-1])


def generate(
    model: Any,
    prompt: Prompt | Sequence[Prompt],
    recipe: Recipe | None = None,
    max_new_tokens: int = 40,
    temperature: float = 0.0,
    seed: int = 0,
    *,
    on_text: Callable[[Any], None] | None = None,
    prepend_bos: bool | None = None,
) -> Any:
    """The text that follows a prompt, under a recipe if one is given; of several prompts a list of texts.

    prompt: a text, chat messages or ids; or a list of texts, or of chats, which are run as one batch.
    temperature 0 is greedy. Equal seeds give equal texts, whatever else draws random numbers; the rows of a batch are
    drawn with seed, seed + 1, … Positions in the recipe are absolute: position 5 is the prompt's sixth token also while
    later tokens are made. Edits of "generated" positions alone begin with the first new token, when it is read.
    on_text is called with the text so far (or the list of them) after each token.
    Raises ValueError when the edit makes the model's output something that is no number.
    """
    model, recipe = Model.of(model), checked(recipe)
    if not (0 <= temperature < math.inf) or max_new_tokens < 0:
        raise ValueError(f"temperature and max_new_tokens start at 0, not {temperature!r} and {max_new_tokens!r}")
    if isinstance(prompt, (list, tuple)) and not prompt:
        raise ValueError("the list of prompts is empty")
    several = _are_several(prompt)
    prompts: Sequence[Any] = prompt if several else [prompt]  # type: ignore[assignment]

    def work() -> list[str]:
        new: list[list[int]] = [[] for _ in prompts]
        texts = [""] * len(prompts)
        ids = [model.ids(each, prepend_bos) for each in prompts]
        for step in model.stream(ids, recipe, max_new_tokens, temperature, seed):
            for row, id_ in enumerate(step):
                if id_ is not None:
                    new[row].append(id_)
                    texts[row] = model.tokenizer.decode(new[row], skip_special_tokens=True)
            if on_text is not None:
                on_text(list(texts) if several else texts[0])
        return texts

    texts = model.do(work)
    return texts if several else texts[0]


def _are_several(prompt: Any) -> bool:
    """Whether it is a list of texts or of chats, and not one prompt."""
    if not isinstance(prompt, (list, tuple)) or not prompt:
        return False
    return all(isinstance(p, str) or (isinstance(p, list) and bool(p) and isinstance(p[0], dict)) for p in prompt)


def reader(model: Model, metric: str, answer: Texts, foil: Texts) -> Read:
    """A named metric as a function of last-position logits [row, d_vocab] -> [row]; higher supports the answer."""
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, not {metric!r}")
    answers, foils = _ids(model, answer), _ids(model, foil)
    shared = set(answers) & set(foils)
    if shared:
        raise ValueError(f"{answer!r} and {foil!r} share a token: nothing to tell apart")
    tokens, n = (*answers, *foils), len(answers)

    def logit_diff(logits: torch.Tensor) -> torch.Tensor:
        x = logits.float()
        return x[:, :n].logsumexp(-1) - x[:, n:].logsumexp(-1)

    def logprob(logits: torch.Tensor) -> torch.Tensor:
        return logits.float().log_softmax(-1)[:, answers].logsumexp(-1)

    def accuracy(logits: torch.Tensor) -> torch.Tensor:
        return (logits[:, :n].amax(-1) > logits[:, n:].amax(-1)).float()

    reads = {"logit_diff": Read(logit_diff, tokens), "logprob": Read(logprob), "accuracy": Read(accuracy, tokens)}
    return reads[metric]


def pair_reader(model: Model, metric: str, pair: Pair) -> Read:
    """`reader` for a Pair's own answer and foil."""
    return reader(model, metric, pair.answer, pair.foil)


def pair_ids(model: Model, pair: Pair, prepend_bos: bool | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of a Pair's clean and corrupt prompt, [1, pos] each."""
    return model.ids(pair.clean, prepend_bos), model.ids(pair.corrupt, prepend_bos)


def role_positions(model: Any, pair: Pair, prepend_bos: bool | None = None) -> dict[str, int]:
    """Where a pair's roles stand in its clean prompt: token positions, BOS counted.

    Spans come first, in their order, each at the token that holds its last character; then "first difference" where the
    prompts differ, and "last". Two roles may share a position. They are the corrupt prompt's positions too where it has
    as many tokens.
    """
    model = Model.of(model)

    def work() -> dict[str, int]:
        clean, corrupt = (ids[0].tolist() for ids in pair_ids(model, pair, prepend_bos))
        ends = {name: end for name, (_, end) in dict(pair.spans or ()).items()}
        roles = {name: token_at(model.tokenizer, pair.clean, clean, end - 1) for name, end in ends.items()}
        differs = first_difference(clean, corrupt)
        return {**roles, **({FIRST_DIFFERENCE: differs} if differs < len(clean) else {}), LAST: len(clean) - 1}

    return model.do(work)


def metric_name(metric: str, answer: Texts, foil: Texts) -> str:
    """How a metric is written on a figure: logit(" Mary") − logit(" John")."""
    left, right = (_quoted(texts) for texts in (answer, foil))
    names = {
        "logit_diff": f"logit({left}) − logit({right})",
        "logprob": f"log p({left})",
        "accuracy": f"{left} above {right}",
    }
    return names[metric]


def _quoted(texts: Texts) -> str:
    words = _listed(texts)
    shown = [f'"{word}"' for word in words[:3]] + (["…"] if len(words) > 3 else [])
    return ", ".join(shown)


def _ids(model: Model, texts: Texts) -> list[int]:
    """Each token once; none, and ids outside the vocabulary, are refused."""
    words = _listed(texts)
    if not words:
        raise ValueError("an answer or foil needs at least one token")
    ids = [word if isinstance(word, int) else model.single(str(word)) for word in words]
    outside = [id_ for id_ in ids if not 0 <= id_ < model.twin.cfg.d_vocab]
    if outside:
        raise ValueError(f"token ids go from 0 to {model.twin.cfg.d_vocab - 1}, not {outside[0]}")
    return list(dict.fromkeys(ids))


def _listed(texts: Texts) -> list[str | int]:
    return [texts] if isinstance(texts, (str, int)) else list(texts)
