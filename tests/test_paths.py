"""Path patching against the definition, written out with plain PyTorch hooks: one full forward pass for each step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, HEADS, KV_HEADS, put

SHAPES = ("llama", "gpt2", "gemma2", "qwen3", "pythia")
DIRECTIONS = pytest.mark.parametrize(
    ("method", "base", "source"), [("denoise", CORRUPT, CLEAN), ("noise", CLEAN, CORRUPT)], ids=["denoise", "noise"]
)


def heads_of(small: Tiny, part: str) -> int:
    grouped = small.shape in ("llama", "gemma2", "qwen3") and part != "q"
    return KV_HEADS if grouped else HEADS


def receiver(small: Tiny, layer: int, part: str, head: int) -> tuple[tiny.Place, Any]:
    """Where a head's q, k or v comes out of its projection, and which columns are its own."""
    block, width = small.plain.blocks[layer], tiny.D_HEAD
    number = "qkv".index(part)
    if small.shape == "gpt2":  # all queries, all keys, all values
        start = (number * HEADS + head) * width
        return (block.attn.c_attn, "out"), slice(start, start + width)
    if small.shape == "pythia":  # head by head: its query, key and value
        start = (head * 3 + number) * width
        return (block.attention.query_key_value, "out"), slice(start, start + width)
    return (block.get_submodule(f"self_attn.{part}_proj"), "out"), slice(head * width, (head + 1) * width)


def held(small: Tiny, base: str, source: str, sender: mi.Site) -> list[tuple[tiny.Place, tiny.Change]]:
    """Edits that keep every head and FFN at its base value, but the sender at its value in the other run."""
    edits: list[tuple[tiny.Place, tiny.Change]] = []
    for layer in range(tiny.LAYERS):
        for kind, place in (("head", small.plain.z(layer)), ("ffn", small.plain.ffn(layer))):
            own, other = (small.plain.see(small.ids(text), place) for text in (base, source))
            edits.append((place, lambda x, own=own: own))
            if (kind, layer) == (sender.kind, sender.layer):
                there = other if sender.index is None else tiny.one_head(other, sender.index)
                where = slice(None) if sender.position is None else slice(sender.position, sender.position + 1)
                edits.append((place, put(there[:, where], where, sender.index)))
    return edits


def by_hand(small: Tiny, base: str, source: str, sender: mi.Site, goals: list[tuple[tiny.Place, Any]]) -> float:
    """The definition, step by step; no goals are the logits."""
    edits = held(small, base, source, sender)
    if not goals:
        return small.difference(small.plain.logits(small.ids(base), *edits)) - small.unedited(base)
    deliveries: list[tuple[tiny.Place, tiny.Change]] = []
    for place, columns in goals:
        seen: list[torch.Tensor] = []
        small.plain.logits(small.ids(base), *edits, (place, lambda x, seen=seen: seen.append(x.clone()) or x))  # type: ignore[func-returns-value]

        def deliver(x: torch.Tensor, got: torch.Tensor = seen[0], columns: slice = columns) -> torch.Tensor:
            out = x.clone()
            out[..., columns] = got[..., columns]
            return out

        deliveries.append((place, deliver))
    return small.difference(small.plain.logits(small.ids(base), *deliveries)) - small.unedited(base)


@pytest.mark.parametrize("sender", [mi.Site("head", 0, 2), mi.Site("ffn", 0)], ids=str)
@pytest.mark.parametrize("part", ["q", "k", "v"])
@DIRECTIONS
def test_every_receiver_as_by_hand(
    small: Tiny, sender: mi.Site, part: str, method: str, base: str, source: str
) -> None:
    grid = mi.locate.paths(small.model, small.pair, sender, part, method, progress=False)
    heads = heads_of(small, part)
    assert grid.shape == (tiny.LAYERS, heads) and grid.values.mask[0].all() and grid.values.count() == 2 * heads
    for layer, head in ((1, 0), (1, heads - 1), (tiny.LAYERS - 1, 0), (tiny.LAYERS - 1, heads - 1)):
        expected = by_hand(small, base, source, sender, [receiver(small, layer, part, head)])
        assert grid.values[layer, head] == pytest.approx(expected, abs=1e-4), (layer, head)


@pytest.mark.parametrize("sender", ["heads", "ffn"])
@DIRECTIONS
def test_every_sender_into_the_logits_as_by_hand(small: Tiny, sender: str, method: str, base: str, source: str) -> None:
    grid = mi.locate.paths(small.model, small.pair, sender, method=method, progress=False)
    expected = np.array([by_hand(small, base, source, grid.site(cell), []) for cell in np.ndindex(*grid.shape)])
    np.testing.assert_allclose(grid.values.ravel(), expected, atol=1e-4)
    assert np.abs(expected).max() > 0.01


def test_receivers_get_their_share_together(small: Tiny) -> None:
    last = tiny.LAYERS - 1
    sites = [mi.Site("head", 1, 1, "v"), mi.Site("head", last, 0, "q"), mi.Site("head", last, 1, "k")]
    grid = mi.locate.paths(small.model, small.pair, "heads", sites, progress=False)
    goals = [receiver(small, site.layer or 0, site.part, site.index or 0) for site in sites]
    for cell in ((0, 0), (0, 3), (1, 2)):
        expected = by_hand(small, CORRUPT, CLEAN, grid.site(cell), goals)
        assert grid.values[cell] == pytest.approx(expected, abs=1e-4)
    assert grid.values.mask[last].all()


def test_one_sender_at_one_position(llama: Tiny) -> None:
    sender = mi.Site("head", 0, 1, position=10)
    grid = mi.locate.paths(llama.model, llama.pair, sender, progress=False)
    assert grid.shape == (1, 1, 1) and grid.site((0, 0, 0)) == sender
    receivers = mi.Site("head", 2, 1, "k")
    grid = mi.locate.paths(llama.model, llama.pair, sender, receivers, progress=False)
    expected = by_hand(llama, CORRUPT, CLEAN, sender, [receiver(llama, 2, "k", 1)])
    assert float(grid.values[0, 0, 0]) == pytest.approx(expected, abs=1e-4)


def test_the_last_layer_has_only_the_direct_path(small: Tiny) -> None:
    """What a head of the last layer does, it does directly; its FFN reads it too, except in parallel blocks."""
    paths = mi.locate.paths(small.model, small.pair, "ffn", progress=False)
    last = mi.locate.causal(small.model, small.pair, "ffn", progress=False).values[-1]
    assert float(paths.values[-1]) == pytest.approx(float(last[-1]), abs=1e-4)


def test_batches_give_the_same(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[int, int]] = []
    sender = mi.Site("head", 0, 0)
    whole = mi.locate.paths(llama.model, llama.pair, sender, "q", progress=False)
    monkeypatch.setitem(mi.locate.paths.__globals__, "_TOKENS", 3 * llama.ids().shape[1])
    parts = mi.locate.paths(llama.model, llama.pair, sender, "q", progress=lambda *counts: heard.append(counts))
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-5)
    assert heard == [(3, 8), (6, 8), (8, 8)]


def test_a_grid_of_paths_says_what_it_is(llama: Tiny) -> None:
    grid = mi.locate.paths(llama.model, llama.pair, mi.Site("head", 0, 2), "k", progress=False)
    assert (grid.kind, grid.part, grid.toward) == ("head", "k", 1)
    assert grid.provenance["method"] == "paths/denoise" and grid.provenance["sender"] == ["L0H2"]
    assert "L0H2" in grid.title and "clean run" in grid.title
    assert mi.locate.paths(llama.model, llama.pair, method="noise", progress=False).toward == -1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("layers",), "sender must be"),
        (("heads", "q"), "needs one sender"),
        (("heads", "z"), "receivers must be"),
        (("heads", mi.Site("head", 1, 0)), "receivers are heads' q, k or v"),
        (("heads", []), "receivers are heads' q, k or v"),
        (("heads", mi.Site("head", 0, 0, "q")), "no receiver comes after"),
        ((mi.Site("head", tiny.LAYERS - 1, 0), "q"), "last layer"),
        ((mi.Site("head", 0, 0, "q"),), "a sender is"),
        ((mi.Site("head", 0, HEADS),), "has heads 0 to 3"),
        ((mi.Site("ffn", 3),), "has layers 0 to 2"),
        (("heads", mi.Site("head", 9, 0, "q")), "has layers 0 to 2"),
        (("heads", mi.Site("head", 1, KV_HEADS, "k")), "has heads 0 to 1"),
        ((mi.Site("head", 0, 0), "q", "zero"), "method must be"),
    ],
)
def test_paths_that_do_not_exist_are_refused(llama: Tiny, arguments: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.locate.paths(llama.model, llama.pair, *arguments, progress=False)
