"""Vocabulary projection: what an activation says in tokens.

Residual stream: softmax(unembed(final_norm(resid_post))) for every layer and position, as if the model stopped there
(logit lens, nostalgebraist 2020). The last row is the model's own output, and whether it is gets computed at the last
position, not assumed: the largest difference of log-probabilities is in the provenance. Early layers are read through a
norm and an unembedding that were not made for them, so a token that does not show there may still be there; a
`translator` fitted for the model (an affine or tuned lens, a Jacobian lens) reads them better.

Components (attention and FFN outputs, heads, neurons): what each adds to the logits, with the final norm's scale frozen
at that of the whole stream, its weight included, centred over the vocabulary. These are contributions. A softmax of one
component is not a prediction, and none is taken.

Cost: one forward pass, and an unembedding of layers × positions vectors, in chunks of at most 25 MiB of logits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import torch

from ..grid import Axis, Grid, Readings
from ..intervention import Recipe
from ..model import Model, Stopped, backward, family, readout
from ..model.tokens import Prompt
from ..progress import Progress, Tick, ticker
from ..run import Texts, checked, metric_name, reader
from ..site import Site
from .features import dictionaries, feature_axis
from .translator import Translator

#: objects -> (kind, part, axes); the output of a whole attention layer is no Site
OBJECTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "residual": ("residual", "post", ("layer", "position")),
    "attention": ("", "", ("layer", "position")),
    "ffn": ("ffn", "out", ("layer", "position")),
    "heads": ("head", "z", ("layer", "head")),
    "neurons": ("neuron", "post", ("layer", "neuron")),
    "features": ("feature", "post", ("layer", "feature")),
}
VALUES = ("prob", "rank", "kl", "logit_diff")
_TOP = 5
_BLOCK = 64
_LOG2E = math.log2(math.e)


def lens(
    model: Any,
    prompt: Prompt,
    objects: str = "residual",
    value: str = "prob",
    target: str | None = None,
    recipe: Recipe | None = None,
    translator: Any = None,
    progress: Progress = False,
    *,
    answer: Texts | None = None,
    foil: Texts | None = None,
    prepend_bos: bool | None = None,
) -> Grid:
    """What the parts of a model say in tokens about a prompt; the top tokens of each cell are in `readings`.

    objects: residual (after each block), attention or ffn (layer × position), heads, neurons or features of attached
        dictionaries (at the last position).
    value: prob (of the cell's own first token, or of `target`), rank (1 = first; of `target`, or of the model's own
        next token at that position), kl (nats, of the model's output from the cell's), logit_diff (`answer` minus
        `foil`). Components have no probabilities: prob is then the contribution to the logit of `target` (or of the
        cell's own first token), logit_diff that to answer minus foil; neurons and features need a target, or answer and
        foil.
    target: one token. recipe: the edited run is read.
    translator: maps a layer's residual to the last layer's, by `apply(layer, x)` or, as a TransformerLens
        `JacobianLens` does, by `transport(x, layer)`. The last layer is never translated. A `Translator` of other
        weights is refused.
    prepend_bos: of a text, if it is not to be TransformerLens's default.
    """
    asked = _Asked(objects, value, target, recipe, translator, answer, foil, prepend_bos)
    return deque(_steps(Model.of(model), prompt, asked, progress), maxlen=1).pop()


def lens_steps(
    model: Any,
    prompt: Prompt,
    objects: str = "residual",
    progress: Progress = False,
    stop: Event | None = None,
    **more: Any,
) -> Iterator[Grid]:
    """The same while it is read: the last position first, then the other columns from the right; the rest is masked.

    stop: an event that ends it when it is set, from any thread; what was yielded stays. Other arguments as in `lens`.
    Weights that are edited meanwhile raise `WeightsChanged` instead of the last Grid, here and in `lens`.
    """
    return _steps(Model.of(model), prompt, _Asked(objects, **more), progress, stop)


def _steps(
    model: Model, prompt: Prompt, asked: _Asked, progress: Progress, stop: Event | None = None
) -> Iterator[Grid]:
    with suppress(Stopped):
        lens = model.do(lambda: _Lens(model, asked, prompt), stop)
        steps = lens.steps(ticker(progress))
        while (grid := model.do(lambda: next(steps, None), stop)) is not None:
            yield grid


@dataclass(frozen=True)
class _Asked:
    """The arguments of `lens`; contradictions are refused together."""

    objects: str
    value: str = "prob"
    target: str | None = None
    recipe: Recipe | None = None
    translator: Any = None
    answer: Texts | None = None
    foil: Texts | None = None
    prepend_bos: bool | None = None

    def __post_init__(self) -> None:
        checked(self.recipe)
        if self.objects not in OBJECTS:
            raise ValueError(f"objects must be one of {', '.join(OBJECTS)}, not {self.objects!r}")
        if self.value not in VALUES:
            raise ValueError(f"value must be one of {', '.join(VALUES)}, not {self.value!r}")
        if (self.value == "logit_diff") != (self.answer is not None and self.foil is not None):
            raise ValueError("value='logit_diff' needs answer= and foil=, and they are for it alone")
        if (self.answer is None) != (self.foil is None):
            raise ValueError("give both answer= and foil=, or neither; for one token use target=")
        if self.whole:
            return
        if self.value in ("rank", "kl"):
            raise ValueError(f"{self.objects} are parts of a stream and predict nothing: value is prob or logit_diff")
        if self.translator is not None:
            raise ValueError("a translator reads the residual stream, not its parts")
        if self.many and self.target is None and self.answer is None:
            raise ValueError(
                f"name what {self.objects} are to be read for: target=, or value='logit_diff' with answer, foil"
            )

    @property
    def many(self) -> bool:
        """Whether there are too many cells for each to have its own top tokens."""
        return self.objects in ("neurons", "features")

    @property
    def whole(self) -> bool:
        """Whether whole residual streams are read."""
        return self.objects == "residual"


@dataclass(frozen=True)
class _Cells:
    """What some cells read out: value, top token values and ids, in the order of the vectors."""

    values: torch.Tensor
    tops: torch.Tensor
    ids: torch.Tensor


class _Lens:
    """A lens under way: one edited run, kept, and the columns that have been read."""

    def __init__(self, model: Model, asked: _Asked, prompt: Prompt) -> None:
        self.model, self.asked, self.prompt = model, asked, prompt
        self.kind, self.part, names = OBJECTS[asked.objects]
        if isinstance(asked.translator, Translator):
            asked.translator.check(model)
        self.ids = model.ids(prompt, asked.prepend_bos)
        self.wanted = None if asked.target is None else model.single(asked.target)
        self.read = None if asked.answer is None else reader(model, "logit_diff", asked.answer, asked.foil or ())
        self.axes = tuple(self._axis(name) for name in names)
        self.provenance = model.provenance  # hashes the weights: once a lens
        self.check: float | None = None
        self.words: dict[int, dict[str, Any]] = {}

    def _axis(self, name: str) -> Axis:
        if name == "position":
            labels = tuple(label["text"] for label in self.model.labels(self.ids))
            return Axis("position", tuple(range(len(labels))), labels)
        if self.kind == "feature":
            return feature_axis(self.model, name, self.part)
        count = self.model.n_layers if name == "layer" else self.model.count(Site(self.kind, 0, 0, self.part))
        return Axis(name, tuple(range(count or 0)))

    def steps(self, tick: Tick) -> Iterator[Grid]:
        """Read block after block of columns."""
        shape = tuple(len(axis) for axis in self.axes)
        values = np.ma.masked_all(shape, dtype=np.float32)
        if self.asked.many:
            found = self._neurons() if self.asked.objects == "neurons" else self._features()
            self.model.check_weights(self.provenance["weights"])
            yield self._grid(np.ma.asarray(found), None)
            return
        tops, ids = np.zeros((*shape, _TOP), np.float32), np.zeros((*shape, _TOP), np.int32)
        done = 0
        for place, cells in self._heads() if self.asked.objects == "heads" else self._columns():
            values[place] = cells.values.cpu().numpy()
            tops[place], ids[place] = cells.tops.cpu().numpy(), cells.ids.cpu().numpy()
            done += cells.values.numel()
            if done == values.size:
                self.model.check_weights(self.provenance["weights"])
            tick(done, values.size)
            yield self._grid(values.copy(), Readings(ids.copy(), tops.copy(), self._vocabulary(cells.ids)))

    def _columns(self) -> Iterator[tuple[Any, _Cells]]:
        """Layers × some positions at a time: the last position alone, then the others from the right."""
        whole = family(self.model, "residual", "post")
        names = whole if self.asked.whole else family(self.model, self.asked.objects, "out")
        last = whole[-1]
        caught, own = readout.streams(self.model, self.ids, list(dict.fromkeys([*names, last])), self.asked.recipe)
        length, width = self.ids.shape[1], max(1, readout.rows(self.model) // len(names))
        ends = [length, *range(length - 1, 0, -width)]
        starts = [length - 1, *(max(0, end - width) for end in ends[1:])]
        for start, end in zip(starts, ends, strict=True):
            self.model.worker.check()
            parts = torch.stack([caught[name][start:end] for name in names])
            logits = self._logits(parts, caught[last][start:end])
            if end == length and self.asked.whole:
                self.check = _largest_gap(logits[-1, -1], own)
            cells = self._cells(logits)
            del logits  # or the next chunk would be made beside it
            yield (slice(None), slice(start, end)), cells

    def _logits(self, parts: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Logits [layer, pos, d_vocab] of streams, or contributions of parts of them, [layer, pos, d_model]."""
        flat = parts.flatten(0, 1)
        if self.asked.whole:
            if self.asked.translator is not None:
                lens = self.asked.translator
                flat = torch.cat([*(readout.translated(lens, i, x) for i, x in enumerate(parts[:-1])), parts[-1]])
            return self.model.unembed(flat[None])[0].float().unflatten(0, parts.shape[:2])
        added = readout.contribution(self.model, flat, whole.repeat(len(parts), 1))
        return added.unflatten(0, parts.shape[:2])

    def _cells(self, logits: torch.Tensor) -> _Cells:
        """Values and top tokens of logits [layer, pos, d_vocab], which are used up."""
        tops, ids = _top(logits)
        if not self.asked.whole or self.asked.value == "logit_diff":
            values = self._contributions(logits, tops[..., 0])
        elif self.asked.value == "rank":
            wanted = logits[-1].argmax(-1) if self.wanted is None else torch.full_like(ids[0, :, 0], self.wanted)
            level = logits.gather(-1, wanted.expand(len(logits), -1)[..., None])
            values = (logits > level).sum(-1) + 1
        else:
            values = torch.zeros(())
        if not self.asked.whole:
            return _Cells(values, tops, ids)
        level = tops[..., 0] if self.wanted is None else logits[..., self.wanted].clone()
        crossed = _crossed(logits) if self.asked.value == "kl" else None
        peak = tops[..., :1]
        norm = peak[..., 0] + logits.sub_(peak).mul_(_LOG2E).exp2_().sum(-1).log()  # exp2 takes half of exp's time
        if crossed is not None:
            entropy = norm[-1] - crossed[-1]
            values = norm - crossed - entropy
        if self.asked.value == "prob":
            values = (level - norm).exp()
        return _Cells(values, (tops - norm[..., None]).exp(), ids)

    def _contributions(self, logits: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        if self.read is not None:
            return self.read(logits.flatten(0, -2)).unflatten(0, logits.shape[:-1])
        return first if self.wanted is None else logits[..., self.wanted].clone()

    def _heads(self) -> Iterator[tuple[Any, _Cells]]:
        """Some layers' heads at a time, at the last position."""
        model = self.model
        names = family(model, "head", "z")
        scales = [name.replace("attn.hook_z", "ln1_post.hook_scale") for name in names]
        last = family(model, "residual", "post")[-1]
        present = [name for name in scales if name in model.points]
        caught, _ = readout.streams(model, self.ids, [*names, *present, last], self.asked.recipe)
        step = max(1, readout.rows(model) // model.n_heads)
        for start in range(0, model.n_layers, step):
            model.worker.check()
            layers = range(start, min(start + step, model.n_layers))
            writes = [
                readout.head_writes(model, i, caught[names[i]][-1], caught[scales[i]][-1:] if present else None)
                for i in layers
            ]
            whole = caught[last][-1:].expand(len(layers) * model.n_heads, -1)
            logits = readout.contribution(model, torch.cat(writes), whole)
            cells = self._cells(logits.unflatten(0, (len(layers), model.n_heads)))
            del logits
            yield slice(layers.start, layers.stop), cells

    def _neurons(self) -> np.ndarray:
        """Each neuron's activation times what its value vector adds, at the last position."""

        def read(logits: torch.Tensor) -> torch.Tensor:
            return self.read(logits) if self.read is not None else (logits[:, self.wanted] - logits.mean(-1)).float()

        found = backward.direct(self.model, self.ids, read, neurons=True, recipe=self.asked.recipe)
        assert found.neurons is not None
        return found.neurons.float().cpu().numpy()

    def _features(self) -> np.ndarray:
        """What each feature's part of the stream adds at the last position, were it carried on as it is; most are 0."""
        model, values = self.model, np.zeros([len(axis) for axis in self.axes], np.float32)
        own = [each for each in model.dictionaries if each.part == self.part]
        last = family(model, "residual", "post")[-1]
        points = family(model, "feature", self.part)
        names = [*points, *(each.carrier for each in own), last]
        caught, _ = readout.streams(model, self.ids, list(dict.fromkeys(names)), self.asked.recipe)
        for row, (dictionary, name) in enumerate(zip(own, points, strict=True)):
            active = caught[name][-1]
            (where,) = active.nonzero(as_tuple=True)
            each = torch.zeros(len(where), len(active), device=active.device)
            each[range(len(where)), where] = active[where].float()
            writes = dictionary.change(caught[dictionary.carrier][-1:], each).to(caught[last])
            for some, chunk in zip(where.split(readout.rows(model)), writes.split(readout.rows(model)), strict=True):
                logits = readout.contribution(model, chunk, caught[last][-1:].expand(len(chunk), -1))
                values[row, some.cpu().numpy()] = self._contributions(logits, logits[:, 0]).float().cpu().numpy()
        return values

    def _vocabulary(self, ids: torch.Tensor) -> dict[int, dict[str, Any]]:
        """Labels of all tokens read so far; masked cells hold token 0."""
        fresh = [id_ for id_ in {0, *ids.unique().tolist()} if id_ not in self.words]
        self.words.update(zip(fresh, self.model.labels(fresh), strict=True))
        return dict(self.words)

    def _grid(self, values: np.ma.MaskedArray, readings: Readings | None) -> Grid:
        asked = self.asked
        prompt = self.prompt if isinstance(self.prompt, str) else self.ids[0].tolist()
        signed = asked.value == "logit_diff" or not asked.whole
        return Grid(
            values,
            self.axes,
            self.kind,
            self.part,
            title=self._title(),
            unit="logits" if signed else {"prob": "probability", "rank": "rank", "kl": "nats"}[asked.value],
            sign=self._sign(),
            toward=int(signed),
            provenance={
                "method": "logit lens" if asked.whole else "contribution to the logits",
                **self.provenance,
                "prompt": prompt,
                "recipe": asked.recipe.hash if asked.recipe else "",
                "value": asked.value,
                **dictionaries(self.model, self.kind),
                **({} if asked.prepend_bos is None else {"prepend_bos": asked.prepend_bos}),
                **({"translator": type(asked.translator).__name__} if asked.translator is not None else {}),
                **({} if self.check is None else {"last row off by": self.check}),
            },
            readings=readings,
        )

    def _of(self) -> str:
        return self._difference() or (
            "the most probable token" if self.asked.target is None else f'"{self.asked.target}"'
        )

    def _difference(self) -> str:
        answer, foil = (self._words(texts) for texts in (self.asked.answer, self.asked.foil))
        return metric_name("logit_diff", answer, foil) if answer else ""

    def _words(self, texts: Texts | None) -> list[str | int]:
        """Tokens as texts, those given as ids too."""
        words = [] if texts is None else [texts] if isinstance(texts, (str, int)) else list(texts)
        return [self.model.tokenizer.decode([word]) if isinstance(word, int) else word for word in words]

    def _title(self) -> str:
        asked = self.asked
        if not asked.whole:
            first = "its own first token" if asked.target is None else f'logit("{asked.target}")'
            where = "" if "position" in OBJECTS[asked.objects][2] else ", at the last position"
            return f"{_NOUNS[asked.objects]}: contribution to {self._difference() or first}{where}"
        words = {
            "prob": f"probability of {self._of()}",
            "rank": f"rank of {self._of() if asked.target else 'the model’s own next token'}",
            "kl": "distance of the model's output from it",
            "logit_diff": self._difference(),
        }
        name = "Logit lens" if asked.translator is None else "Translated lens"
        return f"{name}: {words[asked.value]}, read after each block"

    def _sign(self) -> str:
        if not self.asked.whole:
            return (
                "Positive: it adds to the logit, centred over the vocabulary, with the final norm's scale frozen. "
                "A contribution, not a prediction."
            )
        check = "" if self.check is None else f" (log-probabilities within {self.check:.1g} at the last position)"
        return f"{_SIGNS[self.asked.value]} The last row is the model's own output{check}."


def _top(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest logits of each cell and their ids: the blocks with the largest maxima hold them all."""
    blocks = logits.shape[-1] // _BLOCK
    if blocks <= _TOP:
        return tuple(logits.topk(_TOP))  # type: ignore[return-value]
    whole, rest = logits.split([blocks * _BLOCK, logits.shape[-1] - blocks * _BLOCK], dim=-1)
    best = whole.unflatten(-1, (blocks, _BLOCK)).amax(-1).topk(_TOP).indices
    ids = (best[..., None] * _BLOCK + torch.arange(_BLOCK, device=logits.device)).flatten(-2)
    tail = torch.arange(blocks * _BLOCK, logits.shape[-1], device=logits.device).expand_as(rest)
    ids = torch.cat([ids, tail], dim=-1)
    top = logits.gather(-1, ids).topk(_TOP)
    return top.values, ids.gather(-1, top.indices)


def _crossed(logits: torch.Tensor) -> torch.Tensor:
    """Σ p · logit of each cell [layer, pos], with p the last layer's probabilities at its position."""
    final = logits[-1].softmax(-1)[..., None]
    return torch.bmm(logits.transpose(0, 1), final)[..., 0].T


def _largest_gap(read: torch.Tensor, own: torch.Tensor) -> float:
    """Largest difference of log-probabilities between what the lens reads and the model's own output."""
    return float((read.float().log_softmax(-1) - own.log_softmax(-1)).abs().max())


_NOUNS = {"attention": "Attention outputs", "ffn": "FFN outputs", "heads": "Heads", "neurons": "Neurons",
          "features": "Features"}  # fmt: skip
_SIGNS = {
    "prob": "Brighter: more probable.",
    "rank": "1: the first choice of that layer.",
    "kl": "0: the layer says what the model says in the end.",
    "logit_diff": "Positive: the layer prefers the answer.",
}

__all__ = ["OBJECTS", "VALUES", "lens", "lens_steps"]
