"""Several cells changed at once, against plain PyTorch hooks on the plain Hugging Face model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi

from . import tiny
from .conftest import Tiny
from .test_oracle import part_of, place_of
from .tiny import CLEAN, CORRUPT, OTHERS

FIRST, LAST = mi.Site("head", 0, 0), mi.Site("head", tiny.LAYERS - 1, tiny.HEADS - 1)
MIXED = (
    mi.Site("head", 0, 1),
    mi.Site("head", 0, 3),
    mi.Site("residual", 1, position=9),
    mi.Site("ffn", 1, position=-1),
    mi.Site("neuron", 2, 5),
)
NAMES = {"head": "heads", "residual": "residual", "ffn": "ffn", "neuron": "neurons"}


def absolute(site: mi.Site, length: int) -> mi.Site:
    from dataclasses import replace

    return site if site.position is None else replace(site, position=site.position % length)


def by_hand(small: Tiny, cells: Sequence[mi.Site], base: str, sources: Sequence[str]) -> float:
    """The metric's change when all cells take their mean over runs of `sources` (none: zero), in one full forward."""
    edits = []
    for site in (absolute(cell, small.ids().shape[1]) for cell in cells):
        objects = NAMES[site.kind]
        place = place_of(small, objects, site.layer or 0)
        where, columns = part_of(small, objects, site)
        seen = [small.plain.see(small.ids(text), place) for text in sources]
        new = torch.stack(seen).mean(0)[:, where, columns] if seen else 0.0

        def change(x: torch.Tensor, where: slice = where, columns: slice = columns, new: Any = new) -> torch.Tensor:
            out = x.clone()
            out[:, where, columns] = new
            return out

        edits.append((place, change))
    return small.difference(small.plain.logits(small.ids(base), *edits)) - small.unedited(base)


METHODS = {
    "denoise": (CORRUPT, (CLEAN,)),
    "noise": (CLEAN, (CORRUPT,)),
    "zero": (CLEAN, ()),
    "mean": (CLEAN, (CLEAN, CORRUPT)),
    "resample": (CLEAN, (CORRUPT,)),
}


@pytest.mark.parametrize("method", METHODS)
def test_sets_of_all_kinds_are_changed_together_as_by_hand(small: Tiny, method: str) -> None:
    length = small.ids().shape[1]
    sets = [[FIRST], [FIRST, LAST], [absolute(site, length) for site in MIXED]]
    grid = mi.locate.joint(small.model, small.pair, sets, method, progress=False)
    expected = [by_hand(small, cells, *METHODS[method]) for cells in sets]
    np.testing.assert_allclose(grid.values, expected, atol=1e-4)
    assert min(map(abs, expected)) > 1e-3
    assert grid.axes[0].name == "set" and grid.axes[0].labels[1] == f"{FIRST}, {LAST}"
    assert (grid.toward, grid.unit) == (1 if method == "denoise" else -1, "logits")


def test_a_set_of_one_has_its_cells_value_in_the_map(llama: Tiny) -> None:
    for objects in ("heads", "residual", "embedding"):
        exact = mi.locate.causal(llama.model, llama.pair, objects, progress=False)
        cells = [exact.site(index) for index, _ in exact.cells()][::5]
        grid = mi.locate.joint(llama.model, llama.pair, [[cell] for cell in cells], progress=False)
        np.testing.assert_allclose(grid.values, [exact.value(cell) for cell in cells], atol=1e-5)


def test_a_set_before_the_first_difference_changes_nothing(llama: Tiny) -> None:
    before = [mi.Site("residual", layer, position=3) for layer in range(2)]
    after = mi.Site("residual", 0, position=10)
    grid = mi.locate.joint(llama.model, llama.pair, [before, [*before, after], [after]], progress=False)
    assert grid.values[0] == 0 and grid.values[1] == pytest.approx(float(grid.values[2]), abs=1e-6)
    assert abs(grid.values[2]) > 1e-2


def spans(text: str, *names: str) -> dict[str, tuple[int, int]]:
    return {name: (text.index(name), text.index(name) + len(name)) for name in names}


def pair_like(small: Tiny, old: str, new: str, *names: str) -> mi.Pair:
    """The pair with one word changed in both prompts."""
    clean = CLEAN.replace(old, new)
    return mi.Pair(clean, CORRUPT.replace(old, new), small.pair.answer, small.pair.foil, spans(clean, *names))


@pytest.mark.parametrize("method", ["denoise", "mean"])
def test_positions_of_several_pairs_are_each_pairs_own(llama: Tiny, method: str) -> None:
    pairs = [pair_like(llama, "the store", new, "gave", "drink") for new in ("the store", "the old garden")]
    assert len({llama.model.ids(pair.clean).shape[1] for pair in pairs}) == 2
    task = mi.Task(tuple(pairs), metric="logprob")  # of a random model, which solves hardly a pair
    roles = mi.locate.causal(llama.model, task, "ffn", method, progress=False)
    assert roles.provenance["positions"] == "roles"
    cells = [roles.site(index) for index, _ in roles.cells()][::3]
    grid = mi.locate.joint(llama.model, task, [[cell] for cell in cells], method, progress=False)
    np.testing.assert_allclose(grid.values, [roles.value(cell) for cell in cells], atol=1e-5)
    assert np.abs(grid.values).max() > 1e-2
    both = mi.locate.joint(llama.model, task, [cells, [FIRST, LAST]], method, progress=False)
    if method == "denoise":
        tasks = [mi.Task((pair,), metric="logprob") for pair in pairs]
        alone = [mi.locate.joint(llama.model, one, [[FIRST, LAST]], progress=False).values[0] for one in tasks]
        assert both.values[1] == pytest.approx(np.mean(alone), abs=1e-5)
    assert both.provenance["pairs"] == 2


@pytest.mark.parametrize(
    ("sets", "why"),
    [
        ([], "sets is empty"),
        ([[]], "a set is empty"),
        ([FIRST], "a set is a list of Sites"),
        (["L0H0"], "a set is a list of Sites"),
        ([[mi.Site("head", 99, 0)]], "99"),
        ([[mi.Site("residual", 0, position=99)]], "no position that these pairs share"),
    ],
)
def test_what_is_no_set_is_refused(llama: Tiny, sets: Any, why: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError), match=why):
        mi.locate.joint(llama.model, llama.pair, sets, progress=False)


def test_progress_counts_sets_and_pairs(llama: Tiny) -> None:
    told: list[tuple[int, int]] = []
    pairs = tuple(pair_like(llama, "store", new) for new in ("store", "garden"))
    task = mi.Task(pairs, metric="logprob")
    mi.locate.joint(llama.model, task, [[FIRST], [LAST], [FIRST, LAST]], progress=lambda *n: told.append(n))
    assert told == [(3, 6), (6, 6)]


def test_a_reference_of_ones_own(llama: Tiny) -> None:
    grid = mi.locate.joint(llama.model, llama.pair, [[FIRST]], "mean", reference=OTHERS, progress=False)
    exact = mi.locate.causal(llama.model, llama.pair, "heads", "mean", reference=OTHERS, progress=False)
    assert grid.values[0] == pytest.approx(exact.value(FIRST), abs=1e-5)
    assert grid.provenance["mean"] == exact.provenance["mean"] == "pooled over positions but 0"
