"""Trains the affine lens of the default model and writes it, with what it measured, into the package.

    .venv/bin/python tools/train_lens.py

1. The model goes on writing from the openings in tools/lens/openings.txt (temperature 1, seeded).
2. For each layer but the last a correction h + (h A) B + b is trained (Belrose et al. 2023, here of low rank) that
   brings final norm and unembedding to the model's own output: Adam on KL(own output || reading), position 0 left out.
   The KL is taken over the commonest tokens and, at each step, a fresh sample of the others that stands for all others.
3. KL of the plain and of the affine lens is measured over the whole vocabulary on tools/lens/held_out.txt: sentences
   written for this package, none of which the model was shown in training. It goes into the file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

import mi_widgets as mi
from mi_widgets.locate.translator import FORMAT, Translator
from mi_widgets.model import checkpoint
from mi_widgets.reference import Reference

ROOT = Path(__file__).resolve().parent.parent
TEXTS = ROOT / "tools" / "lens"
TARGET = ROOT / "mi_widgets" / "lenses" / "smollm2-135m-instruct.safetensors"
_CHUNK = 128  # vectors that are unembedded over the whole vocabulary at a time


@dataclass(frozen=True)
class Settings:
    """How to train.

    rank: of each layer's correction. rows: texts that the model writes from each opening. length: their tokens.
    batch: positions a step. common, rare: columns of the unembedding a step sees, the first always the same ones.
    """

    rank: int = 32
    rows: int = 6
    length: int = 64
    steps: int = 400
    batch: int = 256
    common: int = 1024
    rare: int = 1024
    rate: float = 1e-2
    seed: int = 0


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]


def write(hf: nn.Module, prompts: Sequence[Tensor], rows: int, length: int, generator: torch.Generator) -> list[Tensor]:
    """What the model writes at temperature 1: ids [row, length] for each length that the prompts [pos] have."""
    written = []
    for size in sorted({len(prompt) for prompt in prompts}):
        ids = torch.stack([prompt for prompt in prompts if len(prompt) == size]).repeat_interleave(rows, 0)
        written.append(continued(hf, ids, length, generator))
    return written


def continued(hf: nn.Module, ids: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Texts, ids [row, pos], as the model goes on with them at temperature 1, up to `length` tokens."""
    past, fresh = None, ids
    while ids.shape[1] < length:
        out = hf(fresh, past_key_values=past, use_cache=True, logits_to_keep=1)
        past = out.past_key_values
        fresh = torch.multinomial(out.logits[:, -1].softmax(-1), 1, generator=generator)
        ids = torch.cat([ids, fresh], dim=1)
    return ids


def streams(hf: Any, ids: Tensor) -> Tensor:
    """The residual stream after each block, [layer, row × (pos − 1), d_model]: position 0 is left out."""
    seen: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _, __, out: seen.append(out[0] if isinstance(out, tuple) else out))
        for block in hf.model.layers
    ]
    try:
        for part in ids.split(16):
            hf.model(part)
    finally:
        for hook in hooks:
            hook.remove()
    layers = len(hf.model.layers)
    return torch.cat(
        [torch.stack(seen[i : i + layers])[:, :, 1:].flatten(1, 2) for i in range(0, len(seen), layers)], 1
    )


def read(hf: Any, x: Tensor, columns: Tensor | slice = slice(None)) -> Tensor:
    """Logits of residual vectors [..., d_model] over the given tokens."""
    return hf.model.norm(x) @ hf.lm_head.weight[columns].T


def divergence(hf: Any, final: Tensor, x: Tensor) -> float:
    """Mean KL(own output || reading) in nats over vectors [n, d_model], over the whole vocabulary."""
    total = 0.0
    for own, other in zip(final.split(_CHUNK), x.split(_CHUNK), strict=True):
        p, q = (read(hf, part).log_softmax(-1) for part in (own, other))
        total += float((p.exp() * (p - q)).sum())
    return total / len(final)


@dataclass
class Lens:
    """The corrections under training. Each layer is worked on in units of its own size, so that one rate suits all.

    down [layer, d_model, rank], up [layer, rank, d_model], bias [layer, d_model], size [layer, 1, 1].
    """

    down: Tensor
    up: Tensor
    bias: Tensor
    size: Tensor

    @classmethod
    def start(cls, x: Tensor, rank: int, generator: torch.Generator) -> Lens:
        """No correction yet: up and bias are zero. x: [layer, n, d_model]."""
        layers, _, width = x.shape
        down = torch.randn(layers, width, rank, generator=generator) / width**0.5
        size = x.square().mean((1, 2), keepdim=True).sqrt()
        return cls(down, torch.zeros(layers, rank, width), torch.zeros(layers, width), size)

    def correct(self, x: Tensor) -> Tensor:
        return x + (x @ self.down) @ self.up + self.bias[:, None] * self.size


def common_tokens(hf: Any, final: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` tokens of the highest mean probability, and all others."""
    mean = torch.stack([read(hf, part).softmax(-1).mean(0) for part in final[:2048].split(_CHUNK)]).mean(0)
    order = mean.argsort(descending=True)
    return order[:count], order[count:]


def train(hf: Any, x: Tensor, settings: Settings, say: Any = print) -> Lens:
    """Corrections for residual streams x [layer, n, d_model], the last of which is the model's own."""
    generator = torch.Generator().manual_seed(settings.seed)
    below, final = x[:-1], x[-1]
    lens = Lens.start(below, settings.rank, generator)
    parameters = [lens.down, lens.up, lens.bias]
    common, others = common_tokens(hf, final, settings.common)
    optimizer = torch.optim.Adam([p.requires_grad_() for p in parameters], lr=settings.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    start, seen = time.monotonic(), 0.0
    for step in range(1, settings.steps + 1):
        rows = torch.randperm(len(final), generator=generator)[: settings.batch]
        rare = others[torch.randperm(len(others), generator=generator)[: settings.rare]]
        loss = _loss(hf, lens.correct(below[:, rows]), final[rows], common, rare, len(others) / len(rare))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        seen += float(loss.detach())
        if step % 25 == 0:
            mean, seen = seen / 25 / len(below), 0.0
            say(f"step {step:4}  KL {mean:.3f} nats a token, mean of the layers  {time.monotonic() - start:5.0f} s")
    down, up, bias = (p.detach() for p in parameters)
    return Lens(down, up, bias, lens.size)


def _loss(hf: Any, x: Tensor, final: Tensor, common: Tensor, rare: Tensor, weight: float) -> Tensor:
    """KL in nats summed over layers, mean over positions; each rare token stands for `weight` tokens."""
    columns = torch.cat([common, rare])
    counts = torch.cat([torch.zeros(len(common)), torch.full((len(rare),), weight).log()])
    with torch.no_grad():
        p = (read(hf, final, columns) + counts).log_softmax(-1)
    q = (read(hf, x, columns) + counts).log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).mean(-1).sum()


def finished(lens: Lens, source: dict[str, Any]) -> Translator:
    """The corrections as they will be read from the file: float16, and nothing for the last layer."""

    def rounded(x: Tensor) -> Tensor:
        return torch.cat([x, torch.zeros_like(x[:1])]).half().float()

    return Translator(rounded(lens.down), rounded(lens.up), rounded(lens.bias * lens.size[:, 0]), source)


def encode(tokenizer: Any, text: str) -> Tensor:
    """Ids [pos] of a text after one BOS, as the package reads prompts."""
    return torch.tensor([tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]])


def curve(hf: Any, x: Tensor, translator: Translator) -> tuple[list[float], list[float]]:
    """KL of the plain and of the affine lens for each layer of streams x [layer, n, d_model]."""
    corrected = [translator.apply(layer, stream) for layer, stream in enumerate(x)]
    plain, affine = ([round(divergence(hf, x[-1], y), 4) for y in ys] for ys in (x, corrected))
    return plain, affine


def make(
    hf: Any, tokenizer: Any, settings: Settings, openings: Sequence[str], held_out: Sequence[str], say: Any = print
) -> Translator:
    """A translator for a Llama-like model [`hf.model.layers`, `hf.model.norm`, `hf.lm_head`], measured on held_out."""
    hf.requires_grad_(False)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(settings.seed)
        prompts = [encode(tokenizer, text) for text in openings]
        written = write(hf, prompts, settings.rows, settings.length, generator)
        say(f"the model wrote {sum(map(len, written))} texts of {settings.length} tokens")
        x = torch.cat([streams(hf, ids) for ids in written], dim=1)
        human = torch.cat([streams(hf, encode(tokenizer, text)[None]) for text in held_out], dim=1)
    say(f"training on {x.shape[1]} positions, {x.shape[0] - 1} layers, rank {settings.rank}")
    lens = train(hf, x, settings, say)
    name = getattr(hf.config, "_name_or_path", "") or type(hf).__name__
    source = {
        "format": FORMAT,
        "model": Path(name).name,
        "weights": weights(hf, tokenizer),
        "method": "h + (h down) up + bias, trained on KL(own output || reading); after Belrose et al. 2023",
        "seed": settings.seed,
        "trained_on": {"openings": Reference(tuple(openings)).hash, "positions": x.shape[1], **asdict(settings)},
        "held_out": {"texts": Reference(tuple(held_out)).hash, "tokens": human.shape[1]},
        "versions": {package: version(package) for package in ("torch", "transformers")},
    }
    with torch.no_grad():
        return measured(hf, human, lens, source)


def weights(hf: Any, tokenizer: Any) -> str:
    """The short hash by which the package knows these weights."""
    model = mi.Model(hf, tokenizer)
    try:
        return model.weights
    finally:
        model.close()


def measured(hf: Any, human: Tensor, lens: Lens, source: dict[str, Any]) -> Translator:
    """The finished translator with the held-out KL of both lenses in its header, and where it doesn't help."""
    unknown = [0.0] * len(human)
    blank = {**source["held_out"], "plain": unknown, "affine": unknown, "not_improved": []}
    translator = finished(lens, {**source, "held_out": blank})
    plain, affine = curve(hf, human, translator)
    worse = [layer for layer in range(len(human) - 1) if affine[layer] >= plain[layer]]
    held_out = {**source["held_out"], "plain": plain, "affine": affine, "not_improved": worse}
    return replace(translator, source={**source, "held_out": held_out})


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print the held-out KL of both lenses for each layer, and write the file."""
    chosen, out = asked("Train the affine lens of the default model.", Settings, TARGET, arguments)
    torch.set_num_threads(1)
    start = time.monotonic()
    hf, tokenizer = load()
    openings, held_out = (lines(TEXTS / name) for name in ("openings.txt", "held_out.txt"))
    translator = make(hf, tokenizer, Settings(**chosen), openings, held_out)
    found = translator.held_out
    print(f"KL(own output || reading), nats a token, {found['tokens']} positions of held-out texts")
    print("layer   plain  affine")
    for layer, (plain, affine) in enumerate(zip(found["plain"], found["affine"], strict=True)):
        print(f"{layer:5} {plain:7.3f} {affine:7.3f}{'  not improved' if layer in found['not_improved'] else ''}")
    out.parent.mkdir(exist_ok=True)
    translator.save(out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {time.monotonic() - start:.0f} s")


def asked(what: str, settings: Any, target: Path, arguments: Sequence[str] | None) -> tuple[dict[str, Any], Path]:
    """The settings (those of a dataclass) and the place to write to, as the command line has them."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--out", type=Path, default=target)
    for setting in fields(settings):
        parser.add_argument(f"--{setting.name}", type=type(setting.default), default=setting.default)
    chosen = vars(parser.parse_args(arguments))
    return chosen, chosen.pop("out")


def load() -> tuple[Any, Any]:
    """The default model and its tokenizer as transformers has them."""
    folder = str(checkpoint.fetch())
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


if __name__ == "__main__":
    main()
