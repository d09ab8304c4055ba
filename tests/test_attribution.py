"""The attribution view: every kind of map, pairs, direct parts, colours, and what picked cells do together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.improve.controls import controls
from mi_widgets.view import Panel
from mi_widgets.workbench import instrument
from mi_widgets.workbench.attribution import OBJECTS, Attribution, name_of
from mi_widgets.workbench.ends import Ends
from mi_widgets.workbench.live import Live

from . import tiny
from .conftest import Tiny
from .test_direct import final, head_writes
from .test_joint import METHODS as RUNS
from .test_joint import by_hand, pair_like
from .tiny import CLEAN, CORRUPT, HEADS, LAYERS

ZERO = {"verb": "switch_off", "kind": "zero"}


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mi_widgets.workbench.live._NEW_TOKENS", 2)


def turned(small: Tiny) -> mi.Pair:
    """The pair the other way round, which the model solves as well."""
    pair = small.pair
    return mi.Pair(pair.corrupt, pair.clean, pair.foil, pair.answer)


def view_of(small: Tiny, task: Any = None, **more: Any) -> mi.AttributionView:
    shown = mi.AttributionView(small.model, small.pair if task is None else task, directions={}, **more)
    shown.wait()
    return shown


def choose(view: Live, **answers: str) -> None:
    for name, value in answers.items():
        view.choose(name, value)
    view.wait()


def drawn(view: Live) -> dict[str, mi.Grid]:
    return {panel.name: grid for panel, grid in zip(view.panels, view.grids, strict=True)}


def panel(view: Live, name: str) -> Panel:
    return next(panel for panel in view.panels if panel.name == name)


def offered(view: Live) -> dict[str, list[str]]:
    return {choice["name"]: [option["value"] for option in choice["options"]] for choice in view.choices}


def chosen(view: Live, name: str) -> str:
    return next(choice["value"] for choice in view.choices if choice["name"] == name)


# -- objects and methods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["denoise", "noise", "zero", "mean"])
def test_every_kind_of_map_is_that_of_locate(llama: Tiny, method: str) -> None:
    view = view_of(llama, method=method, objects="heads")
    for objects, (_, names) in OBJECTS.items():
        if objects == "neurons":
            continue
        choose(view, objects=objects)
        assert [grid.provenance["method"] for grid in view.grids] == [f"causal/{method}"] * len(names)
        for name, grid in drawn(view).items():
            located = "embedding" if name == "tokens" else name
            exact = mi.locate.causal(llama.model, llama.pair, located, method, progress=False)
            np.testing.assert_allclose(grid.values, exact.values, atol=1e-5)
        assert [panel.name for panel in view.panels] == list(names)


def test_the_maps_are_chosen_on_the_page_as_well(llama: Tiny) -> None:
    view = view_of(llama)
    assert offered(view)["objects"] == list(OBJECTS) and chosen(view, "objects") == "overview"
    assert "pair" not in offered(view) and "page" not in offered(view)
    view.receive({"type": "choose", "name": "objects", "value": "ffn"})
    view.receive({"type": "choose", "name": "method", "value": "zero"})
    view.wait()
    assert [panel.name for panel in view.panels] == ["ffn"] and chosen(view, "method") == "zero"
    assert view.panels[0].toward == -1 and view.error == {}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"objects": "nerves"}, "objects is one of overview, heads"),
        ({"method": "magic"}, "method is one of denoise, noise, zero, mean"),
        ({"effect": "indirect"}, "effect is one of total, direct, both"),
        ({"pair": 3}, "pair is one of mean, 1, not '3'"),
        ({"pair": "first"}, "pair is one of mean, 1, not 'first'"),
        ({"range": "wide"}, "range is one of auto, fixed"),
        ({"page": 0}, "page is one of 1, 2"),
    ],
)
def test_what_cannot_be_chosen_is_refused(llama: Tiny, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.AttributionView(llama.model, llama.pair, directions={}, **fields)


def test_tokens_are_one_row_with_bos_outside_the_colours(llama: Tiny) -> None:
    view = view_of(llama, objects="tokens", method="zero")
    shown = panel(view, "tokens")
    assert shown.shape == (1, len(view.tokens)) and list(shown.excluded) == [0]
    assert list(shown.cols.labels) == [token["text"] for token in view.tokens]
    view.picks = [(0, 0, 3)]
    assert view.selection.sites == (mi.Site("embedding", position=3),)
    assert not any("both prompts share" in note for note in shown.notes)
    choose(view, method="denoise")
    assert any("both prompts share" in note for note in panel(view, "tokens").notes)
    (changed,) = np.flatnonzero(drawn(view)["tokens"].values)
    assert view.tokens[changed]["text"] == "·John"


# -- neurons ----------------------------------------------------------------------------------------------------------


def test_neurons_are_listed_by_rank_and_made_exact_page_by_page(llama: Tiny) -> None:
    view = view_of(llama, objects="neurons")
    guess = mi.locate.gradient(llama.model, llama.pair, "neurons", progress=False)
    ranked = [site for site, _ in guess.top(LAYERS * tiny.D_MLP)]
    assert offered(view)["page"] == ["1", "2", "3", "4", "5"]  # 84 neurons
    for page, sites in (("1", ranked[:20]), ("5", ranked[80:])):
        choose(view, page=page)
        grid = view.grids[0]
        exact = mi.locate.causal(llama.model, llama.pair, "neurons", sites=sites, progress=False)
        assert list(panel(view, "neurons").rows.labels) == [str(site) for site in sites]
        assert grid.axes[1].labels == ("estimate", "exact") and grid.estimated is None
        np.testing.assert_allclose(grid.values[:, 0], [guess.value(site) for site in sites], atol=1e-6)
        np.testing.assert_allclose(grid.values[:, 1], [exact.value(site) for site in sites], atol=1e-5)
        view.picks = [(0, 0, 0), (0, len(sites) - 1, 1)]
        assert view.selection.sites == (sites[0], sites[-1])
        assert f"Exact: {len(sites)} of the {len(sites)} neurons" in " ".join(panel(view, "neurons").notes)
    assert "Ranks 81–84 of 84" in panel(view, "neurons").title
    view.act = ZERO
    assert view.run()["hooks"][0].endswith("mlp.hook_post") and view.result["joint"]["effect"] != 0


def test_neurons_may_be_ranked_by_their_direct_part(llama: Tiny) -> None:
    view = view_of(llama, objects="neurons", effect="direct")
    parts = [mi.locate.direct(llama.model, llama.pair, "neurons", run, progress=False) for run in ("clean", "corrupt")]
    change = parts[0].values - parts[1].values
    grid = view.grids[0]
    assert grid.axes[1].labels == ("direct",) and grid.axes[1].is_place is False
    best = np.sort(np.abs(change).ravel())[::-1][:20]
    np.testing.assert_allclose(np.abs(grid.values[:, 0]), best, atol=1e-5)
    choose(view, effect="both")
    assert view.grids[0].axes[1].labels == ("estimate", "exact", "direct")
    for row, (layer, index) in enumerate(view.grids[0].axes[0].coordinates):
        assert view.grids[0].values[row, 2] == pytest.approx(change[layer, index], abs=1e-5)


def test_a_mixture_of_experts_has_no_neurons_to_choose() -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = AutoConfig.for_model("mixtral", vocab_size=440, intermediate_size=12, num_local_experts=3, **sizes)
    hf = AutoModelForCausalLM.from_config(config).eval()
    hf.config.architectures = [type(hf).__name__]
    model = mi.Model(hf, tiny.tokenizer(), "tiny mixtral")
    task = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="logprob")
    view = mi.AttributionView(model, task, directions={}, objects="ffn")
    view.wait()
    assert "neurons" not in offered(view)["objects"] and list(drawn(view)) == ["ffn"]
    model.close()


def test_going_back_to_a_page_computes_nothing(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(llama, objects="neurons")
    choose(view, page="2")
    first = view.grids[0].values.copy()
    choose(view, page="1")
    monkeypatch.setattr(mi.Model, "sweep", lambda *_, **__: 1 / 0)
    choose(view, page="2")
    np.testing.assert_array_equal(view.grids[0].values, first)


# -- direct beside total ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["denoise", "noise", "zero"])
def test_the_direct_part_of_a_heads_effect_as_by_hand(small: Tiny, method: str) -> None:
    view = view_of(small, objects="heads", effect="both", method=method)
    with torch.no_grad():
        runs = [
            torch.stack([final(small, head_writes(small, layer, text), text) for layer in range(LAYERS)])
            for text in (CLEAN, CORRUPT)
        ]
    clean, corrupt = runs
    expected = {"denoise": clean - corrupt, "noise": corrupt - clean, "zero": -clean}[method]
    grids = drawn(view)
    assert list(grids) == ["heads", "heads-direct"]
    np.testing.assert_allclose(grids["heads-direct"].values, expected, atol=1e-4)
    assert grids["heads-direct"].toward == grids["heads"].toward == (1 if method == "denoise" else -1)
    assert grids["heads-direct"].axes == grids["heads"].axes and grids["heads-direct"].unit == grids["heads"].unit
    ends = max(np.abs(grid.values).max() for grid in grids.values())
    assert panel(view, "heads").range == panel(view, "heads-direct").range == (-ends, ends)
    assert any("Total effect" in note for note in panel(view, "heads").notes)
    assert any("Direct part" in note for note in panel(view, "heads-direct").notes)


def test_the_parts_of_both_runs_sum_to_the_difference_of_the_metric(llama: Tiny) -> None:
    grid = drawn(view_of(llama, objects="heads", effect="direct"))["heads-direct"]
    gap = llama.unedited(CLEAN) - llama.unedited(CORRUPT)
    parts = grid.provenance["parts"]
    assert parts["metric"] == pytest.approx(gap, abs=1e-4) and parts["sum"] == pytest.approx(gap, abs=1e-4)
    assert parts["heads"] == pytest.approx(float(grid.values.sum()), abs=1e-4)


def test_the_direct_overview_is_heads_and_ffns_in_a_column(llama: Tiny) -> None:
    view = view_of(llama, effect="direct")
    assert [panel.name for panel in view.panels] == ["heads-direct", "ffn-direct"]
    assert [panel.shape for panel in view.panels] == [(LAYERS, HEADS), (LAYERS, 1)]
    view.picks = [(1, 2, 0)]
    assert view.selection.sites == (mi.Site("ffn", 2),)
    view.act = ZERO
    view.run()
    assert view.result["joint"]["effect"] == pytest.approx(
        by_hand(llama, [mi.Site("ffn", 2)], *RUNS["denoise"]), abs=1e-4
    )


def test_where_there_is_no_direct_part_there_is_no_choice_of_it(llama: Tiny) -> None:
    view = view_of(llama, effect="both", objects="residual")
    assert "effect" not in offered(view) and list(drawn(view)) == ["residual"]
    choose(view, objects="heads")
    assert chosen(view, "effect") == "both" and len(view.panels) == 2
    choose(view, method="mean")
    assert "effect" not in offered(view) and list(drawn(view)) == ["heads"]
    with pytest.raises(ValueError, match="no choice 'effect' here"):
        view.choose("effect", "direct")
    logprob = view_of(llama, mi.Task((llama.pair,), metric="logprob"), effect="direct")
    assert "effect" not in offered(logprob) and list(drawn(logprob)) == ["heads", "residual"]


# -- pairs ------------------------------------------------------------------------------------------------------------


def test_a_pair_is_another_question_with_its_own_tokens(llama: Tiny) -> None:
    other = turned(llama)
    view = view_of(llama, [llama.pair, other])
    assert offered(view)["pair"] == ["mean", "1", "2"]
    mean = drawn(view)["heads"].values.copy()
    view.selection = mi.Site("head", 2, 1)
    choose(view, pair="2")
    assert view.prompt == other.clean and view.read == (other.answer, other.foil) and view.error == {}
    assert list(panel(view, "residual").cols.labels) == [token["text"] for token in view.tokens]
    assert view.selection.sites == (mi.Site("head", 2, 1),)
    alone = mi.locate.causal(llama.model, other, "heads", progress=False)
    np.testing.assert_allclose(drawn(view)["heads"].values, alone.values, atol=1e-5)
    view.act = ZERO
    clean = llama.plain.logits(llama.ids(other.clean))[-1]
    answer, foil = (llama.model.single(str(word)) for word in view.read)
    assert view.run()["before"]["metric"] == pytest.approx(float(clean[answer] - clean[foil]), abs=1e-4)
    choose(view, pair="mean")
    assert view.prompt == llama.pair.clean and view.result == {}
    np.testing.assert_allclose(drawn(view)["heads"].values, mean, atol=1e-6)


def test_what_is_known_of_a_pair_is_not_computed_again(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(llama, [llama.pair, turned(llama)], effect="both")
    choose(view, pair="2")
    shown = {name: grid.values.copy() for name, grid in drawn(view).items()}
    choose(view, pair="mean")
    for name in ("sweep", "record_all"):
        monkeypatch.setattr(mi.Model, name, lambda *_, **__: 1 / 0)
    choose(view, pair="2")
    for name, grid in drawn(view).items():
        np.testing.assert_array_equal(grid.values, shown[name])


def test_maps_of_other_weights_are_not_kept(fresh: mi.Model) -> None:
    small = Tiny("llama")
    small.__dict__["model"] = fresh
    view = view_of(small, [small.pair, turned(small)], objects="heads")
    before = view.grids[0].values.copy()
    choose(view, pair="2")
    for parameter in fresh._source.parameters():
        parameter.data.mul_(1.05)
    choose(view, pair="mean")
    exact = mi.locate.causal(fresh, [small.pair, turned(small)], progress=False)
    np.testing.assert_allclose(view.grids[0].values, exact.values, atol=1e-5)
    assert np.abs(view.grids[0].values - before).max() > 1e-3


def test_pairs_are_named_by_their_answers_and_by_what_differs(llama: Tiny) -> None:
    two = mi.Pair("The capital of France is", "The capital of Old Italy is", [" Paris", " Lyon"], " Rome")
    long = mi.Pair("x " + "very " * 9 + "good", "x bad", " one", " two")
    assert name_of(two) == "Paris, … / Rome (France → Old Italy)"
    assert name_of(long) == "one / two (very very very very ver… → bad)"
    view = view_of(llama, [llama.pair, turned(llama)], objects="heads")
    labels = [option["label"] for option in next(c for c in view.choices if c["name"] == "pair")["options"]]
    answer, foil = (str(word).strip() for word in (llama.pair.answer, llama.pair.foil))
    assert labels == [
        "mean of 2 pairs",
        f"1: {answer} / {foil} (John → Mary)",
        f"2: {foil} / {answer} (Mary → John)",
    ]


def test_the_mean_shows_the_first_pair_that_counts(llama: Tiny) -> None:
    pair = llama.pair
    unsolved = mi.Pair(pair.clean, pair.corrupt, pair.foil, pair.answer)
    view = view_of(llama, [unsolved, turned(llama)])
    assert view.prompt == turned(llama).clean == drawn(view)["heads"].provenance["prompt"]
    assert drawn(view)["heads"].provenance["pairs not solved"] == 1
    view.choose("pair", "1")
    with pytest.raises(ValueError, match="solves none of the 1 pairs"):
        view.wait()
    assert "solves none" in view.error["why"] and view.panels == [] and view.prompt == unsolved.clean
    choose(view, pair="2")
    assert view.error == {} and len(view.panels) == 2


def test_a_pair_whose_question_cannot_be_asked_is_not_chosen(llama: Tiny) -> None:
    clean = "When Anna and Peter sat in the old garden, Peter gave a"
    unspaced = mi.Pair(clean, clean.replace(", Peter", ", Anna"), "a", " John")
    view = view_of(llama, mi.Task((llama.pair, unspaced), metric="logprob"), objects="heads", method="zero")
    view.choose("pair", "2")
    with pytest.raises(ValueError, match="use ' a'"):
        view.wait()
    view.model.do(lambda: None)
    assert chosen(view, "pair") == "mean" and view.prompt == CLEAN and "use ' a'" in view.error["why"]
    assert isinstance(view.instruments[0], Attribution) and view.instruments[0].asked == llama.pair


def test_a_view_may_begin_with_a_pair_and_its_journal_says_so(llama: Tiny) -> None:
    other = turned(llama)
    view = view_of(llama, [llama.pair, other], pair=2, objects="heads", range="fixed")
    assert view.prompt == other.clean and chosen(view, "pair") == "2"
    assert "objects='heads', pair='2', range='fixed', directions=directions)" in view.session.code()
    choose(view, pair="1")
    assert "view.choose('pair', '1')" in view.session.code()


def test_a_workbench_turns_all_of_its_maps_to_a_pair(llama: Tiny) -> None:
    other = turned(llama)
    bench = mi.Workbench(llama.model, [llama.pair, other], directions={})
    bench.wait()
    choose(bench, pair="2")
    assert bench.question == {
        "prompt": other.clean,
        "corrupt": other.corrupt,
        "answer": other.answer,
        "foil": other.foil,
    }
    tokens = [token["text"] for token in bench.tokens]
    assert list(panel(bench, "lens-lens").cols.labels) == tokens == list(bench.pattern.cols.labels)
    again = mi.LensView(llama.model, other.clean, directions={})
    again.wait()
    np.testing.assert_allclose(drawn(bench)["lens-lens"].values, again.grids[0].values, atol=1e-5)


# -- positions --------------------------------------------------------------------------------------------------------


def roles(small: Tiny) -> mi.Task:
    """Two pairs of two lengths whose first role is their very first word."""
    pairs = tuple(pair_like(small, "the store", new, "When", "gave") for new in ("the store", "the old garden"))
    return mi.Task(pairs, metric="logprob")


def test_a_role_in_the_first_column_is_not_bos(llama: Tiny) -> None:
    view = view_of(llama, roles(llama), objects="residual")
    shown = panel(view, "residual")
    assert list(shown.cols.labels) == ["When", "first difference", "gave", "last"] and shown.excluded == []
    choose(view, pair="1")
    assert list(panel(view, "residual").excluded) == [0] and panel(view, "residual").shape[1] == len(view.tokens)


def unaligned(small: Tiny) -> mi.Task:
    pair = small.pair
    longer = mi.Pair(f"{pair.clean} the old", f"{pair.corrupt} the old", "a", " John")
    return mi.Task((mi.Pair(pair.clean, pair.corrupt, "a", " John"), longer), metric="accuracy")


def test_a_map_that_cannot_be_is_a_card_with_a_way_out(llama: Tiny) -> None:
    view = view_of(llama, unaligned(llama))
    assert any("No map over positions" in note for note in panel(view, "heads").notes)
    view.choose("objects", "residual")
    with pytest.raises(ValueError, match="first differing tokens equally far"):
        view.wait()
    assert view.error["what"] == "These pairs have no positions in common" and "Choose one pair" in view.error["fix"]
    choose(view, pair="1")
    assert view.error == {} and list(drawn(view)) == ["residual"]


# -- colours and streaming --------------------------------------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[Panel]]]:
    """Everything that was on screen, step by step."""
    seen: list[list[Panel]] = []
    monkeypatch.setattr(instrument, "_PAUSE", 0.0)
    show = instrument.Instrument._show
    monkeypatch.setattr(instrument.Instrument, "_show", lambda *args: (show(*args), seen.append(args[0].panels)))
    yield seen


@pytest.mark.parametrize("objects", ["heads", "residual"])
def test_the_colours_only_grow_while_a_map_fills_and_are_its_own_in_the_end(
    llama: Tiny, steps: list[list[Panel]], objects: str
) -> None:
    view = view_of(llama, [llama.pair, turned(llama)], objects=objects)
    ends = [shown[0].range[1] for shown in steps]
    assert len(ends) > 2 and ends[:-1] == sorted(ends[:-1])
    assert all(-low == high for low, high in (shown[0].range for shown in steps))
    kept = np.delete(view.grids[0].values.filled(np.nan), list(view.panels[0].excluded), axis=1)
    assert ends[-1] == pytest.approx(np.abs(kept).max())


def test_the_legend_counts_what_is_exact(llama: Tiny, steps: list[list[Panel]]) -> None:
    view_of(llama, [llama.pair, turned(llama)], objects="heads")
    size = LAYERS * HEADS
    for (shown,) in steps:
        estimated = 0 if shown.estimated is None else int(shown.estimated.sum())
        assert shown.notes[0].startswith(f"Exact: {size - estimated} of {size}")
        assert ("estimated" in shown.notes[0]) == (estimated > 0)
    assert "12 estimated" in steps[0][0].notes[0] and steps[-1][0].notes[0] == f"Exact: {size} of {size}."


def test_fixed_colours_stay_for_the_next_pair_and_method(llama: Tiny) -> None:
    view = view_of(llama, [llama.pair, turned(llama)], objects="heads")
    first = panel(view, "heads").range
    assert any("largest number of this map" in note for note in panel(view, "heads").notes)
    view.choose("range", "fixed")
    for answers in ({"pair": "2"}, {"method": "zero"}, {"objects": "residual"}, {"objects": "heads"}):
        choose(view, **answers)
        if "heads" in drawn(view):
            shown = panel(view, "heads")
            beyond = int((np.abs(shown.values) > first[1]).sum())
            said = next(note for note in shown.notes if "fixed" in note)
            assert shown.range == first and (f"{beyond} number" in said) == (beyond > 0)
        else:
            own = np.abs(np.delete(panel(view, "residual").values, 0, axis=1)).max()
            assert panel(view, "residual").range[1] == pytest.approx(own)
    view.choose("range", "auto")
    assert panel(view, "heads").range[1] == pytest.approx(np.abs(view.grids[0].values).max())


def test_a_view_that_begins_with_fixed_colours_keeps_those_of_its_first_whole_maps(llama: Tiny) -> None:
    view = view_of(llama, [llama.pair, turned(llama)], objects="heads", range="fixed")
    first = panel(view, "heads").range
    assert first[1] == pytest.approx(np.abs(view.grids[0].values).max())
    choose(view, method="zero")
    assert panel(view, "heads").range == first


def test_colours_that_are_fixed_while_a_map_fills_wait_until_it_is_whole() -> None:
    ends = Ends()
    assert [ends.of("heads", most, False, False) for most in (1.0, 3.0, 2.0)] == [1.0, 3.0, 3.0]
    ends.fix()
    assert ends.of("heads", 4.0, False, True) == 4.0
    assert ends.of("heads", 2.5, True, True) == 2.5
    ends.begin()
    assert [ends.of(kind, 9.0, False, True) for kind in ("heads", "residual")] == [2.5, 9.0]
    ends.free()
    assert ends.of("heads", 9.0, True, False) == 9.0


# -- the picked cells together ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["denoise", "noise", "zero", "mean"])
def test_picked_cells_are_changed_together_as_by_hand(llama: Tiny, method: str) -> None:
    view = view_of(llama, objects="heads", method=method)
    cells = [mi.Site("head", 0, 0), mi.Site("head", 1, 3), mi.Site("head", 2, 3)]
    view.selection, view.act = cells, {"verb": "scale", "factor": 0.5}
    told = view.run()["joint"]
    assert told["effect"] == pytest.approx(by_hand(llama, cells, *RUNS[method]), abs=1e-4)
    assert told["sum"] == pytest.approx(sum(view.grids[0].value(cell) for cell in cells), abs=1e-4)
    assert abs(told["sum"] - told["effect"]) > 1e-3
    assert told["unit"] == "logits" and told["toward"] == view.grids[0].toward
    sets = [rival.sites for rival in controls(llama.model, view.selection.switch_off("zero"), 20)]
    expected = [by_hand(llama, own, *RUNS[method]) for own in sets]
    assert told["control"]["values"] == pytest.approx(expected, abs=1e-4) and len(expected) == 20
    assert told["control"]["beats"] == sum(abs(told["effect"]) > abs(value) for value in expected)
    assert "3 other heads of the same layers" in told["control"]["label"]


def test_one_cell_has_no_sum_and_its_number_in_the_map(llama: Tiny) -> None:
    view = view_of(llama, objects="heads")
    view.selection, view.act = mi.Site("head", 0, 0), ZERO
    told = view.run()["joint"]
    assert told["sum"] is None and told["effect"] == pytest.approx(view.grids[0].value(mi.Site("head", 0, 0)), abs=1e-5)
    assert told["label"] == "L0H0 put back from the clean run"


def test_picked_positions_are_compared_where_a_patch_can_do_something(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    real = mi.locate.joint
    monkeypatch.setattr(
        "mi_widgets.workbench.together.joint", lambda *args, **more: (asked.append(args[2]), real(*args, **more))[1]
    )
    view = view_of(llama, objects="residual")
    cells = [mi.Site("residual", 1, position=10), mi.Site("residual", 2, position=14)]
    view.selection, view.act = cells, ZERO
    told = view.run()["joint"]
    assert told["effect"] == pytest.approx(by_hand(llama, cells, *RUNS["denoise"]), abs=1e-4)
    together, _, _, *rivals = asked[0]
    assert together == cells and rivals
    first = next(i for i, (a, b) in enumerate(zip(llama.ids()[0], llama.ids(CORRUPT)[0], strict=True)) if a != b)
    assert {site.position for own in rivals for site in own} <= set(range(first, 15))
    choose(view, method="zero")
    view.run()
    assert min(site.position for own in asked[1][3:] for site in own) < first


def test_of_roles_each_pairs_own_positions_count(llama: Tiny) -> None:
    view = view_of(llama, roles(llama), objects="residual")
    grid = view.grids[0]
    cells = [grid.site((1, 1)), grid.site((2, 3))]
    view.selection, view.act = cells, ZERO
    told = view.run()["joint"]
    assert told["label"].endswith("; mean of 2 pairs")
    assert told["sum"] == pytest.approx(sum(grid.value(cell) for cell in cells), abs=1e-4)


def test_a_pair_of_its_own_is_measured_alone(llama: Tiny) -> None:
    view = view_of(llama, [llama.pair, turned(llama)], objects="heads", pair=1)
    cells = [mi.Site("head", 0, 0), mi.Site("head", 2, 3)]
    view.selection, view.act = cells, ZERO
    told = view.run()["joint"]
    assert told["effect"] == pytest.approx(by_hand(llama, cells, *RUNS["denoise"]), abs=1e-4)
    assert "mean of" not in told["label"]


def test_an_edit_that_is_none_of_cells_has_nothing_to_tell_of_them(llama: Tiny) -> None:
    up = mi.Direction(np.linspace(-1, 2, llama.model.d_model), 1, norm=3.0, natural=0.5)
    view = mi.AttributionView(llama.model, llama.pair, directions={"up": up}, objects="heads")
    view.wait()
    view.act = {"verb": "add", "direction": "up", "strength": 0.3}
    assert view.run()["joint"] is None


def test_why_cells_cannot_be_measured_together_is_said(llama: Tiny) -> None:
    view = view_of(llama, unaligned(llama), objects="residual", pair=1)
    view.selection, view.act = mi.Site("residual", 1, position=10), ZERO
    view.keep()
    choose(view, pair="mean", objects="heads")
    view.selection = mi.Site("head", 0, 0)
    assert "first differing tokens equally far" in view.run()["joint"]["why"]


def test_other_views_have_nothing_to_tell_of_a_map(llama: Tiny) -> None:
    view = mi.AttentionView(llama.model, CLEAN, directions={})
    view.picks, view.act = [(0, 0, 0)], ZERO
    assert view.run()["joint"] is None
