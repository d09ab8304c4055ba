"""What an exact map costs: all heads and all residual cells of one pair, in forward passes and beside TransformerLens.

    .venv/bin/python benchmarks/locate.py [rounds]

One process, the default model, one thread. TransformerLens's own patching is run on an even sample of the heads and
scaled to all of them; the numbers of both are compared on that sample. Every figure is the median over the rounds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pandas as pd
import torch
from transformer_lens.patching import generic_activation_patch, layer_head_vector_patch_setter

import mi_widgets as mi

_EVERY = 10  # TransformerLens runs each tenth head


def main(rounds: int) -> None:
    """Print one line for each figure."""
    torch.set_num_threads(1)
    model = mi.load()
    pair = mi.tasks.ioi().items[0]
    sites = [mi.Site("head", layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]
    rows: dict[str, list[float]] = {"forward": [], "heads": [], "residual": [], "TransformerLens": []}
    for _ in range(rounds):
        rows["forward"].append(_seconds(lambda: mi.run(model, pair.clean))[0])
        seconds, heads = _seconds(lambda: mi.locate.causal(model, pair, progress=False))
        rows["heads"].append(seconds)
        rows["residual"].append(_seconds(lambda: mi.locate.causal(model, pair, "residual", progress=False))[0])
        seconds, plain = _seconds(lambda: _peer(model, pair, sites[::_EVERY]))
        rows["TransformerLens"].append(seconds * _EVERY)
    ours = [heads.values[heads.index(site)] for site in sites[::_EVERY]]
    gap = max(abs(a - b) for a, b in zip(ours, plain, strict=True))
    unit = median(rows["forward"])
    for name, seconds in rows.items():
        print(f"{name:16} {median(seconds):8.2f} s  {median(seconds) / unit:7.1f} forward passes")
    print(
        f"heads map: {median(rows['TransformerLens']) / median(rows['heads']):.1f} x TransformerLens, off by {gap:.1e}"
    )


def _peer(model: mi.Model, pair: mi.Pair, sites: list[mi.Site]) -> list[float]:
    """The same effects by TransformerLens's own patching: one whole hooked forward pass for each head."""
    bridge = model.bridge
    answer, foil = (bridge.to_single_token(str(text)) for text in (pair.answer, pair.foil))

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[0, -1, answer] - logits[0, -1, foil]

    with torch.no_grad():
        corrupt = bridge.to_tokens(pair.corrupt)
        names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.n_layers)]
        _, clean = bridge.run_with_cache(bridge.to_tokens(pair.clean), names_filter=names)
        index = pd.DataFrame({"layer": [site.layer for site in sites], "head": [site.index for site in sites]})
        setter, name = layer_head_vector_patch_setter, "z"
        patched = generic_activation_patch(bridge, corrupt, clean, metric, setter, name, index_df=index)
        return (patched - metric(bridge(corrupt))).tolist()


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    done = work()
    return time.process_time() - start, done


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
