"""What generation with an edit costs beside Hugging Face's own, and beside TransformerLens's.

    .venv/bin/python benchmarks/generate.py [rounds]

One process, the default model, one thread, greedy, 32 tokens after a prompt of 16; CPU seconds, median of paired
rounds. All add the same vector after block 14 at every position; the tokens of all are compared.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.model import checkpoint

_NEW, _LAYER, _STRENGTH = 32, 14, 0.05
_TEXT = "The old harbour town woke slowly, and boats went out one after another while the market"


def main(rounds: int) -> None:
    """Print one line for each way."""
    torch.set_num_threads(1)
    model = mi.load()
    plain = AutoModelForCausalLM.from_pretrained(checkpoint.fetch(), dtype=torch.float32).eval()
    ids = model.ids(_TEXT)[:, :16]
    recipe = mi.steer.contrast(model, ["I am happy today."], ["I am sad today."], _LAYER).add(_STRENGTH)
    direction = recipe.interventions[0].direction
    step = torch.tensor(direction.vector) * direction.norm * _STRENGTH
    settings = {"max_new_tokens": _NEW, "do_sample": False}

    def hugging_face() -> list[int]:
        handle = plain.model.layers[_LAYER].register_forward_hook(lambda module, args, out: out + step)
        with torch.no_grad():
            out = plain.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=2, **settings)
        handle.remove()
        return out[0, ids.shape[1] :].tolist()

    def ours() -> list[int]:
        return [new for (new,) in model.do(lambda: list(model.stream([ids], recipe, _NEW, 0.0, 0)))]

    def bridge() -> list[int]:
        with torch.no_grad(), model.bridge.hooks(fwd_hooks=recipe.hooks(model)):
            out = model.bridge.generate(ids, verbose=False, **settings)
        return out[0, ids.shape[1] :].tolist()

    ways = {"Hugging Face generate, one hook": hugging_face, "mi_widgets, one edit": ours, "bridge.generate": bridge}
    seconds, tokens = _paired(ways, rounds)
    unit = seconds["Hugging Face generate, one hook"]
    first = next(iter(tokens.values()))
    for name, times in seconds.items():
        ratio = median(a / b for a, b in zip(times, unit, strict=True))
        print(f"{name:34} {median(times):6.2f} s  {ratio:5.2f} ×   same tokens: {tokens[name] == first}")


def _paired(ways: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    tokens = {name: way() for name, way in ways.items()}  # the first warms up
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            seconds[name].append(time.process_time() - start)
    return seconds, tokens


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
