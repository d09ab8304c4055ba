"""Causal maps where something is odd: refused in words, left out and counted, or run the plain way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.model import WeightsChanged, sweep

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, OTHERS

LENIENT = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="accuracy")


@pytest.mark.parametrize("locate", [mi.locate.causal, lambda *args, **more: list(mi.locate.refine(*args, **more))])
@pytest.mark.parametrize(
    ("task", "fields", "why"),
    [
        (LENIENT, {"method": "magic"}, "method must be one of"),
        (LENIENT, {"objects": "nerves"}, "objects must be one of"),
        (LENIENT, {"pairs": []}, "pairs is empty"),
        (LENIENT, {"pairs": [(2, 5)]}, "at or before its query"),
        (LENIENT, {"pairs": [(99, 5)]}, "no query and key of a prompt of 15 tokens"),
        (LENIENT, {"pairs": [(3, 2)], "objects": "residual"}, "go with objects='heads'"),
        (LENIENT, {"vector": [1.0, 2.0]}, "has 6 numbers at a position, vector has 2"),
        (LENIENT, {"vector": [1.0, float("nan")]}, "not finite"),
        (LENIENT, {"vector": [1.0], "method": "zero"}, "a method of its own"),
        (LENIENT, {"method": "vector"}, "needs vector="),
        (LENIENT, {"method": "resample", "reference": OTHERS}, "needs other prompts of 15 tokens"),
        (LENIENT, {"objects": "residual", "part": "z"}, "has no part"),
        (LENIENT, {"reference": OTHERS}, "denoise reads no reference: it goes with method='mean' or 'resample'"),
        (LENIENT, {"vector": [1.0] * 6, "reference": OTHERS}, "vector reads no reference"),
        (mi.Task(LENIENT.items, metric=len), {}, "metric must be"),
        (mi.Pair(CLEAN, CLEAN + " the", "a", " John"), {}, "equal length"),
        (mi.Pair(CLEAN, CORRUPT, "a store", " John"), {}, "needs exactly one"),
        (mi.Pair(CLEAN, CLEAN, "a", " John"), {}, "solves none"),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_words(llama: Tiny, locate: Any, task: Any, fields: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        locate(llama.model, task, progress=False, **fields)


def test_no_sites_are_refused_and_unknown_ones_too(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="sites"):
        mi.locate.causal(llama.model, llama.pair, sites=[], progress=False)
    with pytest.raises(KeyError, match="not a cell"):
        mi.locate.causal(llama.model, llama.pair, sites=[mi.Site("ffn", 0)], progress=False)
    with pytest.raises(ValueError, match=r"a list of Sites, .* not \[\(0, 1\)\]"):
        mi.locate.causal(llama.model, llama.pair, sites=[(0, 1)], progress=False)


@pytest.mark.parametrize("locate", [mi.locate.causal, mi.locate.lens])
def test_a_selection_is_no_recipe(llama: Tiny, locate: Any) -> None:
    picked = mi.Selection((mi.Site("head", 0, 0),))
    with pytest.raises(TypeError, match="expected a Recipe, not a Selection"):
        locate(llama.model, llama.pair if locate is mi.locate.causal else CLEAN, recipe=picked, progress=False)


def test_only_the_wanted_sites_are_computed(llama: Tiny) -> None:
    wanted = [mi.Site("head", 0, 0), mi.Site("head", 2, 3)]
    grid = mi.locate.causal(llama.model, llama.pair, sites=wanted, progress=False)
    whole = mi.locate.causal(llama.model, llama.pair, progress=False)
    assert [grid.site(index) for index, _ in grid.cells()] == wanted
    assert all(value == pytest.approx(whole.values[index], abs=1e-5) for index, value in grid.cells())


def test_pairs_that_are_not_solved_are_left_out_and_counted(llama: Tiny) -> None:
    pair = llama.pair
    turned = mi.Pair(pair.clean, pair.corrupt, pair.foil, pair.answer)
    grid = mi.locate.causal(llama.model, mi.Task((pair, turned)), progress=False)
    assert (grid.provenance["pairs"], grid.provenance["pairs not solved"]) == (1, 1)
    np.testing.assert_allclose(grid.values, mi.locate.causal(llama.model, pair, progress=False).values, atol=1e-5)


def test_positions_of_unequal_prompts_are_refused(llama: Tiny) -> None:
    texts = (CLEAN, "the store"), (CORRUPT, "the drink")
    pairs = [mi.Pair(clean, corrupt, "a", " John") for clean, corrupt in zip(*texts, strict=True)]
    with pytest.raises(ValueError, match="prompts of one length"):
        mi.locate.causal(llama.model, mi.Task(pairs, metric="accuracy"), "residual", progress=False)


def test_a_map_says_where_it_comes_from(llama: Tiny) -> None:
    grid = mi.locate.causal(llama.model, llama.pair, "residual", progress=False)
    assert grid.provenance["weights"] == llama.model.weights and grid.provenance["method"] == "causal/denoise"
    assert grid.axes[1].labels[0] == "<s>" and grid.axes[1].labels[2] == "·Mary"
    assert (grid.toward, grid.unit) == (1, "logits")
    assert mi.locate.causal(llama.model, llama.pair, method="zero", progress=False).toward == -1


def test_the_first_position_of_equal_prompts_changes_nothing(llama: Tiny) -> None:
    grid = mi.locate.causal(llama.model, llama.pair, "residual", progress=False)
    assert (grid.values[:, :10] == 0).all() and (grid.values[:, 10] != 0).any()


def test_progress_counts_up_to_all_cells(llama: Tiny) -> None:
    heard: list[tuple[int, int]] = []
    mi.locate.causal(llama.model, llama.pair, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (tiny.LAYERS * tiny.HEADS,) * 2
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})


@pytest.mark.parametrize("kind", ["bloom", "falcon", "opt"])
def test_blocks_that_do_not_batch_are_run_the_plain_way(kind: str) -> None:
    """A single cell first, then many: what one row allows, many rows may not."""
    sizes = {"vocab_size": 400, "hidden_size": 24, "num_attention_heads": 4, "num_hidden_layers": 3, "n_layer": 3,
             "ffn_dim": 28, "word_embed_proj_dim": 24, "alibi": True, "max_position_embeddings": 64}  # fmt: skip
    hf = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes)).eval()
    hf.config.architectures = [type(hf).__name__]
    model = mi.Model(hf, tiny.tokenizer(), kind)
    task = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="logprob")
    mi.locate.causal(model, task, sites=[mi.Site("head", 1, 0)], method="zero", progress=False)
    grid = mi.locate.causal(model, task, method="zero", progress=False)
    base = mi.run(model, CLEAN).logits[-1].log_softmax(-1)[model.single("a")]
    for index, value in grid.cells():
        recipe = mi.Recipe((Intervention("zero", grid.site(index)),))
        after = mi.run(model, CLEAN, recipe).logits[-1].log_softmax(-1)[model.single("a")]
        assert value == pytest.approx(float(after - base), abs=1e-4)
    model.close()


# -- positions of several pairs ---------------------------------------------------------------------------------------


def spanned(clean: str, corrupt: str, **parts: str) -> mi.Pair:
    spans = {name: (clean.index(text), clean.index(text) + len(text)) for name, text in parts.items()}
    return mi.Pair(clean, corrupt, "a", " John", spans=spans)


ROLES = (
    spanned(CLEAN, CORRUPT, giver="John gave", place="the store"),
    spanned("Mary and John went to the old garden, John gave a drink to",
            "Mary and John went to the old garden, Mary gave a drink to", giver="John gave", place="the old garden"),
)  # fmt: skip


def effects(model: mi.Model, pairs: Any, objects: str = "residual", method: str = "denoise", **more: Any) -> mi.Grid:
    return mi.locate.causal(model, mi.Task(pairs, metric="logprob"), objects, method, progress=False, **more)


def test_a_single_pair_shows_its_tokens(llama: Tiny) -> None:
    grid = effects(llama.model, ROLES[:1])
    assert grid.provenance["positions"] == "tokens" and len(grid.axes[1]) == llama.ids(CLEAN).shape[1]


@pytest.mark.parametrize("method", ["denoise", "zero"])
def test_roles_are_the_last_tokens_of_spans(llama: Tiny, method: str) -> None:
    """Each role's column is the mean of the single maps' columns at that role's token."""
    grid = effects(llama.model, ROLES, method=method)
    assert grid.axes[1].labels == ("place", "first difference", "giver", "last")
    singles = [effects(llama.model, (pair,), method=method) for pair in ROLES]
    assert singles[0].shape != singles[1].shape
    for column, name in enumerate(grid.axes[1].labels):
        at = [_column(single, pair, name) for single, pair in zip(singles, ROLES, strict=True)]
        mean = np.mean([single.values[:, place] for single, place in zip(singles, at, strict=True)], axis=0)
        np.testing.assert_allclose(grid.values[:, column], mean, atol=1e-5)
        assert grid.site((0, column)).position == at[0]
    assert np.abs(grid.values).max() > 1e-2


def _column(single: mi.Grid, pair: mi.Pair, role: str) -> int:
    """The token of a role, found by its label in the single pair's map."""
    labels = list(single.axes[1].labels)
    if role == "last":
        return len(labels) - 1
    words = {"place": "·store" if "store" in pair.clean else "·garden", "giver": "·gave", "first difference": "·John"}
    return len(labels) - 1 - labels[::-1].index(words[role])


def test_prompts_of_one_length_share_positions(llama: Tiny) -> None:
    pairs = tuple(mi.Pair(c, r, "a", " John") for c, r in ((CLEAN, CORRUPT), (CORRUPT, CLEAN)))
    assert effects(llama.model, pairs).provenance["positions"] == "positions"


def test_other_lengths_are_counted_from_the_end(llama: Tiny) -> None:
    longer = [f"So {text}" for text in (CLEAN, CORRUPT)]
    pairs = (mi.Pair(CLEAN, CORRUPT, "a", " John"), mi.Pair(*longer, "a", " John"))
    grid = effects(llama.model, pairs)
    length = llama.ids(CLEAN).shape[1]
    assert grid.provenance["positions"] == "from the end" and grid.axes[1].coordinates == tuple(range(-length, 0))
    singles = [effects(llama.model, (pair,)).values[:, -length:] for pair in pairs]
    np.testing.assert_allclose(grid.values, (singles[0] + singles[1]) / 2, atol=1e-5)
    assert grid.site((1, length - 1)) == mi.Site("residual", 1, position=-1)


def test_a_mean_by_role_is_the_mean_at_that_role(llama: Tiny) -> None:
    grid = effects(llama.model, ROLES, method="mean")
    assert grid.provenance["mean"] == "by role"
    cell = (1, 3)  # the last token
    site = mi.Site("residual", 1)
    texts = [text for pair in ROLES for text in (pair.clean, pair.corrupt)]
    new = torch.stack([llama.model.do(lambda t=t: llama.model.activations(t, site))[-1] for t in texts]).mean(0)
    alone = [
        effects(llama.model, (pair,), vector=new.numpy(), sites=[mi.Site("residual", 1, position=_last(llama, pair))])
        for pair in ROLES
    ]
    assert grid.values[cell] == pytest.approx(np.mean([each.values.compressed()[0] for each in alone]), abs=1e-4)


def _last(llama: Tiny, pair: mi.Pair) -> int:
    return llama.ids(pair.clean).shape[1] - 1


def test_without_bos_as_the_tokens_alone(llama: Tiny) -> None:
    grid = effects(llama.model, ROLES[:1], prepend_bos=False)
    assert grid.provenance["prepend_bos"] is False and grid.axes[1].labels[0] != "<s>"
    assert len(grid.axes[1]) == llama.ids(CLEAN).shape[1] - 1


@pytest.mark.parametrize("objects", ["heads", "k", "residual"])
def test_of_pairs_in_both_orders_noise_is_denoise_with_the_other_sign(llama: Tiny, objects: str) -> None:
    pair = llama.pair
    both = (pair, mi.Pair(CORRUPT, CLEAN, pair.foil, pair.answer))
    denoise, noise = (mi.locate.causal(llama.model, both, objects, way, progress=False) for way in ("denoise", "noise"))
    assert denoise.provenance["pairs"] == 2 and np.abs(denoise.values).max() > 1e-3
    np.testing.assert_allclose(noise.values, -denoise.values, atol=1e-4)


def test_titles_tell_parts_apart(llama: Tiny) -> None:
    def title(objects: str, **more: Any) -> str:
        return mi.locate.causal(llama.model, llama.pair, objects, progress=False, **more).title

    titles = [title(objects) for objects in ("heads", "q", "k", "v", "pattern", "ffn", "neurons", "embedding")]
    titles += [title("residual", part=part) for part in ("pre", "mid", "post")]
    assert len(set(titles)) == len(titles)
    assert "after each block" in titles[-1] and titles[1].startswith("Queries")


def test_an_estimate_says_what_runs(llama: Tiny) -> None:
    heard: list[int] = []
    found = mi.locate.cost(llama.model, llama.pair, "head_positions")
    mi.locate.causal(llama.model, llama.pair, "head_positions", progress=lambda done, total: heard.append(total))
    assert found.cells == heard[-1] == tiny.LAYERS * tiny.HEADS * llama.ids(CLEAN).shape[1]
    assert found.runs == tiny.LAYERS * tiny.HEADS * (llama.ids(CLEAN).shape[1] - 10) and found.megabytes > 0
    assert str(found).startswith(f"{found.cells} cells, {found.runs} runs, ")


# -- weights that change meanwhile ------------------------------------------------------------------------------------

Step = Callable[[int, int], None]
TWO = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"), mi.Pair(CORRUPT, CLEAN, "a", " John")), metric="logprob")
MAPS: dict[str, Callable[[mi.Model, mi.Pair, Step], Any]] = {
    "causal": lambda model, pair, tick: mi.locate.causal(model, TWO, progress=tick),
    "causal in one job": lambda model, pair, tick: model.do(lambda: mi.locate.causal(model, TWO, progress=tick)),
    "refine": lambda model, pair, tick: list(mi.locate.refine(model, TWO, progress=tick)),
    "gradient": lambda model, pair, tick: mi.locate.gradient(model, TWO, progress=tick),
    "direct": lambda model, pair, tick: mi.locate.direct(model, [pair] * 2, progress=tick),
    "paths": lambda model, pair, tick: mi.locate.paths(model, TWO, progress=tick),
    "lens": lambda model, pair, tick: mi.locate.lens(model, CLEAN, progress=tick),
}


@pytest.fixture
def edited() -> Iterator[tuple[mi.Model, Callable[..., None]]]:
    """A model of its own, and what edits its weights in place."""
    hf = tiny.hugging_face("llama")
    model = mi.Model(hf, tiny.tokenizer(), "tiny llama")

    def edit(*counts: int) -> None:
        with torch.no_grad():
            hf.model.layers[1].mlp.down_proj.weight.mul_(1.25)

    yield model, edit
    model.close()


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_two_models_is_refused(edited: Any, llama: Tiny, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "FIRST_TOKENS", 1)
    model, edit = edited
    before = model.weights
    edits = [edit]
    with pytest.raises(WeightsChanged, match=f"tiny llama changed from {before} to .*: make it again"):
        MAPS[name](model, llama.pair, lambda done, total: edits.pop()() if edits else None)
    assert not edits and model.weights != before
    MAPS[name](model, llama.pair, lambda done, total: None)


def test_weights_that_change_after_a_map_do_not_spoil_it(edited: Any) -> None:
    model, edit = edited
    before = model.weights
    grid = mi.locate.causal(model, TWO, progress=lambda done, total: edit() if done == total else None)
    assert grid.provenance["weights"] == before != model.weights


@pytest.mark.parametrize("steps", [mi.locate.refine, lambda model, task, **more: mi.locate.lens_steps(model, CLEAN)])
@pytest.mark.parametrize("preview", [True, False])
def test_nothing_is_labelled_with_weights_it_is_not_of(
    edited: Any, steps: Any, preview: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new hash stands only on a map that is begun with the new weights, and it has their numbers."""
    monkeypatch.setattr(sweep, "FIRST_TOKENS", 1)
    model, edit = edited
    before, grids = model.weights, []
    with pytest.raises(WeightsChanged):
        for grid in steps(model, TWO, preview=preview):
            grids.append(grid)
            if len(grids) == 1:
                edit()
    assert grids and all(grid.provenance["weights"] == before for grid in grids)
    *_, again = steps(model, TWO, preview=preview)
    hf = tiny.hugging_face("llama")
    with torch.no_grad():
        hf.model.layers[1].mlp.down_proj.weight.mul_(1.25)
    other = mi.Model(hf, tiny.tokenizer(), "tiny llama")
    *_, expected = steps(other, TWO, preview=preview)
    assert again.provenance == expected.provenance and again.provenance["weights"] != before
    np.testing.assert_allclose(again.values, expected.values, atol=1e-5)
    other.close()


@pytest.mark.parametrize("shape", ["llama", "gemma2"])
def test_zero_in_the_middle_of_a_block_is_zero(shape: str) -> None:
    """Without biases nothing is added to nothing: the same as zero after the block, to the last digit."""
    from .conftest import _small

    small = _small(shape)
    task = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="logprob")
    mid, post = (mi.locate.causal(small.model, task, "residual", "zero", part=part) for part in ("mid", "post"))
    np.testing.assert_allclose(mid.values, post.values, atol=1e-5)
    for position in (0, -1):
        recipe = mi.steer.switch_off([mi.Site("residual", 0, part="mid", position=position)], kind="zero")
        after = mi.run(small.model, CLEAN, recipe).logits[-1].log_softmax(-1)
        before = mi.run(small.model, CLEAN).logits[-1].log_softmax(-1)
        change = float((after - before)[small.model.single("a")])
        assert mid.values[0, position] == pytest.approx(change, abs=1e-4)


def test_a_mixture_of_experts_has_no_neurons() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    from . import tiny

    sizes = {"hidden_size": 24, "intermediate_size": 28, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model("mixtral", vocab_size=400, num_key_value_heads=2, num_local_experts=3, **sizes)
    hf = AutoModelForCausalLM.from_config(config).eval()
    hf.config.architectures = [type(hf).__name__]
    model = mi.Model(hf, tiny.tokenizer(), "tiny mixtral")
    task = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="logprob")
    recipe = mi.steer.scale([mi.Site("neuron", 1, 25)], 0)
    for use in (
        lambda: mi.locate.causal(model, task, "neurons"),
        lambda: mi.locate.gradient(model, task, "neurons"),
        lambda: mi.locate.gradient(model, task, "heads", "relp"),
        lambda: mi.run(model, CLEAN, recipe),
        lambda: mi.steer.edit(model, CLEAN, "Mary", " John", 1),
        lambda: mi.steer.tune(model, task, [1]),
        lambda: mi.steer.tune(model, task, [mi.Site("ffn", 1)]),
    ):
        with pytest.raises(ValueError, match="mixture of experts"):
            use()
    losses = mi.steer.tune(model, task, [mi.Site("head", 1, 0)], lr=0.01, progress=False).provenance["losses"]
    assert losses[-1] < losses[0], "its heads are trained like others"
    model.close()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"reference": "The cat", "method": "mean"}, "list of texts"),
        ({"reference": [], "method": "mean"}, "list of texts"),
        ({"pairs": [(3, 2)], "method": "zero"}, "a method of its own"),
        ({"pairs": [(3.7, 2)]}, "query position, key position"),
        ({"pairs": (3, 2)}, "query position, key position"),
        ({"sites": "L0H1"}, "list of Sites"),
        ({"sites": mi.Site("head", 0, 0)}, "list of Sites"),
        ({"sites": [mi.Site("head", 9, 0)]}, "has layers 0 to 2"),
        ({"split": "test"}, "a split is one of"),
    ],
)
def test_likely_slips_are_refused_in_words(llama: Tiny, fields: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.locate.causal(llama.model, llama.pair, progress=False, **fields)


def test_the_mean_of_an_estimate_is_that_of_the_map(llama: Tiny) -> None:
    exact = mi.locate.causal(llama.model, llama.pair, "heads", "mean", progress=False)
    guess = mi.locate.gradient(llama.model, llama.pair, "heads", base="mean", progress=False)
    noise = mi.locate.gradient(llama.model, llama.pair, "heads", base="noise", progress=False)
    assert exact.provenance["mean"] == "by position"
    np.testing.assert_allclose(guess.values, noise.values / 2, atol=1e-5)  # halfway between the two prompts
