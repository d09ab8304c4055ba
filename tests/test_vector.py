"""Vector arithmetic against the same by hand: contrasts, function vectors, sweeps, gates, files of others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.intervention import Condition
from mi_widgets.model import Model
from mi_widgets.steer.sweep import perplexity

from . import tiny
from .conftest import Tiny
from .test_direct import head_writes
from .tiny import CLEAN, CORRUPT, OTHERS

LAYER = 1
UP = ("a happy day", "a good day, a happy day", "Paris and Rome are happy cities", "Anna and the dog slept")
DOWN = ("a sad day", "a bad day, a sad day", "Paris and Rome are sad cities", "John and the dog sat")
HEADS = (mi.Site("head", 2, 3), mi.Site("head", 0, 1), mi.Site("head", 2, 0))


def read(small: Tiny, text: str, place: tiny.Place, position: str = "mean") -> torch.Tensor:
    """A text's point: the mean over its tokens but the first, or its last token."""
    x = small.plain.see(small.ids(text), place)[0, 1:]
    return (x.mean(0) if position == "mean" else x[-1]).double()


def stacked(small: Tiny, texts: Any, place: tiny.Place, position: str = "mean") -> np.ndarray:
    return torch.stack([read(small, text, place, position) for text in texts]).numpy()


def norm(small: Tiny, texts: Any, layer: int = LAYER) -> float:
    runs = [small.plain.see(small.ids(text), small.plain.post(layer))[0, 1:] for text in texts]
    return float(np.median(torch.cat(runs).norm(dim=-1)))


# -- contrasts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", ["mean", "last"])
def test_a_mean_contrast_at_either_position(small: Tiny, position: str) -> None:
    made = mi.steer.contrast(small.model, UP, DOWN[:3], LAYER, position=position, name="tone")
    up, down = (stacked(small, texts, small.plain.post(LAYER), position) for texts in (UP, DOWN[:3]))
    difference = up.mean(0) - down.mean(0)
    np.testing.assert_allclose(made.vector, difference / np.linalg.norm(difference), atol=1e-5)
    assert made.norm == pytest.approx(norm(small, (*UP, *DOWN[:3])), rel=1e-4)
    assert made.natural == pytest.approx(np.linalg.norm(difference) / made.norm, rel=1e-4)
    assert (made.name, made.positive, made.negative) == ("tone", UP, DOWN[:3])
    assert made.kind == {"mean": "mean", "last": "mean, last token"}[position]
    assert made.provenance["weights"] == small.model.weights


def test_a_pca_contrast_is_the_first_component_of_the_paired_differences(small: Tiny) -> None:
    made = mi.steer.contrast(small.model, UP, DOWN, LAYER, "pca")
    up, down = (stacked(small, texts, small.plain.post(LAYER)) for texts in (UP, DOWN))
    both = np.concatenate([up - down, down - up]) / 2  # every pair around its own middle
    component = np.linalg.eigh(both.T @ both)[1][:, -1]
    gap = (up.mean(0) - down.mean(0)) @ component
    np.testing.assert_allclose(made.vector, component * np.sign(gap), atol=1e-4)
    assert made.natural == pytest.approx(abs(gap) / made.norm, rel=1e-3) and made.kind == "pca"
    mean = mi.steer.contrast(small.model, UP, DOWN, LAYER)
    assert made.norm == mean.norm and abs(float(made.vector @ mean.vector)) < 0.9999


def test_a_probe_contrast_is_the_regression_that_minimises_its_loss(small: Tiny) -> None:
    made = mi.steer.contrast(small.model, UP, DOWN[:3], LAYER, "probe")
    up, down = (stacked(small, texts, small.plain.post(LAYER)) for texts in (UP, DOWN[:3]))
    points = np.concatenate([up, down])
    spread = points.std(0)
    x, y = torch.tensor((points - points.mean(0)) / spread), torch.tensor([1.0] * 4 + [-1.0] * 3)
    w = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([w], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = w[:-1].pow(2).sum() / 2 + torch.nn.functional.softplus(-y * (x @ w[:-1] + w[-1])).sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(loss)
    expected = w.detach().numpy()[:-1] / spread
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(made.vector, expected, atol=1e-3)
    gap = (up.mean(0) - down.mean(0)) @ expected
    assert gap > 0 and made.natural == pytest.approx(gap / made.norm, rel=1e-3)


@pytest.mark.parametrize("kind", ["mean", "pca", "probe"])
def test_positive_texts_score_higher_and_swapping_the_sets_turns_the_direction(llama: Tiny, kind: str) -> None:
    made = mi.steer.contrast(llama.model, UP, DOWN, LAYER, kind)
    up, down = (stacked(llama, texts, llama.plain.post(LAYER)) for texts in (UP, DOWN))
    assert (up @ made.vector).mean() > (down @ made.vector).mean()
    swapped = mi.steer.contrast(llama.model, DOWN, UP, LAYER, kind)
    np.testing.assert_allclose(swapped.vector, -made.vector, atol=1e-4)


@pytest.mark.parametrize(("kind", "position"), [("mean", "mean"), ("mean", "last"), ("probe", "last")])
def test_head_directions_are_in_units_of_the_spread_along_them(small: Tiny, kind: str, position: str) -> None:
    made = mi.steer.head_contrast(small.model, UP, DOWN, HEADS, kind, position=position)
    assert [direction.site for direction in made] == list(HEADS)
    for direction in made:
        runs = {
            text: tiny.one_head(small.plain.see(small.ids(text), small.plain.z(direction.layer)), direction.head)[0, 1:]
            for text in (*UP, *DOWN)
        }
        points = {text: (run.mean(0) if position == "mean" else run[-1]).numpy() for text, run in runs.items()}
        up, down = (np.mean([points[text] for text in texts], axis=0) for texts in (UP, DOWN))
        if kind == "mean":
            np.testing.assert_allclose(direction.vector, (up - down) / np.linalg.norm(up - down), atol=1e-4)
        gap = float((up - down) @ direction.vector)
        every = torch.cat([*runs.values()]).numpy() if position == "mean" else np.stack([*points.values()])
        sigma = float((every @ direction.vector).std())
        assert direction.norm == pytest.approx(sigma, rel=1e-4)
        assert gap > 0 and direction.natural == pytest.approx(gap / sigma, rel=1e-3)


def test_one_recipe_adds_all_head_directions_in_sigmas(small: Tiny) -> None:
    made = mi.steer.head_contrast(small.model, UP, DOWN, HEADS)
    edits = []
    for direction in made:
        shift = torch.from_numpy(2.5 * direction.norm * direction.vector)
        edits.append((small.plain.z(direction.layer), tiny.put(lambda x, shift=shift: x + shift, head=direction.head)))
    found = mi.run(small.model, CLEAN, mi.steer.add(made, 2.5)).logits
    np.testing.assert_allclose(found, small.plain.logits(small.ids(), *edits), atol=2e-4)
    assert [step.amount for step in mi.steer.add(made).interventions] == [direction.natural for direction in made]


def test_chat_messages_make_a_direction_that_keeps_no_texts(llama: Tiny) -> None:
    up, down = ([[{"role": "user", "content": text}] for text in texts] for texts in (UP, DOWN))
    made = mi.steer.contrast(llama.model, up, down, LAYER, position="last")
    seen = [
        np.stack([llama.plain.see(llama.model.ids(chat), llama.plain.post(LAYER))[0, -1] for chat in chats]).mean(0)
        for chats in (up, down)
    ]
    difference = seen[0] - seen[1]
    np.testing.assert_allclose(made.vector, difference / np.linalg.norm(difference), atol=1e-5)
    assert made.positive == made.negative == ()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (dict(positive="hello there"), "positive must be a list"),
        (dict(negative=[]), "negative must be a list of at least one"),
        (dict(positive=["a b"], kind="pca"), "needs 2 texts"),
        (dict(negative=["a b"], kind="probe"), "needs 2 texts"),
        (dict(positive=UP[:3], kind="pca"), "in pairs: 3 positive, 4 negative"),
        (dict(negative=[*DOWN, [5]]), "single token"),
        (dict(layer=3), "layers 0 to 2"),
        (dict(layer=-1), "whole number"),
        (dict(layer=True), "layer"),
        (dict(kind="svm"), "mean, pca, probe"),
        (dict(position="first"), "mean, last"),
        (dict(negative=UP), "are they the same"),
        (dict(negative=UP, kind="pca"), "are they the same"),
        (dict(negative=UP, kind="probe"), "are they the same"),
    ],
)
def test_what_makes_no_contrast_is_said(llama: Tiny, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.steer.contrast(llama.model, **{"positive": UP, "negative": DOWN, "layer": LAYER, **arguments})


@pytest.mark.parametrize(
    "heads", [[], [mi.Site("ffn", 0)], [mi.Site("head", 0, 0, "k")], [mi.Site("head", 0, 0, position=3)], ["L0H0"]]
)
def test_heads_are_whole_heads(llama: Tiny, heads: Any) -> None:
    with pytest.raises(ValueError, match="give heads such as"):
        mi.steer.head_contrast(llama.model, UP, DOWN, heads)
    with pytest.raises(ValueError, match="give heads such as"):
        mi.steer.function_vector(llama.model, llama.pair, heads, LAYER)


def test_heads_that_are_not_there_and_no_directions_are_refused(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="heads 0 to 3"):
        mi.steer.head_contrast(llama.model, UP, DOWN, [mi.Site("head", 0, 4)])
    for none in ([], mi.steer.contrast(llama.model, UP, DOWN, LAYER)):
        with pytest.raises(ValueError, match="at least one Direction"):
            mi.steer.add(none)


# -- function vectors -------------------------------------------------------------------------------------------------


def test_a_function_vector_is_what_the_heads_write_at_the_end_on_average(small: Tiny) -> None:
    pairs = [small.pair, mi.Pair(CORRUPT, CLEAN, small.pair.foil, small.pair.answer)]
    made = mi.steer.function_vector(small.model, pairs, HEADS, LAYER)
    with torch.no_grad():
        writes = {layer: [head_writes(small, layer, text) for text in (CLEAN, CORRUPT)] for layer in (0, 2)}
    expected = sum(torch.stack([write[site.index] for write in writes[site.layer]]).mean(0) for site in HEADS)
    np.testing.assert_allclose(made.vector * made.norm * made.natural, expected, atol=1e-3)
    assert made.norm == pytest.approx(norm(small, (CLEAN, CORRUPT)), rel=1e-4)
    assert made.site == mi.Site("residual", LAYER, part="post") and made.kind == "function vector"


def test_adding_a_function_vector_adds_exactly_the_sum(llama: Tiny) -> None:
    made = mi.steer.function_vector(llama.model, llama.pair, mi.Selection(HEADS), LAYER)
    expected = sum(head_writes(llama, site.layer)[site.index] for site in HEADS).detach()
    edit = (llama.plain.post(LAYER), tiny.put(lambda x: x + expected, slice(-1, None)))
    found = mi.run(llama.model, OTHERS[0], made.add(positions=[-1])).logits
    np.testing.assert_allclose(found, llama.plain.logits(llama.ids(OTHERS[0]), edit), atol=1e-3)


# -- sweeps -----------------------------------------------------------------------------------------------------------


def by_hand(small: Tiny, recipe: mi.Recipe | None) -> float:
    """The perplexity of the neutral texts, one by one."""
    losses = []
    for text in mi.steer.neutral():
        run = mi.run(small.model, text, recipe)
        losses += [-run.logits[i - 1].log_softmax(-1)[run.ids[i]] for i in range(2, len(run.ids))]
    return float(torch.stack(losses).mean().exp())


def test_a_sweep_over_layers_and_strengths_is_a_run_for_each(small: Tiny) -> None:
    layers, strengths = (2, 0), (-0.3, 0.0, 0.5, 0.2)
    grid = mi.steer.sweep(
        small.model, small.pair, lambda layer: mi.steer.contrast(small.model, UP, DOWN, layer), strengths, layers
    )
    assert [axis.name for axis in grid.axes] == ["layer", "strength"]
    assert (grid.axes[0].coordinates, grid.axes[1].coordinates) == (layers, strengths)
    base = small.unedited(CLEAN)
    for row, layer in enumerate(layers):
        direction = mi.steer.contrast(small.model, UP, DOWN, layer)
        assert grid.provenance["natural"][row] == direction.natural
        for col, strength in enumerate(strengths):
            after = small.difference(mi.run(small.model, CLEAN, direction.add(strength)).logits)
            assert grid.values[row, col] == pytest.approx(after - base, abs=2e-4)
            assert grid.beside["perplexity"][row, col] == pytest.approx(
                by_hand(small, direction.add(strength)), rel=1e-3
            )
    assert (
        not grid.values[:, 1].any()
        and (grid.beside["perplexity"][:, 1] == np.float32(grid.provenance["perplexity"])).all()
    )


def test_a_list_of_directions_is_one_for_each_layer(llama: Tiny) -> None:
    ways = [mi.steer.contrast(llama.model, UP, DOWN, layer) for layer in (0, 2)]
    listed = mi.steer.sweep(llama.model, llama.pair, ways, (0.1, 0.2), progress=False)
    made = mi.steer.sweep(llama.model, llama.pair, lambda layer: ways[layer // 2], (0.1, 0.2), (0, 2), progress=False)
    np.testing.assert_array_equal(listed.values, made.values)
    one = mi.steer.sweep(llama.model, llama.pair, ways[1], (0.1, 0.2), progress=False)
    np.testing.assert_allclose(one.values, listed.values[1], atol=1e-5)
    assert one.shape == (2,) and one.provenance["natural"] == ways[1].natural


def test_cells_in_which_the_text_breaks_are_marked(llama: Tiny) -> None:
    direction = mi.steer.contrast(llama.model, UP, DOWN, LAYER)
    strengths = (0.0, 0.01, 30.0)
    plain, broken = by_hand(llama, None), by_hand(llama, direction.add(30.0))
    assert broken > 1.05 * plain
    for times, expected in ((0.99 * broken / plain, [False, False, True]), (1.01 * broken / plain, None)):
        grid = mi.steer.sweep(llama.model, llama.pair, direction, strengths, perplexed=times, progress=False)
        assert (None if grid.collapsed is None else grid.collapsed.tolist()) == expected


def test_an_even_output_and_one_that_is_no_number_have_collapsed(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    direction = mi.steer.contrast(llama.model, UP, DOWN, LAYER)
    logp = mi.run(llama.model, CLEAN, direction.add(0.5)).logits[-1].log_softmax(-1)
    share = float(-(logp.exp() * logp).sum()) / np.log(len(logp))
    for bound, expected in ((share * 1.001, None), (share * 0.999, [True])):
        monkeypatch.setattr(sys.modules["mi_widgets.steer.sweep"], "COLLAPSED", bound)
        grid = mi.steer.sweep(llama.model, llama.pair, direction, (0.5,), perplexed=1e9, progress=False)
        assert (None if grid.collapsed is None else grid.collapsed.tolist()) == expected
    grid = mi.steer.sweep(llama.model, llama.pair, direction, (0.0, 1e38), progress=False)
    assert grid.values.mask.tolist() == [False, True] and grid.collapsed[1]


def test_a_sweep_tells_how_far_it_is(llama: Tiny) -> None:
    told: list[tuple[int, int]] = []
    direction = mi.steer.contrast(llama.model, UP, DOWN, LAYER)
    mi.steer.sweep(llama.model, llama.pair, direction, (0.1, 0.2), progress=lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_neutral_text_is_as_perplexing_as_on_a_card(llama: Tiny) -> None:
    from mi_widgets.improve.evaluate import side_effects

    recipe = mi.steer.contrast(llama.model, UP, DOWN, LAYER).add(0.4)
    card = llama.model.do(lambda: side_effects(llama.model, recipe))
    assert perplexity(llama.model) == pytest.approx(card["neutral text: perplexity before"], rel=1e-4)
    assert perplexity(llama.model, recipe) == pytest.approx(card["neutral text: perplexity after"], rel=1e-4)


def test_bos_is_asked_for_once_and_reaches_the_sweep(llama: Tiny) -> None:
    direction = mi.steer.contrast(llama.model, UP, DOWN, LAYER)
    grid = mi.steer.sweep(llama.model, llama.pair, direction, (0.5,), prepend_bos=False, progress=False)
    runs = [mi.run(llama.model, CLEAN, recipe, prepend_bos=False).logits for recipe in (direction.add(0.5), None)]
    assert grid.values[0] == pytest.approx(llama.difference(runs[0]) - llama.difference(runs[1]), abs=1e-4)
    other = mi.steer.sweep(llama.model, llama.pair, direction, (0.5,), progress=False)
    assert grid.provenance["prepend_bos"] is False and abs(other.values[0] - grid.values[0]) > 1e-3


@pytest.mark.parametrize(
    ("direction", "more", "why"),
    [
        (lambda d: d, {"layers": [1]}, "layers="),
        (lambda d: lambda layer: d, {}, "layers="),
        (lambda d: [], {}, "got 'none'"),
        (lambda d: lambda layer: d, {"layers": []}, "got 'none'"),
        (lambda d: [d, "x"], {}, "'x'"),
        (lambda d: [d, d], {}, "one for each layer"),
        (lambda d: d, {"strengths": []}, "strengths is empty"),
    ],
)
def test_what_cannot_be_swept_is_said(llama: Tiny, direction: Any, more: dict[str, Any], why: str) -> None:
    made = mi.steer.contrast(llama.model, UP, DOWN, LAYER)
    with pytest.raises(ValueError, match=why):
        mi.steer.sweep(llama.model, llama.pair, direction(made), **more)


# -- gates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", ["last_prompt", 2, -3])
def test_scores_are_the_residual_along_the_direction(small: Tiny, position: Any) -> None:
    gate = mi.steer.contrast(small.model, UP, DOWN, LAYER)
    found = mi.steer.scores(small.model, gate, OTHERS, position)
    at = -1 if position == "last_prompt" else position
    seen = [small.plain.see(small.ids(text), small.plain.post(LAYER))[0, at] for text in OTHERS]
    np.testing.assert_allclose(found, [float(x.numpy() @ gate.vector) for x in seen], atol=2e-4)
    assert found.shape == (len(OTHERS),)


def test_a_recipe_fires_where_the_score_is_above(llama: Tiny) -> None:
    gate = mi.steer.contrast(llama.model, UP, DOWN, LAYER, position="last")
    found = mi.steer.scores(llama.model, gate, OTHERS)
    for above in (*found, float(np.mean(found))):
        recipe = gate.add(0.5).when(gate, above)
        for text, score in zip(OTHERS, found, strict=True):
            plain, edited = (mi.run(llama.model, text, r).logits for r in (None, recipe))
            assert torch.equal(plain, edited) == (score <= above)


def test_firing_is_the_share_of_each_set_that_is_above(llama: Tiny) -> None:
    gate = mi.steer.contrast(llama.model, UP, DOWN, LAYER, position="last")
    up, down = (mi.steer.scores(llama.model, gate, texts) for texts in (UP, DOWN))
    above = mi.steer.threshold(up, down)
    recipe = gate.add(0.5).when(gate, above)
    rates = mi.steer.firing(llama.model, recipe, {"target": UP, "matched": DOWN, "neutral": mi.steer.neutral()})
    assert rates["target"] == np.mean(up > above) and rates["matched"] == np.mean(down > above)
    assert list(rates) == ["target", "matched", "neutral"] and rates["target"] > rates["matched"]
    assert mi.steer.firing(llama.model, Condition(gate, above), {"target": UP}) == {"target": rates["target"]}
    chat = [[{"role": "user", "content": text}] for text in UP]
    assert mi.steer.firing(llama.model, Condition(gate, -1e9), {"chat": chat}) == {"chat": 1.0}


def test_a_threshold_parts_two_sets_as_well_as_any() -> None:
    assert mi.steer.threshold([5.0, 4.0, 7.0], [1.0, 2.0]) == 3.0
    assert mi.steer.threshold([1.0, 4.0, 4.0], [0.0, 2.0]) == 3.0  # 2/3 and 2/2; below 1 it would be 3/3 and 1/2
    assert mi.steer.threshold([1.0, 10.0], [0.0, 2.0]) == 6.0  # as good as 0.5, and the gap is wider
    for up, down in (([], [1.0]), ([1.0], []), ([2.0], [2.0])):
        with pytest.raises(ValueError, match="both sides"):
            mi.steer.threshold(up, down)


def test_gates_refuse_what_they_cannot_read(llama: Tiny) -> None:
    gate = mi.steer.contrast(llama.model, UP, DOWN, LAYER)
    with pytest.raises(ValueError, match="residual stream"):
        mi.steer.scores(llama.model, mi.steer.head_contrast(llama.model, UP, DOWN, HEADS)[0], OTHERS)
    with pytest.raises(ValueError, match="position 99"):
        mi.steer.scores(llama.model, gate, OTHERS, 99)
    with pytest.raises(ValueError, match="list of at least one"):
        mi.steer.scores(llama.model, gate, "one text")
    with pytest.raises(ValueError, match="layers 0 to 2"):
        mi.steer.scores(llama.model, mi.Direction(gate.vector, 3, 1.0, 1.0), OTHERS)
    with pytest.raises(ValueError, match="d_model is 20"):
        mi.steer.scores(llama.model, mi.Direction(gate.vector[:7], 1, 1.0, 1.0), OTHERS)
    both = gate.add().when(gate, 0.0) + gate.add().when(gate, 1.0)
    for recipe, number in ((gate.add(), 0), (both, 2)):
        with pytest.raises(ValueError, match=f"has {number} conditions"):
            mi.steer.firing(llama.model, recipe, {"target": UP})
    with pytest.raises(TypeError, match="takes a Recipe"):
        mi.steer.firing(llama.model, gate, {"target": UP})


# -- control vectors --------------------------------------------------------------------------------------------------


def drawn(model: Model, layers: Any, seed: int = 0) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {layer: rng.normal(size=model.d_model).astype(np.float32) for layer in layers}


def gguf_file(path: Path, tensors: dict[str, np.ndarray], architecture: str = "controlvector") -> Path:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, architecture)
    writer.add_string("controlvector.model_hint", "tiny")
    writer.add_uint32("controlvector.layer_count", len(tensors))
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def safetensors_file(path: Path, tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> Path:
    from safetensors.torch import save_file

    save_file({name: torch.as_tensor(tensor).clone() for name, tensor in tensors.items()}, str(path), metadata)
    return path


def added(small: Tiny, vectors: dict[int, np.ndarray], factor: float = 1.0) -> torch.Tensor:
    """Logits with each layer's raw vector, times a factor, on the block's output at every position."""
    shifts = {at: factor * torch.from_numpy(vector) for at, vector in vectors.items()}
    edits = [(small.plain.post(at), tiny.put(lambda x, shift=shift: x + shift)) for at, shift in shifts.items()]
    return small.plain.logits(small.ids(), *edits)


def test_a_gguf_control_vector_is_added_to_the_outputs_of_its_blocks(small: Tiny, tmp_path: Path) -> None:
    vectors = drawn(small.model, (2, 1))
    file = gguf_file(tmp_path / "happy.gguf", {f"direction.{at}": v for at, v in vectors.items()})
    recipe = mi.steer.control_vector(small.model, file)
    for factor in (1.0, -0.5):
        found = mi.run(small.model, CLEAN, recipe.at(factor)).logits
        np.testing.assert_allclose(found, added(small, vectors, factor), atol=2e-4)
    assert [str(site) for site in recipe.sites] == ["resid_post.L1", "resid_post.L2"]
    first = recipe.interventions[0]
    assert first.amount * first.direction.norm == pytest.approx(np.linalg.norm(vectors[1]), rel=1e-5)
    assert first.direction.norm == pytest.approx(norm(small, mi.steer.neutral()), rel=1e-4)
    assert recipe.provenance["control_vector"]["file"] == "happy.gguf"
    assert mi.Recipe.load(recipe.save(tmp_path / "recipe.json")) == recipe


def test_safetensors_hold_the_same_in_three_shapes(llama: Tiny, tmp_path: Path) -> None:
    vectors = drawn(llama.model, range(tiny.LAYERS))
    stacked = np.stack([vectors[at] for at in range(tiny.LAYERS)])
    named = safetensors_file(tmp_path / "a.safetensors", {f"model.layer_{at}": v for at, v in vectors.items()})
    whole = safetensors_file(tmp_path / "b.safetensors", {"steering": stacked})
    half = safetensors_file(tmp_path / "c.safetensors", {"v": torch.from_numpy(vectors[2]).bfloat16()})
    expected = added(llama, vectors)
    for file in (named, whole):
        found = mi.run(llama.model, CLEAN, mi.steer.control_vector(llama.model, file)).logits
        np.testing.assert_allclose(found, expected, atol=2e-4)
    found = mi.run(llama.model, CLEAN, mi.steer.control_vector(llama.model, half, layer=2)).logits
    rounded = {2: torch.from_numpy(vectors[2]).bfloat16().float().numpy()}
    np.testing.assert_allclose(found, added(llama, rounded), atol=2e-4)


def test_layers_of_zeros_are_left_out(llama: Tiny, tmp_path: Path) -> None:
    vectors = drawn(llama.model, (1,)) | {2: np.zeros(llama.model.d_model, np.float32)}
    file = gguf_file(tmp_path / "v.gguf", {f"direction.{at}": v for at, v in vectors.items()})
    assert len(mi.steer.control_vector(llama.model, file)) == 1
    file = gguf_file(tmp_path / "z.gguf", {"direction.2": vectors[2]})
    with pytest.raises(ValueError, match="nothing but zeros"):
        mi.steer.control_vector(llama.model, file)


ONE = np.ones(20, np.float32)


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"direction.1": ONE[:7]}, r"shape \(7,\); tiny llama has d_model 20"),
        ({"direction.3": ONE}, "layer 3; tiny llama has layers 0 to 2"),
        ({"direction.x": ONE}, "is no 'direction"),
        ({"direction.1": ONE, "extra": ONE}, "'extra' is no 'direction"),
        ({"direction.1": np.full(20, np.nan, np.float32)}, "not finite"),
        ({"direction.1": ONE, "direction.01": ONE}, "two directions for layer 1"),
        ({"direction.1": np.ones(20, np.int32)}, "I32, not F32"),
    ],
)
def test_a_gguf_file_that_does_not_fit_is_refused_in_words(
    llama: Tiny, tmp_path: Path, tensors: dict[str, np.ndarray], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        mi.steer.control_vector(llama.model, gguf_file(tmp_path / "v.gguf", tensors))


@pytest.mark.parametrize(
    ("tensors", "layer", "why"),
    [
        ({"v": ONE}, None, "give layer="),
        ({"v": ONE}, -1, "whole number"),
        ({"v": ONE}, 5, "layers 0 to 2"),
        ({"v": ONE, "w": ONE}, None, "'v' names no layer"),
        ({"v.1": ONE, "v.2": ONE}, 1, "one tensor"),
        ({"v": np.ones((4, 20), np.float32)}, None, r"\(4, 20\), not \[3 layers, 20\]"),
        ({"v": np.ones((3, 20), np.float32)}, 1, r"\(3, 20\)"),
        ({"v": np.ones((3, 7), np.float32)}, None, "d_model 20"),
    ],
)
def test_a_safetensors_file_that_does_not_fit_is_refused_in_words(
    llama: Tiny, tmp_path: Path, tensors: dict[str, np.ndarray], layer: int | None, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        mi.steer.control_vector(llama.model, safetensors_file(tmp_path / "v.safetensors", tensors), layer)


def test_files_of_other_kinds_are_not_opened(llama: Tiny, tmp_path: Path) -> None:
    for name in ("v.pt", "v.npy", "v.bin", "v.pkl"):
        torch.save(torch.ones(20), tmp_path / name)
        with pytest.raises(ValueError, match=r"neither a \.gguf nor a \.safetensors"):
            mi.steer.control_vector(llama.model, tmp_path / name)
    for name in ("v.gguf", "v.safetensors"):
        with pytest.raises(FileNotFoundError, match="no file"):
            mi.steer.control_vector(llama.model, tmp_path / name)
        (tmp_path / name).write_bytes(b"GGUF" + b"\xff" * 60)
        with pytest.raises(ValueError, match="that can be read"):
            mi.steer.control_vector(llama.model, tmp_path / name)
    with pytest.raises(ValueError, match="architecture 'llama'"):
        mi.steer.control_vector(llama.model, gguf_file(tmp_path / "m.gguf", {"direction.1": ONE}, "llama"))
    saved = mi.steer.contrast(llama.model, UP, DOWN, LAYER).save(tmp_path / "d.safetensors")
    with pytest.raises(ValueError, match=r"mi\.Direction\.load"):
        mi.steer.control_vector(llama.model, saved)


def test_scores_that_are_no_numbers_and_sets_without_names_are_refused(llama: Tiny) -> None:
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            mi.steer.threshold([1.0, wrong], [0.0])
    gate = Condition(mi.Direction(np.ones(20), 1, 1.0, 1.0), 0.0)
    for sets in ({}, ["a text"]):
        with pytest.raises(ValueError, match="named lists"):
            mi.steer.firing(llama.model, gate, sets)
