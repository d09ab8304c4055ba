"""What exact maps cost, beside TransformerLens's own patching.

    .venv/bin/python benchmarks/locate.py [--runs 5] [--quick]

One process, the default model, one thread, CPU seconds of the process. Each run times a whole `mi.locate.causal` call
and, right after it, `transformer_lens.patching` over the same weights under no_grad in its default mode, on an even
sample of the cells over all layers, scaled to all of them; the numbers of both are compared on that sample. Ratios are
medians over the runs. `p0/T` is the share of the prompt before the first differing token: what can be left out.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean, median
from typing import Any

import pandas as pd
import torch
from transformer_lens import patching

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.model import first_difference

_FACT = "Fact: the capital city of the country of {} is the city of"
CAPITAL = mi.Pair(_FACT.format("France"), _FACT.format("Italy"), " Paris", " Rome")
_OPEN = "France and its people: the name of the capital city is"
UNSHARED = mi.Pair(_OPEN, _OPEN.replace("France", "Italy"), " Paris", " Rome")

#: map -> (TransformerLens's setter, its activation, its index columns, one in how many cells it runs)
PEERS: dict[str, tuple[Any, str, tuple[str, ...], int]] = {
    "heads": (patching.layer_head_vector_patch_setter, "z", ("layer", "head"), 10),
    "residual": (patching.layer_pos_patch_setter, "resid_pre", ("layer", "pos"), 13),
    "head_positions": (patching.layer_pos_head_vector_patch_setter, "z", ("layer", "pos", "head"), 101),
}
_FEW = {
    "heads": [mi.Site("head", 20, 3)],
    "residual": [mi.Site("residual", 20, position=14)],
    "head_positions": [mi.Site("head", 20, 3, position=14)],
}


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="paired runs, of which the median counts")
    parser.add_argument("--quick", action="store_true", help="one run, and the heads and the residual stream alone")
    options = parser.parse_args()
    runs = 1 if options.quick else options.runs
    torch.set_num_threads(1)
    model = mi.load()
    print(
        f"{'pair':24}{'map':16}{'T':>4}{'p0/T':>6}{'ours s':>8}{'forwards':>10}{'x TransformerLens':>19}{'off by':>10}"
    )
    maps = ["heads", "residual"] if options.quick else list(PEERS)
    for objects in maps:  # the first time on a model, a few runs of each kind are made the plain way as well
        mi.locate.causal(model, CAPITAL, objects, sites=_FEW[objects], progress=False)
    for bos in (False, True):
        for objects in maps:
            _line(model, f"capital, {'BOS' if bos else 'no BOS'}", CAPITAL, objects, bos, runs)
    _line(model, "nothing shared", UNSHARED, "heads", False, runs)
    five = [*mi.tasks.capitals().items[:3:2], *mi.tasks.ioi().items[:5:2]]
    for objects in ("heads", "residual"):
        ratios = [_line(model, f"built-in {n + 1}", pair, objects, None, 1) for n, pair in enumerate(five)]
        print(f"{'median of the five':24}{objects:16}{'':28}{median(ratios):19.1f}")
    share = median(_rerun(model) for _ in range(runs))
    print(f"one head at zero in layer l, run again: {share:.2f} of a forward pass, mean over l")


def _line(model: mi.Model, name: str, pair: mi.Pair, objects: str, bos: bool | None, runs: int) -> float:
    """Measure one map, print it, and return how many times as fast as TransformerLens it is."""
    clean, corrupt = (model.ids(text, bos) for text in (pair.clean, pair.corrupt))
    length, first = clean.shape[1], first_difference(clean[0].tolist(), corrupt[0].tolist())
    ours = partial(mi.locate.causal, model, pair, objects, prepend_bos=bos, progress=False)
    seconds, forwards, ratios, gap = [], [], [], 0.0
    for _ in range(runs):
        own, grid = _seconds(ours)
        cells = _sample(grid, PEERS[objects][3])
        theirs, effects = _peer(model, pair, objects, clean, corrupt, cells)
        gap = max(gap, *(abs(effect - float(grid.values[cell])) for effect, cell in zip(effects, cells, strict=True)))
        seconds.append(own)
        forwards.append(own / _seconds(lambda: model.do(lambda: model.forward(corrupt)))[0])
        ratios.append(theirs * grid.values.size / len(cells) / own)
    assert gap < 1e-4, f"{objects} of {name} is off by {gap}"
    numbers = f"{length:4}{first / length:6.2f}{median(seconds):8.2f}{median(forwards):10.1f}{median(ratios):19.1f}"
    print(f"{name:24}{objects:16}{numbers}{gap:10.1e}", flush=True)
    return median(ratios)


def _sample(grid: mi.Grid, every: int) -> list[tuple[int, ...]]:
    cells = [index for index, _ in grid.cells()]
    return cells[every // 2 :: every]


def _peer(
    model: mi.Model,
    pair: mi.Pair,
    objects: str,
    clean: torch.Tensor,
    corrupt: torch.Tensor,
    cells: Sequence[tuple[int, ...]],
) -> tuple[float, list[float]]:
    """The same effects by TransformerLens's own patching, and its seconds: one whole hooked pass for each cell.

    Its two unedited runs are not counted.
    """
    bridge = model.bridge
    answer, foil = (bridge.to_single_token(str(text)) for text in (pair.answer, pair.foil))
    setter, name, columns, _ = PEERS[objects]

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[0, -1, answer] - logits[0, -1, foil]

    point = "hook_resid_pre" if name == "resid_pre" else "attn.hook_z"
    rows = pd.DataFrame([dict(zip(("layer", "head", "pos"), cell, strict=False)) for cell in cells])
    if objects == "residual":
        rows.columns = ["layer", "pos"]
    with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        names = [f"blocks.{layer}.{point}" for layer in range(model.n_layers)]
        _, cache = bridge.run_with_cache(clean, names_filter=names)
        before = metric(bridge(corrupt))
        run = partial(patching.generic_activation_patch, bridge, corrupt, cache, metric, setter, name)
        seconds, patched = _seconds(lambda: run(index_df=rows[list(columns)]))
    return seconds, (patched - before).tolist()


def _rerun(model: mi.Model) -> float:
    """One edited run that resumes at its layer, as a share of a forward pass; mean over the layers."""
    read = mi.model.Read(lambda logits: logits[:, 0], (0,))
    base = model.record(CAPITAL.clean)
    plans = [mi.Recipe((Intervention("zero", mi.Site("head", layer, 0)),)) for layer in range(model.n_layers)]
    whole, shares = median(_seconds(lambda: mi.run(model, CAPITAL.clean))[0] for _ in range(5)), []
    for plan in plans:
        seconds, _ = _seconds(lambda plan=plan: model.do(lambda: list(model.sweep(base, [plan], read))))
        shares.append(seconds / whole)
    return mean(shares)


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    done = work()
    return time.process_time() - start, done


if __name__ == "__main__":
    main()
