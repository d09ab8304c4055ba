"""Causal maps where something is odd: refused in words, left out and counted, or run the plain way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.model import sweep

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT

LENIENT = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="accuracy")


@pytest.mark.parametrize("locate", [mi.locate.causal, lambda *args, **more: list(mi.locate.refine(*args, **more))])
@pytest.mark.parametrize(
    ("task", "fields", "why"),
    [
        (LENIENT, {"method": "magic"}, "method must be one of"),
        (LENIENT, {"objects": "neurons"}, "objects must be one of"),
        (LENIENT, {"objects": "residual", "part": "mid"}, "read but not edited"),
        (LENIENT, {"objects": "residual", "part": "z"}, "has no part"),
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


def test_resuming_is_really_used_where_it_can_be(small: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    mi.locate.causal(small.model, small.pair, progress=False)
    monkeypatch.setattr(sweep, "_whole", lambda *_: pytest.fail("a whole forward pass was run"))
    assert mi.locate.causal(small.model, small.pair, progress=False).values.count() == tiny.LAYERS * tiny.HEADS
