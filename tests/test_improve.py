"""Evidence: controls that are fair, intervals that are known, cards that add up."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.delta import Delta
from mi_widgets.improve import compare_training
from mi_widgets.improve.controls import controls, describe
from mi_widgets.improve.evaluate import bootstrap
from mi_widgets.intervention import Intervention, Recipe
from mi_widgets.steer import neutral

from . import tiny
from .conftest import Tiny
from .test_oracle import direction
from .tiny import CLEAN, OTHERS

LENGTH = 15


def off(*sites: mi.Site) -> Recipe:
    return Recipe(tuple(Intervention("zero", site) for site in sites))


def head(layer: int, index: int, position: int | None = None) -> mi.Site:
    return mi.Site("head", layer, index, position=position)


# -- controls ---------------------------------------------------------------------------------------------------------

PICKED = {
    "a head": off(head(1, 2)),
    "two heads of a layer": off(head(0, 0), head(0, 3)),
    "heads of two layers": off(head(0, 0), head(2, 3)),
    "a head at a position": off(head(1, 2, 4)),
    "a place in the residual": off(mi.Site("residual", 1, position=5)),
    "places from the end": off(mi.Site("residual", 1, position=-1), mi.Site("residual", 1, position=-2)),
    "the same place twice": off(head(1, 2)) + off(head(1, 2)).at(0.5),
    "a head everywhere and at a position": off(head(1, 2), head(1, 2, 4)),
    "an ffn output": off(mi.Site("ffn", 0)),
}


def absolute(site: mi.Site) -> tuple[Any, ...]:
    position = None if site.position is None else site.position % LENGTH
    return site.kind, site.layer, site.index, site.part, position


@pytest.mark.parametrize("picked", PICKED)
def test_controls_are_distinct_and_never_what_was_picked(llama: Tiny, picked: str) -> None:
    recipe = PICKED[picked]
    drawn = controls(llama.model, recipe, 20, seed=3, length=LENGTH)
    chosen = {absolute(site) for site in recipe.sites}
    places = [frozenset(absolute(site) for site in rival.sites) for rival in drawn]
    assert drawn and len(set(places)) == len(places)
    assert all(not place & chosen for place in places)
    for rival in drawn:
        assert [step.op for step in rival.interventions] == [step.op for step in recipe.interventions]
        assert [step.strength for step in rival.interventions] == [step.strength for step in recipe.interventions]
        assert len(rival.sites) == len(recipe.sites)


def test_a_cut_is_moved_to_where_the_query_still_sees_the_key(llama: Tiny) -> None:
    cut = mi.Selection((head(1, 1),)).knock_out([(-1, 10)])
    drawn = controls(llama.model, cut, 20, length=LENGTH)
    sites = [site for rival in drawn for site in rival.sites]
    assert drawn and all(site.position % LENGTH >= site.key == 10 for site in sites)
    for rival in drawn:
        mi.run(llama.model, CLEAN, rival)


def test_controls_of_places_from_the_end_are_none_of_them_in_longer_prompts(llama: Tiny) -> None:
    drawn = controls(llama.model, off(head(1, 1, -2)), 60, length=LENGTH)
    places = {site.position for rival in drawn for site in rival.sites}
    assert places and all(-LENGTH < place < 0 and place != -2 for place in places)


def test_controls_come_from_the_same_layers_first(llama: Tiny) -> None:
    recipe = PICKED["heads of two layers"]
    drawn = controls(llama.model, recipe, 20, length=LENGTH)
    same = [rival for rival in drawn if [site.layer for site in rival.sites] == [0, 2]]
    assert same == drawn[: len(same)] and 5 <= len(same) <= (tiny.HEADS - 1) ** 2 < len(drawn) == 20


def test_where_few_controls_exist_there_are_few(llama: Tiny) -> None:
    assert len(controls(llama.model, PICKED["an ffn output"], 20)) == tiny.LAYERS - 1
    assert controls(llama.model, off(*(mi.Site("ffn", layer) for layer in range(tiny.LAYERS))), 20) == []


def test_controls_of_places_are_other_places_but_never_the_first(llama: Tiny) -> None:
    drawn = controls(llama.model, PICKED["a place in the residual"], 40, length=LENGTH)
    assert {rival.sites[0].position for rival in drawn} == set(range(1, LENGTH)) - {5}


def test_equal_seeds_draw_equal_controls(llama: Tiny) -> None:
    draws = [controls(llama.model, PICKED["heads of two layers"], 6, seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_controls_of_a_direction_are_random_ones_of_its_length(llama: Tiny) -> None:
    d = direction(llama.model.d_model)
    drawn = controls(llama.model, d.add(0.3, [2]) + d.add(0.1), 20)
    assert len(drawn) == 20
    for rival in drawn:
        first, second = rival.interventions
        assert first.direction is second.direction and abs(float(first.direction.vector @ d.vector)) < 0.95
        assert (first.amount, first.site) == (0.3, mi.Site("residual", 1, part="post", position=2))
        assert first.direction.norm == d.norm and np.linalg.norm(first.direction.vector) == pytest.approx(1)
    assert len({rival.interventions[0].direction.hash for rival in drawn}) == 20


UP, DOWN = ("a happy day", "Paris and Rome and Berlin", OTHERS[0]), ("a sad day", OTHERS[1], "Anna and Peter")


def test_half_of_a_contrasts_controls_are_its_texts_with_shuffled_labels(llama: Tiny) -> None:
    made = mi.steer.contrast(llama.model, UP, DOWN, 1)
    drawn = [rival.interventions[0] for rival in controls(llama.model, made.add(0.3), 20)]
    shuffled = [step.direction for step in drawn if step.direction.kind == "shuffled labels"]
    isotropic = [step.direction for step in drawn if step.direction.kind == "random"]
    assert len(drawn) == 20 and 8 <= len(shuffled) <= 10 and len(isotropic) == 20 - len(shuffled)
    assert {(step.amount, step.direction.norm, step.site) for step in drawn} == {(0.3, made.norm, made.site)}
    points = torch.stack([llama.plain.see(llama.ids(t), llama.plain.post(1))[0, 1:].mean(0) for t in (*UP, *DOWN)])
    others = []
    for chosen in itertools.combinations(range(6), 3):
        rest = [n for n in range(6) if n not in chosen]
        difference = (points[list(chosen)].mean(0) - points[rest].mean(0)).numpy()
        others.append(difference / np.linalg.norm(difference))
    for rival in shuffled:
        assert max(float(rival.vector @ other) for other in others) > 0.9999
        assert abs(float(rival.vector @ made.vector)) < 0.9999  # neither the labels themselves, nor turned around
    assert max(float(rival.vector @ other) for rival in isotropic for other in others) < 0.99


def test_shuffled_labels_are_the_same_for_all_directions_of_a_recipe(llama: Tiny) -> None:
    heads = [mi.Site("head", 0, 1), mi.Site("head", 2, 3)]
    made = mi.steer.head_contrast(llama.model, UP, DOWN, heads)
    labelled = []
    for chosen in itertools.combinations((*UP, *DOWN), 3):
        rest = [text for text in (*UP, *DOWN) if text not in chosen]
        labelled.append(mi.steer.head_contrast(llama.model, chosen, rest, heads))
    drawn = controls(llama.model, mi.steer.add(made, 2.0), 6)
    shuffled = [rival for rival in drawn if rival.interventions[0].direction.kind == "shuffled labels"]
    assert len(shuffled) == 3
    for rival in shuffled:
        vectors = [step.direction.vector for step in rival.interventions]
        close = [[float(a @ b.vector) > 0.999 for a, b in zip(vectors, two, strict=True)] for two in labelled]
        assert [True, True] in close


def test_two_texts_can_be_labelled_in_one_way_only(llama: Tiny) -> None:
    made = mi.steer.contrast(llama.model, UP[:1], DOWN[:1], 1)
    drawn = controls(llama.model, made.add(0.3), 6)
    assert [rival.interventions[0].direction.kind for rival in drawn] == ["random"] * 6


@pytest.mark.parametrize("site", [mi.Site("residual", 1, part="post"), mi.Site("head", 2, 3)], ids=str)
def test_a_projection_is_held_against_directions_that_take_out_as_much(small: Tiny, site: mi.Site) -> None:
    if site.kind == "head":
        made = mi.steer.head_contrast(small.model, UP, DOWN, [site])[0]
        runs = [tiny.one_head(small.plain.see(small.ids(t), small.plain.z(2)), 3)[0, 1:] for t in (*UP, *DOWN)]
    else:
        made = mi.steer.contrast(small.model, UP, DOWN, 1)
        runs = [small.plain.see(small.ids(t), small.plain.post(1))[0, 1:] for t in (*UP, *DOWN)]
    tokens = torch.cat(runs).numpy()
    recipe = made.project_out(everywhere=site.kind == "residual")
    drawn = controls(small.model, recipe, 8)
    assert len(drawn) == 8
    flat = tokens - np.outer(tokens @ made.vector, made.vector)
    largest = np.linalg.eigvalsh(flat.T @ flat / len(flat))[-1]  # at right angles to it
    reached = largest >= ((tokens @ made.vector) ** 2).mean()
    for rival in drawn:
        step = rival.interventions[0]
        removed = [float(((tokens @ one.vector) ** 2).mean()) for one in (made, step.direction)]
        assert removed[1] == pytest.approx(removed[0] if reached else largest, rel=1e-2)
        assert abs(float(step.direction.vector @ made.vector)) < 1e-3
        assert replace(step, direction=made) == recipe.interventions[0]
    much = "as much" if reached else "less"
    assert describe(recipe, drawn) == f"random directions of which there is {much} to take out"


def test_controls_say_how_many_directions_are_of_which_kind(llama: Tiny) -> None:
    recipe = mi.steer.contrast(llama.model, UP, DOWN, 1).add(0.3)
    assert describe(recipe, controls(llama.model, recipe, 10)) == (
        "directions of the same length (5 random, 5 from the same texts with shuffled labels)"
    )


@pytest.mark.parametrize("right", [None, np.linspace(-3, 1, 8).reshape(2, 4)], ids=["a block", "of rank two"])
def test_controls_of_a_delta_are_random_ones_of_its_shape_rank_and_norm(llama: Tiny, right: Any) -> None:
    left = np.random.default_rng(0).standard_normal((20, 2 if right is not None else 4)) * 7
    delta = Delta(left, right, None, (0, 5, 6, 9))
    recipe = Recipe((Intervention("delta", mi.Site("weight", 1, part="W_Q"), delta=delta, strength=0.5),))
    drawn = controls(llama.model, recipe, 6)
    assert len({rival.interventions[0].delta for rival in drawn}) == 6
    for rival in drawn:
        (step,) = rival.interventions
        assert step.site == recipe.sites[0] and step.strength == 0.5 and step.delta.columns == delta.columns
        assert step.delta.shape == delta.shape and np.abs(step.delta.matrix - delta.matrix).max() > 1
        assert np.linalg.matrix_rank(step.delta.matrix) == (4 if right is None else 2)
        assert np.linalg.norm(step.delta.matrix) == pytest.approx(np.linalg.norm(delta.matrix), rel=1e-4)
    assert describe(recipe, drawn) == "random deltas of the same shape, rank and norm"
    card = mi.evaluate(llama.model, task(llama), recipe, controls=3, progress=False)
    assert card.control == describe(recipe, drawn) and all(value != card.effect for value in card.controls)


def test_controls_of_a_swap_are_random_subspaces_of_its_dimension(llama: Tiny) -> None:
    recipe = mi.Subspace(np.eye(20)[:3], 1).swap(CLEAN, [2])
    drawn = controls(llama.model, recipe, 4)
    assert len({rival.interventions[0].subspace for rival in drawn}) == 4
    for rival in drawn:
        (step,) = rival.interventions
        assert (step.site, step.prompt, step.subspace.basis.shape) == (recipe.sites[0], CLEAN, (3, 20))
    assert describe(recipe, drawn) == "random subspaces of the same dimension"


def test_controls_say_what_they_are(llama: Tiny) -> None:
    d, pair = direction(20).add(0.1), PICKED["heads of two layers"]
    assert describe(d, controls(llama.model, d)) == "random directions of the same length"
    assert describe(pair, controls(llama.model, pair, 4)) == "random sets of 2 other heads of the same layers"
    assert "reaching into neighbouring" in describe(pair, controls(llama.model, pair, 20))


def test_controls_of_a_mixed_recipe_say_each_part(llama: Tiny) -> None:
    mixed = mi.steer.scale([mi.Site("head", 0, 1), mi.Site("ffn", 0), mi.Site("head", 0, 0)], 0) + direction(20).add(
        0.1
    )
    assert describe(mixed, []) == (
        "random sets of 2 other heads and 1 other ffn output of the same layer, "
        "with random directions of the same length"
    ).replace("ffn", "FFN")


@pytest.mark.parametrize("inside", [True, False], ids=["the whole head is picked", "one position of it is picked"])
def test_a_control_lies_in_no_picked_cell_and_holds_none(llama: Tiny, inside: bool) -> None:
    picked, place = (None, 5) if inside else (5, None)
    recipe = mi.steer.scale([mi.Site("head", 1, 0, position=picked), mi.Site("head", 1, 1, position=place)], 0)
    drawn = controls(llama.model, recipe, 60, length=llama.ids().shape[1])
    assert drawn
    for rival in drawn:
        for site in rival.sites:
            met = [s for s in recipe.sites if (s.layer, s.index) == (site.layer, site.index)]
            assert all(None not in (s.position, site.position) and s.position != site.position for s in met), str(rival)


def test_two_directions_of_one_vector_keep_their_layers_in_controls(llama: Tiny) -> None:
    recipe = direction(llama.model.d_model, 0).add(0.3) + direction(llama.model.d_model, 2).add(0.3)
    for rival in controls(llama.model, recipe, 3):
        assert [step.direction.layer for step in rival.interventions] == [0, 2]


def test_an_edit_of_nothing_is_not_evaluated(llama: Tiny) -> None:
    for recipe in (mi.steer.scale([mi.Site("head", 0, 0)], 1), direction(llama.model.d_model).add(0.0)):
        with pytest.raises(ValueError, match="changes nothing"):
            mi.evaluate(llama.model, mi.tasks.ioi(), recipe)


# -- intervals --------------------------------------------------------------------------------------------------------


def test_the_interval_of_equal_values_is_that_value() -> None:
    assert bootstrap(np.full(12, 0.7), [str(n % 4) for n in range(12)]) == pytest.approx((0.7, 0.7))


def test_the_interval_of_two_groups_is_known() -> None:
    """Two groups of equal size at 0 and 1: a mean of 0, ½ or 1 with chances ¼, ½, ¼."""
    assert bootstrap(np.array([0.0, 0, 1, 1]), list("aabb")) == (0.0, 1.0)


def test_the_interval_of_many_groups_is_the_normal_one() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    low, high = bootstrap(values, [str(n) for n in range(400)])
    half = 1.96 * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_groups_are_resampled_whole() -> None:
    values, groups = np.repeat([0.0, 1.0, 0.0, 1.0], 50), np.repeat(list("abcd"), 50).tolist()
    alone = bootstrap(values, [str(n) for n in range(200)])
    together = bootstrap(values, groups)
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


def test_an_interval_depends_on_its_seed_alone() -> None:
    values, groups = np.arange(30.0), [str(n // 3) for n in range(30)]
    assert bootstrap(values, groups, 1) == bootstrap(values, groups, 1) != bootstrap(values, groups, 2)


# -- evaluate ---------------------------------------------------------------------------------------------------------


def task(small: Tiny, metric: Any = "logit_diff") -> mi.Task:
    """Ten sentences of ten groups."""
    words = ("store", "garden", "capital", "city", "pot", "lid", "dog", "dog and the store", "day", "old garden")
    pair = small.pair
    items = [mi.Pair(CLEAN.replace("store", w), w, pair.answer, pair.foil, group=w) for w in words]
    return mi.Task(tuple(items), metric=metric, name="ten")


def test_a_card_is_the_mean_of_plain_runs(llama: Tiny) -> None:
    recipe, data = off(head(0, 0)), task(llama)
    card = mi.evaluate(llama.model, data, recipe, progress=False)

    def metric(pair: mi.Pair, edit: Recipe | None = None) -> float:
        return mi.run(llama.model, pair.clean, edit).metric(pair.answer, pair.foil)

    effects = [metric(pair, recipe) - metric(pair) for pair in data.report]
    rivals = controls(llama.model, recipe, 20, 0, min(llama.ids(pair.clean).shape[1] for pair in data.report))
    others = [np.mean([metric(pair, rival) - metric(pair) for pair in data.report]) for rival in rivals]
    assert card.effect == pytest.approx(np.mean(effects), abs=1e-4)
    assert card.base == pytest.approx(np.mean([metric(pair) for pair in data.report]), abs=1e-4)
    assert card.controls == pytest.approx(others, abs=1e-4)
    assert card.advantage == pytest.approx(card.effect - card.mean_control, abs=1e-5)
    assert card.ci[0] <= card.effect <= card.ci[1]
    assert card.advantage_ci[0] <= card.advantage <= card.advantage_ci[1]
    assert (card.n, card.groups) == (len(data.report), len(data.report))
    assert card.provenance["weights"] == llama.model.weights and card.provenance["recipe"] == recipe.hash
    assert json.loads(json.dumps(card.to_dict()))["n"] == card.n


def test_a_card_says_what_the_task_notes_of_its_items(llama: Tiny) -> None:
    noted = replace(task(llama), note="The two examples are shared.")
    card = mi.evaluate(llama.model, noted, off(head(0, 0)), progress=False)
    assert card.provenance["note"] == "The two examples are shared." and "The two examples are shared." in str(card)
    plain = mi.evaluate(llama.model, task(llama), off(head(0, 0)), progress=False)
    assert "note" not in plain.provenance and "note" not in str(plain)


def test_side_effects_are_those_of_the_neutral_texts(llama: Tiny) -> None:
    recipe = off(head(0, 0))
    divergences, losses = [], []
    for text in neutral():
        ids = llama.ids(text)
        before, after = (mi.run(llama.model, ids, edit).logits.log_softmax(-1) for edit in (None, recipe))
        divergences.append((before.exp() * (before - after)).sum(-1)[1:-1])
        losses.append(-before[1:-1].gather(-1, ids[0, 2:, None])[:, 0])
    found = mi.evaluate(llama.model, task(llama), recipe, progress=False, controls=2).side_effects
    assert found["neutral text: KL a token"] == pytest.approx(float(torch.cat(divergences).mean()), rel=1e-3)
    assert found["neutral text: perplexity before"] == pytest.approx(float(torch.cat(losses).mean().exp()), rel=1e-3)


def test_a_metric_of_ones_own_gives_the_same_card(llama: Tiny) -> None:
    pair = llama.pair

    def mine(result: mi.Run) -> float:
        return result.metric(pair.answer, pair.foil)

    recipe = off(head(0, 0))
    ours = mi.evaluate(llama.model, task(llama), recipe, progress=False, controls=3)
    own = mi.evaluate(llama.model, task(llama, mine), recipe, progress=False, controls=3)
    assert own.effect == pytest.approx(ours.effect, abs=1e-4) and own.metric == "mine"
    assert own.controls == pytest.approx(ours.controls, abs=1e-4)


def test_what_cannot_be_judged_is_refused_in_words(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="changes nothing"):
        mi.evaluate(llama.model, task(llama), off(head(0, 0)).at(0))
    with pytest.raises(ValueError, match="needs 6"):
        mi.evaluate(llama.model, mi.Task((llama.pair,)), off(head(0, 0)))
    everything = off(*(head(layer, index) for layer in range(tiny.LAYERS) for index in range(tiny.HEADS)))
    with pytest.raises(ValueError, match="no other places"):
        mi.evaluate(llama.model, task(llama), everything)


def test_progress_counts_the_items(llama: Tiny) -> None:
    heard: list[tuple[int, int]] = []
    data = task(llama)
    mi.evaluate(llama.model, data, off(head(0, 0)), controls=2, progress=lambda done, of: heard.append((done, of)))
    assert heard == [(n + 1, len(data.report)) for n in range(len(data.report))]


def test_an_edit_that_breaks_the_model_has_no_card(llama: Tiny) -> None:
    items = tuple(
        mi.Pair(llama.pair.clean, llama.pair.corrupt, llama.pair.answer, llama.pair.foil, group=str(i))
        for i in range(8)
    )
    with pytest.raises(ValueError, match="is not a number on"):
        mi.evaluate(llama.model, mi.Task(items), mi.steer.scale([mi.Site("head", 0, 0)], 1e38), progress=False)
    with pytest.raises(ValueError, match="at least one control"):
        mi.evaluate(llama.model, mi.Task(items), mi.steer.scale([mi.Site("head", 0, 0)], 0), controls=0)
    card = mi.evaluate(llama.model, list(items), mi.steer.scale([mi.Site("head", 0, 0)], 0), controls=3, progress=False)
    assert card.n > 0


@pytest.mark.parametrize("texts", ["hello there", []])
def test_texts_are_lists(llama: Tiny, texts: Any) -> None:
    with pytest.raises(ValueError, match=r"list of|at least one"):
        mi.steer.switch_off([mi.Site("head", 0, 0)], reference=texts)
    with pytest.raises(ValueError, match="positive must be a list"):
        mi.steer.contrast(llama.model, texts, ["a b"], 1)


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("located", [[head(1, 2), head(1, 0)], [1]], ids=["heads", "a layer"])
def test_training_is_compared_with_random_sets_and_all(llama: Tiny, located: list[Any]) -> None:
    data = task(llama)
    table = compare_training(llama.model, data, located, draws=2, steps=3, lr=0.01, progress=False)
    assert list(table.index) == ["nothing", "located", "random 1", "random 2", "all"]
    assert list(table.steps) == [0, 3, 3, 3, 3] and table.parameters["nothing"] == 0 < table.parameters["located"]
    assert table.parameters["all"] > table.parameters["located"] and table.kl["nothing"] == 0 < table.kl["all"]
    assert (table.train_loss[1:] < table.train_loss["nothing"]).all()
    recipe = mi.steer.tune(llama.model, data, located, steps=3, lr=0.01, progress=False)
    answer = llama.model.single(str(llama.pair.answer))
    last = [mi.run(llama.model, pair.clean, recipe).logits[-1].log_softmax(-1)[answer] for pair in data.report]
    assert table.logprob["located"] == pytest.approx(float(np.mean(last)), abs=1e-4)
    right = [mi.run(llama.model, pair.clean).metric(pair.answer, pair.foil) > 0 for pair in data.report]
    assert table.accuracy["nothing"] == pytest.approx(np.mean(right))


def test_of_several_rates_the_best_on_select_is_shown(llama: Tiny) -> None:
    table = compare_training(llama.model, task(llama), [head(1, 2)], draws=1, steps=3, lr=(1e-9, 0.02), progress=False)
    assert list(table.lr[1:]) == [0.02] * 3


def test_training_that_cannot_be_compared_is_refused(llama: Tiny) -> None:
    for located, why in (([], "nothing is selected"), ([0, 1, 2], "no other places")):
        with pytest.raises(ValueError, match=why):
            compare_training(llama.model, task(llama), located)
    with pytest.raises(TypeError, match="all sites or all layers"):
        compare_training(llama.model, task(llama), [0, head(1, 1)])
