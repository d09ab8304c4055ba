"""Edit: one fact, rewritten by a rank-one change of one block's W_out (ROME, Meng et al. 2022).

W_out is read as a memory: the key k that a subject makes (what W_out reads at its last token) recalls a value k W_out.
The edit makes one key recall another value and moves all others as little as the least squares of the keys' second
moment C allow: W := W + (C⁻¹ k*) (v* − k* W) / (k*ᵀ C⁻¹ k*), so that k* W is v* afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ..delta import Delta
from ..intervention import Intervention, Recipe
from ..model import Model, descend, hook_name, shift, weight_input
from ..model.hooks import as_hooks
from ..model.places import check_site
from ..model.tokens import batches, token_at
from ..progress import Progress, ticker
from ..reference import Reference
from ..site import Site

_BACKGROUND = Path(__file__).parent / "background.txt"
_PREFIX_WORDS = 8
_ESSENCE = "{subject} is a"  # what the subject is must stay: its next token's distribution is held


@cache
def background() -> Reference:
    """Texts of many kinds, written for this package and none of them among its neutral texts: what keys usually are."""
    return Reference([line for line in _BACKGROUND.read_text(encoding="utf-8").split("\n") if line])  # type: ignore[arg-type]


def edit(
    model: Any,
    prompts: str | Sequence[str],
    subject: str,
    target: str,
    layer: int,
    steps: int = 20,
    lr: float = 0.2,
    keep: float = 0.0625,
    bound: float = 4.0,
    prefixes: int = 4,
    ridge: float = 0.02,
    texts: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = True,
) -> Recipe:
    """A Recipe that makes `target` the next token of `prompts`, by one rank-one delta of W_out in block `layer`.

    prompts: texts that contain `subject` and that the fact completes, such as "The capital of France is". target: one
        token, its leading space included (" Rome").
    steps, lr: of Adam on v* − k* W, a vector [d_model] that is added to what W_out makes at the subject's last token,
        from the prompts and from the prompts after `prefixes` openings of texts, drawn with `seed`. The loss is the
        cross-entropy of the target plus `keep` × KL(unedited || edited) after "{subject} is a". k* is the mean key over
        the same texts.
    bound: the vector is at most so many times as long as what W_out makes there.
    ridge: C is E[k kᵀ], uncentred, over the tokens of `texts` but the first of each, plus `ridge` × its mean diagonal.
    texts: by default 63 written for the package, 3,800 tokens of the default model (whose keys have 1,536 numbers), and
        disjoint from the neutral texts that side effects are measured on. With fewer tokens than numbers in a key C has
        directions in which only the ridge keeps it from being singular: give more texts. The provenance says both.

    What it cannot show: that the fact was stored in this block. Edits succeed in blocks where tracing finds nothing
    (Hase et al. 2023). Judge it on phrasings that are not in `prompts`, and on the same question about other subjects.

    Cost: the blocks up to `layer` once over `texts` (kept for the next edit), and `steps` forward and backward passes
    of (prefixes + 1) × prompts short texts. Raises ValueError for a subject that is not in a prompt, a target of
    several tokens, a layer that the model lacks, and a mixture of experts, whose blocks have no one W_out.
    """
    model, tick = Model.of(model), ticker(progress, "step")
    asked = _checked_prompts(prompts, subject)
    site = Site("weight", layer, part="W_out")
    for name, number in (("steps", steps), ("lr", lr), ("bound", bound), ("ridge", ridge)):
        if not number > 0:
            raise ValueError(f"{name} must be above 0, not {number!r}")
    known = background() if texts is None else Reference(texts)  # type: ignore[arg-type]

    def work() -> Recipe:
        if model.has_experts:
            raise ValueError(f"{model.name} is a mixture of experts: its blocks have no one W_out to edit")
        check_site(model, site)
        token = model.single(target)
        contexts = _Contexts.of(model, asked, subject, _openings(known, prefixes, seed))
        key = contexts.mean(model, layer, weight_input(site))
        moment, tokens = model.moment(known, site)
        left = _toward(key, moment, ridge)
        step, losses = _value(model, contexts, site, subject, token, (steps, lr, keep, bound), tick)
        delta = Delta(left.cpu().numpy()[:, None], step.cpu().numpy()[None])
        return Recipe(
            (Intervention("delta", site, delta=delta),),
            {
                **model.provenance,
                "method": "rank-one edit (ROME)",
                "prompt": asked[0],
                "prompts": list(asked),
                "subject": subject,
                "target": target,
                "steps": steps,
                "lr": lr,
                "keep": keep,
                "bound": bound,
                "prefixes": prefixes,
                "ridge": ridge,
                "seed": seed,
                "texts": known.hash,
                "tokens": tokens,
                "d_mlp": len(key),
                "losses": losses,
            },
        )

    return model.do(work)


def _checked_prompts(prompts: str | Sequence[str], subject: str) -> tuple[str, ...]:
    asked = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    if not asked:
        raise ValueError("an edit needs at least one prompt")
    without = [prompt for prompt in asked if not subject or subject not in prompt]
    if without:
        raise ValueError(f"the subject {subject!r} is not in the prompt {without[0]!r}")
    return asked


def _openings(texts: Reference, count: int, seed: int) -> list[str]:
    """No opening, and the first words of `count` texts, each as a sentence of its own."""
    drawn = random.Random(seed).sample(texts.texts, min(count, len(texts.texts)))
    return ["", *(" ".join(text.split()[:_PREFIX_WORDS]) + ". " for text in drawn)]


@dataclass(frozen=True)
class _Contexts:
    """Texts in batches of one length, ids [batch, pos], and where each one's subject ends."""

    batches: list[tuple[torch.Tensor, list[int]]]
    count: int

    @classmethod
    def of(cls, model: Model, prompts: Sequence[str], subject: str, openings: Sequence[str]) -> _Contexts:
        """Every prompt after every opening; a subject that a prompt names twice counts where it stands last."""
        texts = [opening + prompt for prompt in prompts for opening in openings]
        ids = [model.ids(text) for text in texts]
        ends = [
            token_at(model.tokenizer, text, one[0].tolist(), text.rindex(subject) + len(subject) - 1)
            for text, one in zip(texts, ids, strict=True)
        ]
        return cls([(rows, [ends[number] for number in numbers]) for numbers, rows in batches(ids)], len(texts))

    def mean(self, model: Model, layer: int, name: str) -> torch.Tensor:
        """The mean of what a hook of block `layer` carries where the subject ends."""
        seen = [model.capture_early(ids, name, layer)[range(len(ends)), ends] for ids, ends in self.batches]
        return torch.cat(seen).float().mean(0)


def _toward(key: torch.Tensor, moment: torch.Tensor, ridge: float) -> torch.Tensor:
    """C⁻¹ k / (kᵀ C⁻¹ k): what k has a product of 1 with, and usual keys as little as can be."""
    size = len(moment)
    held = moment.double() + ridge * moment.diagonal().double().mean() * torch.eye(size, device=moment.device)
    turned = torch.linalg.solve(held, key.double())
    return (turned / (key.double() @ turned)).float()


def _value(
    model: Model,
    contexts: _Contexts,
    site: Site,
    subject: str,
    token: int,
    settings: tuple[int, float, float, float],
    tick: Any,
) -> tuple[torch.Tensor, list[float]]:
    """v* − k* W [d_model], and the loss before each step."""
    steps, lr, keep, bound = settings
    vector = torch.zeros(model.d_model, device=model.twin.cfg.device)
    longest = bound * contexts.mean(model, site.layer or 0, hook_name(site)).norm()
    essence = _Contexts.of(model, [_ESSENCE.format(subject=subject)], subject, [""]).batches[0]
    before = model.last_logits(essence[0]).float().log_softmax(-1)

    def held() -> torch.Tensor:
        return vector * (longest / vector.norm().clamp_min(longest))

    def after(ids: torch.Tensor, ends: list[int]) -> torch.Tensor:
        return model.last_logits(ids, as_hooks([shift(site, held(), ends)])).float().log_softmax(-1)

    def loss(step: int) -> Any:
        yield keep * (before.exp() * (before - after(*essence))).sum()
        for ids, ends in contexts.batches:
            yield -after(ids, ends)[:, token].sum() / contexts.count

    losses = descend(model, [vector], loss, steps, lr, tick)
    return held(), losses
