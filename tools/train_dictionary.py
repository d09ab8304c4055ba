"""Trains the default model's dictionary (a TopK sparse autoencoder) and writes it, with its card, into the package.

    .venv/bin/python -m pip install -c constraints.txt -e ".[sae]"
    .venv/bin/python tools/train_dictionary.py

1. The model goes on writing from the openings in tools/dictionary/openings.txt (temperature 1, seeded). What the
   residual stream after the chosen block holds at each token is kept; position 0, whose activation is of another size,
   is left out.
2. `sparsify.SparseCoder` (eai-sparsify; TopK after Gao et al. 2024) is trained on it with Adam and the auxiliary loss
   for features that are dead.
3. On tools/lens/held_out.txt, sentences written for this package, none of which the model was shown in training: the
   fraction of variance unexplained (FVU), the mean number of active features, and how much of the model's loss is
   recovered when the stream is replaced by what the dictionary makes of it, against a stream of zeros.
4. Features that are active nowhere among the training tokens are counted as dead; the others' strongest tokens are
   listed. All of this goes into card.json beside the arrays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from sparsify import SparseCoder, SparseCoderConfig
from torch import Tensor
from train_lens import asked, continued, encode, lines, load, weights

ROOT = Path(__file__).resolve().parent.parent
OPENINGS, HELD_OUT = ROOT / "tools" / "dictionary" / "openings.txt", ROOT / "tools" / "lens" / "held_out.txt"
TARGET = ROOT / "mi_widgets" / "dictionaries" / "smollm2-135m-instruct"
_SHOWN, _BEFORE, _AFTER = 3, 8, 3  # examples a feature; tokens around each


@dataclass(frozen=True)
class Settings:
    """How to train.

    layer: after which block. size, k: features, and how many of them are active at once. rows: texts that the model
    writes from each opening. length: their tokens. steps, batch: of training, in tokens. dead: steps without being
    active after which a feature gets the auxiliary loss, weighted by auxiliary.
    """

    layer: int = 14
    size: int = 2304
    k: int = 32
    rows: int = 20
    length: int = 128
    steps: int = 2500
    batch: int = 2048
    rate: float = 1e-3
    dead: int = 100
    auxiliary: float = 1 / 32
    seed: int = 0


@dataclass(frozen=True)
class Corpus:
    """What the model wrote: ids [text, pos], and the stream at each token but the first, [text, pos − 1, d_model]."""

    ids: list[Tensor]
    streams: list[Tensor]

    @property
    def vectors(self) -> Tensor:
        return torch.cat([x.flatten(0, 1) for x in self.streams])


def write(hf: Any, prompts: Sequence[Tensor], settings: Settings, say: Any) -> Corpus:
    """Texts at temperature 1, and the stream after the block, kept while they are written."""
    generator = torch.Generator().manual_seed(settings.seed)
    seen: list[Tensor] = []
    block = hf.model.layers[settings.layer]
    hook = block.register_forward_hook(lambda _, __, out: seen.append(out[0] if isinstance(out, tuple) else out))
    texts, streams, start = [], [], time.monotonic()
    try:
        for size in sorted({len(prompt) for prompt in prompts}):
            alike = [prompt for prompt in prompts if len(prompt) == size]
            for some in torch.stack(alike).repeat_interleave(settings.rows, 0).split(128):
                seen.clear()
                texts.append(continued(hf, some, settings.length + 1, generator))  # the last one's stream is not kept
                streams.append(torch.cat(seen, dim=1)[:, 1:].half())
                say(f"{sum(map(len, texts)):6} texts  {time.monotonic() - start:5.0f} s")
    finally:
        hook.remove()
    return Corpus([ids[:, : settings.length] for ids in texts], streams)


def train(x: Tensor, settings: Settings, say: Any = print) -> SparseCoder:
    """A sparse coder for vectors [n, d_model]."""
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    unit = x.shape[1] ** 0.5 / float(x.float().norm(dim=1).mean())  # so that one rate suits every layer
    coder = SparseCoder(x.shape[1], SparseCoderConfig(num_latents=settings.size, k=settings.k))
    with torch.no_grad():
        coder.b_dec.copy_(x.float().mean(0) * unit)
    optimizer = torch.optim.Adam(coder.parameters(), lr=settings.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    idle, start = torch.zeros(settings.size), time.monotonic()
    for step in range(1, settings.steps + 1):
        rows = torch.randint(len(x), (settings.batch,), generator=generator)
        out = coder(x[rows].float() * unit, dead_mask=idle > settings.dead)
        (out.fvu + settings.auxiliary * out.auxk_loss).backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        coder.set_decoder_norm_to_unit_norm()
        idle += 1
        idle[out.latent_indices.unique()] = 0
        if step % 100 == 0:
            dead = int((idle > settings.dead).sum())
            say(f"step {step:5}  FVU {float(out.fvu):.4f}  dead {dead}  {time.monotonic() - start:5.0f} s")
    with torch.no_grad():
        coder.encoder.bias /= unit
        coder.b_dec /= unit
    return coder


def rounded(coder: SparseCoder) -> SparseCoder:
    """As it will be read from the file: float16."""
    for parameter in coder.parameters():
        parameter.data = parameter.data.half().float()
    return coder


def rebuilt(coder: SparseCoder, x: Tensor) -> Tensor:
    """What the dictionary makes of vectors [n, d_model]."""
    values, where, _ = coder.encode(x)
    return coder.decode(values, where)


def losses(hf: Any, coder: SparseCoder, texts: Sequence[Tensor], layer: int) -> dict[str, float]:
    """The model's loss in nats a token on texts: as it is, with the stream rebuilt, and with zeros in its place.

    Position 0 is left as it is.
    """

    def changed(how: str) -> Any:
        def hook(_: Any, __: Any, out: Any) -> Any:
            x = out[0] if isinstance(out, tuple) else out
            rest = x[:, 1:].flatten(0, 1)
            new = rebuilt(coder, rest) if how == "rebuilt" else torch.zeros_like(rest)
            x = torch.cat([x[:, :1], (rest if how == "plain" else new).view_as(x[:, 1:])], dim=1)
            return (x, *out[1:]) if isinstance(out, tuple) else x

        return hook

    found = {}
    for how in ("plain", "rebuilt", "zero"):
        handle = hf.model.layers[layer].register_forward_hook(changed(how))
        total = sum(float(hf(ids[None], labels=ids[None]).loss) * (len(ids) - 1) for ids in texts)
        handle.remove()
        found[how] = total / sum(len(ids) - 1 for ids in texts)
    return found


def measured(hf: Any, coder: SparseCoder, texts: Sequence[Tensor], layer: int) -> dict[str, Any]:
    """The held-out numbers of the card."""
    seen: list[Tensor] = []
    hook = hf.model.layers[layer].register_forward_hook(
        lambda _, __, out: seen.append((out[0] if isinstance(out, tuple) else out)[0, 1:])
    )
    for ids in texts:
        hf(ids[None])
    hook.remove()
    x = torch.cat(seen)
    values, _, _ = coder.encode(x)
    loss = losses(hf, coder, texts, layer)
    return {
        "tokens": len(x),
        "FVU": round(float((x - rebuilt(coder, x)).square().sum() / (x - x.mean(0)).square().sum()), 4),
        "active features a token": round(float((values > 0).sum(-1).float().mean()), 2),
        "loss": {how: round(value, 4) for how, value in loss.items()},
        "loss recovered": round((loss["zero"] - loss["rebuilt"]) / (loss["zero"] - loss["plain"]), 4),
    }


def strongest(coder: SparseCoder, corpus: Corpus, tokenizer: Any) -> tuple[dict[str, list[str]], int]:
    """For each feature the strongest tokens with what is around them, of different texts; and how many are dead."""
    best = torch.zeros(coder.num_latents, 0)
    where = torch.zeros(coder.num_latents, 0, dtype=torch.long)
    texts = [ids for group in corpus.ids for ids in group]
    number = 0
    for group in corpus.streams:
        for x in group:
            values, indices, _ = coder.encode(x.float())
            dense = torch.zeros(len(x), coder.num_latents).scatter_(1, indices, values)
            top, position = dense.max(0)
            best = torch.cat([best, top[:, None]], 1)
            where = torch.cat([where, (number * 10_000 + position + 1)[:, None]], 1)
            best, order = best.topk(min(_SHOWN, best.shape[1]), dim=1)
            where = where.gather(1, order)
            number += 1
    examples = {
        str(feature): [
            _around(tokenizer, texts[int(place) // 10_000], int(place) % 10_000)
            for value, place in zip(best[feature], where[feature], strict=True)
            if float(value) > 0
        ]
        for feature in range(coder.num_latents)
    }
    return {name: shown for name, shown in examples.items() if shown}, int((best[:, 0] <= 0).sum())


def _around(tokenizer: Any, ids: Tensor, position: int) -> str:
    before = tokenizer.decode(ids[max(1, position - _BEFORE) : position])
    after = tokenizer.decode(ids[position + 1 : position + 1 + _AFTER])
    return f"{before}«{tokenizer.decode(ids[position])}»{after}"


def make(hf: Any, tokenizer: Any, settings: Settings, say: Any = print) -> tuple[SparseCoder, dict[str, Any]]:
    """The dictionary, and its card."""
    openings, held_out = lines(OPENINGS), lines(HELD_OUT)
    with torch.no_grad():
        corpus = write(hf, [encode(tokenizer, text) for text in openings], settings, say)
    x = corpus.vectors
    say(f"training on {len(x)} tokens")
    coder = train(x, settings, say)
    with torch.no_grad():
        coder = rounded(coder)
        found = measured(hf, coder, [encode(tokenizer, text) for text in held_out], settings.layer)
        say("looking for the strongest tokens of each feature")
        examples, dead = strongest(coder, corpus, tokenizer)
    return coder, {
        "hook": f"blocks.{settings.layer}.hook_resid_post",
        "model": Path(getattr(hf.config, "_name_or_path", "")).name,
        "weights": weights(hf, tokenizer),
        "method": "TopK sparse autoencoder (eai-sparsify) on text that the model wrote; position 0 left out",
        "features": settings.size,
        "trained on": {"tokens": len(x), **asdict(settings)},
        "held out": found,
        "dead": dead,
        "versions": {package: version(package) for package in ("torch", "transformers", "eai-sparsify")},
        "examples": examples,
    }


def save(coder: SparseCoder, card: dict[str, Any], folder: Path) -> None:
    """The folder as sparsify writes it, in float16, with the card beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: tensor.detach().half().contiguous() for name, tensor in coder.state_dict().items()}
    save_file(arrays, str(folder / "sae.safetensors"))
    (folder / "cfg.json").write_text(json.dumps({**coder.cfg.to_dict(), "d_in": coder.d_in}) + "\n")
    (folder / "card.json").write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _said(card: dict[str, Any]) -> Iterator[str]:
    held = card["held out"]
    yield f"held-out text, {held['tokens']} tokens: FVU {held['FVU']}, loss {held['loss']}"
    yield f"loss recovered {held['loss recovered']}, {held['active features a token']} active features a token"
    yield f"{card['dead']} of {card['features']} features dead"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print what was measured, and write the folder."""
    chosen, out = asked("Train the dictionary of the default model.", Settings, TARGET, arguments)
    hf, tokenizer = load()
    hf.requires_grad_(False)
    coder, card = make(hf, tokenizer, Settings(**chosen))
    print("\n".join(_said(card)))
    save(coder, card, out)
    print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
