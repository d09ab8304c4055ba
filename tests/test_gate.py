"""The gate: the user's side stays as it was, and threads, stops and errors never give a wrong number."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformer_lens.model_bridge import TransformerBridge

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.model import Stopped

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, OTHERS

TASK = mi.Task((mi.Pair(CLEAN, CORRUPT, "a", " John"),), metric="accuracy")
HEAD_OFF = mi.Recipe((Intervention("zero", mi.Site("head", 0, 0)),))


def bridge(shape: str = "llama") -> TransformerBridge:
    """A user's own bridge, with a hook, in train mode and with a gradient lying about."""
    hf = tiny.hugging_face(shape)
    return TransformerBridge.boot_transformers("mine", hf_model=hf, tokenizer=saved_tokenizer())


def saved_tokenizer() -> Any:
    """As it is after loading: with a name to load it by, and a leading BOS of its own."""
    tokenizer = tiny.tokenizer()
    tokenizer.init_kwargs["name_or_path"] = ""
    tokenizer.add_bos_token = True
    tokenizer.init_kwargs["add_bos_token"] = True
    return tokenizer


@pytest.fixture
def mine() -> TransformerBridge:
    """A bridge that a user has worked with: a hook on it, gradients in it, train mode on."""
    made = bridge()
    made.fired = 0

    def count(x: torch.Tensor, hook: Any) -> torch.Tensor:
        made.fired += 1
        return x * 1.01

    made.add_hook("blocks.1.hook_resid_pre", count)
    made(torch.arange(5)[None], return_type="loss").backward()
    made.train()
    made.fired = 0
    yield made
    if (model := made.__dict__.get("_mi_widgets_model")) is not None:
        model.close()


def boom(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError("on purpose")


def break_in_a_hook(model: mi.Model) -> None:
    with pytest.raises(ZeroDivisionError):
        model.do(lambda: model.forward(model.ids(CLEAN), [("blocks.1.hook_resid_pre", boom)]))


def stop_in_the_middle(model: mi.Model) -> None:
    def stopping(x: torch.Tensor, hook: Any) -> None:
        model.worker.job.stop()

    with pytest.raises(Stopped):
        model.do(lambda: model.forward(model.ids(CLEAN), [("blocks.0.hook_resid_pre", stopping)]))


DEEDS: dict[str, Callable[[mi.Model], object]] = {
    "a run": lambda model: mi.run(model, CLEAN, HEAD_OFF),
    "generation": lambda model: mi.generate(model, CLEAN, HEAD_OFF, 6, temperature=1.0, seed=3),
    "a map": lambda model: mi.locate.causal(model, TASK, "heads", "zero"),
    "a lens": lambda model: mi.locate.lens(model, CLEAN),
    "a contrast": lambda model: mi.steer.contrast(model, OTHERS[:2], OTHERS[2:], 1),
    "a mean": lambda model: mi.run(model, CLEAN, mi.steer.switch_off([mi.Site("head", 1, 1)])),
    "an error in a hook": break_in_a_hook,
    "a stop": stop_in_the_middle,
}


# -- the user's side --------------------------------------------------------------------------------------------------


def with_gradients(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("deed", DEEDS)
def test_the_users_bridge_is_as_it_was(mine: TransformerBridge, deed: str) -> None:
    model = mi.Model.of(mine)
    before, gradients = model.fingerprint(), [p.grad.clone() for p in with_gradients(mine)]
    assert (before.hooks, before.training, before.gradients > 0) == (1, True, True)
    DEEDS[deed](model)
    assert model.fingerprint() == before
    assert all(torch.equal(p.grad, g) for p, g in zip(with_gradients(mine), gradients, strict=True))
    assert mine.fired == 0, "a run of ours went through the user's hook"


@pytest.mark.parametrize("shape", ["llama", "gpt2", "pythia"])
def test_making_a_model_leaves_everything_as_it_was(shape: str) -> None:
    hf, tokenizer = tiny.hugging_face(shape).train(), tiny.tokenizer()
    state = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())
    settings = (hf.config.to_dict(), tokenizer.special_tokens_map, tokenizer.encode("Mary"), tokenizer.padding_side)
    attention, modules = hf.config._attn_implementation, [type(m) for m in hf.modules()]
    mi.Model(hf, tokenizer).close()
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate() and (state[2] == np.random.get_state()[1]).all()
    assert settings == (
        hf.config.to_dict(),
        tokenizer.special_tokens_map,
        tokenizer.encode("Mary"),
        tokenizer.padding_side,
    )
    assert attention == hf.config._attn_implementation == "sdpa"
    assert modules == [type(m) for m in hf.modules()] and hf.training
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()


def test_the_users_hugging_face_model_computes_the_same_bits_after_as_before() -> None:
    hf = tiny.hugging_face("llama")
    ids = torch.arange(12)[None]
    before = hf(ids).logits
    model = mi.Model(hf, tiny.tokenizer())
    mi.run(model, CLEAN, HEAD_OFF)
    model.bridge.run_with_cache(model.ids(CLEAN))
    assert torch.equal(hf(ids).logits, before)
    assert before.requires_grad, "gradients are still there for the user"


def test_random_numbers_and_grad_mode_stay_the_users(fresh: mi.Model) -> None:
    state = torch.get_rng_state()
    DEEDS["generation"](fresh)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        mi.run(fresh, CLEAN)
        assert not torch.is_grad_enabled()
    mi.run(fresh, CLEAN)
    assert torch.is_grad_enabled()


def test_a_bridge_that_was_worked_with_can_still_be_copied(mine: TransformerBridge) -> None:
    mi.run(mine, CLEAN)
    other = copy.deepcopy(mine)
    assert mi.Model.of(other) is not mi.Model.of(mine)
    mi.Model.of(other).close()


def test_the_users_own_hooks_are_not_part_of_our_numbers(mine: TransformerBridge, llama: Tiny) -> None:
    with_hook = mine(mine.to_tokens(CLEAN))[0]
    assert (mi.run(mine, CLEAN).logits - llama.plain.logits(llama.ids())).abs().max() < 1e-5
    assert (with_hook - llama.plain.logits(llama.ids())).abs().max() > 1e-3


def test_one_bridge_has_one_model_whoever_asks(mine: TransformerBridge) -> None:
    ready, found = threading.Barrier(4), []

    def ask() -> None:
        ready.wait()
        found.append(mi.Model.of(mine))

    in_threads(*[ask] * 4)
    assert len(set(map(id, found))) == 1


def test_a_model_has_one_bridge_whoever_asks(fresh: mi.Model) -> None:
    found: list[Any] = []
    in_threads(*[lambda: found.append(fresh.bridge)] * 4)
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_the_same_weights_in_a_bridge_or_a_plain_model_give_the_same(shape: str) -> None:
    theirs = bridge(shape)
    expected = theirs(theirs.to_tokens(CLEAN))[0]
    assert (mi.run(theirs, CLEAN).logits - expected).abs().max() < 1e-5
    mi.Model.of(theirs).close()


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_a_bridge_in_compatibility_mode_gives_its_own_numbers_or_is_refused_in_words(shape: str) -> None:
    theirs = bridge(shape)
    theirs.enable_compatibility_mode()
    expected = theirs(theirs.to_tokens(CLEAN))[0].log_softmax(-1)
    try:
        model = mi.Model.of(theirs)
    except ValueError as refusal:
        assert "compatibility mode" in str(refusal)
    else:
        assert (mi.run(model, CLEAN).logits.log_softmax(-1) - expected).abs().max() < 1e-3
        model.close()


# -- weights that change ----------------------------------------------------------------------------------------------


def weights_of(source: nn.Module, *words: str) -> list[nn.Parameter]:
    found = [p for name, p in source.named_parameters() if all(word in name for word in words)]
    assert found
    return found


@pytest.mark.parametrize("counted", [True, False], ids=["counted by torch", "through .data"])
@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_an_edit_in_place_of_a_hugging_face_model_is_seen_at_once(shape: str, counted: bool) -> None:
    hf = tiny.hugging_face(shape)
    model = mi.Model(hf, tiny.tokenizer())
    before, weights = mi.run(model, CLEAN).logits, model.weights
    with torch.no_grad():
        for parameter in weights_of(hf, ".1.", "att", "weight"):
            (parameter if counted else parameter.data).mul_(1.5)
    after = mi.run(model, CLEAN).logits
    assert (after - hf(model.ids(CLEAN)).logits[0]).abs().max() < 1e-4
    assert (after - before).abs().max() > 1e-2
    assert model.weights != weights
    model.close()


@pytest.mark.parametrize("shape", tiny.SHAPES)
@pytest.mark.parametrize("ours", [False, True], ids=["the user's bridge", "model.bridge"])
def test_an_edit_in_place_of_a_bridge_is_seen_at_once(shape: str, ours: bool) -> None:
    model = mi.Model(tiny.hugging_face(shape), tiny.tokenizer()) if ours else mi.Model.of(bridge(shape))
    before, weights = mi.run(model, CLEAN).logits, model.weights
    block = model.bridge.blocks[1]
    with torch.no_grad():
        block.attn.q.weight.mul_(1.5)
        block.mlp.out.weight.mul_(1.5)
    after = mi.run(model, CLEAN).logits
    assert (after - model.bridge(model.ids(CLEAN))[0]).abs().max() < 1e-5
    assert (after - before).abs().max() > 1e-2
    assert model.weights != weights
    model.close()


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_the_same_weights_have_the_same_hash_however_they_come(shape: str) -> None:
    plain, bridged = mi.Model(tiny.hugging_face(shape), tiny.tokenizer()), mi.Model.of(bridge(shape))
    assert plain.weights == bridged.weights
    assert plain.bridge is plain.bridge and plain.weights == bridged.weights
    plain.close(), bridged.close()


@pytest.mark.parametrize("counted", [True, False], ids=["counted by torch", "through .data"])
def test_kept_means_are_those_of_the_weights_as_they_are_now(fresh: mi.Model, counted: bool) -> None:
    recipe = mi.steer.switch_off([mi.Site("head", 2, 1)], reference=OTHERS)
    mi.run(fresh, CLEAN, recipe)
    with torch.no_grad():
        first = next(iter(fresh._source.parameters()))
        (first if counted else first.data).mul_(1.5)
    again = mi.Model(fresh._source, fresh.tokenizer)
    assert torch.equal(mi.run(fresh, CLEAN, recipe).logits, mi.run(again, CLEAN, recipe).logits)
    again.close()


def test_a_replaced_parameter_is_seen(fresh: mi.Model) -> None:
    before = mi.run(fresh, CLEAN).logits
    norm = fresh._source.model.norm
    norm.weight = nn.Parameter(norm.weight.detach() * 1.5)
    after = mi.run(fresh, CLEAN).logits
    assert (after - before).abs().max() > 1e-3
    assert (after - fresh._source(fresh.ids(CLEAN)).logits[0]).abs().max() < 1e-4


def test_another_dtype_is_seen(fresh: mi.Model) -> None:
    fresh._source.to(torch.float64)
    logits = mi.run(fresh, CLEAN).logits
    assert logits.dtype == torch.float64
    assert (logits - fresh._source(fresh.ids(CLEAN)).logits[0]).abs().max() < 1e-4
    assert fresh.fingerprint().dtype == "torch.float64"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_and_has_a_fingerprint(dtype: torch.dtype) -> None:
    model = mi.Model(tiny.hugging_face("llama").to(dtype), tiny.tokenizer())
    before = model.fingerprint()
    found = mi.run(model, CLEAN, HEAD_OFF).logits
    assert found.dtype == dtype and torch.isfinite(found).all()
    assert model.fingerprint() == before
    model.close()


def test_tied_weights_stay_tied() -> None:
    hf = tiny.hugging_face("llama", tie_word_embeddings=True)
    model = mi.Model(hf, tiny.tokenizer())
    assert (mi.run(model, CLEAN).logits - hf(model.ids(CLEAN)).logits[0]).abs().max() < 1e-4
    with torch.no_grad():
        hf.lm_head.weight.mul_(1.1)
    assert (mi.run(model, CLEAN).logits - hf(model.ids(CLEAN)).logits[0]).abs().max() < 1e-4
    model.close()


def test_what_is_no_plain_model_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match="TransformerBridge or a Hugging Face model"):
        mi.Model("gpt2")
    with pytest.raises(ValueError, match="needs its tokenizer"):
        mi.Model(tiny.hugging_face("llama"))
    adapted = tiny.hugging_face("llama")
    adapted.model.layers[0].extra = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="not a plain LlamaForCausalLM"):
        mi.Model(adapted, tiny.tokenizer())


def test_a_source_in_the_home_folder_is_told_by_its_tilde(fresh: mi.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    for stored, told in (
        ("/home/me/models/x", "~/models/x"),
        ("/data/home/me/x", "/data/home/me/x"),
        ("/home/mermaid/x", "/home/mermaid/x"),
        ("gpt2", "gpt2"),
    ):
        fresh._source.config._name_or_path = stored
        assert fresh.provenance["source"] == told


# -- threads ----------------------------------------------------------------------------------------------------------


def in_threads(*works: Callable[[], Any]) -> None:
    """Run each in its own thread; raises the first error."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def test_three_threads_and_the_users_own_loop_get_no_wrong_number(mine: TransformerBridge) -> None:
    model = mi.Model.of(mine)
    mine.reset_hooks()
    mine.eval()
    recipes = [
        mi.Recipe((Intervention("zero", mi.Site("head", 0, 0)),)),
        mi.Recipe((Intervention("scale", mi.Site("residual", 1), amount=0.5),)),
        mi.steer.switch_off([mi.Site("head", 2, 3), mi.Site("ffn", 1)], reference=OTHERS),
    ]
    expected = [mi.run(model, CLEAN, recipe).logits for recipe in recipes]
    logits, cache = mine.run_with_cache(CLEAN)
    cached = cache["blocks.1.hook_resid_post"].clone()
    wrong: list[str] = []

    def runs(number: int) -> None:
        for _ in range(100):
            found = mi.run(model, CLEAN, recipes[number]).logits
            if (found - expected[number]).abs().max() > 1e-6:
                wrong.append(f"recipe {number}")

    def own() -> None:
        for _ in range(100):
            again, kept = mine.run_with_cache(CLEAN)
            if not torch.equal(again, logits) or not torch.equal(kept["blocks.1.hook_resid_post"], cached):
                wrong.append("the user's own")

    threads = [threading.Thread(target=runs, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    own()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_run_from_inside_a_hook_is_refused_and_does_not_hang(fresh: mi.Model) -> None:
    def nested(x: torch.Tensor, hook: Any) -> None:
        mi.run(fresh, CLEAN)

    with pytest.raises(RuntimeError, match="inside a hook"):
        fresh.do(lambda: fresh.forward(fresh.ids(CLEAN), [("blocks.0.hook_resid_pre", nested)]))
    assert torch.isfinite(mi.run(fresh, CLEAN).logits).all()


def test_a_run_from_inside_the_users_own_hook_works(mine: TransformerBridge) -> None:
    inside: list[torch.Tensor] = []
    mine.run_with_hooks(
        mine.to_tokens(CLEAN),
        fwd_hooks=[("blocks.0.hook_resid_pre", lambda x, hook: inside.append(mi.run(mine, CLEAN)))],
    )
    assert torch.equal(inside[0].logits, mi.run(mine, CLEAN).logits)


# -- jobs -------------------------------------------------------------------------------------------------------------


class Held:
    """A job that holds the worker until it is let go."""

    def __init__(self, model: mi.Model) -> None:
        self._free, self.begun = threading.Event(), threading.Event()
        self.job = model.submit(self._work)
        assert self.begun.wait(60)

    def _work(self) -> None:
        self.begun.set()
        assert self._free.wait(60)

    def let_go(self) -> None:
        self._free.set()
        self.job.future.result(60)


class Owner:
    """Somebody who submits work."""


def test_refine_is_stopped_in_the_middle_of_a_pass_and_keeps_what_is_done(fresh: mi.Model) -> None:
    stop, grids, begun = threading.Event(), [], []
    fresh.twin.blocks[1].register_forward_pre_hook(lambda *_: stop.set() if len(grids) == 2 else None)
    fresh.twin.blocks[2].register_forward_pre_hook(lambda *_: begun.append(len(grids)))
    items = tuple(replace(TASK.items[0], group=name) for name in "abc")  # equal pairs would share one pass
    for grid in mi.locate.refine(fresh, replace(TASK, items=items), "heads", "zero", stop=stop):
        grids.append(grid)
    assert len(grids) == 2 and grids[-1].values.count() > 0
    assert 2 not in begun, "a block of the stopped pass was run"
    mi.run(fresh, CLEAN)


def test_job_ids_increase(fresh: mi.Model) -> None:
    ids = [fresh.submit(lambda: None).id for _ in range(4)]
    assert ids == sorted(set(ids))


def test_a_job_stopped_before_its_turn_never_begins(fresh: mi.Model) -> None:
    held, done = Held(fresh), []
    job = fresh.submit(lambda: done.append("wrong"))
    job.stop()
    held.let_go()
    with pytest.raises(CancelledError):
        job.future.result(60)
    mi.run(fresh, CLEAN)
    assert done == []


def test_of_one_owners_jobs_the_latest_wins(fresh: mi.Model) -> None:
    held, done, owner, other = Held(fresh), [], Owner(), Owner()
    for name in ("first", "second", "third"):
        last = fresh.submit(lambda name=name: done.append(name), owner=owner)
    elsewhere = fresh.submit(lambda: done.append("of another"), owner=other)
    held.let_go()
    last.future.result(60), elsewhere.future.result(60)
    assert done == ["third", "of another"]


def test_a_newer_job_ends_a_running_one_of_the_same_owner(fresh: mi.Model) -> None:
    owner, begun = Owner(), threading.Event()

    def long() -> None:
        while True:
            fresh.forward(fresh.ids(CLEAN))
            begun.set()

    first = fresh.submit(long, owner=owner)
    assert begun.wait(60)
    second = fresh.submit(lambda: "done", owner=owner)
    assert second.future.result(60) == "done"
    assert isinstance(first.future.exception(), Stopped)


def test_a_stop_ends_a_generation(fresh: mi.Model) -> None:
    texts: list[str] = []

    def stop_at_third(text: str) -> None:
        texts.append(text)
        if len(texts) == 3:
            fresh.worker.job.stop()

    with pytest.raises(Stopped):
        mi.generate(fresh, CLEAN, max_new_tokens=30, on_text=stop_at_third)
    assert len(texts) == 3


def test_an_interrupted_cell_stops_its_job_and_the_next_one_works(
    fresh: mi.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, begun, jobs = fresh.fingerprint(), threading.Event(), []

    def long() -> None:
        jobs.append(fresh.worker.job)
        while True:
            fresh.forward(fresh.ids(CLEAN))
            begun.set()

    from concurrent.futures import Future

    def interrupted(self: Any, timeout: Any = None) -> None:
        assert begun.wait(60)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Future, "result", interrupted)
        fresh.do(long)
    assert jobs[0].stopped and jobs[0].future.done()
    assert fresh.fingerprint() == before
    assert torch.isfinite(mi.run(fresh, CLEAN).logits).all()


def test_an_interrupted_cell_that_has_not_begun_does_not_wait_for_the_others(
    fresh: mi.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import Future

    held = Held(fresh)

    def interrupted(self: Any, timeout: Any = None) -> None:
        raise KeyboardInterrupt

    def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            fresh.do(lambda: None)

    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", interrupted)
        waiting = threading.Thread(target=cell)
        waiting.start()
        waiting.join(20)
    still = waiting.is_alive()
    held.let_go()
    waiting.join(60)
    assert not still


def test_closing_leaves_nobody_waiting(fresh: mi.Model) -> None:
    held = Held(fresh)
    waiting = fresh.submit(lambda: None)
    closing = threading.Thread(target=fresh.close)
    closing.start()
    while not held.job.stopped:
        closing.join(0.01)
    held.let_go()
    closing.join(60)
    with pytest.raises(CancelledError):
        waiting.future.result(5)


def test_a_closed_model_says_so(fresh: mi.Model) -> None:
    fresh.close()
    with pytest.raises(RuntimeError, match="closed"):
        mi.run(fresh, CLEAN)


def test_a_closed_models_bridge_gets_a_new_model(mine: TransformerBridge) -> None:
    first = mi.Model.of(mine)
    first.close()
    assert torch.isfinite(mi.run(mine, CLEAN).logits).all()


# -- fingerprints -----------------------------------------------------------------------------------------------------


def test_a_fingerprint_sees_each_thing_it_promises(mine: TransformerBridge) -> None:
    model = mi.Model.of(mine)
    changes: dict[str, Callable[[], object]] = {
        "hooks": lambda: mine.add_hook("blocks.0.hook_resid_pre", lambda x, hook: x),
        "weights": lambda: next(mine.parameters()).data.view(-1)[-1].add_(1e-3),
        "training": lambda: mine.original_model.eval(),
        "trainable": lambda: next(mine.parameters()).requires_grad_(False),
        "gradients": lambda: setattr(with_gradients(mine)[0], "grad", None),
        "random_state": lambda: torch.rand(1),
    }
    for name, change in changes.items():
        before = model.fingerprint()
        change()
        after = model.fingerprint()
        assert getattr(after, name) != getattr(before, name)
        assert replace(after, **{name: getattr(before, name)}) == before


# -- the weights' hash -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_hash_sees_every_element_and_its_place(dtype: torch.dtype) -> None:
    from mi_widgets.model.fingerprint import checksum

    weight = torch.randn(700, 90, generator=torch.Generator().manual_seed(0)).to(dtype)
    hashes = {checksum([weight])}
    weight[[253, 611]] = weight[[611, 253]]
    hashes.add(checksum([weight]))
    weight[[7, 8]] *= -1
    hashes.add(checksum([weight]))
    weight[699, 89] *= 2
    hashes |= {checksum([weight]), checksum([weight.T]), checksum([weight, weight]), checksum([weight.float()])}
    assert len(hashes) == (7 if dtype != torch.float32 else 6)


def test_a_swap_of_two_rows_is_seen_by_what_is_kept(fresh: mi.Model) -> None:
    recipe = mi.Recipe((Intervention("replace", mi.Site("residual", 0), prompt=CORRUPT),))
    before, weights = mi.run(fresh, CLEAN, recipe).logits, fresh.weights
    table = fresh._source.get_input_embeddings().weight.data
    first, second = fresh.single("a"), fresh.single(" John")
    table[[first, second]] = table[[second, first]]
    again = mi.Model(fresh._source, fresh.tokenizer)
    after = mi.run(fresh, CLEAN, recipe).logits
    assert fresh.weights == again.weights != weights
    assert torch.equal(after, mi.run(again, CLEAN, recipe).logits) and not torch.equal(after, before)
    again.close()


def test_a_closed_model_can_still_be_printed(fresh: mi.Model) -> None:
    fresh.close()
    assert repr(fresh) == "Model(fresh, closed)"
    for use in (lambda: fresh.n_layers, lambda: mi.run(fresh, CLEAN), lambda: mi.AttentionView(fresh, CLEAN)):
        with pytest.raises(RuntimeError, match="this model is closed"):
            use()


def test_the_users_own_hooks_are_counted(mine: TransformerBridge) -> None:
    model = mi.Model.of(mine)
    assert model.own_hooks == 1
    assert any("1 hooks of its own" in note for note in notes_of(model))


def notes_of(model: mi.Model) -> list[str]:
    shown = mi.LensView(model, CLEAN, directions={})
    shown.picks = [(0, 0, 3)]
    return shown.run()["notes"]
