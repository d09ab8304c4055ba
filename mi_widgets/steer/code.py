"""Code: a recipe as a short program for plain TransformerLens, which gives the same numbers without this package.

Every text that comes from a person or a file stands in the program as a Python literal. A direction is made again from
the texts it came from. Half precision rounds in another order here and there: the numbers agree to that precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..intervention import Intervention, Recipe
from ..model import hook_name
from ..site import Site

_DTYPES = ("float32", "bfloat16", "float16", "float64")
_EDIT = '''
def edit(at, change, strength=1.0):
    """A hook that changes x[at] and leaves the rest as it is."""
    def hook_fn(x, hook):
        new = x.clone()
        new[at] = change(x[at]) if strength == 1.0 else x[at] + strength * (change(x[at]) - x[at])
        return new
    return hook_fn
'''
_MID = '''
def mid(block, change):
    """Hooks that change the residual stream before a block's MLP, by what the attention adds to it."""
    entered = []
    def remember(x, hook):
        entered[:] = [x]
    def hook_fn(x, hook):
        before = entered.pop()
        wanted = change(before + x, hook)
        return torch.where(wanted == before + x, x, wanted - before)
    return (block + ".hook_resid_pre", remember), (block + ".hook_attn_out", hook_fn)
'''
_MEANS = '''
def means(texts, names):
    """For each name: its mean at position 0, and its mean over all other positions."""
    caches = [bridge.run_with_cache(bridge.to_tokens(t), names_filter=names)[1] for t in texts]
    first = {n: torch.stack([c[n][0, 0] for c in caches]).mean(0) for n in names}
    rest = {n: torch.cat([c[n][0, 1:] for c in caches]).mean(0) for n in names}
    return first, rest
'''
_CONTRAST = '''
def contrast(positive, negative, name):
    """The unit vector from the negative texts' mean residual to the positive ones' (first token left out)."""
    def mean(texts):
        caches = [bridge.run_with_cache(bridge.to_tokens(t), names_filter=[name])[1] for t in texts]
        return torch.stack([c[name][0, 1:].float().mean(0) for c in caches]).mean(0)
    v = mean(positive) - mean(negative)
    return v / v.norm()
'''


def transformer_lens(recipe: Recipe, prompt: str | Sequence[int] | None = None) -> str:
    """The program: load the bridge, build the hooks, run before and after, print what changed.

    prompt: the text, or the token ids, to run; by default those in the recipe's provenance. Where that names an answer
    and a foil the program prints their logit difference, else the top tokens.
    """
    return _Program(recipe, prompt).text()


class _Program:
    def __init__(self, recipe: Recipe, prompt: str | Sequence[int] | None) -> None:
        self.steps = [step for step in recipe.interventions if step.strength != 0]
        known = recipe.provenance
        self.prompt = _prompt(known.get("prompt", "The capital of France is") if prompt is None else prompt)
        self.read = (known.get("answer"), known.get("foil"))
        self.source = str(known.get("source") or known.get("model") or "")
        if not self.source:
            raise ValueError("the recipe does not say which model it is for: recipe.code(model=model) does")
        self.dtype = known.get("dtype", "float32")
        if self.dtype not in _DTYPES:
            raise ValueError(f"the recipe names the dtype {self.dtype!r:.40}; models come in {', '.join(_DTYPES)}")
        self.references = list(dict.fromkeys(s.reference for s in self.steps if s.reference))
        self.directions = list(dict.fromkeys(s.direction for s in self.steps if s.direction))

    def text(self) -> str:
        parts = [self._head(), _EDIT]
        parts += [_MID] if any(step.site.part == "mid" for step in self.steps) else []
        parts += [_MEANS] if self.references else []
        parts += [_CONTRAST] if self.directions else []
        body = [line for group in (self._tokens(), self._values(), self._hooks(), self._run()) for line in group]
        return "\n".join([*parts, "", *body]).replace("\n\n\n\n", "\n\n\n") + "\n"

    def _head(self) -> str:
        folder = self.source.startswith("~")
        source = f"os.path.expanduser({self.source!r})" if folder else repr(self.source)
        imports = [*(["import os"] if folder else []), "import numpy as np", "import torch"]
        imports.append("from transformer_lens.model_bridge import TransformerBridge")
        dtype = "" if self.dtype == "float32" else f", dtype=torch.{self.dtype}"
        settings = ["torch.set_grad_enabled(False)", f"bridge = TransformerBridge.boot_transformers({source}{dtype})"]
        return "\n".join([*imports, "", *settings, f"prompt = {self.prompt!r}", ""])

    def _tokens(self) -> list[str]:
        return [f"tokens = {'bridge.to_tokens(prompt)' if isinstance(self.prompt, str) else 'torch.tensor([prompt])'}"]

    def _values(self) -> list[str]:
        """Lines that compute the tensors the hooks need."""
        lines = []
        for number, reference in enumerate(self.references):
            names = sorted({hook_name(s.site) for s in self.steps if s.reference == reference})
            lines += [f"first{number}, rest{number} = means({_listed(reference.texts)}, {names!r})"]
        for number, direction in enumerate(self.directions):
            if not direction.positive:
                raise ValueError(f"{direction.name!r} has no texts to be made from again, so there is no code for it")
            name = hook_name(direction.site)
            texts = f"{_listed(direction.positive)}, {_listed(direction.negative)}"
            lines += [f"v{number} = contrast({texts}, {name!r})  # {direction.name!r}"]
        for number, text in enumerate(self._prompts()):
            names = sorted({hook_name(s.site) for s in self.steps if s.prompt == text})
            lines += [f"other{number} = bridge.run_with_cache(bridge.to_tokens({text!r}), names_filter={names!r})[1]"]
        return lines

    def _prompts(self) -> list[str]:
        return list(dict.fromkeys(s.prompt for s in self.steps if s.prompt is not None))

    def _hooks(self) -> list[str]:
        return ["hooks = [", *(f"    {line}," for step in self.steps for line in self._step(step)), "]", ""]

    def _step(self, step: Intervention) -> list[str]:
        """The (name, hook) entries of one intervention."""
        name, strength = hook_name(step.site), "" if step.strength == 1 else f", {step.strength!r}"

        def entry(positions: str, change: str) -> str:
            made = f"edit(np.s_[{_place(step.site, positions)}], {change}{strength})"
            return f"*mid({name.rpartition('.')[0]!r}, {made})" if step.site.part == "mid" else f"({name!r}, {made})"

        positions = _positions(step.site)
        if step.op == "mean":
            return self._mean(step, name, entry)
        if step.op == "replace":
            number = self._prompts().index(step.prompt or "")
            return [entry(positions, f"lambda x: other{number}[{name!r}][{_place(step.site, positions)}]")]
        if step.op == "add":
            return [entry(positions, f"lambda x: x + ({self._amount(step)}).to(x)")]
        return [entry(positions, "torch.zeros_like" if step.op == "zero" else f"lambda x: x * {step.amount!r}")]

    def _mean(self, step: Intervention, name: str, entry: Any) -> list[str]:
        assert step.reference is not None
        number = self.references.index(step.reference)
        index = "" if step.site.index is None else f"[{step.site.index}]"
        position, first, rest = step.site.position, f"first{number}", f"rest{number}"
        taken = {":1": first, "1:": rest} if position is None else {_positions(step.site): rest}
        if position == 0:
            taken = {"0:1": first}
        elif position is not None and position < 0:  # counted from the end it may be the first one
            taken = {_positions(step.site): f"({first} if tokens.shape[1] == {-position} else {rest})"}
        return [entry(place, f"lambda x: {mean}[{name!r}]{index}") for place, mean in taken.items()]

    def _amount(self, step: Intervention) -> str:
        assert step.direction is not None and step.amount is not None
        number = self.directions.index(step.direction)
        return f"{step.amount * step.direction.norm!r} * v{number}"

    def _run(self) -> list[str]:
        lines = [
            "before = bridge(tokens)[0, -1]",
            "after = bridge.run_with_hooks(tokens, fwd_hooks=hooks)[0, -1]",
        ]
        answer, foil = self.read
        if answer is None or foil is None:
            return [
                *lines,
                'print("before", bridge.to_string(before.topk(5).indices[:, None]))',
                'print("after ", bridge.to_string(after.topk(5).indices[:, None]))',
            ]
        return [
            *lines,
            f"answer = {_ids(answer)}",
            f"foil = {_ids(foil)}",
            "difference = lambda x: (x[answer].logsumexp(-1) - x[foil].logsumexp(-1)).item()",
            "print(difference(before), difference(after), difference(after) - difference(before))",
        ]


def _prompt(prompt: Any) -> str | list[int]:
    """A text, or token ids as plain numbers; anything else cannot be written as a literal."""
    if isinstance(prompt, str):
        return prompt
    ids = prompt.tolist() if hasattr(prompt, "tolist") else prompt
    ids = ids[0] if isinstance(ids, (list, tuple)) and len(ids) == 1 and isinstance(ids[0], list) else ids
    if isinstance(ids, (list, tuple)) and ids and all(isinstance(id_, int) for id_ in ids):
        return list(ids)
    raise ValueError(f"code runs a text or a row of token ids, not {prompt!r:.80}; model.ids(messages) makes ids")


def _place(site: Site, positions: str) -> str:
    """Where a site is in [batch, pos, ...], or in a pattern [batch, head, query_pos, key_pos]."""
    index = [] if site.index is None else [str(site.index)]
    return ", ".join([":", *index, positions] if site.part == "pattern" else [":", positions, *index])


def _positions(site: Site) -> str:
    """A slice that keeps the axis: 5 -> "5:6", -1 -> "-1:"."""
    if site.position is None:
        return ":"
    return f"{site.position}:" if site.position == -1 else f"{site.position}:{site.position + 1}"


def _ids(words: Any) -> str:
    """An expression for token ids: of ids as they are, of texts by the tokenizer."""
    listed = list(words) if isinstance(words, (list, tuple)) else [words]
    if all(isinstance(word, int) for word in listed):
        return repr(listed)
    return f"[bridge.to_single_token(t) for t in {listed!r}]"


def _listed(texts: Any) -> str:
    return repr([texts] if isinstance(texts, str) else list(texts))
