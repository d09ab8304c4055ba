"""The planner: what it runs, what it leaves out, and when it is not trusted; each against whole plain runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.model import Stopped, sweep, wavefront
from mi_widgets.model.wavefront import Wavefront

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, OTHERS

ALL = (
    "heads", "q", "k", "v", "pattern", "head_positions", "residual", "ffn", "neurons", "embedding",
)  # fmt: skip
MORE = {
    "gemma3_text": {"sliding_window": 5, "query_pre_attn_scalar": 6},
    "mistral": {"sliding_window": 5},
    "qwen2": {},
    "olmo2": {},
}


def other(kind: str) -> mi.Model:
    """A random model of one more architecture, with the sizes of the others."""
    config = AutoConfig.for_model(kind, **tiny._grouped(**MORE[kind]), vocab_size=tiny.trained().get_vocab_size())
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 0, 1, None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf = AutoModelForCausalLM.from_config(config).eval()
    hf.config.architectures = [type(hf).__name__]
    return mi.Model(hf, tiny.tokenizer(), kind)


def edits() -> list[mi.Recipe]:
    """Recipes of every kind, with one edit and with several, at every place where a row can join."""

    def once(op: str, site: mi.Site, **more: Any) -> mi.Recipe:
        return mi.Recipe((Intervention(op, site, **more),))

    last = tiny.LAYERS - 1
    heads = [mi.Site("head", layer, 1, part) for layer in (0, last) for part in ("z", "q", "k", "v", "pattern")]
    places = [None, 0, 7, -1]
    streams = [mi.Site("residual", layer, part=part, position=at)
               for layer in (0, last) for part in ("pre", "post") for at in places]  # fmt: skip
    rest = [mi.Site("ffn", 1, position=4), mi.Site("neuron", last, 3), mi.Site("embedding", position=2)]
    singles = [once("scale", site, amount=0.3) for site in (*heads, *streams, *rest)]
    patched = [once("replace", mi.Site("residual", 1, position=at), prompt=CORRUPT) for at in (0, 9, 10, -1)]
    patched += [once("replace", mi.Site("head", 1, 0, part), prompt=CORRUPT) for part in ("z", "k", "pattern")]
    return [
        *singles,
        *patched,
        singles[0] + singles[-1],
        singles[-1] + singles[3] + patched[2],
        patched[0] + singles[2],
    ]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole forward passes are for the comparison at first use, and nothing else."""
    whole = sweep.whole

    def only_to_compare(model: Any, base: Any, plans: Any) -> torch.Tensor:
        assert len(plans) <= 2 * sweep._TRIED, "the plain way was taken"
        return whole(model, base, plans)

    monkeypatch.setattr(sweep, "whole", only_to_compare)


def rows(model: mi.Model, base: Any, plans: list[mi.Recipe], tokens: tuple[int, ...] | None = None) -> torch.Tensor:
    """Last logits [plan, token] by the sweep."""
    out: dict[int, torch.Tensor] = {}
    for numbers, values in model.sweep(base, plans, mi.model.Read(lambda logits: logits, tokens)):
        out |= dict(zip(numbers, values, strict=True))
    return torch.stack([out[number] for number in range(len(plans))])


def test_every_edit_is_what_a_whole_run_gives(small: Tiny, taken: None) -> None:
    model, plans = small.model, edits()
    found = model.do(lambda: rows(model, model.record(CLEAN), plans))
    for plan, row in zip(plans, found, strict=True):
        expected = mi.run(model, CLEAN, plan).logits[-1]
        assert (row - expected).abs().max() < 1e-4, str(plan)
    assert all(model._joins.values())


def test_only_the_tokens_that_are_read_are_unembedded(small: Tiny) -> None:
    model, plans = small.model, edits()[:6]
    base = model.record(CLEAN)
    some = model.do(lambda: rows(model, base, plans, (5, 300, 0)))
    every = model.do(lambda: rows(model, base, plans))
    torch.testing.assert_close(some, every[:, [5, 300, 0]], atol=1e-5, rtol=0)


def test_runs_under_a_recipe_join_a_recording_of_it(small: Tiny, taken: None) -> None:
    plans, model = edits(), small.model
    under = mi.Recipe((
        Intervention("scale", mi.Site("head", 1, 0), amount=0.2),
        Intervention("scale", mi.Site("residual", 1, part="pre", position=8), amount=1.3),
        Intervention("scale", mi.Site("ffn", tiny.LAYERS - 1), amount=0.6),
        Intervention("scale", mi.Site("neuron", 0, 3), amount=-2.0),
        Intervention("scale", mi.Site("head", 2, 1, "pattern"), amount=0.5),
    ))  # fmt: skip
    found = model.do(lambda: rows(model, model.record(CLEAN, under), plans))
    for plan, row in zip(plans, found, strict=True):
        assert (row - mi.run(model, CLEAN, under + plan).logits[-1]).abs().max() < 1e-4, str(plan)


@pytest.mark.parametrize("kind", MORE)
def test_more_architectures_take_the_fast_way(kind: str, taken: None) -> None:
    model, plans = other(kind), edits()
    found = model.do(lambda: rows(model, model.record(CLEAN), plans))
    for plan, row in zip(plans, found, strict=True):
        assert (row - mi.run(model, CLEAN, plan).logits[-1]).abs().max() < 1e-4, str(plan)
    model.close()


@pytest.mark.parametrize("objects", ALL)
def test_every_object_takes_the_fast_way(small: Tiny, taken: None, objects: str) -> None:
    grid = mi.locate.causal(small.model, small.pair, objects, progress=False)
    assert grid.values.count() == grid.values.size


def test_small_batches_give_the_same(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mi.locate.causal(llama.model, llama.pair, "residual", "zero", progress=False)
    monkeypatch.setattr(sweep, "FIRST_TOKENS", 1)
    heard: list[tuple[int, int]] = []
    tick = lambda done, total: heard.append((done, total))  # noqa: E731
    grid = mi.locate.causal(llama.model, llama.pair, "residual", "zero", progress=tick)
    np.testing.assert_allclose(grid.values, whole.values, atol=1e-5)
    assert len(heard) > 3 and heard[0][0] < heard[-1][0] == grid.values.size


def test_the_last_layers_come_first(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "FIRST_TOKENS", 1)
    first = next(grid for grid in mi.locate.refine(llama.model, llama.pair, preview=False) if grid.values.count())
    assert not first.values.mask[-1].all() and first.values.mask[0].all()


def test_a_block_that_lies_is_not_trusted(fresh: mi.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="logprob")
    attend = Wavefront._attend

    def lie(self: Wavefront, layer: int) -> None:
        attend(self, layer)
        self.out = self.out * 1.01

    monkeypatch.setattr(Wavefront, "_attend", lie)
    grid = mi.locate.causal(fresh, pair, "residual", "zero", progress=False)
    assert fresh._joins == {"hook_resid_pre": False}
    base = mi.run(fresh, CLEAN).logits[-1].log_softmax(-1)[fresh.single("a")]
    for index in ((0, 0), (1, 7)):
        recipe = mi.Recipe((Intervention("zero", grid.site(index)),))
        after = mi.run(fresh, CLEAN, recipe).logits[-1].log_softmax(-1)[fresh.single("a")]
        assert grid.values[index] == pytest.approx(float(after - base), abs=1e-4)


def test_a_block_that_fails_is_not_trusted(fresh: mi.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wavefront, "_feed", lambda self, layer: torch.zeros(2) + torch.zeros(3))
    task = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="logprob")
    assert mi.locate.causal(fresh, task, method="zero", progress=False).values.count() == tiny.LAYERS * tiny.HEADS
    assert fresh._joins == {"hook_z": False}


def test_what_changes_nothing_is_not_run(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    mi.locate.causal(llama.model, llama.pair, "residual", progress=False)
    run, seen = Wavefront.run, []
    monkeypatch.setattr(Wavefront, "run", lambda self: (seen.extend(self.plans), run(self))[1])
    grid = mi.locate.causal(llama.model, llama.pair, "residual", progress=False)
    length, first = grid.shape[1], 10
    assert len(seen) == tiny.LAYERS * (length - first)
    assert (grid.values[:, :first] == 0).all() and (abs(grid.values[1:, first:]) > 1e-4).any()
    assert mi.locate.cost(llama.model, llama.pair, "residual").runs == len(seen)


def test_rows_start_where_they_change_something(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[list[int]] = []
    seat = wavefront._Seat
    monkeypatch.setattr(wavefront, "_Seat", lambda *at: (starts.append(list(at)), seat(*at))[1])
    mi.locate.causal(llama.model, llama.pair, "heads", progress=False)
    assert {start for _, _, start, _ in starts} == {
        10,
        14,
    }  # the first difference, and in the last block the last token


def test_stop_reaches_a_sweep_within_a_block(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    halt, feed = threading.Event(), Wavefront._feed
    monkeypatch.setattr(sweep, "FIRST_TOKENS", 1)
    steps: Iterator[mi.Grid] = mi.locate.refine(llama.model, llama.pair, "residual", "zero", stop=halt)
    done = next(grid for grid in steps if grid.values.count())
    passed: list[int] = []

    def stopping(self: Wavefront, layer: int) -> None:
        passed.append(layer)
        halt.set()
        feed(self, layer)

    monkeypatch.setattr(Wavefront, "_feed", stopping)
    assert len(list(steps)) <= 1 and len(passed) == 1  # the pass that it came in, if that was its last block
    assert 0 < done.values.count() < done.values.size
    with pytest.raises(Stopped):
        llama.model.do(lambda: llama.model.worker.check(), halt)


def test_a_closed_map_is_over(llama: Tiny) -> None:
    steps = mi.locate.refine(llama.model, llama.pair)
    next(steps)
    steps.close()
    assert list(steps) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_takes_the_fast_way(small: Tiny, taken: None, dtype: torch.dtype) -> None:
    settings = {"initializer_range": 0.1}
    model = mi.Model(tiny.hugging_face(small.shape, **settings).to(dtype), tiny.tokenizer(), "half")
    exact = mi.Model(tiny.hugging_face(small.shape, **settings).to(dtype).float(), tiny.tokenizer(), "exact")
    task = mi.Task((mi.Pair(CLEAN, CORRUPT, str(small.pair.answer), str(small.pair.foil)),), metric="logprob")
    for objects in ("heads", "residual"):
        grids = [mi.locate.causal(each, task, objects, "zero", progress=False).values for each in (model, exact)]
        assert np.abs(grids[0] - grids[1]).max() < 64 * torch.finfo(dtype).eps
        assert np.abs(grids[1]).max() > 0.05
    assert all(model._joins.values())
    model.close(), exact.close()


def test_the_bounds_hold(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []
    run = Wavefront.run
    monkeypatch.setattr(sweep, "MOST_TOKENS", 64)
    monkeypatch.setattr(Wavefront, "run", lambda self: (widths.append(len(self.plans)), run(self))[1])
    base = llama.model.record(OTHERS[0])
    plans = [mi.Recipe((Intervention("zero", mi.Site("neuron", 0, index)),)) for index in range(tiny.D_MLP)]
    llama.model.do(lambda: rows(llama.model, base, plans))
    assert max(widths) <= 64 // base.length and sum(widths[-tiny.D_MLP :]) >= tiny.D_MLP
