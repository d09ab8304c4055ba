"""What readings cost beside their floors and their peers: the vocabulary lens, gradients, and how fair estimates are.

    .venv/bin/python benchmarks/readings.py [rounds]

One process, the default model, one thread; each figure is the median of paired rounds, in CPU seconds. The extra memory
is that of the highest resident set, in a process of its own (Linux).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from transformer_lens.tools.analysis import logit_lens

import mi_widgets as mi
from mi_widgets.locate.gradient import BASES
from mi_widgets.locate.pairs import Pairs
from mi_widgets.model import backward, family, readout

_LENGTH = 128
_ROWS = 128
_TEXT = "The old harbour town woke slowly, and boats went out one after another while the market opened its stalls. "


def main(rounds: int) -> None:
    """Print one line for each figure."""
    torch.set_num_threads(1)
    model = mi.load()
    _lens(model, rounds)
    _memory()
    _gradients(model, rounds)
    _agreement(model)


def prompt(model: mi.Model) -> torch.Tensor:
    """128 token ids."""
    return model.ids(_TEXT * 20)[:, :_LENGTH]


def _lens(model: mi.Model, rounds: int) -> None:
    ids, weight = prompt(model), model.bridge.W_U.T.contiguous()
    names = family(model, "residual", "post")
    stream = torch.randn(model.n_layers * _LENGTH, model.d_model)

    def product() -> None:
        for rows in stream.split(_ROWS):
            torch.nn.functional.linear(rows, weight)

    works = {
        "bare unembedding product": product,
        "forward pass": lambda: model.do(lambda: model.forward(ids)),
        "forward pass of the lens": lambda: model.do(lambda: readout.streams(model, ids, names, None)),
        "lens": lambda: mi.locate.lens(model, ids),
        "lens, first column": lambda: next(mi.locate.lens_steps(model, ids)),
        "lens, KL": lambda: mi.locate.lens(model, ids, value="kl"),
        "TransformerLens logit_lens": lambda: logit_lens(model.bridge, ids, positions=None, top_k=5),
    }
    seconds = _paired(works, rounds)
    print(f"vocabulary lens, {model.n_layers} layers × {_LENGTH} positions")
    unit = seconds["bare unembedding product"]
    for name, times in seconds.items():
        print(f"  {name:30} {median(times):7.2f} s  {_ratio(times, unit):6.2f} × the product")
    rest = [a - b for a, b in zip(seconds["lens"], seconds["forward pass of the lens"], strict=True)]
    print(f"  {'lens without its forward pass':30} {median(rest):7.2f} s  {_ratio(rest, unit):6.2f} × the product")
    peer = _ratio(seconds["TransformerLens logit_lens"], seconds["lens"])
    print(f"  TransformerLens takes {peer:.2f} times as long")


_MEASURE = """
import sys, torch
sys.path.insert(0, {here!r})
import readings, mi_widgets as mi
torch.set_num_threads(1)
model = mi.load()
ids = readings.prompt(model)
rows, weight = torch.randn(128, model.d_model), torch.randn(49152, model.d_model)
{work}  # the first call also maps weights and libraries
readings.forget_peak()
before = readings.resident("VmRSS")
{work}
print(readings.resident("VmHWM") - before)
"""


def _memory() -> None:
    works = {
        "one chunk of the product": "torch.nn.functional.linear(rows, weight)",
        "forward pass": "model.do(lambda: model.forward(ids))",
        "lens": "mi.locate.lens(model, ids)",
        "lens, KL": "mi.locate.lens(model, ids, value='kl')",
    }
    here = __file__.rpartition("/")[0]
    for name, work in works.items():
        code = _MEASURE.format(here=here, work=work)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        print(f"  {name:30} {float(done.stdout.split()[-1]):7.1f} MiB at most above the memory held before it")


def forget_peak() -> None:
    """Begin a new high-water mark of the resident set (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def resident(name: str) -> float:
    """VmRSS (now) or VmHWM (the highest since `forget_peak`), in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def _gradients(model: mi.Model, rounds: int) -> None:
    pair = mi.tasks.capitals().items[0]
    read = Pairs.of(model, mi.Task.of(pair), "all").read(pair)
    corrupt, clean = model.ids(pair.corrupt), model.ids(pair.clean)
    start, end = (
        model.do(lambda ids=ids: backward.activations(model, ids, ("embedding", "out"))[0]) for ids in (corrupt, clean)
    )
    path = start + torch.arange(5)[:, None, None] / 5 * (end - start)
    heads = ("head", "z")

    def floor() -> None:
        model.do(lambda: (model.forward(clean), _plain_backward(model, corrupt, read)))

    def pass_of(rows: torch.Tensor) -> None:
        model.do(lambda: backward.gradients(model, corrupt.expand(len(rows), -1), heads, read, start=rows))

    def attribution() -> None:
        model.do(lambda: (backward.activations(model, clean, heads), backward.gradients(model, corrupt, heads, read)))

    works: dict[str, Callable[[], Any]] = {
        "two forward passes, one backward": floor,
        "attribution patching, all heads": attribution,
        "relevance patching, all heads": lambda: model.do(
            lambda: (
                backward.activations(model, clean, heads),
                backward.gradients(model, corrupt, heads, read, rule="relp"),
            )
        ),
        "queries with exact softmax": lambda: mi.locate.gradient(model, pair, "q", "atp_qk", progress=False),
        "integral, 5 steps in one batch": lambda: pass_of(path),
        "integral, 5 steps one by one": lambda: [pass_of(row[None]) for row in path],
    }
    seconds = _paired(works, rounds)
    print(f"gradients, {corrupt.shape[1]} tokens")
    unit = seconds["two forward passes, one backward"]
    for name, times in seconds.items():
        print(f"  {name:34} {median(times):6.2f} s  {_ratio(times, unit):6.2f} × the floor")
    ratio = _ratio(seconds["integral, 5 steps in one batch"], seconds["integral, 5 steps one by one"])
    print(f"  one batch takes {ratio:.2f} of five runs")


def _plain_backward(model: mi.Model, ids: torch.Tensor, read: Any) -> None:
    with torch.enable_grad():
        kept: list[torch.Tensor] = []
        leaf = [("hook_embed", lambda x, hook: kept.append(x.detach().requires_grad_()) or kept[0])]
        torch.autograd.grad(read(model.forward(ids, leaf)[:, -1]).sum(), kept)


def _agreement(model: mi.Model) -> None:
    pairs = [mi.tasks.capitals().items[0], mi.tasks.ioi().items[0], mi.tasks.ioi().items[5]]
    asked = [("heads", "atp"), ("v", "atp"), ("q", "atp"), ("q", "atp_qk"), ("k", "atp"), ("k", "atp_qk"),
             ("ffn", "atp"), ("ffn", "ig"), ("residual", "atp"), ("residual", "relp"), ("residual", "ig")]  # fmt: skip
    print("agreement with the exact map: Pearson's r, mean (least) of three pairs; shared among the ten strongest")
    for objects, method in asked:
        bases = ("denoise", "noise") if objects in ("ffn", "residual") or method == "ig" else BASES
        for base in bases:
            found = [_both(model, pair, objects, method, base) for pair in pairs]
            r, shared = zip(*found, strict=True)
            print(
                f"  {objects:9} {method:7} {base:8} r {np.mean(r):5.2f} ({min(r):5.2f})   {np.mean(shared):4.1f} of 10"
            )


def _both(model: mi.Model, pair: mi.Pair, objects: str, method: str, base: str) -> tuple[float, int]:
    guess = mi.locate.gradient(model, pair, objects, method, base, progress=False).values.ravel()
    exact = mi.locate.causal(model, pair, objects, base, progress=False).values.ravel()
    first, second = (set(np.abs(values).argsort()[-10:].tolist()) for values in (guess, exact))
    return float(np.corrcoef(guess, exact)[0, 1]), len(first & second)


def _paired(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each, one after the other in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if round_:  # the first warms up
                seconds[name].append(time.process_time() - start)
    return seconds


def _ratio(times: list[float], units: list[float]) -> float:
    return median(a / b for a, b in zip(times, units, strict=True))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
