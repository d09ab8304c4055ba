"""Path patching: how much of a component's effect goes straight to which later inputs.

For base and source as in `causal` (denoise: base = the corrupt run, source = the clean run; noise: the other way), with
a sender s and receivers R:

1. the base prompt is run with s at its source value and every other head and FFN at its base value. So R's inputs
   change by the direct path s → R only; norms on that path are computed, not frozen;
2. the base prompt is run with R's inputs (q, k or v) at those values and nothing else changed. The rest runs on.

The value is metric(run 2) − metric(base run). With the logits as receiver run 1 is all there is. This is path patching
as Goldowsky-Dill et al. (2023) define it for one path; Wang et al. (2023) let FFNs between s and R run on, so that
their "direct" includes detours through FFNs. Keys and values of grouped heads are those of the key-value head: a patch
reaches every query head that reads it.

What it does not show: paths that go through something else, and redundancy (several senders, each enough alone). Cost:
one batched forward pass for the sender, and one row of a batch for each receiver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..grid import Axis, Grid
from ..model import Model, hook_name, path
from ..model.places import check_site
from ..progress import Progress, ticker
from ..site import Site
from ..task import Pair, Task
from .pairs import Pairs, last_value, mean

METHODS = ("denoise", "noise")
SENDERS = {"heads": ("head", "z", ("layer", "head")), "ffn": ("ffn", "out", ("layer",))}
RECEIVERS = ("q", "k", "v")
_TOKENS = 1024  # rows × positions in one batch


def paths(
    model: Any,
    task: Task | Pair | Sequence[Pair],
    sender: Site | str = "heads",
    receivers: Site | Sequence[Site] | str | None = None,
    method: str = "denoise",
    split: str = "fit",
    progress: Progress = True,
    prepend_bos: bool | None = None,
) -> Grid:
    """The effect of the direct paths from sender to receivers on a task's metric; the mean over solved pairs.

    sender: one head (z) or FFN as a Site; or "heads" or "ffn" for a map over all senders.
    receivers: None or "logits"; "q", "k" or "v" for a map over all heads (key-value heads) after one sender; or Sites
        of parts q, k and v, which get their share together.
    prepend_bos: of the prompts, if it is not to be TransformerLens's default.
    Cells that no direct path reaches (receivers not after the sender) are masked.
    """
    model, task = Model.of(model), Task.of(task)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    pairs = model.do(lambda: Pairs.of(model, task, split, prepend_bos=prepend_bos))
    plan = model.do(lambda: _Plan.of(pairs, sender, receivers))
    tick, done = ticker(progress, "path"), 0
    maps = []
    for pair in pairs.solved:

        def count(rows: int) -> None:
            nonlocal done
            done += rows
            tick(done, len(plan.routes) * len(pairs.solved))

        maps.append(model.do(lambda pair=pair, count=count: _effects(pairs, plan, pair, method, count)))
    return model.do(lambda: _grid(pairs, plan, mean(maps), method))


@dataclass(frozen=True)
class _Route:
    """From one sender to receivers; none are the logits."""

    sender: Site
    receivers: tuple[Site, ...]


@dataclass(frozen=True)
class _Plan:
    """Every route, and the grid's cell for each."""

    routes: tuple[_Route, ...]
    cells: tuple[tuple[int, ...], ...]
    axes: tuple[Axis, ...]
    kind: str
    part: str
    words: str

    @classmethod
    def of(cls, pairs: Pairs, sender: Site | str, receivers: Site | Sequence[Site] | str | None) -> _Plan:
        """The routes of a request; refuses what has no direct path."""
        if isinstance(receivers, str) and receivers in RECEIVERS:
            return cls._after(pairs, sender, receivers)
        return cls._into(pairs, sender, _sites(pairs.model, receivers))

    @classmethod
    def _after(cls, pairs: Pairs, sender: Site | str, part: str) -> _Plan:
        if not isinstance(sender, Site):
            raise ValueError(f"a map of receivers needs one sender: Site('head', layer, head), not {sender!r}")
        _check_sender(pairs.model, sender)
        axes = tuple(pairs.axis(name, "head", part) for name in ("layer", "head"))
        reached = range(_layer(sender) + 1, len(axes[0]))
        cells = tuple((layer, head) for layer in reached for head in range(len(axes[1])))
        if not cells:
            raise ValueError(f"{sender} is in the last layer: no head comes after it; its receiver is the logits")
        routes = tuple(_Route(sender, (Site("head", layer, head, part),)) for layer, head in cells)
        return cls(routes, cells, axes, "head", part, f"of {sender} by way of each {_WORDS[part]}")

    @classmethod
    def _into(cls, pairs: Pairs, sender: Site | str, receivers: tuple[Site, ...]) -> _Plan:
        kind, part, axes, senders = _senders(pairs, sender)
        last = max((_layer(site) for site in receivers), default=pairs.model.n_layers)
        cells = tuple(cell for cell in np.ndindex(*map(len, axes)) if _layer(senders[cell]) < last)
        if not cells:
            raise ValueError(f"no receiver comes after {sender}: a direct path goes to later layers")
        routes = tuple(_Route(senders[cell], receivers) for cell in cells)
        goal = ", ".join(map(str, receivers[:4])) + (" …" if len(receivers) > 4 else "") if receivers else "the logits"
        return cls(routes, cells, axes, kind, part, f"of each straight into {goal}")


def _senders(pairs: Pairs, sender: Site | str) -> tuple[str, str, tuple[Axis, ...], dict[tuple[int, ...], Site]]:
    if isinstance(sender, Site):
        _check_sender(pairs.model, sender)
        places = {"layer": sender.layer, "head": sender.index, "position": sender.position}
        axes = tuple(Axis(name, (place,)) for name, place in places.items() if place is not None)
        return sender.kind, sender.part, axes, {(0,) * len(axes): sender}
    if sender not in SENDERS:
        raise ValueError(f"sender must be a Site or one of {', '.join(SENDERS)}, not {sender!r}")
    kind, part, names = SENDERS[sender]
    axes = tuple(pairs.axis(name, kind, part) for name in names)
    return kind, part, axes, {cell: Site(kind, cell[0], *cell[1:]) for cell in np.ndindex(*map(len, axes))}


def _check_sender(model: Model, sender: Site) -> None:
    if (sender.kind, sender.part) not in (("head", "z"), ("ffn", "out")):
        raise ValueError(f"a sender is a head's output (z) or an FFN's, not {sender}")
    check_site(model, sender)


def _sites(model: Model, receivers: Site | Sequence[Site] | str | None) -> tuple[Site, ...]:
    if receivers is None or receivers == "logits":
        return ()
    if isinstance(receivers, str):
        raise ValueError(f"receivers must be Sites, logits or one of {', '.join(RECEIVERS)}, not {receivers!r}")
    sites = (receivers,) if isinstance(receivers, Site) else tuple(receivers)
    strangers = [site for site in sites if site.kind != "head" or site.part not in RECEIVERS]
    if strangers or not sites:
        raise ValueError(
            f"receivers are heads' q, k or v, such as Site('head', 5, 1, 'q'), not {strangers[:1] or '()'}"
        )
    for site in sites:
        check_site(model, site)
    return sites


def _layer(site: Site) -> int:
    assert site.layer is not None
    return site.layer


def _effects(pairs: Pairs, plan: _Plan, pair: Pair, method: str, count: Any) -> torch.Tensor:
    """The effect of every route on one pair, [route]."""
    model, read = pairs.model, pairs.read(pair)
    base, source = pairs.runs(pair, method)
    held, other = path.writes(model, base), path.writes(model, source)
    before = last_value(model, read, base)
    rows = max(1, _TOKENS // base.shape[1])
    effects = []
    for start in range(0, len(plan.routes), rows):
        model.worker.check()
        routes = plan.routes[start : start + rows]
        effects.append(read(_patched(model, base, held, other, routes)) - before)
        count(len(routes))
    return torch.cat(effects)


def _patched(model: Model, base: torch.Tensor, held: Any, other: Any, routes: Sequence[_Route]) -> torch.Tensor:
    """Last logits [route, d_vocab] of the base prompt, each with the change along one route."""
    senders = list(dict.fromkeys(route.sender for route in routes))
    puts = [path.Put(site, other[hook_name(site)]) for site in senders]
    wanted = sorted({hook_name(site) for route in routes for site in route.receivers})
    got, logits = path.received(model, base, held, puts, wanted)
    if not wanted:
        return logits
    number = {site: row for row, site in enumerate(senders)}
    return path.delivered(
        model,
        base,
        [[path.Put(site, got[hook_name(site)][number[route.sender]]) for site in route.receivers] for route in routes],
    )


def _grid(pairs: Pairs, plan: _Plan, effects: torch.Tensor, method: str) -> Grid:
    pairs.check_weights()
    values = np.ma.masked_all(tuple(map(len, plan.axes)), dtype=np.float32)
    values[tuple(np.array(plan.cells).T)] = effects.float().cpu().numpy()
    source = "clean" if method == "denoise" else "corrupt"
    return Grid(
        values,
        plan.axes,
        plan.kind,
        plan.part,
        title=f"Paths: effect {plan.words}, taken from the {source} run, on {pairs.metric}",
        unit=pairs.unit,
        sign=_SIGNS[method],
        toward=1 if method == "denoise" else -1,
        provenance={
            "method": f"paths/{method}",
            **pairs.provenance,
            "base": "corrupt" if method == "denoise" else "clean",
            "sender": sorted({str(route.sender) for route in plan.routes}) if plan.part in RECEIVERS else "each cell",
            "receivers": [str(site) for site in plan.routes[0].receivers]
            if plan.part not in RECEIVERS
            else "each cell",
        },
    )


_WORDS = {"q": "head's queries", "k": "key-value head's keys", "v": "key-value head's values"}
_SIGNS = {
    "denoise": "Positive: this path alone carries what moves the corrupt run toward the answer.",
    "noise": "Negative: the answer needs what this path carries.",
}

__all__ = ["METHODS", "RECEIVERS", "SENDERS", "paths"]
