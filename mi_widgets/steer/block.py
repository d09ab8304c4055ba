"""Block: the rows and columns of one weight matrix that a located object owns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..model import Model, hook_name, weight_shape
from ..model.places import check_site
from ..site import PARTS, Site

Objects = str | int | Iterable[Site | int]
_FFN = ("W_gate", "W_in", "W_out")


@dataclass(frozen=True)
class Block:
    """site: the weight. rows, columns: which of them; None for all."""

    site: Site
    rows: tuple[int, ...] | None = None
    columns: tuple[int, ...] | None = None

    def shape(self, model: Model) -> tuple[int, int]:
        """[rows, columns]."""
        rows, columns = weight_shape(model, self.site)
        return rows if self.rows is None else len(self.rows), columns if self.columns is None else len(self.columns)


def blocks(model: Model, objects: Objects) -> list[Block]:
    """The blocks that objects own, one for each weight.

    A head (z) owns its columns of W_Q and its rows of W_O. The columns of W_K and W_V belong to a key-value head: where
    query heads share it, it counts as owned only if all of them are among the objects, since changing it would change
    the others. q, k and v own their columns alone. A neuron owns its columns of W_in and W_gate and its row of W_out,
    an FFN output all three matrices, a layer all of its matrices. "all" is every layer.
    """
    owned: dict[Site, set[int] | None] = {}
    for site, numbers in _owned(model, list(_sites(model, objects))):
        if numbers is None or owned.get(site, set()) is None:
            owned[site] = None
        else:
            owned[site] = owned.get(site, set()) | set(numbers)  # type: ignore[operator]
    for site in owned:
        check_site(model, site)
    return [_block(site, owned[site]) for site in sorted(owned)]


def _block(site: Site, numbers: set[int] | None) -> Block:
    chosen = None if numbers is None else tuple(sorted(numbers))
    return Block(site, rows=chosen) if site.part in ("W_O", "W_out") else Block(site, columns=chosen)


def _sites(model: Model, objects: Objects) -> Iterable[Site]:
    """Objects as sites; of a layer, its weights."""
    if isinstance(objects, str):
        if objects != "all":
            raise ValueError(f"objects must be sites, layers or 'all', not {objects!r}")
        objects = range(model.n_layers)
    chosen = [objects] if isinstance(objects, (int, Site)) else list(objects)
    if not chosen:
        raise ValueError("nothing is selected: pick at least one cell, for instance grid.select(top=8)")
    for each in chosen:
        if isinstance(each, Site):
            yield each
        elif isinstance(each, bool) or not isinstance(each, int):
            raise TypeError(f"objects are sites, layers or 'all', not {each!r:.80}")
        elif not 0 <= each < model.n_layers:
            raise ValueError(f"layer {each}: this model has layers 0 to {model.n_layers - 1}")
        else:
            yield from _of_layer(model, each, PARTS["weight"])


def _of_layer(model: Model, layer: int, parts: Iterable[str]) -> Iterable[Site]:
    """The weights of a layer, W_gate only where there is one."""
    if model.has_experts:
        raise ValueError(f"{model.name} is a mixture of experts: its blocks have no one FFN to train; pick heads")
    sites = (Site("weight", layer, part=part) for part in parts)
    return [site for site in sites if site.part != "W_gate" or hook_name(site) in model.hook_names]


def _owned(model: Model, sites: list[Site]) -> Iterable[tuple[Site, Any]]:
    """(weight, its rows or columns, None for all) of each object."""
    heads = {(site.layer, site.index) for site in sites if site.kind == "head" and site.part == "z"}
    for site in sites:
        if site.position is not None:
            raise ValueError(f"{site}: a weight acts at all positions; pick the object without a position")
        if site.kind == "weight":
            yield site, None
        elif site.kind == "ffn":
            yield from ((weight, None) for weight in _of_layer(model, site.layer or 0, _FFN))
        elif site.kind == "neuron":
            check_site(model, site)
            yield from ((weight, [site.index]) for weight in _of_layer(model, site.layer or 0, _FFN))
        elif site.kind == "head" and site.part != "pattern":
            check_site(model, site)
            yield from _of_head(model, site, heads)
        else:
            raise ValueError(f"{site} has no weights of its own; heads, neurons, FFN outputs and layers have")


def _of_head(model: Model, site: Site, heads: set[tuple[int | None, int | None]]) -> Iterable[tuple[Site, range]]:
    width, index = model.width(site), site.index or 0
    own = {"q": ["W_Q"], "k": ["W_K"], "v": ["W_V"], "z": ["W_Q", "W_O"]}[site.part]
    yield from ((Site("weight", site.layer, part=part), _columns(index, width)) for part in own)
    if site.part == "z":
        each = model.n_heads // (model.count(Site("head", site.layer, 0, "k")) or model.n_heads)
        shared = index // each
        if all((site.layer, head) in heads for head in _columns(shared, each)):
            yield from ((Site("weight", site.layer, part=part), _columns(shared, width)) for part in ("W_K", "W_V"))


def _columns(number: int, width: int) -> range:
    """The numbers of the block `number` of blocks `width` wide."""
    return range(number * width, (number + 1) * width)
