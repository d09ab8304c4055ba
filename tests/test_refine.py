"""Refine: estimates first, then the exact map; and what a stop leaves."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import mi_widgets as mi
from mi_widgets.locate.gradient import fair

from . import tiny
from .conftest import Tiny


@pytest.mark.parametrize("method", ["denoise", "noise", "mean"])
@pytest.mark.parametrize("objects", ["heads", "q", "head_positions"])
def test_it_begins_with_the_estimate_and_ends_with_the_exact_map(llama: Tiny, objects: str, method: str) -> None:
    grids = list(mi.locate.refine(llama.model, llama.pair, objects, method))
    exact = mi.locate.causal(llama.model, llama.pair, objects, method, progress=False)
    np.testing.assert_allclose(grids[-1].values, exact.values, atol=1e-5)
    assert grids[-1].estimated is None and grids[-1].provenance == exact.provenance
    first, how = grids[0], "atp_qk" if objects == "q" else "atp"
    if not fair(objects, method, how):
        assert first.estimated is None
        return
    assert first.estimated is not None and first.estimated.all() and first.axes == exact.axes
    guess = mi.locate.gradient(llama.model, llama.pair, objects, how, method, progress=False)
    np.testing.assert_allclose(first.values, guess.values, atol=1e-6)


def test_every_cell_is_an_estimate_or_exact(llama: Tiny) -> None:
    exact = mi.locate.causal(llama.model, llama.pair, "head_positions", progress=False)
    guess = mi.locate.gradient(llama.model, llama.pair, "head_positions", progress=False)
    for grid in mi.locate.refine(llama.model, llama.pair, "head_positions"):
        guessed = np.zeros(grid.shape, bool) if grid.estimated is None else grid.estimated
        np.testing.assert_allclose(grid.values[guessed], guess.values[guessed], atol=1e-6)
        np.testing.assert_allclose(grid.values[~guessed], exact.values[~guessed], atol=1e-5)
        assert not np.ma.getmaskarray(grid.values).any()


@pytest.mark.parametrize(
    "fields", [{"objects": "residual"}, {"preview": False}, {"method": "resample", "split": "all"}]
)
def test_where_no_estimate_is_fair_the_map_has_none(llama: Tiny, fields: dict[str, str]) -> None:
    task = [llama.pair, mi.Pair(llama.pair.corrupt, llama.pair.clean, llama.pair.foil, llama.pair.answer)]
    grids = list(mi.locate.refine(llama.model, task, **fields))
    assert grids and all("estimate" not in grid.provenance for grid in grids)
    assert not grids[0].provenance["method"].startswith("gradient") and grids[-1].estimated is None


@pytest.mark.parametrize("objects", ["heads", "residual"])
def test_a_mean_over_some_of_the_pairs_is_an_estimate(llama: Tiny, objects: str) -> None:
    turned = mi.Pair(llama.pair.corrupt, llama.pair.clean, llama.pair.foil, llama.pair.answer)
    one = mi.locate.causal(llama.model, llama.pair, objects, progress=False)
    *under_way, whole = mi.locate.refine(llama.model, [llama.pair, turned], objects, preview=False)
    seen = 0
    for grid in under_way:
        some = np.zeros(grid.shape, bool) if grid.estimated is None else grid.estimated
        done = ~some & ~np.ma.getmaskarray(grid.values)
        np.testing.assert_allclose(grid.values[done], whole.values[done], atol=1e-6)
        np.testing.assert_allclose(grid.values[some], one.values[some], atol=1e-5)
        seen += some.sum()
    assert seen and whole.estimated is None
    *_, last = mi.locate.refine(llama.model, [llama.pair, turned], objects)
    np.testing.assert_allclose(last.values, whole.values, atol=1e-6)


def test_all_neurons_are_estimated_and_the_strongest_made_exact(llama: Tiny) -> None:
    *_, last = mi.locate.refine(llama.model, llama.pair, "neurons", top=5)
    guess = mi.locate.gradient(llama.model, llama.pair, "neurons", progress=False)
    sites = [site for site, _ in guess.top(5)]
    exact = mi.locate.causal(llama.model, llama.pair, "neurons", sites=sites, progress=False)
    done = ~last.estimated
    assert {last.site(index) for index in zip(*map(list, np.nonzero(done)), strict=True)} == set(sites)
    np.testing.assert_allclose(last.values[done], exact.values[done], atol=1e-5)
    np.testing.assert_allclose(last.values[~done], guess.values[~done], atol=1e-6)


def test_a_stop_keeps_the_estimate_and_what_is_exact(llama: Tiny) -> None:
    stop, grids = threading.Event(), []
    for grid in mi.locate.refine(llama.model, [llama.pair] * 3, stop=stop):
        grids.append(grid)
        stop.set()
    assert len(grids) == 1 and grids[0].estimated.all()
    mi.run(llama.model, tiny.CLEAN)


def test_the_view_draws_estimates_as_estimates(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from mi_widgets.workbench import instrument

    drawn = []
    monkeypatch.setattr(instrument, "_PAUSE", 0.0)
    show = instrument.Instrument._show
    monkeypatch.setattr(instrument.Instrument, "_show", lambda *args: (show(*args), drawn.append(args[0].panels)))
    view = mi.AttributionView(llama.model, llama.pair, directions={})
    view.wait()
    assert drawn[0][0].estimated.all() and view.panels[0].estimated is None
    assert view.panels[1].estimated is None


def test_neurons_without_an_estimate_are_made_exact_and_none_is_refused(llama: Tiny) -> None:
    sites = [mi.Site("neuron", 0, 3), mi.Site("neuron", 1, 0)]
    task = [llama.pair, mi.Pair(llama.pair.corrupt, llama.pair.clean, llama.pair.foil, llama.pair.answer)]
    *_, last = mi.locate.refine(llama.model, task, "neurons", "resample", sites=sites)
    assert last.values.count() == 2 and last.estimated is None
    with pytest.raises(ValueError, match="top must be at least one"):
        next(mi.locate.refine(llama.model, llama.pair, "neurons", top=0))
